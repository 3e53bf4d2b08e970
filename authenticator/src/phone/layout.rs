//! How a question lies on a terminal, however narrow.

use crate::console::{SiteName, Width};

/// What the frame takes of a line besides the name in it, and the last column, which stays free.
const BORDERS: usize = 13;
/// How many lines the part of a name takes at most that its owner chose freely.
const LINES_BEFORE: usize = 2;

fn room(width: Width) -> usize {
    width.columns().saturating_sub(BORDERS).max(1)
}

/// The site stands in a frame of its own, the largest thing on the screen. What tells whose it is
/// stands on a line of its own, and is always there to the end; of what is before that, the
/// beginning gives way.
pub(super) fn site(site: &SiteName<'_>, width: Width) -> String {
    let room = room(width);
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
pub(super) fn code(code: &str, width: Width) -> String {
    frame(&large(code, room(width)))
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
    framed.push_str(&format!("  ╚{border}╝\n\n"));
    framed
}

#[cfg(test)]
mod tests {
    use handfast_proto::ids::RpId;

    use super::*;

    fn framed(name: &str, columns: usize) -> Vec<String> {
        let rp_id = RpId::parse(name).unwrap();
        let width = Width::Columns(columns);
        let text = site(&SiteName::of(&rp_id), width);
        assert_eq!(width.wrap(&text), text, "a frame stays one");
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn what_a_site_belongs_to_is_seen_whole_at_any_width() {
        let long = format!(
            "{}.accounts.google.com.evil-site-of-somebody.co.uk",
            "x".repeat(200)
        );
        for columns in [24, 40, 80, 200] {
            let lines = framed(&long, columns);
            let widest = lines.iter().map(|line| line.chars().count()).max().unwrap();
            assert!(widest < columns, "{widest} of {columns}: {lines:#?}");
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
        assert_eq!(lines.len(), 5);
    }
}
