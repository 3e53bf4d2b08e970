//! Words for a person, on a terminal or wherever they are read: lines end between words.

use std::io::{self, Write, stderr, stdout};
use std::os::fd::AsFd;
use std::path::Path;

use rustix::termios::{QueueSelector, isatty, tcflush, tcgetwinsize};
use textwrap::{Options, WordSplitter};

use crate::engine::Sharing;
use crate::vault::IN_THE_WAY;

/// What a terminal has whose width is not known.
const USUAL: usize = 80;
/// How much further in the rest of a line stands.
const INDENT: usize = 2;
/// Nothing can be read in less.
const NARROWEST: usize = 24;

/// How wide lines may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Width {
    /// Of a terminal, in columns.
    Columns(usize),
    /// Not bounded: it is no terminal.
    Unbounded,
}

impl Width {
    /// Returns the width of standard error.
    pub fn of_terminal() -> Self {
        Self::of(stderr())
    }

    /// Returns the width of what is written to.
    pub fn of(output: impl AsFd) -> Self {
        match tcgetwinsize(output) {
            Ok(size) if size.ws_col > 0 => Self::Columns(usize::from(size.ws_col).max(NARROWEST)),
            Ok(_) => Self::Columns(USUAL),
            Err(_) => Self::Unbounded,
        }
    }

    /// Returns how many columns there are, or usually are.
    pub fn columns(self) -> usize {
        match self {
            Self::Columns(columns) => columns,
            Self::Unbounded => USUAL,
        }
    }

    /// Ends lines between words; what goes on in another line stands further in, so that nobody takes it for
    /// a line of its own. What is one word, as an address, a file's name or an option, is left to the
    /// terminal: whoever copies it gets it whole.
    pub fn wrap(self, text: &str) -> String {
        let Self::Columns(columns) = self else {
            return text.to_owned();
        };
        let lines = text.split('\n').map(|line| wrap_line(line, columns));
        lines.collect::<Vec<_>>().join("\n")
    }
}

fn wrap_line(line: &str, columns: usize) -> String {
    let words = line.trim_end_matches(' ');
    // A question ends with a space.
    let (_, end) = line.split_at(words.len());
    let begins = words.len() - words.trim_start_matches(' ').len();
    let further_in = " ".repeat(begins.saturating_add(INDENT).min(columns / 2));
    // The last column stays free: some terminals begin a new line after it.
    let options = Options::new(columns - 1)
        .subsequent_indent(&further_in)
        .break_words(false)
        .word_splitter(WordSplitter::NoHyphenation);
    textwrap::fill(words, options) + end
}

/// Returns how many lines a terminal shows, if it is one and says so.
pub fn rows(output: impl AsFd) -> Option<usize> {
    let size = tcgetwinsize(output).ok()?;
    (size.ws_row > 0).then(|| usize::from(size.ws_row))
}

/// Says what a site gets beyond a signature, or does.
pub fn sharing_words(sharing: Sharing) -> &'static str {
    match sharing {
        Sharing::DeviceKey => "The site also gets a key by which it knows this very device again.",
        Sharing::GroupKey => "The site also gets the key of your trust group for this passkey.",
        Sharing::Secret => {
            "The site also gets a secret that only this passkey makes, as for encrypting."
        }
        Sharing::StoredRead => "The site also reads what it stored with this passkey.",
        Sharing::StoredReplaced => {
            "The site also stores something with this passkey, in the place of what it stored before."
        }
    }
}

/// Says of a file of the vault that it cannot be read, and what to do.
pub fn left_out(path: &Path, why: &str) -> String {
    if why == IN_THE_WAY {
        return format!(
            "{} is in the way: {why}. Move it away; what was in the folder may lie beside it, or comes back by \
             file sync.",
            path.display()
        );
    }
    format!(
        "{} is left out: {why}. All others work; what is damaged comes back by file sync or \
         handfast-authenticator vault restore, then remove the file.",
        path.display()
    )
}

/// Returns how many columns a text takes.
pub fn columns(text: &str) -> usize {
    textwrap::core::display_width(text)
}

/// Says something on standard error.
pub fn tell(words: &str) {
    // Who closed our output does not want to hear it.
    let _ = writeln!(stderr(), "{}", Width::of_terminal().wrap(words));
}

/// Asks something on standard error; the answer is typed behind it.
pub fn put_question(question: &str) {
    let question = Width::of_terminal().wrap(question);
    let _ = write!(stderr(), "{question}").and_then(|()| stderr().flush());
}

/// Prints a result on standard output.
///
/// # Errors
///
/// Those of writing.
pub fn print(words: &str) -> io::Result<()> {
    writeln!(stdout(), "{}", Width::of(stdout()).wrap(words)).and_then(|()| stdout().flush())
}

/// Forgets what was typed at a terminal before a question was there: it is no answer to it. What is no
/// terminal is left as it is.
pub fn forget_typed(input: impl AsFd) -> bool {
    isatty(&input) && tcflush(input, QueueSelector::IFlush).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_way_of_a_folder_is_not_told_as_a_damaged_file() {
        let path = Path::new("/v/group");
        let in_the_way = left_out(path, IN_THE_WAY);
        assert!(in_the_way.contains("Move it away"), "{in_the_way}");
        assert!(!in_the_way.contains("vault restore"), "{in_the_way}");
        let damaged = left_out(path, "it is damaged, or of another vault");
        assert!(damaged.contains("vault restore"), "{damaged}");
    }

    #[test]
    fn words_are_kept_whole_on_a_terminal_only() {
        let text = "Make a passkey for this site, for ana?";
        assert_eq!(Width::Unbounded.wrap(text), text);
        assert_eq!(
            Width::Columns(30).wrap(text),
            "Make a passkey for this site,\n  for ana?"
        );
    }

    #[test]
    fn what_is_copied_stays_in_one_piece() {
        let address = format!("FIDO:/{}", "0123456789".repeat(20));
        assert_eq!(Width::Columns(80).wrap(&address), address);
        let hint = "Answer the question, or give --on-conflict keep-both; nothing was imported.";
        for columns in 24..80 {
            let wrapped = Width::Columns(columns).wrap(hint);
            for word in ["--on-conflict", "keep-both;"] {
                assert!(wrapped.contains(word), "{wrapped}");
            }
        }
    }

    #[test]
    fn no_name_makes_a_line_of_its_own() {
        let fake = "2 bob, and asked by this device itself";
        for columns in NARROWEST..100 {
            let list = format!("Which account?\n  1 “ana {fake}”\n  2 “eve”");
            let wrapped = Width::Columns(columns).wrap(&list);
            let entries = wrapped.lines().filter(|line| {
                let begins = line.len() - line.trim_start().len();
                begins <= 2 && line.trim_start().starts_with('2')
            });
            assert_eq!(entries.collect::<Vec<_>>(), ["  2 “eve”"], "{wrapped}");
        }
    }

    #[test]
    fn a_question_keeps_its_space_and_lists_their_shape() {
        let question = "Which account?\n  1 ana (Ana)\n  2 bob\n\n(a number, or Enter to refuse) ";
        assert_eq!(Width::Columns(60).wrap(question), question);
        assert_eq!(
            Width::Columns(30).wrap("Delete it for good? [y/N] "),
            "Delete it for good? [y/N] "
        );
    }
}
