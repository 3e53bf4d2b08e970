//! This computer's vault and device store: making, joining, opening, telling.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use handfast_authenticator::device::{DeviceError, DeviceStore, MachineId};
use handfast_authenticator::engine::{Account, Authenticator, printable};
use handfast_authenticator::group::{self, Status};
use handfast_authenticator::home::Home;
use handfast_authenticator::passphrase::{Passphrase, Stretching, propose};
use handfast_authenticator::vault::{InitOptions, Vault, VaultDevice, VaultError};
use handfast_proto::trust::{DeviceName, Method};
use rand_core::OsRng;
use serde_json::json;
use zeroize::Zeroizing;

use super::failure::Failure;
use super::voice::Voice;
use crate::local::Keyboard;

fn home(vault: Option<PathBuf>) -> Result<Home, Failure> {
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

fn secret_file(variable: &str) -> Result<Option<Zeroizing<String>>, Failure> {
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

/// Asks on the terminal itself, as standard input may be in use.
fn ask_secret(question: &str) -> Option<Zeroizing<String>> {
    rpassword::prompt_password(question)
        .ok()
        .map(Zeroizing::new)
}

fn passphrase() -> Result<Passphrase, Failure> {
    let given = match secret_file("HANDFAST_PASSPHRASE_FILE")? {
        Some(passphrase) => Some(passphrase),
        None => ask_secret("Pass phrase of the vault: "),
    };
    match given {
        Some(given) if !given.is_empty() => Ok(Passphrase::new(given.as_str())),
        _ => Err(Failure::usage("No pass phrase was given")
            .with_hint("Type it, or name a file with it in HANDFAST_PASSPHRASE_FILE.")),
    }
}

fn new_passphrase(voice: Voice) -> Result<Passphrase, Failure> {
    if let Some(given) = secret_file("HANDFAST_PASSPHRASE_FILE")? {
        return match given.is_empty() {
            true => Err(Failure::usage(
                "The file of HANDFAST_PASSPHRASE_FILE is empty",
            )),
            false => Ok(Passphrase::new(given.as_str())),
        };
    }
    let proposed = propose(&mut OsRng);
    let words = format!(
        "Whoever has a copy of the vault's folder can guess at its pass phrase at leisure, so it must \
         be long.\nWrite down these six words:\n\n    {}\n",
        proposed.as_str()
    );
    voice.say(&words, &json!({"event": "proposed-passphrase"}));
    match ask_secret("Type them again, or a pass phrase of your own: ") {
        Some(typed) if typed.chars().count() >= 12 => Ok(Passphrase::new(typed.as_str())),
        Some(_) => Err(Failure::usage("A pass phrase has at least 12 characters")
            .with_hint("Try again with the six words.")),
        None => Err(Failure::usage("No pass phrase was given")),
    }
}

fn new_pin() -> Result<Option<Zeroizing<String>>, Failure> {
    if let Some(pin) = secret_file("HANDFAST_PIN_FILE")? {
        return Ok(Some(pin));
    }
    let pin = ask_secret("Choose a PIN for this computer (at least 4 characters): ");
    let Some(pin) = pin.filter(|pin| !pin.is_empty()) else {
        return Ok(None);
    };
    match ask_secret("Once more: ") {
        Some(again) if again == pin => Ok(Some(pin)),
        _ => Err(Failure::usage("The two PINs are not the same").with_hint("Try again.")),
    }
}

fn device_name(given: Option<String>) -> Result<DeviceName, Failure> {
    let host = || std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = printable(&given.unwrap_or_else(host));
    let name = if name.is_empty() {
        "Linux computer"
    } else {
        &name
    };
    DeviceName::parse(name)
        .map_err(|error| Failure::usage(error.to_string()).with_hint("Give a shorter --name."))
}

pub(super) fn init(
    vault: Option<PathBuf>,
    name: Option<String>,
    voice: Voice,
) -> Result<(), Failure> {
    let home = home(vault)?;
    let name = device_name(name)?;
    if DeviceStore::exists(&home.device) {
        return Err(DeviceError::Exists(home.device).into());
    }
    if Vault::exists(&home.vault) {
        return Err(VaultError::Exists(home.vault).into());
    }
    let passphrase = new_passphrase(voice)?;
    let vault = Vault::init(&home.vault, &passphrase, InitOptions::default(), &mut OsRng)?;
    set_up(&home, vault, name, voice)
}

pub(super) fn join(
    vault: Option<PathBuf>,
    name: Option<String>,
    voice: Voice,
) -> Result<(), Failure> {
    let home = home(vault)?;
    let name = device_name(name)?;
    if !Vault::exists(&home.vault) {
        return Err(VaultError::Missing(home.vault).into());
    }
    if DeviceStore::exists(&home.device) {
        return Err(DeviceError::Exists(home.device).into());
    }
    let vault = Vault::open(&home.vault, &passphrase()?)?;
    set_up(&home, vault, name, voice)
}

fn set_up(home: &Home, vault: Vault, name: DeviceName, voice: Voice) -> Result<(), Failure> {
    let machine = MachineId::of_this_machine()?;
    let pin = new_pin()?;
    let stretching = if vault.is_for_tests() {
        Stretching::LEAST
    } else {
        Stretching::DEFAULT
    };
    let mut device = DeviceStore::create(&home.device, &vault, &machine, name, &mut OsRng)?;
    match pin {
        Some(pin) => device.set_pin(&pin, stretching, &mut OsRng)?,
        None => voice.say(
            "No PIN is set: sites that want you verified will be refused.",
            &json!({"event": "no-pin"}),
        ),
    }
    let mut authenticator = Authenticator { vault, device };
    record(&mut authenticator)?;
    let count = authenticator.vault.passkeys().count();
    voice.result(
        &format!(
            "This computer is in the vault {} with {count} passkeys. It is in no trust group with \
             other devices: handfast link does that, beside the phone.",
            home.vault.display()
        ),
        &json!({"vault": home.vault.display().to_string(), "passkeys": count}),
    );
    Ok(())
}

/// Unlocks this computer's vault and device store.
pub(super) fn open(vault: Option<PathBuf>) -> Result<Authenticator, Failure> {
    let home = home(vault)?;
    if !Vault::exists(&home.vault) {
        return Err(VaultError::Missing(home.vault).into());
    }
    if !DeviceStore::exists(&home.device) {
        return Err(DeviceError::Missing(home.device).into());
    }
    let vault = Vault::open(&home.vault, &passphrase()?)?;
    let machine = MachineId::of_this_machine()?;
    let device = DeviceStore::open(&home.device, &vault, &machine)?;
    let mut authenticator = Authenticator { vault, device };
    record(&mut authenticator)?;
    Ok(authenticator)
}

fn record(authenticator: &mut Authenticator) -> Result<(), Failure> {
    let Authenticator { vault, device } = authenticator;
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let since = since.unwrap_or_default().as_secs();
    vault.record_device(VaultDevice {
        id: device.id(),
        name: device.name().clone(),
        since,
    })?;
    group::refresh(vault, device, &mut OsRng)?;
    Ok(())
}

pub(super) fn vault_status(vault: Option<PathBuf>, voice: Voice) -> Result<(), Failure> {
    let authenticator = open(vault)?;
    let vault = &authenticator.vault;
    let devices: Vec<_> = vault.devices().map(|device| device.name.as_str()).collect();
    let damaged: Vec<_> = vault
        .damaged()
        .map(|(path, why)| (path.display().to_string(), why))
        .collect();
    let count = vault.passkeys().count();
    let mut words = format!(
        "Vault {}\n  {count} passkeys\n  devices: {}",
        vault.folder().display(),
        devices.join(", ")
    );
    for (path, why) in &damaged {
        words.push_str(&format!("\n  left out: {path}: {why}"));
    }
    let damaged: Vec<_> = damaged
        .iter()
        .map(|(path, why)| json!({"file": path, "why": why}))
        .collect();
    let value = json!({
        "vault": vault.folder().display().to_string(),
        "passkeys": count,
        "devices": devices,
        "damaged": damaged,
    });
    voice.result(&words, &value);
    Ok(())
}

pub(super) fn group_status(vault: Option<PathBuf>, voice: Voice) -> Result<(), Failure> {
    let authenticator = open(vault)?;
    let status = group::status(&authenticator.device);
    voice.result(&group_words(&status), &group_json(&status));
    Ok(())
}

fn group_json(status: &Status) -> serde_json::Value {
    let members = status.members.iter().map(|member| {
        json!({
            "device": member.device.to_string(),
            "name": member.name.as_str(),
            "method": member.method.map_or("create", Method::name),
            "since": member.since,
            "this": member.is_this,
        })
    });
    json!({
        "group": status.group.map(|group| group.to_string()),
        "members": members.collect::<Vec<_>>(),
        "keys": status.keys,
    })
}

fn group_words(status: &Status) -> String {
    let Some(group) = status.group else {
        return "This computer is in no trust group yet. Beside your phone: handfast link".into();
    };
    let mut words = format!("Trust group {group}, {} keys", status.keys);
    for member in &status.members {
        let how = match member.method {
            None => "made the group",
            Some(Method::Simulated) => "joined over SIMULATED radio, which proves nothing",
            Some(_) => "joined nearby",
        };
        let this = if member.is_this {
            " (this computer)"
        } else {
            ""
        };
        words.push_str(&format!("\n  {}{this}: {how}", member.name));
    }
    words
}

/// The keyboard of this computer; the PIN may come from a file.
pub(super) struct Terminal {
    pin: Option<Zeroizing<String>>,
    voice: Voice,
}

impl Terminal {
    pub(super) fn new(voice: Voice) -> Result<Self, Failure> {
        Ok(Self {
            pin: secret_file("HANDFAST_PIN_FILE")?,
            voice,
        })
    }
}

impl Keyboard for Terminal {
    fn pin(&mut self, question: &str) -> Option<String> {
        let pin = match self.pin.take() {
            Some(pin) => Some(pin),
            None => ask_secret(question),
        };
        pin.filter(|pin| !pin.is_empty())
            .map(|pin| pin.as_str().to_owned())
    }

    fn account(&mut self, accounts: &[Account]) -> Option<usize> {
        let list = accounts.iter().enumerate();
        let list: Vec<_> = list
            .map(|(index, account)| format!("  {} {}", index + 1, account.name))
            .collect();
        self.say(&format!("There are several accounts:\n{}", list.join("\n")));
        // The terminal itself is asked, as standard input may be in use; a number is no secret.
        let typed = ask_secret("Which? ")?;
        let index = typed.trim().parse::<usize>().ok()?.checked_sub(1)?;
        (index < accounts.len()).then_some(index)
    }

    fn say(&mut self, words: &str) {
        self.voice
            .say(words, &json!({"event": "note", "text": words}));
    }
}
