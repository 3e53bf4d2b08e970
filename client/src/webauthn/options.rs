use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use handfast_proto::cbor::Map;
use handfast_proto::ctap2::{RpEntity, UserEntity, get_assertion, get_info, make_credential};
use handfast_proto::extension::cmtg_key;
use handfast_proto::ids::{CredentialId, RpId, UserHandle};
use serde_json::Value;
use thiserror::Error;

use super::ClientData;
use crate::origin::{Origin, OriginError};

/// Why options cannot be used.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum OptionsError {
    /// The text is no JSON.
    #[error("the options are no JSON: {0}")]
    Json(String),
    /// A member must be there.
    #[error("the options lack {0}")]
    Missing(&'static str),
    /// The RP ID does not fit the origin.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// A member has the wrong type or an impossible value.
    #[error("the options' {0} is not as it must be: {1}")]
    Wrong(&'static str, &'static str),
}

const BASE64URL: &str = "it must be base64url without padding";
const TEXT: &str = "it must be a text";
const NO_PUBLIC_KEY: &str = "none of its entries has the type public-key";

/// Options for a new passkey.
#[derive(Clone, Debug)]
pub struct Create {
    /// What the authenticator signs over.
    pub client_data: ClientData,
    rp: RpEntity,
    user: UserEntity,
    algorithms: Vec<i64>,
    exclude: Vec<CredentialId>,
    verification: Verification,
    resident_key: ResidentKey,
    cmtg_key: bool,
    /// Whether the site gets the authenticator's own attestation statement.
    pub(super) attestation: bool,
    /// Whether the site wants to know what kind of passkey it got.
    pub(super) cred_props: bool,
}

/// Options for signing in.
#[derive(Clone, Debug)]
pub struct Get {
    /// What the authenticator signs over.
    pub client_data: ClientData,
    rp_id: RpId,
    pub(super) allow: Vec<CredentialId>,
    verification: Verification,
    cmtg_key: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Verification {
    Discouraged,
    Preferred,
    Required,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum ResidentKey {
    Discouraged,
    Preferred,
    Required,
}

fn parse(text: &str) -> Result<Value, OptionsError> {
    let value: Value =
        serde_json::from_str(text).map_err(|error| OptionsError::Json(error.to_string()))?;
    // Some programs hand over the whole argument of navigator.credentials.
    let value = match value.get("publicKey") {
        Some(inner) => inner.clone(),
        None => value,
    };
    match value.is_object() {
        true => Ok(value),
        false => Err(OptionsError::Json("an object is needed".to_owned())),
    }
}

fn optional<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    value.get(name).filter(|value| !value.is_null())
}

fn text<'v>(
    value: &'v Value,
    name: &str,
    path: &'static str,
) -> Result<Option<&'v str>, OptionsError> {
    optional(value, name)
        .map(|value| value.as_str().ok_or(OptionsError::Wrong(path, TEXT)))
        .transpose()
}

fn bytes(value: &Value, name: &str, path: &'static str) -> Result<Vec<u8>, OptionsError> {
    let text = text(value, name, path)?.ok_or(OptionsError::Missing(path))?;
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| OptionsError::Wrong(path, BASE64URL))
}

fn challenge(value: &Value) -> Result<Vec<u8>, OptionsError> {
    let challenge = bytes(value, "challenge", "challenge")?;
    if challenge.len() < 16 {
        return Err(OptionsError::Wrong(
            "challenge",
            "it must have at least 16 bytes",
        ));
    }
    Ok(challenge)
}

fn descriptors(value: &Value, name: &'static str) -> Result<Vec<CredentialId>, OptionsError> {
    let Some(list) = optional(value, name) else {
        return Ok(Vec::new());
    };
    let list = list
        .as_array()
        .ok_or(OptionsError::Wrong(name, "it must be a list"))?;
    let mut found = Vec::new();
    for item in list {
        let kind =
            text(item, "type", name)?.ok_or(OptionsError::Wrong(name, "a type is missing"))?;
        let id = bytes(item, "id", name)?;
        if kind == "public-key" {
            let id = CredentialId::from_bytes(&id);
            found.push(id.map_err(|_| OptionsError::Wrong(name, "an id has 1 to 1023 bytes"))?);
        }
    }
    Ok(found)
}

