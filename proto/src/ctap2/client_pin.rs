//! authenticatorClientPIN, as far as an authenticator has it that verifies its owner by itself
//! (CTAP 2.3 §6.5): a key is agreed on, and the tries that are left are told.

use super::Status;
use super::command::CLIENT_PIN;
use super::read::{Members, typed};
use crate::cbor::{Map, Value};

/// The number of PIN/UV auth protocol two.
pub const PROTOCOL_TWO: u64 = 2;

const UV_RETRIES: u64 = 0x07;
const KEY_AGREEMENT: u64 = 0x02;

/// A request.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Request {
    /// getKeyAgreement.
    KeyAgreement,
    /// getUVRetries.
    UvRetries,
}

impl Request {
    /// Reads the CBOR after the command byte.
    ///
    /// # Errors
    ///
    /// The status to answer with: [`Status::INVALID_SUBCOMMAND`] for what needs a PIN that the
    /// client knows, [`Status::INVALID_PARAMETER`] for a protocol other than two.
    pub fn parse(cbor: &[u8]) -> Result<Self, Status> {
        let members = Members::parse(cbor)?;
        let protocol = members.optional(0x01, Value::as_u64)?;
        match typed(members.required(0x02)?.as_u64())? {
            KEY_AGREEMENT => match protocol {
                Some(PROTOCOL_TWO) => Ok(Self::KeyAgreement),
                Some(_) => Err(Status::INVALID_PARAMETER),
                None => Err(Status::MISSING_PARAMETER),
            },
            UV_RETRIES => Ok(Self::UvRetries),
            _ => Err(Status::INVALID_SUBCOMMAND),
        }
    }

    /// Returns command byte and CBOR.
    pub fn encode(self) -> Vec<u8> {
        let map = match self {
            Self::KeyAgreement => Map::new()
                .with(0x01, PROTOCOL_TWO)
                .with(0x02, KEY_AGREEMENT),
            Self::UvRetries => Map::new().with(0x02, UV_RETRIES),
        };
        [&[CLIENT_PIN], map.encode().as_slice()].concat()
    }
}

/// Returns the CBOR of the answer to getKeyAgreement.
pub fn key_agreement(public_key: Map) -> Vec<u8> {
    Map::new().with(0x01, public_key).encode()
}

/// Returns the CBOR of the answer to getUVRetries.
pub fn uv_retries(left: u64) -> Vec<u8> {
    Map::new().with(0x05, left).encode()
}
