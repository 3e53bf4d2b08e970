//! authenticatorMakeCredential (CTAP 2.3 §6.1).

use super::command::MAKE_CREDENTIAL;
use super::read::{
    Members, Reply, descriptors, member, options, rp_entity, typed, unless_empty, user_entity,
};
use super::{ResponseError, RpEntity, Status, UserEntity};
use crate::cbor::{Map, Value};
use crate::ids::{ClientDataHash, CredentialId};

/// A request for a new passkey.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// SHA-256 of the client data JSON.
    pub client_data_hash: ClientDataHash,
    /// The relying party.
    pub rp: RpEntity,
    /// The account.
    pub user: UserEntity,
    /// COSE algorithms, the one wanted most first; entries of other types are left out.
    pub algorithms: Vec<i64>,
    /// Credentials one of which must not be here already.
    pub exclude: Vec<CredentialId>,
    /// Extension inputs.
    pub extensions: Map,
    /// Option `rk`.
    pub resident_key: Option<bool>,
    /// Option `uv`.
    pub user_verification: Option<bool>,
    /// Option `up`.
    pub user_presence: Option<bool>,
    /// Enterprise attestation, 1 or 2.
    pub enterprise_attestation: Option<u64>,
    /// Attestation formats, the one wanted most first.
    pub attestation_formats: Vec<String>,
    /// A PIN token's proof, which no phone here asks for.
    pub pin_uv_auth_param: Option<Vec<u8>>,
    /// The number of the PIN/UV auth protocol of that proof.
    pub pin_uv_auth_protocol: Option<u64>,
}

impl Request {
    /// Reads the CBOR after the command byte.
    ///
    /// # Errors
    ///
    /// The status to answer with.
    pub fn parse(cbor: &[u8]) -> Result<Self, Status> {
        let members = Members::of_request(cbor, 0x06)?;
        let formats = members.optional(0x0b, |value| {
            let formats = value.as_array()?.iter();
            formats
                .map(|format| format.as_text().map(str::to_owned))
                .collect()
        })?;
        Ok(Self {
            client_data_hash: members.client_data_hash(0x01)?,
            rp: rp_entity(members.required(0x02)?)?,
            user: user_entity(members.required(0x03)?)?,
            algorithms: algorithms(members.required(0x04)?)?,
            exclude: members.credentials(0x05)?,
            extensions: members.extensions(0x06)?,
            resident_key: members.option(0x07, "rk")?,
            user_verification: members.option(0x07, "uv")?,
            user_presence: members.option(0x07, "up")?,
            enterprise_attestation: members.optional(0x0a, Value::as_u64)?,
            attestation_formats: formats.unwrap_or_default(),
            pin_uv_auth_param: members
                .optional(0x08, |value| value.as_bytes().map(<[u8]>::to_vec))?,
            pin_uv_auth_protocol: members.optional(0x09, Value::as_u64)?,
        })
    }

    /// Returns command byte and CBOR.
    pub fn encode(&self) -> Vec<u8> {
        let rp = Map::new()
            .with("id", self.rp.id.as_str())
            .with_some("name", self.rp.name.as_deref());
        let algorithms: Vec<Value> = self
            .algorithms
            .iter()
            .map(|&id| Map::new().with("alg", id).with("type", "public-key").into())
            .collect();
        let formats: Vec<Value> = self
            .attestation_formats
            .iter()
            .map(|format| format.as_str().into())
            .collect();
        let options = options(&[
            ("rk", self.resident_key),
            ("up", self.user_presence),
            ("uv", self.user_verification),
        ]);
        let map = Map::new()
            .with(0x01, self.client_data_hash.0)
            .with(0x02, rp)
            .with(0x03, self.user.to_map())
            .with(0x04, algorithms)
            .with_some(0x05, descriptors(&self.exclude))
            .with_some(0x06, unless_empty(&self.extensions))
            .with_some(0x07, options)
            .with_some(0x08, self.pin_uv_auth_param.clone())
            .with_some(0x09, self.pin_uv_auth_protocol)
            .with_some(0x0a, self.enterprise_attestation)
            .with_some(0x0b, (!formats.is_empty()).then_some(formats));
        [&[MAKE_CREDENTIAL], map.encode().as_slice()].concat()
    }
}

fn algorithms(value: &Value) -> Result<Vec<i64>, Status> {
    let mut algorithms = Vec::new();
    for item in typed(value.as_array())? {
        let parameters = typed(item.as_map())?;
        let kind = typed(member(parameters, "type")?.as_text())?;
        let id = member(parameters, "alg")?;
        match id {
            Value::Unsigned(_) | Value::Negative(_) if kind == "public-key" => {
                // Larger numbers than fit are of no algorithm that is known.
                algorithms.extend(id.as_i64());
            }
            _ if kind == "public-key" => return Err(Status::CBOR_UNEXPECTED_TYPE),
            _ => {}
        }
    }
    Ok(algorithms)
}

/// A new passkey's public side.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// The attestation statement's format.
    pub format: String,
    /// Authenticator data, as made.
    pub auth_data: Vec<u8>,
    /// The attestation statement.
    pub statement: Map,
    /// Extension outputs that are not signed; an empty map is left out.
    pub unsigned_extensions: Map,
}

impl Response {
    /// Reads the CBOR after the status byte.
    ///
    /// # Errors
    ///
    /// [`ResponseError`].
    pub fn parse(cbor: &[u8]) -> Result<Self, ResponseError> {
        let reply = Reply::parse(cbor)?;
        Ok(Self {
            format: reply.required(0x01, Value::as_text)?.to_owned(),
            auth_data: reply.required(0x02, Value::as_bytes)?.to_vec(),
            // Phones leave out an empty statement.
            statement: reply
                .optional(0x03, Value::as_map)?
                .cloned()
                .unwrap_or_default(),
            unsigned_extensions: reply
                .optional(0x06, Value::as_map)?
                .cloned()
                .unwrap_or_default(),
        })
    }

    /// Returns the CBOR after the status byte.
    pub fn encode(&self) -> Vec<u8> {
        Map::new()
            .with(0x01, self.format.as_str())
            .with(0x02, self.auth_data.as_slice())
            .with(0x03, self.statement.clone())
            .with_some(0x06, unless_empty(&self.unsigned_extensions))
            .encode()
    }
}
