//! From the advert to message 2: on one channel, or on the other.

use rand_core::CryptoRngCore;

use super::{ClientAction, ClientCeremony, ClientEvent, State};
use crate::Now;
use crate::hybrid::advert::{self, AdvertError, EidPlaintext};
use crate::hybrid::ceremony::{CeremonyError, ChannelFailure, PeerMisbehaved};
use crate::hybrid::data_channel::DataChannel;
use crate::hybrid::handshake::Initiator;
use crate::hybrid::keys::Psk;
use crate::hybrid::tunnel::{RoutingId, TunnelDomain, TunnelId};

/// What it takes to begin a handshake, and to begin it once more elsewhere.
pub(super) struct Approach {
    key: p256::SecretKey,
    psk: Psk,
    /// The tunnel, as long as it is not tried.
    instead: Option<(TunnelDomain, RoutingId, TunnelId)>,
}

impl ClientCeremony {
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
        let tunnel = (
            plaintext.domain,
            plaintext.routing,
            invitation.secret.tunnel_id(),
        );
        let by_ble = self.channels.contain(DataChannel::Ble);
        let psm = advert::psm(service_data).filter(|_| by_ble);
        let approach = Approach {
            key: invitation.key.clone(),
            psk: invitation.secret.psk(&plaintext.to_bytes()),
            instead: Some(tunnel).filter(|_| self.channels.contain(DataChannel::WebSocket)),
        };
        self.actions.push_back(ClientAction::StopScan);
        self.events.push_back(ClientEvent::PhoneFound);
        self.state = State::Connecting(Box::new(approach));
        match psm {
            Some(psm) => {
                self.use_channel(DataChannel::Ble);
                self.actions.push_back(ClientAction::OpenBle { psm });
                self.wait(self.limits.ble, now);
            }
            None => self.turn_to_tunnel(ChannelFailure::BleNotOffered.into(), now),
        }
        Ok(())
    }

    fn use_channel(&mut self, channel: DataChannel) {
        self.channel = channel;
        self.framing = channel.framing();
    }

    /// Opens the tunnel, if there is one and it was not tried; else the ceremony fails for this reason.
    pub(super) fn turn_to_tunnel(&mut self, reason: CeremonyError, now: Now) {
        let mut approach = match core::mem::replace(&mut self.state, State::Closed) {
            State::Connecting(approach) | State::HandshakeSent { approach, .. } => approach,
            state => {
                self.state = state;
                return self.fail(reason);
            }
        };
        let Some((domain, routing, tunnel)) = approach.instead.take() else {
            self.state = State::Connecting(approach);
            return self.fail(reason);
        };
        if self.channel == DataChannel::Ble {
            self.actions.push_back(ClientAction::Close(self.channel));
            self.events.push_back(ClientEvent::TunnelInstead(reason));
        }
        self.use_channel(DataChannel::WebSocket);
        self.actions.push_back(ClientAction::OpenTunnel {
            domain,
            routing,
            tunnel,
        });
        self.state = State::Connecting(approach);
        self.wait(self.limits.channel, now);
    }

    /// The channel is open: the handshake begins at once.
    pub fn handle_channel_opened(
        &mut self,
        channel: DataChannel,
        rng: &mut dyn CryptoRngCore,
        now: Now,
    ) {
        let approach = match core::mem::replace(&mut self.state, State::Closed) {
            State::Connecting(approach) if channel == self.channel => approach,
            // It was opened for nobody: the ceremony ended meanwhile, or went elsewhere.
            state => {
                let is_unwanted = matches!(state, State::Closed) || channel != self.channel;
                self.state = state;
                if is_unwanted {
                    self.actions.push_back(ClientAction::Close(channel));
                }
                return;
            }
        };
        match Initiator::start(&approach.key, &approach.psk, rng) {
            Ok((initiator, message)) => {
                let patience = match approach.instead {
                    Some(_) => self.limits.ble,
                    None => self.limits.handshake,
                };
                self.state = State::HandshakeSent {
                    initiator: Box::new(initiator),
                    approach,
                };
                self.send(message);
                self.events.push_back(ClientEvent::Connected(channel));
                self.wait(patience, now);
            }
            Err(error) => self.fail(error.into()),
        }
    }

    /// The channel could not be opened.
    pub fn handle_channel_failed(
        &mut self,
        channel: DataChannel,
        failure: ChannelFailure,
        now: Now,
    ) {
        if matches!(self.state, State::Connecting { .. }) && channel == self.channel {
            self.turn_to_tunnel(failure.into(), now);
        }
    }

    /// Reads message 2. If it fails, the ceremony may begin its handshake anew elsewhere.
    pub(super) fn finish_handshake(
        &mut self,
        message: &[u8],
        now: Now,
    ) -> Result<(), CeremonyError> {
        let state = core::mem::replace(&mut self.state, State::Closed);
        let State::HandshakeSent {
            initiator,
            approach,
        } = state
        else {
            self.state = state;
            return Err(PeerMisbehaved::DataBeforeHandshake.into());
        };
        match initiator.finish(message) {
            Ok(established) => {
                self.wait(self.limits.handshake, now);
                self.state = State::WaitPostHandshake {
                    channel: Box::new(established.channel),
                    hash: established.hash,
                };
                Ok(())
            }
            Err(error) => {
                self.state = State::Connecting(approach);
                Err(error.into())
            }
        }
    }
}
