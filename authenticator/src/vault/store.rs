//! Passkeys that come, change and go. Each change is one file, and durable when it returns.

use std::path::Path;

use handfast_proto::extension::large_blob::LargeBlob;
use handfast_proto::ids::CredentialId;

use super::sealed::Kind;
use super::{Passkey, Vault, VaultError};
use crate::disk::{lock, remove};

impl Vault {
    /// Deletes the passkeys that were replaced more than 30 days ago, and returns them.
    ///
    /// # Errors
    ///
    /// [`VaultError::Io`].
    pub fn bury(&mut self, now: u64) -> Result<Vec<CredentialId>, VaultError> {
        let gone: Vec<CredentialId> = self
            .kept()
            .filter(|passkey| !passkey.answers(now))
            .map(|passkey| passkey.credential_id.clone())
            .collect();
        gone.iter().try_for_each(|id| self.delete(id, now))?;
        Ok(gone)
    }

    pub(super) fn next_ordinal(&self) -> u64 {
        let ordinals = self.passkeys.values().map(|(known, _)| known.ordinal);
        ordinals.max().unwrap_or_default().saturating_add(1)
    }

    /// Stores a passkey durably. Older passkeys of the same account are marked as replaced, after
    /// the new one is stored.
    ///
    /// # Errors
    ///
    /// [`VaultError::Io`]; then nothing has changed, or only marks of replacement are missing.
    pub fn store(&mut self, mut passkey: Passkey) -> Result<(), VaultError> {
        passkey.ordinal = self.next_ordinal();
        let older: Vec<CredentialId> = self
            .passkeys_of(&passkey.rp_id)
            .into_iter()
            .filter(|old| {
                old.user_handle == passkey.user_handle && old.credential_id != passkey.credential_id
            })
            .map(|old| old.credential_id.clone())
            .collect();
        let now = passkey.created_at;
        self.insert(passkey)?;
        older
            .iter()
            .try_for_each(|id| self.end(id, |old| old.replaced_at = Some(now)))
    }

    /// Deletes a passkey. Its file stays as a tombstone, so that no old copy brings it back.
    ///
    /// # Errors
    ///
    /// [`VaultError::Io`].
    pub fn delete(&mut self, id: &CredentialId, now: u64) -> Result<(), VaultError> {
        self.end(id, |passkey| passkey.deleted_at = Some(now))
    }

    /// Keeps durably what a site stores with a passkey, in the place of what it stored before.
    ///
    /// # Errors
    ///
    /// [`VaultError::Io`]; then nothing has changed.
    pub fn set_large_blob(
        &mut self,
        id: &CredentialId,
        blob: LargeBlob,
        now: u64,
    ) -> Result<(), VaultError> {
        self.end(id, |passkey| {
            // The later one counts, on every device and whatever a clock says.
            let before = passkey.large_blob.take();
            let after = before.map(|(_, at)| at.saturating_add(1));
            passkey.large_blob = Some((blob, now.max(after.unwrap_or_default())));
        })
    }

    /// Changes a passkey; where that cannot be written, it stays as it was.
    pub(super) fn end(
        &mut self,
        id: &CredentialId,
        mark: impl FnOnce(&mut Passkey),
    ) -> Result<(), VaultError> {
        let _lock = lock(&self.folder);
        let Some((mut passkey, mut path)) = self.passkeys.remove(id) else {
            return Ok(());
        };
        // Another program, or the file sync, may have written it since it was read.
        match self.on_disk(&path) {
            Some(newer) if newer.credential_id == *id => passkey.merge(newer),
            // What cannot be read is not ours to overwrite.
            _ if path.exists() => path = self.new_path(Kind::Passkey),
            _ => {}
        }
        let before = passkey.encode();
        mark(&mut passkey);
        let written = self.write_passkey(&passkey, &path);
        if written.is_err()
            && let Some(as_it_was) = Passkey::parse(id.as_bytes(), &before)
        {
            passkey = as_it_was;
        }
        self.passkeys.insert(id.clone(), (passkey, path));
        written
    }

    /// Adds a passkey that the vault does not know, as it is; nothing is replaced by it.
    pub(super) fn insert(&mut self, passkey: Passkey) -> Result<(), VaultError> {
        let path = self.new_path(Kind::Passkey);
        if let Err(error) = self.write_passkey(&passkey, &path) {
            // It may be there and only not durable: who hears that it failed should not find it later.
            let _ = remove(&path);
            return Err(error);
        }
        self.index(passkey, path);
        Ok(())
    }

    /// Takes over what another version of a passkey knows.
    pub(super) fn merge(&mut self, passkey: Passkey) -> Result<(), VaultError> {
        let id = passkey.credential_id.clone();
        let Some((known, _)) = self.passkeys.get_mut(&id) else {
            return self.insert(passkey);
        };
        let before = known.encode();
        known.merge(passkey);
        if *known.encode() == *before {
            return Ok(());
        }
        let written = self.end(&id, |_| ());
        if written.is_err()
            && let Some((known, _)) = self.passkeys.get_mut(&id)
            && let Some(as_it_was) = Passkey::parse(id.as_bytes(), &before)
        {
            *known = as_it_was;
        }
        written
    }

    fn write_passkey(&mut self, passkey: &Passkey, path: &Path) -> Result<(), VaultError> {
        self.write(
            Kind::Passkey,
            passkey.credential_id.as_bytes(),
            &passkey.encode(),
            path,
        )
    }
}
