//! The command line of `handfast-demo`.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::stage::{Program, Programs};
use crate::story::{Teller, play};

/// Plays the story of Handfast in one command: a relay, a site, a phone, two computers of its owner's
/// and a phisher's, each with processes and a home of its own on this machine, in a temporary folder.
#[derive(Debug, Parser)]
#[command(
    name = "handfast-demo",
    version,
    after_help = "Exit codes: 0 every act ended as the story says, 1 one did not, 2 usage."
)]
struct Arguments {
    /// Print the facts as one JSON document instead of telling the story.
    #[arg(long)]
    json: bool,
}

/// Runs the program with these arguments (the first is its name) and returns its exit code. If the
/// second is the name of another program of the project, it is that program that runs.
pub fn main_from(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    run_named(&arguments).unwrap_or_else(|| tell(arguments))
}

/// Runs the program of the project that the second argument names, if it names one, and returns its
/// exit code. So one executable can be all of them ([`Programs::MultiCall`]).
pub fn run_named(arguments: &[OsString]) -> Option<ExitCode> {
    let name = arguments.get(1)?;
    let mut programs = Program::ALL.into_iter();
    let program = programs.find(|program| name == program.name())?;
    let arguments = arguments.iter().skip(1).cloned();
    Some(match program {
        Program::Desktop => handfast::cli::main_from(arguments),
        Program::Phone => handfast_authenticator::cli::main_from(arguments),
        Program::Relay => handfast_relay::cli::main_from(arguments),
        Program::Site => handfast_relying_party::cli::main_from(arguments),
    })
}

fn tell(arguments: Vec<OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let mut teller = if arguments.json {
        Teller::silent()
    } else {
        Teller::aloud()
    };
    let played = std::env::current_exe()
        .map_err(Into::into)
        .and_then(|executable| play(Programs::MultiCall(executable), &mut teller));
    match played {
        Ok(played) => {
            if arguments.json {
                let _ = writeln!(std::io::stdout(), "{:#}", played.json());
            }
            teller.table(&played);
            if played.passed() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            let _ = writeln!(
                std::io::stderr(),
                "The story broke off: {error}.\nRun it again; if it breaks off again, please report these words."
            );
            ExitCode::FAILURE
        }
    }
}
