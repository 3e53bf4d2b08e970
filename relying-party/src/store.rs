//! Where accounts and passkeys are kept.

#[cfg(feature = "sqlite")]
mod sqlite;

use handfast_proto::cose::CoseKey;
use handfast_proto::ids::{CredentialId, UserHandle};
use thiserror::Error;

#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;

use crate::record::CredentialRecord;

/// Why a store does not do what was asked. Then nothing has changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The credential is there already, perhaps of another account.
    #[error("the credential is registered already")]
    CredentialExists,
    /// What is stored cannot be read.
    #[error("a stored record is damaged")]
    Damaged,
    /// The account's name is taken.
    #[error("the account's name is taken")]
    NameTaken,
    /// The database.
    #[cfg(feature = "sqlite")]
    #[error("the database failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

/// An account.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// By which authenticators know it: random.
    pub handle: UserHandle,
    /// By which people know it.
    pub name: String,
}

/// Keeps accounts and passkeys. Each call happens wholly or not at all.
pub trait Store: Send {
    /// Finds an account by its name.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn user_named(&self, name: &str) -> Result<Option<User>, StoreError>;

    /// Finds an account by its handle.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn user(&self, handle: &UserHandle) -> Result<Option<User>, StoreError>;

    /// Finds a passkey.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn credential(&self, id: &CredentialId) -> Result<Option<CredentialRecord>, StoreError>;

    /// Returns an account's passkeys.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn credentials_of(&self, user: &UserHandle) -> Result<Vec<CredentialRecord>, StoreError>;

    /// Adds a passkey, and its account if that is new.
    ///
    /// # Errors
    ///
    /// [`StoreError::CredentialExists`] for a passkey that any account has,
    /// [`StoreError::NameTaken`].
    fn add_credential(&mut self, user: &User, record: &CredentialRecord) -> Result<(), StoreError>;

    /// Replaces a passkey's record, its trust-group keys included.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn update_credential(&mut self, record: &CredentialRecord) -> Result<(), StoreError>;

    /// Adds a passkey to an account and removes all others of it, their trust-group keys included.
    ///
    /// # Errors
    ///
    /// As [`Store::add_credential`]; then the others are all still there.
    fn replace_credentials(
        &mut self,
        user: &User,
        record: &CredentialRecord,
    ) -> Result<(), StoreError>;

    /// Returns the passkeys, of whatever account, that were seen with a trust-group key. More than
    /// one is the mistake of a credential manager: such a key links what should not be linked.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn credentials_with_cmtg_key(&self, key: &CoseKey) -> Result<Vec<CredentialId>, StoreError>;
}
