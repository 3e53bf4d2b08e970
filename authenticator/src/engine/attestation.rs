//! What a new passkey says of its maker: nothing, or that whoever answers has its key
//! (WebAuthn §8.2, §8.7).

use handfast_proto::cbor::Map;
use handfast_proto::cose::SigningKey;
use handfast_proto::ids::ClientDataHash;

/// A format of attestation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Attestation {
    /// `none`.
    None,
    /// `packed`, signed by the passkey itself.
    PackedSelf,
}

impl Attestation {
    /// Returns the first that is known of those that a site would like; `none` if it says nothing, or
    /// nothing that is known here (CTAP 2.3 §6.1.2).
    pub(super) fn preferred(formats: &[String]) -> Self {
        let known = formats.iter().find_map(|format| match format.as_str() {
            "none" => Some(Self::None),
            "packed" => Some(Self::PackedSelf),
            _ => None,
        });
        known.unwrap_or(Self::None)
    }

    pub(super) fn format(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::PackedSelf => "packed",
        }
    }

    pub(super) fn statement(
        self,
        key: &SigningKey,
        auth_data: &[u8],
        client_data_hash: &ClientDataHash,
    ) -> Map {
        match self {
            Self::None => Map::new(),
            Self::PackedSelf => {
                let signed = [auth_data, &client_data_hash.0].concat();
                Map::new()
                    .with("alg", key.algorithm().id())
                    .with("sig", key.sign(&signed))
            }
        }
    }
}
