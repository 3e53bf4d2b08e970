//! `supplementalPubKeys`: further keys beside the passkey, one for each scope (`trust-group.md` §3).
//! WebAuthn has it no more; it is answered only where that is wanted.

use core::cmp::Ordering;

use thiserror::Error;

use super::Prepared;
use super::attested_key::{
    AttestedKey, AttestedKeyError, AttestedOutputError, Conveyance, Made, Preference,
};
use crate::auth_data::AuthenticatorData;
use crate::cbor::{Map, Value};
use crate::cose::{Algorithm, SigningKey};
use crate::ids::{Aaguid, ClientDataHash};

/// The extension's identifier.
pub const NAME: &str = "supplementalPubKeys";

/// Why a signed output is none.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum SupplementalPubKeysError {
    /// There is no key in it.
    #[error("the list of supplemental keys is empty")]
    Empty,
    /// One of the keys.
    #[error("a supplemental key is not valid: {0}")]
    Key(#[from] AttestedKeyError),
    /// It is no list.
    #[error("the supplemental keys are no list")]
    NotList,
    /// The scopes are not sorted, or one is there twice.
    #[error("the scopes of supplemental keys are not in their order")]
    Order,
}

/// Where a key stays.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Scope {
    /// On one device.
    Device,
    /// On more than one device, and on fewer than the passkey.
    Provider,
}

impl Scope {
    /// Returns the scope's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Provider => "provider",
        }
    }

    /// Returns the scope of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "device" => Some(Self::Device),
            "provider" => Some(Self::Provider),
            _ => None,
        }
    }
}

impl super::attested_key::Scope for Scope {
    const KEY: &'static str = "spk";
    const PREFIX: &'static [u8; 37] = b"supplementalPubKeys attestation.\x00\xff\xff\xff\xff";

    fn to_value(self) -> Value {
        self.name().into()
    }

    fn parse(value: &Value) -> Option<Self> {
        Self::from_name(value.as_text()?)
    }
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// In their order; none if only scopes were asked for that are not known.
    scopes: Vec<Scope>,
    preference: Preference,
}

impl Request {
    /// Reads the request. One that is malformed is as none, and so is one without scopes; scopes that
    /// are not known are passed over.
    pub fn parse(extensions: &Map) -> Option<Self> {
        let input = extensions.text(NAME)?.as_map()?;
        let names = input.text("scopes")?.as_array()?;
        let names: Vec<&str> = names.iter().map(Value::as_text).collect::<Option<_>>()?;
        if names.is_empty() {
            return None;
        }
        let mut scopes: Vec<Scope> = names.into_iter().filter_map(Scope::from_name).collect();
        scopes.sort_unstable();
        scopes.dedup();
        Some(Self {
            scopes,
            preference: Preference::parse(input, Conveyance::Indirect)?,
        })
    }

    /// Returns whether a key of this scope is asked for.
    pub fn asks(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    /// Returns what is made for it. An enterprise attestation is permitted to nobody here, and who
    /// asks for one gets an ordinary one.
    pub fn made(&self) -> Made {
        match self.preference.conveyance {
            Conveyance::None => Made::None,
            _ => self.preference.made(),
        }
    }
}

/// The keys that there are for a passkey.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keys<'k> {
    /// The one of this device.
    pub device: Option<&'k SigningKey>,
    /// The one of scope `provider`.
    pub provider: Option<&'k SigningKey>,
}

/// The extension with its keys in hand.
#[derive(Debug)]
pub struct PreparedSupplementalPubKeys<'k>(Vec<(&'k SigningKey, AttestedKey<Scope>)>);

/// Prepares the output with those keys that are asked for, are there, and have the passkey's own
/// algorithm; nothing if no key is left. `model` is told with an attestation alone.
pub fn prepare<'k>(
    request: &Request,
    passkey: Algorithm,
    keys: Keys<'k>,
    model: Aaguid,
) -> Option<PreparedSupplementalPubKeys<'k>> {
    let keys = request.scopes.iter().filter_map(|scope| {
        let key = match scope {
            Scope::Device => keys.device,
            Scope::Provider => keys.provider,
        };
        let key = key.filter(|key| key.algorithm() == passkey)?;
        Some((key, AttestedKey::make(key, *scope, request.made(), model)))
    });
    let keys: Vec<_> = keys.collect();
    (!keys.is_empty()).then_some(PreparedSupplementalPubKeys(keys))
}

