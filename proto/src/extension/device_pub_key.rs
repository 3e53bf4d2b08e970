//! `devicePubKey`: a second key beside the passkey, which never leaves one device
//! (`trust-group.md` §2). WebAuthn has it no more; it is answered only where that is wanted.

use super::Prepared;
use super::attested_key::{
    AttestedKey, AttestedKeyError, AttestedOutputError, Conveyance, Made, Preference,
};
use crate::auth_data::AuthenticatorData;
use crate::cbor::{Map, Value};
use crate::cose::{Algorithm, SigningKey};
use crate::ids::{Aaguid, ClientDataHash};

/// The extension's identifier.
pub const NAME: &str = "devicePubKey";

/// Where a key stays.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope {
    /// 0: all of a device has it.
    EntireDevice,
    /// 1: one program of a device has it.
    PerApp,
}

impl super::attested_key::Scope for Scope {
    const KEY: &'static str = "dpk";
    const PREFIX: &'static [u8; 37] = b"device bound key attestation sig\x00\xff\xff\xff\xff";

    fn to_value(self) -> Value {
        match self {
            Self::EntireDevice => 0.into(),
            Self::PerApp => 1.into(),
        }
    }

    fn parse(value: &Value) -> Option<Self> {
        match value.as_u64()? {
            0 => Some(Self::EntireDevice),
            1 => Some(Self::PerApp),
            _ => None,
        }
    }
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Request(Preference);

impl Request {
    /// Reads the request. One that is malformed is as none; the `true` of the first sketch is that
    /// too.
    pub fn parse(extensions: &Map) -> Option<Self> {
        let input = extensions.text(NAME)?.as_map()?;
        Preference::parse(input, Conveyance::None).map(Self)
    }

    /// Returns what is made for it. An enterprise attestation is permitted to nobody here, and who
    /// asks for one gets none.
    pub fn made(&self) -> Made {
        match self.0.conveyance {
            Conveyance::Enterprise | Conveyance::None => Made::None,
            Conveyance::Direct | Conveyance::Indirect => self.0.made(),
        }
    }
}

/// The extension with its key in hand.
#[derive(Debug)]
pub struct PreparedDevicePubKey<'k> {
    key: &'k SigningKey,
    output: AttestedKey<Scope>,
}

/// Prepares the output for a passkey, if it can have one: only a passkey that may be on several
/// devices has, and only a key of its own algorithm fits. `model` is told with an attestation alone.
pub fn prepare<'k>(
    request: &Request,
    passkey: Algorithm,
    backup_eligible: bool,
    key: &'k SigningKey,
    model: Aaguid,
) -> Option<PreparedDevicePubKey<'k>> {
    (backup_eligible && key.algorithm() == passkey).then(|| PreparedDevicePubKey {
        key,
        output: AttestedKey::make(key, Scope::EntireDevice, request.made(), model),
    })
}

impl Prepared for PreparedDevicePubKey<'_> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signed_output(&self) -> Option<Value> {
        Some(self.output.to_map().into())
    }

    fn finish(self: Box<Self>, auth_data: &[u8], hash: &ClientDataHash) -> Option<Value> {
        Some(self.key.sign(&[auth_data, &hash.0].concat()).into())
    }
}

/// Reads the output in the extensions of authenticator data.
///
/// # Errors
///
/// [`AttestedKeyError`].
pub fn signed_output(extensions: &Map) -> Result<Option<AttestedKey<Scope>>, AttestedKeyError> {
    extensions.text(NAME).map(AttestedKey::parse).transpose()
}

