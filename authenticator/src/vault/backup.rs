//! A backup: one encrypted file with a vault's passkeys.

use std::io;
use std::path::Path;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use handfast_proto::cbor::{self, Map, SecretMap, Value};
use handfast_proto::trust::VaultId;
use rand_core::CryptoRngCore;
use zeroize::Zeroizing;

use super::header::{Header, Wrapped};
use super::keys::{Keys, VaultKey};
use super::passkey::Passkey;
use super::sealed::Kind;
use super::{HEADER, Vault, VaultError, at};
use crate::disk::{self, Unread, rename, write_atomically, write_new};
use crate::format::Format;
use crate::passphrase::{Passphrase, Stretching};

const KIND: &str = "handfast-backup";
/// The only format so far.
const FORMAT: u64 = 1;
/// No backup has more bytes; a passkey takes a few hundred.
const LARGEST: u64 = 256 * 1024 * 1024;

/// How a backup is made.
#[derive(Clone, Copy, Debug)]
pub struct BackupOptions<'a> {
    /// A pass phrase of its own, and how it is stretched; the vault's if left out.
    pub passphrase: Option<(&'a Passphrase, Stretching)>,
    /// Whether it may take the place of another file.
    pub replace: bool,
    /// When it is made, seconds since 1970.
    pub now: u64,
}

/// What came of restoring a backup.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Restored {
    /// When the backup was made, seconds since 1970.
    pub made_at: u64,
    /// How many passkeys came that the vault did not know; those that were deleted or replaced when the
    /// backup was made come too, and are not counted.
    pub new: usize,
    /// How many passkeys the vault knew already, but for those that are deleted or replaced on both sides.
    pub known: usize,
    /// How many of those are deleted or replaced in the vault, and stay so.
    pub ended: usize,
    /// How many this version cannot read.
    pub unreadable: usize,
}

/// A backup that was read, but not opened.
pub struct Backup {
    header: Header,
    header_bytes: Vec<u8>,
    wrapped: Wrapped,
    nonce: [u8; 12],
    sealed: Vec<u8>,
}

/// What becomes of a damaged header.
const SET_ASIDE: &str = ".vault.handfast.damaged";

/// What is in a backup.
pub struct OpenBackup {
    header: Header,
    header_bytes: Vec<u8>,
    keys: Keys,
    content: SecretMap,
}

