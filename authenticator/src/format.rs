//! What the first two members of a file of ours say: what it is, and its format.

use std::io;
use std::path::Path;

use handfast_proto::cbor::{self, Map, Value};

use crate::disk::{Unread, read_secret};

/// What a file says of itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Format {
    /// A format that is known here, counted from 1.
    Known(u64),
    /// One that a newer version made.
    Newer(u64),
    /// Another kind of file, or none at all.
    Foreign,
}

impl Format {
    /// Reads it, where this kind of file has formats up to `newest`.
    pub(crate) fn of(map: &Map, kind: &str, newest: u64) -> Self {
        if map.int(1).and_then(Value::as_text) != Some(kind) {
            return Self::Foreign;
        }
        match map.int(2).and_then(Value::as_u64) {
            Some(format) if format > newest => Self::Newer(format),
            None | Some(0) => Self::Foreign,
            Some(format) => Self::Known(format),
        }
    }
}

/// Why a file of ours is of no use.
pub(crate) enum Unusable {
    /// It is no file of this kind, or damaged.
    Damaged,
    /// The system does not give it.
    Io(io::Error),
    /// It has a format that a newer version made.
    Newer(u64),
}

/// Reads a file of ours that has at most so many bytes; nothing if there is none.
pub(crate) fn read_ours(
    path: &Path,
    longest: u64,
    kind: &str,
    newest: u64,
) -> Result<Option<Map>, Unusable> {
    let bytes = match read_secret(path, longest) {
        Ok(bytes) => bytes,
        Err(Unread::Io(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(Unread::Io(error)) => return Err(Unusable::Io(error)),
        Err(Unread::NoFile | Unread::TooLarge) => return Err(Unusable::Damaged),
    };
    let map = cbor::decode(&bytes).ok().and_then(Value::into_map);
    let map = map.ok_or(Unusable::Damaged)?;
    match Format::of(&map, kind, newest) {
        Format::Known(_) => Ok(Some(map)),
        Format::Newer(newer) => Err(Unusable::Newer(newer)),
        Format::Foreign => Err(Unusable::Damaged),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_known_format_of_the_right_kind_is_known() {
        let of = |map: Map| Format::of(&map, "kind", 2);
        let file = |format: Value| Map::new().with(1, "kind").with(2, format);
        assert_eq!(of(file(1.into())), Format::Known(1));
        assert_eq!(of(file(2.into())), Format::Known(2));
        assert_eq!(of(file(3.into())), Format::Newer(3));
        for wrong in [0.into(), (-1).into(), "1".into(), Value::Null] {
            assert_eq!(of(file(wrong)), Format::Foreign);
        }
        assert_eq!(of(Map::new().with(1, "kind")), Format::Foreign);
        assert_eq!(of(file(1.into()).with(1, "other")), Format::Foreign);
    }
}
