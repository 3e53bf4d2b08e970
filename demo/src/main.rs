//! The binary `handfast-demo`. Called with the name of one of the other programs as its first
//! argument it *is* that program: so one build plays the whole story with the programs' own code.

use std::process::ExitCode;

fn main() -> ExitCode {
    handfast_demo::cli::main_from(std::env::args_os())
}
