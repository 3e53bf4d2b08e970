//! A radio that is a folder: who broadcasts writes a file, who listens looks for files.

mod link;

use std::collections::{HashSet, VecDeque};
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rand_core::{OsRng, RngCore};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::RadioError;

pub(super) use link::{Listener, connect_to};

const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A phone advertises for a minute at most; older files are of processes that were killed.
const STALE: Duration = Duration::from_secs(60);
/// No advert is longer, with any suffix; what is longer is no advert.
const LONGEST: u64 = 255;
const ENDING: &str = "advert";

/// A folder that may be the air.
#[derive(Debug)]
pub(super) struct Air(PathBuf);

impl Air {
    /// Makes the folder if there is none; `own` is whether it has to belong to this user.
    pub(super) fn open(folder: &Path, own: bool) -> Result<Self, RadioError> {
        // With a slash at its end a path would mean what a link points to.
        let air = Self(folder.components().collect());
        air.check(own).map_err(|source| air.error(source))?;
        Ok(air)
    }

    fn check(&self, own: bool) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.0)?;
        let found = fs::symlink_metadata(&self.0)?;
        if !found.is_dir() {
            return Err(io::Error::other("it is a symbolic link"));
        }
        if own && found.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::Error::other("it belongs to somebody else"));
        }
        Ok(())
    }

    pub(super) fn error(&self, source: io::Error) -> RadioError {
        RadioError::Air {
            folder: self.0.clone(),
            source,
        }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.0
    }

    /// Adds a file that appears as a whole.
    fn add(&self, name: u64, bytes: &[u8]) -> io::Result<PathBuf> {
        let unfinished = self.0.join(format!("{name:016x}.tmp"));
        let path = self.0.join(format!("{name:016x}.{ENDING}"));
        // What is there already, a link perhaps, is not ours to write to.
        let mut file = File::create_new(&unfinished)?;
        let written = file
            .write_all(bytes)
            .and_then(|()| fs::rename(&unfinished, &path));
        if written.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        written.map(|()| path)
    }
}

/// Returns a name that nobody can have put something under.
fn random_name() -> io::Result<u64> {
    let mut name = [0; 8];
    OsRng.try_fill_bytes(&mut name).map_err(io::Error::other)?;
    Ok(u64::from_le_bytes(name))
}

#[derive(Debug)]
pub(super) struct Scanner {
    air: Air,
    heard: HashSet<Vec<u8>>,
    waiting: VecDeque<Vec<u8>>,
    looks: Interval,
}

impl Scanner {
    pub(super) fn new(air: Air) -> Self {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            air,
            heard: HashSet::new(),
            waiting: VecDeque::new(),
            looks,
        }
    }

    pub(super) fn folder(&self) -> &Path {
        self.air.folder()
    }

    pub(super) async fn next(&mut self) -> Result<Vec<u8>, RadioError> {
        loop {
            if let Some(advert) = self.waiting.pop_front() {
                return Ok(advert);
            }
            self.looks.tick().await;
            self.look().map_err(|source| self.air.error(source))?;
        }
    }

    fn look(&mut self) -> io::Result<()> {
        for entry in fs::read_dir(&self.air.0)? {
            let path = entry?.path();
            if path.extension().is_none_or(|ending| ending != ENDING) {
                continue;
            }
            // A file that vanishes while we look is an advert that ended.
            let Some(advert) = read_advert(&path) else {
                continue;
            };
            if self.heard.insert(advert.clone()) {
                self.waiting.push_back(advert);
            }
        }
        Ok(())
    }
}

fn read_advert(path: &Path) -> Option<Vec<u8>> {
    // Not what a link points to: that may be a file of any kind, and never is an advert.
    let metadata = fs::symlink_metadata(path).ok()?;
    let age = SystemTime::now()
        .duration_since(metadata.modified().ok()?)
        .unwrap_or_default();
    if !metadata.is_file() || metadata.len() > LONGEST || age > STALE {
        return None;
    }
    let mut advert = Vec::new();
    // It may have grown meanwhile.
    let file = File::open(path).ok()?;
    file.take(LONGEST).read_to_end(&mut advert).ok()?;
    Some(advert)
}

#[derive(Debug)]
pub(super) struct Broadcast(PathBuf);

impl Broadcast {
    pub(super) fn start(air: &Air, advert: &[u8]) -> Result<Self, RadioError> {
        random_name()
            .and_then(|name| air.add(name, advert))
            .map(Self)
            .map_err(|source| air.error(source))
    }
}

impl Drop for Broadcast {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_lies_under_a_name_already_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let air = Air::open(&folder.path().join("air"), true).unwrap();
        let victim = folder.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        let trap = air.0.join("0000000000000007.tmp");
        symlink(&victim, &trap).unwrap();
        let error = air.add(7, &[1; 20]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert!(trap.is_symlink());

        // A link where the finished advert goes is replaced, and leads nowhere.
        symlink(&victim, air.0.join("0000000000000008.advert")).unwrap();
        air.add(8, &[1; 20]).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    }
}
