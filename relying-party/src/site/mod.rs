//! The demo site: accounts with passkeys, one page, a JSON interface.

mod core;
mod http;
mod session;

pub(crate) use self::core::{Site, SiteConfig};
pub(crate) use http::serve;
