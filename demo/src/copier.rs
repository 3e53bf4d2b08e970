//! The file sync between vault folders: it copies what changed, later, and where two devices
//! changed one file it keeps both, the second as a conflict copy. It knows nothing of what it
//! carries.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long the sync waits between two rounds.
const DELAY: Duration = Duration::from_millis(120);

/// Files by their path below the folder.
type Snapshot = BTreeMap<PathBuf, Vec<u8>>;

/// A sync of two folders that runs until it is dropped.
pub struct Copier {
    orders: Sender<Sender<io::Result<Round>>>,
    thread: Option<JoinHandle<()>>,
}

/// What one round of the sync did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Round {
    /// Files copied from one folder to the other.
    pub copied: usize,
    /// Conflict copies made.
    pub conflicts: usize,
}

impl Copier {
    /// Starts copying between two folders.
    pub fn start(left: PathBuf, right: PathBuf) -> Self {
        let (orders, inbox) = channel::<Sender<io::Result<Round>>>();
        let thread = thread::spawn(move || {
            let mut pair = Pair {
                left,
                right,
                base: Snapshot::new(),
            };
            loop {
                match inbox.recv_timeout(DELAY) {
                    Ok(reply) => {
                        // Who asked may have given up on the answer.
                        let _ = reply.send(pair.settle());
                    }
                    Err(RecvTimeoutError::Timeout) => {
                        // A file that vanished while it was read is there in the next round.
                        let _ = pair.round();
                    }
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        });
        Self {
            orders,
            thread: Some(thread),
        }
    }

    /// Waits until both folders hold the same, and tells what was done for it.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn settle(&self) -> io::Result<Round> {
        let (reply, answer) = channel();
        self.orders
            .send(reply)
            .map_err(|_| io::ErrorKind::BrokenPipe)?;
        answer.recv().map_err(|_| io::ErrorKind::BrokenPipe)?
    }
}

impl Drop for Copier {
    fn drop(&mut self) {
        let (closed, _) = channel();
        self.orders = closed;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Pair {
    left: PathBuf,
    right: PathBuf,
    /// What both folders held after the last round.
    base: Snapshot,
}

impl Pair {
    fn settle(&mut self) -> io::Result<Round> {
        let mut sum = Round::default();
        loop {
            let round = self.round()?;
            sum.copied += round.copied;
            sum.conflicts += round.conflicts;
            if round == Round::default() {
                return Ok(sum);
            }
        }
    }

    fn round(&mut self) -> io::Result<Round> {
        let (left, right) = (read(&self.left)?, read(&self.right)?);
        let mut round = Round::default();
        let mut names: Vec<_> = left
            .keys()
            .chain(right.keys())
            .chain(self.base.keys())
            .collect();
        names.sort();
        names.dedup();
        for name in names {
            let (here, there, before) = (left.get(name), right.get(name), self.base.get(name));
            if here == there {
                continue;
            }
            if there == before {
                put(&self.right, name, here)?;
            } else if here == before {
                put(&self.left, name, there)?;
            } else if let (Some(_), Some(there)) = (here, there) {
                put(&self.left, &conflict_name(name), Some(there))?;
                put(&self.right, &conflict_name(name), Some(there))?;
                put(&self.right, name, here)?;
                round.conflicts += 1;
            } else {
                // Changed here, deleted there: the change is kept.
                put(&self.left, name, here.or(there))?;
                put(&self.right, name, here.or(there))?;
            }
            round.copied += 1;
        }
        let (left, right) = (read(&self.left)?, read(&self.right)?);
        self.base = left
            .into_iter()
            .filter(|(name, bytes)| right.get(name) == Some(bytes))
            .collect();
        Ok(round)
    }
}

fn conflict_name(name: &Path) -> PathBuf {
    let mut file = name.file_name().unwrap_or_default().to_owned();
    file.push(".sync-conflict-20261124-120000-HANDFAS");
    name.with_file_name(file)
}

/// Reads a folder and its subfolders; hidden and unfinished files are no business of a sync.
fn read(folder: &Path) -> io::Result<Snapshot> {
    let mut files = Snapshot::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let entries = match fs::read_dir(&next) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let path = entry?.path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if name.starts_with('.') || name.ends_with(".tmp") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(below) = path.strip_prefix(folder) {
                files.insert(below.to_owned(), fs::read(&path)?);
            }
        }
    }
    Ok(files)
}

fn put(folder: &Path, name: &Path, bytes: Option<&Vec<u8>>) -> io::Result<()> {
    let path = folder.join(name);
    match bytes {
        Some(bytes) => {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            let mut unfinished = path.file_name().unwrap_or_default().to_owned();
            unfinished.push(".copier.tmp");
            let unfinished = path.with_file_name(unfinished);
            fs::write(&unfinished, bytes)?;
            fs::rename(&unfinished, &path)
        }
        None => match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
    }
}

/// Copies a whole folder once, as a thief would.
///
/// # Errors
///
/// The operating system's.
pub fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    for (name, bytes) in read(from)? {
        put(to, &name, Some(&bytes))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_and_deletions_arrive_and_conflicts_keep_both() {
        let folder = tempfile::tempdir().unwrap();
        let (left, right) = (folder.path().join("l"), folder.path().join("r"));
        fs::create_dir_all(left.join("group")).unwrap();
        fs::write(left.join("group/a"), "1").unwrap();
        let copier = Copier::start(left.clone(), right.clone());
        copier.settle().unwrap();
        assert_eq!(fs::read(right.join("group/a")).unwrap(), b"1");
        drop(copier);

        let mut pair = Pair {
            left: left.clone(),
            right: right.clone(),
            base: Snapshot::new(),
        };
        pair.settle().unwrap();
        fs::write(left.join("group/a"), "2").unwrap();
        fs::write(right.join("group/a"), "3").unwrap();
        let round = pair.settle().unwrap();
        assert_eq!(round.conflicts, 1);
        for side in [&left, &right] {
            assert_eq!(fs::read(side.join("group/a")).unwrap(), b"2");
            assert_eq!(
                fs::read(side.join(conflict_name(Path::new("group/a")))).unwrap(),
                b"3"
            );
        }
        fs::remove_file(right.join("group/a")).unwrap();
        pair.settle().unwrap();
        assert!(!left.join("group/a").exists());
    }
}
