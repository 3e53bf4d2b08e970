//! `largeBlob` as phones speak it: what a site stores with a passkey goes through the tunnel as it is,
//! deflated by the client (`hybrid-transport.md` §11.2, §11.3). The authenticator never inflates it.

use core::fmt;

use super::Unsigned;
use crate::cbor::{Map, Value};

/// The extension's identifier.
pub const NAME: &str = "largeBlob";

/// The most deflated bytes that a passkey keeps.
pub const LONGEST: usize = 16 * 1024;

/// What a site stored with a passkey, deflated.
#[derive(Clone, PartialEq)]
pub struct LargeBlob {
    deflated: Vec<u8>,
    original_size: u64,
}

impl LargeBlob {
    /// Takes deflated bytes and the size that they claim to have inflated; nothing if there are more
    /// than [`LONGEST`].
    pub fn new(deflated: &[u8], original_size: u64) -> Option<Self> {
        (deflated.len() <= LONGEST).then(|| Self {
            deflated: deflated.to_vec(),
            original_size,
        })
    }

    /// Returns the deflated bytes.
    pub fn deflated(&self) -> &[u8] {
        &self.deflated
    }

    /// Returns the size that the client gave; nobody checked it.
    pub fn original_size(&self) -> u64 {
        self.original_size
    }
}

/// Prints no content.
impl fmt::Debug for LargeBlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LargeBlob({} bytes)", self.deflated.len())
    }
}

/// Returns whether a request for a new passkey asks whether it can store anything.
pub fn asks_for_support(extensions: &Map) -> bool {
    extensions.text(NAME).and_then(Value::as_map).is_some()
}

/// Prepares the output for a new passkey: that it can.
pub fn prepare_new() -> Unsigned {
    Unsigned::new(NAME, Map::new().with("supported", true))
}

/// What a request to sign in wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// What is stored.
    Read,
    /// That this is stored.
    Write(LargeBlob),
    /// That more is stored than there is room for.
    WriteTooLong,
}

impl Request {
    /// Reads the request to sign in. What is malformed, or wants both at once, was not asked for.
    pub fn parse(extensions: &Map) -> Option<Self> {
        let map = extensions.text(NAME)?.as_map()?;
        match (map.text("read"), map.text("write")) {
            (Some(read), None) => read.as_bool()?.then_some(Self::Read),
            (None, Some(write)) => {
                let (bytes, size) = (write.as_bytes()?, map.text("originalSize")?.as_u64()?);
                Some(LargeBlob::new(bytes, size).map_or(Self::WriteTooLong, Self::Write))
            }
            _ => None,
        }
    }
}

/// Prepares the output for who reads; nothing if nothing is stored.
pub fn prepare_read(blob: Option<&LargeBlob>) -> Option<Unsigned> {
    let LargeBlob {
        deflated,
        original_size,
    } = blob?;
    let output = Map::new()
        .with("blob", deflated.as_slice())
        .with("originalSize", *original_size);
    Some(Unsigned::new(NAME, output))
}

/// Prepares the output for who writes: whether it is stored.
pub fn prepare_written(written: bool) -> Unsigned {
    Unsigned::new(NAME, Map::new().with("written", written))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(map: Map) -> Option<Request> {
        Request::parse(&Map::new().with(NAME, map))
    }

    #[test]
    fn who_wants_both_or_neither_gets_nothing() {
        let write = Map::new().with("write", b"x").with("originalSize", 1);
        assert!(matches!(request(write.clone()), Some(Request::Write(_))));
        for wrong in [
            Map::new(),
            Map::new().with("read", false),
            Map::new().with("read", 1),
            write.clone().with("read", true),
            write.clone().with("write", true),
            write.clone().with("originalSize", -1),
            Map::new().with("write", b"x"),
        ] {
            assert_eq!(request(wrong.clone()), None, "{wrong:?}");
        }
        assert_eq!(Request::parse(&Map::new().with(NAME, true)), None);
    }

    #[test]
    fn what_is_too_long_is_not_taken() {
        let write = |length| {
            request(
                Map::new()
                    .with("write", vec![0; length])
                    .with("originalSize", 1),
            )
        };
        assert!(matches!(write(LONGEST), Some(Request::Write(_))));
        assert_eq!(write(LONGEST + 1), Some(Request::WriteTooLong));
    }

    #[test]
    fn what_was_written_is_read_as_it_was() {
        let blob = LargeBlob::new(b"deflated", 900).unwrap();
        let read = prepare_read(Some(&blob)).unwrap().output;
        assert_eq!(
            read.text("blob").unwrap().as_bytes(),
            Some(&b"deflated"[..])
        );
        assert_eq!(read.text("originalSize").unwrap().as_u64(), Some(900));
        assert!(prepare_read(None).is_none());
    }
}
