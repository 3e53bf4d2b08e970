//! The life of one tunnel: the phone waits, a client joins, messages pass, one side ends it
//! (`hybrid-transport.md` §5.3).

use std::borrow::Cow;
use std::io;
use std::pin::pin;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_tungstenite::tungstenite::error::{CapacityError, Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Bytes, Message, protocol::CloseFrame};
use tracing::debug;

use crate::limits::Limits;
use crate::server::{Socket, hear_out};

/// Why a tunnel ends, from the side where it began.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// The peer sent a close frame.
    Closed,
    /// The peer vanished.
    Dropped,
    /// The other side could not be written to.
    Unwritable,
    /// The peer broke a rule; it is told by this code.
    Broke(CloseCode),
    /// The tunnel's time is over.
    Expired,
}

impl End {
    /// The close code for the side where it began, if there is anybody to tell.
    fn code_here(self) -> Option<CloseCode> {
        match self {
            Self::Closed | Self::Dropped => None,
            Self::Unwritable => Some(CloseCode::Away),
            Self::Broke(code) => Some(code),
            Self::Expired => Some(CloseCode::Policy),
        }
    }

    /// The close code for the other side.
    fn code_there(self) -> CloseCode {
        match self {
            Self::Closed => CloseCode::Normal,
            Self::Dropped | Self::Unwritable => CloseCode::Away,
            Self::Broke(_) | Self::Expired => CloseCode::Policy,
        }
    }
}

/// Serves one tunnel from the phone's `101` to its end.
pub async fn serve_tunnel(mut phone: Socket, client: oneshot::Receiver<Socket>, limits: &Limits) {
    let begin = Instant::now();
    let mut buffered = Vec::new();
    match wait_for_client(&mut phone, client, &mut buffered, begin, limits).await {
        Ok(client) => join(phone, client, buffered, begin, limits).await,
        Err(end) => {
            debug!(?end, "a tunnel ended before its client came");
            close(&mut phone, end.code_here(), limits.closing).await;
        }
    }
}

/// Keeps what the phone says until its client is there.
async fn wait_for_client(
    phone: &mut Socket,
    client: oneshot::Receiver<Socket>,
    buffered: &mut Vec<Bytes>,
    begin: Instant,
    limits: &Limits,
) -> Result<Socket, End> {
    let mut client = pin!(client);
    let mut expiry = pin!(sleep_until(begin + limits.unpaired));
    let mut ping = pings(limits.ping_every);
    let mut bytes = 0_usize;
    loop {
        tokio::select! {
            biased;
            joined = &mut client => return joined.map_err(|_| End::Unwritable),
            () = &mut expiry => return Err(End::Expired),
            _ = ping.tick() => {
                phone.send(Message::Ping(Bytes::new())).await.map_err(|_| End::Dropped)?;
            }
            read = phone.next() => if let Some(message) = payload(read)? {
                bytes = bytes.saturating_add(message.len());
                if bytes > limits.waiting_bytes {
                    return Err(End::Broke(CloseCode::Size));
                }
                if buffered.len() >= limits.waiting_messages {
                    return Err(End::Broke(CloseCode::Policy));
                }
                buffered.push(message);
            }
        }
    }
}

