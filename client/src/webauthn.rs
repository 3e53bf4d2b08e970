//! WebAuthn's JSON, in and out, and the CTAP2 messages between (`passkeys-and-ctap2.md` §3).

mod options;
mod response;
#[cfg(test)]
mod tests;

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
    /// Serializes as WebAuthn §5.8.1.1 has it, because verifiers may compare bytes.
    fn new(kind: &str, challenge: &[u8], origin: &Origin) -> Self {
        let json = format!(
            r#"{{"type":{},"challenge":{},"origin":{},"crossOrigin":false}}"#,
            quoted(kind),
            quoted(&base64url(challenge)),
            quoted(origin.as_str()),
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

/// Writes a string of client data: only quotes, backslashes and control characters below a space are
/// escaped (WebAuthn §5.8.1.1, *CCDToString*).
fn quoted(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            '\0'..' ' => json.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => json.push(c),
        }
    }
    json.push('"');
    json
}

fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
