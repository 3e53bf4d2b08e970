//! Secrets that a person types or a file holds. What was mistyped may be typed again.

#[cfg(feature = "phone")]
mod exchange;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rand_core::OsRng;
use zeroize::Zeroizing;

use super::Failure;
use crate::device::{Moment, NoTry, Pin, Tries};
use crate::home::Home;
use crate::passphrase::{Passphrase, propose};
use crate::vault::{Backup, OpenBackup, Vault, VaultError};

#[cfg(feature = "phone")]
pub(crate) use exchange::{confirm_owner, document_passphrase, new_document_passphrase};

const PASSPHRASE_FILE: &str = "HANDFAST_PASSPHRASE_FILE";
const BACKUP_PASSPHRASE_FILE: &str = "HANDFAST_BACKUP_PASSPHRASE_FILE";
const NEW_PASSPHRASE_FILE: &str = "HANDFAST_NEW_PASSPHRASE_FILE";
const PIN_FILE: &str = "HANDFAST_PIN_FILE";
/// No pass phrase or PIN has more bytes.
const LONGEST_SECRET: usize = 16 * 1024;
/// Fewer characters are no pass phrase for a folder that anybody may have a copy of.
const SHORTEST_PASSPHRASE: usize = 12;
const AGAIN: &str = "Once more: ";
const NOT_THE_WORDS: &str = "These are not the words above. If it is to be your own, once more: ";
/// How often a person may type a secret before the command gives up.
const ATTEMPTS: usize = 3;
/// How often a person may mistype what he chooses. No person does, but what is no person has no end.
const CHOICES: usize = 20;

/// How a program asks for secrets that no file holds.
pub trait Secrets {
    /// Asks, without showing what is typed; nothing if nobody answers.
    fn ask(&mut self, question: &str) -> Option<Zeroizing<String>>;

    /// Says what the person should know before the next question.
    fn say(&mut self, words: &str);

    /// Shows the words that are proposed for a new vault.
    fn propose(&mut self, words: &str);
}

/// What became of a question.
enum Typed<T> {
    Nobody,
    Right(T),
    Wrong(Failure),
}

/// Asks until what is typed is right, a few times at most. What was wrong is given to the next question, to
/// stand before it; it is also the failure if nobody answers then.
fn until_right<T>(
    ask: impl FnMut(&str) -> Result<Typed<T>, Failure>,
) -> Result<Option<T>, Failure> {
    asked(ATTEMPTS, ask)
}

/// Asks for what a person chooses, like [`until_right`], but more often: there is nothing to guess.
fn until_chosen<T>(
    ask: impl FnMut(&str) -> Result<Typed<T>, Failure>,
) -> Result<Option<T>, Failure> {
    asked(CHOICES, ask)
}

fn asked<T>(
    attempts: usize,
    mut ask: impl FnMut(&str) -> Result<Typed<T>, Failure>,
) -> Result<Option<T>, Failure> {
    let mut last = None;
    for _ in 0..attempts {
        let wrong = last.as_ref().map(|failure: &Failure| failure.what() + "\n");
        match ask(&wrong.unwrap_or_default())? {
            Typed::Right(secret) => return Ok(Some(secret)),
            Typed::Wrong(failure) => last = Some(failure),
            Typed::Nobody => break,
        }
    }
    last.map_or(Ok(None), Err)
}

/// Asks for a pass phrase until it is right; nothing if nobody types one.
fn passphrase_until_right<T>(
    secrets: &mut dyn Secrets,
    question: &str,
    mut open: impl FnMut(&Passphrase) -> Result<Typed<T>, Failure>,
) -> Result<Option<T>, Failure> {
    until_right(|wrong| {
        let typed = secrets.ask(&format!("{wrong}{question}"));
        match typed.filter(|typed| !typed.is_empty()) {
            Some(typed) => open(&Passphrase::new(typed.as_str())),
            None => Ok(Typed::Nobody),
        }
    })
}

/// Asks once more for what was chosen, as a mistyped one would lock its owner out.
fn repeated<T>(
    secrets: &mut dyn Secrets,
    typed: &str,
    chosen: Result<T, Failure>,
    again: &str,
    differ: impl FnOnce() -> Failure,
) -> Typed<T> {
    let chosen = match chosen {
        Ok(chosen) => chosen,
        Err(failure) => return Typed::Wrong(failure),
    };
    match secrets.ask(again) {
        Some(again) if again.as_str() == typed => Typed::Right(chosen),
        _ => Typed::Wrong(differ()),
    }
}

