use handfast_proto::auth_data::{AuthDataError, AuthenticatorData};
use handfast_proto::cbor::{self, AUTH_DATA_DEPTH, Map, Value};
use handfast_proto::cose::CoseKey;
use handfast_proto::ctap2::{ResponseError, get_assertion, get_info, make_credential};
use handfast_proto::extension::cmtg_key::{self, CmtgKeyError};
use handfast_proto::ids::Aaguid;
use serde_json::{Value as Json, json};
use thiserror::Error;

use super::base64url;
use super::options::{Create, Get};

/// Why an authenticator's answer makes no credential.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum ResponseJsonError {
    /// A number of accounts to choose from, though one was chosen already.
    #[error("the phone's answer says both that an account was chosen and that there are several")]
    AccountsAfterChoice,
    /// The authenticator data.
    #[error("the phone's answer cannot be used: {0}")]
    AuthData(#[from] AuthDataError),
    /// The trust-group key.
    #[error("the phone's answer cannot be used: {0}")]
    CmtgKey(#[from] CmtgKeyError),
    /// The answer itself.
    #[error("the phone's answer cannot be used: {0}")]
    Ctap(#[from] ResponseError),
    /// A new passkey where one was to sign.
    #[error("the phone's answer brings a new passkey instead of signing with one")]
    NewCredential,
    /// The new passkey's key does not say its algorithm.
    #[error("the phone's answer does not say which algorithm the passkey has")]
    NoAlgorithm,
    /// It does not say which passkey.
    #[error("the phone's answer does not say which passkey it used")]
    NoCredential,
    /// It does not say whose passkey, and no list of passkeys tells.
    #[error("the phone's answer does not say which account it is for")]
    NoUser,
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
) -> Result<Json, ResponseJsonError> {
    let signed = auth_data.extensions.iter().flat_map(Map::iter);
    if signed
        .into_iter()
        .any(|(name, _)| asked.get(name).is_none())
    {
        return Err(ResponseJsonError::UnaskedExtension);
    }
    let mut outputs = json!({});
    // Unsigned outputs that nobody asked for are passed over.
    let output = match asked.text(cmtg_key::NAME) {
        Some(_) => cmtg_key::client_output(auth_data, unsigned)?,
        None => None,
    };
    if let Some(output) = output {
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
) -> Result<Json, ResponseJsonError> {
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
        outputs["credProps"] = json!({"rk": options.asks_resident_key(info)});
    }
    let attestation = attestation(options, response, attested.aaguid);
    let mut transports = info.transports.clone();
    transports.sort();
    transports.dedup();
    let mut inner = json!({
        "clientDataJSON": base64url(options.client_data.as_bytes()),
        "attestationObject": base64url(&attestation),
        "authenticatorData": base64url(auth_data.as_bytes()),
        "publicKeyAlgorithm": algorithm(&attested.public_key)?,
        "transports": transports,
    });
    // Left out for a key that cannot be converted, as WebAuthn has it.
    if let Ok(key) = CoseKey::parse(&attested.public_key) {
        inner["publicKey"] = base64url(&key.spki_der()).into();
    }
    let id = base64url(attested.credential_id.as_bytes());
    Ok(credential(&id, attachment, &inner, &outputs))
}

/// Returns the attestation object. A site that wants no statement gets none, but may keep what tells
/// nothing of the model: a signature of the passkey itself. The authenticator data stay as they are,
/// as signatures cover them (WebAuthn §5.1.3, *attestation*).
fn attestation(options: &Create, response: make_credential::Response, aaguid: Aaguid) -> Vec<u8> {
    let of_itself = aaguid == Aaguid([0; 16])
        && response.format == "packed"
        && response.statement.text("x5c").is_none();
    let (format, statement) = match options.attestation || of_itself {
        true => (response.format, response.statement),
        false => ("none".to_owned(), Map::new()),
    };
    Map::new()
        .with("fmt", format.as_str())
        .with("attStmt", statement)
        .with("authData", response.auth_data.as_slice())
        .encode()
}

/// Returns the COSE number of a key's algorithm, be it one of ours or not.
fn algorithm(cose_key: &[u8]) -> Result<i64, ResponseJsonError> {
    let key = cbor::decode_with_depth(cose_key, AUTH_DATA_DEPTH)
        .ok()
        .and_then(Value::into_map);
    key.and_then(|key| key.int(3)?.as_i64())
        .ok_or(ResponseJsonError::NoAlgorithm)
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
) -> Result<Json, ResponseJsonError> {
    let response = get_assertion::Response::parse(cbor)?;
    let auth_data = AuthenticatorData::parse(&response.auth_data)?;
    if auth_data.rp_id_hash != options.rp_id().hash() {
        return Err(ResponseJsonError::OtherSite);
    }
    if auth_data.attested.is_some() {
        return Err(ResponseJsonError::NewCredential);
    }
    if response.number_of_credentials.is_some() && response.user_selected == Some(true) {
        return Err(ResponseJsonError::AccountsAfterChoice);
    }
    if options.allow.is_empty() && response.user.is_none() {
        return Err(ResponseJsonError::NoUser);
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

fn credential(id: &str, attachment: &str, response: &Json, outputs: &Json) -> Json {
    json!({
        "id": id,
        "rawId": id,
        "type": "public-key",
        "authenticatorAttachment": attachment,
        "response": response,
        "clientExtensionResults": outputs,
    })
}
