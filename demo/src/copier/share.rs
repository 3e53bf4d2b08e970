//! Bringing folders together.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::date::stamp;
use super::folder::{Snapshot, Version, read, replace};
use super::{Done, Folder};

/// Folders that are to hold the same.
pub(super) struct Share {
    folders: Vec<Folder>,
    /// What all of them held after the last round: who differs from it has changed something.
    base: BTreeMap<PathBuf, Vec<u8>>,
    done: Done,
}

impl Share {
    pub(super) fn new(folders: Vec<Folder>) -> Self {
        Self {
            folders,
            base: BTreeMap::new(),
            done: Done::default(),
        }
    }

    /// Goes on until there is nothing to do, and tells what was done since this was last asked.
    pub(super) fn settle(&mut self) -> io::Result<Done> {
        while self.round()? {}
        Ok(std::mem::take(&mut self.done))
    }

    /// Brings every file together once. Tells whether anything was to be done.
    pub(super) fn round(&mut self) -> io::Result<bool> {
        let now = self
            .folders
            .iter()
            .map(|folder| read(&folder.path))
            .collect::<io::Result<Vec<Snapshot>>>()?;
        let mut names: BTreeSet<PathBuf> = self.base.keys().cloned().collect();
        names.extend(now.iter().flat_map(|files| files.keys().cloned()));
        let mut busy = false;
        for name in names {
            let versions: Vec<_> = now.iter().map(|files| files.get(&name)).collect();
            busy |= self.bring_together(&name, &versions)?;
        }
        Ok(busy)
    }

    /// The newest version of a file goes everywhere. Other new versions stay beside it, under a
    /// name of their own; a deletion yields to any change.
    fn bring_together(&mut self, name: &Path, versions: &[Option<&Version>]) -> io::Result<bool> {
        let before = self.base.get(name);
        let changed: Vec<usize> = (0..versions.len())
            .filter(|&at| bytes(versions[at]) != before)
            .collect();
        if changed.is_empty() {
            return Ok(false);
        }
        let written = |&at: &usize| Some((at, versions[at]?));
        let newest = changed
            .iter()
            .filter_map(written)
            .max_by_key(|(at, version)| (version.modified, Reverse(*at)))
            .map(|(_, version)| version);
        let mut kept = vec![bytes(newest)];
        for (at, version) in changed.iter().filter_map(written) {
            if !kept.contains(&Some(&version.bytes)) {
                kept.push(Some(&version.bytes));
                self.keep_beside(name, &self.folders[at].device.clone(), version)?;
            }
        }
        self.replace_everywhere(name, versions, newest)
    }

    fn replace_everywhere(
        &mut self,
        name: &Path,
        versions: &[Option<&Version>],
        newest: Option<&Version>,
    ) -> io::Result<bool> {
        let (mut busy, mut undisturbed) = (false, true);
        for (folder, version) in self.folders.iter().zip(versions) {
            if bytes(*version) != bytes(newest) {
                busy = true;
                match replace(&folder.path, name, *version, newest)? {
                    true => self.done.copied += 1,
                    // It was written while we looked: the next round sees a conflict.
                    false => undisturbed = false,
                }
            }
        }
        match newest {
            _ if !undisturbed => {}
            Some(newest) => drop(self.base.insert(name.to_owned(), newest.bytes.clone())),
            None => drop(self.base.remove(name)),
        }
        Ok(busy)
    }

    fn keep_beside(&mut self, name: &Path, device: &str, version: &Version) -> io::Result<()> {
        let copy = conflict_name(name, device, SystemTime::now());
        for folder in &self.folders {
            replace(&folder.path, &copy, None, Some(version))?;
        }
        self.base.insert(copy.clone(), version.bytes.clone());
        self.done.conflicts.push(copy);
        Ok(())
    }
}

fn bytes(version: Option<&Version>) -> Option<&Vec<u8>> {
    version.map(|version| &version.bytes)
}

