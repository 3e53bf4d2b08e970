//! The command line of `handfast-relay`.

use std::ffi::OsString;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use thiserror::Error;

use crate::limits::Limits;
use crate::server::Server;
use crate::tls::{TlsError, server_config};

/// The relay between a computer and a phone that sign in together (FIDO Cross-Device
/// Authentication). It passes encrypted messages on and cannot read them.
#[derive(Debug, Parser)]
#[command(name = "handfast-relay", version, after_help = EXIT_CODES)]
struct Arguments {
    /// Say more on standard error: -v what happens, -vv every connection. Never an address or the
    /// name of a tunnel.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 ok, 1 failure, 2 usage.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve tunnels until stopped.
    Serve(Serve),
}

#[derive(Args, Debug)]
struct Serve {
    /// The address to listen on; port 0 takes a free one. The address in use is printed.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// The certificate chain, PEM. Without it the relay speaks plain text and so listens only on a
    /// loopback address, for use behind a proxy on the same machine.
    #[arg(long, value_name = "PEM", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, PEM.
    #[arg(long, value_name = "PEM", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

#[derive(Debug, Error)]
enum CliError {
    #[error(
        "The address {0} cannot be listened on: {1}.\nChoose another with --listen; port 0 takes a free one."
    )]
    Bind(SocketAddr, #[source] std::io::Error),
    #[error(
        "Without TLS the relay listens only on a loopback address, and {0} is none.\nGive --tls-cert and --tls-key, or listen on 127.0.0.1 behind a proxy that does TLS."
    )]
    PlainInPublic(SocketAddr),
    #[error("The relay could not start: {0}.\nFree some memory or descriptors and try again.")]
    Start(#[source] std::io::Error),
    #[error(
        "{}{}.\nGive PEM files that belong together with --tls-cert and --tls-key.",
        .0.to_string().chars().take(1).flat_map(char::to_uppercase).collect::<String>(),
        .0.to_string().chars().skip(1).collect::<String>()
    )]
    Tls(#[source] TlsError),
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
    let level = match arguments.verbose {
        0 => tracing::Level::WARN,
        1 => tracing::Level::INFO,
        _ => tracing::Level::DEBUG,
    };
    // Fails only if a logger is there already, which then does the logging.
    let _ = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_target(false)
        .try_init();
    let outcome = match arguments.command {
        Command::Serve(serve) => run(serve),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(serve: Serve) -> Result<(), CliError> {
    let tls = match (&serve.tls_cert, &serve.tls_key) {
        (Some(certificate), Some(key)) => {
            Some(server_config(certificate, key).map_err(CliError::Tls)?)
        }
        _ if serve.listen.ip().is_loopback() => None,
        _ => return Err(CliError::PlainInPublic(serve.listen)),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(CliError::Start)?;
    runtime.block_on(async {
        let bind = |error| CliError::Bind(serve.listen, error);
        let server = Server::bind(serve.listen, tls, Limits::default())
            .await
            .map_err(bind)?;
        let address = server.local_address().map_err(bind)?;
        // Before the address is printed: who has read it may already ask to stop.
        let stop = asked_to_stop().map_err(CliError::Start)?;
        let mut out = std::io::stdout();
        let _ = writeln!(out, "listening on {}://{address}", server.scheme());
        let _ = out.flush();
        tokio::select! {
            () = server.serve() => Ok(()),
            () = stop => Ok(()),
        }
    })
}

/// Waits for Ctrl-C, or for the SIGTERM of a service manager. It is heard from the call on.
#[cfg(unix)]
fn asked_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Waits for Ctrl-C.
#[cfg(not(unix))]
fn asked_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}
