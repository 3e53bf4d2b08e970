//! The pass phrase of a vault that is open already: asked for once more, to know who is there.

use std::fs;

use subtle::ConstantTimeEq;

use super::header::Header;
use super::{Vault, VaultError, at, header_path};
use crate::passphrase::Passphrase;

impl Vault {
    /// Returns whether this is the vault's pass phrase, by opening its header with it. That takes as
    /// long as opening the vault does, which is what slows down who guesses. A header in the folder
    /// that opens to another key is not this vault's.
    ///
    /// # Errors
    ///
    /// [`VaultError`] if the header cannot be read.
    pub fn is_passphrase(&self, passphrase: &Passphrase) -> Result<bool, VaultError> {
        let path =
            header_path(&self.folder).ok_or_else(|| VaultError::Missing(self.folder.clone()))?;
        let bytes = fs::read(&path).map_err(at(&path))?;
        let (header, wrapped) = Header::parse(&bytes)?;
        match header.open(&wrapped, passphrase) {
            Ok(key) => Ok(key.as_slice().ct_eq(self.key.as_slice()).into()),
            Err(VaultError::WrongPassphrase) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
