//! The binary `handfast-authenticator`.

use std::process::ExitCode;

fn main() -> ExitCode {
    handfast_authenticator::cli::main_from(std::env::args_os())
}
