//! A phone or a client, as a relay sees it.

use futures_util::{SinkExt, StreamExt};
use handfast_proto::hybrid::tunnel::{ROUTING_ID_HEADER, RoutingId, SUBPROTOCOL, TunnelId};
use rand_core::{OsRng, RngCore};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderName, HeaderValue, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::PATIENCE;
use super::link::{Link, Stream};

/// Bytes that a message may have here: more than any that is sent.
const MOST: usize = 4 * 1024 * 1024;

/// Why there is no WebSocket.
#[derive(Debug)]
pub(super) enum NotOpened {
    /// The answer was another than 101; what it says of that, in a line that can be printed.
    Status(u16, String),
    /// There was none, or none that makes sense.
    Failed(String),
}

/// How a message was waited for in vain.
#[derive(Debug, PartialEq)]
pub(super) enum NotReceived {
    /// The relay closed, with this code.
    Closed(Option<u16>),
    /// The connection ended without that.
    Gone,
    /// Nothing came.
    Silence,
}

impl NotOpened {
    pub(super) fn words(&self) -> String {
        match self {
            Self::Status(status, said) if said.is_empty() => {
                format!("it is answered with status {status}")
            }
            Self::Status(status, said) => {
                format!("it is answered with status {status}, “{said}”")
            }
            Self::Failed(reason) => format!("it is not answered as a WebSocket is: {reason}"),
        }
    }
}

impl NotOpened {
    /// Returns what to do about it.
    pub(super) fn hint(&self, tls: bool) -> &'static str {
        match self {
            Self::Status(404, _) => "If there is a proxy, let it pass the paths below /cable/ on.",
            Self::Status(429, _) => "Wait a minute, or raise the limits of an address.",
            Self::Status(502 | 504, _) => {
                "The proxy does not reach the relay: see whether it runs, and believes the proxy \
                 (--trusted-proxy)."
            }
            Self::Status(503, _) => "Look into the relay's log, and at its limits.",
            Self::Status(..) => {
                "If there is a proxy, let it pass upgrades to WebSocket on, with all headers."
            }
            Self::Failed(_) if tls => "See what it is that answers there.",
            Self::Failed(_) => {
                "If it speaks TLS, ask for wss://; if it serves only a proxy, ask that."
            }
        }
    }
}

impl NotReceived {
    pub(super) fn words(&self) -> String {
        match self {
            Self::Closed(Some(code)) => format!("the relay closes with {code}"),
            Self::Closed(None) => "the relay closes without saying why".to_owned(),
            Self::Gone => "the connection just ends".to_owned(),
            Self::Silence => "nothing comes".to_owned(),
        }
    }
}

/// One side of a tunnel.
pub(super) struct Peer {
    socket: WebSocketStream<Box<dyn Stream>>,
    headers: HeaderMap,
}

/// Returns the first line of an answer, if it is words and not a page.
fn line(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let line = text.lines().next().unwrap_or_default().trim();
    if line.starts_with('<') {
        return String::new();
    }
    printable(line)
}

/// Makes what a stranger says fit for a terminal.
pub(super) fn printable(text: &str) -> String {
    let seen = |letter: &char| letter.is_alphanumeric() || " .,:;!?'()/-_".contains(*letter);
    text.chars().filter(seen).take(100).collect()
}

/// A name for a tunnel that nobody else has.
pub(super) fn fresh() -> TunnelId {
    let mut bytes = [0; 16];
    OsRng.fill_bytes(&mut bytes);
    TunnelId(bytes)
}

impl Peer {
    /// Opens a path, with these headers besides the usual ones.
    pub(super) async fn open(
        link: &Link,
        path: &str,
        more: &[(HeaderName, &str)],
    ) -> Result<Self, NotOpened> {
        let failed = |error: &dyn std::fmt::Display| NotOpened::Failed(error.to_string());
        let stream = link.connect().await.map_err(|error| failed(&error))?;
        let mut request = link
            .target()
            .at(path)
            .into_client_request()
            .map_err(|error| failed(&error))?;
        let subprotocol = (header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL);
        for (name, value) in more.iter().chain([&subprotocol]) {
            let value = HeaderValue::from_str(value).map_err(|error| failed(&error))?;
            request.headers_mut().insert(name, value);
        }
        let config = WebSocketConfig::default()
            .max_message_size(Some(MOST))
            .max_frame_size(Some(MOST));
        let opening = client_async_with_config(request, stream, Some(config));
        match timeout(PATIENCE, opening).await {
            Ok(Ok((socket, response))) => Ok(Self {
                socket,
                headers: response.into_parts().0.headers,
            }),
            Ok(Err(Error::Http(response))) => {
                let said = response.body().as_deref().unwrap_or_default();
                Err(NotOpened::Status(response.status().as_u16(), line(said)))
            }
            Ok(Err(error)) => Err(failed(&error)),
            Err(_) => Err(NotOpened::Failed("no answer comes".to_owned())),
        }
    }

    /// Returns what the relay answered in a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns the routing ID that a phone is told.
    pub(super) fn routing(&self) -> Option<RoutingId> {
        RoutingId::parse_hex(self.header(ROUTING_ID_HEADER)?).ok()
    }

    /// Sends a message; what goes wrong is found when something is received.
    pub(super) async fn send(&mut self, message: Message) {
        let _ = timeout(PATIENCE, self.socket.send(message)).await;
    }

    /// Sends bytes.
    pub(super) async fn say(&mut self, bytes: &[u8]) {
        self.send(Message::binary(bytes.to_vec())).await;
    }

    /// Waits for a message, but not long.
    pub(super) async fn receive(&mut self) -> Result<Vec<u8>, NotReceived> {
        match timeout(PATIENCE, self.listen()).await {
            Ok(received) => received,
            Err(_) => Err(NotReceived::Silence),
        }
    }

    /// Waits for a message, and answers pings meanwhile.
    pub(super) async fn listen(&mut self) -> Result<Vec<u8>, NotReceived> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Binary(bytes))) => return Ok(bytes.into()),
                Some(Ok(Message::Close(frame))) => {
                    let code = frame.map(|frame| frame.code.into());
                    return Err(NotReceived::Closed(code));
                }
                Some(Ok(_)) => {}
                None | Some(Err(_)) => return Err(NotReceived::Gone),
            }
        }
    }

    /// Ends the tunnel as one should, and waits for the relay's answer.
    pub(super) async fn close(mut self) {
        self.send(Message::Close(None)).await;
        let _ = self.receive().await;
    }
}
