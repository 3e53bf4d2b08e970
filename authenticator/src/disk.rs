//! Writing files so that a crash leaves either the old content or the new, and so that only their
//! owner can read them.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rand_core::{OsRng, RngCore};

/// Unfinished files begin with this; readers pass them over, and so does a file sync that leaves
/// hidden files alone.
const UNFINISHED: &str = ".handfast-";

/// Writes a file beside its place, makes it durable, moves it there, makes that durable.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    publish(path, bytes, |unfinished| fs::rename(unfinished, path))
}

/// Writes a file like [`write_atomically`], but takes the place of no other.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    publish(path, bytes, |unfinished| {
        fs::hard_link(unfinished, path)?;
        fs::remove_file(unfinished)
    })
}

fn publish(
    path: &Path,
    bytes: &[u8],
    place: impl FnOnce(&Path) -> io::Result<()>,
) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    make_folder(folder)?;
    let unfinished = folder.join(format!("{UNFINISHED}{}", random_name()));
    let written = write(&unfinished, bytes)
        .and_then(|()| place(&unfinished))
        .and_then(|()| File::open(folder)?.sync_all());
    if written.is_err() {
        // What is left behind is passed over by every reader; removing it is only tidy.
        let _ = fs::remove_file(&unfinished);
    }
    written
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes a folder, durably, that only its owner can enter. One that is there stays as it is.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let missing: Vec<PathBuf> = folder
        .ancestors()
        .take_while(|part| !part.as_os_str().is_empty() && !part.exists())
        .map(Path::to_owned)
        .collect();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    for parent in missing.iter().filter_map(|part| part.parent()) {
        let parent = match parent.as_os_str().is_empty() {
            true => Path::new("."),
            false => parent,
        };
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

/// Returns a file name that says nothing.
pub(crate) fn random_name() -> String {
    let mut bytes = [0; 16];
    OsRng.fill_bytes(&mut bytes);
    hex::encode(bytes)
}

/// Returns whether a file is one that nobody finished, or that is not for us.
pub(crate) fn is_hidden(path: &Path) -> bool {
    path.file_name()
        .is_none_or(|name| name.to_string_lossy().starts_with('.'))
}
