//! Where messages begin and end in what a data channel delivers (`hybrid-transport.md` §5.3, §9.2).
//!
//! A WebSocket keeps messages apart. Of Bluetooth's L2CAP channel it is not settled how messages lie in
//! its service data units (SDUs): some end each message with the bytes `0d 0a`, some take each SDU for a
//! message, and a message that is longer than the peer's SDUs comes in several. What is here understands
//! all of them, because only one cut of what came is a message of this ceremony.

use thiserror::Error;

use super::data_channel::DataChannel;
use super::handshake::MESSAGE_LENGTH;

/// What may end a message in an L2CAP channel.
const TERMINATOR: [u8; 2] = *b"\r\n";
/// How many bytes are tried in vain before a message must be found: enough for one of 128 KiB in SDUs of
/// 512 bytes, if each of them could be the last.
const MOST_TRIED: usize = 16 * 1024 * 1024;

/// What came holds no message of this ceremony, and no more bytes will change that.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[error("what came over Bluetooth is no message of this ceremony")]
pub struct FramingError;

/// How messages lie in the pieces that a data channel carries.
pub trait Framing {
    /// Makes the piece that carries a message.
    fn wrap(&self, message: Vec<u8>) -> Vec<u8>;

    /// Takes a piece that came.
    fn push(&mut self, piece: &[u8]);

    /// Cuts off the next message, if it is here as a whole. A message has at most `longest` bytes, and it
    /// is one if `is_message` says so.
    ///
    /// # Errors
    ///
    /// [`FramingError`], if no message can come of this any more.
    fn cut(
        &mut self,
        longest: usize,
        is_message: &dyn Fn(&[u8]) -> bool,
    ) -> Result<Option<Vec<u8>>, FramingError>;
}

impl DataChannel {
    /// Returns the framing of this channel, at its beginning.
    pub fn framing(self) -> Box<dyn Framing + Send> {
        match self {
            Self::WebSocket => Box::new(Whole::default()),
            Self::Ble => Box::new(Sdus::default()),
        }
    }
}

/// Whether a message can be of this length: those of the handshake are, and what is padded as usual.
fn is_usual(length: usize) -> bool {
    length == MESSAGE_LENGTH || length % 32 == 16
}

/// Each piece is a message.
#[derive(Debug, Default)]
pub struct Whole(Option<Vec<u8>>);

impl Framing for Whole {
    fn wrap(&self, message: Vec<u8>) -> Vec<u8> {
        message
    }

    fn push(&mut self, piece: &[u8]) {
        self.0 = Some(piece.to_vec());
    }

    fn cut(
        &mut self,
        _longest: usize,
        _is_message: &dyn Fn(&[u8]) -> bool,
    ) -> Result<Option<Vec<u8>>, FramingError> {
        Ok(self.0.take())
    }
}

/// Messages in the SDUs of an L2CAP channel, with or without a terminator.
#[derive(Debug, Default)]
pub struct Sdus {
    /// What came and belongs to no message yet.
    bytes: Vec<u8>,
    /// Where SDUs end in it.
    ends: Vec<usize>,
    /// Up to here no cut is a message.
    tried: usize,
    /// How many bytes were tried in vain.
    effort: usize,
}

impl Sdus {
    fn is_terminated_at(&self, end: usize) -> bool {
        self.bytes
            .get(end..)
            .is_some_and(|rest| rest.starts_with(&TERMINATOR))
    }

    /// Takes a message out, and its terminator if that is in the same SDU.
    fn take(&mut self, start: usize, end: usize) -> Vec<u8> {
        let at_end = self.ends.binary_search(&end).is_ok();
        let rest = match !at_end && self.is_terminated_at(end) {
            true => end + TERMINATOR.len(),
            false => end,
        };
        let message = self.bytes.drain(..rest).skip(start).take(end - start);
        let message = message.collect();
        self.ends.retain(|end| *end > rest);
        for end in &mut self.ends {
            *end -= rest;
        }
        (self.tried, self.effort) = (0, 0);
        message
    }

    /// Whether more bytes cannot help: a terminator where a padded message ends, but none that is ours.
    fn is_over(&self, longest: usize) -> bool {
        let ended = self.bytes.strip_suffix(&TERMINATOR);
        ended.is_some_and(|bytes| is_usual(bytes.len()))
            || self.bytes.len() > longest + 2 * TERMINATOR.len()
            || self.effort > MOST_TRIED
    }

    /// Tries all that may lie before this end.
    fn try_end(
        &mut self,
        end: usize,
        longest: usize,
        is_message: &dyn Fn(&[u8]) -> bool,
    ) -> Option<Vec<u8>> {
        let terminated = self.is_terminated_at(end);
        if !terminated && self.ends.binary_search(&end).is_err() {
            return None;
        }
        // A terminator that came in an SDU of its own is in front of the next message.
        let starts = 1 + usize::from(self.is_terminated_at(0));
        for start in [0, TERMINATOR.len()].into_iter().take(starts) {
            let candidate = self.bytes.get(start..end).unwrap_or_default();
            let length = candidate.len();
            if length == 0 || length > longest || !(terminated || is_usual(length)) {
                continue;
            }
            if is_message(candidate) {
                return Some(self.take(start, end));
            }
            self.effort += length;
        }
        None
    }
}

impl Framing for Sdus {
    fn wrap(&self, mut message: Vec<u8>) -> Vec<u8> {
        message.extend_from_slice(&TERMINATOR);
        message
    }

    fn push(&mut self, piece: &[u8]) {
        self.bytes.extend_from_slice(piece);
        self.ends.push(self.bytes.len());
    }

    fn cut(
        &mut self,
        longest: usize,
        is_message: &dyn Fn(&[u8]) -> bool,
    ) -> Result<Option<Vec<u8>>, FramingError> {
        for end in self.tried..=self.bytes.len() {
            if let Some(message) = self.try_end(end, longest, is_message) {
                return Ok(Some(message));
            }
            if self.effort > MOST_TRIED {
                break;
            }
        }
        // The last byte may be the first half of a terminator.
        self.tried = self.bytes.len().saturating_sub(1);
        match self.is_over(longest) {
            true => Err(FramingError),
            false => Ok(None),
        }
    }
}