/// Passes messages both ways until one side ends, then ends the other.
async fn join(
    mut phone: Socket,
    mut client: Socket,
    buffered: Vec<Bytes>,
    begin: Instant,
    limits: &Limits,
) {
    phone.get_mut().lift();
    client.get_mut().lift();
    let (mut to_phone, mut from_phone) = phone.split();
    let (mut to_client, mut from_client) = client.split();
    let already = u32::try_from(buffered.len()).unwrap_or(u32::MAX);
    let phone_first = async {
        for message in buffered {
            to_client
                .send(Message::Binary(message))
                .await
                .map_err(|_| End::Unwritable)?;
        }
        pass(&mut from_phone, &mut to_client, already, limits).await
    };
    // Which side ended it decides who is told what, so the two directions stay apart.
    let (end, phone_ended) = tokio::select! {
        end = phone_first => (ended(end), true),
        end = pass(&mut from_client, &mut to_phone, 0, limits) => (ended(end), false),
        () = sleep_until(begin + limits.total) => (End::Expired, true),
    };
    debug!(?end, by_phone = phone_ended, "a tunnel ended");
    // The halves come from one socket each, so putting them together again cannot fail.
    let (Ok(mut phone), Ok(mut client)) =
        (to_phone.reunite(from_phone), to_client.reunite(from_client))
    else {
        return;
    };
    let (here, there) = if phone_ended {
        (&mut phone, &mut client)
    } else {
        (&mut client, &mut phone)
    };
    tokio::join!(
        close(there, Some(end.code_there()), limits.closing),
        close(here, end.code_here(), limits.closing),
    );
}

fn ended(result: Result<std::convert::Infallible, End>) -> End {
    match result {
        Ok(never) => match never {},
        Err(end) => end,
    }
}

/// Passes one side's messages to the other. Nothing is read while the other side's socket is full.
async fn pass(
    from: &mut SplitStream<Socket>,
    to: &mut SplitSink<Socket, Message>,
    already: u32,
    limits: &Limits,
) -> Result<std::convert::Infallible, End> {
    let mut count = already;
    let mut ping = pings(limits.ping_every);
    loop {
        tokio::select! {
            read = from.next() => if let Some(message) = payload(read)? {
                count = count.saturating_add(1);
                if count > limits.messages_per_side {
                    return Err(End::Broke(CloseCode::Policy));
                }
                to.send(Message::Binary(message)).await.map_err(|_| End::Unwritable)?;
            },
            // The peer's own reading side notices if it is gone; an unsent ping says nothing more.
            _ = ping.tick() => {
                to.send(Message::Ping(Bytes::new())).await.map_err(|_| End::Unwritable)?;
            }
        }
    }
}

/// Takes the bytes to pass out of what was read; control frames have none.
fn payload(read: Option<Result<Message, Error>>) -> Result<Option<Bytes>, End> {
    match read {
        Some(Ok(Message::Binary(bytes))) if bytes.is_empty() => {
            Err(End::Broke(CloseCode::Protocol))
        }
        Some(Ok(Message::Binary(bytes))) => Ok(Some(bytes)),
        Some(Ok(Message::Text(_))) => Err(End::Broke(CloseCode::Unsupported)),
        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(None),
        Some(Ok(Message::Close(_))) | Some(Err(Error::ConnectionClosed)) => Err(End::Closed),
        Some(Err(Error::Capacity(CapacityError::MessageTooLong { .. }))) => {
            Err(End::Broke(CloseCode::Size))
        }
        Some(Err(Error::Io(error))) if error.kind() == io::ErrorKind::QuotaExceeded => {
            Err(End::Broke(CloseCode::Size))
        }
        Some(Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake))) | None => {
            Err(End::Dropped)
        }
        Some(Err(Error::Utf8(_))) => Err(End::Broke(CloseCode::Unsupported)),
        Some(Err(Error::Protocol(_))) => Err(End::Broke(CloseCode::Protocol)),
        Some(Err(_)) => Err(End::Dropped),
    }
}

fn pings(every: Duration) -> tokio::time::Interval {
    let mut ping = interval_at(Instant::now() + every, every);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ping
}

/// Closes a socket and waits, for a bounded time, until the peer has closed as well.
async fn close(socket: &mut Socket, code: Option<CloseCode>, wait: Duration) {
    let _ = timeout(wait, async {
        let frame = code.map(|code| CloseFrame {
            code,
            reason: Cow::Borrowed("").as_ref().into(),
        });
        // Refused if the peer closed first; its close frame is then answered by reading on.
        let _ = socket.close(frame).await;
        while let Some(Ok(_)) = socket.next().await {}
        let stream = socket.get_mut();
        stream.lift();
        let _ = hear_out(stream).await;
    })
    .await;
}
