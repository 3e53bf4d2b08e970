//! Reading a vault's folder, which a file sync changes as it likes.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use handfast_proto::cbor::{self, Value};
use handfast_proto::trust::{DeviceId, DeviceName};

use super::header::Header;
use super::passkey::Passkey;
use super::sealed::{Fault, Kind};
use super::{HEADER, Vault, VaultDevice, VaultError, at};
use crate::disk::is_hidden;

/// A folder's time of change is trusted to tell every change once it is this old.
const GRAIN: Duration = Duration::from_secs(2);

/// By which an unchanged file is known without reading it.
type Stamp = (u64, Option<SystemTime>);

/// What was read of the folder, so that it is not read again.
#[derive(Default)]
pub(super) struct Looked {
    stamps: HashMap<PathBuf, Stamp>,
    settled: HashMap<PathBuf, SystemTime>,
}

impl Vault {
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
            if changed.is_some() && self.looked.settled.get(&folder) == changed.as_ref() {
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
        self.damaged.retain(|path, _| path.exists());
        Ok(())
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
        let Ok(metadata) = fs::metadata(&path) else {
            return;
        };
        let stamp = (metadata.len(), metadata.modified().ok());
        if !metadata.is_file() || self.looked.stamps.get(&path) == Some(&stamp) {
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
        self.looked.stamps.insert(path, stamp);
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

/// Finds the header: by its name, or by its content if a file sync gave it another.
pub(super) fn header_path(folder: &Path) -> Option<PathBuf> {
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
