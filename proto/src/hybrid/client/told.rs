//! What a client's ceremony is told and tells.

use crate::ctap2::get_info;
use crate::hybrid::ceremony::{CeremonyError, ClientLimits};
use crate::hybrid::data_channel::{DataChannel, DataChannels, Psm};
use crate::hybrid::handshake::HandshakeHash;
use crate::hybrid::qr::Hint;
use crate::hybrid::tunnel::{RoutingId, TunnelDomain, TunnelId};

/// What a client's ceremony needs to know beforehand.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClientConfig {
    /// What the ceremony is for.
    pub hint: Hint,
    /// The ways that are offered to the phone. Where it has both, Bluetooth is tried first.
    pub channels: DataChannels,
    /// How long to wait.
    pub limits: ClientLimits,
}

/// What the driver must do.
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub enum ClientAction {
    /// Close this channel, or give up opening it.
    Close(DataChannel),
    /// Connect by Bluetooth to the sender of the advert that was handed in last, and report how that
    /// went.
    OpenBle {
        /// Where it takes connections.
        psm: Psm,
    },
    /// Open the tunnel and report how that went.
    OpenTunnel {
        /// The relay.
        domain: TunnelDomain,
        /// The routing ID of the advert.
        routing: RoutingId,
        /// The tunnel.
        tunnel: TunnelId,
    },
    /// Send this as one message of that channel.
    Send(DataChannel, Vec<u8>),
    /// Listen for adverts and report each.
    StartScan,
    /// Stop listening.
    StopScan,
}

/// What a person, or the program that started the ceremony, should know.
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub enum ClientEvent {
    /// The channel is open.
    Connected(DataChannel),
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
    /// The phone cannot be reached by Bluetooth; the tunnel is tried instead.
    TunnelInstead(CeremonyError),
    /// The request is with the phone's owner.
    WaitingForApproval,
    /// The QR code should be shown.
    WaitingForPhone,
}
