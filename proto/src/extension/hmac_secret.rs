//! `hmac-secret` and `hmac-secret-mc`: what `prf` does for phones, for clients that know the form of
//! security keys (CTAP 2.3 §12.7, §12.8). Salts and secrets are hidden under a key that both sides
//! agreed on.

use core::fmt;

use rand_core::CryptoRngCore;
use zeroize::Zeroizing;

use super::Signed;
use super::prf::Seeds;
use crate::cbor::{Map, Value};
use crate::ctap2::Status;
use crate::ctap2::client_pin::PROTOCOL_TWO;
use crate::pin_uv::{KeyAgreement, SharedSecret};

/// The extension's identifier.
pub const NAME: &str = "hmac-secret";

/// The identifier for secrets of a passkey that is being made.
pub const NAME_AT_CREATION: &str = "hmac-secret-mc";

/// Returns whether a request for a new passkey asks that it has the extension.
pub fn requested(extensions: &Map) -> bool {
    extensions.text(NAME).and_then(Value::as_bool) == Some(true)
}

/// Prepares the output for a new passkey: that it has the extension.
pub fn prepare_new() -> Signed {
    Signed::new(NAME, true)
}

/// One salt or two, as they came out of their cover, and the secret to hide the answer under.
pub struct Salts {
    first: Zeroizing<[u8; 32]>,
    second: Option<Zeroizing<[u8; 32]>>,
    secret: SharedSecret,
}

impl Salts {
    /// Reads the salts of a request to sign in, if there are any.
    ///
    /// # Errors
    ///
    /// The status that the whole request is answered with: see [`Self::at_creation`].
    pub fn parse(extensions: &Map, key: Option<&KeyAgreement>) -> Result<Option<Self>, Status> {
        let input = extensions.text(NAME);
        input.map(|input| Self::uncover(input, key)).transpose()
    }

    /// Reads the salts of a request for a new passkey, if there are any, and it asks for the
    /// extension itself too.
    ///
    /// # Errors
    ///
    /// The status that the whole request is answered with: [`Status::CBOR_UNEXPECTED_TYPE`],
    /// [`Status::MISSING_PARAMETER`], [`Status::INVALID_PARAMETER`] for another protocol than two or
    /// a key that is no point, [`Status::PIN_AUTH_INVALID`] for salts that are not authenticated or
    /// if no key was agreed on, [`Status::INVALID_LENGTH`].
    pub fn at_creation(
        extensions: &Map,
        key: Option<&KeyAgreement>,
    ) -> Result<Option<Self>, Status> {
        let input = extensions.text(NAME_AT_CREATION);
        let input = input.filter(|_| requested(extensions));
        input.map(|input| Self::uncover(input, key)).transpose()
    }

    fn uncover(input: &Value, key: Option<&KeyAgreement>) -> Result<Self, Status> {
        let input = input.as_map().ok_or(Status::CBOR_UNEXPECTED_TYPE)?;
        let member = |label| input.int(label).ok_or(Status::MISSING_PARAMETER);
        let bytes = |label| -> Result<&[u8], Status> {
            member(label)?
                .as_bytes()
                .ok_or(Status::CBOR_UNEXPECTED_TYPE)
        };
        let peer = member(1)?.as_map().ok_or(Status::CBOR_UNEXPECTED_TYPE)?;
        let (covered, tag) = (bytes(2)?, bytes(3)?);
        // A client that names no protocol means the first, which is not offered.
        if input.int(4).and_then(Value::as_u64) != Some(PROTOCOL_TWO) {
            return Err(Status::INVALID_PARAMETER);
        }
        let key = key.ok_or(Status::PIN_AUTH_INVALID)?;
        let secret = key.agree(peer).ok_or(Status::INVALID_PARAMETER)?;
        if !secret.verifies(covered, tag) {
            return Err(Status::PIN_AUTH_INVALID);
        }
        let salts = secret.decrypt(covered).ok_or(Status::INVALID_LENGTH)?;
        let salt = |bytes: &[u8]| -> Result<Zeroizing<[u8; 32]>, Status> {
            let salt = bytes.try_into().map_err(|_| Status::INVALID_LENGTH)?;
            Ok(Zeroizing::new(salt))
        };
        let (first, second) = salts.split_at_checked(32).ok_or(Status::INVALID_LENGTH)?;
        Ok(Self {
            first: salt(first)?,
            second: match second {
                [] => None,
                second => Some(salt(second)?),
            },
            secret,
        })
    }

    /// Prepares the output of a passkey: its secrets, for a person who was verified or another.
    pub fn prepare(&self, seeds: &Seeds, verified: bool, rng: &mut dyn CryptoRngCore) -> Signed {
        Signed::new(NAME, self.covered(seeds, verified, rng))
    }

    /// Prepares the same output of a passkey that is being made.
    pub fn prepare_new(
        &self,
        seeds: &Seeds,
        verified: bool,
        rng: &mut dyn CryptoRngCore,
    ) -> Signed {
        Signed::new(NAME_AT_CREATION, self.covered(seeds, verified, rng))
    }

    fn covered(&self, seeds: &Seeds, verified: bool, rng: &mut dyn CryptoRngCore) -> Vec<u8> {
        let salts = [Some(&self.first), self.second.as_ref()];
        let mut blocks = Zeroizing::new(Vec::with_capacity(4));
        for salt in salts.into_iter().flatten() {
            let secret = seeds.secret(verified, salt);
            blocks.extend_from_slice(secret.as_chunks::<16>().0);
        }
        self.secret.encrypt(&blocks, rng)
    }
}

impl fmt::Debug for Salts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salts")
    }
}
