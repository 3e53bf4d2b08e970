//! The headers in a vault's folder: usually one; more where a file sync made conflict copies, or
//! somebody put a file there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use handfast_proto::trust::VaultId;

use super::header::{self, Header, Wrapped};
use super::keys::{Keys, VaultKey};
use super::{HEADER, VaultError, at};
use crate::disk::{self, Unread, is_hidden};
use crate::passphrase::Passphrase;

/// How many headers a pass phrase is tried at: each costs a stretching.
const MOST_TRIED: usize = 4;

/// A header that can be read.
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
    pub(super) header: Header,
    wrapped: Wrapped,
}

/// What was found, the one that counts first.
pub(super) struct Headers {
    found: Vec<Found>,
    /// What looks like a header and is of no use.
    pub(super) odd: Vec<(PathBuf, &'static str)>,
}

/// A header whose pass phrase was right, and what is in it.
pub(super) struct Unlocked {
    pub(super) found: Found,
    pub(super) keys: Keys,
    /// The other headers of the vault.
    pub(super) others: Vec<Found>,
    pub(super) odd: Vec<(PathBuf, &'static str)>,
}

/// Tells whether there is a header in a folder, or what was one.
pub(super) fn exist(folder: &Path) -> bool {
    folder.join(HEADER).symlink_metadata().is_ok()
        || Headers::find(folder).is_ok_and(|headers| !headers.found.is_empty())
}

impl Headers {
    /// Finds the headers by their content. Of one vault the highest revision counts, of several with
    /// it the one whose bytes come first; the header under the usual name says which vault it is.
    pub(super) fn find(folder: &Path) -> Result<Self, VaultError> {
        let usual = folder.join(HEADER);
        let mut headers = Self {
            found: Vec::new(),
            odd: Vec::new(),
        };
        // The one that everybody has needs no list of the folder's files to be found.
        let failed = headers.look_at(usual.clone()).err();
        for path in entries(folder)? {
            if path != usual {
                // Whatever else is in the folder, its owner knows why.
                let _ = headers.look_at(path);
            }
        }
        let Some(first) = headers.found.first() else {
            return Err(failed.unwrap_or_else(|| VaultError::Missing(folder.to_owned())));
        };
        if let Some(newer @ VaultError::NewerFormat(_)) = failed {
            return Err(newer);
        }
        let id = first.header.id;
        let (mut found, others): (Vec<_>, Vec<_>) = headers
            .found
            .into_iter()
            .partition(|found| found.header.id == id);
        let other = |found: Found| (found.path, "it is the header of another vault");
        headers.odd.extend(others.into_iter().map(other));
        found.sort_by(|a, b| {
            let revision = b.header.revision().cmp(&a.header.revision());
            revision.then_with(|| a.bytes.cmp(&b.bytes))
        });
        headers.found = found;
        Ok(headers)
    }

    fn look_at(&mut self, path: PathBuf) -> Result<(), VaultError> {
        let bytes = match disk::read(&path, header::LARGEST) {
            Ok(bytes) => bytes,
            Err(Unread::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                let folder = path.parent().unwrap_or(&path);
                return Err(VaultError::Missing(folder.to_owned()));
            }
            Err(Unread::Io(error)) => return Err(at(&path)(error)),
            Err(Unread::NoFile | Unread::TooLarge) => {
                if path.ends_with(HEADER) {
                    self.odd.push((path, "it is no header of a vault"));
                }
                return Err(VaultError::HeaderDamaged);
            }
        };
        match Header::parse(&bytes) {
            Ok((header, wrapped)) => {
                self.found.push(Found {
                    path,
                    bytes,
                    header,
                    wrapped,
                });
                Ok(())
            }
            Err(error) => {
                if Header::is_meant(&bytes) || path.ends_with(HEADER) {
                    self.odd.push((path, "it is a damaged header"));
                }
                Err(error)
            }
        }
    }

    /// Unwraps the keys. A pass phrase that fits only a header of an earlier revision is refused: it
    /// was changed.
    pub(super) fn unlock(self, passphrase: &Passphrase) -> Result<Unlocked, VaultError> {
        let Self { mut found, odd } = self;
        for at in 0..found.len().min(MOST_TRIED) {
            let Some(tried) = found.get(at) else { break };
            let keys = match tried.header.open(&tried.wrapped, passphrase) {
                Ok(keys) => keys,
                Err(VaultError::WrongPassphrase | VaultError::HeaderDamaged) => continue,
                Err(error) => return Err(error),
            };
            let revision = tried.header.revision();
            let counts = found.first().filter(|top| top.header.revision() > revision);
            if let Some(counts) = counts {
                return Err(VaultError::Superseded(counts.path.clone()));
            }
            return Ok(Unlocked {
                found: found.remove(at),
                keys,
                others: found,
                odd,
            });
        }
        match found.len() {
            // Whoever put so many there is not to make the owner doubt his pass phrase.
            many if many > MOST_TRIED => Err(VaultError::ManyHeaders(many)),
            _ => Err(VaultError::WrongPassphrase),
        }
    }

    /// Adds the earlier keys to the newest, which must be that of a header that counts: of several with
    /// the highest revision each does.
    pub(super) fn unlock_with_key(self, key: &[u8; 32]) -> Result<Unlocked, VaultError> {
        let Self { mut found, odd } = self;
        let top = found.first().map(|first| first.header.revision());
        let counting = found
            .iter()
            .take_while(|it| Some(it.header.revision()) == top);
        let opened = counting.enumerate().find_map(|(at, it)| {
            let keys = it.header.with_key(&it.wrapped, VaultKey::from_slice(key)?);
            Some((at, keys?))
        });
        let (at, keys) = opened.ok_or(VaultError::WrongKey)?;
        Ok(Unlocked {
            found: found.remove(at),
            keys,
            others: found,
            odd,
        })
    }

    /// Whether they are of this vault.
    pub(super) fn are_of(&self, vault: VaultId) -> bool {
        self.found.iter().any(|found| found.header.id == vault)
    }

    /// Returns all headers of the vault.
    pub(super) fn all(&self) -> &[Found] {
        &self.found
    }
}

impl Found {
    /// Unwraps the keys of this header, whether or not it counts.
    pub(super) fn open(&self, passphrase: &Passphrase) -> Result<Keys, VaultError> {
        self.header.open(&self.wrapped, passphrase)
    }

    /// Whether nothing is lost with this header where another one counts.
    pub(super) fn is_superseded_by(&self, header: &Header, keys: &Keys) -> bool {
        self.header.revision() < header.revision() && self.header.leads_to(keys)
    }

    /// What is said of it where another one counts.
    pub(super) fn oddity(&self, keys: &Keys) -> &'static str {
        match self.header.leads_to(keys) {
            true => {
                "it is an older header, or one that counts as much: change the pass phrase once more"
            }
            false => {
                "it is a header with a key of its own: the vault got new keys on two devices at once; \
                 give it another with: handfast-authenticator vault rekey"
            }
        }
    }
}

/// The files of a folder that are not hidden.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, VaultError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(VaultError::Missing(folder.to_owned()));
        }
        Err(error) => return Err(at(folder)(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.map_err(at(folder))?;
        // Links to files are looked at, and then refused by their name.
        if entry.file_type().is_ok_and(|kind| !kind.is_dir()) && !is_hidden(&entry.path()) {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}
