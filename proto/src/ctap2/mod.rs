//! CTAP2 messages: requests and responses by their key numbers (CTAP 2.3 §6).
//!
//! Unknown keys and options are ignored; a known key of the wrong type is not.

pub mod client_pin;
pub mod command;
pub mod get_assertion;
pub mod get_info;
pub mod make_credential;
mod read;
pub mod status;

use thiserror::Error;

pub use command::{Command, MAX_REQUEST};
pub use status::Status;

use crate::cbor::{DecodeError, Map};
use crate::ids::{RpId, UserHandle};

/// Why a reply cannot be read.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum ResponseError {
    /// It is not canonical CBOR.
    #[error("the reply is not canonical CBOR: {0}")]
    Cbor(#[from] DecodeError),
    /// A member that must be there is not.
    #[error("the reply lacks the member 0x{0:02x}")]
    Missing(u8),
    /// It is not a map.
    #[error("the reply is not a map")]
    NotMap,
    /// A member has the wrong type or an impossible value.
    #[error("the reply's member 0x{0:02x} cannot be read")]
    WrongType(u8),
}

/// A relying party, as a request names it.
#[derive(Clone, Debug, PartialEq)]
pub struct RpEntity {
    /// Its RP ID.
    pub id: RpId,
    /// What it calls itself. Nobody checked that.
    pub name: Option<String>,
}

/// An account, as a request or a response names it.
#[derive(Clone, Debug, PartialEq)]
pub struct UserEntity {
    /// The account's user handle.
    pub id: UserHandle,
    /// The account's name, for a person to tell accounts apart.
    pub name: Option<String>,
    /// The person's name.
    pub display_name: Option<String>,
}

impl UserEntity {
    fn to_map(&self) -> Map {
        Map::new()
            .with("id", self.id.as_bytes())
            .with_some("name", self.name.as_deref())
            .with_some("displayName", self.display_name.as_deref())
    }
}

/// Takes a reply apart: one status byte, then CBOR.
///
/// # Errors
///
/// The status, if it is not OK; [`Status::OTHER`] for an empty reply.
pub fn split_reply(reply: &[u8]) -> Result<&[u8], Status> {
    match reply.split_first() {
        Some((&0, cbor)) => Ok(cbor),
        Some((&status, _)) => Err(Status(status)),
        None => Err(Status::OTHER),
    }
}

/// Cuts a name to 64 bytes at most, at a character's end (CTAP 2.3 §6.1, *truncation*).
pub fn truncate_name(name: &str) -> &str {
    const LONGEST: usize = 64;
    let mut end = name.len().min(LONGEST);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.get(..end).unwrap_or_default()
}
