use core::time::Duration;
use std::collections::BTreeMap;

use handfast_proto::Now;
use handfast_proto::hybrid::tunnel::{RoutingId, TunnelDomain, TunnelId};
use handfast_proto::hybrid::{ChannelFailure, Closed, DataChannel, Psm};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

use crate::air::Air;
use crate::faults::{Damage, Faults, FrameFault, Side, flip};
use crate::link::Links;
use crate::relay::{Connection, Delivery, Relay, Told};

/// What a device wants of the relay, or of its Bluetooth.
pub(crate) enum Wish {
    Close(DataChannel),
    Connect(TunnelDomain, RoutingId, TunnelId),
    ConnectBle(Psm),
    Create(TunnelDomain, TunnelId),
    Forward(DataChannel, Vec<u8>),
    Listen,
}

/// What reaches a device.
pub(crate) enum Arrival {
    /// The client hears an advert.
    Advert(Vec<u8>),
    Closed(Side, DataChannel, Closed),
    Frame(Side, DataChannel, Vec<u8>),
    /// The client's channel is open.
    Joined(DataChannel),
    /// A computer has come by Bluetooth.
    Linked(Side),
    Listening(Side, Psm),
    Opened(Side, RoutingId),
    Refused(Side, DataChannel, ChannelFailure),
}

/// What is on its way.
enum Moving {
    /// To a device.
    Arrival(Arrival),
    /// A phone's advert, and how often it is repeated.
    Broadcast(Side, usize),
    /// The radio's own delay.
    StopScan,
    /// To the relay.
    Wish(Side, Wish),
}

/// Everything between the devices: the air, the relays, the ways there, and the clock.
pub(crate) struct Network {
    pub(crate) relay: Relay,
    pub(crate) air: Air,
    pub(crate) now: Now,
    pub(crate) applied: Vec<FrameFault>,
    pub(crate) frames: Vec<(Side, Vec<u8>)>,
    pub(crate) transcript: Vec<String>,
    pub(crate) faults: Faults,
    links: Links,
    luck: ChaCha20Rng,
    lines: BTreeMap<Side, Connection>,
    sent: BTreeMap<Side, usize>,
    /// When the last thing arrives that came the usual way.
    last: BTreeMap<Side, Duration>,
    held: Option<(FrameFault, Vec<u8>)>,
    moving: BTreeMap<(Duration, u64), Moving>,
    begun: u64,
}

impl Network {
    pub(crate) fn new(seed: u64, faults: Faults) -> Self {
        let mut luck = ChaCha20Rng::seed_from_u64(seed);
        // The devices draw from the first stream, so that accidents do not change their keys.
        luck.set_stream(1);
        Self {
            relay: Relay::new(seed),
            air: Air::new(&faults.foreign_adverts),
            now: Now {
                monotonic: Duration::ZERO,
                unix: 1_790_000_000,
            },
            applied: Vec::new(),
            frames: Vec::new(),
            transcript: Vec::new(),
            faults,
            links: Links::default(),
            luck,
            lines: BTreeMap::new(),
            sent: BTreeMap::new(),
            last: BTreeMap::new(),
            held: None,
            moving: BTreeMap::new(),
            begun: 0,
        }
    }

    pub(crate) fn note(&mut self, what: &str) {
        let line = format!("{:?} {what}", self.now.monotonic);
        self.transcript.push(line);
    }

    /// Returns when the next thing arrives somewhere.
    pub(crate) fn next_arrival(&self) -> Option<Duration> {
        self.moving.keys().next().map(|(time, _)| *time)
    }

    /// Moves the next thing to where it goes; returns it if that is a device.
    pub(crate) fn advance(&mut self) -> Option<Arrival> {
        let ((time, _), moving) = self.moving.pop_first()?;
        self.now.monotonic = self.now.monotonic.max(time);
        match moving {
            Moving::Arrival(arrival) => return Some(arrival),
            Moving::Broadcast(from, left) => self.broadcast(from, left),
            Moving::StopScan => self.air.stop_scan(),
            Moving::Wish(from, wish) => self.serve(from, wish),
        }
        None
    }

    /// A device asks something of the relay.
    pub(crate) fn wish(&mut self, from: Side, wish: Wish) {
        self.start(self.faults.latency, Moving::Wish(from, wish));
    }

    pub(crate) fn scan(&mut self) {
        for advert in self.air.scan() {
            self.hear(advert);
        }
    }

    /// A radio takes a moment to stop: adverts are heard that nobody wants any more.
    pub(crate) fn stop_scan(&mut self) {
        self.start(self.faults.latency, Moving::StopScan);
    }

