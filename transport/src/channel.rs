//! A data channel: one protocol message is one binary WebSocket message.

#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use futures_util::{FutureExt, SinkExt, StreamExt};
use handfast_proto::hybrid::channel::MAX_FRAME;
use handfast_proto::hybrid::{BadMessage, ChannelFailure, Closed};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::error::Error as SocketError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};

/// How long the largest message may take to leave, over a very slow line.
const SENDING: Duration = Duration::from_secs(30);
/// How long a farewell may take: nobody waits for who does not listen any more.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why a channel is of no more use.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ChannelEnd {
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(#[source] SocketError),
    /// It was closed, with this code if there was one.
    #[error("it was closed with code {0:?}")]
    Closed(Option<u16>),
    /// An empty message, which nobody may send.
    #[error("an empty message came")]
    Empty,
    /// A message could not leave within half a minute.
    #[error("the other side stopped reading")]
    Stalled,
    /// A text message, which nobody may send.
    #[error("a text message came")]
    Text,
    /// A message of more than [`MAX_FRAME`] bytes.
    #[error("a message came that is too large")]
    TooLarge,
}

impl ChannelEnd {
    /// Returns what a ceremony needs to know of it.
    pub fn closed(&self) -> Closed {
        match self {
            Self::Closed(code) => Closed::from_code(*code),
            Self::Broken(_) | Self::Stalled => Closed::ByRelay(ChannelFailure::Lost),
            Self::Empty => Closed::Misbehaved(BadMessage::Empty),
            Self::Text => Closed::Misbehaved(BadMessage::Text),
            Self::TooLarge => Closed::Misbehaved(BadMessage::TooLarge),
        }
    }

    fn from_socket(error: SocketError) -> Self {
        match error {
            SocketError::ConnectionClosed | SocketError::AlreadyClosed => Self::Closed(None),
            SocketError::Capacity(_) => Self::TooLarge,
            error => Self::Broken(error),
        }
    }
}

pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// An open tunnel.
pub struct Channel(WebSocketStream<Box<dyn Stream>>);

impl Channel {
    pub(crate) fn new(socket: WebSocketStream<Box<dyn Stream>>) -> Self {
        Self(socket)
    }

    pub(crate) fn config() -> WebSocketConfig {
        WebSocketConfig::default()
            .max_message_size(Some(MAX_FRAME))
            .max_frame_size(Some(MAX_FRAME))
    }

    /// Sends one message. Takes half a minute at most.
    ///
    /// # Errors
    ///
    /// [`ChannelEnd`].
    pub async fn send(&mut self, message: Vec<u8>) -> Result<(), ChannelEnd> {
        let sent = timeout(SENDING, self.0.send(Message::Binary(message.into()))).await;
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self
                .told()
                .unwrap_or_else(|| ChannelEnd::from_socket(error))),
            Err(_) => Err(self.told().unwrap_or(ChannelEnd::Stalled)),
        }
    }

    /// Who closes says why in a frame that may be here already, behind messages that nobody needs
    /// any more.
    fn told(&mut self) -> Option<ChannelEnd> {
        while let Some(Ok(message)) = self.0.next().now_or_never().flatten() {
            if let Message::Close(frame) = message {
                return Some(closed(frame));
            }
        }
        None
    }

    /// Waits for the next message. May be dropped while it waits without losing anything.
    ///
    /// A peer that sends what nobody may send is told so by a close code: 1002 for an empty
    /// message, 1003 for text, 1009 for too much.
    ///
    /// # Errors
    ///
    /// [`ChannelEnd`], when no message will come any more.
    pub async fn recv(&mut self) -> Result<Vec<u8>, ChannelEnd> {
        let end = loop {
            match self.0.next().await {
                None => break ChannelEnd::Closed(None),
                Some(Ok(Message::Close(frame))) => break closed(frame),
                Some(Ok(Message::Binary(bytes))) if bytes.is_empty() => break ChannelEnd::Empty,
                Some(Ok(Message::Binary(bytes))) => return Ok(bytes.into()),
                Some(Ok(Message::Text(_))) => break ChannelEnd::Text,
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(error)) => break ChannelEnd::from_socket(error),
            }
        };
        self.answer(&end);
        Err(end)
    }

    /// Says the last word, if it can be said at once: `recv` must not wait with an end in its hands,
    /// for whoever drops it then would never learn of it.
    fn answer(&mut self, end: &ChannelEnd) {
        let code = match end {
            ChannelEnd::Empty => Some(CloseCode::Protocol),
            ChannelEnd::Text => Some(CloseCode::Unsupported),
            ChannelEnd::TooLarge => Some(CloseCode::Size),
            _ => None,
        };
        // The answer to a close frame is ready and only has to leave.
        let _ = match code {
            Some(code) => self.0.close(Some(farewell(code))).now_or_never(),
            None => self.0.flush().now_or_never(),
        };
    }

    /// Closes the channel; the answer to it is not waited for. Takes two seconds at most.
    pub async fn close(mut self) {
        // A peer that is gone, or does not listen, needs no farewell.
        let _ = timeout(FAREWELL, self.0.close(Some(farewell(CloseCode::Normal)))).await;
    }
}

fn farewell(code: CloseCode) -> CloseFrame {
    CloseFrame {
        code,
        reason: "".into(),
    }
}

fn closed(frame: Option<CloseFrame>) -> ChannelEnd {
    ChannelEnd::Closed(frame.map(|frame| frame.code.into()))
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Channel")
    }
}
