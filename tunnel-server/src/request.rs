//! The request head that opens a tunnel: `GET /cable/new/…` or `GET /cable/connect/…/…`, upgraded
//! to a WebSocket (`hybrid-transport.md` §5.1).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use handfast_proto::hybrid::tunnel::{RoutingId, SUBPROTOCOL, TunnelId};
use sha1::{Digest, Sha1};
use thiserror::Error;

/// Bytes that a request head may have, and the number of headers in it.
pub const MAX_HEAD: usize = 8 * 1024;
const MAX_HEADERS: usize = 64;

/// The tunnel that a peer asks for.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Target {
    /// A phone creates a tunnel.
    New(TunnelId),
    /// A client joins one.
    Connect(RoutingId, TunnelId),
}

/// What is answered at once, to those who watch the relay.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Page {
    /// Whether the process works: `/healthz`.
    Health,
    /// Whether it takes new tunnels: `/readyz`.
    Ready,
    /// Its figures: `/metrics`.
    Metrics,
}

/// What a peer asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    /// A tunnel.
    Tunnel(Request),
    /// A page.
    Page(Page),
    /// Only what would be before a page: the method HEAD.
    Head(Page),
}

/// A request that may become a WebSocket.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// What is asked for.
    pub target: Target,
    /// `Sec-WebSocket-Key`, as it was sent.
    pub key: String,
    /// The lines of `X-Forwarded-For`, in order.
    pub forwarded: Vec<String>,
}

/// Why a request is refused. Each has its HTTP status.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum Refusal {
    /// The tunnel is joined already, or `new` names one that exists.
    #[error("this tunnel is in use")]
    Conflict,
    /// The head is not HTTP/1.1.
    #[error("not an HTTP/1.1 request")]
    Malformed,
    /// Another method than GET.
    #[error("only GET is answered here")]
    Method,
    /// No subprotocol `fido.cable` is offered.
    #[error("the subprotocol fido.cable is required")]
    NoSubprotocol,
    /// No tunnel goes by this path.
    #[error("no such tunnel")]
    NotFound,
    /// The relay is going to end and makes no new tunnels.
    #[error("the relay is about to restart")]
    Draining,
    /// The relay has as many tunnels as it may have.
    #[error("the relay is full")]
    Full,
    /// This source makes tunnels faster than one may.
    #[error("too many new tunnels from this address; wait a moment")]
    TooFast,
    /// This source has as many tunnels as one may have.
    #[error("too many tunnels from this address")]
    TooMany,
    /// The head is larger than [`MAX_HEAD`].
    #[error("the request head is too large")]
    TooLarge,
    /// Not a WebSocket request of version 13.
    #[error("a WebSocket request is required")]
    UpgradeRequired,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Conflict,
        Self::Malformed,
        Self::Method,
        Self::NoSubprotocol,
        Self::NotFound,
        Self::Draining,
        Self::Full,
        Self::TooFast,
        Self::TooMany,
        Self::TooLarge,
        Self::UpgradeRequired,
    ];

    /// Returns the name under which it is counted.
    pub fn name(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Draining => "draining",
            Self::Full => "full",
            Self::Malformed => "malformed",
            Self::Method => "method",
            Self::NoSubprotocol => "no_subprotocol",
            Self::NotFound => "not_found",
            Self::TooFast => "too_fast",
            Self::TooLarge => "too_large",
            Self::TooMany => "too_many",
            Self::UpgradeRequired => "no_upgrade",
        }
    }

    /// Returns the HTTP status line's code and reason.
    pub fn status(self) -> &'static str {
        match self {
            Self::Conflict => "409 Conflict",
            Self::Draining | Self::Full => "503 Service Unavailable",
            Self::Malformed | Self::NoSubprotocol => "400 Bad Request",
            Self::Method => "405 Method Not Allowed",
            Self::NotFound => "404 Not Found",
            Self::TooFast | Self::TooMany => "429 Too Many Requests",
            Self::TooLarge => "431 Request Header Fields Too Large",
            Self::UpgradeRequired => "426 Upgrade Required",
        }
    }

    /// Returns the whole HTTP answer.
    pub fn response(self) -> String {
        let extra = match self {
            Self::UpgradeRequired => "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
            Self::Method => "Allow: GET\r\n",
            Self::TooFast => "Retry-After: 1\r\n",
            Self::Draining | Self::Full | Self::TooMany => "Retry-After: 10\r\n",
            _ => "",
        };
        let body = format!("{self}\n");
        format!(
            "HTTP/1.1 {}\r\n{extra}Content-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.status(),
            body.len(),
        )
    }
}

