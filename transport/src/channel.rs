//! A data channel: one protocol message is one binary WebSocket message.

use std::fmt;

use futures_util::{FutureExt, SinkExt, StreamExt};
use handfast_proto::hybrid::channel::MAX_FRAME;
use handfast_proto::hybrid::{BadMessage, ChannelFailure, Closed};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::error::Error as SocketError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};

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
    /// A text message, which nobody may send.
    #[error("a text message came")]
    Text,
}

impl ChannelEnd {
    /// Returns what a ceremony needs to know of it.
    pub fn closed(&self) -> Closed {
        match self {
            Self::Closed(code) => Closed::from_code(*code),
            Self::Broken(SocketError::Capacity(_)) => Closed::Misbehaved(BadMessage::TooLarge),
            Self::Broken(_) => Closed::ByRelay(ChannelFailure::Lost),
            Self::Empty => Closed::Misbehaved(BadMessage::Empty),
            Self::Text => Closed::Misbehaved(BadMessage::Text),
        }
    }

    fn from_socket(error: SocketError) -> Self {
        match error {
            SocketError::ConnectionClosed | SocketError::AlreadyClosed => Self::Closed(None),
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

    /// Sends one message.
    ///
    /// # Errors
    ///
    /// [`ChannelEnd`].
    pub async fn send(&mut self, message: Vec<u8>) -> Result<(), ChannelEnd> {
        let Err(error) = self.0.send(Message::Binary(message.into())).await else {
            return Ok(());
        };
        // Who closes says why in a frame that may be here already.
        match self.0.next().now_or_never().flatten() {
            Some(Ok(Message::Close(frame))) => Err(closed(frame)),
            _ => Err(ChannelEnd::from_socket(error)),
        }
    }

    /// Waits for the next message. May be dropped while it waits without losing anything.
    ///
    /// # Errors
    ///
    /// [`ChannelEnd`], when no message will come any more.
    pub async fn recv(&mut self) -> Result<Vec<u8>, ChannelEnd> {
        loop {
            return match self.0.next().await {
                None => Err(ChannelEnd::Closed(None)),
                Some(Ok(Message::Close(frame))) => Err(closed(frame)),
                Some(Ok(Message::Binary(bytes))) if bytes.is_empty() => Err(ChannelEnd::Empty),
                Some(Ok(Message::Binary(bytes))) => Ok(bytes.into()),
                Some(Ok(Message::Text(_))) => Err(ChannelEnd::Text),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Err(error)) => Err(ChannelEnd::from_socket(error)),
            };
        }
    }

    /// Closes the channel; the answer to it is not waited for.
    pub async fn close(mut self) {
        let frame = CloseFrame {
            code: CloseCode::Normal,
            reason: "".into(),
        };
        // A peer that is gone needs no farewell.
        let _ = self.0.close(Some(frame)).await;
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
