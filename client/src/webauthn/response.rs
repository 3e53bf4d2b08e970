use handfast_proto::auth_data::{AuthDataError, AuthenticatorData};
use handfast_proto::cbor::Map;
use handfast_proto::cose::CoseKey;
use handfast_proto::ctap2::{ResponseError, get_assertion, get_info, make_credential};
use handfast_proto::extension::cmtg_key::{self, CmtgKeyError};
use serde_json::{Value, json};
use thiserror::Error;

use super::base64url;
use super::options::{Create, Get};

/// Why an authenticator's answer makes no credential.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum ResponseJsonError {
    /// The authenticator data.
    #[error("the phone's answer cannot be used: {0}")]
    AuthData(#[from] AuthDataError),
    /// The trust-group key.
    #[error("the phone's answer cannot be used: {0}")]
    CmtgKey(#[from] CmtgKeyError),
    /// The answer itself.
    #[error("the phone's answer cannot be used: {0}")]
    Ctap(#[from] ResponseError),
    /// It does not say which passkey.
    #[error("the phone's answer does not say which passkey it used")]
    NoCredential,
    /// Another site's authenticator data.
    #[error("the phone's answer is for another site")]
    OtherSite,
    /// Another passkey than those that were listed.
    #[error("the phone used a passkey that the site did not list")]
    NotListed,
    /// An extension that was not asked for.
    #[error("the phone's answer has an extension that was not asked for")]
    UnaskedExtension,
}

fn extensions(
    auth_data: &AuthenticatorData,
    unsigned: &Map,
    asked: &Map,
) -> Result<Value, ResponseJsonError> {
    let signed = auth_data.extensions.iter().flat_map(Map::iter);
    if signed
        .into_iter()
        .any(|(name, _)| asked.get(name).is_none())
    {
        return Err(ResponseJsonError::UnaskedExtension);
    }
    let mut outputs = json!({});
    if let Some(output) = cmtg_key::client_output(auth_data, unsigned)? {
        outputs[cmtg_key::NAME] = json!({
            "cmtgKey": base64url(&output.public_key),
            "signature": base64url(&output.signature),
        });
    }
    Ok(outputs)
}

/// Makes the JSON of a new passkey from the CBOR of the answer.
///
/// # Errors
///
/// [`ResponseJsonError`].
pub fn created(
    options: &Create,
    info: &get_info::Response,
    attachment: &str,
    cbor: &[u8],
) -> Result<Value, ResponseJsonError> {
    let response = make_credential::Response::parse(cbor)?;
    let auth_data = AuthenticatorData::parse(&response.auth_data)?;
    if auth_data.rp_id_hash != options.rp_id().hash() {
        return Err(ResponseJsonError::OtherSite);
    }
    let attested = auth_data
        .attested
        .as_ref()
        .ok_or(ResponseJsonError::NoCredential)?;
    let asked = options.request(info).extensions;
    let mut outputs = extensions(&auth_data, &response.unsigned_extensions, &asked)?;
    if options.cred_props {
        outputs["credProps"] = json!({"rk": options.resident_key()});
    }
    let attestation = Map::new()
        .with("fmt", response.format.as_str())
        .with("attStmt", response.statement)
        .with("authData", response.auth_data.as_slice())
        .encode();
    let mut transports = info.transports.clone();
    transports.sort();
    transports.dedup();
    let mut inner = json!({
        "clientDataJSON": base64url(options.client_data.as_bytes()),
        "attestationObject": base64url(&attestation),
        "authenticatorData": base64url(&response.auth_data),
        "transports": transports,
    });
    // Left out for a key that cannot be converted, as WebAuthn has it.
    if let Ok(key) = CoseKey::parse(&attested.public_key) {
        inner["publicKeyAlgorithm"] = key.algorithm().id().into();
        inner["publicKey"] = base64url(&key.spki_der()).into();
    }
    let id = base64url(attested.credential_id.as_bytes());
    Ok(credential(&id, attachment, &inner, &outputs))
}

/// Makes the JSON of a sign-in from the CBOR of the answer.
///
/// # Errors
///
/// [`ResponseJsonError`].
pub fn signed(
    options: &Get,
    info: &get_info::Response,
    attachment: &str,
    cbor: &[u8],
) -> Result<Value, ResponseJsonError> {
    let response = get_assertion::Response::parse(cbor)?;
    let auth_data = AuthenticatorData::parse(&response.auth_data)?;
    if auth_data.rp_id_hash != options.rp_id().hash() {
        return Err(ResponseJsonError::OtherSite);
    }
    let id = match (response.credential, options.allow.as_slice()) {
        (Some(id), []) => id,
        (Some(id), allow) if allow.contains(&id) => id,
        (Some(_), _) => return Err(ResponseJsonError::NotListed),
        (None, [only]) => only.clone(),
        (None, _) => return Err(ResponseJsonError::NoCredential),
    };
    let asked = options.request(info).extensions;
    let outputs = extensions(&auth_data, &response.unsigned_extensions, &asked)?;
    let mut inner = json!({
        "clientDataJSON": base64url(options.client_data.as_bytes()),
        "authenticatorData": base64url(&response.auth_data),
        "signature": base64url(&response.signature),
    });
    if let Some(user) = response.user {
        inner["userHandle"] = base64url(user.id.as_bytes()).into();
    }
    Ok(credential(
        &base64url(id.as_bytes()),
        attachment,
        &inner,
        &outputs,
    ))
}

fn credential(id: &str, attachment: &str, response: &Value, outputs: &Value) -> Value {
    json!({
        "id": id,
        "rawId": id,
        "type": "public-key",
        "authenticatorAttachment": attachment,
        "response": response,
        "clientExtensionResults": outputs,
    })
}
