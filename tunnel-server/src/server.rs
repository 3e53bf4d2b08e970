//! Accepting connections, and answering each with a tunnel or a refusal.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use handfast_proto::hybrid::tunnel::{ROUTING_ID_HEADER, SUBPROTOCOL};
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, info, warn};

use crate::clock::{Alarm, Clock};
use crate::limits::Limits;
use crate::openings::{Opening, Openings};
use crate::reader::code;
use crate::registry::Registry;
use crate::request::{MAX_HEAD, Refusal, Request, Target, accept_key, parse};
use crate::side::{Side, Stream};
use crate::tunnel::{Farewell, depart, serve_tunnel};

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
    registry: Arc<Registry<Side<Stream>>>,
    clock: Arc<Clock>,
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
            clock: Clock::new(limits.tick()),
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
        let clock = Arc::clone(&self.state.clock);
        tokio::select! {
            () = clock.run() => {}
            () = self.accept() => {}
        }
    }

    async fn accept(self) {
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
                let alarm = state.clock.alarm();
                // What opening needs is given back before the tunnel begins.
                let opened = Box::pin(open(stream, tls, opening, &alarm, &state.limits));
                match opened.await {
                    Some((stream, Ok(request), early)) => {
                        answer(stream, request, early, &alarm, &state).await;
                    }
                    Some((stream, Err(refusal), _)) => {
                        refuse(stream, refusal, &alarm, &state.limits).await;
                    }
                    None => debug!("a connection ended before its request"),
                }
            });
        }
    }
}

type Opened = (Stream, Result<Request, Refusal>, Vec<u8>);

/// Gets a connection as far as its request head, as long as there is time and it has its place.
async fn open(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    mut opening: Opening,
    alarm: &Alarm,
    limits: &Limits,
) -> Option<Opened> {
    tokio::select! {
        opened = alarm.within(limits.opening, shake_hands(stream, tls)) => opened?.ok(),
        () = opening.lost() => None,
    }
}

async fn shake_hands(stream: TcpStream, tls: Option<TlsAcceptor>) -> io::Result<Opened> {
    let _ = stream.set_nodelay(true);
    let mut stream = match tls {
        Some(tls) => Stream::Tls(Box::new(tls.accept(stream).await?)),
        None => Stream::Plain(stream),
    };
    let mut bytes = Vec::with_capacity(1024);
    Ok(match read_head(&mut stream, &mut bytes).await? {
        Ok((request, length)) => (stream, Ok(request), bytes.split_off(length)),
        Err(refusal) => (stream, Err(refusal), Vec::new()),
    })
}

async fn read_head(
    stream: &mut Stream,
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

async fn answer(stream: Stream, request: Request, early: Vec<u8>, alarm: &Alarm, state: &State) {
    let Request { target, key } = request;
    let refused = match target {
        Target::New(tunnel) => match state.registry.create(tunnel) {
            Ok((claim, client)) => {
                let routing = state.registry.routing().to_hex();
                let header = format!("{ROUTING_ID_HEADER}: {routing}\r\n");
                let phone = upgrade(stream, &key, &header, early, alarm, &state.limits);
                if let Some(phone) = Box::pin(phone).await {
                    serve_tunnel(phone, client, alarm, &state.limits).await;
                }
                drop(claim);
                return;
            }
            Err(refusal) => (stream, refusal),
        },
        Target::Connect(routing, tunnel) => match state.registry.join(&routing, &tunnel) {
            Ok(seat) => {
                let client = upgrade(stream, &key, "", early, alarm, &state.limits);
                if let Some(client) = Box::pin(client).await
                    && let Err(mut left) = seat.send(client)
                {
                    // The phone has left while the client was answered.
                    let leaving = depart(&mut left, Farewell::Say(code::AWAY), &state.limits);
                    alarm.within(state.limits.closing, leaving).await;
                }
                return;
            }
            Err(refusal) => (stream, refusal),
        },
    };
    refuse(refused.0, refused.1, alarm, &state.limits).await;
}

async fn refuse(mut stream: Stream, refusal: Refusal, alarm: &Alarm, limits: &Limits) {
    debug!(status = refusal.status(), "refused");
    let answered = async {
        stream.write_all(refusal.response().as_bytes()).await?;
        stream.shutdown().await?;
        // Closing with unread bytes would reset the connection and could take the answer with it.
        let mut rest = vec![0; 4096];
        while stream.read(&mut rest).await? > 0 {}
        io::Result::Ok(())
    };
    alarm.within(limits.closing, answered).await;
}

/// Answers 101; what follows on the stream are frames.
async fn upgrade(
    mut stream: Stream,
    key: &str,
    header: &str,
    early: Vec<u8>,
    alarm: &Alarm,
    limits: &Limits,
) -> Option<Side<Stream>> {
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n{header}\r\n",
        accept_key(key),
    );
    let answered = alarm.within(limits.opening, async {
        stream.write_all(response.as_bytes()).await?;
        stream.flush().await
    });
    answered.await?.ok()?;
    Some(Side::new(stream, early))
}
