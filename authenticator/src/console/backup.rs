//! Backups of a vault.

use std::path::{Path, PathBuf};

use rand_core::OsRng;

use super::Failure;
use super::clock::unix_time;
use super::secrets::{Secrets, another_passphrase, open_backup, open_vault};
use super::setup::stretching;
use crate::device::{DeviceError, DeviceStore, MachineId};
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
    // A stick that is not there should not be made.
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        return Err(
            Failure::usage(format!("{}: there is no such folder", folder.display()))
                .with_hint("Make it first, or give another; nothing was written."),
        );
    }
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

/// What is left to do for a vault that was made of a backup.
#[derive(Clone, Debug, PartialEq)]
pub enum AfterRestore {
    /// It was there, and this device in it.
    Nothing,
    /// This device is not set up in it.
    SetUp,
    /// What this device keeps is of a later key of the vault: its store has to be removed first.
    RemoveStore(PathBuf),
    /// This device still is set up in it.
    StillSetUp,
}

/// Restores a backup; tells what came of it, and what is left to do.
///
/// # Errors
///
/// [`Failure`].
pub fn restore(
    home: &Home,
    file: &Path,
    secrets: &mut dyn Secrets,
) -> Result<(Restored, AfterRestore), Failure> {
    let backup = Backup::read(file)?;
    let is_damaged = matches!(Vault::look(&home.vault), Err(VaultError::HeaderDamaged));
    if Vault::exists(&home.vault) && !is_damaged {
        let backup = open_backup(&backup, 0, secrets)?;
        let restored = open_vault(home, secrets)?.take_back(&backup)?;
        return Ok((restored, AfterRestore::Nothing));
    }
    let seen = DeviceStore::seen_revision(&home.device);
    let backup = open_backup(&backup, seen.unwrap_or_default(), secrets)?;
    let (vault, restored) = Vault::from_backup(&home.vault, &backup)?;
    let machine = MachineId::of_this_machine()?;
    let after = match DeviceStore::open(&home.device, &vault, &machine) {
        Ok(_) => AfterRestore::StillSetUp,
        Err(DeviceError::Missing(_)) => AfterRestore::SetUp,
        Err(_) => AfterRestore::RemoveStore(home.device.clone()),
    };
    Ok((restored, after))
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
