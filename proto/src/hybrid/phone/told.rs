//! What a phone's ceremony is told and tells.

use crate::hybrid::advert::Advertisement;
use crate::hybrid::ceremony::{CeremonyError, PhoneLimits};
use crate::hybrid::data_channel::{DataChannel, DataChannels};
use crate::hybrid::handshake::HandshakeHash;
use crate::hybrid::tunnel::{TunnelDomain, TunnelId};

/// What a phone's ceremony needs to know beforehand.
#[derive(Clone, Debug)]
pub struct PhoneConfig {
    /// The number of the phone's relay. It is in the advert even if the phone has no tunnel there.
    pub domain: TunnelDomain,
    /// The ways on which the phone can talk.
    pub channels: DataChannels,
    /// The answer of authenticatorGetInfo, without a status byte.
    pub get_info: Vec<u8>,
    /// How long to wait.
    pub limits: PhoneLimits,
}

/// What the driver must do.
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub enum PhoneAction {
    /// Broadcast this.
    Advertise(Advertisement),
    /// Close this channel, or give up opening it. By Bluetooth, another computer may come then, as long
    /// as the advert is on the air.
    Close(DataChannel),
    /// Get ready for Bluetooth connections, and report where they are taken, each that comes while there is
    /// no other, or why none can come.
    ListenBle,
    /// Create the tunnel and report how that went.
    OpenTunnel {
        /// The relay.
        domain: TunnelDomain,
        /// The tunnel.
        tunnel: TunnelId,
    },
    /// Send this as one message of that channel.
    Send(DataChannel, Vec<u8>),
    /// Stop broadcasting, and take no more Bluetooth connections.
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
        /// On which way.
        channel: DataChannel,
        /// The name of this very connection.
        handshake_hash: HandshakeHash,
    },
    /// The ceremony is over, and failed.
    Failed(CeremonyError),
    /// The ceremony is over.
    Finished,
    /// The client introduces itself, before its first request (`docs/introductions.md`); once at most.
    Introduction(Vec<u8>),
    /// The request was not answered in time: its prompt has to disappear.
    Lapsed,
    /// A request to answer: command byte and CBOR.
    Request(Vec<u8>),
    /// One of the ways is not there, for this reason; the ceremony goes on with the other.
    Without(DataChannel, CeremonyError),
}
