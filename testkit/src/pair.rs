use core::time::Duration;
use std::collections::VecDeque;

use handfast_proto::Now;
use handfast_proto::hybrid::qr::{Hint, QrError, ScannedInvitation};
use handfast_proto::hybrid::tunnel::{RoutingId, TunnelDomain};
use handfast_proto::hybrid::{
    CeremonyError, ChannelFailure, ClientAction, ClientCeremony, ClientConfig, ClientEvent, Closed,
    PhoneAction, PhoneCeremony, PhoneConfig, PhoneEvent, PhoneLimits, Unanswerable,
};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

use crate::faults::{Damage, Faults, Side};

/// Answers a request: command byte and CBOR in, status byte and CBOR out.
pub type AnswerTo = Box<dyn FnMut(&[u8]) -> Option<Vec<u8>>>;

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
    /// What the client asks, one after another; then it shuts down.
    pub requests: Vec<Vec<u8>>,
    /// What the phone answers; nothing means that nobody answers.
    pub answer: AnswerTo,
}

/// How a ceremony ended on both sides.
#[derive(Debug, Default, PartialEq)]
pub struct Outcome {
    /// How it ended for the client; nothing if it did not end.
    pub client: Option<Result<(), CeremonyError>>,
    /// How it ended for the phone.
    pub phone: Option<Result<(), CeremonyError>>,
    /// What the client was answered.
    pub responses: Vec<Vec<u8>>,
    /// What the phone was asked.
    pub requests: Vec<Vec<u8>>,
}

/// A client and a phone, and what is between them.
pub struct Pair {
    /// The client's machine.
    pub client: ClientCeremony,
    /// The phone's machine.
    pub phone: PhoneCeremony,
    /// What happened so far.
    pub outcome: Outcome,
    faults: Faults,
    script: Script,
    requests: VecDeque<Vec<u8>>,
    rng: ChaCha20Rng,
    now: Now,
    air: Vec<Vec<u8>>,
    scanning: bool,
    sent: [usize; 2],
    held: Option<(Side, Vec<u8>)>,
    on_the_way: VecDeque<(Duration, Arrival)>,
    transcript: Vec<String>,
}

enum Arrival {
    Advert(Vec<u8>),
    Opened(Side),
    Refused(Side, ChannelFailure),
    Frame(Side, Vec<u8>),
    Closed(Side, Closed),
}

