//! What a ceremony must be: challenge, origin, site, and the rule that a response broke.

use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use handfast_proto::ids::{ClientDataHash, RpId};
use rand_core::CryptoRngCore;
use serde_json::Value;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error;

/// A challenge: random bytes of the server, for one attempt.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct Challenge(Vec<u8>);

impl Challenge {
    /// Makes a new one of 32 bytes.
    pub fn generate(rng: &mut dyn CryptoRngCore) -> Self {
        let mut bytes = vec![0; 32];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// Takes the bytes of a challenge that was made elsewhere; at least 16.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        (bytes.len() >= 16).then(|| Self(bytes.to_vec()))
    }

    /// Returns it as options and client data have it.
    pub fn to_base64url(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.0)
    }
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Challenge")
    }
}

/// What a response must be an answer to.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The challenge that was issued for this attempt.
    pub challenge: Challenge,
    /// The site.
    pub rp_id: RpId,
    /// The origins that may ask, compared as text.
    pub origins: Vec<String>,
    /// Whether the person must have been verified.
    pub user_verification: bool,
    /// Whether the trust-group key was asked for.
    pub cmtg_key: bool,
}

/// Why a ceremony fails: the rule that was broken (`passkeys-and-ctap2.md` §4).
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum Rule {
    /// The algorithm is not one of those that were offered.
    #[error("the passkey's algorithm was not offered")]
    AlgorithmNotOffered,
    /// The attestation statement does not hold.
    #[error("the attestation does not hold")]
    AttestationInvalid,
    /// The attestation's format is not accepted here.
    #[error("the attestation's format is not accepted")]
    AttestationUnsupported,
    /// The authenticator data cannot be read.
    #[error("the authenticator data cannot be read")]
    AuthenticatorData,
    /// The passkey said it can be on several devices, and now that it cannot, or the reverse.
    #[error("the passkey changed whether it can be backed up")]
    BackupEligibilityChanged,
    /// Backed up, but not able to be.
    #[error("the passkey is backed up without being able to be")]
    BackupStateImpossible,
    /// Another challenge than the one issued.
    #[error("the challenge is not the one that was issued")]
    Challenge,
    /// The client data cannot be read.
    #[error("the client data cannot be read")]
    ClientData,
    /// Another kind of ceremony.
    #[error("the response is of another kind of ceremony")]
    ClientDataType,
    /// The page was embedded in another site.
    #[error("the request came from a page embedded in another site")]
    CrossOrigin,
    /// The credential is registered already.
    #[error("this passkey is registered already")]
    CredentialAlreadyRegistered,
    /// The credential is not one of those that were listed.
    #[error("this passkey was not asked for")]
    CredentialNotAllowed,
    /// The credential is not known.
    #[error("this passkey is not known here")]
    CredentialUnknown,
    /// The identifiers of the response do not agree.
    #[error("the response names two different passkeys")]
    CredentialIdMismatch,
    /// Another origin.
    #[error("the request came from another origin")]
    Origin,
    /// The response is not of the form that it must have.
    #[error("the response cannot be read")]
    Malformed,
    /// The public key cannot be used.
    #[error("the passkey's public key is not valid")]
    PublicKey,
    /// Another site.
    #[error("the response is for another site")]
    RpIdHash,
    /// The signature does not hold.
    #[error("the signature does not hold")]
    Signature,
    /// The signature counter did not grow.
    #[error("the signature counter went back")]
    SignatureCounter,
    /// The account of the response is not the passkey's.
    #[error("the passkey belongs to another account")]
    UserHandle,
    /// Nobody was present.
    #[error("nobody was present")]
    UserPresence,
    /// Nobody was verified.
    #[error("the user was not verified")]
    UserVerification,
    /// The trust-group key is not valid.
    #[error("the trust-group key is not valid")]
    TrustGroupKey,
}

impl Rule {
    /// Returns the rule's name, as logs and answers have it.
    pub fn name(self) -> String {
        format!("{self:?}")
    }
}

/// Checks client data and returns their hash.
pub(crate) fn check(bytes: &[u8], kind: &str, expected: &Expected) -> Result<ClientDataHash, Rule> {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let data: Value = serde_json::from_slice(text).map_err(|_| Rule::ClientData)?;
    let member = |name: &str| data.get(name).and_then(Value::as_str);
    if member("type").ok_or(Rule::ClientData)? != kind {
        return Err(Rule::ClientDataType);
    }
    let challenge = member("challenge").ok_or(Rule::ClientData)?;
    let issued = expected.challenge.to_base64url();
    if !bool::from(challenge.as_bytes().ct_eq(issued.as_bytes())) {
        return Err(Rule::Challenge);
    }
    let origin = member("origin").ok_or(Rule::ClientData)?;
    if !expected.origins.iter().any(|allowed| allowed == origin) {
        return Err(Rule::Origin);
    }
    match (data.get("crossOrigin"), data.get("topOrigin")) {
        (None | Some(Value::Bool(false)), None) => {}
        (Some(Value::Bool(_)), _) | (_, Some(_)) => return Err(Rule::CrossOrigin),
        _ => return Err(Rule::ClientData),
    }
    Ok(ClientDataHash(Sha256::digest(bytes).into()))
}
