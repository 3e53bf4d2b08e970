//! The device store: what is this device's own and is never synced. It is sealed under the vault
//! key and a local salt, and bound to this machine.

mod bound;
mod file;
mod group;
mod introducer;
mod pin;
mod tries;

use std::fmt;
use std::fs;
use std::io;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};

use handfast_proto::cbor::{Map, SecretMap};
use handfast_proto::trust::identity::IdentityError;
#[cfg(fuzzing)]
use handfast_proto::trust::introduction::Introducer;
use handfast_proto::trust::{DeviceId, DeviceKeys, DeviceName};
use rand_core::{CryptoRngCore, OsRng};
use sha2::{Digest, Sha256};
use thiserror::Error;

pub(crate) use group::{File, Group, Seen};
pub use introducer::introducer;
pub use pin::{Pin, PinError, TRIES};

use self::bound::BoundKeys;
use self::file::StoreFile;
use self::pin::PinVerifier;
pub(crate) use self::tries::{Moment, NoTry, Tries};
use crate::compat::CompatExtensions;
use crate::disk::make_folder;
use crate::passphrase::{StretchError, Stretching};
use crate::vault::Vault;

/// Why a device store cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// It is damaged.
    #[error("the device store {} is damaged", .0.display())]
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
    /// What introduces this computer is damaged, or was copied here.
    #[error("the file {} is damaged, or was made on another machine", .0.display())]
    Introducer(PathBuf),
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
    /// It is sealed under the key of another header of the vault, which got new keys on two devices at
    /// once; the header's file is named.
    #[error("this device's keys are sealed under another key of the vault, that of {0}")]
    OtherKey(String),
    /// It belongs to another vault.
    #[error("the device store {} belongs to another vault", .0.display())]
    OtherVault(PathBuf),
    /// The vault got a new key since this program opened it.
    #[error("the vault was given a new key while this program had it open")]
    Rekeyed,
    /// The vault is older than this device knows it.
    #[error("the vault in {} is older than the one that this device has seen", .0.display())]
    RolledBack(PathBuf),
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
            Ok(bytes) if is_machine_id(bytes.trim_ascii()) => {
                return Ok(Self::from_bytes(bytes.trim_ascii()));
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(path)(error)),
            // Images and some containers have none, or one that is not filled in, the same for all.
            _ => {}
        }
        let host = Path::new("/proc/sys/kernel/hostname");
        let bytes = fs::read(host).map_err(at(host))?;
        Ok(Self::from_bytes(bytes.trim_ascii()))
    }

    #[cfg(feature = "console")]
    pub(crate) fn hash(&self) -> &[u8; 32] {
        &self.0
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

/// 32 hexadecimal digits, as machine-id(5) has them.
fn is_machine_id(text: &[u8]) -> bool {
    text.len() == 32 && text.iter().all(u8::is_ascii_hexdigit)
}

impl DeviceError {
    /// Returns whether nothing can be written there now, whatever it is.
    fn is_unwritable(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        let Self::Io { source, .. } = self else {
            return false;
        };
        matches!(
            source.kind(),
            QuotaExceeded | ReadOnlyFilesystem | StorageFull
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

/// The open device store. Several programs may have it open: each change is made on what is on disk
/// at that moment.
pub struct DeviceStore {
    file: StoreFile,
    keys: DeviceKeys,
    name: DeviceName,
    pin: Option<PinVerifier>,
    pub(crate) group: Option<Group>,
    bound: BoundKeys,
    /// Which extensions this device answers that WebAuthn has no more; only in memory.
    pub compat: CompatExtensions,
    /// What of the vault's folder the group has taken in; only in memory.
    pub(crate) seen: Seen,
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
        make_folder(folder).map_err(at(folder))?;
        let mut store = Self {
            file: StoreFile::new(folder, vault, machine, rng),
            keys: DeviceKeys::generate(rng),
            name,
            pin: None,
            group: None,
            bound: BoundKeys::default(),
            compat: CompatExtensions::default(),
            seen: Seen::default(),
        };
        let _lock = store.file.lock()?;
        if StoreFile::exists(folder) {
            return Err(DeviceError::Exists(folder.to_owned()));
        }
        store.write(rng)?;
        Ok(store)
    }

    /// Opens the store of this device.
    ///
    /// # Errors
    ///
    /// [`DeviceError`].
    pub fn open(folder: &Path, vault: &Vault, machine: &MachineId) -> Result<Self, DeviceError> {
        let (file, content) = StoreFile::open(folder, vault, machine)?;
        let content = read_content(&content).ok_or_else(|| file.damaged())?;
        let (keys, name, pin, group, bound) = content;
        let mut store = Self {
            file,
            keys,
            name,
            pin,
            group,
            bound,
            compat: CompatExtensions::default(),
            seen: Seen::default(),
        };
        if store.file.is_stale() {
            // Where it cannot be written now, it is opened with the earlier key until it can.
            let _ = store.hold().and_then(|mut held| held.save(&mut OsRng));
        }
        Ok(store)
    }

    /// Returns the counter of wrong pass phrases of this device.
    pub(crate) fn tries(&self) -> Tries {
        Tries::of(self.file.folder())
    }

    /// Returns the revision of the vault's header that the device store in a folder has seen, if there is one.
    #[cfg(feature = "console")]
    pub(crate) fn seen_revision(folder: &Path) -> Option<u64> {
        StoreFile::seen_revision(folder)
    }

    /// Looks whether the device store in a folder is one of this machine's, as far as that can be seen without
    /// opening it.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Damaged`], [`DeviceError::Missing`], [`DeviceError::NewerFormat`],
    /// [`DeviceError::OtherMachine`] and [`DeviceError::Io`].
    pub fn look(folder: &Path, machine: &MachineId) -> Result<(), DeviceError> {
        StoreFile::look(folder, machine)
    }

    /// Returns whether there is a device store in a folder.
    pub fn exists(folder: &Path) -> bool {
        StoreFile::exists(folder)
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
        let verifier = PinVerifier::new(pin, stretching, rng)?;
        let mut held = self.hold()?;
        held.pin = Some(verifier);
        held.save(rng)
    }

    /// Tries a PIN. The try is counted on disk before it is made, so that nobody gets more of them
    /// by pulling the plug or by trying in two programs at once.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Io`], when the try could not be counted and was not made, and
    /// [`DeviceError::Stretch`].
    pub fn check_pin(
        &mut self,
        attempt: &str,
        rng: &mut dyn CryptoRngCore,
    ) -> Result<PinCheck, DeviceError> {
        let mut held = self.hold()?;
        let Some(pin) = &mut held.pin else {
            return Ok(PinCheck::NotSet);
        };
        let Some(left) = pin.tries.checked_sub(1) else {
            return Ok(PinCheck::Blocked);
        };
        pin.tries = left;
        if let Err(error) = held.save(rng) {
            held.set_tries(left.saturating_add(1));
            return Err(error);
        }
        let right = match &held.pin {
            Some(pin) => pin.matches(attempt)?,
            None => false,
        };
        if !right {
            return Ok(if left == 0 {
                PinCheck::Blocked
            } else {
                PinCheck::Wrong(left)
            });
        }
        held.set_tries(TRIES);
        held.save(rng)?;
        Ok(PinCheck::Right)
    }

    fn set_tries(&mut self, tries: u8) {
        if let Some(pin) = &mut self.pin {
            pin.tries = tries;
        }
    }

    /// Takes the store for a change: nobody else changes it meanwhile, and it is as it is on disk.
    pub(crate) fn hold(&mut self) -> Result<Held<'_>, DeviceError> {
        let lock = self.file.lock()?;
        if let Some(content) = self.file.changed()? {
            let content = read_content(&content).ok_or_else(|| self.file.damaged())?;
            (self.keys, self.name, self.pin, self.group, self.bound) = content;
            self.seen = Seen::default();
        }
        Ok(Held {
            store: self,
            _lock: lock,
        })
    }

    fn write(&mut self, rng: &mut dyn CryptoRngCore) -> Result<(), DeviceError> {
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
            .with_some(5, group)
            .with_some(6, self.bound.to_list());
        self.file.write(&SecretMap::from(content), rng)
    }
}

impl fmt::Debug for DeviceStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceStore({})", self.id())
    }
}

/// The store, while nobody else can change it.
pub(crate) struct Held<'a> {
    store: &'a mut DeviceStore,
    _lock: fs::File,
}

impl Held<'_> {
    /// Writes the store durably.
    pub(crate) fn save(&mut self, rng: &mut dyn CryptoRngCore) -> Result<(), DeviceError> {
        self.store.seen.forget_version();
        self.store.write(rng)
    }
}

impl Deref for Held<'_> {
    type Target = DeviceStore;

    fn deref(&self) -> &DeviceStore {
        self.store
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut DeviceStore {
        self.store
    }
}

type Content = (
    DeviceKeys,
    DeviceName,
    Option<PinVerifier>,
    Option<Group>,
    BoundKeys,
);

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
    let bound = match map.int(6) {
        Some(bound) => BoundKeys::parse(bound)?,
        None => BoundKeys::default(),
    };
    Some((keys, name, pin, group, bound))
}

/// Reads what is in a device store, and beside it.
#[cfg(fuzzing)]
pub(crate) fn fuzzing_content(bytes: &[u8]) {
    if let Ok(Some(map)) = SecretMap::decode(bytes) {
        let _ = read_content(&map);
        let _ = Introducer::parse(&map);
    }
}
