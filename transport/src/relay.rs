//! Opening a tunnel at a relay (`hybrid-transport.md` §5).

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use handfast_proto::hybrid::ChannelFailure;
use handfast_proto::hybrid::tunnel::{
    ROUTING_ID_HEADER, RoutingId, SUBPROTOCOL, TunnelDomain, TunnelId, connect_path, new_path,
};
use rustls_pki_types::ServerName;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::{Error as SocketError, UrlError};
use tokio_tungstenite::tungstenite::http::{HeaderValue, Request, Response, StatusCode, header};
use tracing::debug;
use url::{Host, Url};

use crate::channel::{Channel, Stream};
use crate::tls::TlsTrust;

/// How long opening a tunnel may take, redirects included.
const PATIENCE: Duration = Duration::from_secs(30);
const MAX_REDIRECTS: usize = 5;

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
    /// The certificate is not good.
    #[error("the relay {relay} has a certificate that cannot be trusted: {reason}")]
    Tls {
        /// The relay.
        relay: String,
        /// Why.
        reason: &'static str,
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
            Self::Protocol { .. } | Self::Redirect { .. } => ChannelFailure::Protocol,
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
    let (channel, response) = open(relay, &new_path(tunnel), trust).await?;
    let mut headers = response.headers().get_all(ROUTING_ID_HEADER).iter();
    let routing = match (headers.next(), headers.next()) {
        (Some(routing), None) => routing.to_str().ok(),
        _ => None,
    };
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
    Ok(open(relay, &connect_path(routing, tunnel), trust).await?.0)
}

async fn open(
    relay: &RelayUrl,
    path: &str,
    trust: &TlsTrust,
) -> Result<(Channel, Response<()>), OpenError> {
    let name = relay.to_string();
    match timeout(PATIENCE, follow(relay.at(path), &name, trust)).await {
        Ok(opened) => opened,
        Err(_) => Err(OpenError::TimedOut { relay: name }),
    }
}

async fn follow(
    mut url: Url,
    relay: &str,
    trust: &TlsTrust,
) -> Result<(Channel, Response<()>), OpenError> {
    for _ in 0..=MAX_REDIRECTS {
        match attempt(&url, relay, trust).await? {
            Attempt::Opened(channel, response) => return Ok((*channel, response)),
            Attempt::Redirect(location) => {
                let next = url.join(&location).ok().and_then(websocket_scheme);
                // From TLS a redirect may only lead to TLS.
                let next = next.filter(|next| {
                    check_security(next).is_ok() && (url.scheme() == "ws" || next.scheme() == "wss")
                });
                url = next.ok_or_else(|| OpenError::Redirect {
                    relay: relay.to_owned(),
                })?;
                debug!(to = url.host_str(), "the relay redirects");
            }
        }
    }
    Err(OpenError::Redirect {
        relay: relay.to_owned(),
    })
}

fn websocket_scheme(mut url: Url) -> Option<Url> {
    let scheme = match url.scheme() {
        "https" => "wss",
        "http" => "ws",
        _ => return Some(url),
    };
    url.set_scheme(scheme).ok().map(|()| url)
}

enum Attempt {
    Opened(Box<Channel>, Response<()>),
    Redirect(String),
}

async fn attempt(url: &Url, relay: &str, trust: &TlsTrust) -> Result<Attempt, OpenError> {
    let stream = connect(url, relay, trust).await?;
    let protocol = |reason| OpenError::Protocol {
        relay: relay.to_owned(),
        reason,
    };
    let request = request(url).ok_or_else(|| protocol("its address cannot be asked"))?;
    match client_async_with_config(request, stream, Some(Channel::config())).await {
        Ok((socket, response)) => {
            let echoed = response.headers().get(header::SEC_WEBSOCKET_PROTOCOL);
            if echoed.is_none_or(|protocol| protocol != SUBPROTOCOL) {
                return Err(protocol("it did not choose the subprotocol"));
            }
            Ok(Attempt::Opened(
                Box::new(Channel::new(socket)),
                response.map(|_| ()),
            ))
        }
        Err(SocketError::Http(response)) => refused(&response, relay),
        Err(SocketError::Io(source)) => Err(OpenError::Connect {
            relay: relay.to_owned(),
            source,
        }),
        Err(SocketError::Url(UrlError::NoHostName)) => Err(protocol("it has no name")),
        Err(SocketError::Protocol(
            tokio_tungstenite::tungstenite::error::ProtocolError::SecWebSocketSubProtocolError(_),
        )) => Err(protocol("it did not choose the subprotocol")),
        Err(_) => Err(protocol("its answer is no WebSocket")),
    }
}

