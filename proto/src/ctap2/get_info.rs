//! authenticatorGetInfo (CTAP 2.3 §6.4).

use super::ResponseError;
use super::read::Reply;
use crate::cbor::{Map, Value};
use crate::ids::Aaguid;

/// The version that a phone announces if a computer may introduce itself to it
/// (`docs/introductions.md`).
pub const INTRODUCTIONS: &str = "HANDFAST_ID_1";

/// What an authenticator says of itself; members that nobody here needs are passed over.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// Versions, such as `FIDO_2_1`.
    pub versions: Vec<String>,
    /// Extensions that it answers.
    pub extensions: Vec<String>,
    /// Its model.
    pub aaguid: Aaguid,
    /// Its options.
    pub options: Vec<(String, bool)>,
    /// The most bytes of a request that it takes, if it says so; else 1,024 over other transports than hybrid.
    pub max_msg_size: Option<u64>,
    /// PIN/UV auth protocols that it speaks, the one liked most first.
    pub pin_uv_protocols: Vec<u64>,
    /// Its transports, such as `hybrid`.
    pub transports: Vec<String>,
    /// The most bytes of extension `credBlob`, if it has that.
    pub max_cred_blob_length: Option<u64>,
    /// Formats of attestation that it can make, such as `packed`.
    pub attestation_formats: Vec<String>,
}

impl Response {
    /// Reads the CBOR, without a status byte.
    ///
    /// # Errors
    ///
    /// [`ResponseError`].
    pub fn parse(cbor: &[u8]) -> Result<Self, ResponseError> {
        let reply = Reply::parse(cbor)?;
        let options = reply.optional(0x04, |value| {
            let options = value.as_map()?.iter();
            options
                .map(|(name, on)| Some((name.as_text()?.to_owned(), on.as_bool()?)))
                .collect()
        })?;
        Ok(Self {
            versions: reply.required(0x01, texts)?,
            extensions: reply.optional(0x02, texts)?.unwrap_or_default(),
            aaguid: reply.required(0x03, |value| value.as_bytes()?.try_into().ok().map(Aaguid))?,
            options: options.unwrap_or_default(),
            max_msg_size: reply.optional(0x05, Value::as_u64)?,
            pin_uv_protocols: reply.optional(0x06, numbers)?.unwrap_or_default(),
            transports: reply.optional(0x09, texts)?.unwrap_or_default(),
            max_cred_blob_length: reply.optional(0x0f, Value::as_u64)?,
            attestation_formats: reply.optional(0x16, texts)?.unwrap_or_default(),
        })
    }

    /// Returns the CBOR, without a status byte.
    pub fn encode(&self) -> Vec<u8> {
        let list = |texts: &[String]| -> Option<Vec<Value>> {
            (!texts.is_empty()).then(|| texts.iter().map(|text| text.as_str().into()).collect())
        };
        let options = self.options.iter().fold(Map::new(), |options, (name, on)| {
            options.with(name.as_str(), *on)
        });
        let protocols: Vec<Value> = self.pin_uv_protocols.iter().map(|&n| n.into()).collect();
        Map::new()
            .with_some(0x01, list(&self.versions))
            .with_some(0x02, list(&self.extensions))
            .with(0x03, self.aaguid.0)
            .with_some(0x04, (!options.is_empty()).then_some(options))
            .with_some(0x05, self.max_msg_size)
            .with_some(0x06, (!protocols.is_empty()).then_some(protocols))
            .with_some(0x09, list(&self.transports))
            .with_some(0x0f, self.max_cred_blob_length)
            .with_some(0x16, list(&self.attestation_formats))
            .encode()
    }

    /// Returns whether it answers an extension.
    pub fn has_extension(&self, name: &str) -> bool {
        self.extensions.iter().any(|extension| extension == name)
    }

    /// Returns whether it announces a version.
    pub fn has_version(&self, name: &str) -> bool {
        self.versions.iter().any(|version| version == name)
    }

    /// Returns an option, if it says anything of it.
    pub fn option(&self, name: &str) -> Option<bool> {
        self.options
            .iter()
            .find(|(option, _)| option == name)
            .map(|&(_, on)| on)
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    value
        .as_array()?
        .iter()
        .map(|text| text.as_text().map(str::to_owned))
        .collect()
}

fn numbers(value: &Value) -> Option<Vec<u64>> {
    value.as_array()?.iter().map(Value::as_u64).collect()
}
