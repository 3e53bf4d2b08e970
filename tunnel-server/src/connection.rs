//! One connection: what it asks for, and a tunnel, a page or a refusal as the answer.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use handfast_proto::hybrid::tunnel::{
    ROUTING_ID_HEADER, SUBPROTOCOL, TunnelId, connect_path, new_path,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tracing::{debug, info};

use crate::address::Source;
use crate::clock::Alarm;
use crate::openings::Opening;
use crate::proxied::read_header;
use crate::quota::Charge;
use crate::reader::code;
use crate::registry::Claim;
use crate::request::{Asked, MAX_HEAD, Page, Refusal, Request, Target, accept_key, parse};
use crate::server::{Door, State};
use crate::side::{Side, Stream, TLS_BUFFER};
use crate::tunnel::{Farewell, Tunnel, depart};

/// A connection whose request is there.
struct Guest {
    stream: Stream,
    peer: IpAddr,
    /// For whom it is, if a proxy said so before all else.
    told: Option<IpAddr>,
    begin: Instant,
    alarm: Alarm,
    /// Its place, until it is answered with a tunnel.
    opening: Opening,
    state: Arc<State>,
}

/// Serves a connection to its end, or until it is a side of a tunnel.
pub(crate) async fn serve_connection(
    stream: TcpStream,
    peer: IpAddr,
    door: Door,
    state: Arc<State>,
) {
    let begin = Instant::now();
    state.figures.connected();
    // A proxy has the places of all for whom it calls.
    let source = (!state.proxies.trusts(peer)).then(|| Source::from(peer));
    let mut opening = state.openings.enter(source);
    let alarm = state.clock.alarm();
    let opened = open(stream, door, &mut opening, &alarm, &state).await;
    let Some(Opened {
        stream,
        told,
        asked,
    }) = opened
    else {
        debug!("a connection ended before its request");
        state.figures.unopened();
        return;
    };
    let guest = Guest {
        stream,
        peer,
        told,
        begin,
        alarm,
        opening,
        state,
    };
    match asked {
        Ok((Asked::Tunnel(request), early)) if door == Door::Tunnels => {
            guest.answer(request, early).await;
        }
        Ok((Asked::Page(page), _)) if door == Door::Watch || page != Page::Metrics => {
            guest.show(page, true).await;
        }
        Ok((Asked::Head(page), _)) if door == Door::Watch || page != Page::Metrics => {
            guest.show(page, false).await;
        }
        Ok(_) => guest.refuse(Refusal::NotFound).await,
        Err(refusal) => guest.refuse(refusal).await,
    }
}

/// What a connection is, and what it asks for.
struct Opened {
    stream: Stream,
    /// For whom it is, if a proxy says so before all else.
    told: Option<IpAddr>,
    asked: Result<(Asked, Vec<u8>), Refusal>,
}

/// Gets a connection as far as its request head, as long as there is time and it has its place.
async fn open(
    mut stream: TcpStream,
    door: Door,
    opening: &mut Opening,
    alarm: &Alarm,
    state: &State,
) -> Option<Opened> {
    let limits = &state.limits;
    let deadline = alarm.clock().after(limits.opening);
    let is_public = door == Door::Tunnels;
    let _ = stream.set_nodelay(true);
    let mut told = None;
    if state.proxy_protocol && is_public {
        let header = alarm.until(deadline, read_header(&mut stream));
        told = kept(opening, header).await?.ok()?;
        if let Some(address) = told {
            *opening = state.openings.enter(Some(Source::from(address)));
        }
    }
    let mut stream = match &state.tls {
        Some(tls) if is_public => {
            let shaken = deadline.min(alarm.clock().after(limits.handshake));
            let accepting = alarm.until(shaken, tls.accept(stream));
            let mut stream = kept(opening, accepting).await?.ok()?;
            stream.get_mut().1.set_buffer_limit(Some(TLS_BUFFER));
            Stream::Tls(Box::new(stream))
        }
        _ => Stream::Plain(stream),
    };
    let mut bytes = Vec::with_capacity(1024);
    let reading = alarm.until(deadline, read_head(&mut stream, &mut bytes));
    let asked = kept(opening, reading).await?.ok()?;
    let asked = asked.map(|(asked, length)| (asked, bytes.split_off(length)));
    Some(Opened {
        stream,
        told,
        asked,
    })
}

/// Waits for something that has its time, as long as the place is not lost.
async fn kept<T>(opening: &mut Opening, waited: impl Future<Output = Option<T>>) -> Option<T> {
    tokio::select! {
        waited = waited => waited,
        () = opening.lost() => None,
    }
}

