//! The binary `handfast-site`.

use std::process::ExitCode;

fn main() -> ExitCode {
    handfast_relying_party::cli::main_from(std::env::args_os())
}
