//! Opening a tunnel at a relay (`hybrid-transport.md` §5).

mod opening;

use std::fmt;

use handfast_proto::hybrid::ChannelFailure;
use handfast_proto::hybrid::tunnel::{
    ROUTING_ID_HEADER, RoutingId, TunnelDomain, TunnelId, connect_path, new_path,
};
use rand_core::{OsRng, RngCore};
use thiserror::Error;
use url::{Host, Url};

use crate::channel::Channel;
use crate::tls::TlsTrust;

/// Why text is no relay's address.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum RelayUrlError {
    /// It has a path, a query, or a user's name.
    #[error("a relay's address is only wss://HOST or wss://HOST:PORT")]
    Extra,
    /// It is no URL.
    #[error("this is no address")]
    Malformed,
    /// Plain text to another machine.
    #[error("ws:// is allowed only for this machine itself; use wss://")]
    Plain,
    /// Neither `wss` nor `ws`.
    #[error("a relay's address begins with wss://")]
    Scheme,
}

/// A relay's address: `wss://HOST[:PORT]`, or `ws://` on a loopback address.
#[derive(Clone, Debug, PartialEq)]
pub struct RelayUrl(Url);

impl RelayUrl {
    /// Reads an address.
    ///
    /// # Errors
    ///
    /// [`RelayUrlError`].
    pub fn parse(text: &str) -> Result<Self, RelayUrlError> {
        let url = Url::parse(text).map_err(|_| RelayUrlError::Malformed)?;
        check_security(&url)?;
        let bare = url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if bare {
            Ok(Self(url))
        } else {
            Err(RelayUrlError::Extra)
        }
    }

    /// Returns the relay that a tunnel domain number stands for, if that can be known.
    pub fn for_domain(domain: TunnelDomain) -> Option<Self> {
        Url::parse(&format!("wss://{}/", domain.host()?))
            .ok()
            .map(Self)
    }

    fn at(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(path);
        url
    }
}

impl fmt::Display for RelayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

fn check_security(url: &Url) -> Result<(), RelayUrlError> {
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return Err(RelayUrlError::Malformed),
    };
    match url.scheme() {
        "wss" => Ok(()),
        "ws" if loopback => Ok(()),
        "ws" => Err(RelayUrlError::Plain),
        _ => Err(RelayUrlError::Scheme),
    }
}

/// Why no tunnel could be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// No connection.
    #[error("the relay {relay} cannot be reached: {source}")]
    Connect {
        /// The relay.
        relay: String,
        /// Why.
        source: std::io::Error,
    },
    /// The relay answered, but not with a tunnel of this protocol.
    #[error("the relay {relay} does not speak the protocol: {reason}")]
    Protocol {
        /// The relay.
        relay: String,
        /// What is wrong with its answer.
        reason: &'static str,
    },
    /// A redirect to where no tunnel may be.
    #[error("the relay {relay} redirects to where no tunnel may be")]
    Redirect {
        /// The relay.
        relay: String,
    },
    /// An HTTP status other than 101.
    #[error("the relay {relay} refused with status {status}")]
    Status {
        /// The relay.
        relay: String,
        /// The status.
        status: u16,
    },
    /// It took too long.
    #[error("the relay {relay} took too long to answer")]
    TimedOut {
        /// The relay.
        relay: String,
    },
    /// The certificate is not good. What else is wrong with TLS is [`Self::Protocol`].
    #[error("the relay {relay} has a certificate that cannot be trusted: {reason}")]
    Tls {
        /// The relay.
        relay: String,
        /// Why.
        reason: &'static str,
    },
    /// More redirects than anybody needs.
    #[error("the relay {relay} redirects again and again")]
    TooManyRedirects {
        /// The relay.
        relay: String,
    },
}

