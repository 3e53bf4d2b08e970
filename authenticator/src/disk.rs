//! Writing files so that a crash leaves either the old content or the new, and so that only their
//! owner can read them; reading files that anybody may have put there.

#[cfg(test)]
pub(crate) mod power;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rand_core::{OsRng, RngCore};
use rustix::fs::{CWD, Mode, OFlags, RenameFlags, renameat_with};
use rustix::io::Errno;
use zeroize::Zeroizing;

/// Unfinished files begin with this; readers pass them over, and so does a file sync that leaves
/// hidden files alone.
const UNFINISHED: &str = ".handfast-";

/// What reading to the end wants to have free, so that it asks for no more memory.
const SPARE: usize = 64;

/// What is done to a disk, one call each. Tests cut the power before any of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Step {
    Create,
    Link,
    MakeFolder,
    Remove,
    Rename,
    SyncFile,
    SyncFolder,
    Write,
}

#[cfg(test)]
use power::step;

#[cfg(not(test))]
fn step(_: Step) -> io::Result<()> {
    Ok(())
}

/// Writes a file beside its place, makes it durable, moves it there, makes that durable.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(path, bytes)?;
    sync_folder(folder_of(path)?)
}

/// Writes a file like [`write_atomically`], but that it has moved there is not durable before
/// [`sync_folder`]: until then a crash may leave the old content.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    publish(path, bytes, |unfinished| {
        step(Step::Rename)?;
        fs::rename(unfinished, path)
    })
}

/// Writes a file like [`write_atomically`], but takes the place of no other.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    publish(path, bytes, |unfinished| {
        match step(Step::Link).and_then(|()| fs::hard_link(unfinished, path)) {
            // As on a stick with FAT.
            Err(error) if knows_no_links(&error) => rename_new(unfinished, path),
            linked => {
                linked?;
                // It is passed over by every reader, should it stay.
                let _ = remove(unfinished);
                Ok(())
            }
        }
    })?;
    sync_folder(folder_of(path)?)
}

/// Whether a file system refused a link because it has none.
fn knows_no_links(error: &io::Error) -> bool {
    let refusals = [Errno::PERM, Errno::OPNOTSUPP, Errno::NOSYS, Errno::MLINK];
    Errno::from_io_error(error).is_some_and(|error| refusals.contains(&error))
}

/// Moves a file to where none is.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A file system that cannot look and move in one: the place is taken first. A crash between the two
        // leaves an empty file there.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(to)?;
            fs::rename(from, to)
        }
        moved => moved.map_err(io::Error::from),
    }
}

/// Moves a file into another's place, durably.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    step(Step::Rename)?;
    fs::rename(from, to)?;
    sync_folder(folder_of(to)?)
}

/// Removes a file. That it is gone is durable after [`sync_folder`].
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    step(Step::Remove)?;
    fs::remove_file(path)
}

/// Makes what was moved and removed in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    step(Step::SyncFolder)?;
    File::open(folder)?.sync_all()
}

fn folder_of(path: &Path) -> io::Result<&Path> {
    match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Ok(Path::new(".")),
        Some(folder) => Ok(folder),
        None => Err(io::ErrorKind::InvalidInput.into()),
    }
}

fn publish(
    path: &Path,
    bytes: &[u8],
    place: impl FnOnce(&Path) -> io::Result<()>,
) -> io::Result<()> {
    let folder = folder_of(path)?;
    make_folder(folder)?;
    let unfinished = folder.join(format!("{UNFINISHED}{}", random_name()));
    let written = write(&unfinished, bytes).and_then(|()| place(&unfinished));
    if written.is_err() {
        // What is left behind is passed over by every reader; removing it is only tidy.
        let _ = remove(&unfinished);
    }
    written
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    step(Step::Create)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    if let Err(cut) = step(Step::Write) {
        // Only in tests is a step refused, and then as a power cut would: half is written.
        file.write_all(bytes.get(..bytes.len() / 2).unwrap_or_default())?;
        return Err(cut);
    }
    file.write_all(bytes)?;
    step(Step::SyncFile)?;
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
    step(Step::MakeFolder)?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    missing
        .iter()
        .try_for_each(|part| sync_folder(folder_of(part)?))
}

/// Keeps other programs of this computer from changing a folder, until the value is dropped.
///
/// There is nothing to hold where the folder's file system knows no locks: then two programs at once
/// are like two devices at once, and what they write is merged when it is read.
pub(crate) fn lock(folder: &Path) -> Option<File> {
    let folder = File::open(folder).ok()?;
    folder.lock().ok()?;
    Some(folder)
}

/// Why a file was not read.
#[derive(Debug)]
pub(crate) enum Unread {
    /// The operating system refused.
    Io(io::Error),
    /// It is a link, a folder, a pipe or a device.
    NoFile,
    /// It is larger than any file that is expected there.
    TooLarge,
}

/// Reads a file that a stranger may have put there: a link is not followed, a pipe is not waited for,
/// and what has more than `most` bytes is not read.
pub(crate) fn read(path: &Path, most: u64) -> Result<Vec<u8>, Unread> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        // A link, or a socket.
        Err(Errno::LOOP | Errno::NXIO) => return Err(Unread::NoFile),
        Err(error) => return Err(Unread::Io(error.into())),
    };
    bounded(file, most, None).map(|mut bytes| std::mem::take(&mut *bytes))
}

/// Reads a small file that its owner named, as that of a stick, or put in a folder of his own. It may be a
/// link; what is no file is not waited for. It may hold a secret, of which no copy is left behind.
pub(crate) fn read_secret(path: &Path, most: u64) -> Result<Zeroizing<Vec<u8>>, Unread> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::open(path, flags, Mode::empty());
    let file = file.map_err(|error| Unread::Io(error.into()))?;
    bounded(File::from(file), most, Some(most))
}

/// Reads a file with no more than `most` bytes, in memory that does not move up to `room` of them; up to
/// its length if that is not told.
fn bounded(file: File, most: u64, room: Option<u64>) -> Result<Zeroizing<Vec<u8>>, Unread> {
    let metadata = file.metadata().map_err(Unread::Io)?;
    if !metadata.is_file() {
        return Err(Unread::NoFile);
    }
    if metadata.len() > most {
        return Err(Unread::TooLarge);
    }
    let room = usize::try_from(room.unwrap_or(metadata.len())).unwrap_or_default();
    let mut bytes = Zeroizing::new(Vec::with_capacity(room + SPARE));
    // It may grow while it is read.
    let mut file = file.take(most.saturating_add(1));
    file.read_to_end(&mut bytes).map_err(Unread::Io)?;
    match file.limit() {
        0 => Err(Unread::TooLarge),
        _ => Ok(bytes),
    }
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

/// Returns whether a file is one that nobody finished.
pub(crate) fn is_unfinished(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with(UNFINISHED))
}

#[cfg(test)]
mod tests {
    use super::power::{Cut, with_cut};
    use super::*;

    #[test]
    fn where_there_are_no_links_a_new_file_still_takes_no_others_place() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("place");
        for (bytes, kind) in [(b"1", None), (b"2", Some(io::ErrorKind::AlreadyExists))] {
            let (written, _) = with_cut(0, Cut::NoLinks, || write_new(&place, bytes));
            assert_eq!(written.err().map(|error| error.kind()), kind);
            assert_eq!(fs::read(&place).unwrap(), b"1");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }
}
