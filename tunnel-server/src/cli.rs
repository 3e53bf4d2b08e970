//! The command line of `handfast-relay`.

mod check;
mod domain;
mod haproxy;
mod serve;

use std::ffi::OsString;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use thiserror::Error;

use crate::haproxy::BalancerError;
use crate::tls::TlsError;

/// The relay between a computer and a phone that sign in together (FIDO Cross-Device
/// Authentication). It passes encrypted messages on and cannot read them.
#[derive(Debug, Parser)]
#[command(name = "handfast-relay", version, after_help = EXIT_CODES)]
struct Arguments {
    /// Say more on standard error: -v what happens, -vv every connection. Never an address or the
    /// name of a tunnel, unless --show-identifiers asks for it.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Write what is said there as JSON, a line each.
    #[arg(long, global = true)]
    log_json: bool,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 ok, 1 failure, 2 usage.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve tunnels until stopped.
    Serve(Box<serve::Serve>),
    /// Say which number a relay's name has, or which name a number. Only a name that has a number
    /// can be found by the phones and computers of others.
    Domain(domain::Domain),
    /// Play whole tunnels against a relay from outside, and say what is wrong with it.
    Check(check::Check),
    /// Print a configuration of HAProxy that spreads tunnels over several nodes.
    HaproxyConfig(haproxy::HaproxyConfig),
}

#[derive(Debug, Error)]
enum CliError {
    #[error(
        "The address {0} cannot be listened on: {1}.\nChoose another with --listen; port 0 takes a free one."
    )]
    Bind(SocketAddr, #[source] std::io::Error),
    #[error("{}.\nGive every node a --node-id and an address of its own.",
        capital(.0)
    )]
    Balancer(#[source] BalancerError),
    #[error(
        "The certificate file {} cannot be used: {}.\nGive a PEM file with --ca-file.",
        .0.display(), .1
    )]
    CaFile(PathBuf, String),
    #[error("The relay is not good: see the lines with ✗.")]
    NotGood,
    #[error(
        "The service manager has passed no TCP socket.\nStart the relay with its socket unit, or give an address to --listen."
    )]
    NotPassed,
    #[error(
        "{0} is no relay's name: such a name comes out of a number.\nSearch one that can be registered with --search."
    )]
    NoDomain(String),
    #[error("No relay's name is known for {0}.\nThe numbers 0, 1 and 256 to 65535 have names.")]
    NoNumber(u32),
    #[error(
        "No name is as {0} says.\nThe letters are a to z and 2 to 7, 10 to 13 of them; the names end with .com, .org, .net or .info."
    )]
    NoMatch(String),
    #[error(
        "Without TLS the relay listens only on a loopback address, and {0} is none.\nGive --tls-cert and --tls-key, or listen on 127.0.0.1 behind a proxy that does TLS, or name one elsewhere with --trusted-proxy."
    )]
    PlainInPublic(SocketAddr),
    #[error("The relay could not start: {0}.\nFree some memory or descriptors and try again.")]
    Start(#[source] std::io::Error),
    #[error(
        "{}.\nGive PEM files that belong together with --tls-cert and --tls-key.",
        capital(.0)
    )]
    Tls(#[source] TlsError),
}

/// Says an error as the begin of a sentence.
fn capital(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).collect()
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
    let log = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_target(false);
    // Fails only if a logger is there already, which then does the logging.
    let _ = if arguments.log_json {
        log.json().try_init()
    } else {
        log.try_init()
    };
    let outcome = match arguments.command {
        Command::Serve(serve) => serve::run(&serve),
        Command::Domain(domain) => domain::run(&domain),
        Command::Check(check) => check::run(&check),
        Command::HaproxyConfig(asked) => haproxy::run(asked),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}
