//! This computer's vault and device store: making, joining, opening, telling.

use std::path::PathBuf;

use handfast_authenticator::console::{self, Failure, Secrets, group_json, group_words};
use handfast_authenticator::engine::{Account, Authenticator};
use handfast_authenticator::group;
use serde_json::json;
use zeroize::Zeroizing;

use super::voice::Voice;
use crate::local::Keyboard;

/// Asks on the terminal itself, as standard input may be in use.
fn ask_secret(question: &str) -> Option<Zeroizing<String>> {
    rpassword::prompt_password(question)
        .ok()
        .map(Zeroizing::new)
}

/// The person at the terminal, asked for secrets.
struct AtTerminal(Voice);

impl Secrets for AtTerminal {
    fn ask(&mut self, question: &str) -> Option<Zeroizing<String>> {
        ask_secret(question)
    }

    fn propose(&mut self, words: &str) {
        let event = json!({"event": "proposed-passphrase"});
        self.0
            .say(&format!("{}\n\n    {words}\n", console::PROPOSAL), &event);
    }
}

pub(super) fn init(
    vault: Option<PathBuf>,
    name: Option<String>,
    voice: Voice,
) -> Result<(), Failure> {
    let home = console::home(vault)?;
    let made = console::init(&home, name, false, &mut AtTerminal(voice))?;
    tell_set_up(&made, voice);
    Ok(())
}

pub(super) fn join(
    vault: Option<PathBuf>,
    name: Option<String>,
    voice: Voice,
) -> Result<(), Failure> {
    let home = console::home(vault)?;
    let joined = console::join(&home, name, &mut AtTerminal(voice))?;
    tell_set_up(&joined, voice);
    Ok(())
}

fn tell_set_up(authenticator: &Authenticator, voice: Voice) {
    if !authenticator.device.has_pin() {
        voice.say(console::NO_PIN, &json!({"event": "no-pin"}));
    }
    let vault = authenticator.vault.folder().display();
    let count = authenticator.vault.passkeys().count();
    let passkeys = match count {
        1 => "1 passkey".to_owned(),
        count => format!("{count} passkeys"),
    };
    voice.result(
        &format!(
            "This computer is in the vault {vault} with {passkeys}. It is in no trust group with \
             other devices: handfast link does that, beside the phone."
        ),
        &json!({"vault": vault.to_string(), "passkeys": count}),
    );
}

/// Unlocks this computer's vault and device store.
pub(super) fn open(vault: Option<PathBuf>, voice: Voice) -> Result<Authenticator, Failure> {
    console::open(&console::home(vault)?, &mut AtTerminal(voice))
}

pub(super) fn vault_status(vault: Option<PathBuf>, voice: Voice) -> Result<(), Failure> {
    let authenticator = open(vault, voice)?;
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
    let authenticator = open(vault, voice)?;
    let status = group::status(&authenticator.device);
    let none = "This computer is in no trust group yet. Beside your phone: handfast link";
    voice.result(&group_words(&status, none), &group_json(&status));
    Ok(())
}

/// The keyboard of this computer; the PIN may come from a file.
pub(super) struct Terminal {
    pin: Option<Zeroizing<String>>,
    voice: Voice,
}

impl Terminal {
    pub(super) fn new(voice: Voice) -> Result<Self, Failure> {
        Ok(Self {
            pin: console::pin_file()?,
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
