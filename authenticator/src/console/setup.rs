//! Setting a device up in a vault, and unlocking it.

use std::io::ErrorKind;
use std::path::PathBuf;

use handfast_proto::trust::DeviceName;
use handfast_proto::trust::introduction::Introducer;
use rand_core::OsRng;
use tracing::info;

use super::Failure;
use super::clock::unix_time;
use super::secrets::{Secrets, new_passphrase, new_pin, open_vault};
use crate::device::{self, DeviceError, DeviceStore, MachineId, Pin};
use crate::engine::{Authenticator, printable};
use crate::group;
use crate::home::Home;
use crate::passphrase::Stretching;
use crate::vault::{InitOptions, Vault, VaultDevice, VaultError};

/// Finds vault and device store of this device.
///
/// # Errors
///
/// [`Failure`] if the environment names no folder.
pub fn home(vault: Option<PathBuf>) -> Result<Home, Failure> {
    Home::find(|name| std::env::var_os(name), vault).ok_or_else(|| {
        Failure::new("there is no home folder").with_hint("Set HOME, or HANDFAST_HOME.")
    })
}

/// Returns the folder that is the air of the simulated radio when none is named.
pub fn default_air() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(folder) => PathBuf::from(folder).join("handfast-air"),
        None => {
            let user = std::env::var("USER").unwrap_or_default();
            let user: String = user.chars().filter(char::is_ascii_alphanumeric).collect();
            std::env::temp_dir().join(format!("handfast-air-{user}"))
        }
    }
}

fn device_name(given: Option<String>) -> Result<DeviceName, Failure> {
    let host = || std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = match printable(&given.unwrap_or_else(host)) {
        name if name.is_empty() => "Linux device".to_owned(),
        name => name,
    };
    DeviceName::parse(&name)
        .map_err(|error| Failure::usage(error.to_string()).with_hint("Give a shorter --name."))
}

/// Makes a vault and sets this device up in it. All is asked for before anything is written.
///
/// # Errors
///
/// [`Failure`].
pub fn init(
    home: &Home,
    name: Option<String>,
    for_tests: bool,
    secrets: &mut dyn Secrets,
) -> Result<Authenticator, Failure> {
    let name = device_name(name)?;
    if DeviceStore::exists(&home.device) {
        return Err(already(home)?);
    }
    if Vault::exists(&home.vault) {
        return Err(VaultError::Exists(home.vault.clone()).into());
    }
    let machine = MachineId::of_this_machine()?;
    let passphrase = new_passphrase(secrets)?;
    let pin = new_pin(secrets)?;
    let options = InitOptions {
        for_tests,
        stretching: stretching(for_tests),
    };
    let vault = Vault::init(&home.vault, &passphrase, options, &mut OsRng)?;
    set_up(home, vault, &machine, name, pin)
}

/// Sets this device up in a vault whose folder is here already.
///
/// # Errors
///
/// [`Failure`].
pub fn join(
    home: &Home,
    name: Option<String>,
    secrets: &mut dyn Secrets,
) -> Result<Authenticator, Failure> {
    let name = device_name(name)?;
    if !Vault::exists(&home.vault) {
        return Err(VaultError::Missing(home.vault.clone()).into());
    }
    if DeviceStore::exists(&home.device) {
        return Err(already(home)?);
    }
    let machine = MachineId::of_this_machine()?;
    let vault = open_vault(home, secrets)?;
    let pin = new_pin(secrets)?;
    set_up(home, vault, &machine, name, pin)
}

/// Why nothing is set up where something is: it is there already, unless it is of no use.
fn already(home: &Home) -> Result<Failure, Failure> {
    DeviceStore::look(&home.device, &MachineId::of_this_machine()?)?;
    Ok(DeviceError::Exists(home.device.clone()).into())
}

fn set_up(
    home: &Home,
    vault: Vault,
    machine: &MachineId,
    name: DeviceName,
    pin: Option<Pin>,
) -> Result<Authenticator, Failure> {
    let mut device = DeviceStore::create(&home.device, &vault, machine, name, &mut OsRng)?;
    if let Some(pin) = pin {
        device.set_pin(&pin, stretching(vault.is_for_tests()), &mut OsRng)?;
    }
    recorded(vault, device)
}

/// Returns what this computer introduces itself with to the other devices of its vault; nothing if it has no
/// vault. That need not be open.
///
/// # Errors
///
/// [`Failure`] if it should have something and has not.
pub fn introducer(home: &Home) -> Result<Option<Introducer>, Failure> {
    if !DeviceStore::exists(&home.device) {
        return Ok(None);
    }
    let read =
        MachineId::of_this_machine().and_then(|machine| device::introducer(&home.device, &machine));
    let why = match read {
        Ok(Some(introducer)) => return Ok(Some(introducer)),
        Ok(None) => String::new(),
        Err(error) => format!(": {error}"),
    };
    let what = format!("this computer cannot tell a phone which one it is{why}");
    Err(Failure::new(what)
        .with_hint("Open its vault once, which mends that: handfast vault status"))
}

/// Sees to it that this device can introduce itself; where that cannot be written now, it can later.
pub(super) fn keep_introducer(vault: &Vault, device: &DeviceStore) {
    let kept = MachineId::of_this_machine()
        .and_then(|machine| device.keep_introducer(vault, &machine, &mut OsRng));
    if let Err(error) = kept {
        info!("this device cannot introduce itself to others: {error}");
    }
}

/// How a PIN of a vault is stretched.
pub(crate) fn stretching(for_tests: bool) -> Stretching {
    match for_tests {
        true => Stretching::LEAST,
        false => Stretching::DEFAULT,
    }
}

/// Leaves this device's entry in the vault, and brings folder and own copies together.
pub(super) fn recorded(
    mut vault: Vault,
    mut device: DeviceStore,
) -> Result<Authenticator, Failure> {
    // The folder may be one that cannot be written now; all can be read as it is.
    let _ = vault.settle().and_then(|()| vault.reseal());
    let now = unix_time();
    let recorded = vault.record_device(VaultDevice {
        id: device.id(),
        name: device.name().clone(),
        since: now,
    });
    match recorded {
        // A file is in the way, and is named; the entry can be left when it is gone.
        Err(VaultError::Io { source, .. })
            if matches!(
                source.kind(),
                ErrorKind::AlreadyExists | ErrorKind::NotADirectory
            ) => {}
        recorded => recorded?,
    }
    group::refresh(&mut vault, &mut device, &mut OsRng)?;
    keep_introducer(&vault, &device);
    let mut authenticator = Authenticator { vault, device };
    authenticator.tidy(&mut OsRng, now)?;
    Ok(authenticator)
}
