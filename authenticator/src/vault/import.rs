//! Passkeys that were made elsewhere, and changes that their owner makes to those that are here.

use handfast_proto::ids::{CredentialId, RpId, UserHandle};

use super::{Passkey, Vault, VaultError};

impl Vault {
    /// Stores a passkey durably, beside others of its account: all of them can be chosen, as when two
    /// devices made one each before the folder came together.
    ///
    /// # Errors
    ///
    /// [`VaultError::Io`]; then nothing has changed.
    pub fn add(&mut self, mut passkey: Passkey) -> Result<(), VaultError> {
        passkey.ordinal = self.next_ordinal();
        self.insert(passkey)
    }

    /// Stores a passkey durably, and marks others of its account as replaced at this time, however old
    /// the passkey itself is.
    ///
    /// # Errors
    ///
    /// [`VaultError::Io`]; then nothing has changed, or only marks of replacement are missing.
    pub fn add_in_place(&mut self, passkey: Passkey, now: u64) -> Result<(), VaultError> {
        let older = self.of_account(&passkey.rp_id, &passkey.user_handle);
        self.add(passkey)?;
        older
            .iter()
            .try_for_each(|id| self.end(id, |old| old.replaced_at = Some(now)))
    }

    /// Returns the passkeys of an account that can be used.
    pub fn of_account(&self, rp_id: &RpId, user: &UserHandle) -> Vec<CredentialId> {
        let passkeys = self.passkeys_of(rp_id).into_iter();
        passkeys
            .filter(|passkey| passkey.user_handle == *user)
            .map(|passkey| passkey.credential_id.clone())
            .collect()
    }

    /// Returns how many passkeys were replaced or deleted.
    pub fn ended(&self) -> usize {
        let passkeys = self.passkeys.values();
        passkeys.filter(|(passkey, _)| !passkey.is_usable()).count()
    }

    /// Gives a passkey other names, which an empty text takes away.
    ///
    /// # Errors
    ///
    /// [`VaultError::Io`].
    pub fn rename(
        &mut self,
        id: &CredentialId,
        user_name: Option<&str>,
        display_name: Option<&str>,
        now: u64,
    ) -> Result<(), VaultError> {
        let given = |name: &str| Some(name.to_owned()).filter(|name| !name.is_empty());
        self.end(id, |passkey| {
            if let Some(name) = user_name {
                passkey.user_name = given(name);
            }
            if let Some(name) = display_name {
                passkey.display_name = given(name);
            }
            // Of two versions the newer names count, also where a clock went wrong.
            passkey.changed_at = now.max(passkey.changed_at.saturating_add(1));
        })
    }
}
