//! `prf` as phones speak it: a passkey makes secrets out of salts that the site chose
//! (`hybrid-transport.md` §11.3). The tunnel hides them, and nothing else does.

use core::fmt;

use hmac::{Hmac, Mac};
use rand_core::CryptoRngCore;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::Unsigned;
use crate::cbor::{Map, Value};
use crate::ids::CredentialId;

/// The extension's identifier.
pub const NAME: &str = "prf";

/// One salt or two, 32 bytes each. The client has hashed them already.
#[derive(Clone, PartialEq)]
pub struct Salts {
    first: [u8; 32],
    second: Option<[u8; 32]>,
}

impl Salts {
    fn parse(value: &Value) -> Option<Self> {
        let map = value.as_map()?;
        let salt = |value: &Value| value.as_bytes()?.try_into().ok();
        Some(Self {
            first: salt(map.text("first")?)?,
            second: match map.text("second") {
                Some(second) => Some(salt(second)?),
                None => None,
            },
        })
    }
}

/// Prints no content: what salts make is secret, and only they and the passkey stand before it.
impl fmt::Debug for Salts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salts")
    }
}

/// What a request asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    eval: Option<Salts>,
    by_credential: Vec<(CredentialId, Salts)>,
}

impl Request {
    /// Reads the request. One that is malformed is as none, as for every extension that is not
    /// understood; so are entries for what can be no credential.
    pub fn parse(extensions: &Map) -> Option<Self> {
        let map = extensions.text(NAME)?.as_map()?;
        let eval = map.text("eval").map(Salts::parse);
        let mut request = Self {
            eval: match eval {
                Some(salts) => Some(salts?),
                None => None,
            },
            by_credential: Vec::new(),
        };
        if let Some(entries) = map.text("evalByCredential") {
            for (id, salts) in entries.as_map()?.iter() {
                let salts = Salts::parse(salts)?;
                if let Ok(id) = CredentialId::from_bytes(id.as_bytes()?) {
                    request.by_credential.push((id, salts));
                }
            }
        }
        Some(request)
    }

    /// Returns the salts for a new credential.
    pub fn for_new(&self) -> Option<&Salts> {
        self.eval.as_ref()
    }

    /// Returns the request without the salts that are for one credential each.
    #[must_use]
    pub fn for_any(self) -> Self {
        Self {
            by_credential: Vec::new(),
            ..self
        }
    }

    /// Returns the salts for a credential: its own, if there are any.
    pub fn salts(&self, id: &CredentialId) -> Option<&Salts> {
        let mut own = self.by_credential.iter().filter(|(of, _)| of == id);
        own.next().map(|(_, salts)| salts).or(self.eval.as_ref())
    }

    /// Whether any salts are there.
    pub fn evaluates(&self) -> bool {
        self.eval.is_some() || !self.by_credential.is_empty()
    }
}

/// What a passkey makes its secrets with: one key for persons who were verified and one for others,
/// 32 random bytes each (CTAP 2.3, *hmac-secret*).
pub struct Seeds(Zeroizing<[u8; 64]>);

impl Seeds {
    /// Makes new ones.
    pub fn generate(rng: &mut dyn CryptoRngCore) -> Self {
        let mut seeds = Zeroizing::new([0; 64]);
        rng.fill_bytes(seeds.as_mut());
        Self(seeds)
    }

    /// Takes what [`Self::as_bytes`] returned; nothing if it has another length.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut seeds = Zeroizing::new([0; 64]);
        if bytes.len() != seeds.len() {
            return None;
        }
        seeds.copy_from_slice(bytes);
        Some(Self(seeds))
    }

    /// Returns the bytes, 64: the key for the verified, then the other.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_ref()
    }

    /// Makes the secret of a salt: its HMAC-SHA-256.
    pub(super) fn secret(&self, verified: bool, salt: &[u8; 32]) -> Zeroizing<[u8; 32]> {
        let (with, without) = self.0.split_at(32);
        let key = if verified { with } else { without };
        // HMAC takes keys of every length.
        let mut mac =
            Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&Default::default()));
        mac.update(salt);
        Zeroizing::new(mac.finalize().into_bytes().into())
    }

    /// Makes the results for a person who was verified.
    fn results(&self, salts: &Salts) -> Map {
        let make = |salt| Value::from(self.secret(true, salt).as_slice());
        Map::new()
            .with("first", make(&salts.first))
            .with_some("second", salts.second.as_ref().map(make))
    }
}

impl fmt::Debug for Seeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seeds")
    }
}

