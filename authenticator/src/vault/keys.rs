//! The vault's keys: the newest, and those that were its own before.

use core::fmt;

use handfast_proto::cbor::{Map, SecretMap, Value};
use handfast_proto::trust::VaultId;
use hkdf::Hkdf;
use rand_core::CryptoRngCore;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::locked::Locked;

/// 32 random bytes from which all keys of a vault's files are derived.
pub(super) struct VaultKey(Locked<[u8; 32]>);

/// Names a vault key without telling anything of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct KeyName(pub(super) [u8; 16]);

impl VaultKey {
    pub(super) fn generate(rng: &mut dyn CryptoRngCore) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        rng.fill_bytes(key.as_mut());
        Self(Locked::copy_of(&key))
    }

    pub(super) fn from_slice(bytes: &[u8]) -> Option<Self> {
        let key = Zeroizing::new(bytes.try_into().ok()?);
        Some(Self(Locked::copy_of(&key)))
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(super) fn name(&self, vault: VaultId) -> KeyName {
        let mut name = [0; 16];
        self.derive(vault, b"handfast-key-name/v1", &mut name);
        KeyName(name)
    }

    /// The key that seals the earlier keys in a header.
    pub(super) fn sealing_earlier(&self, vault: VaultId) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        self.derive(vault, b"handfast-earlier-keys/v1", key.as_mut());
        key
    }

    /// HKDF-SHA-256, with the vault's name as salt.
    pub(super) fn derive(&self, vault: VaultId, purpose: &[u8], output: &mut [u8]) {
        // The only error is a length above 8160 bytes.
        let _ = Hkdf::<Sha256>::new(Some(&vault.0), self.0.as_slice()).expand(purpose, output);
    }

    fn copied(&self) -> Self {
        Self(Locked::copy_of(&self.0))
    }
}

impl fmt::Debug for VaultKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VaultKey")
    }
}

/// All keys of a vault, the newest first.
#[derive(Debug)]
pub(super) struct Keys {
    newest: VaultKey,
    earlier: Vec<VaultKey>,
}

impl Keys {
    pub(super) fn new(newest: VaultKey) -> Self {
        Self {
            newest,
            earlier: Vec::new(),
        }
    }

    pub(super) fn newest(&self) -> &VaultKey {
        &self.newest
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &VaultKey> {
        core::iter::once(&self.newest).chain(&self.earlier)
    }

    pub(super) fn knows(&self, key: &VaultKey) -> bool {
        self.all().any(|known| *known.0 == *key.0)
    }

    pub(super) fn copied(&self) -> Self {
        Self {
            newest: self.newest.copied(),
            earlier: self.earlier.iter().map(VaultKey::copied).collect(),
        }
    }

    /// Returns the keys with a new one before them.
    pub(super) fn renewed(&self, newest: VaultKey) -> Self {
        Self {
            newest,
            earlier: self.all().map(VaultKey::copied).collect(),
        }
    }

    /// Adds the keys of another header of the same vault to the earlier ones.
    pub(super) fn add(&mut self, others: &Self) {
        for key in others.all() {
            if !self.knows(key) {
                self.earlier.push(key.copied());
            }
        }
    }

    /// Map {1: earlier keys, the newest first}.
    pub(super) fn encode_earlier(&self) -> Zeroizing<Vec<u8>> {
        let keys = self.earlier.iter().map(|key| Value::from(*key.0));
        SecretMap::from(Map::new().with(1, keys.collect::<Vec<_>>())).encode()
    }

    pub(super) fn with_earlier(newest: VaultKey, encoded: &[u8]) -> Option<Self> {
        let map = SecretMap::decode(encoded).ok()??;
        let keys = map.int(1)?.as_array()?.iter();
        let keys = keys.map(|key| VaultKey::from_slice(key.as_bytes()?));
        Some(Self {
            newest,
            earlier: keys.collect::<Option<_>>()?,
        })
    }
}
