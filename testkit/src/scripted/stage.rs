use core::time::Duration;
use std::collections::VecDeque;

use handfast_proto::Now;
use handfast_proto::hybrid::channel::SecureChannel;
use handfast_proto::hybrid::{ApiMisuse, ChannelFailure, Closed, DataChannel};
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRngCore, SeedableRng};

use super::{Record, ScriptError, Step};

/// What a ceremony wants done.
pub(super) enum Act {
    Advert(Vec<u8>),
    Close,
    Link,
    Open,
    Other,
    Radio(bool),
    Send(Vec<u8>),
}

/// What both ceremonies have in common.
pub(super) trait Machine {
    type Event;

    fn opened(&mut self, at: DataChannel, rng: &mut ChaCha20Rng, now: Now);
    fn linked(&mut self, now: Now) -> Option<()>;
    fn refused(
        &mut self,
        at: DataChannel,
        failure: ChannelFailure,
        rng: &mut ChaCha20Rng,
        now: Now,
    );
    fn frame(&mut self, at: DataChannel, frame: &[u8], rng: &mut dyn CryptoRngCore, now: Now);
    fn closed(&mut self, at: DataChannel, closed: Closed, rng: &mut ChaCha20Rng, now: Now);
    fn timeout(&mut self, rng: &mut ChaCha20Rng, now: Now);
    fn deadline(&self) -> Option<Duration>;
    fn ask(&mut self, request: Vec<u8>, now: Now) -> Option<Result<(), ApiMisuse>>;
    fn answer(&mut self, reply: Vec<u8>, now: Now) -> Option<Result<(), ApiMisuse>>;
    fn introduce(&mut self, introduction: &[u8]) -> Option<Result<(), ApiMisuse>>;
    fn shutdown(&mut self, now: Now) -> Option<()>;
    fn cancel(&mut self, now: Now);
    fn next_action(&mut self) -> Option<Act>;
    fn next_event(&mut self) -> Option<Self::Event>;
}

/// A ceremony, its clock, and the scripted side's end of the channel.
pub(super) struct Stage<M: Machine> {
    pub(super) machine: M,
    pub(super) record: Record<M::Event>,
    pub(super) channel: Option<SecureChannel>,
    pub(super) rng: ChaCha20Rng,
    pub(super) now: Now,
    /// The channel on which the peer is.
    at: DataChannel,
    inbox: VecDeque<Vec<u8>>,
}

impl<M: Machine> Stage<M> {
    pub(super) fn new(machine: M, rng: ChaCha20Rng, now: Now) -> Self {
        let mut stage = Self {
            machine,
            record: Record::default(),
            channel: None,
            rng,
            now,
            at: DataChannel::WebSocket,
            inbox: VecDeque::new(),
        };
        stage.drain();
        stage
    }

    /// Does a step that has nothing to do with a handshake.
    pub(super) fn step(&mut self, step: Step) -> Result<(), ScriptError> {
        let now = self.now;
        match step {
            Step::Answer(reply) => {
                let done = self.machine.answer(reply, now);
                self.misuse(done.ok_or(ScriptError::Misplaced)?);
            }
            Step::Ask(request) => {
                let done = self.machine.ask(request, now);
                self.misuse(done.ok_or(ScriptError::Misplaced)?);
            }
            Step::Introduce(introduction) => {
                let done = self.machine.introduce(&introduction);
                self.misuse(done.ok_or(ScriptError::Misplaced)?);
            }
            Step::Shutdown => {
                let done = self.machine.shutdown(now);
                done.ok_or(ScriptError::Misplaced)?;
            }
            Step::Cancel => self.machine.cancel(now),
            Step::Open => self.machine.opened(self.at, &mut self.rng, now),
            Step::Link => self.machine.linked(now).ok_or(ScriptError::Misplaced)?,
            Step::Refuse(failure) => {
                self.machine.refused(self.at, failure, &mut self.rng, now);
            }
            Step::Close(closed) => self.machine.closed(self.at, closed, &mut self.rng, now),
            Step::Use(channel) => self.at = channel,
            Step::Wait(time) => self.wait(time),
            Step::Frame(frame) => self.say(&frame),
            Step::Plain(message) => {
                let frame = self.seal(&message)?;
                self.say(&frame);
            }
            Step::Send(message) => {
                let frame = self.seal(&message.encode())?;
                self.say(&frame);
            }
            Step::Padded(padded) => {
                let frame = self.channel()?.seal_padded(&padded)?;
                self.say(&frame);
            }
            Step::Expect => {
                let frame = self.take()?;
                let message = self.channel()?.open(&frame)?;
                self.record.messages.push(message);
            }
            Step::Advertise | Step::Handshake => return Err(ScriptError::Misplaced),
        }
        self.drain();
        Ok(())
    }

