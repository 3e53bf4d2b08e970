//! This device's own passkeys: the same engine and vault as on the phone.

use std::time::Duration;

use handfast_authenticator::console::{SiteName, sharing_words, steady, unix_time};
use handfast_authenticator::device::PinCheck;
use handfast_authenticator::engine::{
    Account, Answer, Authenticator, Computer, Context, PassphraseCheck, Person, PinPad,
    PinUnavailable, Prompt, Sharing,
};
use handfast_authenticator::passphrase::Passphrase;
use handfast_proto::ctap2::get_info;
use rand_core::OsRng;
use thiserror::Error;
use zeroize::Zeroizing;

/// How often a PIN or a pass phrase may be mistyped in one ceremony.
const ATTEMPTS: usize = 3;

/// Why there is no answer of the person at this keyboard.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum LocalError {
    /// There is nobody to ask.
    #[error("nobody could be asked: there is no terminal")]
    NoTerminal,
    /// The PIN was wrong; so many tries are left.
    #[error("the PIN was wrong; {} left", tries(*.0))]
    WrongPin(u8),
}

/// Why a question has no answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unanswered {
    /// There is nobody to ask, or nobody any more.
    Nobody,
    /// The person said no.
    Refused,
}

/// How a local ceremony asks the person at this keyboard.
pub trait Keyboard {
    /// Asks for the PIN, to do `what`: a phrase such as “sign in to example.org as ana”.
    ///
    /// # Errors
    ///
    /// [`Unanswered`].
    fn pin(&mut self, what: &str) -> Result<Zeroizing<String>, Unanswered>;

    /// Asks for the vault's pass phrase in place of the PIN, to do `what`.
    ///
    /// # Errors
    ///
    /// [`Unanswered`].
    fn passphrase(&mut self, what: &str) -> Result<Zeroizing<String>, Unanswered>;

    /// Returns whether [`Self::pin`] gives a PIN without asking for it: then that stands for the
    /// person.
    fn knows_pin(&self) -> bool;

    /// Asks whether to do `what`; a yes is no error.
    ///
    /// # Errors
    ///
    /// [`Unanswered`].
    fn confirm(&mut self, what: &str) -> Result<(), Unanswered>;

    /// Asks which of several accounts, by its place in the list.
    ///
    /// # Errors
    ///
    /// [`Unanswered`].
    fn account(&mut self, accounts: &[Account]) -> Result<usize, Unanswered>;

    /// Says something.
    fn say(&mut self, words: &str);
}

/// Returns what the local authenticator says of itself.
///
/// # Errors
///
/// [`handfast_proto::ctap2::ResponseError`] if its own words cannot be read.
pub fn info(
    authenticator: &Authenticator,
) -> Result<get_info::Response, handfast_proto::ctap2::ResponseError> {
    get_info::Response::parse(&authenticator.get_info(&Computer::ThisDevice))
}

/// Answers one request: status byte and CBOR. The person is asked for the PIN, which verifies who
/// typed it, or else for a yes; a vault that was made for tests answers without anybody.
///
/// # Errors
///
/// [`LocalError`].
pub fn answer(
    authenticator: &mut Authenticator,
    request: &[u8],
    keyboard: &mut dyn Keyboard,
) -> Result<Vec<u8>, LocalError> {
    let context = Context {
        computer: Computer::ThisDevice,
        method: None,
        handshake_hash: None,
    };
    let mut session = authenticator.session(context);
    let now = unix_time();
    let mut person = AtKeyboard {
        for_tests: authenticator.vault.is_for_tests(),
        keyboard,
        failed: None,
    };
    let reply = authenticator.handle(&mut session, request, &mut person, &mut OsRng, now);
    if let Some(failed) = person.failed {
        return Err(failed);
    }
    if let Some(note) = reply.note {
        keyboard.say(&note);
    }
    Ok(reply.bytes)
}

struct AtKeyboard<'a> {
    keyboard: &'a mut dyn Keyboard,
    for_tests: bool,
    failed: Option<LocalError>,
}

impl Person for AtKeyboard<'_> {
    fn ask(&mut self, prompt: &Prompt<'_>, _: &Computer, pin: &mut dyn PinPad) -> Answer {
        match self.decide(prompt, pin) {
            Ok(answer) => answer,
            Err(Unanswered::Refused) => {
                self.failed = None;
                Answer::Refused
            }
            Err(Unanswered::Nobody) => {
                // Why there is nobody any more matters more than that.
                self.failed.get_or_insert(LocalError::NoTerminal);
                Answer::Refused
            }
        }
    }
}

