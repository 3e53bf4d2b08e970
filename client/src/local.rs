//! This device's own passkeys: the same engine and vault as on the phone.

use std::time::SystemTime;

use handfast_authenticator::device::PinCheck;
use handfast_authenticator::engine::{
    Account, Answer, Authenticator, Computer, Context, Person, PinPad, PinUnavailable, Prompt,
};
use handfast_proto::ctap2::get_info;
use rand_core::OsRng;

/// How a local ceremony asks the person at this keyboard.
pub trait Keyboard {
    /// Asks for the PIN; nothing means no.
    fn pin(&mut self, question: &str) -> Option<String>;

    /// Asks which of several accounts; nothing means no.
    fn account(&mut self, accounts: &[Account]) -> Option<usize>;

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
    get_info::Response::parse(&authenticator.get_info())
}

/// Answers one request: status byte and CBOR. Typing the command was the person's consent; the PIN
/// verifies who typed it.
pub fn answer(
    authenticator: &mut Authenticator,
    request: &[u8],
    keyboard: &mut dyn Keyboard,
) -> Vec<u8> {
    let context = Context {
        computer: Computer::ThisDevice,
        method: None,
        handshake_hash: None,
    };
    let mut session = authenticator.session(context);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.unwrap_or_default().as_secs();
    let mut person = AtKeyboard(keyboard);
    let reply = authenticator.handle(&mut session, request, &mut person, &mut OsRng, now);
    if let Some(note) = reply.note {
        keyboard.say(&note);
    }
    reply.bytes
}

struct AtKeyboard<'a>(&'a mut dyn Keyboard);

impl Person for AtKeyboard<'_> {
    fn ask(&mut self, prompt: &Prompt<'_>, _: Computer, pin: &mut dyn PinPad) -> Answer {
        let (question, account) = match prompt {
            Prompt::NoPasskey { .. } => return Answer::Refused,
            Prompt::Excluded { .. } => {
                return Answer::Approved {
                    account: 0,
                    verified: false,
                };
            }
            Prompt::Create { rp_id, .. } => {
                (format!("PIN, to make a passkey for {rp_id}: "), Some(0))
            }
            Prompt::SignIn {
                rp_id, accounts, ..
            } => {
                let account = match accounts.as_slice() {
                    [_] => Some(0),
                    accounts => self.0.account(accounts),
                };
                (format!("PIN, to sign in to {rp_id}: "), account)
            }
            // Only a phone lets others into its group.
            _ => return Answer::Refused,
        };
        let Some(account) = account else {
            return Answer::Refused;
        };
        if !pin.is_set() {
            return Answer::Approved {
                account,
                verified: false,
            };
        }
        let Some(typed) = self.0.pin(&question) else {
            return Answer::Refused;
        };
        match pin.check(&typed) {
            // The engine knows why, and says so.
            Err(PinUnavailable) => Answer::Refused,
            Ok(PinCheck::Right) => Answer::Approved {
                account,
                verified: true,
            },
            Ok(PinCheck::Wrong(left)) => {
                self.0.say(&format!("Wrong PIN; {left} tries left."));
                Answer::WrongPin
            }
            Ok(PinCheck::Blocked | PinCheck::NotSet) => {
                self.0.say("The PIN is blocked.");
                Answer::Blocked
            }
        }
    }
}
