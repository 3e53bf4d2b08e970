//! The demo site: accounts with passkeys, one page, a JSON interface.
//!
//! [`Site`] is all of it but the network: whoever has an endpoint, a session's token and a body gets
//! an answer, at a time of the caller's choice.

mod account;
mod core;
mod http;
mod notice;
mod refusal;
mod register;
mod session;
mod sign_in;

pub use self::core::{Answer, Site, SiteConfig};
pub(crate) use http::serve;
pub use notice::Notice;