impl AtKeyboard<'_> {
    fn decide(&mut self, prompt: &Prompt<'_>, pin: &mut dyn PinPad) -> Result<Answer, Unanswered> {
        if let Prompt::Excluded { rp_id, .. }
        | Prompt::Create { rp_id, .. }
        | Prompt::SignIn { rp_id, .. } = prompt
            && let Some(words) = SiteName::of(rp_id).words()
        {
            self.keyboard.say(&format!("{rp_id}\n{words}"));
        }
        let (what, account) = match prompt {
            Prompt::Excluded { rp_id, .. } => (
                format!("tell {rp_id} that this account has a passkey here already"),
                0,
            ),
            Prompt::Create {
                rp_id,
                account,
                shares,
            } => {
                self.tell(shares);
                let account = steady(described(account));
                (format!("make a passkey for {rp_id}, for {account}"), 0)
            }
            Prompt::SignIn {
                rp_id,
                accounts,
                shares,
            } => {
                self.tell(shares);
                let account = match accounts.as_slice() {
                    [_] => 0,
                    accounts => self.keyboard.account(accounts)?,
                };
                let name = accounts.get(account).map(described);
                let name = name.ok_or(Unanswered::Refused)?;
                (format!("sign in to {rp_id} as {}", steady(name)), account)
            }
            // There is no passkey; and only a phone lets others into its group.
            _ => return Ok(Answer::Refused),
        };
        // What no PIN is needed for is asked with a word, unless the PIN stands for the person.
        let needs_pin = !matches!(prompt, Prompt::Excluded { verify: false, .. });
        if pin.is_set() && (needs_pin || self.keyboard.knows_pin()) {
            return self.verify(&what, account, pin);
        }
        if self.for_tests {
            self.keyboard.say(&format!(
                "This vault is for tests: nobody was asked whether to {what}."
            ));
        } else {
            self.keyboard.confirm(&what)?;
        }
        Ok(Answer::Approved {
            account,
            verified: false,
        })
    }

    fn verify(
        &mut self,
        what: &str,
        account: usize,
        pin: &mut dyn PinPad,
    ) -> Result<Answer, Unanswered> {
        let right = Answer::Approved {
            account,
            verified: true,
        };
        if pin.is_blocked() && !self.keyboard.knows_pin() {
            return self.by_passphrase(what, right, pin);
        }
        for attempt in 1..=ATTEMPTS {
            let typed = self.keyboard.pin(what)?;
            match pin.check(&typed) {
                // The engine knows why, and says so.
                Err(PinUnavailable) => return Ok(Answer::Refused),
                Ok(PinCheck::Right) => {
                    self.failed = None;
                    return Ok(right);
                }
                Ok(PinCheck::Wrong(left)) => {
                    self.failed = Some(LocalError::WrongPin(left));
                    // A PIN from a file will not be another one next time.
                    if self.keyboard.knows_pin() {
                        break;
                    }
                    if attempt < ATTEMPTS {
                        let tries = tries(left);
                        self.keyboard
                            .say(&format!("That PIN is wrong; {tries} left."));
                    }
                }
                Ok(PinCheck::Blocked | PinCheck::NotSet) => {
                    self.failed = None;
                    // The pass phrase that unlocked the vault is no sign that anybody is here.
                    return match self.keyboard.knows_pin() {
                        true => Ok(Answer::Blocked),
                        false => self.by_passphrase(what, right, pin),
                    };
                }
            }
        }
        Ok(Answer::WrongPin)
    }

    /// Says what else the site gets or does.
    fn tell(&mut self, shares: &[Sharing]) {
        for &sharing in shares {
            self.keyboard.say(sharing_words(sharing));
        }
    }

    fn say_too_soon(&mut self, wait: Duration) {
        let wait = wait.as_secs();
        self.keyboard.say(&format!(
            "Too many pass phrases were wrong: the next has to wait {wait} s."
        ));
    }

    fn by_passphrase(
        &mut self,
        what: &str,
        right: Answer,
        pin: &mut dyn PinPad,
    ) -> Result<Answer, Unanswered> {
        self.keyboard.say(
            "The PIN is blocked. The pass phrase of the vault does instead, and frees the PIN.",
        );
        for _ in 0..ATTEMPTS {
            if let Some(wait) = pin.passphrase_waits() {
                self.say_too_soon(wait);
                break;
            }
            let typed = match self.keyboard.passphrase(what) {
                Err(Unanswered::Refused) => break,
                typed => typed?,
            };
            match pin.check_passphrase(&Passphrase::new(typed.as_str())) {
                // The engine knows why, and says so.
                Err(PinUnavailable) => return Ok(Answer::Refused),
                Ok(PassphraseCheck::Right) => {
                    self.keyboard.say("The PIN can be used again.");
                    return Ok(right);
                }
                Ok(PassphraseCheck::TooSoon(wait)) => {
                    self.say_too_soon(wait);
                    break;
                }
                Ok(_) => self.keyboard.say("That is not the pass phrase."),
            }
        }
        Ok(Answer::Blocked)
    }
}

fn tries(left: u8) -> String {
    match left {
        1 => "1 try is".to_owned(),
        left => format!("{left} tries are"),
    }
}

fn described(account: &Account) -> &str {
    match account.name.as_str() {
        "" => &account.display_name,
        name => name,
    }
}
