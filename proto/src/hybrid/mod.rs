//! The hybrid transport: QR invitation, advert, tunnel addresses, Noise and the two ceremonies
//! (CTAP 2.3 §11.5).

pub mod advert;
pub mod channel;
pub mod handshake;
pub mod keys;
pub mod message;
pub mod qr;
pub mod tunnel;
