//! How a question lies on a terminal, however narrow.

use rustix::stdio::stderr;
use rustix::termios::tcgetwinsize;

use crate::console::SiteName;

/// What a terminal has whose width is not known.
const USUAL: usize = 80;
/// Nothing can be read in less.
const NARROWEST: usize = 24;
/// What the frame takes of a line besides the name in it.
const BORDERS: usize = 12;
/// How many lines the part of a name takes at most that its owner chose freely.
const LINES_BEFORE: usize = 2;

/// How wide lines may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Width {
    /// Of a terminal, in columns.
    Columns(usize),
    /// Not bounded: standard error is no terminal.
    Unbounded,
}

impl Width {
    /// Looks at standard error.
    pub(super) fn of_terminal() -> Self {
        match tcgetwinsize(stderr()) {
            Ok(size) if size.ws_col > 0 => Self::Columns(usize::from(size.ws_col).max(NARROWEST)),
            Ok(_) => Self::Columns(USUAL),
            Err(_) => Self::Unbounded,
        }
    }

    fn room(self) -> usize {
        let columns = match self {
            Self::Columns(columns) => columns,
            Self::Unbounded => USUAL,
        };
        columns.saturating_sub(BORDERS).max(1)
    }

    /// Ends lines between words.
    pub(super) fn wrap(self, text: &str) -> String {
        match self {
            // The last column stays free: some terminals begin a new line after it.
            Self::Columns(columns) => textwrap::fill(text, columns - 1),
            Self::Unbounded => text.to_owned(),
        }
    }

    /// The site stands in a frame of its own, the largest thing on the screen. What tells whose it is
    /// stands on a line of its own, and is always there to the end; of what is before that, the
    /// beginning gives way.
    pub(super) fn site(self, site: &SiteName<'_>) -> String {
        let room = self.room();
        let before: Vec<char> = site.before().chars().collect();
        let shown = match room.saturating_mul(LINES_BEFORE) {
            fit if before.len() <= fit => before,
            fit => {
                let kept = before.len().saturating_sub(fit.saturating_sub(1));
                ['…']
                    .into_iter()
                    .chain(before.into_iter().skip(kept))
                    .collect()
            }
        };
        let mut lines: Vec<String> = shown.chunks(room).map(String::from_iter).collect();
        lines.extend(large(site.owned(), room));
        frame(&lines)
    }

    /// A code of few characters, in the same frame.
    pub(super) fn code(self, code: &str) -> String {
        frame(&large(code, self.room()))
    }
}

/// As large as letters can be in this room: spaced, or at least whole.
fn large(text: &str, room: usize) -> Vec<String> {
    let spaced: String = text.chars().flat_map(|c| [c, ' ']).collect();
    if spaced.trim_end().chars().count() <= room {
        return vec![spaced.trim_end().to_owned()];
    }
    let letters: Vec<char> = text.chars().collect();
    letters.chunks(room).map(String::from_iter).collect()
}

fn frame(lines: &[String]) -> String {
    let widest = lines.iter().map(|line| line.chars().count()).max();
    let widest = widest.unwrap_or_default();
    let border = "═".repeat(widest + 8);
    let mut framed = format!("\n  ╔{border}╗\n");
    for line in lines {
        framed.push_str(&format!("  ║    {line:<widest$}    ║\n"));
    }
    framed.push_str(&format!("  ╚{border}╝\n"));
    framed
}

#[cfg(test)]
mod tests {
    use handfast_proto::ids::RpId;

    use super::*;

    fn framed(name: &str, columns: usize) -> Vec<String> {
        let rp_id = RpId::parse(name).unwrap();
        let text = Width::Columns(columns).site(&SiteName::of(&rp_id));
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn what_a_site_belongs_to_is_seen_whole_at_any_width() {
        let long = format!(
            "{}.accounts.google.com.evil-site-of-somebody.co.uk",
            "x".repeat(200)
        );
        for columns in [1, 24, 40, 80, 200] {
            let columns = columns.max(NARROWEST);
            let lines = framed(&long, columns);
            let widest = lines.iter().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= columns, "{widest} of {columns}: {lines:#?}");
            let all: String = lines
                .concat()
                .chars()
                .filter(|c| !" ║".contains(*c))
                .collect();
            assert!(all.contains("evil-site-of-somebody.co.uk╚"), "{all}");
            assert!(lines.len() <= 9, "{lines:#?}");
        }
    }

    #[test]
    fn a_name_of_one_endless_label_is_seen_whole() {
        let lines = framed(&"x".repeat(253), 40);
        let letters = lines.concat().chars().filter(|c| *c == 'x').count();
        assert_eq!(letters, 253);
    }

    #[test]
    fn the_registered_part_is_the_larger_one() {
        let lines = framed("accounts.google.com.evil.example", 80);
        assert_eq!(lines[2].trim_matches(['║', ' ']), "accounts.google.com.");
        assert_eq!(lines[3].trim_matches(['║', ' ']), "e v i l . e x a m p l e");
        let lines = framed("example.org", 80);
        assert_eq!(lines[2], "  ║    e x a m p l e . o r g    ║");
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn words_are_kept_whole_on_a_terminal_only() {
        let text = "Make a passkey for this site, for ana?";
        assert_eq!(Width::Unbounded.wrap(text), text);
        assert_eq!(
            Width::Columns(30).wrap(text),
            "Make a passkey for this site,\nfor ana?"
        );
    }
}