fn refused(response: &Response<Option<Vec<u8>>>, relay: &str) -> Result<Attempt, OpenError> {
    let location = response
        .headers()
        .get(header::LOCATION)
        .and_then(|value| value.to_str().ok());
    match (response.status(), location) {
        (
            StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT,
            Some(location),
        ) => Ok(Attempt::Redirect(location.to_owned())),
        (status, _) => Err(OpenError::Status {
            relay: relay.to_owned(),
            status: status.as_u16(),
        }),
    }
}

fn request(url: &Url) -> Option<Request<()>> {
    let mut request = url.as_str().into_client_request().ok()?;
    let origin = format!("wss://{}", url.host_str()?);
    let headers = request.headers_mut();
    headers.insert(
        header::SEC_WEBSOCKET_PROTOCOL,
        HeaderValue::from_static(SUBPROTOCOL),
    );
    headers.insert(header::ORIGIN, HeaderValue::from_str(&origin).ok()?);
    Some(request)
}

async fn connect(url: &Url, relay: &str, trust: &TlsTrust) -> Result<Box<dyn Stream>, OpenError> {
    let unreachable = |source| OpenError::Connect {
        relay: relay.to_owned(),
        source,
    };
    let tls = url.scheme() == "wss";
    let port = url.port().unwrap_or(if tls { 443 } else { 80 });
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let stream = TcpStream::connect((host, port))
        .await
        .map_err(unreachable)?;
    stream.set_nodelay(true).map_err(unreachable)?;
    if let Ok(address) = stream.peer_addr() {
        debug!(%address, "connected to the relay");
    }
    if !tls {
        return Ok(Box::new(stream));
    }
    let name = match host.parse::<IpAddr>() {
        Ok(address) => ServerName::IpAddress(address.into()),
        Err(_) => ServerName::try_from(host.to_owned()).map_err(|_| OpenError::Protocol {
            relay: relay.to_owned(),
            reason: "its name is not one that a certificate can have",
        })?,
    };
    let connector = TlsConnector::from(Arc::clone(&trust.client_config()));
    match connector.connect(name, stream).await {
        Ok(stream) => {
            let version = stream.get_ref().1.protocol_version();
            debug!(?version, "TLS is up");
            Ok(Box::new(stream))
        }
        // rustls reports what it thinks of the peer as invalid data; the rest is the network.
        Err(source) if source.kind() == std::io::ErrorKind::InvalidData => Err(OpenError::Tls {
            relay: relay.to_owned(),
            reason: distrust(&source),
        }),
        Err(source) => Err(unreachable(source)),
    }
}

/// Says in words why a certificate is not accepted.
fn distrust(error: &std::io::Error) -> &'static str {
    use rustls::CertificateError as Fault;
    let error = error
        .get_ref()
        .and_then(|error| error.downcast_ref::<rustls::Error>());
    let Some(rustls::Error::InvalidCertificate(fault)) = error else {
        return "the TLS handshake failed";
    };
    match fault {
        Fault::Expired | Fault::ExpiredContext { .. } => "it has expired",
        Fault::NotValidYet | Fault::NotValidYetContext { .. } => {
            "it is not valid yet; is the clock right?"
        }
        Fault::NotValidForName | Fault::NotValidForNameContext { .. } => "it is for another name",
        Fault::UnknownIssuer => "nobody here knows who issued it",
        Fault::Other(_) => "it is not one that a server may have",
        _ => "it is not valid",
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
