//! Ceremonies in virtual time, without a socket and without sleeping.
//!
//! | type | is |
//! |---|---|
//! | [`Pair`] | a client and a phone, perhaps a second phone, with an air and a relay that can lose, delay, repeat, reorder and alter what they carry |
//! | [`ScriptedPhone`], [`ScriptedClient`] | one ceremony alone, against a peer that does what a script of [`Step`]s says |
//! | [`Relay`] | the relays of a pair: who may create, join and close which tunnel |
//!
//! The same seed and the same faults give the same transcript. Tests that use this crate live in
//! `tests/` folders.

mod air;
mod faults;
mod link;
mod network;
mod pair;
mod relay;
mod scripted;

pub use faults::{Ble, Chances, Damage, Faults, FrameFault, Side};
pub use pair::{AnswerTo, DOMAIN, Introduce, Outcome, Pair, PairError, Script};
pub use relay::{Connection, Delivery, Relay, Told};
pub use scripted::{Record, ScriptError, ScriptedClient, ScriptedPhone, Step};
