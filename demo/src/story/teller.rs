//! The story, told to a person as it happens.

use std::io::{IsTerminal, Write, stdout};
use std::path::Path;

use serde_json::Value;

use super::{Claim, Played};

/// Tells on standard output; says nothing when a program reads the facts instead.
pub struct Teller {
    silent: bool,
    colours: bool,
}

const BOLD: &str = "1";
const DIM: &str = "2";
const GREEN: &str = "32";
const RED: &str = "31";
const CYAN: &str = "36";

impl Teller {
    /// Tells to a person.
    pub fn aloud() -> Self {
        Self {
            silent: false,
            colours: stdout().is_terminal(),
        }
    }

    /// Tells nothing.
    pub fn silent() -> Self {
        Self {
            silent: true,
            colours: false,
        }
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colours {
            format!("\x1b[{colour}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn line(&self, text: &str) {
        if !self.silent {
            // Who closed our output does not want to hear the rest.
            let _ = writeln!(stdout(), "{text}");
        }
    }

    pub(super) fn opening(&self) {
        self.line(&self.paint(BOLD, "Handfast: a phone and a computer join hands"));
        self.line(
            "Real: QR codes, adverts, TLS, Noise, CTAP2, encrypted vaults, the site's checks.",
        );
        self.line("Simulated: the radio is a folder of files, so it proves nearness to nobody.");
    }

    pub(super) fn setting(&self, relay: &str, site: &str, folder: &Path) {
        let text = format!(
            "relay {relay} · site {site} · everything in {}",
            folder.display()
        );
        self.line(&self.paint(DIM, &text));
    }

    pub(super) fn act(&self, number: u8, title: &str) {
        self.line("");
        self.line(&self.paint(BOLD, &format!("Act {number}. {title}")));
    }

    pub(super) fn tell(&self, who: &str, what: &str) {
        self.line(&format!(
            "  {} {what}",
            self.paint(CYAN, &format!("{who:>9}"))
        ));
    }

    pub(super) fn decided(&self, decision: &Value) {
        let why = decision
            .get("why")
            .and_then(Value::as_str)
            .unwrap_or("nothing");
        self.tell("site", &format!("“{why}”"));
    }

    pub(super) fn claim(&self, claim: &Claim) {
        let mark = if claim.holds {
            self.paint(GREEN, "✓")
        } else {
            self.paint(RED, "✗ NOT SO:")
        };
        self.line(&format!("            {mark} {}", claim.text));
    }

    /// Ends with a table.
    pub fn table(&self, played: &Played) {
        self.line("");
        self.line(&self.paint(
            BOLD,
            "  act  who signs in             the site saw     step-up   as told",
        ));
        for act in &played.acts {
            let decision = act
                .facts
                .get("decision")
                .or_else(|| act.facts.pointer("/sign_in/decision"));
            let outcome = decision
                .and_then(|decision| decision.get("outcome"))
                .and_then(Value::as_str)
                .unwrap_or("-");
            let asked = decision
                .and_then(|decision| decision.get("step_up_required"))
                .and_then(Value::as_bool)
                .unwrap_or(false);
            let who = match act.number {
                1 => "phone, by hybrid",
                2 => "computer, joined remotely",
                3 => "computer, linked nearby",
                _ => "phisher",
            };
            let key = decision
                .and_then(|d| d.get("key"))
                .and_then(Value::as_str)
                .unwrap_or("-");
            let saw = format!("{outcome} {key}");
            let asked = if asked { "yes" } else { "no" };
            let verdict = if act.passed() {
                self.paint(GREEN, "✓")
            } else {
                self.paint(RED, "✗")
            };
            self.line(&format!(
                "  {:>3}  {who:<26} {saw:<20} {asked:<5} {verdict}",
                act.number
            ));
        }
        let end = if played.passed() {
            self.paint(GREEN, "The story ended as it should.")
        } else {
            self.paint(RED, "The story did NOT end as it should.")
        };
        self.line(&format!("\n{end} ({:.1} s)", played.took.as_secs_f64()));
    }
}
