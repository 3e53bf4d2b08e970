//! The relay over real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

#[cfg(unix)]
mod balancer;
mod bounds;
#[cfg(unix)]
mod check;
mod commands;
mod harness;
#[cfg(unix)]
mod program;
#[cfg(unix)]
mod service;
mod time;
mod tls;
mod tunnel;
