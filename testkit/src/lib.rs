//! A client and a phone in virtual time, with an air and a relay that can lose, delay, repeat and
//! alter what they carry. The same seed and the same faults give the same transcript.
//!
//! Nothing here opens a socket or sleeps. Tests that use it live in `tests/` folders.

mod faults;
mod pair;

pub use faults::{Damage, Faults, Side};
pub use pair::{AnswerTo, Outcome, Pair, PairError, Script};
