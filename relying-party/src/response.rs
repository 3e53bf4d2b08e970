//! Responses as clients send them: WebAuthn's JSON, read into bytes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use handfast_proto::ids::{CredentialId, UserHandle};
use serde_json::Value;
use thiserror::Error;

use crate::cmtg::Name;
use crate::compat::ClientOutputs;
use crate::rule::Rule;

/// A member that cannot be read, by its path.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[error("the response's {0} is missing or cannot be read")]
pub struct ResponseError(pub &'static str);

impl From<ResponseError> for Rule {
    fn from(_: ResponseError) -> Self {
        Self::Malformed
    }
}

/// What the client says the extension gave. Nobody signed this.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CmtgOutput {
    /// The COSE_Key.
    pub public_key: Vec<u8>,
    /// The signature.
    pub signature: Vec<u8>,
}

/// A registration response.
#[derive(Clone, Debug, PartialEq)]
pub struct RegistrationResponse {
    /// The new passkey.
    pub id: CredentialId,
    /// The client data, as received.
    pub client_data: Vec<u8>,
    /// The attestation object, as received.
    pub attestation_object: Vec<u8>,
    /// How the authenticator can be reached.
    pub transports: Vec<String>,
    /// The extension's client output, if there is a whole one.
    pub cmtg: Option<CmtgOutput>,
    /// The client outputs of the extensions that WebAuthn has no more.
    pub compat: ClientOutputs,
}

/// An authentication response.
#[derive(Clone, Debug, PartialEq)]
pub struct AuthenticationResponse {
    /// The passkey.
    pub id: CredentialId,
    /// The client data, as received.
    pub client_data: Vec<u8>,
    /// The authenticator data, as received.
    pub authenticator_data: Vec<u8>,
    /// The signature.
    pub signature: Vec<u8>,
    /// The account, if the authenticator named it.
    pub user_handle: Option<UserHandle>,
    /// Whether another device was used than the one with the browser.
    pub cross_platform: bool,
    /// The extension's client output, if there is a whole one.
    pub cmtg: Option<CmtgOutput>,
    /// The client outputs of the extensions that WebAuthn has no more.
    pub compat: ClientOutputs,
}

pub(crate) fn bytes(value: Option<&Value>, path: &'static str) -> Result<Vec<u8>, ResponseError> {
    let text = value.and_then(Value::as_str).ok_or(ResponseError(path))?;
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| ResponseError(path))
}

/// Reads the identifiers, which must agree.
fn id(value: &Value) -> Result<CredentialId, ResponseError> {
    let id = bytes(value.get("id"), "id")?;
    let raw = bytes(value.get("rawId"), "rawId")?;
    if value.get("type").and_then(Value::as_str) != Some("public-key") {
        return Err(ResponseError("type"));
    }
    if id != raw {
        return Err(ResponseError("rawId"));
    }
    CredentialId::from_bytes(&id).map_err(|_| ResponseError("id"))
}

/// Reads the output; one that lacks a member is none (`trust-group.md` §1.6).
pub(crate) fn cmtg_output(value: &Value, name: Name) -> Option<CmtgOutput> {
    let name = name.as_str();
    let output = value.get("clientExtensionResults")?.get(name)?;
    Some(CmtgOutput {
        public_key: bytes(output.get(name), name).ok()?,
        signature: bytes(output.get("signature"), "signature").ok()?,
    })
}

impl RegistrationResponse {
    /// Reads the JSON of a registration.
    ///
    /// # Errors
    ///
    /// [`ResponseError`] names the member.
    pub fn from_json(value: &Value) -> Result<Self, ResponseError> {
        let response = value.get("response").ok_or(ResponseError("response"))?;
        let transports = response.get("transports").and_then(Value::as_array);
        let transports = transports.into_iter().flatten().filter_map(Value::as_str);
        Ok(Self {
            id: id(value)?,
            client_data: bytes(response.get("clientDataJSON"), "response.clientDataJSON")?,
            attestation_object: bytes(
                response.get("attestationObject"),
                "response.attestationObject",
            )?,
            transports: transports.take(8).map(str::to_owned).collect(),
            cmtg: cmtg_output(value, Name::CmtgKey),
            compat: ClientOutputs::of(value),
        })
    }
}

impl AuthenticationResponse {
    /// Reads the JSON of an authentication.
    ///
    /// # Errors
    ///
    /// [`ResponseError`] names the member.
    pub fn from_json(value: &Value) -> Result<Self, ResponseError> {
        let response = value.get("response").ok_or(ResponseError("response"))?;
        let user_handle = match response.get("userHandle") {
            None | Some(Value::Null) => None,
            handle => {
                let handle = bytes(handle, "response.userHandle")?;
                let handle = UserHandle::from_bytes(&handle);
                Some(handle.map_err(|_| ResponseError("response.userHandle"))?)
            }
        };
        let attachment = value.get("authenticatorAttachment").and_then(Value::as_str);
        Ok(Self {
            id: id(value)?,
            client_data: bytes(response.get("clientDataJSON"), "response.clientDataJSON")?,
            authenticator_data: bytes(
                response.get("authenticatorData"),
                "response.authenticatorData",
            )?,
            signature: bytes(response.get("signature"), "response.signature")?,
            user_handle,
            cross_platform: attachment == Some("cross-platform"),
            cmtg: cmtg_output(value, Name::CmtgKey),
            compat: ClientOutputs::of(value),
        })
    }
}