    pub(crate) fn advertise(&mut self, from: Side, advert: &[u8]) {
        self.air.start(from, advert, &self.faults);
        let moving = Moving::Broadcast(from, self.faults.broadcasts);
        self.start(Duration::ZERO, moving);
    }

    pub(crate) fn stop_advertising(&mut self, from: Side) {
        self.air.stop(from);
        self.links.stop_listening(from);
    }

    fn broadcast(&mut self, from: Side, left: usize) {
        let Some(left) = left.checked_sub(1) else {
            return;
        };
        let Some((advert, heard)) = self.air.broadcast(from) else {
            return;
        };
        if heard {
            self.hear(advert);
        }
        self.start(
            self.faults.broadcast_interval,
            Moving::Broadcast(from, left),
        );
    }

    fn hear(&mut self, advert: Vec<u8>) {
        let chances = self.faults.chances;
        if self.happens(chances.advert_loss) {
            return self.note("an advert is not heard");
        }
        let times = 1 + u8::from(self.happens(chances.advert_twice));
        for _ in 0..times {
            let late = self.up_to(chances.advert_delay);
            self.start(late, Moving::Arrival(Arrival::Advert(advert.clone())));
        }
    }

    /// Does what a device wants, when its wish has come to the relay.
    fn serve(&mut self, from: Side, wish: Wish) {
        match wish {
            Wish::Create(..) | Wish::Connect(..) if self.faults.silent_relay => {}
            Wish::Listen
            | Wish::ConnectBle(_)
            | Wish::Forward(DataChannel::Ble, _)
            | Wish::Close(DataChannel::Ble) => {
                let arrivals = self.links.serve(from, wish, &self.faults.ble);
                for (side, arrival) in arrivals {
                    self.arrive(arrival, side, Duration::ZERO);
                }
            }
            Wish::Create(domain, tunnel) => {
                let opened = match self.faults.refuse_new {
                    Some(failure) => Err(failure),
                    None => self.relay.create(domain, tunnel),
                };
                let arrival = match opened {
                    Ok((line, routing)) => {
                        self.lines.insert(from, line);
                        Arrival::Opened(from, routing)
                    }
                    Err(failure) => Arrival::Refused(from, DataChannel::WebSocket, failure),
                };
                self.arrive(arrival, from, Duration::ZERO);
            }
            Wish::Connect(domain, routing, tunnel) => {
                let joined = match self.faults.refuse_connect {
                    Some(failure) => Err(failure),
                    None => self.relay.connect(domain, routing, tunnel),
                };
                let (arrival, waiting) = match joined {
                    Ok((line, waiting)) => {
                        self.lines.insert(from, line);
                        (Arrival::Joined(DataChannel::WebSocket), waiting)
                    }
                    Err(failure) => (
                        Arrival::Refused(from, DataChannel::WebSocket, failure),
                        Vec::new(),
                    ),
                };
                self.arrive(arrival, from, Duration::ZERO);
                for frame in waiting {
                    self.arrive(
                        Arrival::Frame(from, DataChannel::WebSocket, frame),
                        from,
                        Duration::ZERO,
                    );
                }
            }
            Wish::Forward(DataChannel::WebSocket, frame) => self.carry(from, frame),
            Wish::Close(DataChannel::WebSocket) => {
                if let Some(line) = self.lines.remove(&from) {
                    let told = self.relay.close(line);
                    self.deliver(told, Duration::ZERO);
                }
            }
        }
    }

    /// Passes a frame on, with the harm that is meant for it.
    fn carry(&mut self, from: Side, frame: Vec<u8>) {
        let Some(&line) = self.lines.get(&from) else {
            return;
        };
        let count = self.sent.entry(from).or_default();
        let number = *count;
        *count += 1;
        self.frames.push((from, frame.clone()));
        let mut faults = self.faults.frames.iter();
        let fault = faults.find(|fault| (fault.from, fault.number) == (from, number));
        let fault = fault.copied();
        let frame = match fault {
            Some(fault) => self.harm(line, fault, frame),
            None => self.perhaps(line, frame),
        };
        let Some(frame) = frame else {
            return;
        };
        let late = fault.map_or(Duration::ZERO, |fault| fault.delay);
        self.forward(line, frame, late);
        if let Some((fault, frame)) = self.held.take_if(|(held, _)| held.from == from) {
            self.applied(fault);
            self.forward(line, frame, fault.delay);
        }
    }

