//! A data channel: one protocol message is one binary WebSocket message.

use std::fmt;

use futures_util::{SinkExt, StreamExt};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::error::Error as SocketError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};

/// The most bytes of one message: 1 MiB and room for its wrapping.
pub const MAX_MESSAGE: usize = 1024 * 1024 + 64 * 1024;

/// Why a channel is of no more use.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ChannelIoError {
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(#[source] SocketError),
    /// An empty message, which nobody may send.
    #[error("an empty message came")]
    Empty,
    /// A text message, which nobody may send.
    #[error("a text message came")]
    Text,
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
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE))
    }

    /// Sends one message.
    ///
    /// # Errors
    ///
    /// [`ChannelIoError::Broken`].
    pub async fn send(&mut self, message: Vec<u8>) -> Result<(), ChannelIoError> {
        self.0
            .send(Message::Binary(message.into()))
            .await
            .map_err(ChannelIoError::Broken)
    }

    /// Waits for the next message; nothing means that the other side has closed. May be dropped
    /// while it waits without losing anything.
    ///
    /// # Errors
    ///
    /// [`ChannelIoError`].
    pub async fn recv(&mut self) -> Result<Option<Vec<u8>>, ChannelIoError> {
        loop {
            match self.0.next().await {
                None | Some(Ok(Message::Close(_)) | Err(SocketError::ConnectionClosed)) => {
                    return Ok(None);
                }
                Some(Ok(Message::Binary(bytes))) if bytes.is_empty() => {
                    return Err(ChannelIoError::Empty);
                }
                Some(Ok(Message::Binary(bytes))) => return Ok(Some(bytes.into())),
                Some(Ok(Message::Text(_))) => return Err(ChannelIoError::Text),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(error)) => return Err(ChannelIoError::Broken(error)),
            }
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

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Channel")
    }
}
