//! Reading and writing the files of a folder.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A file that is not finished begins with this: nobody takes it for one of the folder's.
const UNFINISHED: &str = ".copier-";

/// A version of a file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Version {
    pub(super) bytes: Vec<u8>,
    /// When its device wrote it; that goes along with a copy.
    pub(super) modified: SystemTime,
}

/// Files by their path below the folder.
pub(super) type Snapshot = BTreeMap<PathBuf, Version>;

/// Reads a folder and its subfolders; hidden files are no business of a sync.
pub(super) fn read(folder: &Path) -> io::Result<Snapshot> {
    let mut files = Snapshot::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let Some(entries) = found(fs::read_dir(&next))? else {
            continue;
        };
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with('.') {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if let (Ok(below), Some(version)) =
                (path.strip_prefix(folder), read_version(&path)?)
            {
                files.insert(below.to_owned(), version);
            }
        }
    }
    Ok(files)
}

fn read_version(path: &Path) -> io::Result<Option<Version>> {
    let Some(bytes) = found(fs::read(path))? else {
        return Ok(None);
    };
    let modified = found(fs::metadata(path).and_then(|metadata| metadata.modified()))?;
    Ok(modified.map(|modified| Version { bytes, modified }))
}

/// What vanished while we looked is not there.
fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

/// Writes or deletes a file, if it still is what it was when the folder was read. Tells whether
/// it was.
pub(super) fn replace(
    folder: &Path,
    name: &Path,
    before: Option<&Version>,
    after: Option<&Version>,
) -> io::Result<bool> {
    let path = folder.join(name);
    let now = found(fs::read(&path))?;
    if now.as_ref() != before.map(|version| &version.bytes) {
        return Ok(false);
    }
    match after {
        Some(version) => write(&path, version)?,
        None => drop(found(fs::remove_file(&path))?),
    }
    Ok(true)
}

fn write(path: &Path, version: &Version) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let unfinished = path.with_file_name(format!("{UNFINISHED}{name}"));
    let mut file = File::create(&unfinished)?;
    file.write_all(&version.bytes)?;
    file.set_modified(version.modified)?;
    drop(file);
    fs::rename(&unfinished, path)
}

/// Copies a whole folder once, as a thief would.
///
/// # Errors
///
/// The operating system's.
pub fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    for (name, version) in read(from)? {
        write(&to.join(name), &version)?;
    }
    Ok(())
}

/// Returns the files that both folders have, and not with the same content.
///
/// # Errors
///
/// The operating system's.
pub fn differing(one: &Path, other: &Path) -> io::Result<Vec<PathBuf>> {
    let (one, other) = (read(one)?, read(other)?);
    let differs = |(name, version): &(PathBuf, Version)| {
        other
            .get(name)
            .is_some_and(|there| there.bytes != version.bytes)
    };
    Ok(one
        .into_iter()
        .filter(differs)
        .map(|(name, _)| name)
        .collect())
}
