//! A site's name as a person can tell it from others (Unicode Technical Standards 39 and 46).

use unicode_script::{Script, UnicodeScript as _};
use unicode_security::RestrictionLevelDetection as _;
use unicode_security::confusable_detection::skeleton;
use unicode_security::restriction_level::RestrictionLevel;

use handfast_proto::ids::RpId;

/// What the labels begin with that stand for letters beyond a to z (RFC 5890 §2.3.2.1).
const A_LABEL: &str = "xn--";
/// Tells a terminal that the text around it runs from left to right; it is not seen.
const LEFT_TO_RIGHT: char = '\u{200e}';

/// A site's name, taken apart for the eye.
#[derive(Clone, Debug, PartialEq)]
pub struct SiteName<'a> {
    name: &'a str,
    owned: &'a str,
    written: Option<Written>,
}

/// A name that stands for letters beyond a to z.
#[derive(Clone, Debug, PartialEq)]
struct Written {
    text: String,
    doubt: Option<Doubt>,
}

/// Why a name in other letters is not to be trusted at a glance, the gravest last.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Doubt {
    /// It has characters that names usually do not have.
    Unusual,
    /// One of its labels mixes alphabets that nobody writes together.
    Mixed,
    /// It cannot be written out: it stands for nothing that a name may be.
    Unreadable,
    /// It looks like this name in Latin letters, and is another.
    LooksLike(String),
}

impl Doubt {
    /// Returns its name for programs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unusual => "unusual",
            Self::Mixed => "mixed",
            Self::Unreadable => "unreadable",
            Self::LooksLike(_) => "looks-like",
        }
    }
}

impl<'a> SiteName<'a> {
    /// Takes a name apart.
    pub fn of(rp_id: &'a RpId) -> Self {
        let name = rp_id.as_str();
        Self {
            name,
            owned: psl::domain_str(name).unwrap_or(name),
            written: name
                .split('.')
                .any(|label| label.starts_with(A_LABEL))
                .then(|| written(name)),
        }
    }