    /// Does to a frame what its fault says; returns what is left of it to pass on.
    fn harm(&mut self, line: Connection, fault: FrameFault, mut frame: Vec<u8>) -> Option<Vec<u8>> {
        if fault.damage == Some(Damage::Swap) {
            self.held = Some((fault, frame));
            return None;
        }
        self.applied(fault);
        let Some(damage) = fault.damage else {
            return Some(frame);
        };
        match damage {
            Damage::Swap | Damage::Drop => return None,
            Damage::Duplicate => self.forward(line, frame.clone(), Duration::ZERO),
            Damage::Flip(bit) => flip(&mut frame, bit),
            // No relay takes an empty message from anybody; this one lies.
            Damage::Empty | Damage::Truncate(0) => {
                let side = self.side(self.relay.peer(line)?)?;
                let empty = Arrival::Frame(side, DataChannel::WebSocket, Vec::new());
                self.arrive(empty, side, fault.delay);
                return None;
            }
            Damage::Truncate(length) => frame.truncate(length),
            Damage::Close { sender, receiver } => {
                let told = self.relay.close_both(line, sender, receiver);
                self.deliver(told, fault.delay);
                return None;
            }
            Damage::Unreadable(bad) => {
                // The receiver's own channel ends it, and for the sender it was just closed.
                let peer = self.relay.peer(line)?;
                let side = self.side(peer)?;
                let closed = Arrival::Closed(side, DataChannel::WebSocket, Closed::Misbehaved(bad));
                self.arrive(closed, side, fault.delay);
                self.lines.remove(&side);
                let told = self.relay.close(peer);
                self.deliver(told, fault.delay);
                return None;
            }
        }
        Some(frame)
    }

    /// Does to a frame what may happen to any.
    fn perhaps(&mut self, line: Connection, frame: Vec<u8>) -> Option<Vec<u8>> {
        let chances = self.faults.chances;
        if self.happens(chances.frame_loss) {
            self.note("a frame is lost");
            return None;
        }
        if self.happens(chances.frame_twice) {
            self.note("a frame comes twice");
            self.forward(line, frame.clone(), Duration::ZERO);
        }
        Some(frame)
    }

    fn applied(&mut self, fault: FrameFault) {
        self.note(&format!("{fault:?}"));
        self.applied.push(fault);
    }

    fn forward(&mut self, line: Connection, frame: Vec<u8>, late: Duration) {
        let told = self.relay.forward(line, frame);
        self.deliver(told, late);
    }

    fn deliver(&mut self, told: Vec<Delivery>, late: Duration) {
        for Delivery { to, told } in told {
            let Some(side) = self.side(to) else {
                continue;
            };
            let arrival = match told {
                Told::Frame(frame) => Arrival::Frame(side, DataChannel::WebSocket, frame),
                Told::Closed(code) => {
                    self.lines.remove(&side);
                    Arrival::Closed(side, DataChannel::WebSocket, Closed::from_code(Some(code)))
                }
            };
            self.arrive(arrival, side, late);
        }
    }

    fn side(&self, line: Connection) -> Option<Side> {
        let mut lines = self.lines.iter();
        lines
            .find(|(_, known)| **known == line)
            .map(|(side, _)| *side)
    }

    /// Sends something from the relay to a device: after all that was sent before, unless it is
    /// late by a fault.
    fn arrive(&mut self, arrival: Arrival, side: Side, late: Duration) {
        if !late.is_zero() {
            return self.start(self.faults.latency + late, Moving::Arrival(arrival));
        }
        let jitter = self.up_to(self.faults.chances.frame_delay);
        let usual = self.now.monotonic + self.faults.latency + jitter;
        let last = self.last.entry(side).or_default();
        *last = usual.max(*last);
        let after = last.saturating_sub(self.now.monotonic);
        self.start(after, Moving::Arrival(arrival));
    }

    fn start(&mut self, after: Duration, moving: Moving) {
        self.begun += 1;
        let time = self.now.monotonic + after;
        self.moving.insert((time, self.begun), moving);
    }

    /// Draws whether something of this likelihood, in percent, happens.
    fn happens(&mut self, percent: u8) -> bool {
        percent > 0 && self.luck.next_u32() % 100 < u32::from(percent)
    }

    /// Draws a time, in whole milliseconds.
    fn up_to(&mut self, longest: Duration) -> Duration {
        match u64::try_from(longest.as_millis()) {
            Ok(longest) if longest > 0 => {
                Duration::from_millis(self.luck.next_u64() % (longest + 1))
            }
            _ => Duration::ZERO,
        }
    }
}
