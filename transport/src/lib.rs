//! The async I/O that both sides of a hybrid ceremony share: a data channel through a relay, and a
//! radio that carries adverts.
//!
//! This crate moves bytes. It knows nothing of CTAP2 or passkeys, and holds no key but those of
//! TLS.

pub mod channel;
pub mod radio;
pub mod relay;
pub mod tls;
