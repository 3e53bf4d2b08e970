//! The hybrid transport: QR invitation, advert, tunnel addresses, Noise and the two ceremonies
//! (CTAP 2.3 §11.5).
//!
//! [`ClientCeremony`] and [`PhoneCeremony`] hold the whole flow; the other modules are what they
//! are made of.

pub mod advert;
mod ceremony;
pub mod channel;
mod client;
pub mod data_channel;
pub mod framing;
pub mod handshake;
pub mod keys;
pub mod message;
mod phone;
pub mod qr;
pub mod tunnel;

pub use ceremony::{
    ApiMisuse, BadMessage, CeremonyError, ChannelFailure, ClientLimits, Closed, PeerMisbehaved,
    PhoneLimits, TimedOut, Unanswerable,
};
pub use client::{ClientAction, ClientCeremony, ClientConfig, ClientEvent};
pub use data_channel::{DataChannel, DataChannels, Psm};
pub use phone::{PhoneAction, PhoneCeremony, PhoneConfig, PhoneEvent};
