//! The device store's file: sealed under the vault key and a local salt, bound to vault and machine.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use handfast_proto::cbor::{self, Map, SecretMap, Value};
use hkdf::Hkdf;
use rand_core::CryptoRngCore;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{DeviceError, MachineId, at};
use crate::disk::write_atomically;
use crate::format::Format;
use crate::locked::Locked;
use crate::vault::Vault;

const NAME: &str = "device.handfast";
const KIND: &str = "handfast-device";
/// The format of stores that are written; format 1 does not say which of the vault's headers it saw.
const FORMAT: u64 = 2;

/// By which a version of the file is known without reading it: every version is a new file.
type Stamp = (u64, u64, Option<SystemTime>);

/// Where the store is, and what seals it.
pub(super) struct StoreFile {
    path: PathBuf,
    binding: Binding,
    key: Locked<[u8; 32]>,
    stamp: Option<Stamp>,
    /// Whether it is sealed under an earlier key of the vault, or knows an earlier header of it.
    is_stale: bool,
}

/// What everybody sees of the file: which salt, vault and machine it needs, and which of the vault's
/// headers this device has seen, by its revision.
#[derive(Clone, Copy, PartialEq)]
struct Binding {
    salt: [u8; 32],
    machine: [u8; 16],
    vault: [u8; 16],
    /// Nothing in format 1.
    revision: Option<u64>,
}

impl Binding {
    fn new(salt: [u8; 32], vault: &Vault, machine: &MachineId) -> Self {
        Self {
            salt,
            machine: machine_tag(&salt, machine),
            vault: tag(&salt, &vault.id().0, b"handfast-device-vault/v1"),
            revision: Some(vault.revision()),
        }
    }

    fn is_of(&self, machine: &MachineId) -> bool {
        machine_tag(&self.salt, machine).ct_eq(&self.machine).into()
    }

    fn seen(&self) -> u64 {
        self.revision.unwrap_or_default()
    }

    fn public(&self) -> Map {
        Map::new()
            .with(1, KIND)
            .with(2, if self.revision.is_some() { FORMAT } else { 1 })
            .with(3, self.salt)
            .with(4, self.machine)
            .with(5, self.vault)
            .with_some(8, self.revision)
    }
}

fn machine_tag(salt: &[u8; 32], machine: &MachineId) -> [u8; 16] {
    tag(salt, &machine.0, b"handfast-device-machine/v1")
}

fn tag(salt: &[u8; 32], name: &[u8], purpose: &[u8]) -> [u8; 16] {
    let mut tag = [0; 16];
    // The only error is a length above 8160 bytes.
    let _ = Hkdf::<Sha256>::new(Some(salt), name).expand(purpose, &mut tag);
    tag
}

type SealingKey = Zeroizing<[u8; 32]>;

/// The keys that a vault gives, the newest first, which is the one to seal with.
fn sealing_keys(
    vault: &Vault,
    salt: &[u8; 32],
    machine: &MachineId,
) -> (Locked<[u8; 32]>, Vec<SealingKey>) {
    let mut newest = SealingKey::default();
    let mut earlier = Vec::new();
    for (at, vault_key) in vault.keys().enumerate() {
        let mut key = SealingKey::default();
        let hkdf = Hkdf::<Sha256>::new(Some(salt), vault_key);
        // The only error is a length above 8160 bytes.
        let _ = hkdf.expand_multi_info(&[b"handfast-device/v1", &machine.0], key.as_mut());
        match at {
            0 => newest = key,
            _ => earlier.push(key),
        }
    }
    (Locked::copy_of(&newest), earlier)
}

impl StoreFile {
    pub(super) fn exists(folder: &Path) -> bool {
        folder.join(NAME).exists()
    }

    #[cfg(feature = "console")]
    pub(super) fn seen_revision(folder: &Path) -> Option<u64> {
        let outer = Outer::read(&folder.join(NAME)).ok()?;
        Some(outer.binding.seen())
    }

    pub(super) fn look(folder: &Path, machine: &MachineId) -> Result<(), DeviceError> {
        let path = folder.join(NAME);
        let outer = Outer::read(&path)?;
        match outer.binding.is_of(machine) {
            true => Ok(()),
            false => Err(DeviceError::OtherMachine(path)),
        }
    }

    pub(super) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// Prepares the file of a new device; nothing is written yet.
    pub(super) fn new(
        folder: &Path,
        vault: &Vault,
        machine: &MachineId,
        rng: &mut dyn CryptoRngCore,
    ) -> Self {
        let mut salt = [0; 32];
        rng.fill_bytes(&mut salt);
        Self {
            path: folder.join(NAME),
            binding: Binding::new(salt, vault, machine),
            key: sealing_keys(vault, &salt, machine).0,
            stamp: None,
            is_stale: false,
        }
    }

