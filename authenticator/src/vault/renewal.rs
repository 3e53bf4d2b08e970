//! A new pass phrase, and a new vault key.

use std::path::{Path, PathBuf};

use rand_core::CryptoRngCore;

use super::folder::{LARGEST, remove_if_left};
use super::header::{self, Header};
use super::headers::{Found, Headers};
use super::keys::{Keys, VaultKey};
use super::sealed::{Files, Kind};
use super::{HEADER, Vault, VaultError, at};
use crate::disk::{
    self, Unread, is_unfinished, lock, random_name, remove, rename, replace, sync_folder,
    write_atomically,
};
use crate::passphrase::{Passphrase, Stretching};

/// A header of the vault with a key that this one does not lead to: the vault got new keys on two
/// devices at once.
#[derive(Debug)]
pub struct AnotherHeader(PathBuf);

impl AnotherHeader {
    /// Returns its file.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Vault {
    /// Changes the pass phrase. Nothing but the header is written: who knew the old pass phrase and
    /// has a copy of the folder can still open that copy, and files that are added to it.
    ///
    /// # Errors
    ///
    /// [`VaultError`]. With [`VaultError::OldHeaderStays`] the new pass phrase counts, with others the
    /// old one.
    pub fn change_passphrase(
        &mut self,
        passphrase: &Passphrase,
        stretching: Stretching,
        rng: &mut dyn CryptoRngCore,
    ) -> Result<(), VaultError> {
        let keys = self.keys.copied();
        self.replace_header(keys, passphrase, stretching, rng)
    }

    /// Gives the vault a new key and a new pass phrase, and seals all its files anew. The earlier keys
    /// are kept under the new one, for files and devices that come later; see [`Self::reseal`].
    ///
    /// # Errors
    ///
    /// [`VaultError`]. Whatever happens, every file can be opened: with the old pass phrase if the
    /// header was not written, else with the new one; then the next [`Self::reseal`] goes on.
    pub fn rekey(
        &mut self,
        passphrase: &Passphrase,
        stretching: Stretching,
        rng: &mut dyn CryptoRngCore,
    ) -> Result<usize, VaultError> {
        let keys = self.keys.renewed(VaultKey::generate(rng));
        let replaced = self.replace_header(keys, passphrase, stretching, rng);
        if !matches!(replaced, Ok(()) | Err(VaultError::OldHeaderStays { .. })) {
            return replaced.map(|()| 0);
        }
        self.forget_looks();
        self.refresh()?;
        let count = self.reseal()?;
        replaced.map(|()| count)
    }

