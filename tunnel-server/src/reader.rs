//! One side's frames, made into those for the other side (`hybrid-transport.md` §5.3).
//!
//! Nothing is copied that need not be: what was read is unmasked where it lies, gets its new heads
//! in the place of the old ones, and is written from there.

use std::ops::Range;

use crate::frame::{FrameError, Head, Kind, MAX_CONTROL, MAX_HEAD, Written, unmask};

/// A frame of up to so many bytes, head included, is passed on when it is whole. Of a longer one
/// what was read goes on at once, as a fragment, so that nobody makes the relay keep more than this.
pub const HELD: usize = 16 * 1024;

/// Bytes that [`Reader::take`] needs before what was read, for the head of a fragment.
pub const BEFORE: usize = MAX_HEAD;

/// Close codes (RFC 6455 §7.4.1).
pub mod code {
    /// The end that was meant.
    pub const NORMAL: u16 = 1000;
    /// The other side vanished.
    pub const AWAY: u16 = 1001;
    /// The frames are none.
    pub const PROTOCOL: u16 = 1002;
    /// A text message.
    pub const UNSUPPORTED: u16 = 1003;
    /// A rule of the relay, or its limit of time, was broken.
    pub const POLICY: u16 = 1008;
    /// Too much in one message.
    pub const SIZE: u16 = 1009;
    /// The relay is going to end.
    pub const RESTART: u16 = 1012;
}

/// What one side may send.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Bytes in a message.
    pub message_bytes: u64,
    /// Messages in all.
    pub messages: u32,
    /// Bytes of messages in all.
    pub bytes: u64,
}

/// How a side's frames end.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Last {
    /// It closed, with this code.
    Closed(Option<u16>),
    /// It broke a rule, and is to be told by this code.
    Broke(u16),
}

/// What was found in the bytes that were read.
#[derive(Debug, Default)]
pub struct Taken {
    /// Where in the buffer lies what is to be written to the other side.
    pub pass: Range<usize>,
    /// Bytes of messages in it, without the heads.
    pub payload: usize,
    /// The answer to the last ping, a whole frame. RFC 6455 §5.5.3 lets the earlier ones go.
    pub pong: Option<Vec<u8>>,
    /// Why nothing after this counts.
    pub last: Option<Last>,
}

/// Reads one side's frames.
#[derive(Debug, Default)]
pub struct Reader {
    /// The begin of a frame that is passed on only when it is whole.
    held: Vec<u8>,
    /// How much of it there must be at least before it is worth another look.
    needed: usize,
    /// What is still to come of a frame that is passed on in parts.
    part: Option<Part>,
    /// The message that was begun.
    open: Option<Open>,
    messages: u32,
    bytes: u64,
}

#[derive(Debug)]
struct Part {
    left: u64,
    mask: [u8; 4],
    last: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Open {
    bytes: u64,
    /// Whether something of it was passed on.
    begun: bool,
}

impl Reader {
    /// A reader that has these bytes already. They count when more is taken, be it nothing.
    pub fn with(early: Vec<u8>) -> Self {
        Self {
            held: early,
            ..Self::default()
        }
    }

    /// Where in the buffer the bytes that come next belong.
    pub fn place(&self) -> usize {
        BEFORE + self.held.len()
    }

    /// Messages that were begun so far.
    pub fn messages(&self) -> u32 {
        self.messages
    }

    /// Bytes of the messages that were begun so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes the bytes that were read to [`Self::place`].
    pub fn take(&mut self, buffer: &mut [u8], read: usize, rules: &Rules) -> Taken {
        let end = self.place() + read;
        let mut taken = Taken::default();
        let Some(new) = buffer.get(self.place()..end) else {
            return taken;
        };
        if self.held.len() + read < self.needed {
            self.held.extend_from_slice(new);
            return taken;
        }
        let held = std::mem::take(&mut self.held);
        if let Some(place) = buffer.get_mut(BEFORE..BEFORE + held.len()) {
            place.copy_from_slice(&held);
        }
        self.needed = 0;
        let mut line = Line {
            bytes: buffer.get_mut(..end).unwrap_or_default(),
            at: BEFORE,
            pass: BEFORE..BEFORE,
            payload: 0,
        };
        let mut ping = None;
        taken.last = self.frames(&mut line, &mut ping, rules).err();
        taken.pong = ping.map(|Ping { bytes, length }| {
            let head = Written::new(true, Kind::Pong, length);
            [head.as_bytes(), bytes.get(..length).unwrap_or_default()].concat()
        });
        taken.pass = line.pass;
        taken.payload = line.payload;
        taken
    }

    fn frames(
        &mut self,
        line: &mut Line<'_>,
        ping: &mut Option<Ping>,
        rules: &Rules,
    ) -> Result<(), Last> {
        if let Some(part) = self.part.take() {
            self.pass_part(line, part);
        }
        while !line.rest().is_empty() {
            let Some((head, length)) = Head::parse(line.rest())? else {
                self.hold(line, line.rest().len() + 1);
                break;
            };
            if !head.kind.is_control() {
                self.check(&head, rules)?;
            }
            let there = u64::try_from(line.rest().len() - length).unwrap_or(u64::MAX);
            let whole = u64::try_from(length).unwrap_or(u64::MAX) + head.length;
            match usize::try_from(whole) {
                Ok(whole) if head.length > there && whole <= HELD => {
                    self.hold(line, whole);
                    break;
                }
                _ => line.at += length,
            }
            if head.kind.is_control() {
                control(&head, line, ping)?;
            } else {
                self.begin(&head);
                let part = Part {
                    left: head.length,
                    mask: head.mask,
                    last: head.last,
                };
                self.pass_part(line, part);
            }
        }
        Ok(())
    }

