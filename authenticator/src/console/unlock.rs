//! Opening the vault on this device: by the way that was set up, else by the pass phrase.

use std::fs;
use std::path::{Path, PathBuf};

use rand_core::OsRng;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::Failure;
use super::secrets::{Secrets, open_vault, passphrase_file};
use super::setup::recorded;
use crate::device::{DeviceError, DeviceStore, MachineId};
use crate::engine::Authenticator;
use crate::home::Home;
use crate::unlocking::{
    KeyFile, Record, SecretId, UnlockError, UnlockSecret, Way, fetch, forget, into_keyring,
};
use crate::vault::{Vault, VaultError};

/// How a device is to be unlocked from now on.
#[derive(Clone, Debug, PartialEq)]
pub enum UnlockWith {
    /// By a key file; one that is there is used, else it is made.
    KeyFile(PathBuf),
    /// By the desktop's keyring.
    Keyring,
    /// By the pass phrase alone.
    Passphrase,
}

/// How a device is unlocked, and whether that works at this moment.
#[derive(Debug)]
pub struct UnlockState(Result<Option<Way>, (Option<Way>, UnlockError)>);

impl UnlockState {
    /// Says it.
    pub fn words(&self) -> String {
        match &self.0 {
            Ok(None) => "asked for when it is needed".to_owned(),
            Ok(Some(way)) => format!("not needed here: {} opens the vault", named(way)),
            Err((_, why)) => format!("asked for when it is needed: {why}"),
        }
    }

    /// Returns the same for a program.
    pub fn json(&self) -> Value {
        let (way, why) = match &self.0 {
            Ok(way) => (way.as_ref(), None),
            Err((way, why)) => (way.as_ref(), Some(why.to_string())),
        };
        let (name, file) = match way {
            None => ("passphrase", None),
            Some(Way::Keyring { .. }) => ("keyring", None),
            Some(Way::KeyFile { path, .. }) => ("key-file", Some(path.display().to_string())),
        };
        json!({"unlock": name, "file": file, "works": why.is_none(), "why_not": why})
    }

    /// Returns why the way does not work, if it is set up and cannot work again by itself.
    pub(super) fn into_broken(self) -> Result<Self, UnlockError> {
        match self.0 {
            Err((_, why)) if !why.is_passing() => Err(why),
            state => Ok(Self(state)),
        }
    }

    /// Returns whether what is set up works.
    pub(super) fn works(&self) -> bool {
        self.0.is_ok()
    }
}

fn named(way: &Way) -> String {
    match way {
        Way::KeyFile { path, .. } => format!("the key file {}", path.display()),
        Way::Keyring { .. } => "the keyring".to_owned(),
    }
}

/// What became of opening the vault without its pass phrase.
enum Opened {
    Yes(Box<(Vault, DeviceStore)>),
    NotSetUp,
    No(UnlockError),
}

/// Unlocks this device's vault and store.
///
/// # Errors
///
/// [`Failure`].
pub fn open(home: &Home, secrets: &mut dyn Secrets) -> Result<Authenticator, Failure> {
    there(home)?;
    let machine = MachineId::of_this_machine()?;
    let opened = match passphrase_file()? {
        Some(_) => Opened::NotSetUp,
        None => without_passphrase(home, &machine)?,
    };
    let why = match opened {
        Opened::Yes(opened) => {
            let (vault, device) = *opened;
            return recorded(vault, device);
        }
        Opened::NotSetUp => None,
        Opened::No(why) => {
            secrets.say(&format!("The pass phrase is needed: {why}."));
            Some(why)
        }
    };
    let vault = open_vault(home, secrets)?;
    let device = DeviceStore::open(&home.device, &vault, &machine)?;
    if let Some(UnlockError::KeyChanged | UnlockError::DoesNotFit) = why {
        let words = match renew(home, &vault, &machine) {
            Ok(()) => "From now on this device is unlocked as before.".to_owned(),
            Err(error) => format!("It will be needed again: {error}."),
        };
        secrets.say(&words);
    }
    recorded(vault, device)
}

