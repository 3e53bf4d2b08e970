//! What a relying party keeps of a passkey.

use handfast_proto::cose::{CoseKey, KeyId};
use handfast_proto::ids::{CredentialId, UserHandle};

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
    /// Its trust-group keys.
    pub cmtg: Vec<CmtgRecord>,
}

/// What the site makes of a trust group.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trust {
    /// The user said that it is not his.
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
    /// Why: `registration`, `step-up`, or nothing yet.
    pub evidence: String,
}

impl CredentialRecord {
    /// Notes that a trust-group key was seen. A new one beyond [`MAX_CMTG_RECORDS`] takes the place
    /// of the one that is not trusted and was not seen longest.
    pub fn see_cmtg_key(&mut self, key: &CoseKey, trust: Trust, evidence: &str, now: u64) {
        if let Some(known) = self
            .cmtg
            .iter_mut()
            .find(|k| k.public_key == key.as_bytes())
        {
            known.last_used = now;
            if trust == Trust::Trusted && known.trust != Trust::Trusted {
                known.trust = trust;
                known.evidence = evidence.to_owned();
            }
            return;
        }
        if self.cmtg.len() >= MAX_CMTG_RECORDS {
            let oldest = self
                .cmtg
                .iter()
                .enumerate()
                .min_by_key(|(_, record)| (record.trust == Trust::Trusted, record.last_used))
                .map(|(index, _)| index);
            if let Some(oldest) = oldest {
                self.cmtg.remove(oldest);
            }
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
}