    /// Opens the file of this device.
    pub(super) fn open(
        folder: &Path,
        vault: &Vault,
        machine: &MachineId,
    ) -> Result<(Self, SecretMap), DeviceError> {
        let path = folder.join(NAME);
        let stamp = stamp(&path);
        let outer = Outer::read(&path)?;
        let ours = Binding::new(outer.binding.salt, vault, machine);
        if !bool::from(ours.vault.ct_eq(&outer.binding.vault)) {
            return Err(DeviceError::OtherVault(path));
        }
        if !outer.binding.is_of(machine) {
            return Err(DeviceError::OtherMachine(path));
        }
        if outer.binding.seen() > ours.seen() {
            return Err(DeviceError::RolledBack(vault.folder().to_owned()));
        }
        let (key, earlier) = sealing_keys(vault, &ours.salt, machine);
        let file = Self {
            key,
            is_stale: ours != outer.binding,
            binding: ours,
            path,
            stamp,
        };
        match outer.unseal(&file.key) {
            Some(content) => Ok((file, content)),
            None => {
                let content = earlier.iter().find_map(|key| outer.unseal(key));
                let content = content.ok_or_else(|| file.sealed_by_another(vault))?;
                Ok((
                    Self {
                        is_stale: true,
                        ..file
                    },
                    content,
                ))
            }
        }
    }

    /// Why no key of the vault opens it.
    fn sealed_by_another(&self, vault: &Vault) -> DeviceError {
        let others = vault.other_headers();
        let others: Vec<String> = others
            .iter()
            .map(|other| other.path().display().to_string())
            .collect();
        match others.is_empty() {
            true => self.damaged(),
            false => DeviceError::OtherKey(others.join(", ")),
        }
    }

    /// Returns whether the file is to be written anew, for the vault has a newer key or header.
    pub(super) fn is_stale(&self) -> bool {
        self.is_stale
    }

    /// Keeps all other programs of this device from changing the file, until the value is dropped.
    pub(super) fn lock(&self) -> Result<File, DeviceError> {
        let folder = self.folder();
        let lock = File::open(folder).map_err(at(folder))?;
        lock.lock().map_err(at(folder))?;
        Ok(lock)
    }

    /// Reads the file again, if another program has written it.
    pub(super) fn changed(&mut self) -> Result<Option<SecretMap>, DeviceError> {
        let stamp = stamp(&self.path);
        if stamp.is_some() && stamp == self.stamp {
            return Ok(None);
        }
        let outer = Outer::read(&self.path)?;
        let (seen, ours) = (outer.binding.seen(), self.binding.seen());
        let same = Binding {
            revision: outer.binding.revision,
            ..self.binding
        };
        if outer.binding != same {
            return Err(self.damaged());
        }
        let content = outer.unseal(&self.key).ok_or_else(|| match seen > ours {
            true => DeviceError::Rekeyed,
            false => self.damaged(),
        })?;
        if seen > ours {
            self.binding = outer.binding;
        }
        self.stamp = stamp;
        Ok(Some(content))
    }

    /// Writes the file durably.
    pub(super) fn write(
        &mut self,
        content: &SecretMap,
        rng: &mut dyn CryptoRngCore,
    ) -> Result<(), DeviceError> {
        let mut nonce = [0; 12];
        rng.fill_bytes(&mut nonce);
        let public = self.binding.public();
        let content = content.encode();
        let payload = Payload {
            msg: &content,
            aad: &public.encode(),
        };
        let sealed = Aes256Gcm::new((&*self.key).into())
            .encrypt(Nonce::from_slice(&nonce), payload)
            .map_err(|_| DeviceError::Damaged(self.path.clone()))?;
        let file = public.with(6, nonce).with(7, sealed).encode();
        write_atomically(&self.path, &file).map_err(at(&self.path))?;
        self.stamp = stamp(&self.path);
        self.is_stale = false;
        Ok(())
    }

    pub(super) fn damaged(&self) -> DeviceError {
        DeviceError::Damaged(self.path.clone())
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.ino(), metadata.len(), metadata.modified().ok()))
}

struct Outer {
    binding: Binding,
    nonce: [u8; 12],
    sealed: Vec<u8>,
}

impl Outer {
    fn read(path: &Path) -> Result<Self, DeviceError> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = path.parent().unwrap_or(path);
                return Err(DeviceError::Missing(folder.to_owned()));
            }
            Err(error) => return Err(at(path)(error)),
        };
        let damaged = || DeviceError::Damaged(path.to_owned());
        let map = cbor::decode(&bytes).ok().and_then(Value::into_map);
        let map = map.ok_or_else(damaged)?;
        match Format::of(&map, KIND, FORMAT) {
            Format::Known(_) => {}
            Format::Newer(newer) => return Err(DeviceError::NewerFormat(newer)),
            Format::Foreign => return Err(damaged()),
        }
        Self::parts(&map).ok_or_else(damaged)
    }

    fn unseal(&self, key: &[u8; 32]) -> Option<SecretMap> {
        let payload = Payload {
            msg: self.sealed.as_slice(),
            aad: &self.binding.public().encode(),
        };
        let plaintext = Aes256Gcm::new(key.into())
            .decrypt(Nonce::from_slice(&self.nonce), payload)
            .map(Zeroizing::new)
            .ok()?;
        SecretMap::decode(&plaintext).ok().flatten()
    }

    fn parts(map: &Map) -> Option<Self> {
        Some(Self {
            binding: Binding {
                salt: map.int(3)?.as_bytes()?.try_into().ok()?,
                machine: map.int(4)?.as_bytes()?.try_into().ok()?,
                vault: map.int(5)?.as_bytes()?.try_into().ok()?,
                revision: match map.int(2)?.as_u64()? {
                    1 => None,
                    _ => Some(map.int(8)?.as_u64()?),
                },
            },
            nonce: map.int(6)?.as_bytes()?.try_into().ok()?,
            sealed: map.int(7)?.as_bytes()?.to_vec(),
        })
    }
}
