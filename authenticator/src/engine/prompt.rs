//! What a person is asked, free of how it looks.

use std::time::Duration;

use handfast_proto::ids::RpId;
use rand_core::CryptoRngCore;

use super::Computer;
use crate::device::{DeviceStore, Moment, NoTry, PinCheck};
use crate::group::GroupError;
use crate::passphrase::Passphrase;
use crate::vault::{Vault, VaultError};

/// An account as a person tells it from others.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// The account's name, made printable.
    pub name: String,
    /// The person's name, made printable; may be empty.
    pub display_name: String,
}

impl Account {
    pub(super) fn new(name: Option<&str>, display_name: Option<&str>) -> Self {
        let display_name = printable(display_name.unwrap_or_default());
        let name = match printable(name.unwrap_or_default()) {
            name if name.is_empty() && display_name.is_empty() => "(no name)".to_owned(),
            name => name,
        };
        Self { name, display_name }
    }

    /// Returns the same account with a mark in its name.
    pub(super) fn told_apart(&self, mark: &str) -> Self {
        Self {
            name: format!("{} [{mark}]", self.name),
            display_name: self.display_name.clone(),
        }
    }
}

/// Makes a text from outside fit for one line: without control characters and those that turn or
/// hide text, and not longer than 64 characters.
pub fn printable(text: &str) -> String {
    let short: String = printable_text(text).chars().take(64).collect();
    short.trim().to_owned()
}

/// Makes a text from outside printable like [`printable`], at any length.
pub fn printable_text(text: &str) -> String {
    let unseen = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
            || matches!(c, '\u{061c}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
            || ('\u{e0000}'..='\u{e007f}').contains(&c)
    };
    let seen: String = text.chars().filter(|c| !unseen(*c)).collect();
    // A row of spaces would put what follows into a line of its own.
    seen.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a site gets beyond a signature, or does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Sharing {
    /// It gets a key that never leaves this device, and knows the device by it (extensions
    /// `devicePubKey` and `supplementalPubKeys`).
    DeviceKey,
    /// It gets a trust-group key (extension `cmtgKey`, `relationshipPublicKey`, or
    /// `supplementalPubKeys` of scope `provider`).
    GroupKey,
    /// It gets a secret that the passkey makes (extensions `prf` and `hmac-secret`).
    Secret,
    /// It reads what it stored with the passkey (extension `largeBlob`).
    StoredRead,
    /// It stores something with the passkey, in the place of what it stored before.
    StoredReplaced,
}

/// A question, with what it is about.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Prompt<'a> {
    /// A new passkey.
    Create {
        /// The site.
        rp_id: &'a RpId,
        /// The account.
        account: Account,
        /// What else the site gets or does.
        shares: Vec<Sharing>,
    },
    /// The account has a passkey here already; the site will be told so.
    Excluded {
        /// The site.
        rp_id: &'a RpId,
        /// Whether it may be told so only of a person who was verified.
        verify: bool,
    },
    /// A device wants into the trust group.
    Join {
        /// What it calls itself, made printable.
        device: String,
        /// The six digits to compare.
        code: String,
        /// Whether the radio was simulated.
        simulated: bool,
        /// Since when the vault knows the device, seconds since 1970; nothing if it does not, or
        /// not yet.
        since: Option<u64>,
    },
    /// There is no passkey for the site.
    NoPasskey {
        /// The site.
        rp_id: &'a RpId,
    },
    /// The computer has several devices, and a person is to say which is meant.
    Select,
    /// Sign in.
    SignIn {
        /// The site.
        rp_id: &'a RpId,
        /// The accounts to choose from.
        accounts: Vec<Account>,
        /// What else the site gets or does.
        shares: Vec<Sharing>,
    },
}

/// What a person answered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answer {
    /// Yes.
    Approved {
        /// Which of the accounts, from 0.
        account: usize,
        /// Whether the PIN was right in this very prompt.
        verified: bool,
    },
    /// The PIN is blocked.
    Blocked,
    /// Nothing, in the time there was.
    NoAnswer,
    /// No.
    Refused,
    /// The PIN was wrong, as often as it was asked for.
    WrongPin,
}

/// Checks PINs, and the pass phrase in place of one that is blocked, for who asks a person.
pub trait PinPad {
    /// Returns whether a PIN is set.
    fn is_set(&self) -> bool;

