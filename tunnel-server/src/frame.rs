//! The heads of WebSocket frames (RFC 6455 §5.2), as a server reads and writes them.

use thiserror::Error;

/// Bytes that the longest head of a client's frame has, and of a server's, which carries no mask.
pub const MAX_MASKED_HEAD: usize = 14;
/// See [`MAX_MASKED_HEAD`].
pub const MAX_HEAD: usize = 10;

/// Bytes that the payload of a control frame may have (RFC 6455 §5.5).
pub const MAX_CONTROL: usize = 125;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// A further part of a message.
    Continuation,
    /// The first part of a binary message.
    Binary,
    /// The last frame of a side.
    Close,
    /// Asks for a pong.
    Ping,
    /// Answers a ping, or tells that its sender lives.
    Pong,
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xA,
        }
    }

    /// Whether the frame speaks of the connection and is no part of a message.
    pub fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// Why a frame cannot be one of a client's.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum FrameError {
    /// A control frame in parts, or with more than [`MAX_CONTROL`] bytes.
    #[error("a control frame is not a small whole")]
    Control,
    /// A length that is not written in the shortest form, or is beyond 63 bits.
    #[error("a length is not in its form")]
    Length,
    /// An extension's bits are set, and none was agreed upon.
    #[error("reserved bits are set")]
    Reserved,
    /// A text message, which this protocol does not have.
    #[error("a text message")]
    Text,
    /// A kind of frame that is not defined.
    #[error("a frame of an unknown kind")]
    Unknown,
    /// A client must mask what it sends.
    #[error("a frame without a mask")]
    Unmasked,
}

/// The head of a frame from a client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Head {
    /// Whether this frame ends its message.
    pub last: bool,
    /// What the frame is.
    pub kind: Kind,
    /// Bytes of payload.
    pub length: u64,
    /// What the payload is masked with.
    pub mask: [u8; 4],
}

impl Head {
    /// Reads a head, and returns it with the number of bytes that it has; `None` if it is not all
    /// there. What is wrong already is told before.
    ///
    /// # Errors
    ///
    /// [`FrameError`].
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, FrameError> {
        let Some((&first, rest)) = bytes.split_first() else {
            return Ok(None);
        };
        let (last, kind) = parse_first(first)?;
        let Some((&second, rest)) = rest.split_first() else {
            return Ok(None);
        };
        if second & 0x80 == 0 {
            return Err(FrameError::Unmasked);
        }
        let short = second & 0x7F;
        if kind.is_control() && (!last || usize::from(short) > MAX_CONTROL) {
            return Err(FrameError::Control);
        }
        let Some((length, rest)) = parse_length(short, rest)? else {
            return Ok(None);
        };
        let Some((&mask, rest)) = rest.split_first_chunk() else {
            return Ok(None);
        };
        let head = Self {
            last,
            kind,
            length,
            mask,
        };
        Ok(Some((head, bytes.len() - rest.len())))
    }
}

fn parse_first(byte: u8) -> Result<(bool, Kind), FrameError> {
    if byte & 0x70 != 0 {
        return Err(FrameError::Reserved);
    }
    let kind = match byte & 0x0F {
        0x0 => Kind::Continuation,
        0x1 => return Err(FrameError::Text),
        0x2 => Kind::Binary,
        0x8 => Kind::Close,
        0x9 => Kind::Ping,
        0xA => Kind::Pong,
        _ => return Err(FrameError::Unknown),
    };
    Ok((byte & 0x80 != 0, kind))
}

fn parse_length(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, FrameError> {
    let (length, least, rest) = match short {
        126 => {
            let Some((&bytes, rest)) = rest.split_first_chunk() else {
                return Ok(None);
            };
            (u64::from(u16::from_be_bytes(bytes)), 126, rest)
        }
        127 => {
            let Some((&bytes, rest)) = rest.split_first_chunk() else {
                return Ok(None);
            };
            (u64::from_be_bytes(bytes), 1 << 16, rest)
        }
        short => (u64::from(short), 0, rest),
    };
    if length < least || length >> 63 != 0 {
        return Err(FrameError::Length);
    }
    Ok(Some((length, rest)))
}

/// The head of a server's frame.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    bytes: [u8; MAX_HEAD],
    length: usize,
}

impl Written {
    /// Writes the head of a frame with so many bytes of payload.
    pub fn new(last: bool, kind: Kind, payload: usize) -> Self {
        let mut bytes = [0; MAX_HEAD];
        bytes[0] = if last { 0x80 } else { 0 } | kind.code();
        let length = if let Ok(short @ 0..126) = u8::try_from(payload) {
            bytes[1] = short;
            2
        } else if let Ok(middle) = u16::try_from(payload) {
            bytes[1] = 126;
            bytes[2..4].copy_from_slice(&middle.to_be_bytes());
            4
        } else {
            bytes[1] = 127;
            let long = u64::try_from(payload).unwrap_or(u64::MAX);
            bytes[2..].copy_from_slice(&long.to_be_bytes());
            MAX_HEAD
        };
        Self { bytes, length }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// Takes the mask off a payload, and returns the mask for the byte after it.
pub fn unmask(payload: &mut [u8], mask: [u8; 4]) -> [u8; 4] {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
    let mut next = mask;
    next.rotate_left(payload.len() % 4);
    next
}

#[cfg(test)]
mod tests;
