//! The binary `handfast-relay`.

use std::process::ExitCode;

/// See `handfast_relay::memory`.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    handfast_relay::cli::main_from(std::env::args_os())
}
