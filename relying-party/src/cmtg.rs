//! The extension `cmtgKey` at a relying party: rules S1 to S8 and the outcomes of
//! `trust-group.md` §1.6.

use handfast_proto::auth_data::AuthenticatorData;
use handfast_proto::cbor::Value;
use handfast_proto::cose::{Algorithm, CoseError, CoseKey, SignatureError};
use handfast_proto::extension::{cmtg_key, relationship_public_key};
use handfast_proto::ids::ClientDataHash;
use thiserror::Error;

use crate::record::CmtgRecord;
use crate::response::CmtgOutput;

/// Under which name the key is asked for. It is the same key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Name {
    /// `cmtgKey`.
    CmtgKey,
    /// `relationshipPublicKey`, which is older.
    RelationshipPublicKey,
}

impl Name {
    /// Returns the extension's identifier, which is also the name of the key in the client's output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CmtgKey => cmtg_key::NAME,
            Self::RelationshipPublicKey => relationship_public_key::NAME,
        }
    }
}

/// Which text is followed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Mode {
    /// The literal steps of the W3C draft, which trust what the client says.
    DangerDraft,
    /// The rules S1 to S8.
    #[default]
    Strict,
}

/// Why a trust-group key is not valid.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum CmtgFault {
    /// S4: another algorithm than the passkey's.
    #[error("the trust-group key has another algorithm than the passkey")]
    Algorithm,
    /// S1: the client's output is not what was signed.
    #[error("the client's trust-group key is not the one in the authenticator data")]
    ClientDiffers,
    /// S3: not a strict COSE key.
    #[error("the trust-group key is not valid: {0}")]
    Key(CoseError),
    /// S2: a passkey that cannot be on several devices has no such key.
    #[error("the passkey cannot be on several devices")]
    NotBackupEligible,
    /// S1: the signed output is no byte string.
    #[error("the signed trust-group key is no byte string")]
    NotBytes,
    /// S1: one of the two places has a key and the other has not.
    #[error("the trust-group key is in only one of its two places")]
    OneSided,
    /// S5: the passkey's own key.
    #[error("the trust-group key is the passkey's own key")]
    PasskeyItself,
    /// The signature does not hold, or (S6) is not of its strict form.
    #[error("the trust-group key's signature does not hold: {0}")]
    Signature(SignatureError),
}

impl CmtgFault {
    /// Returns which rule was broken, `S1` to `S6`; `signature` where it is the draft's own, that
    /// the signature must hold.
    pub fn rule(self) -> &'static str {
        match self {
            Self::ClientDiffers | Self::NotBytes | Self::OneSided => "S1",
            Self::NotBackupEligible => "S2",
            Self::Key(_) => "S3",
            Self::Algorithm => "S4",
            Self::PasskeyItself => "S5",
            Self::Signature(SignatureError::Malformed) => "S6",
            Self::Signature(_) => "signature",
        }
    }
}

/// What came of the extension.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// It was asked for, and nothing came.
    Absent,
    /// The draft's word for a missing or incomplete output.
    Inconclusive,
    /// It came, and is not valid.
    Invalid(CmtgFault),
    /// A key that was seen before.
    Known(CoseKey),
    /// A key that was never seen with this passkey.
    NewGroup(CoseKey),
    /// It was not asked for, and nothing came.
    NotRequested,
    /// It was not asked for, and something came. Nothing is stored or checked.
    Unsolicited,
}

impl Outcome {
    /// Returns the name in answers.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Inconclusive => "inconclusive",
            Self::Invalid(_) => "invalid",
            Self::Known(_) => "known",
            Self::NewGroup(_) => "new-group",
            Self::NotRequested => "not-requested",
            Self::Unsolicited => "unsolicited",
        }
    }

    /// Returns the key that was presented and holds.
    pub fn key(&self) -> Option<&CoseKey> {
        match self {
            Self::Known(key) | Self::NewGroup(key) => Some(key),
            _ => None,
        }
    }
}

/// The ceremony that the extension was part of.
#[derive(Clone, Copy, Debug)]
pub struct Ceremony<'a> {
    /// Whether the key was asked for.
    pub requested: bool,
    /// The authenticator data.
    pub auth_data: &'a AuthenticatorData,
    /// The hash of the client data.
    pub hash: &'a ClientDataHash,
    /// The passkey's public key: of this registration, or of the record.
    pub passkey: &'a [u8],
    /// The passkey's algorithm.
    pub algorithm: Option<Algorithm>,
    /// The keys seen before with this passkey.
    pub records: &'a [CmtgRecord],
}

/// Checks the extension. The ceremony itself must have been found good before.
pub fn check(ceremony: Ceremony<'_>, client: Option<&CmtgOutput>, mode: Mode) -> Outcome {
    check_as(Name::CmtgKey, ceremony, client, mode)
}

/// Checks the extension under one of its names.
pub(crate) fn check_as(
    name: Name,
    ceremony: Ceremony<'_>,
    client: Option<&CmtgOutput>,
    mode: Mode,
) -> Outcome {
    let signed = ceremony
        .auth_data
        .extensions
        .as_ref()
        .and_then(|map| map.text(name.as_str()));
    if !ceremony.requested {
        return match (signed, client) {
            (None, None) => Outcome::NotRequested,
            _ => Outcome::Unsolicited,
        };
    }
    let checked = match mode {
        Mode::Strict => strict(&ceremony, signed, client),
        Mode::DangerDraft => draft(&ceremony, signed, client),
    };
    match checked {
        Ok(Some(key)) => {
            match ceremony
                .records
                .iter()
                .any(|known| known.public_key == key.as_bytes())
            {
                true => Outcome::Known(key),
                false => Outcome::NewGroup(key),
            }
        }
        Ok(None) if signed.is_some() || client.is_some() => Outcome::Inconclusive,
        Ok(None) => Outcome::Absent,
        Err(fault) => Outcome::Invalid(fault),
    }
}

fn strict(
    ceremony: &Ceremony<'_>,
    signed: Option<&Value>,
    client: Option<&CmtgOutput>,
) -> Result<Option<CoseKey>, CmtgFault> {
    let (signed, client) = match (signed, client) {
        (None, None) => return Ok(None),
        (Some(signed), Some(client)) => (signed, client),
        _ => return Err(CmtgFault::OneSided),
    };
    let signed = signed.as_bytes().ok_or(CmtgFault::NotBytes)?;
    if signed != client.public_key {
        return Err(CmtgFault::ClientDiffers);
    }
    if !ceremony.auth_data.flags.backup_eligible() {
        return Err(CmtgFault::NotBackupEligible);
    }
    let key = verified(ceremony, client)?;
    if key.as_bytes() == ceremony.passkey {
        return Err(CmtgFault::PasskeyItself);
    }
    Ok(Some(key))
}

fn draft(
    ceremony: &Ceremony<'_>,
    _signed: Option<&Value>,
    client: Option<&CmtgOutput>,
) -> Result<Option<CoseKey>, CmtgFault> {
    client.map(|client| verified(ceremony, client)).transpose()
}

fn verified(ceremony: &Ceremony<'_>, client: &CmtgOutput) -> Result<CoseKey, CmtgFault> {
    let key = CoseKey::parse(&client.public_key).map_err(CmtgFault::Key)?;
    if Some(key.algorithm()) != ceremony.algorithm {
        return Err(CmtgFault::Algorithm);
    }
    let message = [ceremony.auth_data.as_bytes(), &ceremony.hash.0].concat();
    key.verify(&message, &client.signature)
        .map_err(CmtgFault::Signature)?;
    Ok(key)
}
