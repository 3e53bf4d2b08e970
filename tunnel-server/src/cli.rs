//! The command line of `handfast-relay`.

mod check;
mod domain;
mod failure;
mod haproxy;
mod serve;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    /// is found by computers that were not told of it.
    Domain(domain::Domain),
    /// Play whole tunnels against a relay from outside, and say what is wrong with it.
    Check(check::Check),
    /// Print a configuration of HAProxy that spreads tunnels over several nodes.
    HaproxyConfig(haproxy::HaproxyConfig),
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
        // Who closed standard error does not want to hear that it is closed, and no tunnel should end.
        .log_internal_errors(false)
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
            ExitCode::from(error.code())
        }
    }
}
