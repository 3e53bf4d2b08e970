//! What is played in tunnels.

use std::time::{Duration, Instant};

use handfast_proto::hybrid::tunnel::{RoutingId, SUBPROTOCOL, TunnelId, connect_path, new_path};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::http::header;

use super::link::{Link, milliseconds, took};
use super::peer::{NotOpened, NotReceived, Peer, fresh};
use super::{Finding, PATIENCE};

type Seen = Result<Finding, Finding>;

/// Round trips of which the middle one counts.
const ROUND_TRIPS: usize = 11;

/// Bytes that messages have: a handshake, what a Noise message can have at most, and what Chromium
/// takes at most.
const SIZES: [usize; 3] = [81, 65_535, 1024 * 1024];

/// Bytes that no relay should take in one message.
const TOO_LARGE: usize = 3 * 1024 * 1024;

fn lower(path: &str) -> String {
    path.to_ascii_lowercase()
}

/// A phone whose tunnel has this name, as a phone asks for it.
async fn phone(link: &Link, tunnel: &TunnelId) -> Result<(Peer, RoutingId), Finding> {
    const ABOUT: &str = "phone";
    let path = new_path(tunnel);
    let opened = Peer::open(link, &path, &[]).await;
    let peer = opened.map_err(|error| not_opened(link, ABOUT, &error))?;
    match peer.routing() {
        Some(routing) => Ok((peer, routing)),
        None => Err(Finding::bad(
            ABOUT,
            "the answer tells no routing ID, three bytes in hex",
            "A proxy must pass the header X-caBLE-Routing-ID on.",
        )),
    }
}

/// A client that joins, as Chromium asks for it.
async fn client(link: &Link, routing: &RoutingId, tunnel: &TunnelId) -> Result<Peer, Finding> {
    join(link, &connect_path(routing, tunnel), "client").await
}

async fn join(link: &Link, path: &str, about: &'static str) -> Result<Peer, Finding> {
    let origin = link.target().origin();
    let opened = Peer::open(link, path, &[(header::ORIGIN, &origin)]).await;
    opened.map_err(|error| not_opened(link, about, &error))
}

fn not_opened(link: &Link, about: &'static str, error: &NotOpened) -> Finding {
    Finding::bad(about, error.words(), error.hint(link.target().tls()))
}

async fn pair(link: &Link) -> Result<(Peer, Peer), Finding> {
    let tunnel = fresh();
    let (phone, routing) = phone(link, &tunnel).await?;
    let client = client(link, &routing, &tunnel).await?;
    Ok((phone, client))
}

/// Sends bytes and looks that they arrive.
async fn pass(
    from: &mut Peer,
    to: &mut Peer,
    bytes: &[u8],
    about: &'static str,
) -> Result<(), Finding> {
    from.say(bytes).await;
    match to.receive().await {
        Ok(received) if received == bytes => Ok(()),
        Ok(received) => Err(Finding::bad(
            about,
            format!(
                "{} bytes were sent, and other {} came",
                bytes.len(),
                received.len()
            ),
            "Something between changes what is passed on.",
        )),
        Err(error) => Err(Finding::bad(
            about,
            format!("of {} bytes: {}", bytes.len(), error.words()),
            "A message of up to 1 MiB must pass: look at the limits of relay and proxy.",
        )),
    }
}

