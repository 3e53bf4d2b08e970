//! The demo site: accounts with passkeys, one page, a JSON interface.

mod account;
mod core;
mod http;
mod refusal;
mod register;
mod session;
mod sign_in;

pub(crate) use self::core::{Site, SiteConfig};
pub(crate) use http::serve;
