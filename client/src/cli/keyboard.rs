//! The person at this terminal. The terminal itself is asked, as standard input may be in use.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};

use handfast_authenticator::console::{self, Failure, Silence};
use handfast_authenticator::engine::Account;
use serde_json::json;
use zeroize::Zeroizing;

use super::voice::Voice;
use crate::local::{Keyboard, Unanswered};

const TERMINAL: &str = "/dev/tty";
/// No line that means anything is longer.
const LONGEST: u64 = 4096;

/// Asks for what nobody should see; nothing if there is no terminal.
pub(super) fn ask_secret(question: &str) -> Option<Zeroizing<String>> {
    // Before the question stands there: who types fast would see the first of it.
    let terminal = OpenOptions::new().read(true).write(true).open(TERMINAL);
    let _silence = terminal.ok().map(Silence::begin);
    rpassword::prompt_password(question)
        .ok()
        .map(Zeroizing::new)
}

/// Asks for a line; nothing if there is no terminal.
fn ask_line(question: &str) -> Option<String> {
    let mut terminal = OpenOptions::new()
        .read(true)
        .write(true)
        .open(TERMINAL)
        .ok()?;
    write!(terminal, "{question}").ok()?;
    let mut line = String::new();
    BufReader::new(terminal.take(LONGEST))
        .read_line(&mut line)
        .ok()?;
    Some(line.trim().to_owned())
}

/// Whether Bluetooth may be switched on: asked where somebody can be, else said.
pub(super) fn may_power_on(voice: Voice) -> bool {
    let answer = match voice {
        Voice::Words => ask_line(console::POWER_ON),
        Voice::Json => None,
    };
    match answer {
        Some(answer) => matches!(answer.to_ascii_lowercase().as_str(), "" | "y" | "yes"),
        None => {
            voice.say(console::POWERING_ON, &json!({"event": "powering-on"}));
            true
        }
    }
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
    fn pin(&mut self, what: &str) -> Result<Zeroizing<String>, Unanswered> {
        if let Some(pin) = &self.pin {
            // Nobody sees a prompt: here is at least for whom a person was vouched.
            self.voice.say(
                &format!("The PIN in the file of HANDFAST_PIN_FILE is used to {what}."),
                &json!({"event": "pin-from-file", "for": what}),
            );
            return Ok(pin.clone());
        }
        match ask_secret(&format!("PIN, to {what}: ")) {
            Some(pin) if pin.is_empty() => Err(Unanswered::Refused),
            Some(pin) => Ok(pin),
            None => Err(Unanswered::Nobody),
        }
    }

    fn passphrase(&mut self, what: &str) -> Result<Zeroizing<String>, Unanswered> {
        match ask_secret(&format!("Pass phrase of the vault, to {what}: ")) {
            Some(typed) if typed.is_empty() => Err(Unanswered::Refused),
            Some(typed) => Ok(typed),
            None => Err(Unanswered::Nobody),
        }
    }

    fn knows_pin(&self) -> bool {
        self.pin.is_some()
    }

    fn confirm(&mut self, what: &str) -> Result<(), Unanswered> {
        let question = format!("Do you want to {what}? [y/N] ");
        match ask_line(&question).ok_or(Unanswered::Nobody)?.as_str() {
            "y" | "Y" | "yes" | "Yes" | "YES" => Ok(()),
            _ => Err(Unanswered::Refused),
        }
    }

    fn account(&mut self, accounts: &[Account]) -> Result<usize, Unanswered> {
        let list = accounts.iter().enumerate();
        let list: Vec<_> = list
            .map(|(index, account)| {
                let Account { name, display_name } = account;
                format!("  {} {name} {display_name}", index + 1)
            })
            .collect();
        let question = format!(
            "There are several accounts:\n{}\nWhich? (number, or Enter to refuse) ",
            list.join("\n")
        );
        let typed = ask_line(&question).ok_or(Unanswered::Nobody)?;
        let index = typed.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
        index
            .filter(|&index| index < accounts.len())
            .ok_or(Unanswered::Refused)
    }

    fn say(&mut self, words: &str) {
        self.voice
            .say(words, &json!({"event": "note", "text": words}));
    }
}
