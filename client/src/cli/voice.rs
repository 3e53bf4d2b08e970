//! How the program speaks: to a person, or to a program.

use std::io::{BufRead, IsTerminal, Write, stderr, stdin, stdout};

use handfast_authenticator::console::{self, Failure};
use handfast_proto::hybrid::DataChannel;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::ceremony::Progress;

/// How the program speaks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Voice {
    /// Results and words for a person.
    Words,
    /// Results and steps as JSON.
    Json,
}

impl Voice {
    /// Says something on standard error; a program gets it as an event.
    pub(super) fn say(self, words: &str, event: &Value) {
        match self {
            Self::Words if words.is_empty() => {}
            Self::Words => console::tell(words),
            // For a person alone.
            Self::Json if event.is_null() => {}
            // Who closed our output does not want to hear it.
            Self::Json => drop(writeln!(stderr(), "{event}")),
        }
    }

    /// Shows a person what is no words.
    pub(super) fn draw(self, drawn: &str) {
        if self == Self::Words {
            let _ = writeln!(stderr(), "{drawn}");
        }
    }

    /// Prints the result on standard output.
    ///
    /// # Errors
    ///
    /// [`Failure`] if it does not get there: a result that nobody has is none.
    pub(super) fn result(self, words: &str, value: &Value) -> Result<(), Failure> {
        match self {
            Self::Words => console::print(words),
            Self::Json => writeln!(stdout(), "{value}").and_then(|()| stdout().flush()),
        }
        .map_err(|error| {
            Failure::new(format!("the result could not be written: {error}"))
                .with_hint("Give the program a standard output that takes it.")
        })
    }

    /// Says what happens in a ceremony.
    pub(super) fn progress(self, progress: Progress) {
        let (words, event) = match &progress {
            Progress::WaitingForPhone => ("Waiting for the phone…", "waiting-for-phone"),
            Progress::PhoneFound => ("Phone found.", "phone-found"),
            Progress::WaitingForApproval => {
                ("Waiting for approval on the phone…", "waiting-for-approval")
            }
            Progress::Connected(channel) => {
                let words = match channel {
                    DataChannel::WebSocket => "Connected.",
                    DataChannel::Ble => "Connected by Bluetooth.",
                };
                let channel = console::channel_name(*channel);
                return self.say(words, &json!({"event": "connected", "channel": channel}));
            }
            Progress::RelayInstead(why) => {
                return self.say(
                    &format!("Going on through the relay: {why}."),
                    &json!({"event": "relay-instead", "reason": why}),
                );
            }
            Progress::RadioBack => ("Bluetooth is back.", "radio-back"),
            Progress::RadioLost(why) => {
                return self.say(
                    &format!("No phone can be heard for now: {why}."),
                    &json!({"event": "radio-lost", "reason": why}),
                );
            }
        };
        self.say(words, &json!({"event": event}));
    }

    /// Says why it did not work.
    pub(super) fn fail(self, failure: &Failure) {
        let (what, hint) = (failure.what(), failure.hint());
        self.say(
            &format!("{what}\n{hint}"),
            &json!({"event": "error", "message": what, "hint": hint}),
        );
    }

    /// Asks like [`Self::ask`], without keeping anybody else from going on. A question that is given
    /// up keeps standard input for itself.
    pub(super) async fn ask_aside(self, question: String, event: Value) -> Option<String> {
        let (answer, answered) = oneshot::channel();
        // A thread of the runtime would be waited for at its end, and so would the person.
        std::thread::spawn(move || {
            // Who asked may have given up.
            let _ = answer.send(self.ask(&question, &event));
        });
        answered.await.ok().flatten()
    }

    /// Ends the line of a question that is given up.
    pub(super) fn end_line(self) {
        if self == Self::Words {
            let _ = writeln!(stderr());
        }
    }

    /// Asks on standard error and reads a line from standard input; nothing if it has ended.
    pub(super) fn ask(self, question: &str, event: &Value) -> Option<String> {
        // A word that was typed before is no answer to this.
        console::forget_typed(stdin());
        match self {
            Self::Words => console::put_question(question),
            Self::Json => self.say("", event),
        }
        let mut line = String::new();
        match stdin().lock().read_line(&mut line) {
            Ok(count) if count > 0 => Some(line.trim().to_owned()),
            _ => None,
        }
    }
}

/// Whether a person looks at standard error: only then is a QR code drawn there.
pub(super) fn is_seen() -> bool {
    stderr().is_terminal()
}
