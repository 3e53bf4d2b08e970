use std::collections::BTreeMap;

use handfast_proto::hybrid::ChannelFailure;
use handfast_proto::hybrid::channel::MAX_FRAME;
use handfast_proto::hybrid::tunnel::{RoutingId, TunnelDomain, TunnelId};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

/// Messages that one side may send in the life of a tunnel.
const MESSAGES: usize = 256;
/// Messages that a phone may send before its client is there, and their bytes together.
const WAITING: usize = 8;
const WAITING_BYTES: usize = 64 * 1024;

/// A device's connection to a relay.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Connection(u64);

/// What a relay sends.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// The connection is closed, with this code (RFC 6455 §7.4).
    Closed(u16),
    /// A binary message.
    Frame(Vec<u8>),
}

/// What a relay sends to whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The device's connection.
    pub to: Connection,
    /// What it is told.
    pub told: Told,
}

impl Delivery {
    fn closed(to: Connection, code: u16) -> Self {
        Self {
            to,
            told: Told::Closed(code),
        }
    }
}

/// All relays that there are, told apart by their domains (`hybrid-transport.md` §5).
///
/// It knows tunnels by domain and tunnel ID, and keeps each one's routing ID. Nobody is ever
/// evicted: the first phone and the first client have their places until one of them leaves.
#[derive(Debug)]
pub struct Relay {
    tunnels: BTreeMap<Address, Tunnel>,
    connections: BTreeMap<Connection, Address>,
    opened: u64,
    rng: ChaCha20Rng,
}

type Address = (u16, [u8; 16]);

#[derive(Debug)]
struct Tunnel {
    routing: RoutingId,
    phone: Connection,
    client: Option<Connection>,
    waiting: Vec<Vec<u8>>,
    /// How many messages the phone and the client have sent.
    sent: (usize, usize),
}

impl Relay {
    /// Makes relays without tunnels; the seed gives the routing IDs.
    pub fn new(seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        // The devices draw from the first stream, and accidents from another.
        rng.set_stream(2);
        Self {
            tunnels: BTreeMap::new(),
            connections: BTreeMap::new(),
            opened: 0,
            rng,
        }
    }

    /// A phone asks for a new tunnel.
    ///
    /// # Errors
    ///
    /// [`ChannelFailure::Conflict`] (409) if there is one of this name.
    pub fn create(
        &mut self,
        domain: TunnelDomain,
        tunnel: TunnelId,
    ) -> Result<(Connection, RoutingId), ChannelFailure> {
        let address = (domain.0, tunnel.0);
        if self.tunnels.contains_key(&address) {
            return Err(ChannelFailure::Conflict);
        }
        let mut routing = RoutingId([0; 3]);
        self.rng.fill_bytes(&mut routing.0);
        let phone = self.connection(address);
        let new = Tunnel {
            routing,
            phone,
            client: None,
            waiting: Vec::new(),
            sent: (0, 0),
        };
        self.tunnels.insert(address, new);
        Ok((phone, routing))
    }

    /// A client joins a tunnel, and gets what the phone has said so far.
    ///
    /// # Errors
    ///
    /// [`ChannelFailure::NotFound`] (404) without such a tunnel or with another routing ID,
    /// [`ChannelFailure::Conflict`] (409) if there is a client already.
    pub fn connect(
        &mut self,
        domain: TunnelDomain,
        routing: RoutingId,
        tunnel: TunnelId,
    ) -> Result<(Connection, Vec<Vec<u8>>), ChannelFailure> {
        let address = (domain.0, tunnel.0);
        let found = self.tunnels.get(&address);
        let found = found.filter(|tunnel| tunnel.routing == routing);
        match found.map(|tunnel| tunnel.client) {
            None => return Err(ChannelFailure::NotFound),
            Some(Some(_)) => return Err(ChannelFailure::Conflict),
            Some(None) => {}
        }
        let client = self.connection(address);
        let waiting = self.tunnels.get_mut(&address).map(|tunnel| {
            tunnel.client = Some(client);
            core::mem::take(&mut tunnel.waiting)
        });
        Ok((client, waiting.unwrap_or_default()))
    }

    fn connection(&mut self, address: Address) -> Connection {
        self.opened += 1;
        let connection = Connection(self.opened);
        self.connections.insert(connection, address);
        connection
    }

    /// Passes a message on, or keeps it until there is a client. Who breaks a limit is told so, and
    /// the other side that it was not at fault (1008).
    pub fn forward(&mut self, from: Connection, frame: Vec<u8>) -> Vec<Delivery> {
        let found = self.connections.get(&from);
        let Some(tunnel) = found.and_then(|address| self.tunnels.get_mut(address)) else {
            return Vec::new();
        };
        let by_phone = tunnel.phone == from;
        let sent = match by_phone {
            true => &mut tunnel.sent.0,
            false => &mut tunnel.sent.1,
        };
        *sent += 1;
        let waiting: usize = tunnel.waiting.iter().map(Vec::len).sum();
        let fault = match frame.len() {
            0 => Some(1002),
            length if length > MAX_FRAME => Some(1009),
            _ if *sent > MESSAGES => Some(1008),
            _ if tunnel.client.is_some() => None,
            length if waiting + length > WAITING_BYTES => Some(1009),
            _ if tunnel.waiting.len() >= WAITING => Some(1008),
            _ => None,
        };
        if let Some(code) = fault {
            return self.close_both(from, code, 1008);
        }
        match (by_phone, tunnel.client) {
            (true, None) => {
                tunnel.waiting.push(frame);
                Vec::new()
            }
            (true, Some(to)) => vec![Delivery {
                to,
                told: Told::Frame(frame),
            }],
            (false, _) => vec![Delivery {
                to: tunnel.phone,
                told: Told::Frame(frame),
            }],
        }
    }

    /// A device closes its connection: the other is told (1000), and the tunnel is forgotten.
    pub fn close(&mut self, from: Connection) -> Vec<Delivery> {
        self.end(from, 1000)
    }

    /// A device's connection breaks: the other is told (1001), and the tunnel is forgotten.
    pub fn lose(&mut self, from: Connection) -> Vec<Delivery> {
        self.end(from, 1001)
    }

    /// The relay ends a tunnel, with a code for this side and one for the other.
    pub fn close_both(&mut self, this: Connection, here: u16, there: u16) -> Vec<Delivery> {
        if !self.connections.contains_key(&this) {
            return Vec::new();
        }
        let mut told = vec![Delivery::closed(this, here)];
        told.extend(self.end(this, there));
        told
    }

    /// Returns the other end of this connection's tunnel, if somebody is there.
    pub fn peer(&self, of: Connection) -> Option<Connection> {
        let tunnel = self.tunnels.get(self.connections.get(&of)?)?;
        match tunnel.phone == of {
            true => tunnel.client,
            false => Some(tunnel.phone),
        }
    }

    /// Returns the number of tunnels.
    pub fn tunnels(&self) -> usize {
        self.tunnels.len()
    }

    fn end(&mut self, from: Connection, code: u16) -> Vec<Delivery> {
        let address = self.connections.remove(&from);
        let tunnel = address.and_then(|address| self.tunnels.remove(&address));
        let sides = tunnel.map(|tunnel| [Some(tunnel.phone), tunnel.client]);
        let others = sides.into_iter().flatten().flatten();
        let others = others.filter(|side| *side != from);
        others
            .map(|other| {
                self.connections.remove(&other);
                Delivery::closed(other, code)
            })
            .collect()
    }
}
