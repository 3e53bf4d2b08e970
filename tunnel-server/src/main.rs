//! The binary `handfast-relay`.

use std::process::ExitCode;

fn main() -> ExitCode {
    handfast_relay::cli::main_from(std::env::args_os())
}