/// Reads the passkeys that may sign. A list of which nothing is left is not the same as no list, which
/// allows every passkey (WebAuthn §5.1.4.2).
fn allowed(value: &Value) -> Result<Vec<CredentialId>, OptionsError> {
    const PATH: &str = "allowCredentials";
    let found = descriptors(value, PATH)?;
    let listed = optional(value, PATH).and_then(Value::as_array);
    if found.is_empty() && listed.is_some_and(|list| !list.is_empty()) {
        return Err(OptionsError::Wrong(PATH, NO_PUBLIC_KEY));
    }
    Ok(found)
}

/// Reads how much a discoverable passkey is wanted; what nobody knows counts as absent.
fn resident_key(selection: &Value) -> Result<ResidentKey, OptionsError> {
    const PATH: &str = "authenticatorSelection.residentKey";
    Ok(match text(selection, "residentKey", PATH)? {
        Some("required") => ResidentKey::Required,
        Some("preferred") => ResidentKey::Preferred,
        Some("discouraged") => ResidentKey::Discouraged,
        _ => match optional(selection, "requireResidentKey").and_then(Value::as_bool) {
            Some(true) => ResidentKey::Required,
            _ => ResidentKey::Discouraged,
        },
    })
}

/// Returns whether the site gets the attestation statement as it is: `indirect` allows that too.
fn attestation(value: &Value) -> Result<bool, OptionsError> {
    let conveyance = text(value, "attestation", "attestation")?;
    // What nobody knows counts as absent, which is "none".
    Ok(matches!(
        conveyance,
        Some("indirect" | "direct" | "enterprise")
    ))
}

fn verification(value: &Value, path: &'static str) -> Result<Verification, OptionsError> {
    Ok(match text(value, "userVerification", path)? {
        Some("required") => Verification::Required,
        Some("discouraged") => Verification::Discouraged,
        // What nobody knows counts as absent.
        _ => Verification::Preferred,
    })
}

fn extension(value: &Value, name: &str) -> bool {
    let extensions = optional(value, "extensions");
    extensions
        .and_then(|extensions| extensions.get(name))
        .and_then(Value::as_bool)
        == Some(true)
}

fn extensions(cmtg_key: bool, phone: &get_info::Response) -> Map {
    match cmtg_key && phone.has_extension(cmtg_key::NAME) {
        true => Map::new().with(cmtg_key::NAME, true),
        false => Map::new(),
    }
}

impl Create {
    /// Reads creation options (WebAuthn L3, `PublicKeyCredentialCreationOptionsJSON`), as strictly as
    /// browsers do: `rp.name` and `user.displayName` must be there, though they may be empty, and
    /// base64url has no padding. A member that is null counts as absent.
    ///
    /// Not looked at are `hints`, `timeout` and `authenticatorAttachment`, as whoever calls has chosen
    /// the authenticator and how long to wait; `attestationFormats`; extensions other than
    /// `cmtgKey` and `credProps`; and whatever nobody knows.
    ///
    /// # Errors
    ///
    /// [`OptionsError`] names the member.
    pub fn parse(json: &str, origin: &Origin) -> Result<Self, OptionsError> {
        let value = parse(json)?;
        let rp = optional(&value, "rp").ok_or(OptionsError::Missing("rp"))?;
        let rp_name = text(rp, "name", "rp.name")?.ok_or(OptionsError::Missing("rp.name"))?;
        let user = optional(&value, "user").ok_or(OptionsError::Missing("user"))?;
        let id = UserHandle::from_bytes(&bytes(user, "id", "user.id")?)
            .map_err(|_| OptionsError::Wrong("user.id", "it has 1 to 64 bytes"))?;
        let name = text(user, "name", "user.name")?.ok_or(OptionsError::Missing("user.name"))?;
        let display = text(user, "displayName", "user.displayName")?;
        let display = display.ok_or(OptionsError::Missing("user.displayName"))?;
        let selection = optional(&value, "authenticatorSelection").unwrap_or(&Value::Null);
        Ok(Self {
            client_data: ClientData::new("webauthn.create", &challenge(&value)?, origin),
            rp: RpEntity {
                id: origin.rp_id(text(rp, "id", "rp.id")?)?,
                name: Some(rp_name.to_owned()),
            },
            user: UserEntity {
                id,
                name: Some(name.to_owned()),
                display_name: Some(display.to_owned()),
            },
            algorithms: algorithms(&value)?,
            exclude: descriptors(&value, "excludeCredentials")?,
            verification: verification(selection, "authenticatorSelection.userVerification")?,
            resident_key: resident_key(selection)?,
            cmtg_key: extension(&value, cmtg_key::NAME),
            attestation: attestation(&value)?,
            cred_props: extension(&value, "credProps"),
        })
    }

