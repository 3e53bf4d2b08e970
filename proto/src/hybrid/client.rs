//! The client's ceremony: show a QR code, hear the advert, meet the phone, ask it.

use core::fmt;
use core::time::Duration;
use std::collections::VecDeque;

use rand_core::CryptoRngCore;

use super::advert::{self, AdvertError, EidPlaintext};
use super::ceremony::{
    ApiMisuse, CeremonyError, ChannelFailure, ClientLimits, Closed, PeerMisbehaved, TimedOut,
};
use super::channel::{MAX_MESSAGE, SecureChannel};
use super::handshake::{HandshakeHash, Initiator};
use super::keys::{EidKey, Psk};
use super::message::{Message, PostHandshake};
use super::qr::{Hint, QrInvitation};
use super::tunnel::{RoutingId, TunnelDomain, TunnelId};
use crate::Now;
use crate::ctap2::get_info;

/// What a client's ceremony needs to know beforehand.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClientConfig {
    /// What the ceremony is for.
    pub hint: Hint,
    /// How long to wait.
    pub limits: ClientLimits,
}

/// What the driver must do.
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub enum ClientAction {
    /// Close the tunnel.
    Close,
    /// Open the tunnel and report how that went.
    OpenTunnel {
        /// The relay.
        domain: TunnelDomain,
        /// The routing ID of the advert.
        routing: RoutingId,
        /// The tunnel.
        tunnel: TunnelId,
    },
    /// Send this as one binary message.
    Send(Vec<u8>),
    /// Listen for adverts and report each.
    StartScan,
    /// Stop listening.
    StopScan,
}

/// What a person, or the program that started the ceremony, should know.
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub enum ClientEvent {
    /// The tunnel is open.
    Connected,
    /// The ceremony is over, and failed.
    Failed(CeremonyError),
    /// The ceremony is over.
    Finished,
    /// A phone's advert was heard.
    PhoneFound,
    /// The phone can be asked now.
    Ready {
        /// What the phone can do.
        get_info: get_info::Response,
        /// The name of this very connection.
        handshake_hash: HandshakeHash,
    },
    /// The phone's answer: status byte and CBOR.
    Response(Vec<u8>),
    /// The request is with the phone's owner.
    WaitingForApproval,
    /// The QR code should be shown.
    WaitingForPhone,
}

/// One ceremony as a client sees it.
///
/// Report what happens with `handle_*`, give commands with the plain verbs, and after each drain
/// [`Self::poll_action`] and [`Self::poll_event`]; then sleep until [`Self::poll_timeout`].
pub struct ClientCeremony {
    limits: ClientLimits,
    state: State,
    actions: VecDeque<ClientAction>,
    events: VecDeque<ClientEvent>,
    deadline: Option<Duration>,
}

enum State {
    Scanning {
        invitation: Box<QrInvitation>,
        eid_key: Box<EidKey>,
    },
    Connecting {
        key: Box<p256::SecretKey>,
        psk: Psk,
    },
    HandshakeSent {
        initiator: Box<Initiator>,
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
        let invitation = QrInvitation::generate(config.hint, now.unix, rng);
        let mut ceremony = Self {
            limits: config.limits,
            state: State::Scanning {
                eid_key: Box::new(invitation.secret.eid_key()),
                invitation: Box::new(invitation),
            },
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

    /// Takes the service data of an advert. The first that is for this ceremony is committed to,
    /// and all later ones are passed over.
    ///
    /// # Errors
    ///
    /// [`AdvertError`] tells why the advert is ignored; scanning goes on.
    pub fn handle_advert(&mut self, service_data: &[u8], now: Now) -> Result<(), AdvertError> {
        let State::Scanning {
            invitation,
            eid_key,
        } = &self.state
        else {
            return Ok(());
        };
        let plaintext: EidPlaintext = advert::open(eid_key, service_data)?;
        let psk = invitation.secret.psk(&plaintext.to_bytes());
        let tunnel = invitation.secret.tunnel_id();
        let key = Box::new(invitation.key.clone());
        self.state = State::Connecting { key, psk };
        self.actions.push_back(ClientAction::StopScan);
        self.actions.push_back(ClientAction::OpenTunnel {
            domain: plaintext.domain,
            routing: plaintext.routing,
            tunnel,
        });
        self.events.push_back(ClientEvent::PhoneFound);
        self.wait(self.limits.channel, now);
        Ok(())
    }

    /// The tunnel is open: the handshake begins at once.
    pub fn handle_channel_opened(&mut self, rng: &mut dyn CryptoRngCore, now: Now) {
        let (key, psk) = match &self.state {
            State::Connecting { key, psk } => (key, psk),
            // It was opened for nobody: the ceremony ended meanwhile.
            State::Closed => return self.actions.push_back(ClientAction::Close),
            _ => return,
        };
        match Initiator::start(key, psk, rng) {
            Ok((initiator, message)) => {
                self.state = State::HandshakeSent {
                    initiator: Box::new(initiator),
                };
                self.actions.push_back(ClientAction::Send(message));
                self.events.push_back(ClientEvent::Connected);
                self.wait(self.limits.handshake, now);
            }
            Err(error) => self.fail(error.into()),
        }
    }

    /// No tunnel could be opened.
    pub fn handle_channel_failed(&mut self, failure: ChannelFailure, _now: Now) {
        if matches!(self.state, State::Connecting { .. }) {
            self.fail(failure.into());
        }
    }

    /// A binary message came.
    pub fn handle_frame(&mut self, frame: &[u8], now: Now) {
        let state = core::mem::replace(&mut self.state, State::Closed);
        match self.step(state, frame, now) {
            Ok(state) => self.state = state,
            Err(error) => self.fail(error),
        }
    }

    fn step(&mut self, state: State, frame: &[u8], now: Now) -> Result<State, CeremonyError> {
        match state {
            State::Scanning { .. } | State::Connecting { .. } => {
                Err(PeerMisbehaved::DataBeforeHandshake.into())
            }
            State::HandshakeSent { initiator } => {
                let established = initiator.finish(frame)?;
                self.wait(self.limits.handshake, now);
                let channel = Box::new(established.channel);
                Ok(State::WaitPostHandshake {
                    channel,
                    hash: established.hash,
                })
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
            // Whatever a phone still has to say, nobody waits for it.
            state @ (State::LocallyShutdown | State::Closed) => Ok(state),
        }
    }

    /// The tunnel is closed, by whomever.
    pub fn handle_channel_closed(&mut self, closed: Closed, _now: Now) {
        match &self.state {
            State::Closed | State::Scanning { .. } => {}
            State::Connecting { .. } => self.fail(ChannelFailure::Unreachable.into()),
            State::Ready { answered: true, .. } | State::LocallyShutdown => self.finish(),
            State::HandshakeSent { .. }
            | State::WaitPostHandshake { .. }
            | State::Ready { .. }
            | State::Asked { .. } => {
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
            State::Connecting { .. } => TimedOut::Channel,
            State::HandshakeSent { .. } | State::WaitPostHandshake { .. } => TimedOut::Handshake,
            State::Asked { .. } => TimedOut::Reply,
            State::LocallyShutdown => return self.finish(),
            State::Ready { .. } | State::Closed => return,
        };
        self.fail(timed_out.into());
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
                        self.actions.push_back(ClientAction::Send(frame));
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
                    self.actions.push_back(ClientAction::Send(frame));
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
            _ => ClientAction::Close,
        };
        self.actions.push_back(last);
        self.events.push_back(event);
        self.deadline = None;
    }
}

impl fmt::Debug for ClientCeremony {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCeremony")
    }
}
