//! What this computer introduces itself with, kept where no pass phrase is needed for it
//! (`docs/introductions.md`).

use std::path::Path;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use handfast_proto::cbor::{Map, SecretMap};
use handfast_proto::trust::introduction::Introducer;
use hkdf::Hkdf;
use rand_core::CryptoRngCore;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{DeviceError, DeviceStore, MachineId, at};
use crate::disk::write_atomically;
use crate::format::{Unusable, read_ours};
use crate::vault::Vault;

const NAME: &str = "introducer.handfast";
const KIND: &str = "handfast-introducer";
const FORMAT: u64 = 1;
/// No file of ours is longer.
const LONGEST: u64 = 4 * 1024;

/// Reads what this computer introduces itself with; nothing if it has opened no vault yet.
///
/// # Errors
///
/// [`DeviceError::Introducer`], [`DeviceError::Io`] and [`DeviceError::NewerFormat`].
pub fn introducer(folder: &Path, machine: &MachineId) -> Result<Option<Introducer>, DeviceError> {
    let path = folder.join(NAME);
    let damaged = || DeviceError::Introducer(path.clone());
    let read = read_ours(&path, LONGEST, KIND, FORMAT).map_err(|unusable| match unusable {
        Unusable::Damaged => damaged(),
        Unusable::Io(error) => at(&path)(error),
        Unusable::Newer(newer) => DeviceError::NewerFormat(newer),
    });
    let Some(map) = read? else {
        return Ok(None);
    };
    let sealed = Sealed::parse(&map).ok_or_else(damaged)?;
    let content = sealed.open(machine);
    let content = content.ok_or_else(damaged)?;
    Introducer::parse(&content).map(Some).ok_or_else(damaged)
}

impl DeviceStore {
    /// Sees to it that this computer can introduce itself to the other devices of its vault: it gets a new
    /// introducer if it has none that is good for that.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Io`].
    pub fn keep_introducer(
        &self,
        vault: &Vault,
        machine: &MachineId,
        rng: &mut dyn CryptoRngCore,
    ) -> Result<(), DeviceError> {
        let folder = self.file.folder();
        let known = introducer(folder, machine);
        if let Err(DeviceError::NewerFormat(_)) = known {
            // A newer version will know what to do with its own.
            return known.map(drop);
        }
        let known = known.ok().flatten();
        if known.is_some_and(|known| known.is_of(self.id(), vault.key())) {
            return Ok(());
        }
        let path = folder.join(NAME);
        let made = Introducer::issue(self.keys(), vault.key(), rng);
        let sealed = made
            .to_map()
            .and_then(|map| Sealed::seal(&map, machine, rng));
        let sealed = sealed.ok_or_else(|| DeviceError::Introducer(path.clone()))?;
        write_atomically(&path, &sealed.file()).map_err(at(&path))
    }
}

/// The file: no secret from who can read this machine's name, and of no use anywhere else.
struct Sealed {
    salt: [u8; 32],
    nonce: [u8; 12],
    sealed: Vec<u8>,
}

impl Sealed {
    fn seal(content: &SecretMap, machine: &MachineId, rng: &mut dyn CryptoRngCore) -> Option<Self> {
        let (mut salt, mut nonce) = ([0; 32], [0; 12]);
        rng.fill_bytes(&mut salt);
        rng.fill_bytes(&mut nonce);
        let public = public(&salt).encode();
        let content = content.encode();
        let payload = Payload {
            msg: content.as_slice(),
            aad: &public,
        };
        let sealed = cipher(&salt, machine).encrypt(Nonce::from_slice(&nonce), payload);
        Some(Self {
            salt,
            nonce,
            sealed: sealed.ok()?,
        })
    }

    fn open(&self, machine: &MachineId) -> Option<SecretMap> {
        let payload = Payload {
            msg: self.sealed.as_slice(),
            aad: &public(&self.salt).encode(),
        };
        let plaintext = cipher(&self.salt, machine)
            .decrypt(Nonce::from_slice(&self.nonce), payload)
            .map(Zeroizing::new)
            .ok()?;
        SecretMap::decode(&plaintext).ok().flatten()
    }

    fn file(&self) -> Vec<u8> {
        public(&self.salt)
            .with(4, self.nonce)
            .with(5, self.sealed.as_slice())
            .encode()
    }

    fn parse(map: &Map) -> Option<Self> {
        Some(Self {
            salt: map.int(3)?.as_bytes()?.try_into().ok()?,
            nonce: map.int(4)?.as_bytes()?.try_into().ok()?,
            sealed: map.int(5)?.as_bytes()?.to_vec(),
        })
    }
}

fn public(salt: &[u8; 32]) -> Map {
    Map::new().with(1, KIND).with(2, FORMAT).with(3, salt)
}

fn cipher(salt: &[u8; 32], machine: &MachineId) -> Aes256Gcm {
    let mut key = Zeroizing::new([0; 32]);
    let hkdf = Hkdf::<Sha256>::new(Some(salt), &machine.0);
    // The only error is a length above 8160 bytes.
    let _ = hkdf.expand(b"handfast-introducer/v1", key.as_mut());
    Aes256Gcm::new((&*key).into())
}
