//! The relay over real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod bounds;
mod harness;
#[cfg(unix)]
mod program;
mod time;
mod tls;
mod tunnel;