    /// Makes the request for an authenticator that says this of itself.
    pub fn request(&self, info: &get_info::Response) -> make_credential::Request {
        let resident_key = self.asks_resident_key(info);
        let verify = self.verification != Verification::Discouraged || resident_key;
        make_credential::Request {
            client_data_hash: self.client_data.hash(),
            rp: self.rp.clone(),
            user: self.user.clone(),
            algorithms: self.algorithms.clone(),
            exclude: self.exclude.clone(),
            extensions: extensions(self.cmtg_key, info),
            resident_key: resident_key.then_some(true),
            user_verification: uv(verify, self.verification, info),
            user_presence: None,
            enterprise_attestation: None,
            attestation_formats: Vec::new(),
            pin_uv_auth_param: None,
            pin_uv_auth_protocol: None,
        }
    }

    /// Returns whether a discoverable passkey is asked for of an authenticator that says this of
    /// itself.
    pub(super) fn asks_resident_key(&self, info: &get_info::Response) -> bool {
        match self.resident_key {
            ResidentKey::Discouraged => false,
            ResidentKey::Preferred => info.option("rk") == Some(true),
            ResidentKey::Required => true,
        }
    }

    /// Returns the RP ID.
    pub fn rp_id(&self) -> &RpId {
        &self.rp.id
    }
}

/// Asks for verification where the authenticator has it; where it is required, in any case.
fn uv(wanted: bool, level: Verification, info: &get_info::Response) -> Option<bool> {
    let can = info.option("uv") == Some(true);
    (wanted && (can || level == Verification::Required)).then_some(true)
}

fn algorithms(value: &Value) -> Result<Vec<i64>, OptionsError> {
    const PATH: &str = "pubKeyCredParams";
    let list = optional(value, PATH).ok_or(OptionsError::Missing(PATH))?;
    let list = list
        .as_array()
        .ok_or(OptionsError::Wrong(PATH, "it must be a list"))?;
    let mut found = Vec::new();
    for item in list {
        let id = item.get("alg").and_then(Value::as_i64);
        let id = id.ok_or(OptionsError::Wrong(PATH, "each alg must be a number"))?;
        if item.get("type").and_then(Value::as_str) == Some("public-key") {
            found.push(id);
        }
    }
    // WebAuthn §5.1.3: an empty list stands for these two, but not one of which nothing is left.
    match (found.is_empty(), list.is_empty()) {
        (_, true) => Ok(vec![-7, -257]),
        (true, false) => Err(OptionsError::Wrong(PATH, NO_PUBLIC_KEY)),
        (false, false) => Ok(found),
    }
}

impl Get {
    /// Reads request options (WebAuthn L3, `PublicKeyCredentialRequestOptionsJSON`), with the same
    /// care as [`Create::parse`].
    ///
    /// # Errors
    ///
    /// [`OptionsError`] names the member.
    pub fn parse(json: &str, origin: &Origin) -> Result<Self, OptionsError> {
        let value = parse(json)?;
        Ok(Self {
            client_data: ClientData::new("webauthn.get", &challenge(&value)?, origin),
            rp_id: origin.rp_id(text(&value, "rpId", "rpId")?)?,
            allow: allowed(&value)?,
            verification: verification(&value, "userVerification")?,
            cmtg_key: extension(&value, cmtg_key::NAME),
        })
    }

    /// Makes the request for an authenticator that says this of itself.
    pub fn request(&self, info: &get_info::Response) -> get_assertion::Request {
        let verify = self.verification != Verification::Discouraged || self.allow.is_empty();
        get_assertion::Request {
            rp_id: self.rp_id.clone(),
            client_data_hash: self.client_data.hash(),
            allow: self.allow.clone(),
            has_allow_list: !self.allow.is_empty(),
            extensions: extensions(self.cmtg_key, info),
            user_presence: None,
            user_verification: uv(verify, self.verification, info),
            pin_uv_auth_param: None,
            pin_uv_auth_protocol: None,
        }
    }

    /// Returns the RP ID.
    pub fn rp_id(&self) -> &RpId {
        &self.rp_id
    }
}
