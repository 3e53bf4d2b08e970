//! Asking the owner: on a terminal, or by JSON lines for a program.

use std::io::{Write, stdout};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::asker::{self, quoted};
use super::input::{Input, Typed};
use super::layout;
use super::notice::Desktop;
use super::verify::ATTEMPTS;
use crate::console::{Doubt, SiteName, Width, put_question, sharing_words, tell};
use crate::device::PinCheck;
use crate::engine::{Account, Answer, Computer, Person, PinPad, Prompt, Sharing};

/// How the phone speaks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Voice {
    /// To a person, on standard error.
    Words,
    /// To a program, on standard output.
    Json,
}

impl Voice {
    /// Says something; a program gets it as an event.
    pub(crate) fn say(self, words: &str, event: Value) {
        match self {
            Self::Words if words.is_empty() => {}
            Self::Words => tell(words),
            // Who closed our output does not want to hear it.
            Self::Json => drop(writeln!(stdout(), "{event}").and_then(|()| stdout().flush())),
        }
    }
}

/// Whether a person is asked.
#[derive(Clone, Copy, Debug, PartialEq, clap::ValueEnum)]
pub(crate) enum Approval {
    /// Every time.
    Ask,
    /// Never. Only a vault made for tests allows it.
    Always,
}

/// The owner of this device, asked for one ceremony.
pub(crate) struct Asking {
    pub(crate) voice: Voice,
    pub(crate) approval: Approval,
    pub(crate) input: Arc<Mutex<Input>>,
    /// The PIN, if it is to be read from a file.
    pub(crate) pin: Option<Zeroizing<String>>,
    /// How long each question waits for its answer.
    pub(crate) patience: Duration,
    /// Where it is shown that a question waits, if anywhere.
    pub(crate) desktop: Option<Arc<Desktop>>,
    /// Set when the computer has left, so that the prompt disappears.
    pub(crate) withdrawn: Arc<AtomicBool>,
}

impl Person for Asking {
    fn ask(&mut self, prompt: &Prompt<'_>, computer: &Computer, pin: &mut dyn PinPad) -> Answer {
        self.show(prompt, computer, pin.is_set() && !wants_presence(prompt));
        if self.approval == Approval::Always {
            let given = self.pin.as_deref().filter(|_| !wants_presence(prompt));
            let verified = given.is_some_and(|p| pin.check(p) == Ok(PinCheck::Right));
            return Answer::Approved {
                account: 0,
                verified,
            };
        }
        // As long as the question waits, and no longer.
        let desktop = self.desktop.as_ref();
        let _notice = desktop.and_then(|desktop| desktop.notify(prompt, self.patience));
        let input = Arc::clone(&self.input);
        let mut input = input.lock().unwrap_or_else(PoisonError::into_inner);
        input.forget_typed();
        match self.decide(prompt, pin, &mut input) {
            Ok(answer) => answer,
            Err(Typed::Withdrawn) => {
                self.voice.say(
                    "The computer has left: nothing to approve any more.",
                    json!({"event": "withdrawn"}),
                );
                Answer::NoAnswer
            }
            Err(Typed::TimedOut) => {
                self.voice.say(
                    &format!("Nobody answered in {} s: refused.", self.patience.as_secs()),
                    json!({"event": "lapsed"}),
                );
                Answer::NoAnswer
            }
            Err(_) => Answer::Refused,
        }
    }
}

impl Asking {
    fn decide(
        &self,
        prompt: &Prompt<'_>,
        pin: &mut dyn PinPad,
        input: &mut Input,
    ) -> Result<Answer, Typed> {
        let account = match prompt {
            Prompt::SignIn { accounts, .. } if accounts.len() > 1 => {
                let Some(account) = self.choose(accounts, input)? else {
                    return Ok(Answer::Refused);
                };
                account
            }
            _ => 0,
        };
        // Where the PIN is typed, typing it is the approval; else a word is needed.
        let is_presence = wants_presence(prompt);
        let asks_pin = pin.is_set() && self.pin.is_none() && !is_presence;
        if !asks_pin || matches!(prompt, Prompt::Join { .. }) {
            let question = match prompt {
                Prompt::Join { .. } => {
                    "Do both screens show this number, and is it your computer? [y/N] "
                }
                Prompt::Excluded { .. } => "Tell the site so? [y/N] ",
                Prompt::NoPasskey { .. } => "Enter tells the computer so, n does not: ",
                Prompt::Select => "Use this one? [y/N] ",
                _ => "Approve? [y/N] ",
            };
            let typed = self.word(question, input)?;
            let is_told = typed.is_empty() && matches!(prompt, Prompt::NoPasskey { .. });
            if !is_told && !is_yes(&typed) {
                return Ok(Answer::Refused);
            }
        }
        if is_presence || !pin.is_set() {
            return Ok(Answer::Approved {
                account,
                verified: false,
            });
        }
        self.verify(account, pin, input)
    }

