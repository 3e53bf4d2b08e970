//! The device store: what is this device's own and is never synced. It is sealed under the vault
//! key and a local salt, and bound to this machine.

mod group;
mod pin;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use handfast_proto::cbor::{self, Map, Value};
use handfast_proto::trust::identity::IdentityError;
use handfast_proto::trust::{DeviceId, DeviceKeys, DeviceName};
use hkdf::Hkdf;
use rand_core::CryptoRngCore;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

pub(crate) use group::Group;
pub use pin::{Pin, PinError, TRIES};

use self::pin::PinVerifier;
use crate::disk::write_atomically;
use crate::passphrase::{StretchError, Stretching};
use crate::vault::Vault;

const FILE: &str = "device.handfast";
const KIND: &str = "handfast-device";
const FORMAT: u64 = 1;

/// Why a device store cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// It is damaged, or of another vault.
    #[error("the device store {} is damaged, or belongs to another vault", .0.display())]
    Damaged(PathBuf),
    /// There is one already.
    #[error("this device has a device store in {} already", .0.display())]
    Exists(PathBuf),
    /// The operating system refused something.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A device key cannot be read or written.
    #[error("a device key is not valid")]
    Key(#[from] IdentityError),
    /// There is none.
    #[error("this device has not been set up: there is no device store in {}", .0.display())]
    Missing(PathBuf),
    /// It is of a newer version.
    #[error("the device store has format {0}, which a newer version of Handfast made")]
    NewerFormat(u64),
    /// It was copied here.
    #[error("the device store {} was made on another machine; device keys are never copied", .0.display())]
    OtherMachine(PathBuf),
    /// The PIN cannot be stretched.
    #[error("the PIN cannot be kept: {0}")]
    Stretch(#[from] StretchError),
}

/// What names a machine: the content of `/etc/machine-id`, hashed.
#[derive(Clone, Debug, PartialEq)]
pub struct MachineId([u8; 32]);

impl MachineId {
    /// Reads this machine's.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Io`].
    pub fn of_this_machine() -> Result<Self, DeviceError> {
        let path = Path::new("/etc/machine-id");
        match fs::read(path) {
            Ok(bytes) => Ok(Self::from_bytes(bytes.trim_ascii())),
            // Some containers have none: then the name that the kernel has for this boot's host.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let host = Path::new("/proc/sys/kernel/hostname");
                let bytes = fs::read(host).map_err(at(host))?;
                Ok(Self::from_bytes(bytes.trim_ascii()))
            }
            Err(error) => Err(at(path)(error)),
        }
    }

    /// Takes any bytes as a machine's name.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(
            Sha256::new()
                .chain_update(b"handfast-machine/v1")
                .chain_update(bytes)
                .finalize()
                .into(),
        )
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> DeviceError {
    let path = path.to_owned();
    move |source| DeviceError::Io { path, source }
}

/// How an attempt at the PIN went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PinCheck {
    /// Right.
    Right,
    /// Wrong, with this many tries left.
    Wrong(u8),
    /// No tries are left.
    Blocked,
    /// This device has no PIN.
    NotSet,
}

/// The open device store.
pub struct DeviceStore {
    path: PathBuf,
    salt: [u8; 32],
    machine_tag: [u8; 16],
    key: Zeroizing<[u8; 32]>,
    keys: DeviceKeys,
    name: DeviceName,
    pin: Option<PinVerifier>,
    pub(crate) group: Option<Group>,
}

impl DeviceStore {
    /// Makes the store of a new device.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Exists`] and [`DeviceError::Io`].
    pub fn create(
        folder: &Path,
        vault: &Vault,
        machine: &MachineId,
        name: DeviceName,
        rng: &mut dyn CryptoRngCore,
    ) -> Result<Self, DeviceError> {
        let path = folder.join(FILE);
        if path.exists() {
            return Err(DeviceError::Exists(folder.to_owned()));
        }
        let mut salt = [0; 32];
        rng.fill_bytes(&mut salt);
        let (key, machine_tag) = derive(vault, &salt, machine);
        let keys = DeviceKeys::generate(rng);
        let store = Self {
            path,
            salt,
            machine_tag,
            key,
            keys,
            name,
            pin: None,
            group: None,
        };
        store.save(rng)?;
        Ok(store)
    }

