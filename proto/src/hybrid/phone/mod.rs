//! The phone's ceremony: answer a QR code with an advert, meet the client, serve its requests.

mod approach;
mod told;
mod ways;

use core::fmt;
use core::time::Duration;
use std::collections::VecDeque;

use rand_core::CryptoRngCore;

use super::ceremony::{
    ApiMisuse, CeremonyError, ChannelFailure, Closed, PeerMisbehaved, TimedOut, Unanswerable,
};
use super::channel::{MAX_FRAME, MAX_MESSAGE, SecureChannel};
use super::data_channel::{DataChannel, DataChannels};
use super::framing::Framing;
use super::handshake::{MESSAGE_LENGTH, respond};
use super::keys::Psk;
use super::message::{Message, introduction_in};
use super::qr::{Hint, ScannedInvitation};
use crate::Now;
use crate::ctap2::Status;
use ways::Ways;

pub use told::{PhoneAction, PhoneConfig, PhoneEvent};

/// Tunnel domains from here on are hashed: everybody can know them.
const FIRST_HASHED: u16 = 256;

/// One ceremony as a phone sees it.
///
/// Report what happens with `handle_*`, give commands with the plain verbs, and after each drain
/// [`Self::poll_action`] and [`Self::poll_event`]; then sleep until [`Self::poll_timeout`].
pub struct PhoneCeremony {
    config: PhoneConfig,
    hint: Hint,
    state: State,
    ways: Ways,
    /// The channel on which a computer has come.
    channel: DataChannel,
    tunnel_framing: Box<dyn Framing + Send>,
    ble_framing: Box<dyn Framing + Send>,
    answered: bool,
    introduced: bool,
    actions: VecDeque<PhoneAction>,
    events: VecDeque<PhoneEvent>,
    deadline: Option<Duration>,
}

enum State {
    Connecting {
        invitation: Box<ScannedInvitation>,
    },
    Advertising {
        invitation: Box<ScannedInvitation>,
        psk: Psk,
    },
    Ready {
        channel: Box<SecureChannel>,
    },
    Answering {
        channel: Box<SecureChannel>,
    },
    Closed,
}

impl PhoneCeremony {
    /// Begins to answer an invitation. Its person's scanning was the gesture that allows it.
    ///
    /// # Errors
    ///
    /// [`Unanswerable`] if client and phone cannot meet, however near they are.
    pub fn start(
        config: PhoneConfig,
        invitation: ScannedInvitation,
        now: Now,
    ) -> Result<Self, Unanswerable> {
        let common = config.channels.common(invitation.channels());
        let mut channels = common.ok_or(Unanswerable::NoCommonChannel)?;
        let number = config.domain.0;
        if number < FIRST_HASHED && u64::from(number) >= invitation.assigned_domains() {
            channels = channels
                .common(DataChannels::Ble)
                .ok_or(Unanswerable::UnknownRelay)?;
        }
        let mut actions = VecDeque::new();
        if channels.contain(DataChannel::WebSocket) {
            actions.push_back(PhoneAction::OpenTunnel {
                domain: config.domain,
                tunnel: invitation.secret.tunnel_id(),
            });
        }
        if channels.contain(DataChannel::Ble) {
            actions.push_back(PhoneAction::ListenBle);
        }
        let mut ceremony = Self {
            hint: invitation.hint(),
            state: State::Connecting {
                invitation: Box::new(invitation),
            },
            ways: Ways::new(channels),
            channel: match channels {
                DataChannels::Ble => DataChannel::Ble,
                _ => DataChannel::WebSocket,
            },
            tunnel_framing: DataChannel::WebSocket.framing(),
            ble_framing: DataChannel::Ble.framing(),
            answered: false,
            introduced: false,
            actions,
            events: VecDeque::new(),
            deadline: None,
            config,
        };
        ceremony.wait(ceremony.config.limits.channel, now);
        Ok(ceremony)
    }

    /// Returns what the client says the ceremony is for.
    pub fn hint(&self) -> Hint {
        self.hint
    }

