//! Accepting connections, and answering each with a tunnel or a refusal.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use handfast_proto::hybrid::tunnel::{ROUTING_ID_HEADER, SUBPROTOCOL};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tracing::{debug, info, warn};

use crate::limits::Limits;
use crate::openings::{Opening, Openings};
use crate::ration::Rationed;
use crate::registry::Registry;
use crate::request::{MAX_HEAD, Refusal, Request, Target, parse};
use crate::tunnel::serve_tunnel;

/// A byte stream to a peer: TCP, or TLS over it.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A peer's WebSocket. What may be read from it is bounded until its tunnel is joined.
pub type Socket = WebSocketStream<Rationed<Box<dyn Stream>>>;

/// Bytes that may be read before the join besides those of messages: heads of frames, pings and
/// pongs. These are not free, because the relay keeps a pong for every ping while nobody reads it.
const FRAMING: usize = 4 * 1024;

/// Time until the next try after a connection could not be accepted.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// A relay that is bound to its address and not yet serving.
pub struct Server {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    state: Arc<State>,
}

struct State {
    limits: Limits,
    registry: Arc<Registry<Socket>>,
    openings: Arc<Openings>,
}

impl Server {
    /// Binds to `address`; with `tls` every connection must speak TLS.
    ///
    /// # Errors
    ///
    /// The operating system's, if the address cannot be bound.
    pub async fn bind(
        address: SocketAddr,
        tls: Option<Arc<ServerConfig>>,
        limits: Limits,
    ) -> io::Result<Self> {
        let state = State {
            registry: Registry::new(limits.tunnels),
            openings: Openings::new(limits.openings),
            limits,
        };
        Ok(Self {
            listener: TcpListener::bind(address).await?,
            tls: tls.map(TlsAcceptor::from),
            state: Arc::new(state),
        })
    }

    /// Returns the address with the port that is really used.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Returns `wss` or `ws`.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "wss" } else { "ws" }
    }

    /// Serves until the future is dropped.
    pub async fn serve(self) {
        info!(scheme = self.scheme(), "serving");
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    warn!(%error, "a connection could not be accepted");
                    // Out of descriptors is the usual reason: who is still opening has some to
                    // give, and ending tunnels free others.
                    self.state.openings.halve();
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                    continue;
                }
            };
            let opening = self.state.openings.enter();
            let (state, tls) = (Arc::clone(&self.state), self.tls.clone());
            tokio::spawn(async move {
                match open(stream, tls, opening, state.limits.opening).await {
                    Some((stream, request, early)) => answer(stream, request, early, &state).await,
                    None => debug!("a connection ended before its request"),
                }
            });
        }
    }
}

type Opened = (Box<dyn Stream>, Result<Request, Refusal>, Vec<u8>);

/// Gets a connection as far as its request head, as long as there is time and it has its place.
async fn open(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    mut opening: Opening,
    time: Duration,
) -> Option<Opened> {
    tokio::select! {
        opened = timeout(time, shake_hands(stream, tls)) => opened.ok()?.ok(),
        () = opening.lost() => None,
    }
}

async fn shake_hands(stream: TcpStream, tls: Option<TlsAcceptor>) -> io::Result<Opened> {
    let _ = stream.set_nodelay(true);
    let mut stream: Box<dyn Stream> = match tls {
        Some(tls) => Box::new(tls.accept(stream).await?),
        None => Box::new(stream),
    };
    let mut bytes = Vec::with_capacity(1024);
    Ok(match read_head(&mut stream, &mut bytes).await? {
        Ok((request, length)) => (stream, Ok(request), bytes.split_off(length)),
        Err(refusal) => (stream, Err(refusal), Vec::new()),
    })
}

async fn read_head(
    stream: &mut Box<dyn Stream>,
    bytes: &mut Vec<u8>,
) -> io::Result<Result<(Request, usize), Refusal>> {
    loop {
        match parse(bytes) {
            Ok(Some(request)) => return Ok(Ok(request)),
            Ok(None) if bytes.len() <= MAX_HEAD => {}
            Ok(None) => return Ok(Err(Refusal::TooLarge)),
            Err(refusal) => return Ok(Err(refusal)),
        }
        if stream.read_buf(bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

async fn answer(
    stream: Box<dyn Stream>,
    request: Result<Request, Refusal>,
    early: Vec<u8>,
    state: &State,
) {
    let outcome = match request {
        Ok(Request {
            target: Target::New(tunnel),
            key,
        }) => match state.registry.create(tunnel) {
            Ok((claim, client)) => {
                let routing = state.registry.routing().to_hex();
                let header = format!("{ROUTING_ID_HEADER}: {routing}\r\n");
                if let Some(phone) = upgrade(stream, &key, &header, early, &state.limits).await {
                    serve_tunnel(phone, client, &state.limits).await;
                }
                drop(claim);
                return;
            }
            Err(refusal) => (stream, refusal),
        },
        Ok(Request {
            target: Target::Connect(routing, tunnel),
            key,
        }) => {
            match state.registry.join(&routing, &tunnel) {
                Ok(seat) => {
                    if let Some(client) = upgrade(stream, &key, "", early, &state.limits).await {
                        // The phone may have left while the client was answered; its socket then
                        // closes with the seat.
                        let _ = seat.send(client);
                    }
                    return;
                }
                Err(refusal) => (stream, refusal),
            }
        }
        Err(refusal) => (stream, refusal),
    };
    refuse(outcome.0, outcome.1, &state.limits).await;
}

async fn refuse(mut stream: Box<dyn Stream>, refusal: Refusal, limits: &Limits) {
    debug!(status = refusal.status(), "refused");
    let _ = timeout(limits.closing, async {
        stream.write_all(refusal.response().as_bytes()).await?;
        hear_out(&mut stream).await
    })
    .await;
}

/// Ends our side of a connection and reads on until the peer has ended its own. Closing with
/// unread bytes would reset the connection and could take our last words with it.
pub(crate) async fn hear_out(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    stream.shutdown().await?;
    // On the heap, or every tunnel's task would carry it from the beginning.
    let mut rest = vec![0; 4096];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

/// Answers 101 and makes the stream a WebSocket, with a bound on what may be read from it.
async fn upgrade(
    mut stream: Box<dyn Stream>,
    key: &str,
    header: &str,
    early: Vec<u8>,
    limits: &Limits,
) -> Option<Socket> {
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n{header}\r\n",
        derive_accept_key(key.as_bytes()),
    );
    timeout(limits.opening, async {
        stream.write_all(response.as_bytes()).await?;
        stream.flush().await
    })
    .await
    .ok()?
    .ok()?;
    let config = WebSocketConfig::default()
        .read_buffer_size(4 * 1024)
        .write_buffer_size(0)
        .max_write_buffer_size(limits.message_bytes.saturating_mul(2))
        .max_message_size(Some(limits.message_bytes))
        .max_frame_size(Some(limits.message_bytes));
    let bytes = limits.waiting_bytes.saturating_add(FRAMING);
    let stream = Rationed::new(stream, bytes.saturating_sub(early.len()));
    Some(WebSocketStream::from_partially_read(stream, early, Role::Server, Some(config)).await)
}