    fn hold(&mut self, line: &Line<'_>, needed: usize) {
        self.held = line.rest().to_vec();
        self.needed = needed;
    }

    /// Checks a frame of a message before anything of it counts.
    fn check(&self, head: &Head, rules: &Rules) -> Result<(), Last> {
        if self.open.is_some() != (head.kind == Kind::Continuation) {
            return Err(Last::Broke(code::PROTOCOL));
        }
        let message = self
            .open
            .unwrap_or_default()
            .bytes
            .saturating_add(head.length);
        if message > rules.message_bytes {
            return Err(Last::Broke(code::SIZE));
        }
        if message == 0 && head.last {
            return Err(Last::Broke(code::PROTOCOL));
        }
        let more = self.open.is_none() && self.messages >= rules.messages;
        if more || self.bytes.saturating_add(head.length) > rules.bytes {
            return Err(Last::Broke(code::POLICY));
        }
        Ok(())
    }

    fn begin(&mut self, head: &Head) {
        if self.open.is_none() {
            self.messages += 1;
        }
        let open = self.open.get_or_insert_default();
        open.bytes = open.bytes.saturating_add(head.length);
        self.bytes = self.bytes.saturating_add(head.length);
    }

    /// Passes on what is there of a frame, and keeps in mind what is not.
    fn pass_part(&mut self, line: &mut Line<'_>, part: Part) {
        let there = line.rest().len();
        let (length, left) = match usize::try_from(part.left) {
            Ok(whole) if whole <= there => (whole, 0),
            _ => (there, part.left - u64::try_from(there).unwrap_or(0)),
        };
        let last = part.last && left == 0;
        let mut open = self.open.unwrap_or_default();
        let mask = line.unmask(length, part.mask);
        if length > 0 || last {
            let kind = if open.begun {
                Kind::Continuation
            } else {
                Kind::Binary
            };
            line.pass(last, kind, length);
            open.begun = true;
        } else {
            line.at += length;
        }
        self.open = (!last).then_some(open);
        if left > 0 {
            self.part = Some(Part { left, mask, ..part });
        }
    }
}

impl From<FrameError> for Last {
    fn from(error: FrameError) -> Self {
        Self::Broke(match error {
            FrameError::Text => code::UNSUPPORTED,
            _ => code::PROTOCOL,
        })
    }
}

/// What the newest ping said: where it lay other things are put.
struct Ping {
    bytes: [u8; MAX_CONTROL],
    length: usize,
}

/// Takes a whole control frame whose payload is next.
fn control(head: &Head, line: &mut Line<'_>, ping: &mut Option<Ping>) -> Result<(), Last> {
    let length = usize::try_from(head.length).unwrap_or(0);
    line.unmask(length, head.mask);
    let payload = line.rest().get(..length).unwrap_or_default();
    match head.kind {
        Kind::Close => return Err(close(payload)),
        Kind::Ping => {
            let mut bytes = [0; MAX_CONTROL];
            if let Some(place) = bytes.get_mut(..length) {
                place.copy_from_slice(payload);
            }
            *ping = Some(Ping { bytes, length });
        }
        _ => {}
    }
    line.at += length;
    Ok(())
}

/// Reads a close frame's payload (RFC 6455 §5.5.1, §7.4).
fn close(payload: &[u8]) -> Last {
    match payload.split_first_chunk() {
        None if payload.is_empty() => Last::Closed(None),
        Some((&code, reason)) if std::str::from_utf8(reason).is_ok() => {
            match u16::from_be_bytes(code) {
                code @ (1000..=1003 | 1007..=1014 | 3000..=4999) => Last::Closed(Some(code)),
                _ => Last::Broke(code::PROTOCOL),
            }
        }
        _ => Last::Broke(code::PROTOCOL),
    }
}

/// The bytes on their way from their old heads to their new ones.
struct Line<'a> {
    bytes: &'a mut [u8],
    /// What lies before is done with.
    at: usize,
    pass: Range<usize>,
    payload: usize,
}

impl Line<'_> {
    fn rest(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn unmask(&mut self, length: usize, mask: [u8; 4]) -> [u8; 4] {
        match self.bytes.get_mut(self.at..self.at + length) {
            Some(payload) => unmask(payload, mask),
            None => mask,
        }
    }

    /// Adds the next bytes to what is passed on, under a head of their own.
    fn pass(&mut self, last: bool, kind: Kind, length: usize) {
        let head = Written::new(last, kind, length);
        let head = head.as_bytes();
        let payload = self.at..self.at + length;
        self.at = payload.end;
        // A server's head is four bytes shorter than the client's that it replaces, or there is
        // [`BEFORE`], so the place of the head ends where the payload begins or before.
        let place = if self.pass.is_empty() {
            payload.start.saturating_sub(head.len())
        } else {
            self.pass.end
        };
        let body = place + head.len();
        if let Some(place) = self.bytes.get_mut(place..body) {
            place.copy_from_slice(head);
        }
        if body < payload.start {
            self.bytes.copy_within(payload, body);
        }
        if self.pass.is_empty() {
            self.pass.start = place;
        }
        self.pass.end = body + length;
        self.payload += length;
    }
}

#[cfg(test)]
mod tests;
