//! One opening of a tunnel: connections, redirects, and what a relay may answer.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use handfast_proto::hybrid::tunnel::SUBPROTOCOL;
use rustls::AlertDescription;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::{Error as SocketError, ProtocolError};
use tokio_tungstenite::tungstenite::http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode, header,
};
use tracing::debug;
use url::Url;

use super::{OpenError, RelayUrl, check_security};
use crate::channel::Channel;
use crate::channel::websocket::{Stream, WebSocket};
use crate::tls::{TlsTrust, distrusted};

/// How long opening a tunnel may take, redirects included.
const PATIENCE: Duration = Duration::from_secs(30);
const MAX_REDIRECTS: usize = 5;

/// Opens a tunnel at a path, and returns the headers of the answer too.
pub(super) async fn open(
    relay: &RelayUrl,
    path: &str,
    trust: &TlsTrust,
) -> Result<(Channel, HeaderMap), OpenError> {
    let first = relay.at(path);
    let relay = relay.to_string();
    let Some(headers) = headers(&first) else {
        return Err(OpenError::protocol(relay, "its address cannot be asked"));
    };
    let opening = Opening {
        relay,
        headers,
        trust,
    };
    match timeout(PATIENCE, opening.follow(first)).await {
        Ok(opened) => opened,
        Err(_) => Err(OpenError::TimedOut {
            relay: opening.relay,
        }),
    }
}

/// Returns the value of a header, unless it came twice.
pub(super) fn single<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

struct Opening<'a> {
    relay: String,
    /// Wherever redirects lead, these are the same (`hybrid-transport.md` §5.2).
    headers: HeaderMap,
    trust: &'a TlsTrust,
}

enum Attempt {
    Opened(Box<Channel>, HeaderMap),
    Redirect(String),
}

impl Opening<'_> {
    async fn follow(&self, mut url: Url) -> Result<(Channel, HeaderMap), OpenError> {
        for _ in 0..=MAX_REDIRECTS {
            match self.attempt(&url).await? {
                Attempt::Opened(channel, headers) => return Ok((*channel, headers)),
                Attempt::Redirect(location) => {
                    url = redirected(&url, &location).ok_or_else(|| OpenError::Redirect {
                        relay: self.relay.clone(),
                    })?;
                    debug!(to = url.host_str(), "the relay redirects");
                }
            }
        }
        Err(OpenError::TooManyRedirects {
            relay: self.relay.clone(),
        })
    }

    async fn attempt(&self, url: &Url) -> Result<Attempt, OpenError> {
        let stream = self.connect(url).await?;
        let request = self
            .request(url)
            .ok_or_else(|| self.protocol("its address cannot be asked"))?;
        match client_async_with_config(request, stream, Some(WebSocket::config())).await {
            Ok((socket, response)) => {
                let (answer, _) = response.into_parts();
                let chosen = single(&answer.headers, header::SEC_WEBSOCKET_PROTOCOL.as_str());
                if chosen != Some(SUBPROTOCOL) {
                    return Err(self.protocol("it did not choose the subprotocol"));
                }
                let channel = Box::new(Channel::of_websocket(WebSocket::new(socket)));
                Ok(Attempt::Opened(channel, answer.headers))
            }
            Err(SocketError::Http(response)) => self.refused(&response),
            Err(SocketError::Io(source)) => Err(self.broken(source)),
            Err(SocketError::Protocol(ProtocolError::HandshakeIncomplete)) => {
                Err(self.broken(io::ErrorKind::UnexpectedEof.into()))
            }
            Err(SocketError::Protocol(ProtocolError::SecWebSocketSubProtocolError(_))) => {
                Err(self.protocol("it did not choose the subprotocol"))
            }
            Err(_) => Err(self.protocol("its answer is no WebSocket")),
        }
    }

    fn request(&self, url: &Url) -> Option<Request<()>> {
        let mut request = url.as_str().into_client_request().ok()?;
        request.headers_mut().extend(self.headers.clone());
        Some(request)
    }

    fn refused(&self, response: &Response<Option<Vec<u8>>>) -> Result<Attempt, OpenError> {
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
                relay: self.relay.clone(),
                status: status.as_u16(),
            }),
        }
    }

    async fn connect(&self, url: &Url) -> Result<Box<dyn Stream>, OpenError> {
        let tls = url.scheme() == "wss";
        let port = url.port().unwrap_or(if tls { 443 } else { 80 });
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let stream = TcpStream::connect((host, port))
            .await
            .map_err(|source| self.broken(source))?;
        stream
            .set_nodelay(true)
            .map_err(|source| self.broken(source))?;
        if let Ok(address) = stream.peer_addr() {
            debug!(%address, "connected to the relay");
        }
        if !tls {
            return Ok(Box::new(stream));
        }
        let name = match host.parse::<IpAddr>() {
            Ok(address) => ServerName::IpAddress(address.into()),
            Err(_) => ServerName::try_from(host.to_owned())
                .map_err(|_| self.protocol("its name is not one that a certificate can have"))?,
        };
        let stream = TlsConnector::from(self.trust.client_config())
            .connect(name, stream)
            .await
            .map_err(|source| self.broken(source))?;
        let version = stream.get_ref().1.protocol_version();
        debug!(?version, "TLS is up");
        Ok(Box::new(stream))
    }

    fn protocol(&self, reason: &'static str) -> OpenError {
        OpenError::protocol(self.relay.clone(), reason)
    }

    /// What rustls thinks of the relay comes inside an I/O error; all else is the network.
    fn broken(&self, source: io::Error) -> OpenError {
        let relay = self.relay.clone();
        if let Some(reason) = distrusted(&source) {
            return OpenError::Tls { relay, reason };
        }
        let tls = source
            .get_ref()
            .and_then(|error| error.downcast_ref::<rustls::Error>());
        match tls {
            Some(error) => OpenError::protocol(relay, discord(error)),
            None if source.kind() == io::ErrorKind::UnexpectedEof => OpenError::Connect {
                relay,
                source: io::Error::new(source.kind(), "it hung up before it answered"),
            },
            None => OpenError::Connect { relay, source },
        }
    }
}