impl Vault {
    /// Writes a backup of all passkeys, also of those that are deleted or replaced, so that they stay
    /// so. It has the vault's header, or one for a pass phrase of its own, and is sealed under the
    /// vault key.
    ///
    /// # Errors
    ///
    /// [`VaultError::FileExists`] and [`VaultError::Io`]; then nothing has changed.
    pub fn back_up(
        &self,
        file: &Path,
        options: BackupOptions<'_>,
        rng: &mut dyn CryptoRngCore,
    ) -> Result<usize, VaultError> {
        // What is there then is not what the vault holds, and may not take the place of a better backup.
        let all = self.folder.join(Kind::Passkey.folder());
        if self.damaged.contains_key(&all) {
            let source = io::ErrorKind::NotADirectory.into();
            return Err(VaultError::Io { path: all, source });
        }
        let header = match options.passphrase {
            None => self.header_bytes.clone(),
            Some((passphrase, stretching)) => {
                let Header { id, for_tests, .. } = self.header;
                let revision = self.header.revision();
                Header::new(id, revision, for_tests, stretching, &self.keys, rng)
                    .seal(passphrase, &self.keys, rng)?
            }
        };
        let mut passkeys: Vec<&Passkey> = self.passkeys.values().map(|(it, _)| it).collect();
        passkeys.sort_by(|a, b| a.credential_id.cmp(&b.credential_id));
        let bytes = seal(
            self.header.id,
            self.keys.newest(),
            &header,
            &passkeys,
            options.now,
            rng,
        )
        .ok_or(VaultError::BackupDamaged)?;
        match options.replace {
            true => write_atomically(file, &bytes),
            false => write_new(file, &bytes),
        }
        .map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => VaultError::FileExists(file.to_owned()),
            _ => at(file)(error),
        })?;
        Ok(self.passkeys().count())
    }

    /// Makes a vault of a backup: the same vault, with the backup's pass phrase. A header that is damaged
    /// makes room, under a name that is passed over.
    ///
    /// # Errors
    ///
    /// [`VaultError::Exists`] and [`VaultError::Io`]. What was cut off goes on with
    /// [`Self::take_back`].
    pub fn from_backup(folder: &Path, backup: &OpenBackup) -> Result<(Self, Restored), VaultError> {
        let path = folder.join(HEADER);
        match Self::look(folder) {
            Err(VaultError::HeaderDamaged) => {
                rename(&path, &folder.join(SET_ASIDE)).map_err(at(&path))?;
            }
            _ if Self::exists(folder) => return Err(VaultError::Exists(folder.to_owned())),
            _ => {}
        }
        write_new(&path, &backup.header_bytes).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => VaultError::Exists(folder.to_owned()),
            _ => at(&path)(error),
        })?;
        let bytes = backup.header_bytes.clone();
        let mut vault = Self::read(folder, backup.header, bytes, backup.keys.copied())?;
        let restored = vault.take_back(backup)?;
        Ok((vault, restored))
    }

    /// Takes the passkeys of a backup into the vault that it was made of. What the vault knows better
    /// counts: newer names, and that a passkey is deleted.
    ///
    /// # Errors
    ///
    /// [`VaultError::BackupOfOther`] and [`VaultError::Io`]; then the backup can be restored again.
    pub fn take_back(&mut self, backup: &OpenBackup) -> Result<Restored, VaultError> {
        if backup.header.id != self.header.id {
            return Err(VaultError::BackupOfOther);
        }
        let (made_at, passkeys) = backup.parts().ok_or(VaultError::BackupDamaged)?;
        let mut restored = Restored {
            made_at,
            new: 0,
            known: 0,
            ended: 0,
            unreadable: 0,
        };
        for passkey in passkeys {
            let Some(passkey) = passkey else {
                restored.unreadable += 1;
                continue;
            };
            match self.any(&passkey.credential_id) {
                None => {
                    restored.new += usize::from(passkey.is_usable());
                    self.add(passkey)?;
                }
                Some(known) => {
                    restored.known += usize::from(known.is_usable() || passkey.is_usable());
                    restored.ended += usize::from(!known.is_usable() && passkey.is_usable());
                    self.merge(passkey)?;
                }
            }
        }
        Ok(restored)
    }
}

/// Map {1 kind, 2 format, 3 header, 4 nonce, 5 map {1 when, 2 passkeys}}, the last sealed.
pub(super) fn seal(
    vault: VaultId,
    key: &VaultKey,
    header: &[u8],
    passkeys: &[&Passkey],
    now: u64,
    rng: &mut dyn CryptoRngCore,
) -> Option<Vec<u8>> {
    let mut nonce = [0; 12];
    rng.fill_bytes(&mut nonce);
    let passkeys = passkeys
        .iter()
        .map(|passkey| Value::from(passkey.encode().as_slice()));
    let content = Map::new()
        .with(1, now)
        .with(2, passkeys.collect::<Vec<_>>());
    let public = public(header);
    let payload = Payload {
        msg: &SecretMap::from(content).encode(),
        aad: &public.encode(),
    };
    let sealed = cipher(vault, key)
        .encrypt(Nonce::from_slice(&nonce), payload)
        .ok()?;
    Some(public.with(4, nonce).with(5, sealed).encode())
}

fn public(header: &[u8]) -> Map {
    Map::new().with(1, KIND).with(2, FORMAT).with(3, header)
}

fn cipher(vault: VaultId, key: &VaultKey) -> Aes256Gcm {
    let mut sealing = Zeroizing::new([0; 32]);
    key.derive(vault, b"handfast-backup/v1", sealing.as_mut());
    Aes256Gcm::new((&*sealing).into())
}

