//! Extensions, one file each.
//!
//! | extension | create | get | where |
//! |---|---|---|---|
//! | `cmtgKey` | yes | yes | [`cmtg_key`] |
//!
//! An extension whose signature covers the authenticator data, in which its own key stands, needs
//! two phases: [`Prepared::signed_output`] goes into the authenticator data, and only then can
//! [`Prepared::finish`] sign them.

pub mod cmtg_key;

use crate::cbor::Value;
use crate::ids::ClientDataHash;

/// An extension after its first phase, ready for the second.
pub trait Prepared {
    /// The extension's identifier.
    const NAME: &'static str;

    /// Returns what goes into the authenticator data under [`Self::NAME`].
    fn signed_output(&self) -> Value;

    /// Returns what goes into the unsigned extension outputs under [`Self::NAME`], made over the
    /// complete authenticator data.
    fn finish(self, auth_data: &[u8], hash: &ClientDataHash) -> Value;
}
