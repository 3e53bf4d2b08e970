//! The protocol of FIDO Cross-Device Authentication (CTAP 2.3 hybrid transport): bytes in, events
//! out.
//!
//! This crate holds codecs and sans-I/O state machines. It never does I/O, reads a clock, starts a
//! task or owns a source of randomness: the caller passes `now` and `rng`. Who wants a ready-made
//! desktop client or phone uses the crates `handfast` and `handfast-authenticator` instead.
//!
//! | feature | adds |
//! |---|---|
//! | (none) | CBOR, COSE keys, authenticator data, CTAP2 messages, extensions: all that a relying party needs |
//! | `pin-uv` | `hmac-secret`, and the key agreement that it needs |
//! | `hybrid` | QR codes, adverts, Noise, the two ceremonies |
//! | `trust` | trust-group messages, key wrapping, key selection |

pub mod auth_data;
pub mod cbor;
pub mod cose;
pub mod ctap2;
pub mod extension;
#[cfg(feature = "hybrid")]
pub mod hybrid;
pub mod ids;
mod now;
#[cfg(feature = "pin-uv")]
pub mod pin_uv;
#[cfg(feature = "trust")]
pub mod trust;

pub use now::Now;