fn secret_file(variable: &str) -> Result<Option<Zeroizing<String>>, Failure> {
    let Some(path) = std::env::var_os(variable) else {
        return Ok(None);
    };
    let path = Path::new(&path);
    match read_secret(path) {
        Ok(secret) => Ok(Some(secret)),
        Err(error) => Err(
            Failure::new(format!("{} cannot be read: {error}", path.display()))
                .with_hint(format!("Correct or unset {variable}.")),
        ),
    }
}

/// Reads a file's first bytes without leaving copies behind: no secret is longer.
fn read_secret(path: &Path) -> io::Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST_SECRET + 64));
    let limit = u64::try_from(LONGEST_SECRET + 1).unwrap_or(u64::MAX);
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    if bytes.len() > LONGEST_SECRET {
        return Err(io::Error::other("it is too long"));
    }
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| io::Error::other("it is no text in UTF-8"))?
        .trim_end_matches(['\r', '\n']);
    Ok(Zeroizing::new(text.to_owned()))
}

/// Returns the file that holds the pass phrase, if one is named, and it can be read.
pub(super) fn passphrase_file() -> Result<Option<PathBuf>, Failure> {
    let file = std::env::var_os(PASSPHRASE_FILE).map(PathBuf::from);
    secret_file(PASSPHRASE_FILE).map(|_| file)
}

/// Returns the PIN, if a file holds it.
///
/// # Errors
///
/// [`Failure`] if the file cannot be read.
pub fn pin_file() -> Result<Option<Zeroizing<String>>, Failure> {
    secret_file(PIN_FILE)
}

/// Opens a vault with its pass phrase, which nobody is asked for if there is none. Wrong ones are counted.
pub(super) fn open_vault(home: &Home, secrets: &mut dyn Secrets) -> Result<Vault, Failure> {
    // Nobody should type a secret to learn that it opens nothing.
    Vault::look(&home.vault)?;
    let none = || {
        Failure::usage("No pass phrase was given").with_hint(format!(
            "Type it, or name a file with it in {PASSPHRASE_FILE}."
        ))
    };
    match secret_file(PASSPHRASE_FILE)? {
        Some(given) if given.is_empty() => Err(none()),
        Some(given) => Ok(counted(home, &Passphrase::new(given.as_str()))?),
        None => typed_vault(home, "Pass phrase of the vault: ", secrets)?.ok_or_else(none),
    }
}

/// Opens a vault with a pass phrase that is asked for until it is right; nothing if nobody types one. Nobody
/// is asked as long as none would be tried.
fn typed_vault(
    home: &Home,
    question: &str,
    secrets: &mut dyn Secrets,
) -> Result<Option<Vault>, Failure> {
    let tries = Tries::of(&home.device);
    until_right(|wrong| {
        tries.look(&Moment::now()).map_err(NoTry::from)?;
        let typed = secrets.ask(&format!("{wrong}{question}"));
        let Some(typed) = typed.filter(|typed| !typed.is_empty()) else {
            return Ok(Typed::Nobody);
        };
        match counted(home, &Passphrase::new(typed.as_str())) {
            Ok(vault) => Ok(Typed::Right(vault)),
            Err(Locked::Wrong(failure)) => Ok(Typed::Wrong(failure)),
            Err(Locked::Other(failure)) => Err(failure),
        }
    })
}

/// Why a pass phrase did not open the vault.
enum Locked {
    /// Another one may.
    Wrong(Failure),
    /// No other one would.
    Other(Failure),
}

impl From<Locked> for Failure {
    fn from(locked: Locked) -> Self {
        match locked {
            Locked::Wrong(failure) | Locked::Other(failure) => failure,
        }
    }
}

impl From<NoTry> for Locked {
    fn from(error: NoTry) -> Self {
        Self::Other(error.into())
    }
}

fn counted(home: &Home, passphrase: &Passphrase) -> Result<Vault, Locked> {
    let tries = Tries::of(&home.device);
    let opened = tries.attempt(|| match Vault::open(&home.vault, passphrase) {
        Ok(vault) => Ok(Some(vault)),
        Err(VaultError::WrongPassphrase) => Ok(None),
        Err(error) => Err(Locked::Other(error.into())),
    })?;
    opened.ok_or_else(|| Locked::Wrong(VaultError::WrongPassphrase.into()))
}

