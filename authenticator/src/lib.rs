//! An authenticator: a CTAP2 engine over a vault of passkeys, and a trust group of the devices that
//! were beside each other. With feature `phone` it is also the phone side of FIDO Cross-Device
//! Authentication and the binary `handfast-authenticator`; the desktop client uses it without. With
//! feature `console` it has what command lines over it share.
//!
//! It knows nothing of what a relying party makes of its signatures. Keys are in files: who wants
//! them in hardware should look elsewhere.

#[cfg(feature = "phone")]
pub mod cli;
pub mod compat;
#[cfg(feature = "console")]
pub mod console;
pub mod device;
mod disk;
pub mod engine;
#[cfg(feature = "exchange")]
pub mod exchange;
mod format;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod group;
pub mod home;
mod locked;
pub mod passphrase;
#[cfg(feature = "phone")]
mod phone;
#[cfg(feature = "console")]
mod unlocking;
pub mod vault;
