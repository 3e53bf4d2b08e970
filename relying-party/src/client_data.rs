//! What a ceremony must be: challenge, origin, site.

use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use handfast_proto::ids::{ClientDataHash, RpId};
use rand_core::CryptoRngCore;
use serde_json::Value;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::compat::Requested;
use crate::rule::Rule;

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
    /// Which of the extensions were asked for that WebAuthn has no more.
    pub compat: Requested,
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
