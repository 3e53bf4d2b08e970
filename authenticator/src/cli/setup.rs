//! Setting up, unlocking, and asking for the secrets that this takes.

use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};

use handfast_proto::trust::DeviceName;
use rand_core::OsRng;
use serde_json::json;
use zeroize::Zeroizing;

use super::Failure;
use crate::device::{DeviceStore, MachineId};
use crate::engine::{Authenticator, printable};
use crate::home::Home;
use crate::passphrase::{Passphrase, Stretching, propose};
use crate::phone::{Input, Typed, Voice};
use crate::vault::{InitOptions, Vault, VaultDevice};

pub(super) fn home(vault: Option<PathBuf>) -> Result<Home, Failure> {
    Home::find(|name| std::env::var_os(name), vault).ok_or_else(|| {
        Failure::new("there is no home folder").with_hint("Set HOME, or HANDFAST_HOME.")
    })
}

/// The folder that is the air when none is named.
pub(super) fn default_air() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(folder) => PathBuf::from(folder).join("handfast-air"),
        None => std::env::temp_dir().join("handfast-air"),
    }
}

fn read_secret_file(variable: &str) -> Result<Option<Zeroizing<String>>, Failure> {
    let Some(path) = std::env::var_os(variable) else {
        return Ok(None);
    };
    let path = Path::new(&path);
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(Zeroizing::new(
            text.trim_end_matches(['\r', '\n']).to_owned(),
        ))),
        Err(error) => Err(
            Failure::new(format!("{} cannot be read: {error}", path.display()))
                .with_hint(format!("Correct or unset {variable}.")),
        ),
    }
}

fn ask_secret(question: &str, input: &Mutex<Input>) -> Option<Zeroizing<String>> {
    let _ = write!(stderr(), "{question}").and_then(|()| stderr().flush());
    let mut input = input.lock().unwrap_or_else(PoisonError::into_inner);
    match input.secret(None, &AtomicBool::new(false)) {
        Typed::Line(line) => Some(Zeroizing::new(line)),
        _ => None,
    }
}

pub(super) fn pin_file() -> Result<Option<String>, Failure> {
    Ok(read_secret_file("HANDFAST_PIN_FILE")?.map(|pin| pin.as_str().to_owned()))
}

pub(super) fn new_pin(input: &Mutex<Input>) -> Result<Option<Zeroizing<String>>, Failure> {
    if let Some(pin) = read_secret_file("HANDFAST_PIN_FILE")? {
        return Ok(Some(pin));
    }
    let pin = ask_secret(
        "Choose a PIN for this device (at least 4 characters): ",
        input,
    );
    let Some(pin) = pin.filter(|pin| !pin.is_empty()) else {
        return Ok(None);
    };
    let again = ask_secret("Once more: ", input);
    if again.is_some_and(|again| again == pin) {
        Ok(Some(pin))
    } else {
        Err(Failure::usage("The two PINs are not the same").with_hint("Try again."))
    }
}

fn passphrase(input: &Mutex<Input>) -> Result<Passphrase, Failure> {
    let given = match read_secret_file("HANDFAST_PASSPHRASE_FILE")? {
        Some(passphrase) => Some(passphrase),
        None => ask_secret("Pass phrase of the vault: ", input),
    };
    match given {
        Some(passphrase) if !passphrase.is_empty() => Ok(Passphrase::new(passphrase.as_str())),
        _ => Err(Failure::usage("No pass phrase was given")
            .with_hint("Type it, or name a file with it in HANDFAST_PASSPHRASE_FILE.")),
    }
}

/// The pass phrase of a new vault: from the file, or one that is proposed.
fn new_passphrase(input: &Mutex<Input>) -> Result<Passphrase, Failure> {
    if let Some(given) = read_secret_file("HANDFAST_PASSPHRASE_FILE")? {
        return match given.is_empty() {
            true => Err(Failure::usage(
                "The file of HANDFAST_PASSPHRASE_FILE is empty",
            )),
            false => Ok(Passphrase::new(given.as_str())),
        };
    }
    let proposed = propose(&mut OsRng);
    let _ = writeln!(
        stderr(),
        "Whoever has a copy of the vault's folder can guess at its pass phrase at leisure, so it must \
         be long.\nWrite down these six words:\n\n    {}\n",
        proposed.as_str()
    );
    let typed = ask_secret("Type them again, or a pass phrase of your own: ", input);
    match typed {
        Some(typed) if typed.chars().count() >= 12 => Ok(Passphrase::new(typed.as_str())),
        Some(_) => Err(Failure::usage("A pass phrase has at least 12 characters")
            .with_hint("Try again with the six words.")),
        None => Err(Failure::usage("No pass phrase was given")),
    }
}