/// Plays a whole tunnel.
pub(super) async fn whole_tunnel(link: &Link) -> Result<Vec<Finding>, Finding> {
    let tunnel = fresh();
    let begin = Instant::now();
    let (mut phone, routing) = phone(link, &tunnel).await?;
    let mut findings = vec![Finding::good(
        "phone",
        format!("has a tunnel after {}", took(begin)),
    )];
    let begin = Instant::now();
    let mut client = client(link, &routing, &tunnel).await?;
    findings.push(Finding::good(
        "client",
        format!("has joined after {}", took(begin)),
    ));
    for (peer, who) in [(&phone, "phone"), (&client, "client")] {
        if peer.header(header::SEC_WEBSOCKET_PROTOCOL.as_str()) != Some(SUBPROTOCOL) {
            findings.push(Finding::bad(
                who,
                "the subprotocol fido.cable is not answered",
                "Chromium ends such a tunnel. A proxy must pass Sec-WebSocket-Protocol on.",
            ));
        }
    }
    let mut times = Vec::new();
    for _ in 0..ROUND_TRIPS {
        let begin = Instant::now();
        pass(&mut client, &mut phone, b"there", "messages").await?;
        pass(&mut phone, &mut client, b"and back", "messages").await?;
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    let middle = times.get(ROUND_TRIPS / 2).copied().unwrap_or_default();
    findings.push(Finding::good(
        "messages",
        format!("there and back in {}", milliseconds(middle)),
    ));
    let begin = Instant::now();
    client.close().await;
    let close = End {
        begin,
        when: "a tunnel is closed",
        wanted: Some(1000),
    };
    findings.push(close.told_to(&mut phone, "end").await);
    Ok(findings)
}

/// An end of a tunnel, of which the other side should learn.
struct End<'a> {
    begin: Instant,
    when: &'a str,
    /// The code by which it is told, if it matters.
    wanted: Option<u16>,
}

impl End<'_> {
    async fn told_to(self, peer: &mut Peer, about: &'static str) -> Finding {
        let Self {
            begin,
            when,
            wanted,
        } = self;
        let told = async {
            loop {
                if let Err(told) = peer.receive().await {
                    return told;
                }
            }
        };
        let told = timeout(PATIENCE, told).await;
        let told = told.unwrap_or(NotReceived::Silence);
        let time = took(begin);
        match told {
            NotReceived::Closed(code) if wanted.is_none() || code == wanted => Finding::good(
                about,
                format!("when {when}, the other side is told after {time}"),
            ),
            NotReceived::Silence => Finding::bad(
                about,
                format!("when {when}, the other side is not told"),
                "People would wait for nothing. A proxy must close what was closed on its other side.",
            ),
            other => Finding::noted(
                about,
                format!("when {when}, the other side sees: {}", other.words()),
                "It cannot tell whether something went wrong.",
            ),
        }
    }
}

/// Plays all other cases, and tells of each when it is over.
pub(super) async fn all(link: &Link, tell: &mut dyn FnMut(Finding)) {
    let mut note = |seen: Seen| tell(seen.unwrap_or_else(|bad| bad));
    note(hex(link).await);
    note(sizes(link).await);
    note(early(link).await);
    note(conflicts(link).await);
    note(strangers(link).await);
    let large = Message::binary(vec![0; TOO_LARGE]);
    for (message, what, code) in [
        (Message::text("text"), "a text message", 1003),
        (Message::binary(Vec::new()), "an empty message", 1002),
        (large, "a message of 3 MiB", 1009),
    ] {
        note(rule(link, message, what, code).await);
    }
    note(vanished(link).await);
    note(compression(link).await);
}

/// Chromium writes identifiers in upper case, others in lower case.
async fn hex(link: &Link) -> Seen {
    const ABOUT: &str = "hex";
    for phone_is_lower in [true, false] {
        let tunnel = fresh();
        let path = new_path(&tunnel);
        let path = if phone_is_lower { lower(&path) } else { path };
        let opened = Peer::open(link, &path, &[]).await;
        let mut phone = opened.map_err(|error| {
            let case = if phone_is_lower { "lower" } else { "upper" };
            Finding::bad(
                ABOUT,
                format!("in {case} case: {}", error.words()),
                error.hint(link.target().tls()),
            )
        })?;
        let routing = phone.routing().unwrap_or(RoutingId([0; 3]));
        let path = connect_path(&routing, &tunnel);
        let path = if phone_is_lower { path } else { lower(&path) };
        let mut client = join(link, &path, ABOUT).await?;
        pass(&mut client, &mut phone, b"x", ABOUT).await?;
        client.close().await;
    }
    Ok(Finding::good(ABOUT, "upper and lower case are the same"))
}

