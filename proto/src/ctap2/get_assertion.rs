//! authenticatorGetAssertion (CTAP 2.3 §6.2).

use super::command::GET_ASSERTION;
use super::read::{
    Members, Reply, descriptor, descriptors, options, parse_rp_id, typed, unless_empty, user_entity,
};
use super::{ResponseError, Status, UserEntity};
use crate::cbor::{Map, Value};
use crate::ids::{ClientDataHash, CredentialId, RpId};

/// A request to sign in.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The relying party.
    pub rp_id: RpId,
    /// SHA-256 of the client data JSON.
    pub client_data_hash: ClientDataHash,
    /// Credentials one of which must sign; none means any discoverable one.
    pub allow: Vec<CredentialId>,
    /// Whether an allow list was there at all, perhaps with nothing that can be read.
    pub has_allow_list: bool,
    /// Extension inputs.
    pub extensions: Map,
    /// Option `up`.
    pub user_presence: Option<bool>,
    /// Option `uv`.
    pub user_verification: Option<bool>,
    /// A PIN token's proof, which no phone here asks for.
    pub pin_uv_auth_param: Option<Vec<u8>>,
    /// The number of the PIN/UV auth protocol of that proof.
    pub pin_uv_auth_protocol: Option<u64>,
}

impl Request {
    /// Reads the CBOR after the command byte. An empty allow list counts as none.
    ///
    /// # Errors
    ///
    /// The status to answer with.
    pub fn parse(cbor: &[u8]) -> Result<Self, Status> {
        let members = Members::of_request(cbor, 0x04)?;
        // Step 4: it is for new credentials alone.
        if members.option(0x05, "rk")?.is_some() {
            return Err(Status::UNSUPPORTED_OPTION);
        }
        let rp_id = typed(members.required(0x01)?.as_text())?;
        let listed = members.optional(0x03, |value| value.as_array().map(<[Value]>::len))?;
        Ok(Self {
            rp_id: parse_rp_id(rp_id)?,
            client_data_hash: members.client_data_hash(0x02)?,
            allow: members.credentials(0x03)?,
            has_allow_list: listed.is_some_and(|length| length > 0),
            extensions: members.extensions(0x04)?,
            user_presence: members.option(0x05, "up")?,
            user_verification: members.option(0x05, "uv")?,
            pin_uv_auth_param: members
                .optional(0x06, |value| value.as_bytes().map(<[u8]>::to_vec))?,
            pin_uv_auth_protocol: members.optional(0x07, Value::as_u64)?,
        })
    }

    /// Returns command byte and CBOR.
    pub fn encode(&self) -> Vec<u8> {
        let options = options(&[("up", self.user_presence), ("uv", self.user_verification)]);
        let map = Map::new()
            .with(0x01, self.rp_id.as_str())
            .with(0x02, self.client_data_hash.0)
            .with_some(0x03, descriptors(&self.allow))
            .with_some(0x04, unless_empty(&self.extensions))
            .with_some(0x05, options)
            .with_some(0x06, self.pin_uv_auth_param.clone())
            .with_some(0x07, self.pin_uv_auth_protocol);
        [&[GET_ASSERTION], map.encode().as_slice()].concat()
    }
}

/// A signature of a passkey.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// The passkey; may be absent if the request listed only one.
    pub credential: Option<CredentialId>,
    /// Authenticator data, as signed.
    pub auth_data: Vec<u8>,
    /// The signature over authenticator data and client data hash.
    pub signature: Vec<u8>,
    /// The account.
    pub user: Option<UserEntity>,
    /// How many accounts fit, if the client is to choose.
    pub number_of_credentials: Option<u64>,
    /// Whether a person chose the account on the phone.
    pub user_selected: Option<bool>,
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
        let credential = reply.optional(0x01, |value| {
            let id = value.as_map()?.text("id")?.as_bytes()?;
            CredentialId::from_bytes(id).ok()
        })?;
        Ok(Self {
            credential,
            auth_data: reply.required(0x02, Value::as_bytes)?.to_vec(),
            signature: reply.required(0x03, Value::as_bytes)?.to_vec(),
            user: reply.optional(0x04, |value| user_entity(value).ok())?,
            number_of_credentials: reply.optional(0x05, Value::as_u64)?,
            user_selected: reply.optional(0x06, Value::as_bool)?,
            unsigned_extensions: reply
                .optional(0x08, Value::as_map)?
                .cloned()
                .unwrap_or_default(),
        })
    }

    /// Returns the CBOR after the status byte.
    pub fn encode(&self) -> Vec<u8> {
        Map::new()
            .with_some(0x01, self.credential.as_ref().map(descriptor))
            .with(0x02, self.auth_data.as_slice())
            .with(0x03, self.signature.as_slice())
            .with_some(0x04, self.user.as_ref().map(UserEntity::to_map))
            .with_some(0x05, self.number_of_credentials)
            .with_some(0x06, self.user_selected)
            .with_some(0x08, unless_empty(&self.unsigned_extensions))
            .encode()
    }
}
