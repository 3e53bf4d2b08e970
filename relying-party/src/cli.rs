//! The command line of `handfast-site`.

use std::ffi::OsString;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use handfast_proto::ids::RpId;

use crate::site::{Notice, Site, SiteConfig, serve};
use crate::store::SqliteStore;

/// A demo site for passkeys with trust groups: register, sign in, see what the site knows of your
/// devices. One-time codes of a step-up are printed here.
#[derive(Debug, Parser)]
#[command(
    name = "handfast-site",
    version,
    after_help = "Exit codes: 0 ok, 1 failure, 2 usage."
)]
struct Arguments {
    /// The address to listen on; port 0 takes a free one. The address in use is printed.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// The site's RP ID. Several sites can be tried out on one computer as localhost, NAME.localhost and so
    /// on.
    #[arg(long, default_value = "localhost", value_name = "NAME")]
    rp_id: String,
    /// An origin that the site is reached by; http://RP_ID:PORT if none is given, for localhost and names
    /// below it.
    #[arg(long, value_name = "ORIGIN")]
    origin: Vec<String>,
    /// The SQLite file to keep accounts in; without it they end with the process.
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Print every decision, rejection and one-time code as a line of JSON.
    #[arg(long)]
    json: bool,
    /// Tell of every request and every rejection on standard error; -vv also how long it took.
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

/// Runs the program with these arguments (the first is its name) and returns its exit code.
pub fn main_from(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err((what, code)) => {
            let _ = writeln!(std::io::stderr(), "{what}");
            ExitCode::from(code)
        }
    }
}

fn run(arguments: Arguments) -> Result<(), (String, u8)> {
    let rp_id = RpId::parse(&arguments.rp_id).map_err(|error| {
        (
            format!("--rp-id {}: {error}.\nGive a domain name.", arguments.rp_id),
            2,
        )
    })?;
    if arguments.origin.is_empty() && !rp_id.is_local() {
        let what = format!(
            "--rp-id {rp_id} is a name that this site may be reached by in several ways.\nSay by which, as with: \
             --origin https://{rp_id}"
        );
        return Err((what, 2));
    }
    if let Some(foreign) = arguments
        .origin
        .iter()
        .find(|origin| !may_use(origin, &rp_id))
    {
        let what = format!(
            "--origin {foreign} may not use the RP ID {rp_id}: browsers refuse that.\nGive origins whose host is \
             that name, or ends with it."
        );
        return Err((what, 2));
    }
    let store = match &arguments.data {
        Some(path) => SqliteStore::open(path),
        None => SqliteStore::in_memory(),
    }
    .map_err(|error| {
        let path = arguments.data.unwrap_or_default();
        (
            format!(
                "{} cannot be used: {error}.\nGive another file with --data.",
                path.display()
            ),
            1,
        )
    })?;
    let failed = |error: std::io::Error| {
        (
            format!("The address cannot be listened on: {error}.\nChoose another with --listen."),
            1,
        )
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(arguments.listen)
            .await
            .map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let local = match rp_id.is_local() {
            true => format!("http://{rp_id}:{port}"),
            false => format!("http://localhost:{port}"),
        };
        let origins = match arguments.origin {
            origins if origins.is_empty() => vec![local.clone()],
            origins => origins,
        };
        let mut out = std::io::stdout();
        let _ = writeln!(out, "listening on {local}").and_then(|()| out.flush());
        let site = Site::new(
            SiteConfig { rp_id, origins },
            Box::new(store),
            Box::new(move |notice| tell(notice, arguments.json, arguments.verbose)),
        );
        tokio::select! {
            served = serve(listener, site, arguments.verbose) => served.map_err(failed),
            _ = tokio::signal::ctrl_c() => Ok(()),
        }
    })
}

/// Returns whether a page of an origin may use an RP ID: it is the origin's host, or a parent of that.
fn may_use(origin: &str, rp_id: &RpId) -> bool {
    let host = origin.split_once("://").map_or(origin, |(_, host)| host);
    rp_id.covers(host.split([':', '/']).next().unwrap_or_default())
}

/// Tells who runs the site. One-time codes go to standard output too: here that stands for the way
/// by which a site would reach its user.
fn tell(notice: &Notice, json: bool, verbose: u8) {
    let mut out = std::io::stdout();
    let _ = match notice {
        _ if json => writeln!(out, "{}", notice.json()).and_then(|()| out.flush()),
        Notice::Code { .. } | Notice::Decision { .. } => {
            writeln!(out, "{}", notice.text()).and_then(|()| out.flush())
        }
        Notice::Rejected { fault: None, .. } if verbose == 0 => Ok(()),
        _ => writeln!(std::io::stderr(), "{}", notice.text()),
    };
}