impl Prepared for PreparedSupplementalPubKeys<'_> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signed_output(&self) -> Option<Value> {
        let outputs = self.0.iter().map(|(_, output)| output.to_map().into());
        Some(outputs.collect::<Vec<Value>>().into())
    }

    fn finish(self: Box<Self>, auth_data: &[u8], hash: &ClientDataHash) -> Option<Value> {
        let message = [auth_data, &hash.0].concat();
        let signatures = self.0.iter().map(|(key, _)| key.sign(&message).into());
        Some(signatures.collect::<Vec<Value>>().into())
    }
}

/// Reads the output in the extensions of authenticator data: at least one key, and each scope once,
/// in their order.
///
/// # Errors
///
/// [`SupplementalPubKeysError`].
pub fn signed_output(
    extensions: &Map,
) -> Result<Option<Vec<AttestedKey<Scope>>>, SupplementalPubKeysError> {
    let Some(output) = extensions.text(NAME) else {
        return Ok(None);
    };
    let list = output.as_array().ok_or(SupplementalPubKeysError::NotList)?;
    let mut keys: Vec<AttestedKey<Scope>> = Vec::new();
    for output in list {
        let key = AttestedKey::<Scope>::parse(output)?;
        if let Some(last) = keys.last()
            && last.scope.cmp(&key.scope) != Ordering::Less
        {
            return Err(SupplementalPubKeysError::Order);
        }
        keys.push(key);
    }
    match keys.is_empty() {
        true => Err(SupplementalPubKeysError::Empty),
        false => Ok(Some(keys)),
    }
}

