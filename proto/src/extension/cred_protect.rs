//! `credProtect`: how much a person must do before a passkey answers at all (CTAP 2.3 §12.1).

use super::Signed;
use crate::cbor::{Map, Value};

/// The extension's identifier.
pub const NAME: &str = "credProtect";

/// What a passkey wants before it answers.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Protection {
    /// That a person is there (level 1).
    #[default]
    Presence,
    /// That a person is there; verified, if the site does not name it (level 2).
    VerificationUnlessNamed,
    /// That a person is verified (level 3).
    Verification,
}

impl Protection {
    /// Returns the level, 1 to 3.
    pub fn level(self) -> u8 {
        match self {
            Self::Presence => 1,
            Self::VerificationUnlessNamed => 2,
            Self::Verification => 3,
        }
    }

    /// Returns what a level means; nothing if it is none.
    pub fn from_level(level: u64) -> Option<Self> {
        match level {
            1 => Some(Self::Presence),
            2 => Some(Self::VerificationUnlessNamed),
            3 => Some(Self::Verification),
            _ => None,
        }
    }

    /// Returns whether a passkey answers, and may be told of.
    pub fn allows(self, named: bool, verified: bool) -> bool {
        match self {
            Self::Presence => true,
            Self::VerificationUnlessNamed => named || verified,
            Self::Verification => verified,
        }
    }
}

/// Returns what a request for a new passkey asks for; nothing if it says nothing that is a level.
pub fn requested(extensions: &Map) -> Option<Protection> {
    Protection::from_level(extensions.text(NAME).and_then(Value::as_u64)?)
}

/// Prepares the output for a new passkey: the level that it has.
pub fn prepare(protection: Protection) -> Signed {
    Signed::new(NAME, protection.level())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_is_none_is_as_if_none_was_asked_for() {
        for value in [
            0.into(),
            4.into(),
            (-1).into(),
            u64::MAX.into(),
            Value::from(true),
            Value::from("2"),
        ] {
            assert_eq!(requested(&Map::new().with(NAME, value)), None);
        }
        assert_eq!(requested(&Map::new()), None);
    }

    #[test]
    fn each_level_wants_more() {
        let answers = |level| {
            let protection = requested(&Map::new().with(NAME, level)).unwrap();
            assert_eq!(protection.level(), level);
            [(false, false), (true, false), (false, true), (true, true)]
                .map(|(named, verified)| protection.allows(named, verified))
        };
        assert_eq!(answers(1_u8), [true, true, true, true]);
        assert_eq!(answers(2_u8), [false, true, true, true]);
        assert_eq!(answers(3_u8), [false, false, true, true]);
    }
}