fn there(home: &Home) -> Result<(), Failure> {
    if !Vault::exists(&home.vault) {
        return Err(VaultError::Missing(home.vault.clone()).into());
    }
    if !DeviceStore::exists(&home.device) {
        return Err(DeviceError::Missing(home.device.clone()).into());
    }
    Ok(())
}

/// The way that is set up, and what it gives: the vault key.
type Unsealed = (Record, Zeroizing<[u8; 32]>);

/// Returns the vault key that the way gives; nothing if none is set up.
fn sealed_key(
    home: &Home,
    machine: &MachineId,
    may_ask: bool,
) -> Result<Option<Unsealed>, UnlockError> {
    let Some(record) = Record::read(&home.device)? else {
        return Ok(None);
    };
    record.check_machine(machine)?;
    let key = record.open(&fetch(&record.way, may_ask)?, machine)?;
    Ok(Some((record, key)))
}

fn without_passphrase(home: &Home, machine: &MachineId) -> Result<Opened, Failure> {
    let (record, key) = match sealed_key(home, machine, true) {
        Ok(Some(opened)) => opened,
        Ok(None) => return Ok(Opened::NotSetUp),
        Err(why) => return Ok(Opened::No(why)),
    };
    let vault = match Vault::open_with_key(&home.vault, &key) {
        Err(VaultError::WrongKey) => return Ok(Opened::No(UnlockError::KeyChanged)),
        opened => opened?,
    };
    if let Err(why) = record.check_vault(vault.id()) {
        return Ok(Opened::No(why));
    }
    let device = match DeviceStore::open(&home.device, &vault, machine) {
        Ok(device) => device,
        Err(DeviceError::OtherKey(_)) => return Ok(Opened::No(UnlockError::KeyChanged)),
        Err(DeviceError::Damaged(_)) => return Ok(Opened::No(UnlockError::DoesNotFit)),
        Err(error) => return Err(error.into()),
    };
    // A header of format 1 does not tell whose key this is; this device's own entry does.
    let is_read = vault.devices().any(|entry| entry.id == device.id());
    if !is_read && vault.damaged().next().is_some() {
        return Ok(Opened::No(UnlockError::DoesNotFit));
    }
    Ok(Opened::Yes(Box::new((vault, device))))
}

/// Seals the vault's new key under the secret that is there.
pub(super) fn renew(home: &Home, vault: &Vault, machine: &MachineId) -> Result<(), UnlockError> {
    let Some(record) = Record::read(&home.device)? else {
        return Ok(());
    };
    let secret = fetch(&record.way, true)?;
    write(home, record.way, &secret, vault, machine)
}

fn write(
    home: &Home,
    way: Way,
    secret: &UnlockSecret,
    vault: &Vault,
    machine: &MachineId,
) -> Result<(), UnlockError> {
    let sealed = (vault.id(), vault.key());
    Record::write(&home.device, way, secret, sealed, machine, &mut OsRng)
}

/// Sets up how this device is unlocked; the pass phrase is asked for. Returns what to tell the owner.
///
/// # Errors
///
/// [`Failure`]; then the way that was set up before still works.
pub fn unlock_with(
    home: &Home,
    with: UnlockWith,
    secrets: &mut dyn Secrets,
) -> Result<String, Failure> {
    there(home)?;
    let machine = MachineId::of_this_machine()?;
    let with = match with {
        UnlockWith::KeyFile(path) => UnlockWith::KeyFile(place_of_key_file(home, &path)?),
        other => other,
    };
    // Who knows it now can still open the vault when the stick is lost.
    let vault = open_vault(home, secrets)?;
    DeviceStore::open(&home.device, &vault, &machine)?;
    // What cannot be read is replaced, and nothing of it can be removed.
    let before = Record::read(&home.device).ok().flatten();
    let (now, said) = set_up(home, with, &vault, &machine)?;
    let before = before.map(|record| record.way);
    Ok(match before.filter(|before| Some(before) != now.as_ref()) {
        Some(before) => said + &left_behind(&before),
        None => said,
    })
}