    /// Returns the domain that somebody registered, which tells who the site belongs to; all of the
    /// name if nobody registers such names.
    pub fn owned(&self) -> &'a str {
        self.owned
    }

    /// Returns what its owner put before that, with the last dot; often nothing.
    pub fn before(&self) -> &'a str {
        self.name.strip_suffix(self.owned).unwrap_or_default()
    }

    /// Returns the name in the letters that it stands for, if those are others.
    pub fn written(&self) -> Option<&str> {
        let written = self.written.as_ref()?;
        (written.doubt != Some(Doubt::Unreadable)).then_some(written.text.as_str())
    }

    /// Returns what speaks against it, if anything does.
    pub fn doubt(&self) -> Option<&Doubt> {
        self.written.as_ref()?.doubt.as_ref()
    }

    /// Says how the name is written in its own letters, and what speaks against it; a line each.
    /// Nothing if it has none but Latin ones.
    pub fn words(&self) -> Option<String> {
        let warning = match self.doubt() {
            None => None,
            Some(Doubt::LooksLike(other)) => Some(format!(
                "Careful: this is not {other}. It is another site, written so as to look like it."
            )),
            Some(Doubt::Mixed) => Some(
                "Careful: it mixes alphabets, as names do that want to be taken for others."
                    .to_owned(),
            ),
            Some(Doubt::Unusual) => Some(
                "Careful: it has characters that names seldom have, but those do that want to be taken \
                 for others."
                    .to_owned(),
            ),
            Some(Doubt::Unreadable) => Some(
                "Careful: this name stands for other letters, but for none that a name may have."
                    .to_owned(),
            ),
        };
        let written = self
            .written()
            .map(|written| format!("In its own letters: {}", steady(written)));
        let lines: Vec<String> = written.into_iter().chain(warning).collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

/// Writes a name out, and looks what speaks against it.
fn written(name: &str) -> Written {
    let (text, valid) = idna::domain_to_unicode(name);
    if valid.is_err() {
        return Written {
            text,
            doubt: Some(Doubt::Unreadable),
        };
    }
    let labels: Vec<&str> = text.split('.').collect();
    let doubt = match labels.iter().any(|label| looks_latin(label)) {
        true => {
            let seen: Vec<String> = labels.iter().map(|label| as_it_looks(label)).collect();
            Some(Doubt::LooksLike(seen.join(".")))
        }
        false => labels.iter().filter_map(|label| oddity(label)).max(),
    };
    Written { text, doubt }
}

fn oddity(label: &str) -> Option<Doubt> {
    match label.detect_restriction_level() {
        RestrictionLevel::ASCIIOnly
        | RestrictionLevel::SingleScript
        | RestrictionLevel::HighlyRestrictive => None,
        RestrictionLevel::ModeratelyRestrictive | RestrictionLevel::MinimallyRestrictive => {
            Some(Doubt::Mixed)
        }
        // An underscore or the like is in many names for machines.
        RestrictionLevel::Unrestricted if label.is_ascii() => None,
        RestrictionLevel::Unrestricted => Some(Doubt::Unusual),
    }
}

/// Whether a label in other letters cannot be told from one in Latin letters. Latin letters with
/// marks are told from those without.
fn looks_latin(label: &str) -> bool {
    let latin = |c: char| {
        matches!(
            c.script(),
            Script::Latin | Script::Common | Script::Inherited
        )
    };
    !label.is_ascii() && !label.chars().all(latin) && skeleton(label).all(|c| c.is_ascii())
}

/// A label in the Latin letters that it looks like, if it does.
fn as_it_looks(label: &str) -> String {
    if !looks_latin(label) {
        return label.to_owned();
    }
    let mut seen = String::new();
    for letter in label.chars() {
        match letter.is_ascii() {
            true => seen.push(letter),
            false => seen.extend(skeleton(letter.encode_utf8(&mut [0; 4]))),
        }
    }
    seen.to_ascii_lowercase()
}

/// Keeps text that runs from right to left from turning what stands around it: the labels of a name
/// stay in their order, and the line in its own.
pub fn steady(text: &str) -> String {
    if !text.chars().any(runs_left) {
        return text.to_owned();
    }
    let mut steady = String::from(LEFT_TO_RIGHT);
    for letter in text.chars() {
        steady.push(letter);
        if letter == '.' {
            steady.push(LEFT_TO_RIGHT);
        }
    }
    steady.push(LEFT_TO_RIGHT);
    steady
}

/// Whether a character is in one of the blocks that are kept for writing from right to left
/// (Unicode Standard Annex 9, table 4).
fn runs_left(letter: char) -> bool {
    matches!(letter, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}')
        || matches!(letter, '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked_at<T>(name: &str, look: impl FnOnce(&SiteName<'_>) -> T) -> T {
        look(&SiteName::of(&RpId::parse(name).unwrap()))
    }

    fn doubt(name: &str) -> Option<Doubt> {
        looked_at(name, |site| site.doubt().cloned())
    }

    fn a_label(text: &str) -> String {
        idna::domain_to_ascii(text).unwrap()
    }

    #[test]
    fn names_that_look_like_latin_ones_are_told_from_them() {
        for (text, like) in [
            ("аpple.com", "apple.com"),
            ("аррӏе.com", "apple.com"),
            ("login.раураӏ.example", "login.paypal.example"),
            ("gοοgle.com", "google.com"),
            ("ехаmple.org", "example.org"),
        ] {
            let name = a_label(text);
            let words = looked_at(&name, |site| site.words().unwrap());
            assert_eq!(
                doubt(&name),
                Some(Doubt::LooksLike(like.to_owned())),
                "{text}"
            );
            assert!(
                words.contains(text) && words.contains(&format!("not {like}.")),
                "{words}"
            );
        }
        assert_eq!(
            doubt("xn--pple-43d.com"),
            Some(Doubt::LooksLike("apple.com".to_owned()))
        );
    }

    #[test]
    fn mixed_alphabets_and_unusual_characters_are_said() {
        for text in ["micrоsöft.example", "яndex.example", "διastereo.example"] {
            assert_eq!(doubt(&a_label(text)), Some(Doubt::Mixed), "{text}");
        }
        assert_eq!(doubt(&a_label("i♥ny.example")), Some(Doubt::Unusual));
    }

    #[test]
    fn what_stands_for_no_letters_is_said_and_not_shown() {
        for name in ["xn--a.com", "xn--zzzzzzz-.example", "a.xn--0.b", "xn--.com"] {
            looked_at(name, |site| {
                assert_eq!(site.doubt(), Some(&Doubt::Unreadable), "{name}");
                assert_eq!(site.written(), None);
                assert!(!site.words().unwrap().contains("own letters:"));
            });
        }
        // Nor what turns the line: no name may have a right-to-left override.
        let turned = idna::punycode::encode_str("moc\u{202e}elppa").unwrap();
        looked_at(&format!("xn--{turned}.com"), |site| {
            assert_eq!(site.written(), None)
        });
    }

    #[test]
    fn plain_names_are_left_alone() {
        for name in [
            "example.org",
            "localhost",
            "a-b.co.uk",
            "_dmarc.example.org",
            "rnicro.com",
            "0x1.de",
        ] {
            looked_at(name, |site| assert_eq!(site.words(), None, "{name}"));
        }
    }

    #[test]
    fn names_in_one_alphabet_are_shown_without_a_warning() {
        for text in [
            "bücher.example",
            "café.fr",
            "æble.dk",
            "øl.no",
            "kapalı.com.tr",
            "пример.рф",
            "παράδειγμα.gr",
            "例え.jp",
            "ローマ字abc.jp",
            "例子.中国",
            "예시.kr",
            "उदाहरण.भारत",
            "ตัวอย่าง.th",
            "דוגמה.co.il",
        ] {
            let name = a_label(text);
            looked_at(&name, |site| {
                assert_eq!(site.doubt(), None, "{text}");
                assert_eq!(site.written(), Some(text));
                assert!(!site.words().unwrap().contains("Careful"), "{text}");
            });
        }
    }

    #[test]
    fn the_registered_part_is_found() {
        for (name, before, owned) in [
            ("login.example.org", "login.", "example.org"),
            (
                "accounts.google.com.evil.co.uk",
                "accounts.google.com.",
                "evil.co.uk",
            ),
            ("example.org", "", "example.org"),
            ("localhost", "", "localhost"),
            ("co.uk", "", "co.uk"),
            ("ana.github.io", "", "ana.github.io"),
        ] {
            looked_at(name, |site| {
                assert_eq!((site.before(), site.owned()), (before, owned))
            });
        }
    }

    #[test]
    fn letters_from_right_to_left_turn_nothing_around_them() {
        assert_eq!(steady("ana.b"), "ana.b");
        assert_eq!(
            steady("דוגמה.גדה.com"),
            "\u{200e}דוגמה.\u{200e}גדה.\u{200e}com\u{200e}"
        );
    }

    #[test]
    fn no_name_breaks_it() {
        let mut state = 7_u64;
        for _ in 0..20_000 {
            let mut name = String::new();
            for _ in 0..state % 40 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                let letter = b"abcxn--019.-_xn"[usize::try_from(state >> 33).unwrap() % 15];
                name.push(char::from(letter));
                if letter == b'.' {
                    name.push_str(A_LABEL);
                }
            }
            state = state.wrapping_add(1);
            if let Ok(rp_id) = RpId::parse(&name) {
                let site = SiteName::of(&rp_id);
                assert_eq!(format!("{}{}", site.before(), site.owned()), name);
                let _ = site.words();
            }
        }
    }
}
