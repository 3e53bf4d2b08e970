//! The phone's ceremony: answer a QR code with an advert, meet the client, serve its requests.

use core::fmt;
use core::time::Duration;
use std::collections::VecDeque;

use rand_core::CryptoRngCore;

use super::advert::{self, ADVERT_LENGTH, EidPlaintext};
use super::ceremony::{
    ApiMisuse, CeremonyError, ChannelFailure, Closed, PeerMisbehaved, PhoneLimits, TimedOut,
    Unanswerable,
};
use super::channel::{MAX_MESSAGE, SecureChannel};
use super::handshake::{HandshakeHash, respond};
use super::keys::Psk;
use super::message::{Message, PostHandshake};
use super::qr::{Hint, ScannedInvitation};
use super::tunnel::{RoutingId, TunnelDomain, TunnelId};
use crate::Now;
use crate::ctap2::Status;

/// The number of the data channel through a relay (CTAP 2.3 §11.5.1.1).
const WEBSOCKET: u64 = 0;
/// Tunnel domains from here on are hashed: everybody can know them.
const FIRST_HASHED: u16 = 256;

/// What a phone's ceremony needs to know beforehand.
#[derive(Clone, Debug)]
pub struct PhoneConfig {
    /// The number of the phone's relay.
    pub domain: TunnelDomain,
    /// The answer of authenticatorGetInfo, without a status byte.
    pub get_info: Vec<u8>,
    /// How long to wait.
    pub limits: PhoneLimits,
}

/// What the driver must do.
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub enum PhoneAction {
    /// Broadcast this service data.
    Advertise([u8; ADVERT_LENGTH]),
    /// Close the tunnel.
    Close,
    /// Create the tunnel and report how that went.
    OpenTunnel {
        /// The relay.
        domain: TunnelDomain,
        /// The tunnel.
        tunnel: TunnelId,
    },
    /// Send this as one binary message.
    Send(Vec<u8>),
    /// Stop broadcasting.
    StopAdvertising,
}

/// What the phone's program should know.
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub enum PhoneEvent {
    /// The advert is to be on the air.
    Advertising,
    /// The client heard the advert and knows the QR code.
    ClientConnected {
        /// The name of this very connection.
        handshake_hash: HandshakeHash,
    },
    /// The ceremony is over, and failed.
    Failed(CeremonyError),
    /// The ceremony is over.
    Finished,
    /// The request was not answered in time: its prompt has to disappear.
    Lapsed,
    /// A request to answer: command byte and CBOR.
    Request(Vec<u8>),
}