    /// Asks for yes, no or nothing: a PIN that is typed too early is no refusal, unless it never ends.
    fn word(&self, question: &str, input: &mut Input) -> Result<String, Typed> {
        for _ in 0..ATTEMPTS {
            self.ask_for(question);
            let typed = self.line(input)?;
            let is_no = matches!(typed.to_ascii_lowercase().as_str(), "" | "n" | "no");
            if is_no || is_yes(&typed) {
                return Ok(typed);
            }
            self.voice.say(
                "That is neither y nor n.",
                json!({"event": "neither-yes-nor-no"}),
            );
        }
        Ok("n".to_owned())
    }

    fn choose(&self, accounts: &[Account], input: &mut Input) -> Result<Option<usize>, Typed> {
        loop {
            self.ask_for("Which account? (number, or Enter to refuse) ");
            let line = self.line(input)?;
            if line.is_empty() || line.eq_ignore_ascii_case("n") {
                return Ok(None);
            }
            match line
                .parse::<usize>()
                .ok()
                .and_then(|number| number.checked_sub(1))
            {
                Some(index) if index < accounts.len() => return Ok(Some(index)),
                _ => self.voice.say(
                    "That is none of the numbers.",
                    json!({"event": "no-such-account"}),
                ),
            }
        }
    }

    /// Asks for what nobody should see.
    pub(super) fn secret(
        &self,
        question: &str,
        input: &mut Input,
    ) -> Result<Zeroizing<String>, Typed> {
        let _silence = input.silence();
        self.ask_for(question);
        match input.secret(Some(self.patience), &self.withdrawn) {
            Typed::Line(line) => Ok(line),
            other => Err(other),
        }
    }

    fn line(&self, input: &mut Input) -> Result<String, Typed> {
        match input.line(Some(self.patience), &self.withdrawn) {
            Typed::Line(line) => Ok(line.trim().to_owned()),
            other => Err(other),
        }
    }

    fn ask_for(&self, question: &str) {
        if self.voice == Voice::Words {
            put_question(question);
        }
    }

    fn show(&self, prompt: &Prompt<'_>, computer: &Computer, pin: bool) {
        let words = words(prompt, computer, Width::of_terminal());
        self.voice.say(&words, event(prompt, computer, pin));
    }
}

/// Whether it is enough for a question that somebody is there.
fn wants_presence(prompt: &Prompt<'_>) -> bool {
    matches!(
        prompt,
        Prompt::Excluded { verify: false, .. } | Prompt::NoPasskey { .. } | Prompt::Select
    )
}

fn is_yes(line: &str) -> bool {
    matches!(line.to_ascii_lowercase().as_str(), "y" | "yes")
}

fn described(account: &Account) -> String {
    match (account.name.as_str(), account.display_name.as_str()) {
        (name, "") => name.to_owned(),
        ("", display) => display.to_owned(),
        (name, display) if name == display => name.to_owned(),
        (name, display) => format!("{name} ({display})"),
    }
}

/// What else the site gets or does, a line each.
fn shared(shares: &[Sharing]) -> String {
    let lines = shares.iter().map(|&it| format!("\n{}", sharing_words(it)));
    lines.collect()
}

fn name_of(sharing: Sharing) -> &'static str {
    match sharing {
        Sharing::DeviceKey => "device-key",
        Sharing::GroupKey => "group-key",
        Sharing::Secret => "secret",
        Sharing::StoredRead => "stored-read",
        Sharing::StoredReplaced => "stored-replaced",
    }
}

