//! Backups of a vault.

use std::path::Path;

use rand_core::OsRng;

use super::Failure;
use super::clock::unix_time;
use super::secrets::{Secrets, another_passphrase, open_backup, open_vault};
use super::setup::stretching;
use crate::home::Home;
use crate::vault::{Backup, BackupOptions, Restored, Vault, VaultError};

/// Writes a backup, and returns how many passkeys it has that can be used, and how many files of the
/// vault could not be read, so that what is in them is not in it.
///
/// # Errors
///
/// [`Failure`].
pub fn back_up(
    home: &Home,
    file: &Path,
    own_passphrase: bool,
    replace: bool,
    secrets: &mut dyn Secrets,
) -> Result<(usize, usize), Failure> {
    if !replace && file.symlink_metadata().is_ok() {
        // Said before anything is asked for.
        return Err(VaultError::FileExists(file.to_owned()).into());
    }
    apart(home, file)?;
    let vault = open_vault(home, secrets)?;
    let own = match own_passphrase {
        true => Some(another_passphrase(secrets)?),
        false => None,
    };
    let stretching = stretching(vault.is_for_tests());
    let options = BackupOptions {
        passphrase: own.as_ref().map(|own| (own, stretching)),
        replace,
        now: unix_time(),
    };
    let count = vault.back_up(file, options, &mut OsRng)?;
    Ok((count, vault.damaged().count()))
}

/// Restores a backup; tells what came of it, and whether the vault was made anew.
///
/// # Errors
///
/// [`Failure`].
pub fn restore(
    home: &Home,
    file: &Path,
    secrets: &mut dyn Secrets,
) -> Result<(Restored, bool), Failure> {
    let backup = Backup::read(file)?;
    let made = !Vault::exists(&home.vault);
    let backup = open_backup(&backup, secrets)?;
    let restored = match made {
        true => Vault::from_backup(&home.vault, &backup)?.1,
        false => open_vault(home, secrets)?.take_back(&backup)?,
    };
    Ok((restored, made))
}

/// A backup in the vault's folder would be lost with it, and in the place of a file of its own at once.
fn apart(home: &Home, file: &Path) -> Result<(), Failure> {
    let file = std::path::absolute(file).ok();
    let folder = file.as_deref().and_then(Path::parent);
    match folder.and_then(|folder| home.holds(folder)) {
        None => Ok(()),
        Some(kept) => Err(Failure::usage(format!(
            "a backup in {} would lie beside what it is to bring back",
            kept.display()
        ))
        .with_hint("Give another folder, best on another disk; nothing was changed.")),
    }
}
