//! From the QR code to message 1: the ways that the phone offers, and who comes on them.

use rand_core::CryptoRngCore;

use super::ways::Advice;
use super::{PhoneAction, PhoneCeremony, PhoneEvent, State};
use crate::Now;
use crate::hybrid::advert::{self, Advertisement, EidPlaintext};
use crate::hybrid::ceremony::{CeremonyError, ChannelFailure};
use crate::hybrid::data_channel::{DataChannel, Psm};
use crate::hybrid::handshake::Established;
use crate::hybrid::message::{Message, PostHandshake};
use crate::hybrid::tunnel::RoutingId;

impl PhoneCeremony {
    /// The tunnel is there, under this routing ID.
    pub fn handle_tunnel_opened(
        &mut self,
        routing: RoutingId,
        rng: &mut dyn CryptoRngCore,
        now: Now,
    ) {
        match &self.state {
            State::Connecting { .. } if self.ways.tunnel_opened(routing) => {
                self.proceed(rng, now);
            }
            // It was opened twice, or the ceremony uses it.
            State::Connecting { .. } => {}
            _ if self.ways.routing().is_some() => {}
            // It was opened for nobody: the ceremony ended meanwhile, or goes on without it.
            _ => self.close(DataChannel::WebSocket),
        }
    }

    /// Bluetooth connections are taken at this PSM.
    pub fn handle_ble_listening(&mut self, psm: Psm, rng: &mut dyn CryptoRngCore, now: Now) {
        if matches!(self.state, State::Connecting { .. }) && self.ways.ble_opened(psm) {
            self.proceed(rng, now);
        }
    }

    /// A computer has connected by Bluetooth.
    pub fn handle_ble_linked(&mut self, now: Now) {
        match &self.state {
            State::Advertising { .. } if self.ways.psm().is_some() => {
                self.ble_framing = DataChannel::Ble.framing();
                self.ways.link = now.monotonic.checked_add(self.config.limits.silent_link);
            }
            _ if self.is_on(DataChannel::Ble) => {}
            _ => self.close(DataChannel::Ble),
        }
    }

    /// The tunnel could not be created, or Bluetooth connections cannot be taken.
    pub fn handle_channel_failed(
        &mut self,
        channel: DataChannel,
        failure: ChannelFailure,
        rng: &mut dyn CryptoRngCore,
        now: Now,
    ) {
        if matches!(
            self.state,
            State::Connecting { .. } | State::Advertising { .. }
        ) {
            self.lose(channel, failure.into(), rng, now);
        }
    }

    /// Goes on without this way, if there is another.
    pub(super) fn lose(
        &mut self,
        channel: DataChannel,
        reason: CeremonyError,
        rng: &mut dyn CryptoRngCore,
        now: Now,
    ) {
        if !self.ways.lose(channel) {
            return;
        }
        // Another phone is on its way to the same computer: two are one too many.
        let is_taken = reason == ChannelFailure::Conflict.into();
        if is_taken || self.ways.advice() == Advice::GiveUp {
            return self.fail(reason);
        }
        self.events.push_back(PhoneEvent::Without(channel, reason));
        if matches!(self.state, State::Connecting { .. }) {
            self.proceed(rng, now);
        }
    }

    /// Advertises as soon as all ways are there that may come.
    fn proceed(&mut self, rng: &mut dyn CryptoRngCore, now: Now) {
        if self.ways.advice() == Advice::Wait {
            if self.ways.late().is_some() {
                self.wait(self.config.limits.without_tunnel, now);
            }
            return;
        }
        let state = core::mem::replace(&mut self.state, State::Closed);
        let State::Connecting { invitation } = state else {
            self.state = state;
            return;
        };
        let mut nonce = [0; 10];
        rng.fill_bytes(&mut nonce);
        let plaintext = EidPlaintext {
            nonce,
            routing: self.ways.routing().unwrap_or(RoutingId([0; 3])),
            domain: self.config.domain,
        };
        let advertisement = Advertisement {
            eid: advert::seal(&invitation.secret.eid_key(), &plaintext),
            psm: self.ways.psm(),
        };
        self.state = State::Advertising {
            psk: invitation.secret.psk(&plaintext.to_bytes()),
            invitation,
        };
        self.actions
            .push_back(PhoneAction::Advertise(advertisement));
        self.events.push_back(PhoneEvent::Advertising);
        self.wait(self.config.limits.advert, now);
    }

    /// Whether a computer has come on this channel.
    fn is_on(&self, channel: DataChannel) -> bool {
        let is_met = matches!(self.state, State::Ready { .. } | State::Answering { .. });
        is_met && self.channel == channel
    }

    /// Whoever comes by Bluetooth without knowing how to go on makes room for others: everybody nearby can
    /// come, while a tunnel's address is known only to who read the code.
    pub(super) fn misbehaved(&mut self, channel: DataChannel, error: CeremonyError) {
        match (&self.state, channel) {
            (State::Advertising { .. }, DataChannel::Ble) if error != CeremonyError::Local => {
                self.drop_link();
            }
            _ => self.fail(error),
        }
    }

    pub(super) fn drop_link(&mut self) {
        self.ways.link = None;
        self.ble_framing = DataChannel::Ble.framing();
        self.close(DataChannel::Ble);
    }

    /// Commits to a channel. One answer an advert: nobody else may try this one.
    pub(super) fn meet(&mut self, channel: DataChannel) {
        self.channel = channel;
        self.actions.push_back(PhoneAction::StopAdvertising);
        match channel {
            DataChannel::WebSocket if self.ways.link.take().is_some() => {
                self.close(DataChannel::Ble);
            }
            DataChannel::Ble if self.ways.routing().is_some() => {
                self.ways.lose(DataChannel::WebSocket);
                self.close(DataChannel::WebSocket);
            }
            _ => {}
        }
        self.ways.link = None;
        self.ways.lose(DataChannel::Ble);
    }

    /// Answers message 1, and says at once what this phone can do.
    pub(super) fn welcome(
        &mut self,
        reply: Vec<u8>,
        established: Established,
        with_update: bool,
        now: Now,
    ) {
        let mut channel = Box::new(established.channel);
        let post_handshake = PostHandshake {
            get_info: self.config.get_info.clone(),
            features: vec!["ctap".to_owned()],
        };
        let update = with_update.then(|| Message::empty_update().encode());
        self.send(reply);
        for message in [Some(post_handshake.encode()), update]
            .into_iter()
            .flatten()
        {
            match channel.seal(&message) {
                Ok(frame) => self.send(frame),
                Err(_) => return self.fail(CeremonyError::Local),
            }
        }
        self.events.push_back(PhoneEvent::ClientConnected {
            channel: self.channel,
            handshake_hash: established.hash,
        });
        self.wait(self.config.limits.request, now);
        self.state = State::Ready { channel };
    }
}