impl Pair {
    /// Brings a client and a phone together: the phone has scanned the client's code.
    ///
    /// # Errors
    ///
    /// [`PairError`] if the phone cannot read or answer the code, which would be the code's fault.
    pub fn new(seed: u64, script: Script, faults: Faults) -> Result<Self, PairError> {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let now = Now {
            monotonic: Duration::ZERO,
            unix: 1_790_000_000,
        };
        let config = ClientConfig {
            hint: Hint::GetAssertion,
            ..ClientConfig::default()
        };
        let client = ClientCeremony::start(config, &mut rng, now);
        let url = client.url().unwrap_or_default();
        let invitation = ScannedInvitation::parse(&url)?;
        let config = PhoneConfig {
            domain: TunnelDomain(300),
            get_info: script.get_info.clone(),
            limits: PhoneLimits::default(),
        };
        Ok(Self {
            client,
            phone: PhoneCeremony::start(config, invitation, now)?,
            outcome: Outcome::default(),
            air: faults.foreign_adverts.clone(),
            faults,
            requests: script.requests.iter().cloned().collect(),
            script,
            rng,
            now,
            scanning: false,
            sent: [0; 2],
            held: None,
            on_the_way: VecDeque::new(),
            transcript: Vec::new(),
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

    /// Returns everything that happened, a line each.
    pub fn transcript(&self) -> &[String] {
        &self.transcript
    }

    /// Returns all adverts that were on the air: those of others, then this phone's as they are
    /// heard. Who records them can replay them in another ceremony.
    pub fn air(&self) -> &[Vec<u8>] {
        &self.air
    }

    /// Returns the time that has passed.
    pub fn elapsed(&self) -> Duration {
        self.now.monotonic
    }

    /// Does the next thing; tells whether there was one.
    fn step(&mut self) -> bool {
        if let Some(action) = self.client.poll_action() {
            self.note(&format!("client {action:?}"));
            self.client_acts(action);
        } else if let Some(action) = self.phone.poll_action() {
            self.note(&format!("phone {action:?}"));
            self.phone_acts(action);
        } else if let Some(event) = self.client.poll_event() {
            self.note(&format!("client {event:?}"));
            self.client_learns(event);
        } else if let Some(event) = self.phone.poll_event() {
            self.note(&format!("phone {event:?}"));
            self.phone_learns(event);
        } else {
            return self.pass_time();
        }
        true
    }

    fn note(&mut self, what: &str) {
        self.transcript
            .push(format!("{:?} {what}", self.now.monotonic));
    }

    fn send(&mut self, arrival: Arrival) {
        self.on_the_way
            .push_back((self.now.monotonic + self.faults.latency, arrival));
    }

    fn client_acts(&mut self, action: ClientAction) {
        match action {
            ClientAction::StartScan => {
                self.scanning = true;
                for advert in self.air.clone() {
                    self.send(Arrival::Advert(advert));
                }
            }
            ClientAction::StopScan => self.scanning = false,
            ClientAction::OpenTunnel { .. } => match self.faults.refuse_connect {
                Some(failure) => self.send(Arrival::Refused(Side::Client, failure)),
                None => self.send(Arrival::Opened(Side::Client)),
            },
            ClientAction::Send(frame) => self.carry(Side::Client, frame),
            ClientAction::Close => self.send(Arrival::Closed(Side::Phone, Closed::ByPeer)),
            _ => {}
        }
    }

    fn phone_acts(&mut self, action: PhoneAction) {
        match action {
            PhoneAction::OpenTunnel { .. } => match self.faults.refuse_new {
                Some(failure) => self.send(Arrival::Refused(Side::Phone, failure)),
                None => self.send(Arrival::Opened(Side::Phone)),
            },
            PhoneAction::Advertise(advert) => {
                let mut heard: Vec<u8> =
                    advert.iter().chain(&self.faults.suffix).copied().collect();
                heard.truncate(self.faults.advert_length + self.faults.suffix.len());
                if let Some(bit) = self.faults.advert_flip {
                    flip(&mut heard, bit);
                }
                for _ in 0..self.faults.adverts_heard {
                    self.air.push(heard.clone());
                    if self.scanning {
                        self.send(Arrival::Advert(heard.clone()));
                    }
                }
            }
            PhoneAction::Send(frame) => self.carry(Side::Phone, frame),
            PhoneAction::Close => self.send(Arrival::Closed(Side::Client, Closed::ByPeer)),
            _ => {}
        }
    }

    /// Puts a frame on its way, with the damage that is meant for it.
    fn carry(&mut self, from: Side, mut frame: Vec<u8>) {
        let to = match from {
            Side::Client => Side::Phone,
            Side::Phone => Side::Client,
        };
        let number = self
            .sent
            .get_mut(usize::from(from == Side::Phone))
            .map_or(0, |count| {
                *count += 1;
                *count - 1
            });
        let damage = match self.faults.frame {
            Some((side, which, damage)) if (side, which) == (from, number) => Some(damage),
            _ => None,
        };
        match damage {
            Some(Damage::Drop) => return,
            Some(Damage::Duplicate) => self.send(Arrival::Frame(to, frame.clone())),
            Some(Damage::Empty) => frame.clear(),
            Some(Damage::Flip(bit)) => flip(&mut frame, bit),
            Some(Damage::Truncate(length)) => frame.truncate(length),
            Some(Damage::Close(code)) => {
                self.send(Arrival::Closed(to, Closed::from_code(Some(code))));
                self.send(Arrival::Closed(from, Closed::from_code(Some(code))));
                return;
            }
            Some(Damage::Swap) => {
                self.held = Some((to, frame));
                return;
            }
            None => {}
        }
        self.send(Arrival::Frame(to, frame));
        if self.held.as_ref().is_some_and(|(side, _)| *side == to)
            && let Some((side, held)) = self.held.take()
        {
            self.send(Arrival::Frame(side, held));
        }
    }

    fn client_learns(&mut self, event: ClientEvent) {
        match event {
            ClientEvent::Ready { .. } => self.ask_next(),
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
            Some(request) => drop(self.client.request(request, self.now)),
            None => self.client.shutdown(self.now),
        }
    }

    fn phone_learns(&mut self, event: PhoneEvent) {
        match event {
            PhoneEvent::Request(request) => {
                if let Some(reply) = (self.script.answer)(&request) {
                    // The machine has just said that it wants an answer.
                    let _ = self.phone.respond(reply, self.now);
                }
                self.outcome.requests.push(request);
            }
            PhoneEvent::Finished => self.outcome.phone = Some(Ok(())),
            PhoneEvent::Failed(error) => self.outcome.phone = Some(Err(error)),
            _ => {}
        }
    }

    /// Moves the clock to the next arrival or timeout, whichever comes first.
    fn pass_time(&mut self) -> bool {
        let arrival = self.on_the_way.front().map(|(time, _)| *time);
        let timeouts = [self.client.poll_timeout(), self.phone.poll_timeout()];
        let timeout = timeouts.into_iter().flatten().min();
        let next = [arrival, timeout].into_iter().flatten().min();
        let Some(next) = next else {
            return false;
        };
        self.now.monotonic = self.now.monotonic.max(next);
        if arrival == Some(next)
            && let Some((_, arrival)) = self.on_the_way.pop_front()
        {
            self.arrive(arrival);
        } else {
            self.client.handle_timeout(self.now);
            self.phone.handle_timeout(self.now);
        }
        true
    }

    fn arrive(&mut self, arrival: Arrival) {
        let Self {
            client,
            phone,
            rng,
            now,
            ..
        } = self;
        match arrival {
            Arrival::Advert(advert) => {
                let heard = client.handle_advert(&advert, *now);
                self.note(&format!("advert {heard:?}"));
            }
            Arrival::Opened(Side::Client) => client.handle_channel_opened(rng, *now),
            Arrival::Opened(Side::Phone) => {
                let mut routing = [0; 3];
                rng.fill_bytes(&mut routing);
                phone.handle_channel_opened(RoutingId(routing), rng, *now);
            }
            Arrival::Refused(Side::Client, failure) => client.handle_channel_failed(failure, *now),
            Arrival::Refused(Side::Phone, failure) => phone.handle_channel_failed(failure, *now),
            Arrival::Frame(Side::Client, frame) => client.handle_frame(&frame, *now),
            Arrival::Frame(Side::Phone, frame) => phone.handle_frame(&frame, rng, *now),
            Arrival::Closed(Side::Client, closed) => client.handle_channel_closed(closed, *now),
            Arrival::Closed(Side::Phone, closed) => phone.handle_channel_closed(closed, *now),
        }
    }
}

fn flip(bytes: &mut [u8], bit: usize) {
    let length = bytes.len().max(1);
    if let Some(byte) = bytes.get_mut(bit / 8 % length) {
        *byte ^= 1 << (bit % 8);
    }
}
