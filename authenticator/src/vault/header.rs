//! The vault's header: which vault, and its key, wrapped by the pass phrase.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use handfast_proto::cbor::{self, Map, Value};
use handfast_proto::trust::VaultId;
use rand_core::CryptoRngCore;
use zeroize::Zeroizing;

use super::VaultError;
use crate::passphrase::{Passphrase, Stretching};

const KIND: &str = "handfast-vault";
/// The only format so far.
pub(super) const FORMAT: u64 = 1;

pub(super) type VaultKey = Zeroizing<[u8; 32]>;

/// What the header says to everybody.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Header {
    pub(super) id: VaultId,
    pub(super) stretching: Stretching,
    pub(super) salt: [u8; 16],
    pub(super) for_tests: bool,
}

impl Header {
    fn public(&self) -> Map {
        let parts: Vec<Value> = self
            .stretching
            .parts()
            .into_iter()
            .map(Value::from)
            .collect();
        Map::new()
            .with(1, KIND)
            .with(2, FORMAT)
            .with(3, self.id.0)
            .with(4, parts)
            .with(5, self.salt)
            .with(6, self.for_tests)
    }

    /// Wraps the vault key. All of the header is authenticated with it.
    pub(super) fn seal(
        &self,
        passphrase: &Passphrase,
        key: &VaultKey,
        rng: &mut dyn CryptoRngCore,
    ) -> Result<Vec<u8>, VaultError> {
        let wrapping = self.stretching.stretch(passphrase.as_bytes(), &self.salt)?;
        let mut nonce = [0; 12];
        rng.fill_bytes(&mut nonce);
        let aad = self.public().encode();
        let payload = Payload {
            msg: key.as_ref(),
            aad: &aad,
        };
        let wrapped = Aes256Gcm::new((&*wrapping).into())
            .encrypt(Nonce::from_slice(&nonce), payload)
            .map_err(|_| VaultError::HeaderDamaged)?;
        Ok(self.public().with(7, nonce).with(8, wrapped).encode())
    }

    /// Reads a header without its key.
    pub(super) fn parse(bytes: &[u8]) -> Result<(Self, Wrapped), VaultError> {
        let map = cbor::decode(bytes).ok().and_then(Value::into_map);
        let map = map.ok_or(VaultError::HeaderDamaged)?;
        if map.int(1).and_then(Value::as_text) != Some(KIND) {
            return Err(VaultError::HeaderDamaged);
        }
        match map.int(2).and_then(Value::as_u64) {
            Some(FORMAT) => {}
            Some(newer) if newer > FORMAT => return Err(VaultError::NewerFormat(newer)),
            _ => return Err(VaultError::HeaderDamaged),
        }
        let (header, wrapped) = Self::parts(&map).ok_or(VaultError::HeaderDamaged)?;
        Ok((header?, wrapped))
    }

    fn parts(map: &Map) -> Option<(Result<Self, VaultError>, Wrapped)> {
        let parts: Vec<u32> = map
            .int(4)?
            .as_array()?
            .iter()
            .map(|part| part.as_u64()?.try_into().ok())
            .collect::<Option<_>>()?;
        let [memory, passes, lanes] = parts.try_into().ok()?;
        let id = VaultId(map.int(3)?.as_bytes()?.try_into().ok()?);
        let salt = map.int(5)?.as_bytes()?.try_into().ok()?;
        let for_tests = map.int(6)?.as_bool()?;
        let wrapped = Wrapped {
            nonce: map.int(7)?.as_bytes()?.try_into().ok()?,
            key: map.int(8)?.as_bytes()?.to_vec(),
        };
        let header = Stretching::new(memory, passes, lanes)
            .map(|stretching| Self {
                id,
                stretching,
                salt,
                for_tests,
            })
            .map_err(VaultError::Stretch);
        Some((header, wrapped))
    }

    /// Unwraps the vault key.
    pub(super) fn open(
        &self,
        wrapped: &Wrapped,
        passphrase: &Passphrase,
    ) -> Result<VaultKey, VaultError> {
        let wrapping = self.stretching.stretch(passphrase.as_bytes(), &self.salt)?;
        let aad = self.public().encode();
        let payload = Payload {
            msg: wrapped.key.as_slice(),
            aad: &aad,
        };
        let key = Aes256Gcm::new((&*wrapping).into())
            .decrypt(Nonce::from_slice(&wrapped.nonce), payload)
            .map(Zeroizing::new)
            .map_err(|_| VaultError::WrongPassphrase)?;
        let key: [u8; 32] = key
            .as_slice()
            .try_into()
            .map_err(|_| VaultError::HeaderDamaged)?;
        Ok(Zeroizing::new(key))
    }
}

/// The wrapped vault key.
pub(super) struct Wrapped {
    nonce: [u8; 12],
    key: Vec<u8>,
}
