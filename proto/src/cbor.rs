//! CTAP2 canonical CBOR: an encoder that cannot write anything else and a decoder that accepts
//! nothing else (CTAP 2.3 §8).
//!
//! Integers and lengths in their shortest form, definite lengths, map keys sorted by their major
//! type, length and bytes, and unique, no tags, no floating point, no simple values but `false`, `true` and `null`,
//! text in UTF-8, bounded nesting, nothing after the item.

mod decode;
mod value;

pub use decode::{
    AUTH_DATA_DEPTH, DecodeError, MESSAGE_DEPTH, decode, decode_prefix, decode_with_depth,
};
pub use value::{Map, SecretMap, Value};
