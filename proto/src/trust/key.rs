//! The trust-group key of one passkey, and which of several is presented (`trust-group.md` §1.4,
//! §1.5).

use crate::cose::{Algorithm, KeyId, SigningKey};
use crate::ids::{CredentialId, UserHandle};

/// To which passkey a group key belongs.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct KeyTuple {
    /// SHA-256 of the RP ID.
    pub rp_id_hash: [u8; 32],
    /// The passkey.
    pub credential_id: CredentialId,
    /// The account.
    pub user_handle: UserHandle,
}

/// What the choice between keys looks at. Times are whole seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KeyMetadata {
    /// The key's short name.
    pub key_id: KeyId,
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// When it was made.
    pub created_at: u64,
    /// When a relying party first got to see it.
    pub first_presented_at: Option<u64>,
    /// Whether it must not be presented any more.
    pub retired: bool,
}

/// A group key of a passkey, with its private half.
#[derive(Debug)]
pub struct GroupKey {
    /// To which passkey it belongs.
    pub tuple: KeyTuple,
    /// The key.
    pub key: SigningKey,
    /// When it was made, seconds since 1970.
    pub created_at: u64,
    /// When a relying party first got to see it.
    pub first_presented_at: Option<u64>,
    /// Whether it must not be presented any more.
    pub retired: bool,
}

impl GroupKey {
    /// Returns the key's short name.
    pub fn key_id(&self) -> KeyId {
        self.key.public_key().key_id()
    }

    /// Returns what the choice between keys looks at.
    pub fn metadata(&self) -> KeyMetadata {
        KeyMetadata {
            key_id: self.key_id(),
            algorithm: self.key.algorithm(),
            created_at: self.created_at,
            first_presented_at: self.first_presented_at,
            retired: self.retired,
        }
    }

    /// Takes over what another copy of this key knows: the earliest times, and retirement for
    /// good. Returns whether that changed anything.
    pub fn merge(&mut self, created: u64, presented: Option<u64>, retired: bool) -> bool {
        let merged = (
            self.created_at.min(created),
            match (self.first_presented_at, presented) {
                (Some(ours), Some(theirs)) => Some(ours.min(theirs)),
                (ours, theirs) => ours.or(theirs),
            },
            self.retired || retired,
        );
        let changed = merged != (self.created_at, self.first_presented_at, self.retired);
        (self.created_at, self.first_presented_at, self.retired) = merged;
        changed
    }
}

/// Chooses the key to present for a passkey of this algorithm: of those a relying party has seen,
/// the one seen first; else the oldest.
pub fn select(
    keys: impl IntoIterator<Item = KeyMetadata>,
    algorithm: Algorithm,
) -> Option<KeyMetadata> {
    keys.into_iter()
        .filter(|key| key.algorithm == algorithm && !key.retired)
        .min_by_key(|key| {
            let presented = key.first_presented_at;
            let first = presented.unwrap_or(key.created_at);
            (presented.is_none(), first, key.created_at, key.key_id)
        })
}
