//! What the first two members of a file of ours say: what it is, and its format.

use handfast_proto::cbor::{Map, Value};

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
