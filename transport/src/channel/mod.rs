//! A data channel: what carries the messages of one ceremony.

pub(crate) mod sdus;
pub(crate) mod websocket;

use std::fmt;
use std::io;
use std::time::Duration;

use handfast_proto::hybrid::{BadMessage, ChannelFailure, Closed};
use thiserror::Error;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::error::Error as SocketError;

use sdus::SduSocket;
use websocket::WebSocket;

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
    /// The Bluetooth connection broke.
    #[error("the Bluetooth connection broke: {0}")]
    LinkBroken(#[source] io::Error),
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
            Self::LinkBroken(_) => Closed::ByRelay(ChannelFailure::BleLost),
            Self::Empty => Closed::Misbehaved(BadMessage::Empty),
            Self::Text => Closed::Misbehaved(BadMessage::Text),
            Self::TooLarge => Closed::Misbehaved(BadMessage::TooLarge),
        }
    }
}

/// An open channel: a tunnel, or a Bluetooth connection.
pub struct Channel(Kind);

enum Kind {
    Sdus(Box<dyn SduSocket>),
    WebSocket(Box<WebSocket>),
}

impl Channel {
    pub(crate) fn of_sdus(socket: impl SduSocket + 'static) -> Self {
        Self(Kind::Sdus(Box::new(socket)))
    }

    pub(crate) fn of_websocket(socket: WebSocket) -> Self {
        Self(Kind::WebSocket(Box::new(socket)))
    }

    /// Sends one message. Takes half a minute at most.
    ///
    /// # Errors
    ///
    /// [`ChannelEnd`].
    pub async fn send(&mut self, message: Vec<u8>) -> Result<(), ChannelEnd> {
        match &mut self.0 {
            Kind::Sdus(socket) => sdus::send(socket.as_mut(), &message).await,
            Kind::WebSocket(socket) => socket.send(message).await,
        }
    }

    /// Waits for the next message of a tunnel, or the next service data unit of a Bluetooth connection.
    /// May be dropped while it waits without losing anything.
    ///
    /// Who sends into a tunnel what nobody may send is told so by a close code: 1002 for an empty message,
    /// 1003 for text, 1009 for too much.
    ///
    /// # Errors
    ///
    /// [`ChannelEnd`], when no message will come any more.
    pub async fn recv(&mut self) -> Result<Vec<u8>, ChannelEnd> {
        match &mut self.0 {
            Kind::Sdus(socket) => sdus::recv(socket.as_mut()).await,
            Kind::WebSocket(socket) => socket.recv().await,
        }
    }

    /// Closes the channel; an answer to that is not waited for. Takes two seconds at most.
    pub async fn close(self) {
        match self.0 {
            Kind::Sdus(socket) => {
                // It is closed here, whatever else can be done.
                let _ = timeout(FAREWELL, socket.close()).await;
            }
            Kind::WebSocket(socket) => socket.close().await,
        }
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Channel")
    }
}
