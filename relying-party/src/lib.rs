//! Verification of passkeys for a relying party, with the trust-group extension `cmtgKey`: whether a
//! synced passkey was used on a device that was ever beside its owner's other devices.
//!
//! [`registration`] and [`authentication`] check a response against what was asked; [`cmtg`] checks
//! the extension and keeps its records, [`compat`] those that WebAuthn has no more; [`policy`] says what a site should make of the outcome. With
//! feature `site` there is a demo site as well. Nothing here trusts what a client says that no
//! authenticator signed.

pub mod authentication;
#[cfg(feature = "site")]
pub mod cli;
mod client_data;
pub mod cmtg;
pub mod compat;
pub mod policy;
pub mod record;
pub mod registration;
mod response;
mod rule;
#[cfg(feature = "site")]
pub mod site;
pub mod store;

pub use client_data::{Challenge, Expected};
pub use response::{AuthenticationResponse, CmtgOutput, RegistrationResponse, ResponseError};
pub use rule::Rule;
