//! WebAuthn's JSON, in and out, and the CTAP2 messages between (`passkeys-and-ctap2.md` §3).

mod options;
mod response;

pub use options::{Create, Get, OptionsError};
pub use response::{ResponseJsonError, created, signed};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use handfast_proto::ids::ClientDataHash;
use sha2::{Digest, Sha256};

use crate::origin::Origin;

/// Client data: which ceremony, for which challenge, for which origin.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientData {
    json: String,
}

impl ClientData {
    fn new(kind: &str, challenge: &[u8], origin: &Origin) -> Self {
        // An origin is ASCII without anything that JSON would escape, and so is base64url.
        let challenge = base64url(challenge);
        let json = format!(
            r#"{{"type":"{kind}","challenge":"{challenge}","origin":"{origin}","crossOrigin":false}}"#
        );
        Self { json }
    }

    /// Returns the JSON, byte for byte as it is hashed.
    pub fn as_bytes(&self) -> &[u8] {
        self.json.as_bytes()
    }

    /// Returns its hash.
    pub fn hash(&self) -> ClientDataHash {
        ClientDataHash(Sha256::digest(&self.json).into())
    }
}

fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
