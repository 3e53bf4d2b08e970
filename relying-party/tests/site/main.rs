//! The verifier and the site on it, with devices in software and a clock of the test's own: every
//! rule broken once, every row of the policy, what is told and what is kept.
#![cfg(feature = "site")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod authentication;
mod device;
mod notices;
mod policy;
mod registration;
mod reset;
mod rules;
mod world;
