//! The person at this terminal. The terminal itself is asked, as standard input may be in use.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};

use handfast_authenticator::console::{self, Failure, Silence, Width, forget_typed};
use handfast_authenticator::engine::Account;
use serde_json::json;
use zeroize::Zeroizing;

use super::voice::Voice;
use crate::local::{Keyboard, Unanswered};

const TERMINAL: &str = "/dev/tty";
/// No line that means anything is longer.
const LONGEST: u64 = 4096;
/// A terminal takes no longer line.
const LONGEST_SECRET: usize = 4096;

/// Asks for what nobody should see; nothing if there is no terminal.
pub(super) fn ask_secret(question: &str) -> Option<Zeroizing<String>> {
    let mut terminal = OpenOptions::new()
        .read(true)
        .write(true)
        .open(TERMINAL)
        .ok()?;
    // Before the question stands there: who types fast would see the first of it.
    let _silence = Silence::begin(terminal.try_clone().ok()?);
    put(&mut terminal, question)?;
    read_secret(&mut terminal)
}

fn put(terminal: &mut File, question: &str) -> Option<()> {
    // A word that was typed before is no answer to this.
    forget_typed(&*terminal);
    let question = Width::of(&*terminal).wrap(question);
    write!(terminal, "{question}").ok()
}

/// Reads a line into memory that is wiped: nothing else sees what is typed. Nothing if it does not end.
fn read_secret(terminal: &mut impl Read) -> Option<Zeroizing<String>> {
    let mut bytes = Zeroizing::new([0; LONGEST_SECRET]);
    let mut length = 0;
    loop {
        let count = match terminal.read(bytes.get_mut(length..)?) {
            Ok(0) => return None,
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return None,
        };
        length += count;
        let typed = bytes.get(..length)?;
        if let Some(end) = typed.iter().position(|&byte| byte == b'\n') {
            let line = std::str::from_utf8(typed.get(..end)?).ok()?;
            let line = line.strip_suffix('\r').unwrap_or(line);
            return Some(Zeroizing::new(line.to_owned()));
        }
    }
}

/// Asks for a line; nothing if there is no terminal.
fn ask_line(question: &str) -> Option<String> {
    let mut terminal = OpenOptions::new()
        .read(true)
        .write(true)
        .open(TERMINAL)
        .ok()?;
    put(&mut terminal, question)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A terminal that gives what was typed in pieces.
    struct Pieces(Vec<&'static [u8]>);

    impl Read for Pieces {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let Some(piece) = self.0.pop() else {
                return Ok(0);
            };
            piece.take(4096).read(into)
        }
    }

    fn read(pieces: &[&'static [u8]]) -> Option<String> {
        let mut terminal = Pieces(pieces.iter().rev().copied().collect());
        read_secret(&mut terminal).map(|line| line.to_string())
    }

    #[test]
    fn a_line_that_does_not_end_or_is_no_text_is_no_answer() {
        static LONG: [u8; 4096] = [b'a'; 4096];
        let endless: [&[&[u8]]; 4] = [&[], &[b"abc"], &[b"\xff\n"], &[&LONG, &LONG]];
        for pieces in endless {
            assert_eq!(read(pieces), None);
        }
    }

    #[test]
    fn a_line_is_what_was_typed_before_its_end() {
        assert_eq!(read(&[b"\n"]).as_deref(), Some(""));
        assert_eq!(
            read(&[b"six w", b"ords \r\n"]).as_deref(),
            Some("six words ")
        );
    }
}