impl OpenError {
    /// Returns what a ceremony needs to know of it.
    pub fn failure(&self) -> ChannelFailure {
        match self {
            Self::Status { status: 404, .. } => ChannelFailure::NotFound,
            Self::Status { status: 409, .. } => ChannelFailure::Conflict,
            Self::Status { status: 410, .. } => ChannelFailure::Gone,
            Self::Status { status, .. } => ChannelFailure::Rejected(*status),
            Self::Tls { .. } => ChannelFailure::Tls,
            Self::Protocol { .. } | Self::Redirect { .. } | Self::TooManyRedirects { .. } => {
                ChannelFailure::Protocol
            }
            Self::Connect { .. } | Self::TimedOut { .. } => ChannelFailure::Unreachable,
        }
    }
}

/// Creates a tunnel, as a phone does.
///
/// # Errors
///
/// [`OpenError`].
pub async fn open_new(
    relay: &RelayUrl,
    tunnel: &TunnelId,
    trust: &TlsTrust,
) -> Result<(Channel, RoutingId), OpenError> {
    let (channel, headers) = opening::open(relay, &new_path(tunnel), trust).await?;
    let routing = opening::single(&headers, ROUTING_ID_HEADER);
    match routing.map(|routing| RoutingId::parse_hex(routing.trim())) {
        Some(Ok(routing)) => Ok((channel, routing)),
        _ => Err(OpenError::Protocol {
            relay: relay.to_string(),
            reason: "it gave no routing ID of three bytes",
        }),
    }
}

/// Joins a tunnel, as a client does.
///
/// # Errors
///
/// [`OpenError`].
pub async fn open_connect(
    relay: &RelayUrl,
    routing: &RoutingId,
    tunnel: &TunnelId,
    trust: &TlsTrust,
) -> Result<Channel, OpenError> {
    let (channel, _) = opening::open(relay, &connect_path(routing, tunnel), trust).await?;
    Ok(channel)
}

/// Checks that a relay is there, is trusted and speaks the protocol, by asking for a tunnel that nobody
/// made.
///
/// # Errors
///
/// [`OpenError`].
pub async fn probe(relay: &RelayUrl, trust: &TlsTrust) -> Result<(), OpenError> {
    let (mut routing, mut tunnel) = ([0; 3], [0; 16]);
    OsRng.fill_bytes(&mut routing);
    OsRng.fill_bytes(&mut tunnel);
    let (routing, tunnel) = (RoutingId(routing), TunnelId(tunnel));
    match open_connect(relay, &routing, &tunnel, trust).await {
        Ok(_)
        | Err(OpenError::Status {
            status: 404 | 410, ..
        }) => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_stays_on_this_machine() {
        assert!(RelayUrl::parse("ws://127.0.0.1:8080").is_ok());
        assert!(RelayUrl::parse("ws://localhost:8080/").is_ok());
        assert_eq!(
            RelayUrl::parse("ws://relay.example"),
            Err(RelayUrlError::Plain)
        );
        assert_eq!(RelayUrl::parse("ws://10.0.0.1"), Err(RelayUrlError::Plain));
        assert_eq!(
            RelayUrl::parse("ws://localhost.example"),
            Err(RelayUrlError::Plain)
        );
    }

    #[test]
    fn only_host_and_port_are_an_address() {
        assert!(RelayUrl::parse("wss://relay.example:8443").is_ok());
        for text in [
            "wss://relay.example/cable",
            "wss://u@relay.example",
            "wss://r.example/?a=1",
        ] {
            assert_eq!(RelayUrl::parse(text), Err(RelayUrlError::Extra), "{text}");
        }
        assert_eq!(
            RelayUrl::parse("https://relay.example"),
            Err(RelayUrlError::Scheme)
        );
        assert_eq!(
            RelayUrl::parse("relay.example"),
            Err(RelayUrlError::Malformed)
        );
    }

    #[test]
    fn an_unassigned_number_has_no_relay() {
        let hashed = RelayUrl::for_domain(TunnelDomain(266)).unwrap();
        assert_eq!(hashed.to_string(), "wss://cable.wufkweyy3uaxb.com");
        assert_eq!(RelayUrl::for_domain(TunnelDomain(2)), None);
    }
}
