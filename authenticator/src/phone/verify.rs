//! Verifying the owner: by the PIN of this device, or by the pass phrase once that is blocked.

use std::time::Duration;

use serde_json::json;

use super::input::{Input, Typed};
use super::person::Asking;
use crate::device::{PinCheck, TRIES};
use crate::engine::{Answer, PassphraseCheck, PinPad, PinUnavailable};
use crate::passphrase::Passphrase;

/// How often a secret may be mistyped in one prompt.
pub(super) const ATTEMPTS: usize = 3;

/// What a secret in place of an answer came to.
enum Given {
    Answer(Answer),
    /// The PIN has no tries left.
    Blocked,
}

impl Asking {
    /// Asks for the PIN, and for the pass phrase if the PIN is blocked, or gets blocked.
    pub(super) fn verify(
        &self,
        account: usize,
        pin: &mut dyn PinPad,
        input: &mut Input,
    ) -> Result<Answer, Typed> {
        let right = Answer::Approved {
            account,
            verified: true,
        };
        if let Some(known) = &self.pin {
            return Ok(match self.try_pin(known, right, pin) {
                Some(Given::Answer(answer)) => answer,
                // The pass phrase that unlocked the vault is no sign that anybody is here.
                Some(Given::Blocked) => self.say_blocked(),
                None => Answer::WrongPin,
            });
        }
        if pin.is_blocked() {
            return self.by_passphrase(right, pin, input);
        }
        for _ in 0..ATTEMPTS {
            let typed = self.secret("PIN of this device (Enter to refuse): ", input)?;
            if typed.is_empty() || typed.eq_ignore_ascii_case("n") {
                return Ok(Answer::Refused);
            }
            match self.try_pin(&typed, right, pin) {
                Some(Given::Answer(answer)) => return Ok(answer),
                Some(Given::Blocked) => return self.by_passphrase(right, pin, input),
                None => {}
            }
        }
        Ok(Answer::WrongPin)
    }

    /// Tries a PIN; nothing if it was wrong and may be typed again.
    fn try_pin(&self, typed: &str, right: Answer, pin: &mut dyn PinPad) -> Option<Given> {
        match pin.check(typed) {
            // The engine knows why, and says so.
            Err(PinUnavailable) => Some(Given::Answer(Answer::Refused)),
            Ok(PinCheck::Right) => Some(Given::Answer(right)),
            Ok(PinCheck::Wrong(left)) => {
                let tries = match left {
                    1 => "1 try".to_owned(),
                    left => format!("{left} tries"),
                };
                self.voice.say(
                    &format!("Wrong PIN; {tries} left."),
                    json!({"event": "wrong-pin", "tries_left": left}),
                );
                None
            }
            Ok(PinCheck::Blocked | PinCheck::NotSet) => Some(Given::Blocked),
        }
    }

    fn say_blocked(&self) -> Answer {
        self.voice.say(
            "The PIN is blocked. Set a new one with: handfast-authenticator pin",
            json!({"event": "pin-blocked"}),
        );
        Answer::Blocked
    }

    fn say_too_soon(&self, wait: Duration) {
        let wait = wait.as_secs();
        self.voice.say(
            &format!("Too many pass phrases were wrong: the next has to wait {wait} s."),
            json!({"event": "too-soon", "wait": wait}),
        );
    }

    fn by_passphrase(
        &self,
        right: Answer,
        pin: &mut dyn PinPad,
        input: &mut Input,
    ) -> Result<Answer, Typed> {
        self.voice.say(
            &format!(
                "The PIN is blocked: it was wrong {TRIES} times. The pass phrase of the vault does \
                 instead, and frees the PIN."
            ),
            json!({"event": "pin-blocked", "asks": "passphrase"}),
        );
        for _ in 0..ATTEMPTS {
            if let Some(wait) = pin.passphrase_waits() {
                self.say_too_soon(wait);
                break;
            }
            let typed = self.secret("Pass phrase of the vault (Enter to give up): ", input)?;
            if typed.is_empty() {
                break;
            }
            match pin.check_passphrase(&Passphrase::new(typed.as_str())) {
                Err(PinUnavailable) => return Ok(Answer::Refused),
                Ok(PassphraseCheck::Right) => {
                    self.voice
                        .say("The PIN can be used again.", json!({"event": "pin-freed"}));
                    return Ok(right);
                }
                Ok(PassphraseCheck::TooSoon(wait)) => {
                    self.say_too_soon(wait);
                    break;
                }
                Ok(PassphraseCheck::Wrong) => self.voice.say(
                    "That is not the pass phrase.",
                    json!({"event": "wrong-passphrase"}),
                ),
            }
        }
        Ok(Answer::Blocked)
    }
}