    /// A message of this channel came: from a WebSocket a binary message, by Bluetooth a service data
    /// unit.
    pub fn handle_frame(
        &mut self,
        channel: DataChannel,
        frame: &[u8],
        rng: &mut dyn CryptoRngCore,
        now: Now,
    ) {
        let is_awaited = match (&self.state, channel) {
            (State::Closed, _) => false,
            (State::Connecting { .. }, channel) => channel == DataChannel::WebSocket,
            (State::Advertising { .. }, DataChannel::WebSocket) => true,
            (State::Advertising { .. }, DataChannel::Ble) => self.ways.link.is_some(),
            (State::Ready { .. } | State::Answering { .. }, channel) => channel == self.channel,
        };
        if !is_awaited {
            return;
        }
        self.framing(channel).push(frame);
        while !matches!(self.state, State::Closed) {
            match self.cut(channel) {
                Ok(Some(message)) => self.handle_message(channel, &message, rng, now),
                Ok(None) => return,
                Err(error) => self.misbehaved(channel, error),
            }
        }
    }

    fn framing(&mut self, channel: DataChannel) -> &mut (dyn Framing + Send) {
        match channel {
            DataChannel::WebSocket => self.tunnel_framing.as_mut(),
            DataChannel::Ble => self.ble_framing.as_mut(),
        }
    }

    fn cut(&mut self, channel: DataChannel) -> Result<Option<Vec<u8>>, CeremonyError> {
        let framing = match channel {
            DataChannel::WebSocket => &mut self.tunnel_framing,
            DataChannel::Ble => &mut self.ble_framing,
        };
        let message = match &self.state {
            State::Ready { channel } | State::Answering { channel } => {
                framing.cut(MAX_FRAME, &|message| channel.recognizes(message))
            }
            _ => framing.cut(MESSAGE_LENGTH, &|message| message.len() == MESSAGE_LENGTH),
        };
        Ok(message?)
    }

    fn handle_message(
        &mut self,
        channel: DataChannel,
        message: &[u8],
        rng: &mut dyn CryptoRngCore,
        now: Now,
    ) {
        if let State::Advertising { invitation, psk } = &self.state {
            match respond(&invitation.key, psk, message, rng) {
                Ok((reply, established)) => {
                    let with_update = invitation.supports_linking();
                    self.meet(channel);
                    self.welcome(reply, established, with_update, now);
                }
                Err(error) => self.misbehaved(channel, error.into()),
            }
            return;
        }
        let state = core::mem::replace(&mut self.state, State::Closed);
        match self.step(state, message, now) {
            Ok(state) => self.state = state,
            Err(error) => self.fail(error),
        }
    }

    fn step(&mut self, state: State, frame: &[u8], now: Now) -> Result<State, CeremonyError> {
        match state {
            State::Connecting { .. } | State::Advertising { .. } => {
                Err(PeerMisbehaved::DataBeforeHandshake.into())
            }
            State::Ready { mut channel } => match Message::parse(&channel.open(frame)?)? {
                Message::Ctap(request) => {
                    self.wait(self.config.limits.person, now);
                    self.events.push_back(PhoneEvent::Request(request));
                    Ok(State::Answering { channel })
                }
                Message::Update(update) => {
                    // After an answer it comes too late for who gave that.
                    if !self.answered
                        && !self.introduced
                        && let Some(introduction) = introduction_in(&update)
                    {
                        self.introduced = true;
                        self.events
                            .push_back(PhoneEvent::Introduction(introduction));
                    }
                    Ok(State::Ready { channel })
                }
                Message::Shutdown => {
                    self.leave();
                    Ok(State::Closed)
                }
                Message::Json(_) => Err(PeerMisbehaved::UnexpectedType.into()),
            },
            State::Answering { mut channel } => match Message::parse(&channel.open(frame)?)? {
                Message::Update(_) => Ok(State::Answering { channel }),
                Message::Shutdown => Err(CeremonyError::PeerGone),
                Message::Ctap(_) | Message::Json(_) => {
                    Err(PeerMisbehaved::RequestWhilePending.into())
                }
            },
            State::Closed => Ok(State::Closed),
        }
    }

