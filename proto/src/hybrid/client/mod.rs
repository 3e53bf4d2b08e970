//! The client's ceremony: show a QR code, hear the advert, meet the phone, ask it.

mod approach;
mod told;

use core::fmt;
use core::time::Duration;
use std::collections::VecDeque;

use rand_core::CryptoRngCore;

use super::ceremony::{
    ApiMisuse, CeremonyError, ChannelFailure, ClientLimits, Closed, PeerMisbehaved, TimedOut,
};
use super::channel::{MAX_FRAME, MAX_MESSAGE, SecureChannel};
use super::data_channel::{DataChannel, DataChannels};
use super::framing::Framing;
use super::handshake::{HandshakeHash, Initiator, MESSAGE_LENGTH};
use super::keys::EidKey;
use super::message::{Message, PostHandshake};
use super::qr::QrInvitation;
use crate::Now;
use crate::ctap2::get_info;

use approach::Approach;
pub use told::{ClientAction, ClientConfig, ClientEvent};

/// One ceremony as a client sees it.
///
/// Report what happens with `handle_*`, give commands with the plain verbs, and after each drain
/// [`Self::poll_action`] and [`Self::poll_event`]; then sleep until [`Self::poll_timeout`].
pub struct ClientCeremony {
    limits: ClientLimits,
    channels: DataChannels,
    /// The channel that is opened or open.
    channel: DataChannel,
    framing: Box<dyn Framing + Send>,
    state: State,
    introduced: bool,
    actions: VecDeque<ClientAction>,
    events: VecDeque<ClientEvent>,
    deadline: Option<Duration>,
}

enum State {
    Scanning {
        invitation: Box<QrInvitation>,
        eid_key: Box<EidKey>,
    },
    Connecting(Box<Approach>),
    HandshakeSent {
        initiator: Box<Initiator>,
        approach: Box<Approach>,
    },
    WaitPostHandshake {
        channel: Box<SecureChannel>,
        hash: HandshakeHash,
    },
    Ready {
        channel: Box<SecureChannel>,
        answered: bool,
    },
    Asked {
        channel: Box<SecureChannel>,
    },
    LocallyShutdown,
    Closed,
}

impl ClientCeremony {
    /// Makes the QR code and starts to listen.
    pub fn start(config: ClientConfig, rng: &mut dyn CryptoRngCore, now: Now) -> Self {
        let invitation = QrInvitation::generate(config.hint, config.channels, now.unix, rng);
        let mut ceremony = Self {
            limits: config.limits,
            channels: config.channels,
            channel: DataChannel::WebSocket,
            framing: DataChannel::WebSocket.framing(),
            state: State::Scanning {
                eid_key: Box::new(invitation.secret.eid_key()),
                invitation: Box::new(invitation),
            },
            introduced: false,
            actions: VecDeque::from([ClientAction::StartScan]),
            events: VecDeque::from([ClientEvent::WaitingForPhone]),
            deadline: None,
        };
        ceremony.wait(config.limits.advert, now);
        ceremony
    }

    /// Returns the text of the QR code, while it can still be answered: whoever reads it can do so
    /// once.
    pub fn url(&self) -> Option<String> {
        match &self.state {
            State::Scanning { invitation, .. } => Some(invitation.url()),
            _ => None,
        }
    }

    /// A message of this channel came: from a WebSocket a binary message, by Bluetooth a service data
    /// unit.
    pub fn handle_frame(&mut self, channel: DataChannel, frame: &[u8], now: Now) {
        if channel != self.channel {
            return;
        }
        self.framing.push(frame);
        // Whatever a phone still has to say in the end, nobody waits for it.
        while !matches!(self.state, State::LocallyShutdown | State::Closed) {
            let longest = match self.state {
                State::HandshakeSent { .. } => MESSAGE_LENGTH,
                _ => MAX_FRAME,
            };
            let state = &self.state;
            match self.framing.cut(longest, &|message| state.takes(message)) {
                Ok(Some(message)) => self.handle_message(&message, now),
                Ok(None) => return,
                Err(error) => return self.turn_to_tunnel(error.into(), now),
            }
        }
    }

