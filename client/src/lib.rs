//! The desktop side of FIDO Cross-Device Authentication: passkey ceremonies with a phone nearby or
//! with this device's own vault, for any program, by library or by the binary `handfast`.
//!
//! The caller says for which origin it asks; [`origin`] holds it to that. A program that lets
//! others choose the origin is a phishing kit.

pub mod ceremony;
pub mod cli;
pub mod local;
pub mod origin;
pub mod qr;
pub mod site;
pub mod webauthn;
