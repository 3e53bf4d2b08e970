//! `credBlob`: a few bytes that a site leaves with a new passkey and gets back whenever it signs in
//! (CTAP 2.3 §12.2).

use super::Signed;
use crate::cbor::{Map, Value};

/// The extension's identifier.
pub const NAME: &str = "credBlob";

/// The most bytes that a passkey keeps, which is the least that the standard allows.
pub const LONGEST: usize = 32;

/// Bytes that a site left with a passkey, [`LONGEST`] at most.
#[derive(Clone, Debug, PartialEq)]
pub struct CredBlob(Vec<u8>);

impl CredBlob {
    /// Takes bytes; nothing if there are too many.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        (bytes.len() <= LONGEST).then(|| Self(bytes.to_vec()))
    }

    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What a request for a new passkey wants kept.
#[derive(Clone, Debug, PartialEq)]
pub enum Offered {
    /// Bytes that can be.
    Blob(CredBlob),
    /// More bytes than can be.
    TooLong,
}

impl Offered {
    /// Reads the request for a new passkey; what is no byte string was not asked for.
    pub fn parse(extensions: &Map) -> Option<Self> {
        let bytes = extensions.text(NAME)?.as_bytes()?;
        Some(CredBlob::from_bytes(bytes).map_or(Self::TooLong, Self::Blob))
    }

    /// Returns what can be kept.
    pub fn kept(&self) -> Option<&CredBlob> {
        match self {
            Self::Blob(blob) => Some(blob),
            Self::TooLong => None,
        }
    }
}

/// Prepares the output for a new passkey: whether the bytes are kept.
pub fn prepare_new(offered: &Offered) -> Signed {
    Signed::new(NAME, offered.kept().is_some())
}

/// Returns whether a request to sign in wants the bytes: `"credBlob": true`.
pub fn requested(extensions: &Map) -> bool {
    extensions.text(NAME).and_then(Value::as_bool) == Some(true)
}

/// Prepares the output of a passkey: the bytes, none if none were left.
pub fn prepare(blob: Option<&CredBlob>) -> Signed {
    Signed::new(NAME, blob.map(CredBlob::as_bytes).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(value: impl Into<Value>) -> Option<Offered> {
        Offered::parse(&Map::new().with(NAME, value))
    }

    #[test]
    fn what_is_too_long_is_not_kept_and_the_answer_says_so() {
        for (length, kept) in [(0, true), (32, true), (33, false), (1000, false)] {
            let offered = offered(vec![5; length]).unwrap();
            assert_eq!(offered.kept().is_some(), kept, "{length}");
            assert_eq!(prepare_new(&offered).output, Value::Bool(kept));
        }
        assert_eq!(offered(true), None);
        assert_eq!(Offered::parse(&Map::new()), None);
    }

    #[test]
    fn a_passkey_without_bytes_answers_with_none() {
        assert_eq!(prepare(None).output, Value::Bytes(Vec::new()));
        let blob = CredBlob::from_bytes(b"left").unwrap();
        assert_eq!(prepare(Some(&blob)).output, Value::Bytes(b"left".to_vec()));
        assert!(!requested(&Map::new().with(NAME, b"left")));
    }
}
