//! Writing files so that a crash leaves either the old content or the new.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use rand_core::{OsRng, RngCore};

/// Unfinished files begin with this; readers pass them over, and so does a file sync that leaves
/// hidden files alone.
const UNFINISHED: &str = ".handfast-";

/// Writes a file beside its place, makes it durable, moves it there, makes that durable.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::create_dir_all(folder)?;
    let unfinished = folder.join(format!("{UNFINISHED}{}", random_name()));
    let written = File::create_new(&unfinished)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&unfinished, path))
        .and_then(|()| File::open(folder)?.sync_all());
    if written.is_err() {
        // What is left behind is passed over by every reader; removing it is only tidy.
        let _ = fs::remove_file(&unfinished);
    }
    written
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
