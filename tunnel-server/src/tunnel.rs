//! The life of one tunnel: the phone waits, a client joins, messages pass, one side ends it
//! (`hybrid-transport.md` §5.3).

use std::borrow::Cow;
use std::io;
use std::pin::pin;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::oneshot;
use tokio::time::{
    Instant, Interval, MissedTickBehavior, interval_at, sleep_until, timeout, timeout_at,
};
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
    let waiting = wait_for_client(&mut phone, client, &mut buffered, limits);
    let joined = timeout_at(begin + limits.unpaired, waiting).await;
    match joined.unwrap_or(Err(End::Expired)) {
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
    limits: &Limits,
) -> Result<Socket, End> {
    let mut client = pin!(client);
    let mut pulse = Pulse::new(limits.ping_every);
    let mut bytes = 0_usize;
    loop {
        tokio::select! {
            biased;
            joined = &mut client => return joined.map_err(|_| End::Unwritable),
            due = pulse.ping_due() => {
                due?;
                phone.send(Message::Ping(Bytes::new())).await.map_err(|_| End::Dropped)?;
            }
            read = phone.next() => {
                pulse.felt();
                let Some(message) = payload(read)? else { continue };
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

/// Passes one side's messages to the other. Nothing is read while the other side's socket is full,
/// and nothing is held against this side meanwhile.
async fn pass(
    from: &mut SplitStream<Socket>,
    to: &mut SplitSink<Socket, Message>,
    already: u32,
    limits: &Limits,
) -> Result<std::convert::Infallible, End> {
    let mut count = already;
    let mut pulse = Pulse::new(limits.ping_every);
    loop {
        tokio::select! {
            read = from.next() => {
                pulse.felt();
                let Some(message) = payload(read)? else { continue };
                count = count.saturating_add(1);
                if count > limits.messages_per_side {
                    return Err(End::Broke(CloseCode::Policy));
                }
                to.send(Message::Binary(message)).await.map_err(|_| End::Unwritable)?;
            }
            // The pings to this side come from the other direction, at the same times.
            due = pulse.ping_due() => {
                due?;
                to.send(Message::Ping(Bytes::new())).await.map_err(|_| End::Unwritable)?;
            }
        }
    }
}

/// Pings that a peer may leave unanswered, one after the other.
const UNANSWERED: u32 = 2;

/// When to ping, and whether a peer still lives.
struct Pulse {
    pings: Interval,
    /// Pings since the last sign of life.
    unanswered: u32,
}

impl Pulse {
    fn new(every: Duration) -> Self {
        let mut pings = interval_at(Instant::now() + every, every);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            pings,
            unanswered: 0,
        }
    }

    /// Notes a sign of life. Any frame is one.
    fn felt(&mut self) {
        self.unanswered = 0;
    }

    /// Waits until a ping is due. The peer is gone if it left too many unanswered by then.
    async fn ping_due(&mut self) -> Result<(), End> {
        self.pings.tick().await;
        if self.unanswered >= UNANSWERED {
            return Err(End::Dropped);
        }
        self.unanswered += 1;
        Ok(())
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

#[cfg(test)]
mod tests {
    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::*;
    use crate::ration::Rationed;
    use crate::server::Stream;

    #[tokio::test]
    async fn a_phone_that_takes_no_ping_has_its_time_all_the_same() {
        let (_phone, stream) = tokio::io::duplex(1);
        let stream: Box<dyn Stream> = Box::new(stream);
        let socket = Socket::from_raw_socket(Rationed::new(stream, 64), Role::Server, None).await;
        let (_seat, client) = oneshot::channel();
        let limits = Limits {
            unpaired: Duration::from_millis(100),
            ping_every: Duration::from_millis(10),
            closing: Duration::from_millis(10),
            ..Limits::default()
        };
        let served = serve_tunnel(socket, client, &limits);
        timeout(Duration::from_secs(5), served).await.unwrap();
    }
}