/// Prepares the output for a new passkey: that it has the extension, and the results, if salts came
/// along and the person was verified.
pub fn prepare_new(request: &Request, seeds: &Seeds, verified: bool) -> Unsigned {
    let salts = request.for_new().filter(|_| verified);
    let results = salts.map(|salts| seeds.results(salts));
    let output = Map::new()
        .with("enabled", true)
        .with_some("results", results);
    Unsigned::new(NAME, output)
}

/// Prepares the output of a passkey for a person who was verified; nothing without salts for it.
pub fn prepare(request: &Request, id: &CredentialId, seeds: &Seeds) -> Option<Unsigned> {
    let results = seeds.results(request.salts(id)?);
    Some(Unsigned::new(NAME, Map::new().with("results", results)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extension::Prepared as _;

    fn salts(first: u8, second: Option<u8>) -> Map {
        Map::new()
            .with("first", [first; 32])
            .with_some("second", second.map(|byte| [byte; 32]))
    }

    fn request(prf: Map) -> Option<Request> {
        Request::parse(&Map::new().with(NAME, prf))
    }

    fn seeds() -> Seeds {
        let bytes: Vec<u8> = (0..64).collect();
        Seeds::from_bytes(&bytes).unwrap()
    }

    fn id(byte: u8) -> CredentialId {
        CredentialId::from_bytes(&[byte; 32]).unwrap()
    }

    fn first(prepared: &Unsigned) -> Vec<u8> {
        let results = prepared.output.text("results").unwrap().as_map().unwrap();
        results.text("first").unwrap().as_bytes().unwrap().to_vec()
    }

    #[test]
    fn results_are_those_of_another_implementation() {
        // Python's hmac.new(bytes(range(32)), bytes([byte]) * 32, "sha256").hexdigest()
        let wanted = [
            "adfcafc560845b34a66a0ae033ad1fc7b43663548856e4be3cc9e01c1e6e1000",
            "591e135c72153a8234a6530701e17242a6c6b43bc82e09537eb306e63424908a",
        ];
        let request = request(Map::new().with("eval", salts(1, Some(2)))).unwrap();
        let made = prepare(&request, &id(1), &seeds()).unwrap();
        let results = made.output.text("results").unwrap().as_map().unwrap();
        for (name, wanted) in ["first", "second"].into_iter().zip(wanted) {
            let made = results.text(name).unwrap().as_bytes().unwrap();
            assert_eq!(hex::encode(made), wanted);
        }
    }

    #[test]
    fn a_credentials_own_salts_go_before_those_for_all() {
        let own = Map::new().with([1; 32], salts(3, None));
        let both = request(
            Map::new()
                .with("eval", salts(1, None))
                .with("evalByCredential", own.clone()),
        )
        .unwrap();
        let made = |request: &Request, byte| prepare(request, &id(byte), &seeds());
        let (mine, others) = (made(&both, 1).unwrap(), made(&both, 2).unwrap());
        assert_ne!(first(&mine), first(&others));
        let only = request(Map::new().with("evalByCredential", own)).unwrap();
        assert_eq!(first(&made(&only, 1).unwrap()), first(&mine));
        assert!(made(&only, 2).is_none());
    }

    #[test]
    fn a_new_passkey_says_that_it_can_and_shows_it_to_the_verified() {
        let bare = request(Map::new()).unwrap();
        let with = request(Map::new().with("eval", salts(1, None))).unwrap();
        for (request, verified, results) in [
            (&bare, true, false),
            (&with, false, false),
            (&with, true, true),
        ] {
            let made = prepare_new(request, &seeds(), verified);
            assert_eq!(
                made.output.text("enabled").and_then(Value::as_bool),
                Some(true)
            );
            assert_eq!(made.output.text("results").is_some(), results);
            assert!(made.signed_output().is_none());
        }
    }

    #[test]
    fn what_is_malformed_is_as_if_it_was_not_asked_for() {
        let short = Map::new().with("first", [1; 31]);
        for prf in [
            Map::new().with("eval", true),
            Map::new().with("eval", Map::new()),
            Map::new().with("eval", short.clone()),
            Map::new().with("eval", salts(1, None).with("second", [1; 33])),
            Map::new().with("evalByCredential", Map::new().with([1; 32], short)),
            Map::new().with("evalByCredential", Map::new().with("text", salts(1, None))),
        ] {
            assert_eq!(request(prf.clone()), None, "{prf:?}");
        }
        assert_eq!(Request::parse(&Map::new().with(NAME, true)), None);
        assert_eq!(Request::parse(&Map::new()), None);
        assert!(Seeds::from_bytes(&[0; 63]).is_none());
    }
}
