//! The vault: a folder of encrypted files that any file sync can carry. Files are known by their
//! content, so conflict copies of any name are read too (see `docs/vault.md`).

mod backup;
mod devices;
mod folder;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod group;
mod header;
mod headers;
mod import;
mod keys;
mod passkey;
mod renewal;
mod sealed;
mod store;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use handfast_proto::ids::{CredentialId, RpId};
use handfast_proto::trust::{DeviceId, MemberKey, VaultId};
use rand_core::{CryptoRngCore, OsRng};
use thiserror::Error;

pub use backup::{Backup, BackupOptions, OpenBackup, Restored};
pub use devices::VaultDevice;
#[cfg(feature = "console")]
pub(crate) use folder::IN_THE_WAY;
pub use passkey::Passkey;
pub use renewal::AnotherHeader;

use self::folder::Looked;
use self::header::Header;
use self::headers::{Found, Headers, Unlocked};
use self::keys::{Keys, VaultKey};
use self::sealed::{Files, Kind};
use crate::disk::{random_name, write_atomically, write_new};
use crate::passphrase::{Passphrase, StretchError, Stretching};

/// The header's file.
const HEADER: &str = "vault.handfast";

/// Why a vault cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum VaultError {
    /// It is no backup, or a damaged one.
    #[error("the file is no backup of a vault, or it is damaged")]
    BackupDamaged,
    /// The backup is of another vault than the one it is to be restored in.
    #[error("the backup is of another vault")]
    BackupOfOther,
    /// There is one already.
    #[error("there is a vault in {} already", .0.display())]
    Exists(PathBuf),
    /// There is a file where a backup was to be written.
    #[error("there is a file {} already", .0.display())]
    FileExists(PathBuf),
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
    /// There are so many headers of the vault that the pass phrase was not tried at each.
    #[error("the vault has {0} headers, and the pass phrase opens none of the first few")]
    ManyHeaders(usize),
    /// There is none.
    #[error("there is no vault in {}", .0.display())]
    Missing(PathBuf),
    /// The backup is of a newer version.
    #[error("the backup has format {0}, which a newer version of Handfast made")]
    NewerBackup(u64),
    /// It is of a newer version.
    #[error("the vault has format {0}, which a newer version of Handfast made")]
    NewerFormat(u64),
    /// What was asked for is done, but the header that the old pass phrase opens is still there.
    #[error("the old header {} could not be removed: {source}", path.display())]
    OldHeaderStays {
        /// The old header.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The pass phrase cannot be stretched.
    #[error("the vault cannot be opened: {0}")]
    Stretch(#[from] StretchError),
    /// The pass phrase fits an older header only.
    #[error("the pass phrase was changed: {} is a newer header", .0.display())]
    Superseded(PathBuf),
    /// The vault key is another, or was this vault's once.
    #[error("the vault's key is another one now")]
    WrongKey,
    /// The pass phrase is wrong.
    #[error("the pass phrase is wrong")]
    WrongPassphrase,
}

impl VaultError {
    /// Returns whether there was no room.
    pub fn is_full(&self) -> bool {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let Self::Io { source, .. } = self else {
            return false;
        };
        matches!(source.kind(), FileTooLarge | QuotaExceeded | StorageFull)
    }
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

/// An open vault.
pub struct Vault {
    folder: PathBuf,
    header: Header,
    /// The header as it is in its file.
    header_bytes: Vec<u8>,
    keys: Keys,
    files: Files,
    looked: Looked,
    /// What is still sealed under an earlier key.
    stale: BTreeMap<PathBuf, Kind>,
    passkeys: HashMap<CredentialId, (Passkey, PathBuf)>,
    by_rp: HashMap<RpId, Vec<CredentialId>>,
    devices: BTreeMap<DeviceId, VaultDevice>,
    group: BTreeMap<PathBuf, (u64, Vec<u8>)>,
    group_version: u64,
    damaged: BTreeMap<PathBuf, &'static str>,
    /// What nobody finished.
    unfinished: BTreeSet<PathBuf>,
}

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
        let mut id = [0; 16];
        rng.fill_bytes(&mut id);
        let id = VaultId(id);
        let keys = Keys::new(VaultKey::generate(rng));
        let InitOptions {
            for_tests,
            stretching,
        } = options;
        let header = Header::new(id, 1, for_tests, stretching, &keys, rng);
        let bytes = header.seal(passphrase, &keys, rng)?;
        // A header that a file sync brought meanwhile is the key to everything: it stays.
        write_new(&path, &bytes).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => VaultError::Exists(folder.to_owned()),
            _ => at(&path)(error),
        })?;
        Self::read(folder, header, bytes, keys)
    }

    /// Opens a vault.
    ///
    /// # Errors
    ///
    /// [`VaultError`]. Damaged files other than the header are no error: see [`Self::damaged`].
    pub fn open(folder: &Path, passphrase: &Passphrase) -> Result<Self, VaultError> {
        Self::unlocked(folder, Headers::find(folder)?.unlock(passphrase)?)
    }

    /// Opens a vault with its key, for who keeps that elsewhere.
    ///
    /// # Errors
    ///
    /// [`VaultError`]; [`VaultError::WrongKey`] if the header is of another key. A header of format 1
    /// does not tell: then no file can be read.
    pub fn open_with_key(folder: &Path, key: &[u8; 32]) -> Result<Self, VaultError> {
        Self::unlocked(folder, Headers::find(folder)?.unlock_with_key(key)?)
    }

    /// Returns whether there is a vault in a folder.
    pub fn exists(folder: &Path) -> bool {
        headers::exist(folder)
    }

    /// Looks whether a vault could be opened, before anybody is asked for its pass phrase.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub fn look(folder: &Path) -> Result<(), VaultError> {
        Headers::find(folder).map(drop)
    }

    fn unlocked(folder: &Path, unlocked: Unlocked) -> Result<Self, VaultError> {
        let Unlocked {
            found,
            keys,
            others,
            odd,
        } = unlocked;
        let mut vault = Self::read(folder, found.header, found.bytes, keys)?;
        vault.damaged.extend(odd);
        for other in others {
            let oddity = other.oddity(&vault.keys);
            vault.damaged.insert(other.path, oddity);
        }
        Ok(vault)
    }

    fn read(
        folder: &Path,
        header: Header,
        header_bytes: Vec<u8>,
        keys: Keys,
    ) -> Result<Self, VaultError> {
        let mut vault = Self {
            files: Files::new(header.id, &keys),
            folder: folder.to_owned(),
            header,
            header_bytes,
            keys,
            looked: Looked::default(),
            stale: BTreeMap::new(),
            passkeys: HashMap::new(),
            by_rp: HashMap::new(),
            devices: BTreeMap::new(),
            group: BTreeMap::new(),
            group_version: 0,
            damaged: BTreeMap::new(),
            unfinished: BTreeSet::new(),
        };
        vault.refresh()?;
        Ok(vault)
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
        MemberKey::derive(self.keys.newest().bytes())
    }

    /// Shows the vault key to who plays a thief with the pass phrase.
    ///
    /// # Security
    ///
    /// Whoever has this has every passkey. Only the demo and tests have a use for it, which is why
    /// it needs a vault whose pass phrase they know anyway.
    pub fn danger_vault_key(&self) -> [u8; 32] {
        *self.keys.newest().bytes()
    }

    /// Returns the vault's keys, the newest first.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &[u8; 32]> {
        self.keys.all().map(VaultKey::bytes)
    }

    pub(crate) fn key(&self) -> &[u8; 32] {
        self.keys.newest().bytes()
    }

    /// Returns whether the folder has a newer header: another device, or another program, changed the pass
    /// phrase or the key.
    pub fn is_superseded(&self) -> bool {
        let headers = Headers::find(&self.folder);
        let headers = headers
            .ok()
            .filter(|headers| headers.are_of(self.header.id));
        headers.is_some_and(|headers| {
            let newer = |found: &Found| found.header.revision() > self.header.revision();
            headers.all().iter().any(newer)
        })
    }

    /// Returns how often the header was written: with the vault, with each change of its pass phrase,
    /// and with each of its keys.
    pub fn revision(&self) -> u64 {
        self.header.revision()
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
            let place = |it: &Passkey| (it.ordinal, it.created_at);
            (place(b), &b.credential_id).cmp(&(place(a), &a.credential_id))
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

    /// Returns all passkeys that are not deleted, also those that were replaced.
    pub(crate) fn kept(&self) -> impl Iterator<Item = &Passkey> {
        let passkeys = self.passkeys.values().map(|(passkey, _)| passkey);
        passkeys.filter(|passkey| passkey.deleted_at.is_none())
    }

    /// Returns a passkey in whatever state it is.
    pub(crate) fn any(&self, id: &CredentialId) -> Option<&Passkey> {
        self.passkeys.get(id).map(|(passkey, _)| passkey)
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
            .seal(kind, id, plaintext, &mut OsRng)
            .ok_or(VaultError::HeaderDamaged)?;
        write_atomically(path, &file).map_err(at(path))?;
        self.stale.remove(path);
        Ok(())
    }

    fn new_path(&self, kind: Kind) -> PathBuf {
        self.folder.join(kind.folder()).join(random_name())
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({})", self.folder.display())
    }
}

#[cfg(test)]
mod tests;
