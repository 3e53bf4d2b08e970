//! Passkeys in and out: documents of the FIDO Credential Exchange Format 1.0 (CXF), sealed with age.
//!
//! Nothing here knows a terminal or a disk. [`Document::parse`] takes bytes of strangers; of one bad
//! passkey it tells, and reads the others. [`plan`] holds what was read against a vault, before
//! anything is written; [`write()`] makes a document.
//!
//! | member of a passkey | is |
//! |---|---|
//! | `credentialId`, `rpId`, `userHandle`, `key` | read, checked, written |
//! | `username`, `userDisplayName` | read (`userName` too), cut as CTAP has it, written |
//! | `fido2Extensions.hmacCredentials` | the seeds of `prf`: read and written |
//! | `fido2Extensions.credBlob`, `.largeBlob` | what a site left or stored: read and written |
//! | other `fido2Extensions` | passed over |
//!
//! The format has no member for `credProtect`: an imported passkey asks for a person's presence only.
//! It has none for keys of trust groups and devices, and they never leave: an imported
//! passkey begins anew there. Its signature counter is zero for good, and it says of itself that it can
//! be backed up, as all of a vault do.

mod json;
mod key;
pub mod plan;
mod read;
pub mod sealed;
mod write;

pub use key::KeyFault;
pub use plan::plan;
pub use read::{Document, DocumentError, Entry, Fault, Found, Lost, Place};
pub use write::write;

/// The largest document that is read or written: 64 MiB.
pub const LARGEST: usize = 64 * 1024 * 1024;