/// Returns `Sec-WebSocket-Accept`, by which a server shows that it read the key (RFC 6455 §4.2.2).
pub fn accept_key(key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    BASE64_STANDARD.encode(hash.finalize())
}

/// Reads a request head.
///
/// Returns `None` while the head is not complete, else the request and the length of its head.
///
/// # Errors
///
/// The [`Refusal`] to answer with.
pub fn parse(bytes: &[u8]) -> Result<Option<(Asked, usize)>, Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    let length = match head.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length <= MAX_HEAD => length,
        Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TooLarge),
        Err(_) => return Err(Refusal::Malformed),
    };
    let page = parse_page(head.path.unwrap_or_default());
    match (head.method, page) {
        (Some("GET"), Some(page)) => return Ok(Some((Asked::Page(page), length))),
        (Some("HEAD"), Some(page)) => return Ok(Some((Asked::Head(page), length))),
        (Some("GET"), None) => {}
        _ => return Err(Refusal::Method),
    }
    // Balancers ask for pages in HTTP/1.0, which has no upgrade.
    if head.version != Some(1) {
        return Err(Refusal::Malformed);
    }
    let target = parse_path(head.path.unwrap_or_default()).ok_or(Refusal::NotFound)?;
    let key = parse_upgrade(head.headers)?;
    if !lists(head.headers, "sec-websocket-protocol", |offer| {
        offer == SUBPROTOCOL
    }) {
        return Err(Refusal::NoSubprotocol);
    }
    let forwarded = head
        .headers
        .iter()
        .filter(|header| header.name.eq_ignore_ascii_case("x-forwarded-for"))
        .map(|header| String::from_utf8_lossy(header.value).into_owned())
        .collect();
    let request = Request {
        target,
        key,
        forwarded,
    };
    Ok(Some((Asked::Tunnel(request), length)))
}

fn parse_page(path: &str) -> Option<Page> {
    match path {
        "/healthz" => Some(Page::Health),
        "/readyz" => Some(Page::Ready),
        "/metrics" => Some(Page::Metrics),
        _ => None,
    }
}

fn parse_path(path: &str) -> Option<Target> {
    let rest = path.strip_prefix("/cable/")?;
    if let Some(tunnel) = rest.strip_prefix("new/") {
        return Some(Target::New(TunnelId::parse_hex(tunnel).ok()?));
    }
    let (routing, tunnel) = rest.strip_prefix("connect/")?.split_once('/')?;
    Some(Target::Connect(
        RoutingId::parse_hex(routing).ok()?,
        TunnelId::parse_hex(tunnel).ok()?,
    ))
}

fn parse_upgrade(headers: &[httparse::Header<'_>]) -> Result<String, Refusal> {
    let websocket = lists(headers, "connection", |token| {
        token.eq_ignore_ascii_case("upgrade")
    }) && lists(headers, "upgrade", |token| {
        token.eq_ignore_ascii_case("websocket")
    }) && lists(headers, "sec-websocket-version", |version| version == "13");
    let mut keys = headers
        .iter()
        .filter(|h| h.name.eq_ignore_ascii_case("sec-websocket-key"));
    let key = keys.next().and_then(|h| std::str::from_utf8(h.value).ok());
    match (websocket, key, keys.next()) {
        // RFC 6455 §4.2.1: 16 bytes in base64, hence 24 characters.
        (true, Some(key), None) if key.trim().len() == 24 => Ok(key.trim().to_owned()),
        _ => Err(Refusal::UpgradeRequired),
    }
}

/// Whether a header that is a comma-separated list, perhaps sent in several lines, has a member.
fn lists(headers: &[httparse::Header<'_>], name: &str, wanted: impl Fn(&str) -> bool) -> bool {
    headers
        .iter()
        .filter(|header| header.name.eq_ignore_ascii_case(name))
        .filter_map(|header| std::str::from_utf8(header.value).ok())
        .flat_map(|value| value.split(','))
        .any(|member| wanted(member.trim()))
}

#[cfg(test)]
mod tests;