async fn sizes(link: &Link) -> Seen {
    const ABOUT: &str = "sizes";
    let (mut phone, mut client) = pair(link).await?;
    let begin = Instant::now();
    for size in SIZES {
        let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(size).collect();
        pass(&mut client, &mut phone, &bytes, ABOUT).await?;
        pass(&mut phone, &mut client, &bytes, ABOUT).await?;
    }
    client.close().await;
    Ok(Finding::good(
        ABOUT,
        format!(
            "messages of up to 1 MiB pass both ways, all in {}",
            took(begin)
        ),
    ))
}

/// A phone speaks first, and its client may need a while.
async fn early(link: &Link) -> Seen {
    const ABOUT: &str = "early";
    let tunnel = fresh();
    let (mut phone, routing) = phone(link, &tunnel).await?;
    let messages = [b"one".as_slice(), b"two", b"three"];
    for message in messages {
        phone.say(message).await;
    }
    let mut client = client(link, &routing, &tunnel).await?;
    for message in messages {
        match client.receive().await {
            Ok(received) if received == message => {}
            _ => {
                return Err(Finding::bad(
                    ABOUT,
                    "what a phone says before its client joins is lost",
                    "A relay must keep a few messages for the client.",
                ));
            }
        }
    }
    client.close().await;
    Ok(Finding::good(
        ABOUT,
        "what a phone says before its client joins is kept",
    ))
}

/// Who comes second must not push out who came first.
async fn conflicts(link: &Link) -> Seen {
    const ABOUT: &str = "conflicts";
    const HINT: &str = "Whoever knows the name of a tunnel could end it.";
    let tunnel = fresh();
    let (mut phone, routing) = phone(link, &tunnel).await?;
    let second = Peer::open(link, &new_path(&tunnel), &[]).await;
    // Another node may well have a tunnel of this name: clients find each by its routing ID.
    let nodes = match second {
        Ok(second) if second.routing() == Some(routing) => {
            let seen = "a second phone gets the same tunnel";
            return Err(Finding::bad(ABOUT, seen, HINT));
        }
        Ok(_) => " (there are several nodes)",
        Err(_) => "",
    };
    let mut client = client(link, &routing, &tunnel).await?;
    let third = Peer::open(link, &connect_path(&routing, &tunnel), &[]).await;
    if third.is_ok() {
        return Err(Finding::bad(
            ABOUT,
            "a second client gets into a tunnel",
            HINT,
        ));
    }
    pass(&mut client, &mut phone, b"still here", ABOUT).await?;
    pass(&mut phone, &mut client, b"me too", ABOUT).await?;
    client.close().await;
    Ok(Finding::good(
        ABOUT,
        format!("a second phone and a second client are refused, and harm nobody{nodes}"),
    ))
}

async fn strangers(link: &Link) -> Seen {
    const ABOUT: &str = "strangers";
    let tunnel = fresh();
    let (_phone, RoutingId([a, b, c])) = phone(link, &tunnel).await?;
    let unknown = connect_path(&RoutingId([a, b, c]), &fresh());
    match Peer::open(link, &unknown, &[]).await {
        Err(NotOpened::Status(404, _)) => {}
        Ok(_) => {
            return Err(Finding::bad(
                ABOUT,
                "a client gets into a tunnel that nobody made",
                "It would wait for a phone that never comes.",
            ));
        }
        Err(other) => {
            let seen = format!("a client without a phone: {}", other.words());
            return Err(Finding::noted(ABOUT, seen, "404 is what clients expect."));
        }
    }
    let misled = connect_path(&RoutingId([a, b, c ^ 1]), &tunnel);
    match Peer::open(link, &misled, &[]).await {
        Ok(_) => Ok(Finding::noted(
            ABOUT,
            "any routing ID leads to a tunnel",
            "A relay of one node may be like that.",
        )),
        Err(_) => Ok(Finding::good(
            ABOUT,
            "only the name and the routing ID lead to a tunnel",
        )),
    }
}