    /// The channel is closed, by whomever.
    pub fn handle_channel_closed(
        &mut self,
        channel: DataChannel,
        closed: Closed,
        rng: &mut dyn CryptoRngCore,
        now: Now,
    ) {
        match (&self.state, channel) {
            (State::Closed, _) => {}
            (State::Connecting { .. }, DataChannel::WebSocket) => {
                self.lose(channel, ChannelFailure::Unreachable.into(), rng, now);
            }
            (State::Advertising { .. }, DataChannel::WebSocket) => {
                self.lose(channel, closed.into(), rng, now);
            }
            // Another computer may come.
            (State::Connecting { .. } | State::Advertising { .. }, DataChannel::Ble) => {
                self.ways.link = None;
            }
            (State::Answering { .. } | State::Ready { .. }, channel) if channel != self.channel => {
            }
            (State::Answering { .. }, _) => self.fail(closed.into()),
            (State::Ready { .. }, _) if self.answered => self.leave(),
            (State::Ready { .. }, _) => self.fail(closed.into()),
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, rng: &mut dyn CryptoRngCore, now: Now) {
        if self.ways.link.is_some_and(|until| until <= now.monotonic) {
            self.drop_link();
        }
        if self
            .deadline
            .is_none_or(|deadline| now.monotonic < deadline)
        {
            return;
        }
        match &self.state {
            State::Connecting { .. } => match self.ways.late() {
                Some(late) => {
                    self.close(late);
                    self.lose(late, TimedOut::Channel.into(), rng, now);
                }
                None => self.fail(TimedOut::Channel.into()),
            },
            State::Advertising { .. } => self.fail(TimedOut::Unheard.into()),
            State::Ready { .. } if self.answered => self.leave(),
            State::Ready { .. } => self.fail(TimedOut::Request.into()),
            State::Answering { .. } => {
                // Nobody decided: the client is told so, and an answer that comes later is refused.
                self.events.push_back(PhoneEvent::Lapsed);
                let lapsed = vec![Status::USER_ACTION_TIMEOUT.0];
                let _ = self.respond(lapsed, now);
            }
            State::Closed => {}
        }
    }

    /// Answers the request: status byte and CBOR.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse`] if no request is open, or the answer is too large.
    pub fn respond(&mut self, reply: Vec<u8>, now: Now) -> Result<(), ApiMisuse> {
        if reply.len() >= MAX_MESSAGE {
            return Err(ApiMisuse::TooLarge);
        }
        match core::mem::replace(&mut self.state, State::Closed) {
            State::Answering { mut channel } => {
                match channel.seal(&Message::Ctap(reply).encode()) {
                    Ok(frame) => {
                        self.send(frame);
                        self.answered = true;
                        self.wait(self.config.limits.request, now);
                        self.state = State::Ready { channel };
                    }
                    Err(_) => self.fail(CeremonyError::Local),
                }
                Ok(())
            }
            state => {
                self.state = state;
                Err(ApiMisuse::NotReady)
            }
        }
    }

    /// Ends the ceremony at once.
    pub fn cancel(&mut self, _now: Now) {
        if !matches!(self.state, State::Closed) {
            self.fail(CeremonyError::Cancelled);
        }
    }

    /// Returns the next thing to do.
    pub fn poll_action(&mut self) -> Option<PhoneAction> {
        self.actions.pop_front()
    }

    /// Returns the next thing to know.
    pub fn poll_event(&mut self) -> Option<PhoneEvent> {
        self.events.pop_front()
    }

    /// Returns when [`Self::handle_timeout`] wants to be called, on the monotonic clock.
    pub fn poll_timeout(&self) -> Option<Duration> {
        [self.deadline, self.ways.link].into_iter().flatten().min()
    }

    fn send(&mut self, message: Vec<u8>) {
        let channel = self.channel;
        let frame = self.framing(channel).wrap(message);
        self.actions.push_back(PhoneAction::Send(channel, frame));
    }

    fn close(&mut self, channel: DataChannel) {
        self.actions.push_back(PhoneAction::Close(channel));
    }

    fn wait(&mut self, limit: Duration, now: Now) {
        self.deadline = now.monotonic.checked_add(limit);
    }

    /// The client has left: well, if it got an answer.
    fn leave(&mut self) {
        match self.answered {
            true => self.end(PhoneEvent::Finished),
            false => self.fail(CeremonyError::PeerGone),
        }
    }

    fn fail(&mut self, error: CeremonyError) {
        self.end(PhoneEvent::Failed(error));
    }

    fn end(&mut self, event: PhoneEvent) {
        let is_met = matches!(self.state, State::Ready { .. } | State::Answering { .. });
        let is_listening =
            matches!(self.state, State::Advertising { .. }) || self.ways.psm().is_some();
        if !is_met && is_listening {
            self.actions.push_back(PhoneAction::StopAdvertising);
        }
        self.state = State::Closed;
        if self.ways.link.take().is_some() {
            self.close(DataChannel::Ble);
        }
        self.close(self.channel);
        self.events.push_back(event);
        self.deadline = None;
    }
}

impl fmt::Debug for PhoneCeremony {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PhoneCeremony")
    }
}
