//! A new pass phrase and a new key for a vault. All is asked for before anything is written.

use rand_core::OsRng;

use super::Failure;
use super::secrets::{Secrets, another_passphrase, open_vault};
use super::setup::{keep_introducer, stretching};
use super::unlock::renew;
use crate::device::{DeviceError, DeviceStore, MachineId};
use crate::engine::printable;
use crate::home::Home;
use crate::passphrase::Passphrase;
use crate::vault::{Vault, VaultError};

/// What became of a vault that got a new key.
#[derive(Clone, Debug, PartialEq)]
pub struct Rekeyed {
    /// How many files were sealed anew.
    pub resealed: usize,
    /// What the other devices of the vault are called.
    pub other_devices: Vec<String>,
}

/// Changes the pass phrase of the vault.
///
/// # Errors
///
/// [`Failure`].
pub fn change_passphrase(home: &Home, secrets: &mut dyn Secrets) -> Result<(), Failure> {
    let mut vault = open_vault(home, secrets)?;
    device(home, &vault)?;
    let passphrase = another_passphrase(secrets)?;
    let stretching = stretching(vault.is_for_tests());
    let changed = vault.change_passphrase(&passphrase, stretching, &mut OsRng);
    // The device store remembers which header it has seen, and refuses older ones.
    device(home, &vault)?;
    Ok(changed?)
}

/// Gives the vault a new key and a new pass phrase.
///
/// # Errors
///
/// [`Failure`].
pub fn rekey(home: &Home, secrets: &mut dyn Secrets) -> Result<Rekeyed, Failure> {
    let mut vault = open_vault(home, secrets)?;
    take_in_others(&mut vault, secrets)?;
    // Only now: it may be sealed under the key of another header.
    let this = device(home, &vault)?;
    let passphrase = another_passphrase(secrets)?;
    if vault.opens_with(&passphrase)? {
        return Err(
            Failure::usage("The new pass phrase is the old one").with_hint(
                "Who knows it could open the vault again; choose another. Nothing was changed.",
            ),
        );
    }
    let stretching = stretching(vault.is_for_tests());
    let rekeyed = vault.rekey(&passphrase, stretching, &mut OsRng);
    if let Some(device) = device(home, &vault)? {
        keep_introducer(&vault, &device);
    }
    // Where key file or keyring are not there now, the next start asks for the pass phrase once.
    let _ = MachineId::of_this_machine().map(|machine| renew(home, &vault, &machine));
    let this = this.map(|device| device.id());
    let others = vault.devices().filter(|device| Some(device.id) != this);
    Ok(Rekeyed {
        other_devices: others
            .map(|device| printable(device.name.as_str()))
            .collect(),
        resealed: rekeyed?,
    })
}

/// Asks for the pass phrases of headers that have a key of their own.
fn take_in_others(vault: &mut Vault, secrets: &mut dyn Secrets) -> Result<(), Failure> {
    for other in vault.other_headers() {
        let path = other.path().display().to_string();
        let question = format!("Pass phrase of {path} (empty leaves it): ");
        let Some(typed) = secrets.ask(&question).filter(|typed| !typed.is_empty()) else {
            continue;
        };
        match vault.take_in(&other, &Passphrase::new(typed.as_str())) {
            Err(VaultError::WrongPassphrase) => {
                return Err(Failure::new(format!("the pass phrase of {path} is wrong"))
                    .with_hint("Try again; nothing was changed."));
            }
            taken => taken?,
        }
    }
    Ok(())
}

/// Opens this device's store, if it is set up in the vault.
fn device(home: &Home, vault: &Vault) -> Result<Option<DeviceStore>, Failure> {
    if !DeviceStore::exists(&home.device) {
        return Ok(None);
    }
    match DeviceStore::open(&home.device, vault, &MachineId::of_this_machine()?) {
        Ok(device) => Ok(Some(device)),
        // The vault of another device, on a stick perhaps.
        Err(DeviceError::OtherVault(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
