//! What one connection, one tunnel and the whole relay may use.

use std::time::Duration;

use crate::reader::{HELD, Rules};
use crate::request::MAX_HEAD;
use crate::side::{Side, Stream, TLS_BUFFER};
use crate::tunnel::HEADS;

/// Bytes that a TLS connection may hold: what is kept of what was written and not taken, once as it was
/// written and once as it is to go out, and a record each way.
const TLS: usize = 2 * TLS_BUFFER + 2 * 18 * 1024;

/// Bounds that keep one peer from hurting the others.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes in one WebSocket message; more closes with 1009. Chromium accepts 1 MiB, so a relay
    /// must pass a little more than that.
    pub message_bytes: usize,
    /// Messages that one side may send in the life of a tunnel; more closes with 1008.
    pub messages_per_side: u32,
    /// Bytes of messages that one side may send in the life of a tunnel; more closes with 1008.
    pub bytes_per_side: u64,
    /// Messages that the phone may send before its client is there; more closes with 1008.
    pub waiting_messages: u32,
    /// Bytes of those messages together, unfinished ones too; more closes with 1009. The heads of
    /// their frames may take 4 KiB besides.
    pub waiting_bytes: usize,
    /// How long a phone may wait for its client.
    pub unpaired: Duration,
    /// How long a tunnel may live in all. A client may linger three minutes after its last word.
    pub total: Duration,
    /// Time between two pings to a peer. One that leaves two unanswered is gone at the third;
    /// whatever it sends is an answer, and so is that it takes what it had not taken yet.
    pub ping_every: Duration,
    /// Time for the TLS handshake.
    pub handshake: Duration,
    /// Time for the TLS handshake and the request head together, and again for a peer to take the
    /// head of the answer.
    pub opening: Duration,
    /// Time that a peer gets to answer a close frame, or a refusal, and to end its side.
    pub closing: Duration,
    /// Time that tunnels get to end by themselves when the relay is asked to stop.
    pub draining: Duration,
    /// Tunnels at the same time; one more `new` is answered 503.
    pub tunnels: usize,
    /// Tunnels at the same time whose phones have one address (IPv4), or addresses of one network of
    /// 64 bits (IPv6); one more is answered 429.
    pub tunnels_per_address: u32,
    /// New tunnels a second from such an address, at least one; more are answered 429.
    pub new_per_second_and_address: u32,
    /// New tunnels from such an address at once, if there were none for a while; at least one.
    pub new_at_once_per_address: u32,
    /// Connections that have not yet sent their whole request head, at least one; for one more the
    /// oldest of them is dropped.
    pub openings: usize,
    /// How many of these one address may have, at least one; for one more its own oldest is dropped.
    pub openings_per_address: usize,
}

impl Limits {
    /// The steps in which time is measured: a quarter of the shortest time here, between 10 ms and
    /// half a second.
    pub fn tick(&self) -> Duration {
        let times = [
            self.unpaired,
            self.total,
            self.ping_every,
            self.handshake,
            self.opening,
            self.closing,
        ];
        let shortest = times.into_iter().min().unwrap_or_default() / 4;
        shortest.clamp(Duration::from_millis(10), Duration::from_millis(500))
    }

    /// The memory that one address can make the relay hold at most, in bytes, besides some hundred
    /// bytes a connection: heads and TLS handshakes of its openings, and in each tunnel what is kept
    /// for the client, a frame that is not whole and what a peer does not take, both ways.
    pub fn bytes_per_address(&self) -> usize {
        let opening = MAX_HEAD * 2 + TLS;
        let kept = self.waiting_bytes + HEADS;
        let tunnel = kept + 2 * (HELD + Side::<Stream>::MOST_UNWRITTEN + TLS);
        let tunnels = usize::try_from(self.tunnels_per_address).unwrap_or(usize::MAX);
        let openings = self.openings_per_address.saturating_mul(opening);
        tunnels.saturating_mul(tunnel).saturating_add(openings)
    }

    pub(crate) fn rules(&self) -> Rules {
        Rules {
            message_bytes: u64::try_from(self.message_bytes).unwrap_or(u64::MAX),
            messages: self.messages_per_side,
            bytes: self.bytes_per_side,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 1024 * 1024 + 64 * 1024,
            messages_per_side: 4096,
            bytes_per_side: 256 * 1024 * 1024,
            waiting_messages: 8,
            waiting_bytes: 64 * 1024,
            unpaired: Duration::from_secs(3 * 60),
            total: Duration::from_secs(15 * 60),
            ping_every: Duration::from_secs(30),
            handshake: Duration::from_secs(8),
            opening: Duration::from_secs(10),
            closing: Duration::from_secs(2),
            draining: Duration::from_secs(60),
            tunnels: 50_000,
            // Behind one address of a mobile network there are many phones.
            tunnels_per_address: 256,
            new_per_second_and_address: 10,
            new_at_once_per_address: 50,
            openings: 1024,
            openings_per_address: 64,
        }
    }
}
