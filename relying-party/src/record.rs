//! What a relying party keeps of a passkey.

use handfast_proto::cose::{CoseKey, KeyId};
use handfast_proto::ids::{CredentialId, UserHandle};

use crate::compat::KeyRecords;

/// Most trust-group keys that are kept of one passkey.
pub const MAX_CMTG_RECORDS: usize = 64;

/// A passkey's record. Times are whole seconds since 1970.
#[derive(Clone, Debug, PartialEq)]
pub struct CredentialRecord {
    /// The passkey.
    pub id: CredentialId,
    /// Whose it is.
    pub user_handle: UserHandle,
    /// Its public key.
    pub public_key: CoseKey,
    /// Its signature counter.
    pub sign_count: u32,
    /// Whether it can be on several devices.
    pub backup_eligible: bool,
    /// Whether it is, as last heard.
    pub backed_up: bool,
    /// Whether its user was verified when it was made.
    pub uv_initialized: bool,
    /// How its authenticator can be reached.
    pub transports: Vec<String>,
    /// When it was registered.
    pub created_at: u64,
    /// When it was last used.
    pub last_used: u64,
    /// Its trust-group keys. Those that the user told the site to forget stay, distrusted: a passkey
    /// that named a trust group once and then names none is not one that never did
    /// (`trust-group.md` §1.6).
    pub cmtg: Vec<CmtgRecord>,
    /// Its keys of the extensions that WebAuthn has no more.
    pub compat: KeyRecords,
}

/// What the site makes of a trust group.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trust {
    /// The user told the site to forget it.
    Distrusted,
    /// The registration or a step-up vouches for it.
    Trusted,
    /// Nothing vouches for it.
    Unknown,
}

impl Trust {
    /// Returns the name in stores.
    pub fn name(self) -> &'static str {
        match self {
            Self::Distrusted => "distrusted",
            Self::Trusted => "trusted",
            Self::Unknown => "unknown",
        }
    }

    /// Returns the trust of a name; an unknown name vouches for nothing.
    pub fn from_name(name: &str) -> Self {
        match name {
            "distrusted" => Self::Distrusted,
            "trusted" => Self::Trusted,
            _ => Self::Unknown,
        }
    }
}

/// A trust-group key of a passkey.
#[derive(Clone, Debug, PartialEq)]
pub struct CmtgRecord {
    /// The key, byte for byte.
    pub public_key: Vec<u8>,
    /// The key's short name.
    pub key_id: KeyId,
    /// When it was first seen.
    pub created_at: u64,
    /// When it was last seen.
    pub last_used: u64,
    /// What the site makes of it.
    pub trust: Trust,
    /// Why: `registration`, `step-up`, `forgotten`, or nothing yet.
    pub evidence: String,
}

impl CredentialRecord {
    /// Notes that a trust-group key was seen, and trusts it from now on if `trust` says so.
    ///
    /// A new key beyond [`MAX_CMTG_RECORDS`] takes the place of the one that is not trusted and was
    /// not seen longest. Where all are trusted, one that is not trusted is not kept. One that is
    /// takes the place of the one not seen longest: a step-up has just vouched for the new one, and
    /// the devices of the old one need no more than a step-up of their own.
    pub fn see_cmtg_key(&mut self, key: &CoseKey, trust: Trust, evidence: &str, now: u64) {
        let known = |record: &&mut CmtgRecord| record.public_key == key.as_bytes();
        if let Some(known) = self.cmtg.iter_mut().find(known) {
            known.last_used = now;
            if trust == Trust::Trusted && known.trust != Trust::Trusted {
                known.trust = trust;
                known.evidence = evidence.to_owned();
            }
            return;
        }
        if self.cmtg.len() >= MAX_CMTG_RECORDS {
            // Those that are not trusted go first.
            let order = |record: &CmtgRecord| (record.is_trusted(), record.last_used);
            let numbered = self.cmtg.iter().enumerate();
            let Some((index, oldest)) = numbered.min_by_key(|(_, record)| order(record)) else {
                return;
            };
            if oldest.is_trusted() && trust != Trust::Trusted {
                return;
            }
            self.cmtg.remove(index);
        }
        self.cmtg.push(CmtgRecord {
            public_key: key.as_bytes().to_vec(),
            key_id: key.key_id(),
            created_at: now,
            last_used: now,
            trust,
            evidence: evidence.to_owned(),
        });
    }

    /// Forgets the trust-group keys that `wanted` picks and returns how many those are. What is left
    /// of them is that they were there: see [`CredentialRecord::cmtg`].
    pub fn forget_cmtg_keys(&mut self, wanted: impl Fn(&CmtgRecord) -> bool) -> usize {
        let picked = |record: &&mut CmtgRecord| !record.is_forgotten() && wanted(record);
        let mut count = 0;
        for record in self.cmtg.iter_mut().filter(picked) {
            record.trust = Trust::Distrusted;
            record.evidence = "forgotten".to_owned();
            count += 1;
        }
        count
    }

    /// Returns the trust groups that the user may be shown: all that are not forgotten.
    pub fn trust_groups(&self) -> impl Iterator<Item = &CmtgRecord> {
        self.cmtg.iter().filter(|record| !record.is_forgotten())
    }
}

impl CmtgRecord {
    /// Returns whether a sign-in with this key needs no more than the passkey.
    pub fn is_trusted(&self) -> bool {
        self.trust == Trust::Trusted
    }

    /// Returns whether the user told the site to forget this key.
    pub fn is_forgotten(&self) -> bool {
        self.trust == Trust::Distrusted
    }
}
