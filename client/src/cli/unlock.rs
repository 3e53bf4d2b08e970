//! This computer's vault and device store: making, joining, opening, telling.

use std::path::PathBuf;

use clap::Subcommand;
use handfast_authenticator::console::{
    self, Failure, Secrets, UnlockWith, group_json, group_words,
};
use handfast_authenticator::engine::Authenticator;
use handfast_authenticator::group;
use handfast_authenticator::vault::Vault;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::keyboard::ask_secret;
use super::voice::Voice;

/// The person at the terminal, asked for secrets.
struct AtTerminal {
    voice: Voice,
    /// Whether a pass phrase was to be proposed to a program.
    proposed_to_program: bool,
}

impl AtTerminal {
    fn new(voice: Voice) -> Self {
        Self {
            voice,
            proposed_to_program: false,
        }
    }
}

impl Secrets for AtTerminal {
    fn ask(&mut self, question: &str) -> Option<Zeroizing<String>> {
        match self.proposed_to_program {
            true => None,
            false => ask_secret(question),
        }
    }

    fn say(&mut self, words: &str) {
        let event = json!({"event": "note", "text": words});
        self.voice.say(words, &event);
    }

    fn propose(&mut self, words: &str) {
        // Words that a program gets end up in its log, and it cannot write them down for anybody.
        self.proposed_to_program = self.voice == Voice::Json;
        if !self.proposed_to_program {
            let words = format!("{}\n\n    {words}\n", console::PROPOSAL);
            self.voice.say(&words, &Value::Null);
        }
    }
}

pub(super) fn init(
    vault: Option<PathBuf>,
    name: Option<String>,
    voice: Voice,
) -> Result<(), Failure> {
    let home = console::home(vault)?;
    let mut person = AtTerminal::new(voice);
    let made = console::init(&home, name, false, &mut person).map_err(|failure| {
        match person.proposed_to_program {
            true => {
                Failure::usage("A new vault needs a pass phrase, which no program is asked for")
                    .with_hint(
                        "Name a file with it in HANDFAST_PASSPHRASE_FILE, or leave out --json.",
                    )
            }
            false => failure,
        }
    })?;
    tell_set_up(&made, voice)
}

pub(super) fn join(
    vault: Option<PathBuf>,
    name: Option<String>,
    voice: Voice,
) -> Result<(), Failure> {
    let home = console::home(vault)?;
    let joined = console::join(&home, name, &mut AtTerminal::new(voice))?;
    name_damaged(&joined.vault, voice);
    tell_set_up(&joined, voice)
}

fn passkeys_in_words(count: usize) -> String {
    match count {
        1 => "1 passkey".to_owned(),
        count => format!("{count} passkeys"),
    }
}

fn tell_set_up(authenticator: &Authenticator, voice: Voice) -> Result<(), Failure> {
    if !authenticator.device.has_pin() {
        voice.say(console::NO_PIN, &json!({"event": "no-pin"}));
    }
    let vault = authenticator.vault.folder().display();
    let count = authenticator.vault.passkeys().count();
    let passkeys = passkeys_in_words(count);
    voice.result(
        &format!(
            "This computer is in the vault {vault} with {passkeys}. It is in no trust group with \
             other devices: handfast link does that, beside the phone."
        ),
        &json!({"vault": vault.to_string(), "passkeys": count}),
    )
}

/// Unlocks this computer's vault and device store, and names the files that are of no use.
pub(super) fn open(vault: Option<PathBuf>, voice: Voice) -> Result<Authenticator, Failure> {
    let opened = unlock(vault, voice)?;
    name_damaged(&opened.vault, voice);
    Ok(opened)
}

fn unlock(vault: Option<PathBuf>, voice: Voice) -> Result<Authenticator, Failure> {
    console::open(&console::home(vault)?, &mut AtTerminal::new(voice))
}

/// A passkey that is not found may be in a file that cannot be read.
fn name_damaged(vault: &Vault, voice: Voice) {
    for (path, why) in vault.damaged() {
        voice.say(
            &console::left_out(path, why),
            &json!({"event": "damaged", "file": path.display().to_string(), "why": why}),
        );
    }
}

pub(super) fn vault_status(vault: Option<PathBuf>, voice: Voice) -> Result<(), Failure> {
    let authenticator = unlock(vault, voice)?;
    let vault = &authenticator.vault;
    let devices: Vec<_> = vault.devices().map(|device| device.name.as_str()).collect();
    let damaged: Vec<_> = vault
        .damaged()
        .map(|(path, why)| (path.display().to_string(), why))
        .collect();
    let count = vault.passkeys().count();
    let mut words = format!(
        "Vault {}\n  {}\n  devices: {}",
        vault.folder().display(),
        passkeys_in_words(count),
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
    voice.result(&words, &value)
}

/// What unlocks the vault on this computer.
#[derive(Debug, Subcommand)]
pub(super) enum Way {
    /// By the pass phrase alone, as at first.
    Passphrase,
    /// By a key file, such as one on a USB stick. It is made if nothing is there.
    KeyFile {
        /// Where it is when it is there. Several devices may have one in common.
        path: PathBuf,
    },
    /// By the keyring of your desktop (Secret Service), as long as that is unlocked.
    Keyring,
    /// Tell how this computer is unlocked, and whether that works now.
    Status,
}

pub(super) fn unlock_with(vault: Option<PathBuf>, way: Way, voice: Voice) -> Result<(), Failure> {
    let home = console::home(vault)?;
    let with = match way {
        Way::Passphrase => UnlockWith::Passphrase,
        Way::KeyFile { path } => UnlockWith::KeyFile(path),
        Way::Keyring => UnlockWith::Keyring,
        Way::Status => {
            let state = console::unlock_state(&home);
            let words = format!("Pass phrase: {}.", state.words());
            return voice.result(&words, &state.json());
        }
    };
    let said = console::unlock_with(&home, with, &mut AtTerminal::new(voice))?;
    voice.result(&said, &console::unlock_state(&home).json())
}

pub(super) fn group_status(vault: Option<PathBuf>, voice: Voice) -> Result<(), Failure> {
    let authenticator = open(vault, voice)?;
    let status = group::status(&authenticator.device);
    let none = "This computer is in no trust group yet. Beside your phone: handfast link";
    voice.result(&group_words(&status, none), &group_json(&status))
}
