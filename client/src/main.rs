//! The binary `handfast`.

use std::process::ExitCode;

fn main() -> ExitCode {
    handfast::cli::main_from(std::env::args_os())
}
