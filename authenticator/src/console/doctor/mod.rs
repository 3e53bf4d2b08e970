//! `doctor`: what may be wrong here, and what to do about it.

mod bluetooth;
mod here;

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::time::Duration;

use handfast_transport::radio::{Radio, Role};
use handfast_transport::relay::{RelayUrl, probe};
use handfast_transport::tls::TlsTrust;
use serde_json::{Value, json};

use super::{Failure, print};
use crate::home::Home;

/// What is examined.
#[derive(Debug)]
pub struct Examination {
    /// The radio.
    pub radio: Radio,
    /// What it is needed for.
    pub role: Role,
    /// The relays that are to be reached.
    pub relays: Vec<RelayUrl>,
    /// An additional trust anchor.
    pub ca_file: Option<PathBuf>,
    /// Vault and device store.
    pub home: Home,
    /// How long to listen to what is on the air.
    pub listen: Duration,
}

/// How a check went.
#[derive(Clone, Debug)]
enum Outcome {
    /// As it should.
    Good(String),
    /// Not as it should, but nothing here needs it.
    Unneeded(String),
    /// Not as it should.
    Bad(Failure),
}

/// One line of what was found.
#[derive(Clone, Debug)]
pub struct Finding {
    check: &'static str,
    outcome: Outcome,
}

impl Finding {
    fn good(check: &'static str, words: impl Into<String>) -> Self {
        Self {
            check,
            outcome: Outcome::Good(words.into()),
        }
    }

    fn unneeded(check: &'static str, words: impl Into<String>) -> Self {
        Self {
            check,
            outcome: Outcome::Unneeded(words.into()),
        }
    }

    fn bad(check: &'static str, failure: impl Into<Failure>) -> Self {
        Self {
            check,
            outcome: Outcome::Bad(failure.into()),
        }
    }

    /// Returns the line for a person, and another with what to do if something is.
    pub fn words(&self) -> String {
        let check = self.check;
        match &self.outcome {
            Outcome::Good(words) => format!("✓ {check}: {words}"),
            Outcome::Unneeded(words) => format!("· {check}: {words}"),
            Outcome::Bad(failure) => {
                format!("✗ {check}: {}\n  {}", failure.what(), failure.hint())
            }
        }
    }

    /// Returns the same for a program.
    pub fn json(&self) -> Value {
        let check = self.check;
        match &self.outcome {
            Outcome::Good(words) => json!({"check": check, "outcome": "good", "says": words}),
            Outcome::Unneeded(words) => {
                json!({"check": check, "outcome": "unneeded", "says": words})
            }
            Outcome::Bad(failure) => json!({
                "check": check, "outcome": "bad", "says": failure.what(), "hint": failure.hint(),
                "exit_code": failure.code(),
            }),
        }
    }

    /// Returns the exit code that this finding asks for; 0 if nothing is wrong.
    pub fn code(&self) -> u8 {
        match &self.outcome {
            Outcome::Bad(failure) => failure.code(),
            _ => 0,
        }
    }
}

/// Examines everything and tells each finding as it comes. Returns the exit code: of the first finding
/// that is bad, else 0. To be called in a runtime.
async fn examine(examination: &Examination, tell: &mut dyn FnMut(&Finding)) -> u8 {
    let mut code = 0;
    let mut note = |finding: Finding| {
        if code == 0 {
            code = finding.code();
        }
        tell(&finding);
    };
    note(here::sandbox());
    bluetooth::examine(examination, &mut note).await;
    for finding in relays(examination).await {
        note(finding);
    }
    note(here::clock());
    for finding in here::vault(&examination.home) {
        note(finding);
    }
    if examination.role == Role::Listen {
        note(here::introduction(&examination.home));
    }
    code
}

async fn relays(examination: &Examination) -> Vec<Finding> {
    const CHECK: &str = "relay";
    let trust = match TlsTrust::new(examination.ca_file.as_deref()) {
        Ok(trust) => trust,
        Err(error) => return vec![Finding::bad(CHECK, error)],
    };
    if examination.relays.is_empty() {
        let words = match examination.role {
            Role::Advertise => "not tried: name it with --relay wss://HOST",
            Role::Listen => "not tried: name it with --relay-map N=wss://HOST",
        };
        return vec![Finding::unneeded(CHECK, words)];
    }
    let mut findings = Vec::new();
    for relay in &examination.relays {
        findings.push(match probe(relay, &trust).await {
            Ok(()) => Finding::good(CHECK, format!("{relay} answers, and is trusted")),
            Err(error) => Finding::bad(CHECK, error),
        });
    }
    findings
}

/// Examines everything and prints it on standard output: line by line as it is found, or as one JSON
/// document. To be called in a runtime.
///
/// # Errors
///
/// [`Failure`] if anything is bad, with the exit code of the first such finding.
pub async fn report(examination: &Examination, json: bool) -> Result<(), Failure> {
    let mut found = Vec::new();
    let code = examine(examination, &mut |finding| {
        if json {
            found.push(finding.json());
        } else {
            // Who closed our output does not want to hear it.
            let _ = print(&finding.words());
        }
    })
    .await;
    if json {
        let _ = writeln!(stdout(), "{}", json!({"ok": code == 0, "findings": found}));
    }
    match code {
        0 => Ok(()),
        code => Err(Failure::new("not everything is as it should be")
            .with_hint("Do what stands under the lines with ✗, from the top.")
            .with_code(code)),
    }
}
