//! The files of trust groups in a vault's folder.

use std::path::{Path, PathBuf};

use super::sealed::Kind;
use super::{Vault, VaultError};
use crate::disk::{lock, random_name, remove};

impl Vault {
    /// Returns the content of the files in `group/`.
    pub fn group_files(&self) -> impl Iterator<Item = &[u8]> {
        self.group.values().map(|(_, content)| content.as_slice())
    }

    /// Returns a number that changes with anything in `group/`.
    pub(crate) fn group_version(&self) -> u64 {
        self.group_version
    }

    /// Returns the files in `group/`, each with a number that changes with its content.
    pub(crate) fn group_versions(&self) -> impl Iterator<Item = (&Path, u64, &[u8])> {
        self.group
            .iter()
            .map(|(path, (version, content))| (path.as_path(), *version, content.as_slice()))
    }

    pub(super) fn set_group(&mut self, path: PathBuf, content: Vec<u8>) {
        self.group_version += 1;
        self.group.insert(path, (self.group_version, content));
    }

    /// Publishes a file in `group/`.
    ///
    /// # Errors
    ///
    /// [`VaultError::Io`].
    pub fn publish(&mut self, content: &[u8]) -> Result<(), VaultError> {
        let path = self.new_path(Kind::Group);
        let id = random_name();
        self.write(Kind::Group, id.as_bytes(), content, &path)?;
        self.set_group(path, content.to_vec());
        Ok(())
    }

    /// Publishes a file in the place of those that hold an older form of the same.
    ///
    /// # Errors
    ///
    /// [`VaultError::Io`].
    pub fn publish_instead(
        &mut self,
        content: &[u8],
        older: impl Fn(&[u8]) -> bool,
    ) -> Result<(), VaultError> {
        let mut places: Vec<PathBuf> = self
            .group
            .iter()
            .filter(|(_, (_, content))| older(content))
            .map(|(path, _)| path.clone())
            .collect();
        let Some(first) = places.pop() else {
            return self.publish(content);
        };
        let id = random_name();
        let _lock = lock(&self.folder);
        self.write(Kind::Group, id.as_bytes(), content, &first)?;
        self.set_group(first, content.to_vec());
        for path in places {
            // A copy that stays is read and merged again: nothing depends on its removal.
            let _ = remove(&path);
            self.stale.remove(&path);
            self.group.remove(&path);
        }
        Ok(())
    }
}
