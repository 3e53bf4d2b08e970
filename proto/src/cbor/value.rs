use core::cmp::Ordering;
use core::fmt;
use core::ops::Deref;

use ciborium_ll::{Encoder, Header};
use zeroize::{Zeroize, Zeroizing};

use super::decode::{DecodeError, decode};

/// One CBOR item of the kinds that CTAP2 uses.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A list.
    Array(Vec<Self>),
    /// `false` or `true`.
    Bool(bool),
    /// A byte string.
    Bytes(Vec<u8>),
    /// A map.
    Map(Map),
    /// A negative integer, by the number `n` of its head: its value is −1 − n.
    Negative(u64),
    /// `null`.
    Null,
    /// A text string.
    Text(String),
    /// A non-negative integer.
    Unsigned(u64),
}

/// A map in canonical order, without repeated keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Map {
    /// Sorted by the encoded key, which stands first.
    entries: Vec<(Vec<u8>, Value, Value)>,
}

impl Value {
    /// Returns the canonical encoding.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.encode_into(&mut bytes);
        bytes
    }

    fn encode_into(&self, out: &mut Vec<u8>) {
        match self {
            Self::Array(items) => {
                push(out, Header::Array(Some(items.len())));
                items.iter().for_each(|item| item.encode_into(out));
            }
            Self::Bool(bool) => push(out, Header::Simple(if *bool { 21 } else { 20 })),
            Self::Bytes(bytes) => {
                push(out, Header::Bytes(Some(bytes.len())));
                out.extend_from_slice(bytes);
            }
            Self::Map(map) => map.encode_into(out),
            Self::Negative(n) => push(out, Header::Negative(*n)),
            Self::Null => push(out, Header::Simple(22)),
            Self::Text(text) => {
                push(out, Header::Text(Some(text.len())));
                out.extend_from_slice(text.as_bytes());
            }
            Self::Unsigned(n) => push(out, Header::Positive(*n)),
        }
    }

    /// Returns the number, if it is a non-negative integer.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Unsigned(n) => Some(*n),
            _ => None,
        }
    }

    /// Returns the number, if it is an integer that fits.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Unsigned(n) => i64::try_from(*n).ok(),
            Self::Negative(n) => i64::try_from(*n).ok().map(|n| -1 - n),
            _ => None,
        }
    }

    /// Returns the bytes of a byte string.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Returns the text of a text string.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns a truth value.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(bool) => Some(*bool),
            _ => None,
        }
    }

    /// Returns the items of a list.
    pub fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// Returns a map.
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// Takes the bytes out of a byte string.
    pub fn into_bytes(self) -> Option<Vec<u8>> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Takes the text out of a text string.
    pub fn into_text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Takes a map out.
    pub fn into_map(self) -> Option<Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// Returns whether it is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Returns a number of bytes that the encoding does not exceed.
    fn bound(&self) -> usize {
        const HEAD: usize = 9;
        HEAD + match self {
            Self::Array(items) => items.iter().map(Self::bound).sum(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Map(map) => map.bound(),
            Self::Text(text) => text.len(),
            Self::Bool(_) | Self::Negative(_) | Self::Null | Self::Unsigned(_) => 0,
        }
    }

    fn wipe(&mut self) {
        match self {
            Self::Array(items) => items.iter_mut().for_each(Self::wipe),
            Self::Bytes(bytes) => bytes.zeroize(),
            Self::Map(map) => map.wipe(),
            Self::Text(text) => text.zeroize(),
            Self::Bool(_) | Self::Negative(_) | Self::Null | Self::Unsigned(_) => {}
        }
    }
}

impl Map {
    /// Makes an empty map.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts an entry in its place, and returns the value that it replaced.
    pub fn insert(&mut self, key: impl Into<Value>, value: impl Into<Value>) -> Option<Value> {
        let (key, value) = (key.into(), value.into());
        let encoded = key.encode();
        match self.position(&encoded) {
            Ok(at) => self
                .entries
                .get_mut(at)
                .map(|(_, _, old)| core::mem::replace(old, value)),
            Err(at) => {
                self.entries.insert(at, (encoded, key, value));
                None
            }
        }
    }

    /// Adds an entry whose key must come after all others; tells how it compares if it does not.
    pub(super) fn push(
        &mut self,
        encoded: &[u8],
        key: Value,
        value: Value,
    ) -> Result<(), Ordering> {
        if let Some((last, ..)) = self.entries.last() {
            match rank(encoded).cmp(&rank(last)) {
                Ordering::Greater => {}
                order => return Err(order),
            }
        }
        self.entries.push((encoded.to_vec(), key, value));
        Ok(())
    }