/// One ceremony as a phone sees it.
///
/// Report what happens with `handle_*`, give commands with the plain verbs, and after each drain
/// [`Self::poll_action`] and [`Self::poll_event`]; then sleep until [`Self::poll_timeout`].
pub struct PhoneCeremony {
    config: PhoneConfig,
    hint: Hint,
    state: State,
    answered: bool,
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
        let number = config.domain.0;
        if !invitation.channels().contains(&WEBSOCKET) {
            return Err(Unanswerable::NoCommonChannel);
        }
        if number < FIRST_HASHED && u64::from(number) >= invitation.assigned_domains() {
            return Err(Unanswerable::UnknownRelay);
        }
        let open = PhoneAction::OpenTunnel {
            domain: config.domain,
            tunnel: invitation.secret.tunnel_id(),
        };
        let mut ceremony = Self {
            hint: invitation.hint(),
            state: State::Connecting {
                invitation: Box::new(invitation),
            },
            answered: false,
            actions: VecDeque::from([open]),
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

    /// The tunnel is there, under this routing ID: the advert may go out.
    pub fn handle_channel_opened(
        &mut self,
        routing: RoutingId,
        rng: &mut dyn CryptoRngCore,
        now: Now,
    ) {
        let invitation = match core::mem::replace(&mut self.state, State::Closed) {
            State::Connecting { invitation } => invitation,
            // It was opened for nobody: the ceremony ended meanwhile.
            State::Closed => return self.actions.push_back(PhoneAction::Close),
            state => {
                self.state = state;
                return;
            }
        };
        let mut nonce = [0; 10];
        rng.fill_bytes(&mut nonce);
        let plaintext = EidPlaintext {
            nonce,
            routing,
            domain: self.config.domain,
        };
        let sealed = advert::seal(&invitation.secret.eid_key(), &plaintext);
        self.state = State::Advertising {
            psk: invitation.secret.psk(&plaintext.to_bytes()),
            invitation,
        };
        self.actions.push_back(PhoneAction::Advertise(sealed));
        self.events.push_back(PhoneEvent::Advertising);
        self.wait(self.config.limits.advert, now);
    }

    /// The tunnel could not be created.
    pub fn handle_channel_failed(&mut self, failure: ChannelFailure, _now: Now) {
        if matches!(self.state, State::Connecting { .. }) {
            self.fail(failure.into());
        }
    }

    /// A binary message came.
    pub fn handle_frame(&mut self, frame: &[u8], rng: &mut dyn CryptoRngCore, now: Now) {
        let state = core::mem::replace(&mut self.state, State::Closed);
        match self.step(state, frame, rng, now) {
            Ok(state) => self.state = state,
            Err(error) => self.fail(error),
        }
    }

    fn step(
        &mut self,
        state: State,
        frame: &[u8],
        rng: &mut dyn CryptoRngCore,
        now: Now,
    ) -> Result<State, CeremonyError> {
        match state {
            State::Connecting { .. } => Err(PeerMisbehaved::DataBeforeHandshake.into()),
            State::Advertising { invitation, psk } => {
                // One answer an advert: whatever came, nobody else may try this one.
                self.actions.push_back(PhoneAction::StopAdvertising);
                self.welcome(&invitation, &psk, frame, rng, now)
            }
            State::Ready { mut channel } => match Message::parse(&channel.open(frame)?)? {
                Message::Ctap(request) => {
                    self.wait(self.config.limits.person, now);
                    self.events.push_back(PhoneEvent::Request(request));
                    Ok(State::Answering { channel })
                }
                Message::Update(_) => Ok(State::Ready { channel }),
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

    /// Answers message 1, and says at once what this phone can do.
    fn welcome(
        &mut self,
        invitation: &ScannedInvitation,
        psk: &Psk,
        frame: &[u8],
        rng: &mut dyn CryptoRngCore,
        now: Now,
    ) -> Result<State, CeremonyError> {
        let (reply, established) = respond(&invitation.key, psk, frame, rng)?;
        let mut channel = Box::new(established.channel);
        let post_handshake = PostHandshake {
            get_info: self.config.get_info.clone(),
            features: vec!["ctap".to_owned()],
        };
        self.actions.push_back(PhoneAction::Send(reply));
        let mut send = |message: &[u8]| {
            let frame = channel.seal(message).map_err(|_| CeremonyError::Local)?;
            self.actions.push_back(PhoneAction::Send(frame));
            Ok::<_, CeremonyError>(())
        };
        send(&post_handshake.encode())?;
        if invitation.supports_linking() {
            send(&Message::empty_update().encode())?;
        }
        self.events.push_back(PhoneEvent::ClientConnected {
            handshake_hash: established.hash,
        });
        self.wait(self.config.limits.request, now);
        Ok(State::Ready { channel })
    }

    /// The tunnel is closed, by whomever.
    pub fn handle_channel_closed(&mut self, closed: Closed, _now: Now) {
        match &self.state {
            State::Closed => {}
            State::Connecting { .. } => self.fail(ChannelFailure::Unreachable.into()),
            State::Advertising { .. } | State::Answering { .. } => self.fail(closed.into()),
            State::Ready { .. } if self.answered => self.leave(),
            State::Ready { .. } => self.fail(closed.into()),
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
        match &self.state {
            State::Connecting { .. } => self.fail(TimedOut::Channel.into()),
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
                        self.actions.push_back(PhoneAction::Send(frame));
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
        self.deadline
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
        if let State::Advertising { .. } = core::mem::replace(&mut self.state, State::Closed) {
            self.actions.push_back(PhoneAction::StopAdvertising);
        }
        self.actions.push_back(PhoneAction::Close);
        self.events.push_back(event);
        self.deadline = None;
    }
}

impl fmt::Debug for PhoneCeremony {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PhoneCeremony")
    }
}
