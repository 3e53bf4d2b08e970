//! A radio that is a folder: who broadcasts writes a file, who listens looks for files.

use std::collections::{HashSet, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use handfast_proto::hybrid::advert::ADVERT_LENGTH;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::RadioError;

const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A phone advertises for a minute at most; older files are of processes that were killed.
const STALE: Duration = Duration::from_secs(60);
/// No advert is longer, with any suffix; what is longer is no advert.
const LONGEST: u64 = 255;
const ENDING: &str = "advert";

fn air_error(folder: &Path) -> impl Fn(io::Error) -> RadioError {
    let folder = folder.to_owned();
    move |source| RadioError::Air {
        folder: folder.clone(),
        source,
    }
}

#[derive(Debug)]
pub(super) struct Scanner {
    folder: PathBuf,
    heard: HashSet<Vec<u8>>,
    waiting: VecDeque<Vec<u8>>,
    looks: Interval,
}

impl Scanner {
    pub(super) fn new(folder: &Path) -> Result<Self, RadioError> {
        fs::create_dir_all(folder).map_err(air_error(folder))?;
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            folder: folder.to_owned(),
            heard: HashSet::new(),
            waiting: VecDeque::new(),
            looks,
        })
    }

    pub(super) async fn next(&mut self) -> Result<Vec<u8>, RadioError> {
        loop {
            if let Some(advert) = self.waiting.pop_front() {
                return Ok(advert);
            }
            self.looks.tick().await;
            self.look().map_err(air_error(&self.folder))?;
        }
    }

    fn look(&mut self) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
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
    let metadata = fs::metadata(path).ok()?;
    let age = SystemTime::now()
        .duration_since(metadata.modified().ok()?)
        .unwrap_or_default();
    if !metadata.is_file() || metadata.len() > LONGEST || age > STALE {
        return None;
    }
    fs::read(path).ok()
}

#[derive(Debug)]
pub(super) struct Broadcast(PathBuf);

impl Broadcast {
    pub(super) fn start(folder: &Path, advert: &[u8; ADVERT_LENGTH]) -> Result<Self, RadioError> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let error = air_error(folder);
        fs::create_dir_all(folder).map_err(&error)?;
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{count}", std::process::id());
        let unfinished = folder.join(format!("{name}.tmp"));
        let path = folder.join(format!("{name}.{ENDING}"));
        fs::write(&unfinished, advert).map_err(&error)?;
        fs::rename(&unfinished, &path).map_err(&error)?;
        Ok(Self(path))
    }
}

impl Drop for Broadcast {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = fs::remove_file(&self.0);
    }
}
