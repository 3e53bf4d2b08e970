//! The vault's header: which vault, and its key, wrapped by the pass phrase.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use handfast_proto::cbor::{self, Map, Value};
use handfast_proto::trust::VaultId;
use rand_core::CryptoRngCore;
use zeroize::Zeroizing;

use super::VaultError;
use super::keys::{KeyName, Keys, VaultKey};
use crate::format::Format;
use crate::passphrase::{Passphrase, Stretching};

const KIND: &str = "handfast-vault";
/// The format of headers that are written.
const FORMAT: u64 = 2;

/// No header has more bytes.
pub(super) const LARGEST: u64 = 64 * 1024;

/// What the header says to everybody.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Header {
    pub(super) id: VaultId,
    pub(super) stretching: Stretching,
    pub(super) salt: [u8; 16],
    pub(super) for_tests: bool,
    /// What format 2 added; format 1 was written once for a vault, and never changed.
    change: Option<Change>,
}

/// Which of the vault's headers it is, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Change {
    revision: u64,
    key: KeyName,
}

impl Header {
    /// Prepares a header for these keys, with a fresh salt.
    pub(super) fn new(
        id: VaultId,
        revision: u64,
        for_tests: bool,
        stretching: Stretching,
        keys: &Keys,
        rng: &mut dyn CryptoRngCore,
    ) -> Self {
        let mut salt = [0; 16];
        rng.fill_bytes(&mut salt);
        let key = keys.newest().name(id);
        Self {
            id,
            stretching,
            salt,
            for_tests,
            change: Some(Change { revision, key }),
        }
    }

    /// Which of the vault's headers it is: the highest counts.
    pub(super) fn revision(&self) -> u64 {
        self.change.map_or(0, |change| change.revision)
    }

    /// Whether who has these keys has what this header leads to.
    pub(super) fn leads_to(&self, keys: &Keys) -> bool {
        match self.change {
            Some(change) => keys.all().any(|key| key.name(self.id) == change.key),
            // The first key, which no header forgets.
            None => true,
        }
    }

    fn public(&self) -> Map {
        let parts: Vec<Value> = self
            .stretching
            .parts()
            .into_iter()
            .map(Value::from)
            .collect();
        Map::new()
            .with(1, KIND)
            .with(2, if self.change.is_some() { FORMAT } else { 1 })
            .with(3, self.id.0)
            .with(4, parts)
            .with(5, self.salt)
            .with(6, self.for_tests)
            .with_some(9, self.change.map(|change| change.revision))
            .with_some(10, self.change.map(|change| change.key.0))
    }

    /// Wraps the vault key, and seals the earlier ones. All of the header is authenticated with both.
    pub(super) fn seal(
        &self,
        passphrase: &Passphrase,
        keys: &Keys,
        rng: &mut dyn CryptoRngCore,
    ) -> Result<Vec<u8>, VaultError> {
        let wrapping = self.stretching.stretch(passphrase.as_bytes(), &self.salt)?;
        let public = self.public();
        let aad = public.encode();
        let mut seal = |key: &[u8; 32], secret: &[u8]| {
            let mut nonce = [0; 12];
            rng.fill_bytes(&mut nonce);
            let payload = Payload {
                msg: secret,
                aad: &aad,
            };
            Aes256Gcm::new(key.into())
                .encrypt(Nonce::from_slice(&nonce), payload)
                .map(|sealed| (nonce, sealed))
                .map_err(|_| VaultError::HeaderDamaged)
        };
        let (nonce, wrapped) = seal(&wrapping, keys.newest().bytes())?;
        let sealing = keys.newest().sealing_earlier(self.id);
        let (earlier_nonce, earlier) = seal(&sealing, &keys.encode_earlier())?;
        let header = public
            .with(7, nonce)
            .with(8, wrapped)
            .with(11, earlier_nonce)
            .with(12, earlier);
        Ok(header.encode())
    }

