//! The encrypted channel after the handshake: AES-256-GCM with a counter, and padding
//! (`hybrid-transport.md` §6.3).

use core::fmt;

use aes_gcm::aead::{Aead, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

/// The most bytes of one frame: 1 MiB, and room for its wrapping. Relays take as much.
pub const MAX_FRAME: usize = 1024 * 1024 + 64 * 1024;

/// The most bytes of one message, which padding and tag make a frame.
pub const MAX_MESSAGE: usize = MAX_FRAME - GRANULE - TAG;

/// The granule to which messages are padded.
const GRANULE: usize = 32;
const TAG: usize = 16;
/// The last counter value that Chromium uses.
const MAX_COUNTER: u32 = (1 << 24) - 1;

/// Why a message cannot be sent, which leaves the channel as it is, or not be read, which ends it.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum ChannelError {
    /// An earlier message failed.
    #[error("the channel failed before")]
    Failed,
    /// The frame is altered, repeated, out of order, or of another channel.
    #[error("the message is not of this channel, or not the next one")]
    Forged,
    /// The padding says more than there is.
    #[error("the message's padding is impossible")]
    Padding,
    /// The message is larger than [`MAX_MESSAGE`], or the frame than [`MAX_FRAME`].
    #[error("the message is too large")]
    TooLarge,
    /// Too many messages for one channel.
    #[error("the channel has sent all the messages that it may")]
    TooMany,
}

/// One direction: a key and how many messages it has seen.
pub(super) struct TrafficKey {
    cipher: Aes256Gcm,
    counter: u32,
}

impl TrafficKey {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self {
            cipher: Aes256Gcm::new(key.into()),
            counter: 0,
        }
    }

    fn at(key: &[u8; 32], counter: u32) -> Self {
        Self {
            counter,
            ..Self::new(key)
        }
    }

    fn nonce(&self) -> Result<[u8; 12], ChannelError> {
        if self.counter > MAX_COUNTER {
            return Err(ChannelError::TooMany);
        }
        let mut nonce = [0; 12];
        for (byte, part) in nonce.iter_mut().skip(8).zip(self.counter.to_be_bytes()) {
            *byte = part;
        }
        Ok(nonce)
    }
}

/// Both directions. The traffic keys are wiped from memory with it.
pub struct SecureChannel {
    send: TrafficKey,
    receive: TrafficKey,
    failed: bool,
}

impl SecureChannel {
    pub(super) fn new(send: TrafficKey, receive: TrafficKey) -> Self {
        Self {
            send,
            receive,
            failed: false,
        }
    }

    /// Makes a channel from keys that are known otherwise, for tests of recorded traffic.
    pub fn from_keys(send: &[u8; 32], receive: &[u8; 32]) -> Self {
        Self::from_keys_at(send, receive, 0)
    }

    /// The same, after this many messages in each direction.
    pub fn from_keys_at(send: &[u8; 32], receive: &[u8; 32], counter: u32) -> Self {
        Self::new(
            TrafficKey::at(send, counter),
            TrafficKey::at(receive, counter),
        )
    }

    /// Pads and encrypts the next message.
    ///
    /// # Errors
    ///
    /// [`ChannelError::TooLarge`], [`ChannelError::TooMany`] and [`ChannelError::Failed`].
    pub fn seal(&mut self, message: &[u8]) -> Result<Vec<u8>, ChannelError> {
        if message.len() > MAX_MESSAGE {
            return Err(ChannelError::TooLarge);
        }
        let mut padded = pad(message);
        let sealed = self.seal_padded(&padded);
        padded.zeroize();
        sealed
    }

    /// Encrypts the next message with whatever padding it has, for tests of how others pad.
    ///
    /// # Errors
    ///
    /// As for [`Self::seal`].
    pub fn seal_padded(&mut self, padded: &[u8]) -> Result<Vec<u8>, ChannelError> {
        if self.failed {
            return Err(ChannelError::Failed);
        }
        let nonce = self.send.nonce()?;
        let sealed = self.send.cipher.encrypt(Nonce::from_slice(&nonce), padded);
        self.send.counter += 1;
        sealed.map_err(|_| ChannelError::TooLarge)
    }

    /// Decrypts the next message and takes its padding away.
    ///
    /// # Errors
    ///
    /// [`ChannelError`]; each of them ends the channel.
    pub fn open(&mut self, frame: &[u8]) -> Result<Vec<u8>, ChannelError> {
        if self.failed {
            return Err(ChannelError::Failed);
        }
        let opened = self.open_next(frame);
        self.failed = opened.is_err();
        opened
    }

    /// Returns whether this is the next message, which changes nothing.
    pub fn recognizes(&self, frame: &[u8]) -> bool {
        let Ok(nonce) = self.receive.nonce() else {
            return false;
        };
        let opened = self
            .receive
            .cipher
            .decrypt(Nonce::from_slice(&nonce), frame)
            .map(Zeroizing::new);
        !self.failed && opened.is_ok()
    }

    fn open_next(&mut self, frame: &[u8]) -> Result<Vec<u8>, ChannelError> {
        if frame.len() > MAX_FRAME {
            return Err(ChannelError::TooLarge);
        }
        let nonce = self.receive.nonce()?;
        let padded = self
            .receive
            .cipher
            .decrypt(Nonce::from_slice(&nonce), frame);
        let message = unpad(padded.map_err(|_| ChannelError::Forged)?)?;
        self.receive.counter += 1;
        Ok(message)
    }
}

impl fmt::Debug for SecureChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecureChannel")
    }
}

/// Adds zeros and their number, so that 32 divides the length.
fn pad(message: &[u8]) -> Vec<u8> {
    let length = (message.len() / GRANULE + 1) * GRANULE;
    let zeros = length - message.len() - 1;
    let mut padded = Vec::with_capacity(length);
    padded.extend_from_slice(message);
    padded.resize(length - 1, 0);
    // There are fewer than 32.
    padded.push(u8::try_from(zeros).unwrap_or(u8::MAX));
    padded
}

/// Goes by the last byte alone: not every implementation pads to a multiple of 32.
fn unpad(mut padded: Vec<u8>) -> Result<Vec<u8>, ChannelError> {
    let zeros = usize::from(*padded.last().ok_or(ChannelError::Padding)?);
    let length = padded
        .len()
        .checked_sub(zeros + 1)
        .ok_or(ChannelError::Padding)?;
    padded.truncate(length);
    Ok(padded)
}
