//! A tunnel through a relay: one protocol message is one binary WebSocket message.

#[cfg(test)]
mod tests;

use futures_util::{FutureExt, SinkExt, StreamExt};
use handfast_proto::hybrid::channel::MAX_FRAME;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::error::Error as SocketError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};

use super::{ChannelEnd, FAREWELL, SENDING};

pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// An open tunnel.
pub(crate) struct WebSocket(WebSocketStream<Box<dyn Stream>>);

impl WebSocket {
    pub(crate) fn new(socket: WebSocketStream<Box<dyn Stream>>) -> Self {
        Self(socket)
    }

    pub(crate) fn config() -> WebSocketConfig {
        WebSocketConfig::default()
            .max_message_size(Some(MAX_FRAME))
            .max_frame_size(Some(MAX_FRAME))
    }

    pub(super) async fn send(&mut self, message: Vec<u8>) -> Result<(), ChannelEnd> {
        let sent = timeout(SENDING, self.0.send(Message::Binary(message.into()))).await;
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.told().unwrap_or_else(|| from_socket(error))),
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

    pub(super) async fn recv(&mut self) -> Result<Vec<u8>, ChannelEnd> {
        let end = loop {
            match self.0.next().await {
                None => break ChannelEnd::Closed(None),
                Some(Ok(Message::Close(frame))) => break closed(frame),
                Some(Ok(Message::Binary(bytes))) if bytes.is_empty() => break ChannelEnd::Empty,
                Some(Ok(Message::Binary(bytes))) => return Ok(bytes.into()),
                Some(Ok(Message::Text(_))) => break ChannelEnd::Text,
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(error)) => break from_socket(error),
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

    pub(super) async fn close(mut self) {
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

fn from_socket(error: SocketError) -> ChannelEnd {
    match error {
        SocketError::ConnectionClosed | SocketError::AlreadyClosed => ChannelEnd::Closed(None),
        SocketError::Capacity(_) => ChannelEnd::TooLarge,
        error => ChannelEnd::Broken(error),
    }
}