    /// Returns whether a pass phrase opens this vault, as it is in its folder now: another device, or
    /// another program, may have changed it. A header that leads to other keys is not this vault's;
    /// where there is none that is, the one counts that the vault was opened with. It takes as long as
    /// opening the vault does, which is what slows down who guesses.
    ///
    /// # Errors
    ///
    /// [`VaultError::Stretch`].
    pub fn opens_with(&self, passphrase: &Passphrase) -> Result<bool, VaultError> {
        let headers = Headers::find(&self.folder).ok();
        let unlocked = match headers.filter(|headers| headers.are_of(self.header.id)) {
            Some(headers) => headers.unlock(passphrase).map(|unlocked| unlocked.keys),
            None => {
                let (header, wrapped) = Header::parse(&self.header_bytes)?;
                header.open(&wrapped, passphrase)
            }
        };
        match unlocked {
            Ok(keys) => Ok(keys.knows(self.keys.newest())),
            Err(VaultError::WrongPassphrase | VaultError::Superseded(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Returns how many files are sealed under an earlier key.
    pub fn stale(&self) -> usize {
        self.stale.len()
    }

    /// Seals the files anew that are sealed under an earlier key, and returns how many there were.
    ///
    /// # Errors
    ///
    /// [`VaultError::Io`]; what is left is done the next time.
    pub fn reseal(&mut self) -> Result<usize, VaultError> {
        let stale = self.stale.clone();
        let (mut count, mut failed) = (0, None);
        for (path, kind) in &stale {
            // One that cannot be written keeps no other under a key that may be known.
            match self.reseal_file(path, *kind) {
                Ok(done) => {
                    count += usize::from(done);
                    self.stale.remove(path);
                }
                Err(error) => failed = Some(error),
            }
        }
        for kind in Kind::ALL {
            if stale.values().any(|stale| *stale == kind) {
                let folder = self.folder.join(kind.folder());
                sync_folder(&folder).map_err(at(&folder))?;
            }
        }
        failed.map_or(Ok(count), Err)
    }

    fn reseal_file(&self, path: &Path, kind: Kind) -> Result<bool, VaultError> {
        // Another program must not write it between reading and writing.
        let _lock = lock(&self.folder);
        let bytes = match disk::read(path, LARGEST) {
            Ok(bytes) => bytes,
            Err(Unread::Io(error)) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(at(path)(error));
            }
            // It has been removed or replaced: the next look tells what is there now.
            Err(_) => return Ok(false),
        };
        let Some(opened) = self.files.open(kind, &bytes).ok().filter(|it| it.is_stale) else {
            return Ok(false);
        };
        let file = self
            .files
            .reseal(kind, &opened)
            .ok_or(VaultError::HeaderDamaged)?;
        replace(path, &file).map_err(at(path))?;
        Ok(true)
    }

    /// Returns the headers whose keys this vault does not know.
    pub fn other_headers(&self) -> Vec<AnotherHeader> {
        let headers = Headers::find(&self.folder);
        let headers = headers.as_ref().map(Headers::all).unwrap_or_default();
        headers
            .iter()
            .filter(|found| !found.header.leads_to(&self.keys))
            .map(|found| AnotherHeader(found.path.clone()))
            .collect()
    }

    /// Takes in the keys of such a header, which its own pass phrase opens, so that the files under
    /// them can be read. They are kept with the next new key or pass phrase; until then the header is.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub fn take_in(
        &mut self,
        other: &AnotherHeader,
        passphrase: &Passphrase,
    ) -> Result<(), VaultError> {
        let headers = Headers::find(&self.folder)?;
        let found = headers.all().iter().find(|found| found.path == other.0);
        let found = found.ok_or(VaultError::HeaderDamaged)?;
        self.keys.add(&found.open(passphrase)?);
        self.files = Files::new(self.header.id, &self.keys);
        self.forget_looks();
        self.refresh()
    }

    fn replace_header(
        &mut self,
        keys: Keys,
        passphrase: &Passphrase,
        stretching: Stretching,
        rng: &mut dyn CryptoRngCore,
    ) -> Result<(), VaultError> {
        let _lock = lock(&self.folder);
        let headers = Headers::find(&self.folder)?;
        // Another program may have been faster.
        if let Some(newer) = headers
            .all()
            .iter()
            .find(|found| found.header.revision() > self.header.revision())
        {
            return Err(VaultError::Superseded(newer.path.clone()));
        }
        let Header { id, for_tests, .. } = self.header;
        let revision = self.header.revision().saturating_add(1);
        let header = Header::new(id, revision, for_tests, stretching, &keys, rng);
        let bytes = header.seal(passphrase, &keys, rng)?;
        let usual = self.folder.join(HEADER);
        let in_the_way = headers
            .all()
            .iter()
            .find(|found| found.path == usual && !found.is_superseded_by(&header, &keys));
        if in_the_way.is_some() {
            // It leads to files that nothing else leads to.
            let aside = self
                .folder
                .join(format!("other-{}.handfast", random_name()));
            rename(&usual, &aside).map_err(at(&usual))?;
        }
        write_atomically(&usual, &bytes).map_err(at(&usual))?;
        self.files = Files::new(id, &keys);
        (self.header, self.header_bytes, self.keys) = (header, bytes, keys);
        self.remove_superseded(headers.all())
    }

    /// Lets the header that was opened be the only one, as far as nothing is lost with the others, and
    /// be under the usual name.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub fn settle(&mut self) -> Result<(), VaultError> {
        self.tidy_up();
        let _lock = lock(&self.folder);
        let headers = Headers::find(&self.folder)?;
        let usual = self.folder.join(HEADER);
        let at_usual = headers.all().iter().find(|found| found.path == usual);
        let ours = headers
            .all()
            .iter()
            .find(|found| found.bytes == self.header_bytes);
        let free = match at_usual {
            Some(found) => found.is_superseded_by(&self.header, &self.keys),
            None => !usual.exists(),
        };
        if free && let Some(ours) = ours {
            rename(&ours.path, &usual).map_err(at(&usual))?;
            self.damaged.remove(&usual);
        }
        self.remove_superseded(headers.all())
    }

    /// Removes the headers that the header replaces, and what crashes left of them.
    fn remove_superseded(&mut self, headers: &[Found]) -> Result<(), VaultError> {
        let usual = self.folder.join(HEADER);
        let in_place = disk::read(&usual, header::LARGEST).ok();
        let in_place = in_place.is_some_and(|bytes| bytes == self.header_bytes);
        let mut left = Ok(());
        let mut any = false;
        for found in headers {
            let is_copy = in_place && found.bytes == self.header_bytes;
            if found.path == usual || !(is_copy || found.is_superseded_by(&self.header, &self.keys))
            {
                continue;
            }
            any = true;
            match remove(&found.path) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    let path = found.path.clone();
                    left = Err(VaultError::OldHeaderStays { path, source });
                }
                _ => drop(self.damaged.remove(&found.path)),
            }
        }
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten();
        let paths = entries.flatten().map(|entry| entry.path());
        for unfinished in paths.filter(|path| is_unfinished(path)) {
            any |= remove_if_left(&unfinished);
        }
        if any {
            // That it is gone may be lost with the power, and is then done again.
            let _ = sync_folder(&self.folder);
        }
        left
    }
}