/// What the protocol does not know ends a tunnel, and whoever sent it is told why.
async fn rule(link: &Link, message: Message, what: &str, code: u16) -> Seen {
    const ABOUT: &str = "rules";
    let (mut phone, mut client) = pair(link).await?;
    let begin = Instant::now();
    client.send(message).await;
    match client.receive().await {
        Err(NotReceived::Closed(Some(told))) if told == code => {}
        Err(NotReceived::Silence) => {
            return Err(Finding::bad(
                ABOUT,
                format!("{what} is taken"),
                "Such a relay can be used for anything, by anybody.",
            ));
        }
        Err(other) => {
            let seen = format!("on {what}, {}", other.words());
            return Err(Finding::noted(
                ABOUT,
                seen,
                "Its sender does not learn what was wrong.",
            ));
        }
        Ok(_) => {
            return Err(Finding::bad(
                ABOUT,
                "nobody sent this",
                "Something answers in between.",
            ));
        }
    }
    let end = End {
        begin,
        when: what,
        wanted: None,
    };
    let other = end.told_to(&mut phone, ABOUT).await;
    match other.hint {
        Some(_) => Err(other),
        None => Ok(Finding::good(
            ABOUT,
            format!("{what} ends a tunnel with {code}"),
        )),
    }
}

async fn vanished(link: &Link) -> Seen {
    let (phone, mut client) = pair(link).await?;
    let vanishing = End {
        begin: Instant::now(),
        when: "a side vanishes",
        wanted: Some(1001),
    };
    drop(phone);
    Ok(vanishing.told_to(&mut client, "end").await)
}

/// What is passed on is encrypted, so compressing it costs and gains nothing.
async fn compression(link: &Link) -> Seen {
    const ABOUT: &str = "compression";
    let offer = [(header::SEC_WEBSOCKET_EXTENSIONS, "permessage-deflate")];
    match Peer::open(link, &new_path(&fresh()), &offer).await {
        Ok(peer)
            if peer
                .header(header::SEC_WEBSOCKET_EXTENSIONS.as_str())
                .is_some() =>
        {
            Ok(Finding::noted(
                ABOUT,
                "it is agreed to",
                "Ciphertext does not get smaller; the relay wastes time and memory.",
            ))
        }
        Ok(_) => Ok(Finding::good(ABOUT, "it is offered and not taken")),
        Err(error) => Err(Finding::bad(
            ABOUT,
            format!("who offers it is refused: {}", error.words()),
            "Chromium offers it to everybody.",
        )),
    }
}

/// Looks whether a tunnel survives a time in which nobody says anything.
pub(super) async fn idle(link: &Link, time: Duration) -> Finding {
    const ABOUT: &str = "silence";
    let begin = Instant::now();
    let played = async {
        let (mut phone, mut client) = pair(link).await?;
        let came = async {
            tokio::select! {
                came = phone.listen() => came,
                came = client.listen() => came,
            }
        };
        match timeout(time, came).await {
            Err(_) => {}
            Ok(Ok(_)) => return Err(Finding::bad(ABOUT, "a message comes", "Nobody sent it.")),
            Ok(Err(end)) => return Err(Finding::bad(ABOUT, end.words(), "")),
        }
        pass(&mut client, &mut phone, b"still here", ABOUT).await?;
        client.close().await;
        Ok(())
    };
    match played.await {
        Ok(()) => Finding::good(
            ABOUT,
            format!("a tunnel survives {} s of it", time.as_secs()),
        ),
        Err(Finding { seen, .. }) => Finding::bad(
            ABOUT,
            format!("after {} s of it: {seen}", begin.elapsed().as_secs()),
            "A client may be silent for three minutes: let proxies wait longer than that, and the relay's \
             --lifetime be longer.",
        ),
    }
}
