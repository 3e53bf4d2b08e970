//! Ways to open the vault on this device without its pass phrase. The vault key lies in the device
//! store's folder, sealed under a secret that is somewhere else: in a key file or in the desktop's
//! keyring (see `docs/vault.md`).

mod key_file;
mod keyring;
mod record;

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

pub(crate) use self::key_file::KeyFile;
pub(crate) use self::record::{Record, Way};
use crate::locked::Locked;

/// Names the secret that a record needs: 16 random bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SecretId(pub(crate) [u8; 16]);

/// What the vault key is sealed under on this device: 32 random bytes.
pub(crate) struct UnlockSecret(Locked<[u8; 32]>);

/// Why a device cannot be unlocked in another way than by the pass phrase.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum UnlockError {
    /// What is kept of the way is damaged.
    #[error("{} is damaged", .0.display())]
    Damaged(PathBuf),
    /// The operating system refused something.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What the way opens does not open the rest: the vault has another key now, or a file is damaged.
    #[error("what is kept on this device does not fit the vault as it is now")]
    DoesNotFit,
    /// The vault has another key now.
    #[error("the vault's key was changed")]
    KeyChanged,
    /// There is no file where the key file was.
    #[error("the key file {} is not there", .0.display())]
    KeyFileGone(PathBuf),
    /// What is there is something else.
    #[error("{} is no key file of Handfast", .0.display())]
    KeyFileForeign(PathBuf),
    /// The key file is of another device.
    #[error("{} is not the key file that this device was set up with", .0.display())]
    KeyFileOther(PathBuf),
    /// The keyring says something that is not expected.
    #[error("the keyring does not work: {0}")]
    Keyring(String),
    /// The keyring has not the secret any more.
    #[error("the keyring has not this device's secret any more")]
    KeyringEmpty,
    /// The keyring is locked, and nobody unlocked it.
    #[error("the keyring is locked")]
    KeyringLocked,
    /// There is no session bus, or no keyring on it.
    #[error("no keyring can be reached: {0}")]
    NoKeyring(String),
    /// What is kept of the way is of a newer version.
    #[error("{} has format {format}, which a newer version of Handfast made", path.display())]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u64,
    },
    /// What is kept of the way was copied here.
    #[error("{} was made on another machine", .0.display())]
    OtherMachine(PathBuf),
    /// What is kept of the way is of another vault.
    #[error("{} is of another vault", .0.display())]
    OtherVault(PathBuf),
}

impl UnlockError {
    /// Returns whether the way is well, and only not open at this moment.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::KeyFileGone(_) | Self::KeyringLocked | Self::NoKeyring(_)
        )
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> UnlockError {
    let path = path.to_owned();
    move |source| UnlockError::Io { path, source }
}

/// Fetches the secret of a way.
/// If the keyring is locked it may ask its owner, where `may_ask` is set and there is a screen.
pub(crate) fn fetch(way: &Way, may_ask: bool) -> Result<UnlockSecret, UnlockError> {
    match way {
        Way::KeyFile { path, id } => {
            let file = KeyFile::read(path)?;
            match file.id == *id {
                true => Ok(file.secret),
                false => Err(UnlockError::KeyFileOther(path.clone())),
            }
        }
        Way::Keyring { id } => keyring::fetch(*id, may_ask),
    }
}

/// Puts a new secret into the keyring.
pub(crate) fn into_keyring(id: SecretId, secret: &UnlockSecret) -> Result<(), UnlockError> {
    keyring::store(id, secret)
}

/// Removes the secret of a way that is not used any more. A key file is its owner's, and may be that of
/// other devices too.
pub(crate) fn forget(way: &Way) -> Result<(), UnlockError> {
    match way {
        Way::KeyFile { .. } => Ok(()),
        Way::Keyring { id } => keyring::remove(*id),
    }
}
