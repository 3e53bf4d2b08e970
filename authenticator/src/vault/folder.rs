//! Reading a vault's folder, which a file sync changes as it likes.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::passkey::Passkey;
use super::sealed::{Fault, Kind, Opened};
use super::{Vault, VaultDevice, VaultError, at};
use crate::disk::{self, Unread, is_hidden, is_unfinished, remove};

/// No file but the header has more bytes.
pub(super) const LARGEST: u64 = 256 * 1024;

/// What nobody finished is nobody's work any more once it is this old.
const LEFT_ALONE: Duration = Duration::from_secs(24 * 60 * 60);

/// A folder's time of change is trusted to tell every change once it is this old.
const GRAIN: Duration = Duration::from_secs(2);

/// By which an unchanged file is known without reading it. A file sync sets sizes and times of change
/// as it likes, but makes a new file, or is betrayed by the time at which that was done.
#[derive(PartialEq)]
struct Stamp {
    inode: u64,
    length: u64,
    modified: (i64, i64),
    touched: (i64, i64),
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            touched: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Why a file is of no use that has the name of a folder of the vault.
pub(crate) const IN_THE_WAY: &str = "it stands in the place of a folder of the vault";

/// What was read of the folder, so that it is not read again.
#[derive(Default)]
pub(super) struct Looked {
    stamps: HashMap<PathBuf, Stamp>,
    settled: HashMap<PathBuf, SystemTime>,
}

/// Removes a file that nobody finished, if it is nobody's work any more; tells whether it did.
pub(super) fn remove_if_left(path: &Path) -> bool {
    let modified = fs::symlink_metadata(path).and_then(|it| it.modified());
    let age = modified.ok().and_then(|at| at.elapsed().ok());
    age.is_some_and(|age| age > LEFT_ALONE) && remove(path).is_ok()
}

impl Vault {
    /// Reads what changed in the folder since it was last read. A file that is rewritten in its place,
    /// as no file sync does that was met so far, is seen when its folder changes next.
    ///
    /// # Errors
    ///
    /// [`VaultError::Io`] if a folder cannot be listed. A file in the place of one is named as damaged.
    pub fn refresh(&mut self) -> Result<(), VaultError> {
        for kind in Kind::ALL {
            let folder = self.folder.join(kind.folder());
            let begin = SystemTime::now();
            let changed = fs::metadata(&folder)
                .and_then(|metadata| metadata.modified())
                .ok();
            if changed.is_some() && self.looked.settled.get(&folder) == changed.as_ref() {
                continue;
            }
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                // Somebody put it there, and what is elsewhere in the vault is well.
                Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                    self.damaged.insert(folder, IN_THE_WAY);
                    if kind == Kind::Group {
                        self.forget_vanished();
                    }
                    continue;
                }
                Err(error) => return Err(at(&folder)(error)),
            };
            self.damaged.remove(&folder);
            for entry in entries {
                let path = entry.map_err(at(&folder))?.path();
                if !is_hidden(&path) {
                    self.look_at(kind, path);
                } else if is_unfinished(&path) {
                    self.unfinished.insert(path);
                }
            }
            if kind == Kind::Group {
                self.forget_vanished();
            }
            // A folder that changed just now may change again within its clock's grain.
            let old = |at: &SystemTime| begin.duration_since(*at).is_ok_and(|age| age > GRAIN);
            match changed.filter(old) {
                Some(changed) => self.looked.settled.insert(folder, changed),
                None => self.looked.settled.remove(&folder),
            };
        }
        self.damaged
            .retain(|path, _| path.symlink_metadata().is_ok());
        Ok(())
    }

    /// Removes what crashes left among the files. That costs nothing but its room, so it need not work.
    pub(super) fn tidy_up(&mut self) {
        for path in std::mem::take(&mut self.unfinished) {
            remove_if_left(&path);
        }
    }

    /// What vanished may come back as it was, and is to be read then.
    fn forget_vanished(&mut self) {
        let Self { group, looked, .. } = self;
        let before = group.len();
        group.retain(|path, _| {
            let there = path.exists();
            if !there {
                looked.stamps.remove(path);
            }
            there
        });
        if group.len() != before {
            self.group_version += 1;
        }
    }

    fn look_at(&mut self, kind: Kind, path: PathBuf) {
        // A file that vanishes while we look has been replaced; the next look finds the new one.
        let Ok(metadata) = fs::symlink_metadata(&path) else {
            return;
        };
        let stamp = Stamp::of(&metadata);
        if self.looked.stamps.get(&path) == Some(&stamp) {
            return;
        }
        let fault = match disk::read(&path, LARGEST) {
            Ok(bytes) => match self.take(kind, &path, &bytes) {
                Ok(()) => None,
                Err(Fault::Damaged) => Some("it is damaged, or of another vault"),
                Err(Fault::Newer) => Some("a newer version of Handfast made it"),
                Err(Fault::Foreign) => Some("it is no file of a vault"),
            },
            Err(Unread::Io(error)) if error.kind() == io::ErrorKind::NotFound => return,
            // It may be readable at the next look.
            Err(Unread::Io(_)) => {
                self.damaged.insert(path, "it cannot be read");
                return;
            }
            Err(Unread::NoFile) => Some("it is a link, a folder or a pipe"),
            Err(Unread::TooLarge) => Some("it is larger than any file of a vault"),
        };
        match fault {
            Some(fault) => drop(self.damaged.insert(path.clone(), fault)),
            None => drop(self.damaged.remove(&path)),
        }
        self.looked.stamps.insert(path, stamp);
    }

    fn take(&mut self, kind: Kind, path: &Path, bytes: &[u8]) -> Result<(), Fault> {
        let Opened {
            id,
            content,
            is_stale,
        } = self.files.open(kind, bytes)?;
        // Noted before it is understood: what another version wrote is to survive as well.
        match is_stale {
            true => drop(self.stale.insert(path.to_owned(), kind)),
            false => drop(self.stale.remove(path)),
        }
        match kind {
            Kind::Passkey => {
                let passkey = Passkey::parse(&id, &content).ok_or(Fault::Damaged)?;
                self.index(passkey, path.to_owned());
            }
            Kind::Device => {
                let device = VaultDevice::parse(&content).ok_or(Fault::Damaged)?;
                self.devices
                    .entry(device.id)
                    .and_modify(|known| known.since = known.since.min(device.since))
                    .or_insert(device);
            }
            Kind::Group => {
                self.set_group(path.to_owned(), content.to_vec());
            }
        }
        Ok(())
    }

    /// Reads a passkey's file as it is now.
    pub(super) fn on_disk(&self, path: &Path) -> Option<Passkey> {
        let bytes = disk::read(path, LARGEST).ok()?;
        let opened = self.files.open(Kind::Passkey, &bytes).ok()?;
        Passkey::parse(&opened.id, &opened.content)
    }

    /// Reads everything anew at the next look.
    pub(super) fn forget_looks(&mut self) {
        self.looked = Looked::default();
    }

    pub(super) fn index(&mut self, passkey: Passkey, path: PathBuf) {
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
}