    fn handle_message(&mut self, message: &[u8], now: Now) {
        if let State::HandshakeSent { .. } | State::Connecting(_) = self.state {
            if let Err(error) = self.finish_handshake(message, now) {
                self.turn_to_tunnel(error, now);
            }
            return;
        }
        let state = core::mem::replace(&mut self.state, State::Closed);
        match self.step(state, message) {
            Ok(state) => self.state = state,
            Err(error) => self.fail(error),
        }
    }

    fn step(&mut self, state: State, frame: &[u8]) -> Result<State, CeremonyError> {
        match state {
            State::Scanning { .. } | State::Connecting(_) | State::HandshakeSent { .. } => {
                Err(PeerMisbehaved::DataBeforeHandshake.into())
            }
            State::WaitPostHandshake { mut channel, hash } => {
                let message = PostHandshake::parse(&channel.open(frame)?)?;
                let get_info = get_info::Response::parse(&message.get_info)?;
                self.deadline = None;
                self.events.push_back(ClientEvent::Ready {
                    get_info,
                    handshake_hash: hash,
                });
                Ok(State::Ready {
                    channel,
                    answered: false,
                })
            }
            State::Ready {
                mut channel,
                answered,
            } => match Message::parse(&channel.open(frame)?)? {
                Message::Update(_) => Ok(State::Ready { channel, answered }),
                // Some phones say farewell after their answer; before it there is no reason to.
                Message::Shutdown if answered => {
                    self.finish();
                    Ok(State::Closed)
                }
                Message::Shutdown => Err(PeerMisbehaved::ShutdownInsteadOfReply.into()),
                Message::Ctap(_) | Message::Json(_) => Err(PeerMisbehaved::UnsolicitedReply.into()),
            },
            State::Asked { mut channel } => match Message::parse(&channel.open(frame)?)? {
                Message::Update(_) => Ok(State::Asked { channel }),
                Message::Ctap(reply) => {
                    self.deadline = None;
                    self.events.push_back(ClientEvent::Response(reply));
                    Ok(State::Ready {
                        channel,
                        answered: true,
                    })
                }
                Message::Json(_) => Err(PeerMisbehaved::UnexpectedType.into()),
                Message::Shutdown => Err(PeerMisbehaved::ShutdownInsteadOfReply.into()),
            },
            state @ (State::LocallyShutdown | State::Closed) => Ok(state),
        }
    }

