use core::time::Duration;
use std::collections::VecDeque;

use handfast_proto::hybrid::handshake::HandshakeHash;
use handfast_proto::hybrid::qr::{Hint, QrError, ScannedInvitation};
use handfast_proto::hybrid::tunnel::TunnelDomain;
use handfast_proto::hybrid::{
    CeremonyError, ClientAction, ClientCeremony, ClientConfig, ClientEvent, DataChannel,
    DataChannels, PhoneAction, PhoneCeremony, PhoneConfig, PhoneEvent, PhoneLimits, Unanswerable,
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::faults::{Faults, FrameFault, Side};
use crate::network::{Arrival, Network, Wish};
use crate::relay::Relay;

/// Answers a request: command byte and CBOR in, status byte and CBOR out.
pub type AnswerTo = Box<dyn FnMut(&[u8]) -> Option<Vec<u8>>>;

/// Introduces the client, by the name of the connection; nothing says nothing, at the same length.
pub type Introduce = Box<dyn FnMut(&HandshakeHash) -> Option<Vec<u8>>>;

/// The relay of the phone.
pub const DOMAIN: TunnelDomain = TunnelDomain(300);

/// Why client and phone cannot be brought together.
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub enum PairError {
    /// The phone cannot read the client's code.
    Qr(QrError),
    /// The phone cannot answer it.
    Unanswerable(Unanswerable),
}

impl From<QrError> for PairError {
    fn from(error: QrError) -> Self {
        Self::Qr(error)
    }
}

impl From<Unanswerable> for PairError {
    fn from(error: Unanswerable) -> Self {
        Self::Unanswerable(error)
    }
}

/// What client and phone do, beyond the protocol.
pub struct Script {
    /// The phone's answer to authenticatorGetInfo, without a status byte.
    pub get_info: Vec<u8>,
    /// How the client introduces itself before it asks; it may leave that out.
    pub introduce: Option<Introduce>,
    /// What the client asks, one after another; then it shuts down.
    pub requests: Vec<Vec<u8>>,
    /// What the phone answers; nothing means that nobody answers.
    pub answer: AnswerTo,
    /// The ways that the client offers.
    pub client_channels: DataChannels,
    /// The ways that the phones have.
    pub phone_channels: DataChannels,
    /// The relay of a second phone that reads the same code a moment later, if there is one.
    pub rival: Option<TunnelDomain>,
}

/// How a ceremony ended on all sides.
#[derive(Debug, Default, PartialEq)]
pub struct Outcome {
    /// How it ended for the client; nothing if it did not end.
    pub client: Option<Result<(), CeremonyError>>,
    /// How it ended for the phone.
    pub phone: Option<Result<(), CeremonyError>>,
    /// How it ended for the second phone.
    pub rival: Option<Result<(), CeremonyError>>,
    /// On which channel client and phone met, as the phone saw it.
    pub channel: Option<DataChannel>,
    /// What the client was answered.
    pub responses: Vec<Vec<u8>>,
    /// The introductions that the phones heard, each with the name of its connection.
    pub introductions: Vec<(HandshakeHash, Vec<u8>)>,
    /// What the phones were asked.
    pub requests: Vec<Vec<u8>>,
}

/// A client and a phone, perhaps a second phone, and what is between them.
pub struct Pair {
    /// The client's machine.
    pub client: ClientCeremony,
    /// The phone's machine.
    pub phone: PhoneCeremony,
    /// The second phone's machine.
    pub rival: Option<PhoneCeremony>,
    /// What happened so far.
    pub outcome: Outcome,
    answer: AnswerTo,
    introduce: Option<Introduce>,
    /// The name of the connection, as the phone that was met knows it.
    session: Option<HandshakeHash>,
    requests: VecDeque<Vec<u8>>,
    rng: ChaCha20Rng,
    network: Network,
}

impl Pair {
    /// Brings a client and a phone together: the phone has scanned the client's code.
    ///
    /// # Errors
    ///
    /// [`PairError`] if the phone cannot read or answer the code, which would be the code's fault.
    pub fn new(seed: u64, script: Script, faults: Faults) -> Result<Self, PairError> {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let network = Network::new(seed, faults);
        let now = network.now;
        let config = ClientConfig {
            hint: Hint::GetAssertion,
            channels: script.client_channels,
            ..ClientConfig::default()
        };
        let client = ClientCeremony::start(config, &mut rng, now);
        let url = client.url().unwrap_or_default();
        let phone = |domain| {
            let config = PhoneConfig {
                domain,
                channels: script.phone_channels,
                get_info: script.get_info.clone(),
                limits: PhoneLimits::default(),
            };
            let invitation = ScannedInvitation::parse(&url)?;
            Ok::<_, PairError>(PhoneCeremony::start(config, invitation, now)?)
        };
        Ok(Self {
            client,
            phone: phone(DOMAIN)?,
            rival: script.rival.map(phone).transpose()?,
            outcome: Outcome::default(),
            answer: script.answer,
            introduce: script.introduce,
            session: None,
            requests: script.requests.into(),
            rng,
            network,
        })
    }

    /// Runs until nothing happens any more, and at most this many steps.
    ///
    /// Returns whether it came to rest.
    pub fn drive_bounded(&mut self, steps: usize) -> bool {
        (0..steps).any(|_| !self.step())
    }

    /// Runs until nothing happens any more; a pair that never rests is stopped after 10,000 steps.
    pub fn drive(&mut self) -> bool {
        self.drive_bounded(10_000)
    }

    /// Runs until this holds, or nothing happens any more. Returns whether it holds.
    pub fn drive_until(&mut self, mut reached: impl FnMut(&Self) -> bool) -> bool {
        (0..10_000).any(|_| reached(self) || !self.step()) && reached(self)
    }

    /// Returns everything that happened, a line each.
    pub fn transcript(&self) -> &[String] {
        &self.network.transcript
    }

    /// Returns the faults of frames that came to pass, in this order. A fault of a frame that was
    /// never sent is not among them, nor a swap with a frame that never came.
    pub fn applied(&self) -> &[FrameFault] {
        &self.network.applied
    }

    /// Returns all frames that came to the relay, as they were sent.
    pub fn frames(&self) -> &[(Side, Vec<u8>)] {
        &self.network.frames
    }

    /// Returns all adverts that were on the air: those of others, then those of the phones as they
    /// could be heard. Who records them can replay them in another ceremony.
    pub fn air(&self) -> &[Vec<u8>] {
        self.network.air.history()
    }

    /// Returns the relays, for somebody else who wants a tunnel.
    pub fn relay(&mut self) -> &mut Relay {
        &mut self.network.relay
    }

    /// Returns the time that has passed.
    pub fn elapsed(&self) -> Duration {
        self.network.now.monotonic
    }

    /// Does the next thing; tells whether there was one.
    fn step(&mut self) -> bool {
        if let Some(action) = self.client.poll_action() {
            self.network.note(&format!("Client {action:?}"));
            self.client_acts(action);
            return true;
        }
        for side in [Side::Phone, Side::Rival] {
            if let Some(action) = self.phone_of(side).and_then(PhoneCeremony::poll_action) {
                self.network.note(&format!("{side:?} {action:?}"));
                self.phone_acts(side, action);
                return true;
            }
        }
        if let Some(event) = self.client.poll_event() {
            self.network.note(&format!("Client {event:?}"));
            self.client_learns(event);
            return true;
        }
        for side in [Side::Phone, Side::Rival] {
            if let Some(event) = self.phone_of(side).and_then(PhoneCeremony::poll_event) {
                self.network.note(&format!("{side:?} {event:?}"));
                self.phone_learns(side, event);
                return true;
            }
        }
        self.pass_time()
    }

    fn phone_of(&mut self, side: Side) -> Option<&mut PhoneCeremony> {
        phone_at(side, &mut self.phone, &mut self.rival)
    }

    fn client_acts(&mut self, action: ClientAction) {
        match action {
            ClientAction::StartScan => self.network.scan(),
            ClientAction::StopScan => self.network.stop_scan(),
            ClientAction::OpenTunnel {
                domain,
                routing,
                tunnel,
            } => {
                let wish = Wish::Connect(domain, routing, tunnel);
                self.network.wish(Side::Client, wish);
            }
            ClientAction::OpenBle { psm } => {
                self.network.wish(Side::Client, Wish::ConnectBle(psm));
            }
            ClientAction::Send(channel, frame) => {
                self.network
                    .wish(Side::Client, Wish::Forward(channel, frame));
            }
            ClientAction::Close(channel) => {
                self.network.wish(Side::Client, Wish::Close(channel));
            }
            _ => {}
        }
    }

    fn phone_acts(&mut self, side: Side, action: PhoneAction) {
        match action {
            PhoneAction::OpenTunnel { domain, tunnel } => {
                self.network.wish(side, Wish::Create(domain, tunnel));
            }
            PhoneAction::Advertise(advert) => {
                self.network.advertise(side, &advert.service_data());
            }
            PhoneAction::ListenBle => self.network.wish(side, Wish::Listen),
            PhoneAction::StopAdvertising => self.network.stop_advertising(side),
            PhoneAction::Send(channel, frame) => {
                self.network.wish(side, Wish::Forward(channel, frame));
            }
            PhoneAction::Close(channel) => self.network.wish(side, Wish::Close(channel)),
            _ => {}
        }
    }

    fn client_learns(&mut self, event: ClientEvent) {
        match event {
            ClientEvent::Ready { handshake_hash, .. } => {
                if let Some(introduce) = &mut self.introduce {
                    let introduction = introduce(&handshake_hash);
                    // The machine has just said that it can be asked.
                    let _ = self.client.introduce(introduction.as_deref());
                }
                self.ask_next();
            }
            ClientEvent::Response(reply) => {
                self.outcome.responses.push(reply);
                self.ask_next();
            }
            ClientEvent::Finished => self.outcome.client = Some(Ok(())),
            ClientEvent::Failed(error) => self.outcome.client = Some(Err(error)),
            _ => {}
        }
    }

    fn ask_next(&mut self) {
        match self.requests.pop_front() {
            // The machine has just said that it can be asked.
            Some(request) => drop(self.client.request(request, self.network.now)),
            None => self.client.shutdown(self.network.now),
        }
    }

    fn phone_learns(&mut self, side: Side, event: PhoneEvent) {
        let ended = match event {
            PhoneEvent::Request(request) => {
                let (reply, now) = ((self.answer)(&request), self.network.now);
                if let (Some(reply), Some(phone)) = (reply, self.phone_of(side)) {
                    // The machine has just said that it wants an answer.
                    let _ = phone.respond(reply, now);
                }
                self.outcome.requests.push(request);
                return;
            }
            PhoneEvent::Finished => Ok(()),
            PhoneEvent::Failed(error) => Err(error),
            PhoneEvent::ClientConnected {
                channel,
                handshake_hash,
            } => {
                self.outcome.channel = Some(channel);
                self.session = Some(handshake_hash);
                return;
            }
            PhoneEvent::Introduction(introduction) => {
                let introduction = self.session.map(|session| (session, introduction));
                self.outcome.introductions.extend(introduction);
                return;
            }
            _ => return,
        };
        match side {
            Side::Rival => self.outcome.rival = Some(ended),
            _ => self.outcome.phone = Some(ended),
        }
    }

    /// Moves the clock to the next arrival or timeout, whichever comes first.
    fn pass_time(&mut self) -> bool {
        let timeouts = [
            self.client.poll_timeout(),
            self.phone.poll_timeout(),
            self.rival.as_ref().and_then(PhoneCeremony::poll_timeout),
        ];
        let timeout = timeouts.into_iter().flatten().min();
        match (self.network.next_arrival(), timeout) {
            (Some(arrival), timeout) if timeout.is_none_or(|timeout| arrival <= timeout) => {
                if let Some(arrival) = self.network.advance() {
                    self.arrive(arrival);
                }
            }
            (_, Some(timeout)) => {
                let now = &mut self.network.now;
                now.monotonic = now.monotonic.max(timeout);
                self.client.handle_timeout(*now);
                self.phone.handle_timeout(&mut self.rng, *now);
                if let Some(rival) = &mut self.rival {
                    rival.handle_timeout(&mut self.rng, *now);
                }
            }
            (_, None) => return false,
        }
        true
    }

    fn arrive(&mut self, arrival: Arrival) {
        let now = self.network.now;
        match arrival {
            Arrival::Advert(advert) => {
                let heard = self.client.handle_advert(&advert, now);
                self.network.note(&format!("advert {heard:?}"));
            }
            Arrival::Joined(channel) => {
                self.client
                    .handle_channel_opened(channel, &mut self.rng, now);
            }
            Arrival::Refused(Side::Client, channel, failure) => {
                self.client.handle_channel_failed(channel, failure, now);
            }
            Arrival::Frame(Side::Client, channel, frame) => {
                self.client.handle_frame(channel, &frame, now);
            }
            Arrival::Closed(Side::Client, channel, closed) => {
                self.client.handle_channel_closed(channel, closed, now);
            }
            Arrival::Opened(side, _)
            | Arrival::Listening(side, _)
            | Arrival::Linked(side)
            | Arrival::Refused(side, ..)
            | Arrival::Frame(side, ..)
            | Arrival::Closed(side, ..) => self.arrive_at_phone(side, arrival),
        }
    }

    fn arrive_at_phone(&mut self, side: Side, arrival: Arrival) {
        let now = self.network.now;
        let Self {
            phone, rival, rng, ..
        } = self;
        let Some(phone) = phone_at(side, phone, rival) else {
            return;
        };
        match arrival {
            Arrival::Opened(_, routing) => phone.handle_tunnel_opened(routing, rng, now),
            Arrival::Listening(_, psm) => phone.handle_ble_listening(psm, rng, now),
            Arrival::Linked(_) => phone.handle_ble_linked(now),
            Arrival::Refused(_, channel, failure) => {
                phone.handle_channel_failed(channel, failure, rng, now);
            }
            Arrival::Frame(_, channel, frame) => phone.handle_frame(channel, &frame, rng, now),
            Arrival::Closed(_, channel, closed) => {
                phone.handle_channel_closed(channel, closed, rng, now);
            }
            Arrival::Advert(_) | Arrival::Joined(_) => {}
        }
    }
}

fn phone_at<'p>(
    side: Side,
    phone: &'p mut PhoneCeremony,
    rival: &'p mut Option<PhoneCeremony>,
) -> Option<&'p mut PhoneCeremony> {
    match side {
        Side::Client => None,
        Side::Phone => Some(phone),
        Side::Rival => rival.as_mut(),
    }
}
