//! Documents as files: read within bounds, opened, written so that nobody else can read them.

use std::fs::File;
use std::io::{self, Read, Write as _, stdin, stdout};
use std::path::Path;

use zeroize::Zeroizing;

use crate::console::{Failure, Secrets, document_passphrase};
use crate::disk::{write_atomically, write_new};
use crate::exchange::sealed::{Identities, OpenError, Sealed};
use crate::exchange::{DocumentError, LARGEST};

/// Sealed and in letters a document is a third larger, and more for its header.
const LARGEST_SEALED: usize = LARGEST + LARGEST / 2;

/// Whether a path means standard input or output.
pub(super) fn is_standard(path: &Path) -> bool {
    path == Path::new("-")
}

/// Reads a document, and opens it if it is sealed.
pub(super) fn read(
    path: &Path,
    identity: Option<&Path>,
    secrets: &mut dyn Secrets,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let identities = identity.map(read_identities).transpose()?;
    let bytes = match is_standard(path) {
        true => read_bounded(stdin().lock()),
        false => File::open(path).and_then(read_bounded),
    };
    let bytes = bytes.map_err(|error| {
        Failure::new(format!(
            "the document {} cannot be read: {error}",
            shown(path)
        ))
        .with_hint("Give the path of a document that another program exported.")
    })?;
    let bytes = bytes.ok_or_else(|| unusable(path, &DocumentError::TooLarge))?;
    let unusable = |error: OpenError| unusable(path, &error);
    let Some(sealed) = Sealed::parse(&bytes).map_err(unusable)? else {
        return Ok(bytes);
    };
    if !sealed.needs_passphrase() {
        let identities = identities.ok_or_else(|| {
            Failure::usage(format!("{} is sealed for the holder of a key", shown(path)))
                .with_hint("Give the file with that key: --identity FILE")
        })?;
        return sealed.open_by(&identities).map_err(unusable);
    }
    document_passphrase(secrets, |passphrase| match sealed.open_with(passphrase) {
        Ok(document) => Ok(Some(document)),
        Err(OpenError::WrongPassphrase) => Ok(None),
        Err(error) => Err(unusable(error)),
    })
}

/// Says why a document cannot be used.
pub(super) fn unusable(path: &Path, error: &dyn std::error::Error) -> Failure {
    Failure::new(format!("{} cannot be imported: {error}", shown(path))).with_hint(
        "Export it once more, as a CXF 1.0 document (JSON), sealed with age or not; nothing was imported.",
    )
}

fn shown(path: &Path) -> String {
    match is_standard(path) {
        true => "What came on standard input".to_owned(),
        false => path.display().to_string(),
    }
}

/// Reads to the end; nothing if that does not come in time.
fn read_bounded(mut from: impl Read) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    // It may be unsealed: what grows is copied, and what was copied wiped.
    let mut bytes = Zeroizing::new(Vec::new());
    let mut part = Zeroizing::new([0; 64 * 1024]);
    loop {
        let count = match from.read(part.as_mut()) {
            Ok(0) => return Ok(Some(bytes)),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if bytes.len() + count > LARGEST_SEALED {
            return Ok(None);
        }
        if bytes.capacity() - bytes.len() < count {
            let mut larger = Vec::with_capacity(2 * bytes.capacity() + part.len());
            larger.extend_from_slice(&bytes);
            bytes = Zeroizing::new(larger);
        }
        bytes.extend(part.iter().take(count));
    }
}

fn read_identities(path: &Path) -> Result<Identities, Failure> {
    let bytes = File::open(path).and_then(read_bounded).map_err(|error| {
        Failure::new(format!("{} cannot be read: {error}", path.display()))
            .with_hint("Correct --identity.")
    })?;
    let text = bytes.as_ref().and_then(|bytes| str::from_utf8(bytes).ok());
    text.and_then(Identities::parse).ok_or_else(|| {
        Failure::usage(format!("{} holds no keys of age", path.display()))
            .with_hint("Give a file that age-keygen made: a line AGE-SECRET-KEY-1… for each key.")
    })
}

/// Refuses to overwrite a file, before anything secret is asked for.
pub(super) fn may_write(path: &Path, force: bool) -> Result<(), Failure> {
    if is_standard(path) {
        return Ok(());
    }
    let folder = parent(path);
    if path.is_dir() || !folder.is_dir() {
        let (what, is) = match path.is_dir() {
            true => (path, "a folder"),
            false => (folder, "no folder"),
        };
        return Err(Failure::usage(format!("{} is {is}", what.display()))
            .with_hint("Give the path of a file with --to; nothing was exported."));
    }
    match !force && path.symlink_metadata().is_ok() {
        true => Err(exists(path)),
        false => Ok(()),
    }
}

/// Writes a document, whole or not at all, for its owner alone.
pub(super) fn write(path: &Path, document: &[u8], force: bool) -> Result<(), Failure> {
    if is_standard(path) {
        let mut out = stdout().lock();
        let written = out.write_all(document).and_then(|()| out.flush());
        return written.map_err(|error| {
            Failure::new(format!("The document could not be written: {error}"))
                .with_hint("Nothing is to be made of what came out; try again.")
        });
    }
    // A path without a folder is in the one where we are.
    let path = match path.file_name() {
        Some(name) => parent(path).join(name),
        None => path.to_owned(),
    };
    let written = match force {
        true => write_atomically(&path, document),
        false => write_new(&path, document),
    };
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => exists(&path),
        // What a stick with a file system of Windows answers, which has no links.
        io::ErrorKind::PermissionDenied if !force => {
            Failure::new(format!("{} cannot be written: {error}", path.display())).with_hint(
                "Check the folder's permissions; on a stick formatted for Windows, give --force as well.",
            )
        }
        _ => Failure::new(format!("{} cannot be written: {error}", path.display()))
            .with_hint("Check the folder's permissions and the space on its disk."),
    })
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn exists(path: &Path) -> Failure {
    Failure::new(format!("{} is there already", path.display()))
        .with_hint("Give another path, or --force to overwrite it; nothing was exported.")
}