    /// Opens the store of this device.
    ///
    /// # Errors
    ///
    /// [`DeviceError`].
    pub fn open(folder: &Path, vault: &Vault, machine: &MachineId) -> Result<Self, DeviceError> {
        let path = folder.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(DeviceError::Missing(folder.to_owned()));
            }
            Err(error) => return Err(at(&path)(error)),
        };
        let damaged = || DeviceError::Damaged(path.clone());
        let map = cbor::decode(&bytes)
            .ok()
            .and_then(Value::into_map)
            .ok_or_else(damaged)?;
        if map.int(1).and_then(Value::as_text) != Some(KIND) {
            return Err(damaged());
        }
        match map.int(2).and_then(Value::as_u64) {
            Some(FORMAT) => {}
            Some(newer) if newer > FORMAT => return Err(DeviceError::NewerFormat(newer)),
            _ => return Err(damaged()),
        }
        let outer = Outer::read(&map).ok_or_else(damaged)?;
        let (key, machine_tag) = derive(vault, &outer.salt, machine);
        let aad = public(&outer.salt, &outer.machine_tag).encode();
        let payload = Payload {
            msg: outer.sealed.as_slice(),
            aad: &aad,
        };
        let opened = Aes256Gcm::new(key.as_ref().into())
            .decrypt(Nonce::from_slice(&outer.nonce), payload)
            .map(Zeroizing::new);
        let Ok(plaintext) = opened else {
            let same = bool::from(machine_tag.ct_eq(&outer.machine_tag));
            return Err(if same {
                damaged()
            } else {
                DeviceError::OtherMachine(path)
            });
        };
        let content = cbor::decode(&plaintext).ok().and_then(Value::into_map);
        let content = content.ok_or_else(damaged)?;
        let (keys, name, pin, group) = read_content(&content).ok_or_else(damaged)?;
        Ok(Self {
            path,
            salt: outer.salt,
            machine_tag,
            key,
            keys,
            name,
            pin,
            group,
        })
    }

    /// Returns whether there is a device store in a folder.
    pub fn exists(folder: &Path) -> bool {
        folder.join(FILE).exists()
    }

    /// Returns the device's keys.
    pub fn keys(&self) -> &DeviceKeys {
        &self.keys
    }

    /// Returns the device.
    pub fn id(&self) -> DeviceId {
        self.keys.device_id()
    }

    /// Returns what its owner calls it.
    pub fn name(&self) -> &DeviceName {
        &self.name
    }

    /// Returns whether a PIN is set.
    pub fn has_pin(&self) -> bool {
        self.pin.is_some()
    }

    /// Returns how many tries are left, if a PIN is set.
    pub fn pin_tries(&self) -> Option<u8> {
        self.pin.as_ref().map(|pin| pin.tries)
    }

    /// Sets the PIN, with all its tries.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Stretch`] and [`DeviceError::Io`].
    pub fn set_pin(
        &mut self,
        pin: &Pin,
        stretching: Stretching,
        rng: &mut dyn CryptoRngCore,
    ) -> Result<(), DeviceError> {
        self.pin = Some(PinVerifier::new(pin, stretching, rng)?);
        self.save(rng)
    }

    /// Tries a PIN. The try is counted on disk before it is made, so that nobody gets more of them
    /// by pulling the plug.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Io`]; then nothing was tried.
    pub fn check_pin(
        &mut self,
        attempt: &str,
        rng: &mut dyn CryptoRngCore,
    ) -> Result<PinCheck, DeviceError> {
        let Some(pin) = &mut self.pin else {
            return Ok(PinCheck::NotSet);
        };
        let Some(left) = pin.tries.checked_sub(1) else {
            return Ok(PinCheck::Blocked);
        };
        pin.tries = left;
        let verifier = pin.clone();
        self.save(rng)?;
        if !verifier.matches(attempt) {
            return Ok(if left == 0 {
                PinCheck::Blocked
            } else {
                PinCheck::Wrong(left)
            });
        }
        if let Some(pin) = &mut self.pin {
            pin.tries = TRIES;
        }
        self.save(rng)?;
        Ok(PinCheck::Right)
    }

    /// Writes the store durably.
    pub(crate) fn save(&self, rng: &mut dyn CryptoRngCore) -> Result<(), DeviceError> {
        let (dsk, mk) = self.keys.to_parts()?;
        let group = match &self.group {
            // A group that could not be written would be lost.
            Some(group) => Some(group.to_map(rng).ok_or(IdentityError::Key)?),
            None => None,
        };
        let content = Map::new()
            .with(1, dsk.as_slice())
            .with(2, mk.as_slice())
            .with(3, self.name.as_str())
            .with_some(4, self.pin.as_ref().map(PinVerifier::to_map))
            .with_some(5, group);
        let content = Zeroizing::new(content.encode());
        let mut nonce = [0; 12];
        rng.fill_bytes(&mut nonce);
        let public = public(&self.salt, &self.machine_tag);
        let aad = public.encode();
        let sealed = Aes256Gcm::new(self.key.as_ref().into())
            .encrypt(
                Nonce::from_slice(&nonce),
                Payload {
                    msg: &content,
                    aad: &aad,
                },
            )
            .map_err(|_| DeviceError::Damaged(self.path.clone()))?;
        let file = public.with(5, nonce).with(6, sealed).encode();
        write_atomically(&self.path, &file).map_err(at(&self.path))
    }
}