impl Backup {
    /// Reads a backup.
    ///
    /// # Errors
    ///
    /// [`VaultError::Io`], [`VaultError::BackupDamaged`], [`VaultError::NewerBackup`].
    pub fn read(file: &Path) -> Result<Self, VaultError> {
        let bytes = disk::read(file, LARGEST).map_err(|unread| match unread {
            Unread::Io(error) => at(file)(error),
            Unread::NoFile | Unread::TooLarge => VaultError::BackupDamaged,
        })?;
        Self::parse(&bytes)
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, VaultError> {
        let map = cbor::decode(bytes).ok().and_then(Value::into_map);
        let map = map.ok_or(VaultError::BackupDamaged)?;
        match Format::of(&map, KIND, FORMAT) {
            Format::Known(_) => {}
            Format::Newer(newer) => return Err(VaultError::NewerBackup(newer)),
            Format::Foreign => return Err(VaultError::BackupDamaged),
        }
        let parts = || {
            Some((
                map.int(3)?.as_bytes()?.to_vec(),
                map.int(4)?.as_bytes()?.try_into().ok()?,
                map.int(5)?.as_bytes()?.to_vec(),
            ))
        };
        let (header_bytes, nonce, sealed) = parts().ok_or(VaultError::BackupDamaged)?;
        let (header, wrapped) = Header::parse(&header_bytes).map_err(|error| match error {
            VaultError::HeaderDamaged => VaultError::BackupDamaged,
            error => error,
        })?;
        Ok(Self {
            header,
            header_bytes,
            wrapped,
            nonce,
            sealed,
        })
    }

    /// Opens it with its pass phrase.
    ///
    /// # Errors
    ///
    /// [`VaultError::WrongPassphrase`], [`VaultError::Stretch`], [`VaultError::BackupDamaged`].
    pub fn open(&self, passphrase: &Passphrase) -> Result<OpenBackup, VaultError> {
        let keys = self.header.open(&self.wrapped, passphrase)?;
        let payload = Payload {
            msg: self.sealed.as_slice(),
            aad: &public(&self.header_bytes).encode(),
        };
        let content = cipher(self.header.id, keys.newest())
            .decrypt(Nonce::from_slice(&self.nonce), payload)
            .map(Zeroizing::new)
            .map_err(|_| VaultError::BackupDamaged)?;
        let content = SecretMap::decode(&content).ok().flatten();
        Ok(OpenBackup {
            header: self.header,
            header_bytes: self.header_bytes.clone(),
            keys,
            content: content.ok_or(VaultError::BackupDamaged)?,
        })
    }
}

impl OpenBackup {
    /// Gives the header of a vault that is made of it at least this revision, so that a device which has seen
    /// that one takes it.
    ///
    /// # Errors
    ///
    /// [`VaultError::Stretch`].
    pub fn at_revision(
        self,
        revision: u64,
        passphrase: &Passphrase,
        rng: &mut dyn CryptoRngCore,
    ) -> Result<Self, VaultError> {
        if self.header.revision() >= revision {
            return Ok(self);
        }
        let Header {
            id,
            for_tests,
            stretching,
            ..
        } = self.header;
        let header = Header::new(id, revision, for_tests, stretching, &self.keys, rng);
        Ok(Self {
            header_bytes: header.seal(passphrase, &self.keys, rng)?,
            header,
            ..self
        })
    }

    /// When it was made, and its passkeys, as far as they can be read.
    fn parts(&self) -> Option<(u64, impl Iterator<Item = Option<Passkey>>)> {
        let passkeys = self.content.int(2)?.as_array()?.iter().map(|bytes| {
            let bytes = bytes.as_bytes()?;
            let map = SecretMap::decode(bytes).ok()??;
            Passkey::parse(map.int(1)?.as_bytes()?, bytes)
        });
        Some((self.content.int(1)?.as_u64()?, passkeys))
    }
}

impl core::fmt::Debug for Backup {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Backup({:?})", self.header.id)
    }
}

impl core::fmt::Debug for OpenBackup {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "OpenBackup({:?})", self.header.id)
    }
}