fn words(prompt: &Prompt<'_>, computer: &Computer, width: Width) -> String {
    let frame = match prompt {
        Prompt::Create { rp_id, .. }
        | Prompt::SignIn { rp_id, .. }
        | Prompt::Excluded { rp_id, .. }
        | Prompt::NoPasskey { rp_id } => {
            let site = SiteName::of(rp_id);
            let own_letters = site.words().map(|words| words + "\n\n");
            format!(
                "{}{}",
                layout::site(&site, width),
                own_letters.unwrap_or_default()
            )
        }
        Prompt::Join { code, .. } => layout::code(code, width),
        Prompt::Select => String::new(),
    };
    format!("{frame}{}", question(prompt, computer))
}

/// What is asked, and what the person should know of it.
fn question(prompt: &Prompt<'_>, computer: &Computer) -> String {
    let who = asker::words(computer);
    match prompt {
        Prompt::Create {
            account, shares, ..
        } => format!(
            "Make a passkey for this site, for {}?\n{who}{}",
            quoted(&described(account)),
            shared(shares)
        ),
        Prompt::SignIn {
            accounts, shares, ..
        } => {
            let list = match accounts.as_slice() {
                [account] => format!("Sign in to this site as {}?", quoted(&described(account))),
                accounts => accounts.iter().enumerate().fold(
                    "Sign in to this site? You have several accounts:".to_owned(),
                    |text, (index, account)| {
                        format!("{text}\n  {} {}", index + 1, quoted(&described(account)))
                    },
                ),
            };
            format!("{list}\n{who}{}", shared(shares))
        }
        Prompt::Excluded { .. } => {
            format!("This account has a passkey here already; no second one is made.\n{who}")
        }
        Prompt::Select => {
            format!("The computer has several devices to choose from. Is this the one?\n{who}")
        }
        Prompt::NoPasskey { .. } => format!("There is no passkey for this site here.\n{who}"),
        Prompt::Join {
            device,
            simulated,
            since,
            ..
        } => {
            let known = match since {
                Some(_) => "This computer is one that opened your vault before.",
                None => "Your vault has not seen this computer before, or has not heard of it yet.",
            };
            // Who asks is who wants in, unless he said something of himself before.
            let who = match computer {
                Computer::Unknown => String::new(),
                _ => format!("\n{who}"),
            };
            let radio = match simulated {
                true => "\nThe radio is simulated: it proves nothing, and the group will say so.",
                false => "",
            };
            format!(
                "{} wants to join your trust group. It will get the keys by which sites \
                 know your own devices.\n{known}{radio}{who}",
                quoted(device)
            )
        }
    }
}

fn event(prompt: &Prompt<'_>, computer: &Computer, pin: bool) -> Value {
    let mut event = match prompt {
        Prompt::Create {
            rp_id,
            account,
            shares,
        } => json!({
            "kind": "create", "rp_id": rp_id.as_str(), "account": described(account),
            "shares": shares.iter().map(|&it| name_of(it)).collect::<Vec<_>>(),
        }),
        Prompt::SignIn {
            rp_id,
            accounts,
            shares,
        } => json!({
            "kind": "sign-in", "rp_id": rp_id.as_str(),
            "accounts": accounts.iter().map(described).collect::<Vec<_>>(),
            "shares": shares.iter().map(|&it| name_of(it)).collect::<Vec<_>>(),
        }),
        Prompt::Excluded { rp_id, .. } => json!({"kind": "excluded", "rp_id": rp_id.as_str()}),
        Prompt::Select => json!({"kind": "select"}),
        Prompt::NoPasskey { rp_id } => json!({"kind": "no-passkey", "rp_id": rp_id.as_str()}),
        Prompt::Join {
            device,
            code,
            simulated,
            since,
        } => {
            json!({
                "kind": "join", "device": device, "code": code, "simulated": simulated,
                "known_since": since,
            })
        }
    };
    if let Prompt::Create { rp_id, .. }
    | Prompt::SignIn { rp_id, .. }
    | Prompt::Excluded { rp_id, .. }
    | Prompt::NoPasskey { rp_id } = prompt
    {
        let site = SiteName::of(rp_id);
        event["written"] = site.written().into();
        event["doubt"] = site.doubt().map(Doubt::name).into();
    }
    event["event"] = "prompt".into();
    asker::tell(computer, &mut event);
    event["pin"] = pin.into();
    event
}
