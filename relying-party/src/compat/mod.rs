//! Extensions that WebAuthn has no more, for sites that still ask for them: `devicePubKey`,
//! `supplementalPubKeys`, and `relationshipPublicKey`, which is the older name of `cmtgKey`
//! (`trust-group.md` §1.9, §2, §3).
//!
//! A key that is known says that the device was seen before, and no more: that it cannot leave its
//! device is only as true as who vouches for it is believed. [`Proof::Certificates`] hands over the
//! certificates; which [`Roots`] are to be believed is the site's to say.

mod attested_key;
mod certificate;
mod device_pub_key;
mod roots;
mod supplemental_pub_keys;

use handfast_proto::auth_data::AuthenticatorData;
use handfast_proto::cose::CoseKey;
use handfast_proto::extension::{device_pub_key as device, supplemental_pub_keys as supplemental};
use handfast_proto::ids::ClientDataHash;
use serde_json::Value;

pub use attested_key::{
    AttestationFault, KeyError, KeyFault, KeyRecord, Outcome, Presented, Proof, Standing,
};
pub use certificate::CertificateFault;
pub use roots::{NotARoot, PathFault, Roots};

use crate::cmtg;
use crate::response::{CmtgOutput, bytes, cmtg_output};

/// Most keys of each extension that are kept of one passkey.
pub const MAX_KEY_RECORDS: usize = 64;

/// Which of the extensions were asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Requested {
    /// `devicePubKey`.
    pub device_pub_key: bool,
    /// `relationshipPublicKey`.
    pub relationship_public_key: bool,
    /// `supplementalPubKeys`.
    pub supplemental_pub_keys: bool,
}

/// What the client says that the extensions gave. Nobody signed this.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClientOutputs {
    /// The device key's signature, if there is one.
    pub device_pub_key: Option<Vec<u8>>,
    /// The trust-group key under its older name, if the output is a whole one.
    pub relationship_public_key: Option<CmtgOutput>,
    /// The signatures of the supplemental keys, if there is a list of such.
    pub supplemental_pub_keys: Option<Vec<Vec<u8>>>,
}

impl ClientOutputs {
    /// Reads them out of a response's JSON. An output that lacks a member is none.
    pub(crate) fn of(response: &Value) -> Self {
        let output = |name| response.get("clientExtensionResults")?.get(name);
        let signatures = |output: &Value| {
            let list = output.get("signatures")?.as_array()?.iter();
            list.map(|one| bytes(Some(one), "signatures").ok())
                .collect()
        };
        Self {
            device_pub_key: output(device::NAME)
                .and_then(|output| bytes(output.get("signature"), "signature").ok()),
            relationship_public_key: cmtg_output(response, cmtg::Name::RelationshipPublicKey),
            supplemental_pub_keys: output(supplemental::NAME).and_then(signatures),
        }
    }
}

/// What a site keeps of the keys of one passkey.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeyRecords {
    /// Those of `devicePubKey`.
    pub device: Vec<KeyRecord<device::Scope>>,
    /// Those of `supplementalPubKeys`.
    pub supplemental: Vec<KeyRecord<supplemental::Scope>>,
}

impl KeyRecords {
    /// Keeps the keys that are new. To be called when the whole ceremony has succeeded, with all that
    /// the site wants of it. Beyond [`MAX_KEY_RECORDS`] the oldest gives way.
    pub fn learn(&mut self, outcomes: &Outcomes) {
        if let Outcome::Presented(standing) = &outcomes.device_pub_key {
            learn(&mut self.device, standing);
        }
        if let Outcome::Presented(standings) = &outcomes.supplemental_pub_keys {
            for standing in standings {
                learn(&mut self.supplemental, standing);
            }
        }
    }
}

fn learn<S: Clone>(records: &mut Vec<KeyRecord<S>>, standing: &Standing<S>) {
    if let Standing::New(presented) = standing {
        if records.len() >= MAX_KEY_RECORDS {
            records.remove(0);
        }
        records.push(presented.record.clone());
    }
}

/// What came of the extensions.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcomes {
    /// `devicePubKey`.
    pub device_pub_key: Outcome<Standing<device::Scope>>,
    /// `relationshipPublicKey`. A key is the trust group's, and its records are those of `cmtgKey`.
    pub relationship_public_key: cmtg::Outcome,
    /// `supplementalPubKeys`: where each key stands, in the order of their scopes.
    pub supplemental_pub_keys: Outcome<Vec<Standing<supplemental::Scope>>>,
}

impl Outcomes {
    /// Returns whether the ceremony should be rejected as a whole: an output is not of its form, or a
    /// signature does not hold. That there are other signatures than keys must reject it
    /// (`trust-group.md` §3); for the rest a site may decide otherwise.
    pub fn reject(&self) -> bool {
        matches!(self.device_pub_key, Outcome::Invalid(_))
            || matches!(self.relationship_public_key, cmtg::Outcome::Invalid(_))
            || matches!(self.supplemental_pub_keys, Outcome::Invalid(_))
    }
}

/// A ceremony that was found good, as the extensions look at it.
pub(crate) struct Ceremony<'a> {
    pub(crate) requested: Requested,
    pub(crate) auth_data: &'a AuthenticatorData,
    pub(crate) hash: &'a ClientDataHash,
    /// The passkey's public key: of this registration, or of the record.
    pub(crate) passkey: &'a CoseKey,
    /// The keys seen before; nothing at a registration.
    pub(crate) records: Option<&'a KeyRecords>,
    /// The trust-group keys seen before.
    pub(crate) cmtg: &'a [crate::record::CmtgRecord],
}

impl Ceremony<'_> {
    /// Checks the extensions.
    pub(crate) fn check(&self, client: &ClientOutputs, mode: cmtg::Mode) -> Outcomes {
        let older = cmtg::Ceremony {
            requested: self.requested.relationship_public_key,
            auth_data: self.auth_data,
            hash: self.hash,
            passkey: self.passkey.as_bytes(),
            algorithm: Some(self.passkey.algorithm()),
            records: self.cmtg,
        };
        Outcomes {
            device_pub_key: device_pub_key::check(self, client.device_pub_key.as_deref()),
            relationship_public_key: cmtg::check_as(
                cmtg::Name::RelationshipPublicKey,
                older,
                client.relationship_public_key.as_ref(),
                mode,
            ),
            supplemental_pub_keys: supplemental_pub_keys::check(
                self,
                client.supplemental_pub_keys.as_deref(),
            ),
        }
    }
}