    /// The channel is closed, by whomever.
    pub fn handle_channel_closed(&mut self, channel: DataChannel, closed: Closed, now: Now) {
        if channel != self.channel {
            return;
        }
        match &self.state {
            State::Closed | State::Scanning { .. } => {}
            State::Connecting(_) => {
                let failure = match channel {
                    DataChannel::WebSocket => ChannelFailure::Unreachable,
                    DataChannel::Ble => ChannelFailure::BleFailed,
                };
                self.turn_to_tunnel(failure.into(), now);
            }
            State::Ready { answered: true, .. } | State::LocallyShutdown => self.finish(),
            State::HandshakeSent { .. } => self.turn_to_tunnel(closed.into(), now),
            State::WaitPostHandshake { .. } | State::Ready { .. } | State::Asked { .. } => {
                self.fail(closed.into());
            }
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Now) {
        if self
            .deadline
            .is_none_or(|deadline| now.monotonic < deadline)
        {
            return;
        }
        let timed_out = match &self.state {
            State::Scanning { .. } => TimedOut::Advert,
            State::Connecting(_) | State::HandshakeSent { .. } => {
                let timed_out = match (&self.state, self.channel) {
                    (State::HandshakeSent { .. }, _) => TimedOut::Handshake,
                    (_, DataChannel::WebSocket) => TimedOut::Channel,
                    (_, DataChannel::Ble) => TimedOut::Ble,
                };
                return self.turn_to_tunnel(timed_out.into(), now);
            }
            State::WaitPostHandshake { .. } => TimedOut::Handshake,
            State::Asked { .. } => TimedOut::Reply,
            State::LocallyShutdown => return self.finish(),
            State::Ready { .. } | State::Closed => return,
        };
        self.fail(timed_out.into());
    }

    /// Sends an update before the first request: this computer's introduction, or as much of nothing. To be
    /// said once, to a phone that announces [`INTRODUCTIONS`](get_info::INTRODUCTIONS); others need not know
    /// what it is.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse`] if it is not the time for it, or not any more, or the introduction is too long.
    pub fn introduce(&mut self, introduction: Option<&[u8]>) -> Result<(), ApiMisuse> {
        let State::Ready {
            channel,
            answered: false,
        } = &mut self.state
        else {
            return Err(ApiMisuse::NotReady);
        };
        if self.introduced {
            return Err(ApiMisuse::NotReady);
        }
        let update = match introduction {
            Some(introduction) => Message::introduction(introduction).ok_or(ApiMisuse::TooLarge)?,
            None => Message::empty_update(),
        };
        self.introduced = true;
        match channel.seal(&update.encode()) {
            Ok(frame) => self.send(frame),
            Err(_) => self.fail(CeremonyError::Local),
        }
        Ok(())
    }

    /// Asks the phone: command byte and CBOR. One request at a time.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse`] if the phone cannot be asked now, or not this much.
    pub fn request(&mut self, ctap: Vec<u8>, now: Now) -> Result<(), ApiMisuse> {
        if ctap.len() >= MAX_MESSAGE {
            return Err(ApiMisuse::TooLarge);
        }
        match core::mem::replace(&mut self.state, State::Closed) {
            State::Ready { mut channel, .. } => {
                match channel.seal(&Message::Ctap(ctap).encode()) {
                    Ok(frame) => {
                        self.send(frame);
                        self.events.push_back(ClientEvent::WaitingForApproval);
                        self.wait(self.limits.reply, now);
                        self.state = State::Asked { channel };
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

    /// Tells the phone that there is nothing more, and waits a little for it to close.
    pub fn shutdown(&mut self, now: Now) {
        match core::mem::replace(&mut self.state, State::Closed) {
            State::Ready { mut channel, .. } => {
                if let Ok(frame) = channel.seal(&Message::Shutdown.encode()) {
                    self.send(frame);
                }
                self.wait(self.limits.linger, now);
                self.state = State::LocallyShutdown;
            }
            state => {
                self.state = state;
                self.cancel(now);
            }
        }
    }

    /// Ends the ceremony at once.
    pub fn cancel(&mut self, _now: Now) {
        match self.state {
            State::Closed => {}
            State::LocallyShutdown => self.finish(),
            _ => self.fail(CeremonyError::Cancelled),
        }
    }

    /// Returns the next thing to do.
    pub fn poll_action(&mut self) -> Option<ClientAction> {
        self.actions.pop_front()
    }

    /// Returns the next thing to know.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    /// Returns when [`Self::handle_timeout`] wants to be called, on the monotonic clock.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.deadline
    }

    fn send(&mut self, message: Vec<u8>) {
        let frame = self.framing.wrap(message);
        let send = ClientAction::Send(self.channel, frame);
        self.actions.push_back(send);
    }

    fn wait(&mut self, limit: Duration, now: Now) {
        self.deadline = now.monotonic.checked_add(limit);
    }

    fn fail(&mut self, error: CeremonyError) {
        self.end(ClientEvent::Failed(error));
    }

    fn finish(&mut self) {
        self.end(ClientEvent::Finished);
    }

    fn end(&mut self, event: ClientEvent) {
        let last = match core::mem::replace(&mut self.state, State::Closed) {
            State::Scanning { .. } => ClientAction::StopScan,
            _ => ClientAction::Close(self.channel),
        };
        self.actions.push_back(last);
        self.events.push_back(event);
        self.deadline = None;
    }
}

impl State {
    /// Returns whether this can be the next message, as far as that can be said of one.
    fn takes(&self, message: &[u8]) -> bool {
        match self {
            Self::HandshakeSent { .. } => message.len() == MESSAGE_LENGTH,
            Self::WaitPostHandshake { channel, .. }
            | Self::Ready { channel, .. }
            | Self::Asked { channel } => channel.recognizes(message),
            Self::Scanning { .. } | Self::Connecting(_) | Self::LocallyShutdown | Self::Closed => {
                true
            }
        }
    }
}

impl fmt::Debug for ClientCeremony {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCeremony")
    }
}