impl fmt::Debug for DeviceStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceStore({})", self.id())
    }
}

struct Outer {
    salt: [u8; 32],
    machine_tag: [u8; 16],
    nonce: [u8; 12],
    sealed: Vec<u8>,
}

impl Outer {
    fn read(map: &Map) -> Option<Self> {
        Some(Self {
            salt: map.int(3)?.as_bytes()?.try_into().ok()?,
            machine_tag: map.int(4)?.as_bytes()?.try_into().ok()?,
            nonce: map.int(5)?.as_bytes()?.try_into().ok()?,
            sealed: map.int(6)?.as_bytes()?.to_vec(),
        })
    }
}

fn public(salt: &[u8; 32], machine_tag: &[u8; 16]) -> Map {
    Map::new()
        .with(1, KIND)
        .with(2, FORMAT)
        .with(3, salt)
        .with(4, machine_tag)
}

/// The store's key, and a tag by which a store of another machine is told from a damaged one.
fn derive(vault: &Vault, salt: &[u8; 32], machine: &MachineId) -> (Zeroizing<[u8; 32]>, [u8; 16]) {
    let hkdf = Hkdf::<Sha256>::new(Some(salt), vault.key());
    let (mut key, mut tag) = (Zeroizing::new([0; 32]), [0; 16]);
    // The only error is a length above 8160 bytes.
    let _ = hkdf.expand_multi_info(&[b"handfast-device/v1", &machine.0], key.as_mut());
    let _ = hkdf.expand_multi_info(&[b"handfast-device-machine/v1", &machine.0], &mut tag);
    (key, tag)
}

type Content = (DeviceKeys, DeviceName, Option<PinVerifier>, Option<Group>);

fn read_content(map: &Map) -> Option<Content> {
    let keys = DeviceKeys::from_parts(map.int(1)?.as_bytes()?, map.int(2)?.as_bytes()?).ok()?;
    let name = DeviceName::parse(map.int(3)?.as_text()?).ok()?;
    let pin = match map.int(4) {
        Some(pin) => Some(PinVerifier::parse(pin.as_map()?)?),
        None => None,
    };
    let group = match map.int(5) {
        Some(group) => Some(Group::parse(group.as_map()?)?),
        None => None,
    };
    Some((keys, name, pin, group))
}
