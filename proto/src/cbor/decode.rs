use core::cmp::Ordering;

use ciborium_ll::{Decoder, Header};
use thiserror::Error;

use super::{Map, Value};

/// How deep maps and lists may nest in a CTAP2 message (CTAP 2.3 §8).
pub const MESSAGE_DEPTH: usize = 4;

/// How deep they may nest in the extensions of authenticator data, which start a new count and can
/// hold an attestation statement (`trust-group.md` §3, *Depth warning*).
pub const AUTH_DATA_DEPTH: usize = 8;

/// Why bytes are not canonical CBOR.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum DecodeError {
    /// A map has the same key twice.
    #[error("a map key is repeated")]
    DuplicateKey,
    /// A floating-point number.
    #[error("floating-point numbers are not used")]
    FloatingPoint,
    /// A string, list or map without a length.
    #[error("an item has no definite length")]
    IndefiniteLength,
    /// A text string that is not UTF-8.
    #[error("a text is not UTF-8")]
    InvalidUtf8,
    /// Map keys out of their order.
    #[error("map keys are not in canonical order")]
    KeyOrder,
    /// A head that could be shorter, or that no standard defines.
    #[error("an integer or a length is not in its shortest form")]
    NonMinimalHead,
    /// A tag.
    #[error("tags are not used")]
    Tag,
    /// Maps and lists nest too deep.
    #[error("the nesting is too deep")]
    TooDeep,
    /// Something follows the item.
    #[error("bytes follow the item")]
    TrailingBytes,
    /// The bytes end inside the item.
    #[error("the bytes end too early")]
    Truncated,
    /// A simple value other than `false`, `true` and `null`.
    #[error("an unknown simple value")]
    UnsupportedSimple,
}

/// Decodes one item of a CTAP2 message, which must be all there is.
///
/// # Errors
///
/// [`DecodeError`] tells what is not canonical.
pub fn decode(bytes: &[u8]) -> Result<Value, DecodeError> {
    decode_with_depth(bytes, MESSAGE_DEPTH)
}

/// Decodes one item with another bound on its nesting.
///
/// # Errors
///
/// [`DecodeError`] tells what is not canonical.
pub fn decode_with_depth(bytes: &[u8], depth: usize) -> Result<Value, DecodeError> {
    match decode_prefix(bytes, depth)? {
        (value, length) if length == bytes.len() => Ok(value),
        _ => Err(DecodeError::TrailingBytes),
    }
}

/// Decodes the item with which the bytes begin, and returns its length in bytes as well.
///
/// # Errors
///
/// [`DecodeError`] tells what is not canonical.
pub fn decode_prefix(bytes: &[u8], depth: usize) -> Result<(Value, usize), DecodeError> {
    let mut input = Input { bytes, at: 0 };
    let value = input.item(depth)?;
    Ok((value, input.at))
}

struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    fn item(&mut self, depth: usize) -> Result<Value, DecodeError> {
        Ok(match self.head()? {
            Header::Positive(n) => Value::Unsigned(n),
            Header::Negative(n) => Value::Negative(n),
            Header::Bytes(length) => Value::Bytes(self.take(length)?.to_vec()),
            Header::Text(length) => {
                let text = core::str::from_utf8(self.take(length)?);
                Value::Text(text.map_err(|_| DecodeError::InvalidUtf8)?.to_owned())
            }
            Header::Array(length) => self.array(length, depth)?,
            Header::Map(length) => self.map(length, depth)?,
            Header::Simple(20) => Value::Bool(false),
            Header::Simple(21) => Value::Bool(true),
            Header::Simple(22) => Value::Null,
            Header::Simple(_) => return Err(DecodeError::UnsupportedSimple),
            Header::Float(_) => return Err(DecodeError::FloatingPoint),
            Header::Tag(_) => return Err(DecodeError::Tag),
            Header::Break => return Err(DecodeError::IndefiniteLength),
        })
    }

    fn array(&mut self, length: Option<usize>, depth: usize) -> Result<Value, DecodeError> {
        let (length, depth) = self.container(length, depth)?;
        // The length is a claim of the sender's: room is made only as items really come.
        let mut items = Vec::new();
        for _ in 0..length {
            items.push(self.item(depth)?);
        }
        Ok(Value::Array(items))
    }

    fn map(&mut self, length: Option<usize>, depth: usize) -> Result<Value, DecodeError> {
        let (length, depth) = self.container(length, depth)?;
        let mut map = Map::new();
        for _ in 0..length {
            let start = self.at;
            let key = self.item(depth)?;
            let encoded = self
                .bytes
                .get(start..self.at)
                .ok_or(DecodeError::Truncated)?;
            let value = self.item(depth)?;
            map.push(encoded, key, value).map_err(|order| match order {
                Ordering::Equal => DecodeError::DuplicateKey,
                _ => DecodeError::KeyOrder,
            })?;
        }
        Ok(Value::Map(map))
    }

    fn container(
        &self,
        length: Option<usize>,
        depth: usize,
    ) -> Result<(usize, usize), DecodeError> {
        let length = length.ok_or(DecodeError::IndefiniteLength)?;
        Ok((length, depth.checked_sub(1).ok_or(DecodeError::TooDeep)?))
    }

    /// Reads one head and compares it with the shortest that says the same.
    fn head(&mut self) -> Result<Header, DecodeError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let first = *rest.first().ok_or(DecodeError::Truncated)?;
        let length = match first & 0x1f {
            0..=23 | 31 => 1,
            24 => 2,
            25 => 3,
            26 => 5,
            27 => 9,
            _ => return Err(DecodeError::NonMinimalHead),
        };
        let head = rest.get(..length).ok_or(DecodeError::Truncated)?;
        if first & 0x1f == 31 {
            return Err(DecodeError::IndefiniteLength);
        }
        if first >> 5 == 7 && (25..=27).contains(&(first & 0x1f)) {
            return Err(DecodeError::FloatingPoint);
        }
        let header = Decoder::from(head)
            .pull()
            .map_err(|_| DecodeError::NonMinimalHead)?;
        let mut shortest = Vec::with_capacity(9);
        // A vector takes whatever is written to it.
        let _ = ciborium_ll::Encoder::from(&mut shortest).push(header);
        if shortest != head {
            return Err(DecodeError::NonMinimalHead);
        }
        self.at += length;
        Ok(header)
    }

    fn take(&mut self, length: Option<usize>) -> Result<&'a [u8], DecodeError> {
        let length = length.ok_or(DecodeError::IndefiniteLength)?;
        let end = self.at.checked_add(length).ok_or(DecodeError::Truncated)?;
        let taken = self.bytes.get(self.at..end).ok_or(DecodeError::Truncated)?;
        self.at = end;
        Ok(taken)
    }
}
