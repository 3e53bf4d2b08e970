//! The vault: a folder of encrypted files that any file sync can carry. Files are known by their
//! content, so conflict copies of any name are read too (see `docs/vault.md`).

mod header;
mod passkey;
mod sealed;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use handfast_proto::cbor::{self, Map, Value};
use handfast_proto::ids::{CredentialId, RpId};
use handfast_proto::trust::{DeviceId, DeviceName, MemberKey, VaultId};
use rand_core::CryptoRngCore;
use thiserror::Error;
use zeroize::Zeroizing;

pub use passkey::Passkey;

use self::header::{Header, VaultKey};
use self::sealed::{Fault, FileKey, Kind};
use crate::disk::{is_hidden, random_name, write_atomically, write_new};
use crate::passphrase::{Passphrase, StretchError, Stretching};

/// The header's file.
const HEADER: &str = "vault.handfast";

/// How long a passkey is kept that another has replaced, in seconds: 30 days.
const KEPT_AFTER_REPLACEMENT: u64 = 30 * 24 * 60 * 60;

/// A folder's time of change is trusted to tell every change once it is this old.
const GRAIN: Duration = Duration::from_secs(2);

/// Why a vault cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum VaultError {
    /// There is one already.
    #[error("there is a vault in {} already", .0.display())]
    Exists(PathBuf),
    /// The header cannot be read.
    #[error("the vault's header is damaged")]
    HeaderDamaged,
    /// The operating system refused something.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is none.
    #[error("there is no vault in {}", .0.display())]
    Missing(PathBuf),
    /// It is of a newer version.
    #[error("the vault has format {0}, which a newer version of Handfast made")]
    NewerFormat(u64),
    /// The pass phrase cannot be stretched.
    #[error("the vault cannot be opened: {0}")]
    Stretch(#[from] StretchError),
    /// The pass phrase is wrong.
    #[error("the pass phrase is wrong")]
    WrongPassphrase,
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> VaultError {
    let path = path.to_owned();
    move |source| VaultError::Io { path, source }
}

/// How a new vault is made.
#[derive(Clone, Copy, Debug)]
pub struct InitOptions {
    /// Whether the vault is only for tests: then approval without a person can be asked for.
    pub for_tests: bool,
    /// How its pass phrase is stretched.
    pub stretching: Stretching,
}

impl Default for InitOptions {
    fn default() -> Self {
        Self {
            for_tests: false,
            stretching: Stretching::DEFAULT,
        }
    }
}

/// A device that opened the vault.
#[derive(Clone, Debug, PartialEq)]
pub struct VaultDevice {
    /// The device.
    pub id: DeviceId,
    /// What its owner calls it.
    pub name: DeviceName,
    /// When it first opened the vault, seconds since 1970.
    pub since: u64,
}

/// An open vault.
pub struct Vault {
    folder: PathBuf,
    header: Header,
    key: VaultKey,
    files: FileKey,
    stamps: HashMap<PathBuf, Stamp>,
    settled: HashMap<PathBuf, SystemTime>,
    passkeys: HashMap<CredentialId, (Passkey, PathBuf)>,
    by_rp: HashMap<RpId, Vec<CredentialId>>,
    devices: BTreeMap<DeviceId, VaultDevice>,
    group: BTreeMap<PathBuf, (u64, Vec<u8>)>,
    group_version: u64,
    damaged: BTreeMap<PathBuf, &'static str>,
}

/// By which an unchanged file is known without reading it.
type Stamp = (u64, Option<SystemTime>);

impl Vault {
    /// Makes a vault.
    ///
    /// # Errors
    ///
    /// [`VaultError::Exists`] and [`VaultError::Io`].
    pub fn init(
        folder: &Path,
        passphrase: &Passphrase,
        options: InitOptions,
        rng: &mut dyn CryptoRngCore,
    ) -> Result<Self, VaultError> {
        let path = folder.join(HEADER);
        if Self::exists(folder) {
            return Err(VaultError::Exists(folder.to_owned()));
        }
        let (mut id, mut salt, mut key) = ([0; 16], [0; 16], Zeroizing::new([0; 32]));
        rng.fill_bytes(&mut id);
        rng.fill_bytes(&mut salt);
        rng.fill_bytes(key.as_mut());
        let InitOptions {
            for_tests,
            stretching,
        } = options;
        let header = Header {
            id: VaultId(id),
            stretching,
            salt,
            for_tests,
        };
        let bytes = header.seal(passphrase, &key, rng)?;
        // A header that a file sync brought meanwhile is the key to everything: it stays.
        write_new(&path, &bytes).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => VaultError::Exists(folder.to_owned()),
            _ => at(&path)(error),
        })?;
        Self::with_key(folder, header, key)
    }

    /// Opens a vault.
    ///
    /// # Errors
    ///
    /// [`VaultError`]. Damaged files other than the header are no error: see [`Self::damaged`].
    pub fn open(folder: &Path, passphrase: &Passphrase) -> Result<Self, VaultError> {
        let path = header_path(folder).ok_or_else(|| VaultError::Missing(folder.to_owned()))?;
        let bytes = fs::read(&path).map_err(at(&path))?;
        let (header, wrapped) = Header::parse(&bytes)?;
        let key = header.open(&wrapped, passphrase)?;
        Self::with_key(folder, header, key)
    }

    /// Returns whether there is a vault in a folder.
    pub fn exists(folder: &Path) -> bool {
        header_path(folder).is_some()
    }

    fn with_key(folder: &Path, header: Header, key: VaultKey) -> Result<Self, VaultError> {
        let mut vault = Self {
            files: FileKey::derive(header.id, &key),
            folder: folder.to_owned(),
            header,
            key,
            stamps: HashMap::new(),
            settled: HashMap::new(),
            passkeys: HashMap::new(),
            by_rp: HashMap::new(),
            devices: BTreeMap::new(),
            group: BTreeMap::new(),
            group_version: 0,
            damaged: BTreeMap::new(),
        };
        vault.refresh()?;
        Ok(vault)
    }

    /// Reads what changed in the folder since it was last read. A file that is rewritten in its place,
    /// as no file sync does that was met so far, is seen when its folder changes next.
    ///
    /// # Errors
    ///
    /// [`VaultError::Io`] if the folder cannot be listed.
    pub fn refresh(&mut self) -> Result<(), VaultError> {
        for kind in Kind::ALL {
            let folder = self.folder.join(kind.folder());
            let begin = SystemTime::now();
            let changed = fs::metadata(&folder)
                .and_then(|metadata| metadata.modified())
                .ok();
            if changed.is_some() && self.settled.get(&folder) == changed.as_ref() {
                continue;
            }
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(at(&folder)(error)),
            };
            for entry in entries {
                let path = entry.map_err(at(&folder))?.path();
                if !is_hidden(&path) {
                    self.look_at(kind, path);
                }
            }
            // A folder that changed just now may change again within its clock's grain.
            let old = |at: &SystemTime| begin.duration_since(*at).is_ok_and(|age| age > GRAIN);
            match changed.filter(old) {
                Some(changed) => self.settled.insert(folder, changed),
                None => self.settled.remove(&folder),
            };
        }
        let before = self.group.len();
        self.group.retain(|path, _| path.exists());
        if self.group.len() != before {
            self.group_version += 1;
        }
        self.damaged.retain(|path, _| path.exists());
        Ok(())
    }

    fn look_at(&mut self, kind: Kind, path: PathBuf) {
        // A file that vanishes while we look has been replaced; the next look finds the new one.
        let Ok(metadata) = fs::metadata(&path) else {
            return;
        };
        let stamp = (metadata.len(), metadata.modified().ok());
        if !metadata.is_file() || self.stamps.get(&path) == Some(&stamp) {
            return;
        }
        let Ok(bytes) = fs::read(&path) else {
            self.damaged.insert(path, "it cannot be read");
            return;
        };
        match self.take(kind, &path, &bytes) {
            Ok(()) => {
                self.damaged.remove(&path);
            }
            Err(Fault::Damaged) => {
                self.damaged
                    .insert(path.clone(), "it is damaged, or of another vault");
            }
            Err(Fault::Newer) => {
                self.damaged
                    .insert(path.clone(), "a newer version of Handfast made it");
            }
            Err(Fault::Foreign) => {
                self.damaged
                    .insert(path.clone(), "it is no file of a vault");
            }
        }
        self.stamps.insert(path, stamp);
    }

    fn take(&mut self, kind: Kind, path: &Path, bytes: &[u8]) -> Result<(), Fault> {
        let (id, plaintext) = self.files.open(kind, bytes)?;
        match kind {
            Kind::Passkey => {
                let passkey = Passkey::parse(&id, &plaintext).ok_or(Fault::Damaged)?;
                self.index(passkey, path.to_owned());
            }
            Kind::Device => {
                let device = parse_device(&plaintext).ok_or(Fault::Damaged)?;
                self.devices
                    .entry(device.id)
                    .and_modify(|known| known.since = known.since.min(device.since))
                    .or_insert(device);
            }
            Kind::Group => {
                self.set_group(path.to_owned(), plaintext.to_vec());
            }
        }
        Ok(())
    }

    fn index(&mut self, passkey: Passkey, path: PathBuf) {
        match self.passkeys.get_mut(&passkey.credential_id) {
            Some((known, _)) => known.merge(passkey),
            None => {
                let id = passkey.credential_id.clone();
                self.by_rp
                    .entry(passkey.rp_id.clone())
                    .or_default()
                    .push(id.clone());
                self.passkeys.insert(id, (passkey, path));
            }
        }
    }

    /// Returns the vault's name.
    pub fn id(&self) -> VaultId {
        self.header.id
    }

    /// Returns the vault's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns whether the vault is only for tests.
    pub fn is_for_tests(&self) -> bool {
        self.header.for_tests
    }

    /// Returns the proof of being in this vault.
    pub fn member_key(&self) -> MemberKey {
        MemberKey::derive(&self.key)
    }

    /// Shows the vault key to who plays a thief with the pass phrase.
    ///
    /// # Security
    ///
    /// Whoever has this has every passkey. Only the demo and tests have a use for it, which is why
    /// it needs a vault whose pass phrase they know anyway.
    pub fn danger_vault_key(&self) -> [u8; 32] {
        *self.key
    }

    pub(crate) fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// Returns the files that cannot be read, and why.
    pub fn damaged(&self) -> impl Iterator<Item = (&Path, &'static str)> {
        self.damaged
            .iter()
            .map(|(path, why)| (path.as_path(), *why))
    }

    /// Returns all passkeys that can be used.
    pub fn passkeys(&self) -> impl Iterator<Item = &Passkey> {
        self.passkeys
            .values()
            .map(|(passkey, _)| passkey)
            .filter(|passkey| passkey.is_usable())
    }

    /// Returns the passkeys of a site that can be used, the newest first.
    pub fn passkeys_of(&self, rp_id: &RpId) -> Vec<&Passkey> {
        let ids = self.by_rp.get(rp_id).map(Vec::as_slice).unwrap_or_default();
        let mut found: Vec<&Passkey> = ids
            .iter()
            .filter_map(|id| self.passkeys.get(id))
            .map(|(passkey, _)| passkey)
            .filter(|passkey| passkey.is_usable())
            .collect();
        found.sort_by(|a, b| {
            (b.created_at, &b.credential_id).cmp(&(a.created_at, &a.credential_id))
        });
        found
    }

    /// Returns a passkey that can be used.
    pub fn passkey(&self, id: &CredentialId) -> Option<&Passkey> {
        self.named(id).filter(|passkey| passkey.is_usable())
    }

    /// Returns a passkey that can be used, or one that was replaced and is kept: the answer that
    /// told the site of the new one may have been lost, and then the site knows this one only.
    pub fn named(&self, id: &CredentialId) -> Option<&Passkey> {
        self.passkeys
            .get(id)
            .map(|(passkey, _)| passkey)
            .filter(|passkey| passkey.deleted_at.is_none())
    }

    /// Deletes the passkeys that were replaced more than 30 days ago, and returns them.
    ///
    /// # Errors
    ///
    /// [`VaultError::Io`].
    pub fn bury(&mut self, now: u64) -> Result<Vec<CredentialId>, VaultError> {
        let old = |passkey: &Passkey| {
            let replaced = passkey.replaced_at.filter(|_| passkey.deleted_at.is_none());
            replaced.is_some_and(|at| now.saturating_sub(at) > KEPT_AFTER_REPLACEMENT)
        };
        let passkeys = self.passkeys.values().map(|(passkey, _)| passkey);
        let gone: Vec<CredentialId> = passkeys
            .filter(|passkey| old(passkey))
            .map(|passkey| passkey.credential_id.clone())
            .collect();
        gone.iter().try_for_each(|id| self.delete(id, now))?;
        Ok(gone)
    }

    /// Returns a passkey in whatever state it is.
    pub(crate) fn any(&self, id: &CredentialId) -> Option<&Passkey> {
        self.passkeys.get(id).map(|(passkey, _)| passkey)
    }

    /// Stores a passkey durably. Older passkeys of the same account are marked as replaced, after
    /// the new one is stored.
    ///
    /// # Errors
    ///
    /// [`VaultError::Io`]; then nothing has changed, or only marks of replacement are missing.
    pub fn store(&mut self, passkey: Passkey) -> Result<(), VaultError> {
        let older: Vec<CredentialId> = self
            .passkeys_of(&passkey.rp_id)
            .into_iter()
            .filter(|old| {
                old.user_handle == passkey.user_handle && old.credential_id != passkey.credential_id
            })
            .map(|old| old.credential_id.clone())
            .collect();
        let now = passkey.created_at;
        let path = self.new_path(Kind::Passkey);
        self.write_passkey(&passkey, &path)?;
        self.index(passkey, path);
        older
            .iter()
            .try_for_each(|id| self.end(id, |old| old.replaced_at = Some(now)))
    }

    /// Deletes a passkey. Its file stays as a tombstone, so that no old copy brings it back.
    ///
    /// # Errors
    ///
    /// [`VaultError::Io`].
    pub fn delete(&mut self, id: &CredentialId, now: u64) -> Result<(), VaultError> {
        self.end(id, |passkey| passkey.deleted_at = Some(now))
    }

    fn end(
        &mut self,
        id: &CredentialId,
        mark: impl FnOnce(&mut Passkey),
    ) -> Result<(), VaultError> {
        let Some((mut passkey, path)) = self.passkeys.remove(id) else {
            return Ok(());
        };
        mark(&mut passkey);
        let written = self.write_passkey(&passkey, &path);
        self.passkeys.insert(id.clone(), (passkey, path));
        written
    }

    fn write_passkey(&mut self, passkey: &Passkey, path: &Path) -> Result<(), VaultError> {
        self.write(
            Kind::Passkey,
            passkey.credential_id.as_bytes(),
            &passkey.encode(),
            path,
        )
    }

    fn write(
        &mut self,
        kind: Kind,
        id: &[u8],
        plaintext: &[u8],
        path: &Path,
    ) -> Result<(), VaultError> {
        let file = self
            .files
            .seal(kind, id, plaintext)
            .ok_or(VaultError::HeaderDamaged)?;
        write_atomically(path, &file).map_err(at(path))
    }

    fn new_path(&self, kind: Kind) -> PathBuf {
        self.folder.join(kind.folder()).join(random_name())
    }

    /// Returns the devices that opened the vault.
    pub fn devices(&self) -> impl Iterator<Item = &VaultDevice> {
        self.devices.values()
    }

    /// Returns whether a device other than this one is recorded: then passkeys are backed up.
    pub fn has_other_device(&self, this: DeviceId) -> bool {
        self.devices.keys().any(|id| *id != this)
    }

    /// Records that a device opens the vault, if it is not yet.
    ///
    /// # Errors
    ///
    /// [`VaultError::Io`].
    pub fn record_device(&mut self, device: VaultDevice) -> Result<(), VaultError> {
        if self.devices.contains_key(&device.id) {
            return Ok(());
        }
        let plaintext = Map::new()
            .with(1, device.id.0)
            .with(2, device.name.as_str())
            .with(3, device.since)
            .encode();
        let path = self.new_path(Kind::Device);
        self.write(Kind::Device, &device.id.0, &plaintext, &path)?;
        self.devices.insert(device.id, device);
        Ok(())
    }

    /// Returns the content of the files in `group/`.
    pub fn group_files(&self) -> impl Iterator<Item = &[u8]> {
        self.group.values().map(|(_, content)| content.as_slice())
    }

    /// Returns a number that changes with anything in `group/`.
    pub(crate) fn group_version(&self) -> u64 {
        self.group_version
    }

    /// Returns the files in `group/`, each with a number that changes with its content.
    pub(crate) fn group_versions(&self) -> impl Iterator<Item = (&Path, u64, &[u8])> {
        self.group
            .iter()
            .map(|(path, (version, content))| (path.as_path(), *version, content.as_slice()))
    }

    fn set_group(&mut self, path: PathBuf, content: Vec<u8>) {
        self.group_version += 1;
        self.group.insert(path, (self.group_version, content));
    }

    /// Publishes a file in `group/`.
    ///
    /// # Errors
    ///
    /// [`VaultError::Io`].
    pub fn publish(&mut self, content: &[u8]) -> Result<(), VaultError> {
        let path = self.new_path(Kind::Group);
        let id = random_name();
        self.write(Kind::Group, id.as_bytes(), content, &path)?;
        self.set_group(path, content.to_vec());
        Ok(())
    }

    /// Publishes a file in the place of those that hold an older form of the same.
    ///
    /// # Errors
    ///
    /// [`VaultError::Io`].
    pub fn publish_instead(
        &mut self,
        content: &[u8],
        older: impl Fn(&[u8]) -> bool,
    ) -> Result<(), VaultError> {
        let mut places: Vec<PathBuf> = self
            .group
            .iter()
            .filter(|(_, (_, content))| older(content))
            .map(|(path, _)| path.clone())
            .collect();
        let Some(first) = places.pop() else {
            return self.publish(content);
        };
        let id = random_name();
        self.write(Kind::Group, id.as_bytes(), content, &first)?;
        self.set_group(first, content.to_vec());
        for path in places {
            // A copy that stays is read and merged again: nothing depends on its removal.
            let _ = fs::remove_file(&path);
            self.group.remove(&path);
        }
        Ok(())
    }
}

/// Finds the header: by its name, or by its content if a file sync gave it another.
fn header_path(folder: &Path) -> Option<PathBuf> {
    let usual = folder.join(HEADER);
    if usual.exists() {
        return Some(usual);
    }
    let files = fs::read_dir(folder)
        .ok()?
        .flatten()
        .map(|entry| entry.path());
    let mut headers: Vec<_> = files
        .filter(|path| path.is_file() && !is_hidden(path))
        .filter(|path| fs::read(path).is_ok_and(|bytes| Header::parse(&bytes).is_ok()))
        .collect();
    headers.sort();
    headers.into_iter().next()
}

fn parse_device(plaintext: &[u8]) -> Option<VaultDevice> {
    let map = cbor::decode(plaintext).ok().and_then(Value::into_map)?;
    Some(VaultDevice {
        id: DeviceId(map.int(1)?.as_bytes()?.try_into().ok()?),
        name: DeviceName::parse(map.int(2)?.as_text()?).ok()?,
        since: map.int(3)?.as_u64()?,
    })
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({})", self.folder.display())
    }
}