    /// Reads a header without its key.
    pub(super) fn parse(bytes: &[u8]) -> Result<(Self, Wrapped), VaultError> {
        let map = cbor::decode(bytes).ok().and_then(Value::into_map);
        let map = map.ok_or(VaultError::HeaderDamaged)?;
        let parts = match Format::of(&map, KIND, FORMAT) {
            Format::Known(FORMAT) => Self::second(&map),
            Format::Known(_) => Self::first(&map),
            Format::Newer(newer) => return Err(VaultError::NewerFormat(newer)),
            Format::Foreign => None,
        };
        let (header, wrapped) = parts.ok_or(VaultError::HeaderDamaged)?;
        Ok((header?, wrapped))
    }

    /// Whether bytes are, or once were, a header.
    pub(super) fn is_meant(bytes: &[u8]) -> bool {
        let start = bytes.get(..KIND.len() + 8).unwrap_or(bytes);
        start
            .windows(KIND.len())
            .any(|part| part == KIND.as_bytes())
    }

    fn first(map: &Map) -> Option<(Result<Self, VaultError>, Wrapped)> {
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
            key: Sealed::parse(map, 7, 8)?,
            earlier: None,
        };
        let header = Stretching::new(memory, passes, lanes)
            .map(|stretching| Self {
                id,
                stretching,
                salt,
                for_tests,
                change: None,
            })
            .map_err(VaultError::Stretch);
        Some((header, wrapped))
    }

    fn second(map: &Map) -> Option<(Result<Self, VaultError>, Wrapped)> {
        let (header, wrapped) = Self::first(map)?;
        let change = Change {
            revision: map.int(9)?.as_u64()?,
            key: KeyName(map.int(10)?.as_bytes()?.try_into().ok()?),
        };
        let header = header.map(|header| Self {
            change: Some(change),
            ..header
        });
        let earlier = Some(Sealed::parse(map, 11, 12)?);
        Some((header, Wrapped { earlier, ..wrapped }))
    }

    /// Unwraps the vault key, and the keys that were its own before.
    pub(super) fn open(
        &self,
        wrapped: &Wrapped,
        passphrase: &Passphrase,
    ) -> Result<Keys, VaultError> {
        let wrapping = self.stretching.stretch(passphrase.as_bytes(), &self.salt)?;
        let aad = self.public().encode();
        let key = wrapped.key.open(&wrapping, &aad);
        let key = key.ok_or(VaultError::WrongPassphrase)?;
        let key = VaultKey::from_slice(&key).ok_or(VaultError::HeaderDamaged)?;
        self.with_key(wrapped, key).ok_or(VaultError::HeaderDamaged)
    }

    /// Adds the earlier keys to the newest; nothing if that is not this header's.
    pub(super) fn with_key(&self, wrapped: &Wrapped, key: VaultKey) -> Option<Keys> {
        let (Some(change), Some(earlier)) = (self.change, &wrapped.earlier) else {
            return Some(Keys::new(key));
        };
        let aad = self.public().encode();
        let earlier = earlier.open(&key.sealing_earlier(self.id), &aad)?;
        (key.name(self.id) == change.key).then(|| Keys::with_earlier(key, &earlier))?
    }
}

/// The wrapped keys.
pub(super) struct Wrapped {
    key: Sealed,
    earlier: Option<Sealed>,
}

struct Sealed {
    nonce: [u8; 12],
    bytes: Vec<u8>,
}

impl Sealed {
    fn parse(map: &Map, nonce: i64, bytes: i64) -> Option<Self> {
        Some(Self {
            nonce: map.int(nonce)?.as_bytes()?.try_into().ok()?,
            bytes: map.int(bytes)?.as_bytes()?.to_vec(),
        })
    }

    fn open(&self, key: &[u8; 32], aad: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let payload = Payload {
            msg: self.bytes.as_slice(),
            aad,
        };
        Aes256Gcm::new(key.into())
            .decrypt(Nonce::from_slice(&self.nonce), payload)
            .map(Zeroizing::new)
            .ok()
    }
}