/// Names a conflict copy as Syncthing does: when it was found, and whose version it is.
fn conflict_name(name: &Path, device: &str, now: SystemTime) -> PathBuf {
    let mut file = name.file_stem().unwrap_or_default().to_owned();
    file.push(format!(".sync-conflict-{}-{device}", stamp(now)));
    if let Some(extension) = name.extension() {
        file.push(".");
        file.push(extension);
    }
    name.with_file_name(file)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::{Duration, UNIX_EPOCH};

    use tempfile::TempDir;

    use super::*;
    use crate::copier::Copier;

    const NAME: &str = "group/a";

    struct Three {
        folder: TempDir,
        share: Share,
    }

    impl Three {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let share = Share::new(Self::folders(&folder));
            Self { folder, share }
        }

        fn folders(folder: &TempDir) -> Vec<Folder> {
            ["ONE", "TWO", "THREE"]
                .map(|device| Folder {
                    device: device.to_owned(),
                    path: folder.path().join(device),
                })
                .into()
        }

        fn path(&self, device: &str, name: &str) -> PathBuf {
            self.folder.path().join(device).join(name)
        }

        /// Writes a file as a device does at this second.
        fn write(&self, device: &str, name: &str, text: &str, second: u64) {
            let path = self.path(device, name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            let file = fs::File::options().write(true).open(&path).unwrap();
            let modified = UNIX_EPOCH + Duration::from_secs(second);
            file.set_modified(modified).unwrap();
        }

        fn everywhere(&self, name: &Path) -> [Option<String>; 3] {
            ["ONE", "TWO", "THREE"]
                .map(|device| fs::read_to_string(self.folder.path().join(device).join(name)).ok())
        }

        fn assert_everywhere(&self, name: &str, text: Option<&str>) {
            let expected = text.map(str::to_owned);
            assert_eq!(
                self.everywhere(Path::new(name)),
                [(); 3].map(|()| expected.clone())
            );
        }
    }

    #[test]
    fn changes_and_deletions_arrive_everywhere() {
        let mut three = Three::new();
        three.write("ONE", NAME, "1", 1);
        assert_eq!(three.share.settle().unwrap().copied, 2);
        three.assert_everywhere(NAME, Some("1"));
        three.write("THREE", NAME, "2", 2);
        three.share.settle().unwrap();
        three.assert_everywhere(NAME, Some("2"));
        fs::remove_file(three.path("TWO", NAME)).unwrap();
        let done = three.share.settle().unwrap();
        three.assert_everywhere(NAME, None);
        assert_eq!((done.copied, done.conflicts), (2, vec![]));
        assert_eq!(three.share.settle().unwrap(), Done::default());
    }

    #[test]
    fn of_two_new_versions_the_newer_stays_and_the_older_is_kept_beside_it() {
        let mut three = Three::new();
        three.write("ONE", NAME, "1", 1);
        three.share.settle().unwrap();
        three.write("TWO", NAME, "new", 9);
        three.write("THREE", NAME, "older", 8);
        let done = three.share.settle().unwrap();
        three.assert_everywhere(NAME, Some("new"));
        let [copy] = done.conflicts.as_slice() else {
            panic!("{done:?}")
        };
        let name = copy.to_str().unwrap();
        assert!(
            name.starts_with("group/a.sync-conflict-2") && name.ends_with("-THREE"),
            "{name}"
        );
        three.assert_everywhere(name, Some("older"));
        assert_eq!(three.share.settle().unwrap(), Done::default());
    }

    #[test]
    fn the_same_change_on_two_devices_is_no_conflict() {
        let mut three = Three::new();
        three.write("ONE", NAME, "1", 1);
        three.write("TWO", NAME, "1", 2);
        let done = three.share.settle().unwrap();
        assert_eq!((done.copied, done.conflicts), (1, vec![]));
        three.assert_everywhere(NAME, Some("1"));
    }

    #[test]
    fn a_deletion_yields_to_a_change() {
        let mut three = Three::new();
        three.write("ONE", NAME, "1", 1);
        three.share.settle().unwrap();
        fs::remove_file(three.path("ONE", NAME)).unwrap();
        three.write("TWO", NAME, "2", 2);
        assert_eq!(
            three.share.settle().unwrap().conflicts,
            Vec::<PathBuf>::new()
        );
        three.assert_everywhere(NAME, Some("2"));
    }

    #[test]
    fn unfinished_files_stay_where_they_are() {
        let mut three = Three::new();
        three.write("ONE", "group/.handfast-1", "1", 1);
        assert_eq!(three.share.settle().unwrap(), Done::default());
        assert!(!three.path("TWO", "group").exists());
    }

    #[test]
    fn a_file_written_since_the_folder_was_read_is_left_alone() {
        let three = Three::new();
        three.write("ONE", NAME, "2", 2);
        let version = |text: &str| Version {
            bytes: text.into(),
            modified: UNIX_EPOCH,
        };
        let folder = three.folder.path().join("ONE");
        let (old, new) = (version("1"), version("3"));
        assert!(!replace(&folder, Path::new(NAME), Some(&old), Some(&new)).unwrap());
        assert_eq!(fs::read_to_string(three.path("ONE", NAME)).unwrap(), "2");
    }

    #[test]
    fn what_changed_while_the_sync_was_held_is_met_when_it_settles() {
        let three = Three::new();
        let copier = Copier::start(Three::folders(&three.folder));
        copier.hold().unwrap();
        three.write("ONE", NAME, "1", 1);
        three.write("TWO", NAME, "2", 2);
        assert_eq!(copier.settle().unwrap().conflicts.len(), 1);
        three.assert_everywhere(NAME, Some("2"));
    }

    #[test]
    fn a_conflict_copy_keeps_the_extension_of_its_file() {
        let name = conflict_name(Path::new("vault.handfast"), "ONE", UNIX_EPOCH);
        let expected = "vault.sync-conflict-19700101-000000-ONE.handfast";
        assert_eq!(name, Path::new(expected));
    }
}