    /// Returns whether a PIN is set that has no tries left, as far as is known without trying it:
    /// then the pass phrase may be asked for instead.
    fn is_blocked(&self) -> bool;

    /// Tries a PIN; a wrong one is counted.
    ///
    /// # Errors
    ///
    /// [`PinUnavailable`]: whatever is answered then, the request fails, with the reason.
    fn check(&mut self, pin: &str) -> Result<PinCheck, PinUnavailable>;

    /// Returns how long the pass phrase need not be asked for, as it would not be tried.
    fn passphrase_waits(&self) -> Option<Duration>;

    /// Tries the vault's pass phrase in place of a blocked PIN; if it is right the PIN has all its tries
    /// again. A pass phrase that unlocked the vault earlier is no answer; it has to be given in this very
    /// prompt. Wrong ones are counted with those that did not unlock the vault.
    ///
    /// # Errors
    ///
    /// [`PinUnavailable`] as with a PIN.
    fn check_passphrase(
        &mut self,
        passphrase: &Passphrase,
    ) -> Result<PassphraseCheck, PinUnavailable>;
}

/// How an attempt with the pass phrase went.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum PassphraseCheck {
    /// The PIN can be used again.
    Right,
    /// It was not tried: after so many wrong ones, the next has to wait this long.
    TooSoon(Duration),
    /// It was wrong, or the PIN is not blocked.
    Wrong,
}

/// A PIN could not be tried, for a reason of this device's; no try was lost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PinUnavailable;

/// Asks a person: on a terminal, in a window, by a test.
pub trait Person {
    /// Asks, waits, and returns the answer.
    fn ask(&mut self, prompt: &Prompt<'_>, computer: &Computer, pin: &mut dyn PinPad) -> Answer;
}

/// The PIN of the device store.
pub(super) struct StorePin<'a> {
    pub(super) vault: &'a Vault,
    pub(super) device: &'a mut DeviceStore,
    pub(super) rng: &'a mut dyn CryptoRngCore,
    pub(super) failed: Option<GroupError>,
}

impl StorePin<'_> {
    fn note<T>(&mut self, tried: Result<T, GroupError>) -> Result<T, PinUnavailable> {
        tried.map_err(|error| {
            self.failed = Some(error);
            PinUnavailable
        })
    }

    /// Only a blocked PIN gives way to the pass phrase.
    fn unblock(&mut self, passphrase: &Passphrase) -> Result<PassphraseCheck, GroupError> {
        if !self.is_blocked() {
            return Ok(PassphraseCheck::Wrong);
        }
        let vault = self.vault;
        let tried = self.device.tries().attempt(|| {
            let opens = vault.opens_with(passphrase).map_err(Untried::Vault)?;
            Ok(opens.then_some(()))
        });
        match tried {
            Ok(Some(())) => {
                self.device.restore_pin_tries(self.rng)?;
                Ok(PassphraseCheck::Right)
            }
            Ok(None) => Ok(PassphraseCheck::Wrong),
            Err(Untried::No(NoTry::TooSoon(too_soon))) => {
                Ok(PassphraseCheck::TooSoon(too_soon.wait))
            }
            Err(Untried::No(NoTry::NotCounted(error))) => Err(error.into()),
            Err(Untried::Vault(error)) => Err(error.into()),
        }
    }
}

/// Why a pass phrase was not tried.
enum Untried {
    No(NoTry),
    Vault(VaultError),
}

impl From<NoTry> for Untried {
    fn from(error: NoTry) -> Self {
        Self::No(error)
    }
}

impl PinPad for StorePin<'_> {
    fn is_set(&self) -> bool {
        self.device.has_pin()
    }

    fn is_blocked(&self) -> bool {
        self.device.pin_tries() == Some(0)
    }

    fn passphrase_waits(&self) -> Option<Duration> {
        let looked = self.device.tries().look(&Moment::now());
        looked.err().map(|too_soon| too_soon.wait)
    }

    fn check(&mut self, pin: &str) -> Result<PinCheck, PinUnavailable> {
        let checked = self.device.check_pin(pin, self.rng);
        self.note(checked.map_err(GroupError::from))
    }

    fn check_passphrase(
        &mut self,
        passphrase: &Passphrase,
    ) -> Result<PassphraseCheck, PinUnavailable> {
        let checked = self.unblock(passphrase);
        self.note(checked)
    }
}
