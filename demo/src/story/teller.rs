//! The story, told to a person as it happens.

use std::io::{IsTerminal, Write, stdout};
use std::path::Path;

use super::Claim;

/// Tells on standard output; says nothing when a program reads the facts instead.
pub struct Teller {
    silent: bool,
    colours: bool,
}

pub(super) const BOLD: &str = "1";
const DIM: &str = "2";
pub(super) const GREEN: &str = "32";
pub(super) const RED: &str = "31";
const CYAN: &str = "36";

/// Columns of a line; a terminal has 80.
const WIDTH: usize = 78;
/// Columns of a name, and of what stands in its place.
const NAME: usize = 13;

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

    pub(super) fn paint(&self, colour: &str, text: &str) -> String {
        if self.colours {
            format!("\x1b[{colour}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    pub(super) fn line(&self, text: &str) {
        if !self.silent {
            // Who closed our output does not want to hear the rest.
            let _ = writeln!(stdout(), "{text}");
        }
    }

    pub(super) fn opening(&self) {
        self.line(&self.paint(
            BOLD,
            "Handfast: a phone and its owner's computers join hands",
        ));
        self.line("");
        self.line(
            "Real: QR codes, adverts, TLS, Noise, CTAP2, encrypted vaults, the site's checks.",
        );
        self.line("Simulated: the radio is a folder of files, so it proves nearness to nobody.");
        self.line("");
    }

    pub(super) fn setting(&self, relay: &str, site: &str, folder: &Path) {
        let folder = folder.display().to_string();
        for (what, place) in [("relay", relay), ("site", site), ("the rest in", &folder)] {
            self.line(&self.paint(DIM, &format!("{what:>NAME$}  {place}")));
        }
    }

    pub(super) fn act(&self, number: u8, title: &str) {
        self.line("");
        self.line(&self.paint(BOLD, &format!("Act {number}. {title}")));
        self.line("");
    }

    /// What follows is another scene of the act.
    pub(super) fn pause(&self) {
        self.line("");
    }

    pub(super) fn tell(&self, who: &str, what: &str) {
        self.hang(CYAN, who, what);
    }

    pub(super) fn claim(&self, claim: &Claim) {
        match claim.holds {
            true => self.hang(GREEN, "✓", &claim.text),
            false => self.hang(RED, "✗", &format!("NOT SO: {}", claim.text)),
        }
    }

    /// A name, or a mark, in its column, and a text beside it.
    fn hang(&self, colour: &str, name: &str, text: &str) {
        let mut lead = self.paint(colour, &format!("{name:>NAME$}"));
        for line in wrapped(text, WIDTH - NAME - 2) {
            self.line(&format!("{lead}  {line}"));
            lead = " ".repeat(NAME);
        }
    }
}

/// Breaks a text between its words. A word that is longer than a line stays whole.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_broken_between_words_and_nothing_of_it_is_lost() {
        let text = "The phone’s “name” is shown, byte-for-byte-and-long, as it is.";
        let lines = wrapped(text, 16);
        assert!(lines.len() > 3, "{lines:?}");
        let fits = |line: &String| line.chars().count() <= 16 || !line.contains(' ');
        assert!(lines.iter().all(fits), "{lines:?}");
        assert_eq!(lines.join(" "), text);
    }
}