    pub(super) fn seal(&mut self, message: &[u8]) -> Result<Vec<u8>, ScriptError> {
        Ok(self.channel()?.seal(message)?)
    }

    /// Gives the machine a frame.
    pub(super) fn say(&mut self, frame: &[u8]) {
        self.machine.frame(self.at, frame, &mut self.rng, self.now);
        self.drain();
    }

    /// Takes the machine's next frame.
    pub(super) fn take(&mut self) -> Result<Vec<u8>, ScriptError> {
        self.inbox.pop_front().ok_or(ScriptError::NothingCame)
    }

    fn channel(&mut self) -> Result<&mut SecureChannel, ScriptError> {
        self.channel.as_mut().ok_or(ScriptError::Misplaced)
    }

    fn misuse(&mut self, done: Result<(), ApiMisuse>) {
        self.record.misuse.extend(done.err());
    }

    /// Lets time pass, with all timeouts on the way.
    fn wait(&mut self, time: Duration) {
        let end = self.now.monotonic + time;
        self.time_out_until(Some(end));
        self.now.monotonic = end;
    }

    /// Lets time pass until the machine waits for nothing any more.
    pub(super) fn rest(&mut self) {
        self.time_out_until(None);
    }

    fn time_out_until(&mut self, end: Option<Duration>) {
        // Every timeout brings a ceremony nearer to its end; more than this many would be a fault.
        for _ in 0..100 {
            let deadline = self.machine.deadline();
            let Some(deadline) = deadline.filter(|at| end.is_none_or(|end| *at <= end)) else {
                return;
            };
            self.now.monotonic = self.now.monotonic.max(deadline);
            self.machine.timeout(&mut self.rng, self.now);
            self.drain();
        }
    }

    pub(super) fn drain(&mut self) {
        while let Some(act) = self.machine.next_action() {
            match act {
                Act::Advert(advert) => {
                    self.record.adverts.push(advert);
                    self.record.radio = true;
                }
                Act::Close => self.record.closed += 1,
                Act::Link => self.record.linked += 1,
                Act::Open => self.record.opened += 1,
                Act::Other => {}
                Act::Radio(on) => self.record.radio = on,
                Act::Send(frame) => {
                    self.record.frames.push(frame.clone());
                    self.inbox.push_back(frame);
                }
            }
        }
        while let Some(event) = self.machine.next_event() {
            self.record.events.push(event);
        }
    }
}

/// The scripted side's randomness: not the machine's, though of the same seed.
pub(super) fn other_stream(seed: u64) -> ChaCha20Rng {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    rng.set_stream(3);
    rng
}

/// When every script begins.
pub(super) const START: Now = Now {
    monotonic: Duration::ZERO,
    unix: 1_790_000_000,
};

/// Where a phone takes Bluetooth connections.
pub(super) const PSM: u16 = 0x81;

/// Returns the message of a frame.
pub(super) fn bare(at: DataChannel, mut frame: Vec<u8>) -> Vec<u8> {
    if at == DataChannel::Ble {
        frame.truncate(frame.len().saturating_sub(2));
    }
    frame
}
