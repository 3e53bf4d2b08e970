//! Patterns for names: `?` is one character, `*` any number of them.

/// A pattern for names in which the case of letters means nothing.
#[derive(Clone, Debug)]
pub struct Pattern(Vec<u8>);

impl Pattern {
    /// Any text is a pattern.
    pub fn new(text: &str) -> Self {
        Self(text.to_ascii_lowercase().into_bytes())
    }

    /// Returns whether a whole name is as the pattern says.
    pub fn matches(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let (mut pattern, mut rest) = (self.0.as_slice(), name.as_bytes());
        // Where to go on if what follows the last `*` does not fit here.
        let mut again: Option<(&[u8], &[u8])> = None;
        loop {
            match (pattern.split_first(), rest.split_first()) {
                (None, None) => return true,
                (Some((b'*', after)), _) => {
                    again = Some((after, rest));
                    pattern = after;
                }
                (Some((wanted, after)), Some((found, more)))
                    if *wanted == b'?' || wanted == found =>
                {
                    (pattern, rest) = (after, more);
                }
                _ => match again.and_then(|(after, from)| Some((after, from.split_first()?.1))) {
                    Some((after, from)) => {
                        (pattern, rest) = (after, from);
                        again = Some((after, from));
                    }
                    None => return false,
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_names() {
        for (pattern, name, wanted) in [
            ("abc", "ABC", true),
            ("abc", "abcd", false),
            ("a*", "a", true),
            ("a*", "ba", false),
            ("*a*", "bab", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*.com", "hand.com", true),
            ("*.com", "hand.org", false),
            ("*ab*ab", "abab", true),
            ("*ab*ab", "aab", false),
            ("a*bc", "abbbbc", true),
            ("*", "", true),
            ("", "", true),
            ("?", "", false),
        ] {
            assert_eq!(
                Pattern::new(pattern).matches(name),
                wanted,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn many_stars_take_no_long_time() {
        let name = "a".repeat(5_000);
        assert!(Pattern::new(&"a*".repeat(500)).matches(&name));
        assert!(!Pattern::new(&("a*".repeat(500) + "b")).matches(&name));
    }
}