/// Makes the client output from a response: the signature, over authenticator data and client data
/// hash. The key is in the authenticator data. A key without signature is no output.
///
/// # Errors
///
/// [`AttestedOutputError`], which fails the request.
pub fn client_output(
    auth_data: &AuthenticatorData,
    unsigned: &Map,
) -> Result<Option<Vec<u8>>, AttestedOutputError> {
    let mut signed = auth_data.extensions.iter();
    let Some(signature) = unsigned.text(NAME) else {
        return Ok(None);
    };
    if !signed.any(|extensions| extensions.text(NAME).is_some()) {
        return Err(AttestedOutputError::WithoutKey);
    }
    let signature = signature.as_bytes().ok_or(AttestedOutputError::Type)?;
    Ok(Some(signature.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth_data::Flags;

    fn request(input: impl Into<Value>) -> Option<Request> {
        Request::parse(&Map::new().with(NAME, input))
    }

    fn made(attestation: &str, formats: &[&str]) -> Made {
        let formats = formats.iter().map(|name| Value::from(*name));
        let input = Map::new()
            .with("attestation", attestation)
            .with("attestationFormats", formats.collect::<Vec<Value>>());
        request(input).unwrap().made()
    }

    #[test]
    fn what_is_malformed_is_as_if_it_was_not_asked_for() {
        assert_eq!(request(true), None, "the first sketch's");
        assert_eq!(request(Map::new().with("attestation", 1)), None);
        assert_eq!(request(Map::new().with("attestationFormats", 1)), None);
        let formats = Map::new().with("attestationFormats", vec![Value::from(1)]);
        assert_eq!(request(formats), None);
        assert_eq!(Request::parse(&Map::new()), None);
    }

    #[test]
    fn nothing_vouches_unless_a_site_asks_for_it_and_an_enterprise_is_refused() {
        assert_eq!(request(Map::new()).unwrap().made(), Made::None);
        assert_eq!(made("unheard-of", &["packed"]), Made::None);
        assert_eq!(made("none", &["packed"]), Made::None);
        assert_eq!(made("enterprise", &["packed"]), Made::None);
        assert_eq!(made("indirect", &[]), Made::PackedSelf);
        assert_eq!(made("direct", &["tpm", "packed", "none"]), Made::PackedSelf);
        assert_eq!(made("direct", &["none", "packed"]), Made::None);
    }

    #[test]
    fn a_key_of_another_algorithm_or_of_a_passkey_of_one_device_is_not_shown() {
        let key = SigningKey::generate(Algorithm::Es256, &mut rand_core::OsRng);
        let request = request(Map::new()).unwrap();
        let model = Aaguid([1; 16]);
        assert!(prepare(&request, Algorithm::Es256, true, &key, model).is_some());
        assert!(prepare(&request, Algorithm::Es256, false, &key, model).is_none());
        assert!(prepare(&request, Algorithm::EdDsa, true, &key, model).is_none());
    }

    #[test]
    fn a_model_is_told_only_with_an_attestation() {
        let key = SigningKey::generate(Algorithm::EdDsa, &mut rand_core::OsRng);
        for (attestation, told) in [("none", [0; 16]), ("direct", [1; 16])] {
            let request = request(Map::new().with("attestation", attestation)).unwrap();
            let made = prepare(&request, Algorithm::EdDsa, true, &key, Aaguid([1; 16])).unwrap();
            assert_eq!(made.output.aaguid, Aaguid(told), "{attestation}");
        }
    }

    #[test]
    fn a_client_refuses_a_signature_without_a_key_and_one_that_is_none() {
        let data = |extensions| AuthenticatorData::build([2; 32], Flags::UP, 0, None, extensions);
        let keyed = data(Some(Map::new().with(NAME, Map::new())));
        let signature = Map::new().with(NAME, [1; 70]);
        let refused = client_output(&data(None), &signature);
        assert_eq!(refused, Err(AttestedOutputError::WithoutKey));
        let refused = client_output(&keyed, &Map::new().with(NAME, true));
        assert_eq!(refused, Err(AttestedOutputError::Type));
        assert_eq!(client_output(&keyed, &Map::new()), Ok(None));
        assert_eq!(client_output(&keyed, &signature), Ok(Some(vec![1; 70])));
    }
}