/// Opens a backup with its pass phrase: from its own file, from the vault's, or asked for. A vault that is
/// made of it has a header of at least this revision.
pub(super) fn open_backup(
    backup: &Backup,
    revision: u64,
    secrets: &mut dyn Secrets,
) -> Result<OpenBackup, Failure> {
    let open = |passphrase: &Passphrase| {
        let opened = backup.open(passphrase)?;
        opened.at_revision(revision, passphrase, &mut OsRng)
    };
    for variable in [BACKUP_PASSPHRASE_FILE, PASSPHRASE_FILE] {
        if let Some(given) = secret_file(variable)? {
            return match open(&Passphrase::new(given.as_str())) {
                Err(VaultError::WrongPassphrase) => Err(Failure::new(
                    "the pass phrase of the backup is another",
                )
                .with_hint(format!(
                    "Name a file with it in {BACKUP_PASSPHRASE_FILE}; nothing was changed."
                ))),
                opened => Ok(opened?),
            };
        }
    }
    let question = "Pass phrase of the backup: ";
    let opened = passphrase_until_right(secrets, question, |typed| match open(typed) {
        Ok(opened) => Ok(Typed::Right(opened)),
        Err(error @ VaultError::WrongPassphrase) => Ok(Typed::Wrong(error.into())),
        Err(error) => Err(error.into()),
    })?;
    opened.ok_or_else(|| Failure::usage("No pass phrase of the backup was given"))
}

/// The pass phrase of a new vault: from the file, or one that is proposed.
pub(super) fn new_passphrase(secrets: &mut dyn Secrets) -> Result<Passphrase, Failure> {
    if let Some(given) = secret_file(PASSPHRASE_FILE)? {
        return long_enough(&given);
    }
    let words = propose(&mut OsRng);
    secrets.propose(&words);
    let question = "Type them again, or a pass phrase of your own: ";
    chosen_passphrase(secrets, question, Some(&words))?
        .ok_or_else(|| Failure::usage("No pass phrase was given"))
}

/// Asks for a pass phrase that its owner chooses; nothing if nobody types one. It is typed twice, if it is not
/// the words that were proposed.
fn chosen_passphrase(
    secrets: &mut dyn Secrets,
    question: &str,
    words: Option<&str>,
) -> Result<Option<Passphrase>, Failure> {
    until_chosen(|wrong| {
        let Some(typed) = secrets.ask(&format!("{wrong}{question}")) else {
            return Ok(Typed::Nobody);
        };
        let chosen = long_enough(&typed);
        let again = match words {
            Some(words) if words == typed.as_str() => {
                return Ok(chosen.map_or_else(Typed::Wrong, Typed::Right));
            }
            Some(_) => NOT_THE_WORDS,
            None => AGAIN,
        };
        Ok(repeated(secrets, &typed, chosen, again, not_the_same))
    })
}

fn not_the_same() -> Failure {
    Failure::usage("The two pass phrases are not the same")
        .with_hint("Try again; nothing was changed.")
}

/// The pass phrase that is to take the place of another: from the file, or one that is proposed.
pub(super) fn another_passphrase(secrets: &mut dyn Secrets) -> Result<Passphrase, Failure> {
    if let Some(given) = secret_file(NEW_PASSPHRASE_FILE)? {
        return long_enough(&given);
    }
    let words = propose(&mut OsRng);
    secrets.propose(&words);
    let question = "New pass phrase (these words, or your own): ";
    chosen_passphrase(secrets, question, Some(&words))?.ok_or_else(|| {
        Failure::usage("No new pass phrase was given").with_hint(format!(
            "Type it, or name a file with it in {NEW_PASSPHRASE_FILE}; nothing was changed."
        ))
    })
}

fn long_enough(given: &str) -> Result<Passphrase, Failure> {
    if given.chars().count() < SHORTEST_PASSPHRASE {
        return Err(Failure::usage(format!(
            "A pass phrase has at least {SHORTEST_PASSPHRASE} characters"
        ))
        .with_hint("Try again with six words; nothing was changed."));
    }
    Ok(Passphrase::new(given))
}

/// Asks for a new PIN of this device; nothing if none is wanted.
///
/// # Errors
///
/// [`Failure`] if it cannot be one, or was not repeated.
pub fn new_pin(secrets: &mut dyn Secrets) -> Result<Option<Pin>, Failure> {
    if let Some(pin) = secret_file(PIN_FILE)? {
        return Ok(Some(Pin::parse(&pin)?));
    }
    let typed = until_chosen(|wrong| {
        let question = format!("{wrong}Choose a PIN for this device (at least 4 characters): ");
        let Some(typed) = secrets.ask(&question) else {
            return Ok(Typed::Nobody);
        };
        if typed.is_empty() {
            return Ok(Typed::Right(None));
        }
        let pin = Pin::parse(&typed).map(Some).map_err(Failure::from);
        Ok(repeated(secrets, &typed, pin, AGAIN, || {
            Failure::usage("The two PINs are not the same").with_hint("Try again.")
        }))
    })?;
    Ok(typed.flatten())
}

#[cfg(test)]
mod tests;
