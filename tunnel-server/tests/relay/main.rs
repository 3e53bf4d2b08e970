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
#[cfg(target_os = "linux")]
mod canary;
#[cfg(unix)]
mod check;
mod commands;
mod harness;
#[cfg(target_os = "linux")]
mod hostile;
#[cfg(target_os = "linux")]
mod hostile_frames;
#[cfg(target_os = "linux")]
mod hostile_requests;
#[cfg(target_os = "linux")]
mod hostile_world;
#[cfg(unix)]
mod program;
#[cfg(unix)]
mod service;
mod time;
mod tls;
mod tunnel;