impl OpenError {
    fn protocol(relay: String, reason: &'static str) -> Self {
        Self::Protocol { relay, reason }
    }
}

fn headers(url: &Url) -> Option<HeaderMap> {
    let origin = format!("wss://{}", url.host_str()?);
    Some(HeaderMap::from_iter([
        (
            header::SEC_WEBSOCKET_PROTOCOL,
            HeaderValue::from_static(SUBPROTOCOL),
        ),
        (header::ORIGIN, HeaderValue::from_str(&origin).ok()?),
    ]))
}

/// Returns where a redirect leads, if a tunnel may be there.
fn redirected(from: &Url, location: &str) -> Option<Url> {
    let to = websocket_scheme(from.join(location).ok()?)?;
    // From TLS a redirect may only lead to TLS.
    let secure = check_security(&to).is_ok() && (from.scheme() == "ws" || to.scheme() == "wss");
    secure.then_some(to)
}

fn websocket_scheme(mut url: Url) -> Option<Url> {
    let scheme = match url.scheme() {
        "https" => "wss",
        "http" => "ws",
        _ => return Some(url),
    };
    url.set_scheme(scheme).ok().map(|()| url)
}

/// Says in words why there is no TLS, when it is not for the certificate.
fn discord(error: &rustls::Error) -> &'static str {
    use rustls::Error as Fault;
    match error {
        Fault::InvalidMessage(_) => "it does not speak TLS",
        Fault::PeerIncompatible(_)
        | Fault::AlertReceived(
            AlertDescription::HandshakeFailure
            | AlertDescription::InsufficientSecurity
            | AlertDescription::ProtocolVersion,
        ) => "it speaks no TLS that is good enough",
        Fault::AlertReceived(AlertDescription::NoApplicationProtocol) => {
            "it does not speak HTTP/1.1 over TLS"
        }
        Fault::AlertReceived(AlertDescription::UnrecognisedName) => "it does not know its name",
        Fault::AlertReceived(_) => "it refused the TLS handshake",
        _ => "the TLS handshake failed",
    }
}
