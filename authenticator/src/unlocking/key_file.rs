//! The key file: a secret that its owner carries, as on a USB stick.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use handfast_proto::cbor::{Map, SecretMap};
use rand_core::CryptoRngCore;

use super::{SecretId, UnlockError, UnlockSecret, at};
use crate::disk::{Unread, read_secret};
use crate::format::Format;
use crate::locked::Locked;

const KIND: &str = "handfast-key-file";
const FORMAT: u64 = 1;
/// No key file is longer.
const LONGEST: u64 = 256;

/// A key file's content.
pub(crate) struct KeyFile {
    pub(crate) id: SecretId,
    pub(crate) secret: UnlockSecret,
}

impl KeyFile {
    /// Makes a key file where nothing is. The file systems of sticks know neither hard links nor owners,
    /// so it is written in its place, and removed if that fails.
    pub(crate) fn make(path: &Path, rng: &mut dyn CryptoRngCore) -> Result<Self, UnlockError> {
        let made = Self {
            id: SecretId::generate(rng),
            secret: UnlockSecret::generate(rng),
        };
        let content = Map::new()
            .with(1, KIND)
            .with(2, FORMAT)
            .with(3, made.id.0)
            .with(4, *made.secret.0);
        let content = SecretMap::from(content).encode();
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(at(path))?;
        let folder = path.parent().filter(|folder| *folder != Path::new(""));
        let folder = folder.unwrap_or_else(|| Path::new("."));
        if let Err(error) = file.write_all(&content).and_then(|()| file.sync_all()) {
            // A file that is not whole is of no use to anybody.
            let _ = fs::remove_file(path);
            return Err(at(path)(error));
        }
        // Not every file system of a stick can do this, and without the file the pass phrase is asked for.
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
        Ok(made)
    }

    /// Reads a key file. What is none is neither waited for nor read to its end.
    pub(crate) fn read(path: &Path) -> Result<Self, UnlockError> {
        let foreign = || UnlockError::KeyFileForeign(path.to_owned());
        let content = read_secret(path, LONGEST).map_err(|unread| match unread {
            Unread::NoFile | Unread::TooLarge => foreign(),
            Unread::Io(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                    UnlockError::KeyFileGone(path.to_owned())
                }
                _ => at(path)(error),
            },
        })?;
        let map = SecretMap::decode(&content).ok().flatten();
        let map = map.ok_or_else(foreign)?;
        match Format::of(&map, KIND, FORMAT) {
            Format::Known(_) => {}
            Format::Newer(format) => {
                let path = path.to_owned();
                return Err(UnlockError::NewerFormat { path, format });
            }
            Format::Foreign => return Err(foreign()),
        }
        Self::parts(&map).ok_or_else(foreign)
    }

    fn parts(map: &Map) -> Option<Self> {
        Some(Self {
            id: SecretId(map.int(3)?.as_bytes()?.try_into().ok()?),
            secret: UnlockSecret(Locked::copy_of(map.int(4)?.as_bytes()?.try_into().ok()?)),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rand_core::OsRng;

    use super::*;

    #[test]
    fn what_is_no_key_file_is_told_and_never_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        assert!(matches!(
            KeyFile::read(&path),
            Err(UnlockError::KeyFileGone(_))
        ));
        let below = path.join("below");
        fs::write(&path, b"").unwrap();
        assert!(matches!(
            KeyFile::read(&below),
            Err(UnlockError::KeyFileGone(_))
        ));
        let mut foreign = vec![Vec::new(), b"\xa0".to_vec(), vec![0x81; 4000], vec![7; 32]];
        let newer = Map::new().with(1, "handfast-vault").with(2, 1);
        foreign.push(newer.encode());
        for content in foreign {
            fs::write(&path, &content).unwrap();
            let read = KeyFile::read(&path);
            assert!(
                matches!(read, Err(UnlockError::KeyFileForeign(_))),
                "{content:?}"
            );
        }
        let read = KeyFile::read(folder.path());
        assert!(matches!(read, Err(UnlockError::KeyFileForeign(_))));
        let read = KeyFile::read(Path::new("/dev/zero"));
        assert!(matches!(read, Err(UnlockError::KeyFileForeign(_))));
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        assert!(matches!(
            KeyFile::read(&pipe),
            Err(UnlockError::KeyFileForeign(_))
        ));
    }

    #[test]
    fn any_cut_or_longer_key_file_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        KeyFile::make(&path, &mut OsRng).unwrap();
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            assert!(KeyFile::read(&path).is_err(), "{length}");
        }
        fs::write(&path, [&whole[..], &[0]].concat()).unwrap();
        assert!(KeyFile::read(&path).is_err());
        fs::write(&path, Map::new().with(1, KIND).with(2, 9).encode()).unwrap();
        assert!(matches!(
            KeyFile::read(&path),
            Err(UnlockError::NewerFormat { format: 9, .. })
        ));
    }

    #[test]
    fn a_key_file_is_its_owners_alone_and_takes_the_place_of_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let made = KeyFile::make(&path, &mut OsRng).unwrap();
        let read = KeyFile::read(&path).unwrap();
        assert_eq!(read.id, made.id);
        assert_eq!(*read.secret.0, *made.secret.0);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(KeyFile::make(&path, &mut OsRng).is_err());
        assert_eq!(KeyFile::read(&path).unwrap().id, made.id);
    }
}
