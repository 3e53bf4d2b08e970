//! A person who answers in one way or another, and what he was asked.

use handfast_authenticator::device::PinCheck;
use handfast_authenticator::engine::{
    Answer, Computer, PassphraseCheck, Person, PinPad, Prompt, Sharing,
};
use handfast_authenticator::passphrase::Passphrase;
use handfast_proto::ids::RpId;
use libfuzzer_sys::arbitrary::{self, Arbitrary, Result, Unstructured};

use crate::phone::{PASSPHRASE, PIN, WRONG_PIN};
use crate::value::below;

/// How a person answers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reaction {
    Approves { account: u8, verified: bool },
    Fails(Failure),
    Types { pin: bool, passphrase: bool },
}

/// How a person does not approve.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Failure {
    Blocked,
    NoAnswer,
    Refused,
    WrongPin,
}

impl<'a> Arbitrary<'a> for Reaction {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        // Typing is slow, as PINs are stretched.
        Ok(match below(64, u)? {
            choice @ 0..=52 => Self::Approves {
                account: below(4, u)?.saturating_sub(1),
                verified: choice < 40,
            },
            53 => Self::Approves {
                account: u.arbitrary()?,
                verified: u.arbitrary()?,
            },
            63 => Self::Types {
                pin: u.arbitrary()?,
                passphrase: u.arbitrary()?,
            },
            _ => Self::Fails(u.arbitrary()?),
        })
    }
}

/// A question.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Question {
    Create {
        rp_id: RpId,
        shares: Vec<Sharing>,
    },
    Excluded {
        rp_id: RpId,
        verify: bool,
    },
    Join,
    NoPasskey {
        rp_id: RpId,
    },
    Select,
    SignIn {
        rp_id: RpId,
        accounts: usize,
        shares: Vec<Sharing>,
    },
}

/// A question, with its answer.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) question: Question,
    pub(crate) answer: Answer,
}

/// The person in front of the phone.
pub(crate) struct Owner {
    reaction: Reaction,
    computer: Computer,
    asked: Option<Asked>,
}

impl Owner {
    pub(crate) fn new(reaction: Reaction, computer: Computer) -> Self {
        Self {
            reaction,
            computer,
            asked: None,
        }
    }

    /// Returns what he was asked, and what he said.
    pub(crate) fn asked(self) -> Option<Asked> {
        self.asked
    }
}

impl Person for Owner {
    fn ask(&mut self, prompt: &Prompt<'_>, computer: &Computer, pad: &mut dyn PinPad) -> Answer {
        assert!(self.asked.is_none(), "one request is one question");
        assert_eq!(*computer, self.computer, "he is told who asks");
        let answer = match self.reaction {
            Reaction::Approves { account, verified } => Answer::Approved {
                account: account.into(),
                verified,
            },
            Reaction::Fails(Failure::Blocked) => Answer::Blocked,
            Reaction::Fails(Failure::NoAnswer) => Answer::NoAnswer,
            Reaction::Fails(Failure::Refused) => Answer::Refused,
            Reaction::Fails(Failure::WrongPin) => Answer::WrongPin,
            Reaction::Types { pin, passphrase } => typed(pin, passphrase, pad),
        };
        let question = match prompt {
            Prompt::Create { rp_id, shares, .. } => Question::Create {
                rp_id: (*rp_id).clone(),
                shares: shares.clone(),
            },
            Prompt::Excluded { rp_id, verify } => Question::Excluded {
                rp_id: (*rp_id).clone(),
                verify: *verify,
            },
            Prompt::Join { .. } => Question::Join,
            Prompt::NoPasskey { rp_id } => Question::NoPasskey {
                rp_id: (*rp_id).clone(),
            },
            Prompt::Select => Question::Select,
            Prompt::SignIn {
                rp_id,
                accounts,
                shares,
            } => Question::SignIn {
                rp_id: (*rp_id).clone(),
                accounts: accounts.len(),
                shares: shares.clone(),
            },
            _ => panic!("a question of a new kind"),
        };
        self.asked = Some(Asked { question, answer });
        answer
    }
}

/// Types a PIN, right or wrong, and where it is blocked the pass phrase, right or wrong.
fn typed(right: bool, right_passphrase: bool, pad: &mut dyn PinPad) -> Answer {
    let approved = |verified| Answer::Approved {
        account: 0,
        verified,
    };
    let was_blocked = pad.is_blocked();
    let pin = if right { PIN } else { WRONG_PIN };
    match pad.check(pin).expect("memory takes the try") {
        PinCheck::NotSet => {
            assert!(!pad.is_set());
            approved(false)
        }
        PinCheck::Right => {
            assert!(right && !was_blocked && !pad.is_blocked());
            approved(true)
        }
        PinCheck::Wrong(left) => {
            assert!(!right && left > 0 && !pad.is_blocked());
            Answer::WrongPin
        }
        PinCheck::Blocked => {
            assert!(pad.is_blocked() && (was_blocked || !right));
            let phrase = if right_passphrase {
                PASSPHRASE
            } else {
                "wrong"
            };
            let opened = pad.check_passphrase(&Passphrase::new(phrase));
            let is_right = match opened.expect("memory takes the try") {
                PassphraseCheck::Right => true,
                // After so many wrong ones not even the right one is looked at.
                PassphraseCheck::TooSoon(wait) => {
                    assert!(!wait.is_zero());
                    false
                }
                _ => {
                    assert!(!right_passphrase);
                    false
                }
            };
            assert!(!is_right || right_passphrase);
            assert_eq!(pad.is_blocked(), !is_right);
            match is_right {
                true => approved(true),
                false => Answer::Blocked,
            }
        }
    }
}