async fn read_head(
    stream: &mut Stream,
    bytes: &mut Vec<u8>,
) -> io::Result<Result<(Asked, usize), Refusal>> {
    loop {
        match parse(bytes) {
            Ok(Some(asked)) => return Ok(Ok(asked)),
            Ok(None) if bytes.len() <= MAX_HEAD => {}
            Ok(None) => return Ok(Err(Refusal::TooLarge)),
            Err(refusal) => return Ok(Err(refusal)),
        }
        if stream.read_buf(bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

impl Guest {
    async fn answer(self, request: Request, early: Vec<u8>) {
        if self.state.shows_identifiers {
            let path = match &request.target {
                Target::New(tunnel) => new_path(tunnel),
                Target::Connect(routing, tunnel) => connect_path(routing, tunnel),
            };
            let source = self.source(&request);
            debug!(peer = %self.peer, ?source, path, "asked");
        }
        let refused = match request.target {
            Target::New(tunnel) => self.create(tunnel, &request, early).await,
            Target::Connect(routing, tunnel) => {
                match self.state.registry.join(&routing, &tunnel) {
                    Ok(seat) => {
                        if let Some((client, guest)) = self.upgrade(&request.key, "", early).await
                            && let Err(left) = seat.send(client)
                        {
                            // The phone has left while the client was answered.
                            guest.leave(left).await;
                        }
                        return;
                    }
                    Err(refusal) => {
                        drop(early);
                        Err((self, refusal))
                    }
                }
            }
        };
        // Who is refused may take his time to go, and needs none of this for it.
        drop(request);
        if let Err((guest, refusal)) = refused {
            guest.refuse(refusal).await;
        }
    }

    /// For whom the connection is, as far as those are believed who say it.
    fn source(&self, request: &Request) -> Option<Source> {
        if self.state.proxy_protocol {
            // What follows the header is the client's own word.
            return Some(self.told.unwrap_or(self.peer).into());
        }
        let lines = request.forwarded.iter().map(String::as_str);
        self.state.proxies.source(self.peer, lines)
    }

    /// Makes a tunnel for a phone, and leaves it to a task of its own: it lives long, and needs
    /// little of the memory that it took to get here.
    async fn create(
        self,
        tunnel: TunnelId,
        request: &Request,
        early: Vec<u8>,
    ) -> Result<(), (Self, Refusal)> {
        let state = &self.state;
        if state.is_draining() {
            return Err((self, Refusal::Draining));
        }
        let source = self.source(request);
        if source.is_none() {
            state.note_unsaid();
        }
        let charge = match state.quotas.charge(source) {
            Ok(charge) => charge,
            Err(refusal) => return Err((self, refusal)),
        };
        let (claim, seat) = match state.registry.create(tunnel) {
            Ok(created) => created,
            Err(refusal) => return Err((self, refusal)),
        };
        let routing = state.registry.routing().to_hex();
        let header = format!("{ROUTING_ID_HEADER}: {routing}\r\n");
        if let Some((phone, Upgraded { alarm, state })) =
            self.upgrade(&request.key, &header, early).await
        {
            let tunnel = Tunnel::new(phone, seat, &alarm, &state.limits, &state.figures);
            let mut hosted = Hosted {
                tunnel,
                alarm,
                state,
                _claim: claim,
                _charge: charge,
            };
            tokio::spawn(async move { hosted.serve().await });
        }
        Ok(())
    }

    /// Answers 101; what follows on the stream are frames.
    async fn upgrade(
        self,
        key: &str,
        header: &str,
        early: Vec<u8>,
    ) -> Option<(Side<Stream>, Upgraded)> {
        let response = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n{header}\r\n",
            accept_key(key),
        );
        let Self {
            mut stream,
            alarm,
            opening,
            state,
            ..
        } = self;
        let answered = alarm.within(state.limits.opening, async {
            stream.write_all(response.as_bytes()).await?;
            stream.flush().await
        });
        answered.await?.ok()?;
        drop(opening);
        state.figures.opened(self.begin.elapsed());
        Some((Side::new(stream, early), Upgraded { alarm, state }))
    }

    async fn refuse(self, refusal: Refusal) {
        info!(
            reason = refusal.name(),
            status = refusal.status(),
            "refused"
        );
        self.state.figures.refused(refusal);
        self.say(&refusal.response()).await;
    }

    /// Answers those who watch.
    async fn show(self, page: Page, whole: bool) {
        let state = &self.state;
        let (status, kind, body) = match page {
            Page::Health => ("200 OK", "text/plain", "well\n".to_owned()),
            Page::Ready if state.is_draining() => (
                "503 Service Unavailable",
                "text/plain",
                "draining\n".to_owned(),
            ),
            Page::Ready => ("200 OK", "text/plain", "ready\n".to_owned()),
            Page::Metrics => match state.figures.text(state.openings.len()) {
                Ok(text) => (
                    "200 OK",
                    "application/openmetrics-text; version=1.0.0; charset=utf-8",
                    text,
                ),
                Err(_) => ("500 Internal Server Error", "text/plain", String::new()),
            },
        };
        let response = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{}",
            body.len(),
            if whole { body.as_str() } else { "" },
        );
        self.say(&response).await;
    }

    /// Writes a whole answer, and waits for the peer to end the connection.
    async fn say(mut self, response: &str) {
        let mut stream = self.stream;
        let said = async {
            stream.write_all(response.as_bytes()).await?;
            stream.shutdown().await?;
            // Closing with unread bytes would reset the connection and could take the answer
            // with it.
            let mut rest = [0; 512];
            while stream.read(&mut rest).await? > 0 {}
            io::Result::Ok(())
        };
        let said = self.alarm.within(self.state.limits.closing, said);
        kept(&mut self.opening, said).await;
    }
}

/// What is left of a guest whose stream became a side of a tunnel.
struct Upgraded {
    alarm: Alarm,
    state: Arc<State>,
}

impl Upgraded {
    /// Says good-bye to a client whose phone is gone.
    async fn leave(self, mut client: Side<Stream>) {
        let limits = &self.state.limits;
        let leaving = depart(&mut client, Farewell::Say(code::AWAY), limits);
        self.alarm.within(limits.closing, leaving).await;
    }
}

/// A tunnel, and what it has of the relay as long as it lives.
struct Hosted {
    tunnel: Tunnel<Stream>,
    alarm: Alarm,
    state: Arc<State>,
    _claim: Claim<Side<Stream>>,
    _charge: Charge,
}

impl Hosted {
    async fn serve(&mut self) {
        self.tunnel.serve(&self.alarm, &self.state.limits).await;
    }
}