fn set_up(
    home: &Home,
    with: UnlockWith,
    vault: &Vault,
    machine: &MachineId,
) -> Result<(Option<Way>, String), Failure> {
    match with {
        UnlockWith::KeyFile(path) => {
            let (file, made) = match KeyFile::read(&path) {
                Err(UnlockError::KeyFileGone(_)) => (KeyFile::make(&path, &mut OsRng)?, true),
                read => (read?, false),
            };
            let said = format!(
                "This device is unlocked by the key file {}, which {}. Keep it apart from this device; the \
                 pass phrase opens the vault as well.",
                path.display(),
                if made {
                    "was made"
                } else {
                    "was there already"
                }
            );
            let way = Way::KeyFile { path, id: file.id };
            write(home, way.clone(), &file.secret, vault, machine)?;
            Ok((Some(way), said))
        }
        UnlockWith::Keyring => {
            let id = SecretId::generate(&mut OsRng);
            let secret = UnlockSecret::generate(&mut OsRng);
            into_keyring(id, &secret)?;
            let way = Way::Keyring { id };
            if let Err(error) = write(home, way.clone(), &secret, vault, machine) {
                // Of no use without the record; who looks into his keyring may remove it.
                let _ = forget(&way);
                return Err(error.into());
            }
            let said = "This device is unlocked by the keyring, whenever that is unlocked; the pass phrase \
                        opens the vault as well.";
            Ok((Some(way), said.to_owned()))
        }
        UnlockWith::Passphrase => {
            Record::remove(&home.device)?;
            let said = "This device is unlocked by the pass phrase alone.";
            Ok((None, said.to_owned()))
        }
    }
}

/// Removes the secret of the way before, and says what of it is left.
fn left_behind(before: &Way) -> String {
    match (forget(before), before) {
        (Err(error), _) => format!("\nThe keyring still holds the secret of before: {error}."),
        (Ok(()), Way::KeyFile { path, .. }) => format!(
            "\nThe key file {} is left where it is; it opens nothing on this device any more.",
            path.display()
        ),
        (Ok(()), Way::Keyring { .. }) => String::new(),
    }
}

/// Returns where a key file may be: not in what is copied or lies beside what it opens.
fn place_of_key_file(home: &Home, path: &Path) -> Result<PathBuf, Failure> {
    let unusable = |error| {
        Failure::usage(format!("{}: {error}", path.display()))
            .with_hint("Give the path of a file in a folder that is there.")
    };
    let path = std::path::absolute(path).map_err(unusable)?;
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(unusable(std::io::ErrorKind::IsADirectory.into()));
    };
    let folder = fs::canonicalize(folder).map_err(unusable)?;
    if let Some(kept) = home.holds(&folder) {
        return Err(Failure::usage(format!(
            "a key file in {} would lie beside what it opens",
            kept.display()
        ))
        .with_hint("Give a place that is not always here, such as a USB stick."));
    }
    Ok(folder.join(name))
}

/// Looks how this device is unlocked, without unlocking it.
pub fn unlock_state(home: &Home) -> UnlockState {
    let way = Record::read(&home.device)
        .ok()
        .flatten()
        .map(|record| record.way);
    // Without it nothing is bound to this machine, and so nothing opens.
    let Ok(machine) = MachineId::of_this_machine() else {
        return UnlockState(Ok(None));
    };
    UnlockState(match sealed_key(home, &machine, false) {
        Ok(opened) => Ok(opened.map(|(record, _)| record.way)),
        Err(why) => Err((way, why)),
    })
}

#[cfg(test)]
mod tests;
