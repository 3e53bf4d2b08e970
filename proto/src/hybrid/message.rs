//! What goes through the channel: the post-handshake message, then typed messages
//! (`hybrid-transport.md` §7).

use thiserror::Error;

use crate::cbor::{self, AUTH_DATA_DEPTH, DecodeError, Map, Value};
use crate::ctap2::get_info::INTRODUCTIONS;

/// The most bytes of an update message before it is padded, its type byte included. Updates fill it but
/// for two bytes at most, which padding hides: the relay cannot see what one carries.
const UPDATE_LENGTH: usize = 511;

/// Why a message cannot be read. Each ends the ceremony.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum MessageError {
    /// It is not canonical CBOR.
    #[error("the message is not canonical CBOR: {0}")]
    Cbor(#[from] DecodeError),
    /// Nothing at all.
    #[error("the message is empty")]
    Empty,
    /// The phone speaks CTAP and does not say what it is.
    #[error("the phone sent no authenticator information")]
    NoGetInfo,
    /// The phone does not speak CTAP.
    #[error("the phone does not serve passkeys")]
    NoCtap,
    /// It is not a map.
    #[error("the message is not a map")]
    NotMap,
    /// The older form of the protocol, in which messages have no type.
    #[error("the phone speaks an older form of the protocol")]
    Revision0,
    /// A message type that nobody knows.
    #[error("the message has an unknown type")]
    UnknownType,
    /// A member has the wrong type.
    #[error("a member of the message has the wrong type")]
    WrongType,
}

/// A typed message.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// 1: a CTAP request or reply.
    Ctap(Vec<u8>),
    /// 3: JSON.
    Json(Vec<u8>),
    /// 0: no more requests will come.
    Shutdown,
    /// 2: linking data of a phone, or an introduction of a client, perhaps.
    Update(Vec<u8>),
}

impl Message {
    /// Takes the type byte off.
    ///
    /// # Errors
    ///
    /// [`MessageError::Empty`] and [`MessageError::UnknownType`].
    pub fn parse(bytes: &[u8]) -> Result<Self, MessageError> {
        let (&kind, content) = bytes.split_first().ok_or(MessageError::Empty)?;
        match kind {
            0 => Ok(Self::Shutdown),
            1 => Ok(Self::Ctap(content.to_vec())),
            2 => Ok(Self::Update(content.to_vec())),
            3 => Ok(Self::Json(content.to_vec())),
            _ => Err(MessageError::UnknownType),
        }
    }

    /// Puts the type byte in front.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, content) = match self {
            Self::Shutdown => (0, &[][..]),
            Self::Ctap(content) => (1, content.as_slice()),
            Self::Update(content) => (2, content.as_slice()),
            Self::Json(content) => (3, content.as_slice()),
        };
        [&[kind], content].concat()
    }

    /// Returns an update that says nothing, of the size of one that does.
    pub fn empty_update() -> Self {
        Self::update(Map::new()).unwrap_or(Self::Update(Vec::new()))
    }

    /// Returns an update by which a client introduces itself (`docs/introductions.md`); nothing if the
    /// introduction is too long for one.
    pub fn introduction(introduction: &[u8]) -> Option<Self> {
        Self::update(Map::new().with(INTRODUCTIONS, introduction))
    }

    /// Fills an update with zeros.
    fn update(content: Map) -> Option<Self> {
        let padded = |zeros| content.clone().with(0, vec![0; zeros]).encode();
        // The type byte, and what the head of the zeros may grow by with their number.
        let free = UPDATE_LENGTH.checked_sub(3 + padded(0).len())?;
        Some(Self::Update(padded(free)))
    }
}

/// Returns the introduction in the content of an update, if there is one.
pub(super) fn introduction_in(update: &[u8]) -> Option<Vec<u8>> {
    let map = cbor::decode(update).ok()?.into_map()?;
    Some(map.text(INTRODUCTIONS)?.as_bytes()?.to_vec())
}

/// The first message of the phone; it has no type byte.
#[derive(Clone, Debug, PartialEq)]
pub struct PostHandshake {
    /// The answer of authenticatorGetInfo, without a status byte.
    pub get_info: Vec<u8>,
    /// What the phone can do, `ctap` among it.
    pub features: Vec<String>,
}

impl PostHandshake {
    /// Reads the message of a phone that serves passkeys.
    ///
    /// # Errors
    ///
    /// [`MessageError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, MessageError> {
        let value = match cbor::decode_with_depth(bytes, AUTH_DATA_DEPTH) {
            Err(DecodeError::TrailingBytes) => return Err(MessageError::Revision0),
            decoded => decoded?,
        };
        let map = value.into_map().ok_or(MessageError::NotMap)?;
        let features = match map.int(3) {
            Some(features) => {
                let features = features.as_array().ok_or(MessageError::WrongType)?;
                features
                    .iter()
                    .filter_map(Value::as_text)
                    .map(str::to_owned)
                    .collect()
            }
            None => vec!["ctap".to_owned()],
        };
        if !features.iter().any(|feature| feature == "ctap") {
            return Err(MessageError::NoCtap);
        }
        let get_info = map.int(1).ok_or(MessageError::NoGetInfo)?;
        let get_info = get_info.as_bytes().ok_or(MessageError::WrongType)?.to_vec();
        Ok(Self { get_info, features })
    }

    /// Returns the message, with the features sorted.
    pub fn encode(&self) -> Vec<u8> {
        let mut features = self.features.clone();
        features.sort();
        let features: Vec<Value> = features.into_iter().map(Value::from).collect();
        Map::new()
            .with(1, self.get_info.as_slice())
            .with(3, features)
            .encode()
    }
}