    /// Returns the map with one more entry.
    #[must_use]
    pub fn with(mut self, key: impl Into<Value>, value: impl Into<Value>) -> Self {
        self.insert(key, value);
        self
    }

    /// Returns the map with one more entry, if there is a value for it.
    #[must_use]
    pub fn with_some(self, key: impl Into<Value>, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// Returns the value of a key.
    pub fn get(&self, key: &Value) -> Option<&Value> {
        let at = self.position(&key.encode()).ok()?;
        self.entries.get(at).map(|(_, _, value)| value)
    }

    /// Returns the value of an integer key.
    pub fn int(&self, key: i64) -> Option<&Value> {
        self.get(&Value::from(key))
    }

    /// Returns the value of a text key.
    pub fn text(&self, key: &str) -> Option<&Value> {
        self.get(&Value::from(key))
    }

    /// Returns the entries in canonical order.
    pub fn iter(&self) -> impl Iterator<Item = (&Value, &Value)> {
        self.entries.iter().map(|(_, key, value)| (key, value))
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the canonical encoding.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.encode_into(&mut bytes);
        bytes
    }

    fn encode_into(&self, out: &mut Vec<u8>) {
        push(out, Header::Map(Some(self.entries.len())));
        for (key, _, value) in &self.entries {
            out.extend_from_slice(key);
            value.encode_into(out);
        }
    }

    fn bound(&self) -> usize {
        let entries = self.entries.iter();
        9 + entries
            .map(|(key, _, value)| key.len() + value.bound())
            .sum::<usize>()
    }

    fn wipe(&mut self) {
        self.entries
            .iter_mut()
            .for_each(|(_, _, value)| value.wipe());
    }

    fn position(&self, encoded: &[u8]) -> Result<usize, usize> {
        self.entries
            .binary_search_by(|(key, ..)| rank(key).cmp(&rank(encoded)))
    }
}

/// A map with secrets in it: what its values hold is wiped from memory when it is dropped.
pub struct SecretMap(Map);

impl SecretMap {
    /// Decodes a map; the bytes remain their owner's to wipe.
    ///
    /// # Errors
    ///
    /// [`DecodeError`]. There is nothing if the item is no map.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, DecodeError> {
        match decode(bytes)? {
            Value::Map(map) => Ok(Some(Self(map))),
            mut other => {
                other.wipe();
                Ok(None)
            }
        }
    }

    /// Returns the canonical encoding, in memory that was never moved while it was written.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(self.0.bound()));
        self.0.encode_into(&mut bytes);
        bytes
    }
}

impl From<Map> for SecretMap {
    fn from(map: Map) -> Self {
        Self(map)
    }
}

impl Deref for SecretMap {
    type Target = Map;

    fn deref(&self) -> &Map {
        &self.0
    }
}

impl Drop for SecretMap {
    fn drop(&mut self) {
        self.0.wipe();
    }
}

impl fmt::Debug for SecretMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretMap")
    }
}

/// By what an encoded key is put in its place: its major type, its length, its bytes (CTAP 2.3 §8).
fn rank(key: &[u8]) -> (u8, usize, &[u8]) {
    (key.first().map_or(0, |head| head >> 5), key.len(), key)
}

fn push(out: &mut Vec<u8>, header: Header) {
    // A vector takes whatever is written to it.
    let _ = Encoder::from(out).push(header);
}

impl From<i64> for Value {
    fn from(n: i64) -> Self {
        match u64::try_from(n) {
            Ok(n) => Self::Unsigned(n),
            Err(_) => Self::Negative(n.unsigned_abs() - 1),
        }
    }
}

impl From<i32> for Value {
    fn from(n: i32) -> Self {
        Self::from(i64::from(n))
    }
}

macro_rules! from_unsigned {
    ($($kind:ty),*) => {$(
        impl From<$kind> for Value {
            fn from(n: $kind) -> Self {
                Self::Unsigned(n.into())
            }
        }
    )*};
}
from_unsigned!(u8, u16, u32, u64);

impl From<bool> for Value {
    fn from(bool: bool) -> Self {
        Self::Bool(bool)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl<const N: usize> From<[u8; N]> for Value {
    fn from(bytes: [u8; N]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl<const N: usize> From<&[u8; N]> for Value {
    fn from(bytes: &[u8; N]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl From<Vec<Self>> for Value {
    fn from(items: Vec<Self>) -> Self {
        Self::Array(items)
    }
}

impl From<Map> for Value {
    fn from(map: Map) -> Self {
        Self::Map(map)
    }
}