/// Makes the client output from a response: the signatures, each over authenticator data and client
/// data hash, in the order of the keys there. Keys without signatures are no output.
///
/// # Errors
///
/// [`AttestedOutputError`], which fails the request.
pub fn client_output(
    auth_data: &AuthenticatorData,
    unsigned: &Map,
) -> Result<Option<Vec<Vec<u8>>>, AttestedOutputError> {
    let mut signed = auth_data.extensions.iter();
    let Some(signatures) = unsigned.text(NAME) else {
        return Ok(None);
    };
    if !signed.any(|extensions| extensions.text(NAME).is_some()) {
        return Err(AttestedOutputError::WithoutKey);
    }
    let list = signatures.as_array().ok_or(AttestedOutputError::Type)?;
    let list = list.iter().map(|one| one.as_bytes().map(<[u8]>::to_vec));
    let list: Option<Vec<Vec<u8>>> = list.collect();
    list.map(Some).ok_or(AttestedOutputError::Type)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth_data::Flags;
    use crate::cose::CoseKey;

    fn request(input: Map) -> Option<Request> {
        Request::parse(&Map::new().with(NAME, input))
    }

    fn scopes(names: &[&str]) -> Map {
        let names = names.iter().map(|name| Value::from(*name));
        Map::new().with("scopes", names.collect::<Vec<Value>>())
    }

    fn key() -> SigningKey {
        SigningKey::generate(Algorithm::Es256, &mut rand_core::OsRng)
    }

    fn list(keys: &[(&SigningKey, Scope)]) -> Result<usize, SupplementalPubKeysError> {
        let outputs = keys.iter().map(|(key, scope)| {
            let output = AttestedKey::make(key, *scope, Made::PackedSelf, Aaguid([1; 16]));
            output.to_map().into()
        });
        let extensions = Map::new().with(NAME, outputs.collect::<Vec<Value>>());
        signed_output(&extensions).map(|keys| keys.unwrap().len())
    }

    #[test]
    fn a_request_without_scopes_is_none_and_unknown_scopes_are_passed_over() {
        for malformed in [
            Map::new(),
            scopes(&[]),
            Map::new().with("scopes", "device"),
            Map::new().with("scopes", vec![Value::from(1)]),
            scopes(&["device"]).with("attestation", 1),
            scopes(&["device"]).with("attestationFormats", "packed"),
        ] {
            assert_eq!(request(malformed.clone()), None, "{malformed:?}");
        }
        assert_eq!(Request::parse(&Map::new().with(NAME, true)), None);
        let asked = request(scopes(&["galaxy", "provider", "device", "provider"])).unwrap();
        assert!(asked.asks(Scope::Device) && asked.asks(Scope::Provider));
        let nothing = request(scopes(&["galaxy"])).unwrap();
        let keys = [key(), key()];
        let keys = Keys {
            device: Some(&keys[0]),
            provider: Some(&keys[1]),
        };
        assert!(prepare(&nothing, Algorithm::Es256, keys, Aaguid([1; 16])).is_none());
    }

    #[test]
    fn what_is_made_is_what_the_site_would_like_and_an_enterprise_is_like_any_other() {
        let made = |attestation: &str, formats: &[&str]| {
            let formats = formats.iter().map(|name| Value::from(*name));
            let input = scopes(&["device"])
                .with("attestation", attestation)
                .with("attestationFormats", formats.collect::<Vec<Value>>());
            request(input).unwrap().made()
        };
        assert_eq!(
            request(scopes(&["device"])).unwrap().made(),
            Made::PackedSelf
        );
        assert_eq!(made("none", &["packed"]), Made::None);
        assert_eq!(made("unheard-of", &[]), Made::PackedSelf);
        assert_eq!(made("enterprise", &[]), Made::PackedSelf);
        assert_eq!(made("direct", &["tpm", "none", "packed"]), Made::None);
        assert_eq!(made("direct", &["tpm"]), Made::PackedSelf);
    }

    #[test]
    fn lists_that_are_empty_unsorted_or_say_a_scope_twice_are_refused() {
        let (one, two) = (key(), key());
        let (device, provider) = (Scope::Device, Scope::Provider);
        assert_eq!(list(&[]), Err(SupplementalPubKeysError::Empty));
        let order = Err(SupplementalPubKeysError::Order);
        assert_eq!(list(&[(&one, provider), (&two, device)]), order);
        assert_eq!(list(&[(&one, device), (&two, device)]), order);
        assert_eq!(list(&[(&one, device), (&two, provider)]), Ok(2));
        let map = Map::new().with(NAME, Map::new());
        assert_eq!(signed_output(&map), Err(SupplementalPubKeysError::NotList));
        assert_eq!(signed_output(&Map::new()), Ok(None));
    }

    #[test]
    fn each_key_signs_for_itself_and_one_of_another_algorithm_is_left_out() {
        let (device, provider) = (key(), key());
        let request = request(scopes(&["provider", "device"])).unwrap();
        let keys = Keys {
            device: Some(&device),
            provider: Some(&provider),
        };
        let prepared = prepare(&request, Algorithm::Es256, keys, Aaguid([1; 16])).unwrap();
        let extensions = Map::new().with_some(NAME, prepared.signed_output());
        let hash = ClientDataHash([3; 32]);
        let data = AuthenticatorData::build([2; 32], Flags::UP, 0, None, Some(extensions.clone()));
        let unsigned = Box::new(prepared).finish(data.as_bytes(), &hash);
        let unsigned = Map::new().with_some(NAME, unsigned);
        let signatures = client_output(&data, &unsigned).unwrap().unwrap();
        let outputs = signed_output(&extensions).unwrap().unwrap();
        let message = [data.as_bytes(), &hash.0].concat();
        let public: Vec<CoseKey> = [&device, &provider].map(SigningKey::public_key).into();
        assert_eq!(
            outputs
                .iter()
                .map(|key| key.key.clone())
                .collect::<Vec<_>>(),
            public
        );
        for (key, signature) in public.iter().zip(&signatures) {
            key.verify(&message, signature).unwrap();
        }
        assert!(public[0].verify(&message, &signatures[1]).is_err());

        let other = SigningKey::generate(Algorithm::EdDsa, &mut rand_core::OsRng);
        let keys = Keys {
            device: Some(&other),
            ..keys
        };
        let prepared = prepare(&request, Algorithm::Es256, keys, Aaguid([1; 16])).unwrap();
        assert_eq!(prepared.0.len(), 1);
        assert_eq!(prepared.0[0].1.scope, Scope::Provider);
    }

    #[test]
    fn a_client_refuses_signatures_without_keys_and_those_that_are_none() {
        let data = |extensions| AuthenticatorData::build([2; 32], Flags::UP, 0, None, extensions);
        let keys = Map::new().with(NAME, vec![Value::from(Map::new())]);
        let signatures = Map::new().with(NAME, vec![Value::from([1; 70])]);
        let refused = client_output(&data(None), &signatures);
        assert_eq!(refused, Err(AttestedOutputError::WithoutKey));
        let keyed = data(Some(keys));
        for bad in [Value::from(true), vec![Value::from(true)].into()] {
            let refused = client_output(&keyed, &Map::new().with(NAME, bad));
            assert_eq!(refused, Err(AttestedOutputError::Type));
        }
        assert_eq!(client_output(&keyed, &Map::new()), Ok(None));
        assert_eq!(
            client_output(&keyed, &signatures),
            Ok(Some(vec![vec![1; 70]]))
        );
    }
}