fn device_name(given: Option<String>) -> Result<DeviceName, Failure> {
    let name = match given {
        Some(name) => name,
        None => std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default(),
    };
    let name = printable(&name);
    let name = if name.is_empty() {
        "Linux device"
    } else {
        &name
    };
    DeviceName::parse(name)
        .map_err(|error| Failure::usage(error.to_string()).with_hint("Give a shorter --name."))
}

pub(super) fn init(
    home: &Home,
    name: Option<String>,
    for_tests: bool,
    input: &Mutex<Input>,
) -> Result<(), Failure> {
    let name = device_name(name)?;
    let machine = MachineId::of_this_machine()?;
    if DeviceStore::exists(&home.device) {
        return Err(crate::device::DeviceError::Exists(home.device.clone()).into());
    }
    let stretching = if for_tests {
        Stretching::LEAST
    } else {
        Stretching::DEFAULT
    };
    let vault = if Vault::exists(&home.vault) {
        Vault::open(&home.vault, &passphrase(input)?)?
    } else {
        let passphrase = new_passphrase(input)?;
        let options = InitOptions {
            for_tests,
            stretching,
        };
        Vault::init(&home.vault, &passphrase, options, &mut OsRng)?
    };
    let pin = new_pin(input)?;
    let mut device = DeviceStore::create(&home.device, &vault, &machine, name, &mut OsRng)?;
    match pin {
        Some(pin) => device.set_pin(&pin, stretching, &mut OsRng)?,
        None => {
            let _ = writeln!(
                stderr(),
                "No PIN is set: sites that want you verified will be refused."
            );
        }
    }
    let mut authenticator = Authenticator { vault, device };
    record(&mut authenticator)?;
    let _ = writeln!(stderr(), "The vault is in {}.", home.vault.display());
    Ok(())
}

pub(super) fn open(home: &Home, input: &Mutex<Input>) -> Result<Authenticator, Failure> {
    if !Vault::exists(&home.vault) {
        return Err(crate::vault::VaultError::Missing(home.vault.clone()).into());
    }
    let vault = Vault::open(&home.vault, &passphrase(input)?)?;
    let machine = MachineId::of_this_machine()?;
    let device = DeviceStore::open(&home.device, &vault, &machine)?;
    let mut authenticator = Authenticator { vault, device };
    record(&mut authenticator)?;
    Ok(authenticator)
}

fn record(authenticator: &mut Authenticator) -> Result<(), Failure> {
    let Authenticator { vault, device } = authenticator;
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let since = since.unwrap_or_default().as_secs();
    vault.record_device(VaultDevice {
        id: device.id(),
        name: device.name().clone(),
        since,
    })?;
    crate::group::refresh(vault, device, &mut OsRng)
        .map_err(|error| Failure::new(error.to_string()))
}

pub(super) fn name_damaged(vault: &Vault, voice: Voice) {
    for (path, why) in vault.damaged() {
        let words = format!("{} is left out: {why}. All others work.", path.display());
        voice.say(
            &words,
            json!({"event": "damaged", "file": path.display().to_string(), "why": why}),
        );
    }
}

pub(super) fn passkeys(vault: &Vault, json: bool) -> String {
    let mut passkeys: Vec<_> = vault.passkeys().collect();
    passkeys.sort_by(|a, b| (&a.rp_id, a.created_at).cmp(&(&b.rp_id, b.created_at)));
    let name = |name: &Option<String>| printable(name.as_deref().unwrap_or_default());
    if json {
        let list: Vec<_> = passkeys
            .iter()
            .map(|passkey| {
                json!({
                    "rp_id": passkey.rp_id.as_str(),
                    "user_name": name(&passkey.user_name),
                    "display_name": name(&passkey.display_name),
                    "created_at": passkey.created_at,
                })
            })
            .collect();
        return serde_json::Value::from(list).to_string();
    }
    if passkeys.is_empty() {
        return "There are no passkeys yet.".to_owned();
    }
    let lines = passkeys
        .iter()
        .map(|passkey| format!("{}  {}", passkey.rp_id, name(&passkey.user_name)));
    lines.collect::<Vec<_>>().join("\n")
}
