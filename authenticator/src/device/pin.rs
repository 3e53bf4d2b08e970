//! The device PIN: it verifies the person in front of this device, and never leaves it.

use core::fmt;

use handfast_proto::cbor::{Map, Value};
use rand_core::CryptoRngCore;
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

use super::{DeviceError, DeviceStore};
use crate::passphrase::{StretchError, Stretching};

/// How often a wrong PIN may be tried before only the pass phrase helps.
pub const TRIES: u8 = 8;

/// Why text cannot be a PIN.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum PinError {
    /// Fewer than four characters.
    #[error("a PIN has at least 4 characters")]
    TooShort,
    /// More than 63 bytes.
    #[error("a PIN has at most 63 bytes")]
    TooLong,
}

/// Text that can be a PIN: 4 characters at least, 63 bytes at most.
pub struct Pin(Zeroizing<String>);

impl Pin {
    /// Takes text as a PIN.
    ///
    /// # Errors
    ///
    /// [`PinError`].
    pub fn parse(text: &str) -> Result<Self, PinError> {
        if text.chars().count() < 4 {
            return Err(PinError::TooShort);
        }
        if text.len() > 63 {
            return Err(PinError::TooLong);
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin")
    }
}

impl DeviceStore {
    /// Gives the PIN all its tries again, if one is set: to who proved in another way that this is
    /// his device.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Io`].
    pub(crate) fn restore_pin_tries(
        &mut self,
        rng: &mut dyn CryptoRngCore,
    ) -> Result<(), DeviceError> {
        let mut held = self.hold()?;
        held.set_tries(TRIES);
        held.save(rng)
    }
}

/// What is kept of a PIN: its stretched form, and the tries that are left.
pub(super) struct PinVerifier {
    salt: [u8; 16],
    stretching: Stretching,
    hash: Zeroizing<[u8; 32]>,
    pub(super) tries: u8,
}

impl PinVerifier {
    pub(super) fn new(
        pin: &Pin,
        stretching: Stretching,
        rng: &mut dyn CryptoRngCore,
    ) -> Result<Self, StretchError> {
        let mut salt = [0; 16];
        rng.fill_bytes(&mut salt);
        let hash = stretching.stretch(pin.0.as_bytes(), &salt)?;
        Ok(Self {
            salt,
            stretching,
            hash,
            tries: TRIES,
        })
    }

    pub(super) fn matches(&self, pin: &str) -> Result<bool, StretchError> {
        let hash = self.stretching.stretch(pin.as_bytes(), &self.salt)?;
        Ok(hash.ct_eq(self.hash.as_ref()).into())
    }

    pub(super) fn to_map(&self) -> Map {
        let parts: Vec<Value> = self
            .stretching
            .parts()
            .into_iter()
            .map(Value::from)
            .collect();
        Map::new()
            .with(1, self.salt)
            .with(2, parts)
            .with(3, *self.hash)
            .with(4, self.tries)
    }

    pub(super) fn parse(map: &Map) -> Option<Self> {
        let parts = map
            .int(2)?
            .as_array()?
            .iter()
            .map(|part| part.as_u64()?.try_into().ok());
        let [memory, passes, lanes] = parts.collect::<Option<Vec<u32>>>()?.try_into().ok()?;
        Some(Self {
            salt: map.int(1)?.as_bytes()?.try_into().ok()?,
            stretching: Stretching::new(memory, passes, lanes).ok()?,
            hash: Zeroizing::new(map.int(3)?.as_bytes()?.try_into().ok()?),
            tries: map.int(4)?.as_u64()?.try_into().ok()?,
        })
    }
}
