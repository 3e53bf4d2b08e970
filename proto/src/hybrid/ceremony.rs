//! What both ceremonies share: how they fail, and how long they wait.

use core::time::Duration;

use thiserror::Error;

use super::channel::ChannelError;
use super::framing::FramingError;
use super::handshake::HandshakeError;
use super::message::MessageError;
use crate::ctap2::ResponseError;

/// Why there is no tunnel, or not any more.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum ChannelFailure {
    /// 409: the tunnel exists already, so another phone answers this QR code.
    #[error("another device answers this code already")]
    Conflict,
    /// No Bluetooth connection with the other device came about, or this device can take none.
    #[error("no Bluetooth connection with the other device could be made")]
    BleFailed,
    /// The Bluetooth connection with the other device broke.
    #[error("the Bluetooth connection with the other device broke")]
    BleLost,
    /// The phone takes no Bluetooth connections, and the client offers nothing else.
    #[error("the phone does not talk by Bluetooth alone")]
    BleNotOffered,
    /// 410: the address is no longer served.
    #[error("the relay does not serve this address any more")]
    Gone,
    /// The relay ended the open tunnel (1008): a limit was reached, or the other device broke a rule.
    #[error("the relay ended the tunnel, for one of its limits or a fault of the other device")]
    Limit,
    /// The connection to the relay broke.
    #[error("the connection to the relay broke")]
    Lost,
    /// 404: no such tunnel, perhaps because the phone has left.
    #[error("the relay does not know the tunnel")]
    NotFound,
    /// The relay answered something that is no tunnel.
    #[error("the relay does not speak the protocol")]
    Protocol,
    /// Another HTTP status.
    #[error("the relay refused with status {0}")]
    Rejected(u16),
    /// The relay's certificate is not good.
    #[error("the relay's certificate cannot be trusted")]
    Tls,
    /// The relay ended the open tunnel (1009): a message was larger than it takes.
    #[error("the relay ended the tunnel: a message was too large for it")]
    TooLarge,
    /// The relay does not answer.
    #[error("the relay cannot be reached")]
    Unreachable,
}

/// How an open tunnel ended, as its WebSocket tells (RFC 6455 §7.4, `hybrid-transport.md` §5.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Closed {
    /// The other device closed it (1000, or no code), or was lost by the relay (1001).
    ByPeer,
    /// The relay ended it, or the way broke: the other device may be well.
    ByRelay(ChannelFailure),
    /// This side ended it, because the other device sent what nobody may send.
    Misbehaved(BadMessage),
}

/// A WebSocket message that is none of the protocol's (`hybrid-transport.md` §5.3).
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum BadMessage {
    /// Nothing at all.
    #[error("an empty message came")]
    Empty,
    /// Text.
    #[error("a text message came")]
    Text,
    /// More than a channel takes.
    #[error("a message came that is too large")]
    TooLarge,
}

impl Closed {
    /// Reads a close code; nothing is a close frame without one.
    pub fn from_code(code: Option<u16>) -> Self {
        match code {
            None | Some(1000 | 1001 | 1005) => Self::ByPeer,
            Some(1006) => Self::ByRelay(ChannelFailure::Lost),
            Some(1008 | 1013) => Self::ByRelay(ChannelFailure::Limit),
            Some(1009) => Self::ByRelay(ChannelFailure::TooLarge),
            Some(_) => Self::ByRelay(ChannelFailure::Protocol),
        }
    }
}

impl From<Closed> for CeremonyError {
    fn from(closed: Closed) -> Self {
        match closed {
            Closed::ByPeer => Self::PeerGone,
            Closed::ByRelay(failure) => failure.into(),
            Closed::Misbehaved(message) => PeerMisbehaved::BadMessage(message).into(),
        }
    }
}

/// What the caller did wrong.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum ApiMisuse {
    /// The ceremony is not in a state for this.
    #[error("the ceremony is not ready for this")]
    NotReady,
    /// The message is larger than a channel takes.
    #[error("the message is too large")]
    TooLarge,
}

/// What the other side did wrong.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum PeerMisbehaved {
    /// A message that is none of the protocol's.
    #[error(transparent)]
    BadMessage(#[from] BadMessage),
    /// The encrypted channel broke.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// Data before the handshake.
    #[error("data came before the handshake")]
    DataBeforeHandshake,
    /// What came by Bluetooth is no message.
    #[error(transparent)]
    Framing(#[from] FramingError),
    /// What the phone says of itself cannot be read.
    #[error("the phone's information cannot be read: {0}")]
    GetInfo(#[from] ResponseError),
    /// The handshake failed.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// A message cannot be read.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// A second request while one is being answered.
    #[error("a second request came while one was being answered")]
    RequestWhilePending,
    /// A reply of another type than its request.
    #[error("the reply has another type than the request")]
    UnexpectedType,
    /// A reply that nobody asked for.
    #[error("a reply came that nobody asked for")]
    UnsolicitedReply,
    /// A phone that ended the session while a request was open.
    #[error("the phone ended the session instead of answering")]
    ShutdownInsteadOfReply,
}

/// Why a phone cannot answer a QR code at all.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum Unanswerable {
    /// The client does not offer a channel that this phone has.
    #[error("the computer offers no way to talk that this device has")]
    NoCommonChannel,
    /// The client cannot know this phone's relay by its number.
    #[error("the computer does not know this device's relay")]
    UnknownRelay,
}

/// For what a ceremony waited in vain.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum TimedOut {
    /// The phone's advert.
    #[error("no phone answered the code")]
    Advert,
    /// The Bluetooth connection.
    #[error("no Bluetooth connection with the other device came about in time")]
    Ble,
    /// The tunnel.
    #[error("the relay took too long")]
    Channel,
    /// The other side's part of the handshake.
    #[error("the other device did not answer")]
    Handshake,
    /// The client's request.
    #[error("the computer asked for nothing")]
    Request,
    /// The answer to a request.
    #[error("nobody answered on the phone")]
    Reply,
    /// A client that heard this phone's advert.
    #[error("no computer heard this device: it is out of reach, or has gone")]
    Unheard,
}

/// How a ceremony fails, by who is to blame.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum CeremonyError {
    /// The caller used the ceremony in a way that is not possible.
    #[error(transparent)]
    ApiMisuse(#[from] ApiMisuse),
    /// The person at this device ended it.
    #[error("cancelled")]
    Cancelled,
    /// The relay or the way to it.
    #[error(transparent)]
    Environment(#[from] ChannelFailure),
    /// This side could not make its part of the protocol, which should not happen.
    #[error("this device could not make its part of the protocol")]
    Local,
    /// The other side left before it was done.
    #[error("the other device left")]
    PeerGone,
    /// The other side broke the protocol.
    #[error(transparent)]
    PeerMisbehaved(PeerMisbehaved),
    /// Nobody did what was waited for.
    #[error(transparent)]
    TimedOut(#[from] TimedOut),
}

impl From<ChannelError> for CeremonyError {
    fn from(error: ChannelError) -> Self {
        Self::PeerMisbehaved(error.into())
    }
}

impl From<FramingError> for CeremonyError {
    fn from(error: FramingError) -> Self {
        Self::PeerMisbehaved(error.into())
    }
}

impl From<HandshakeError> for CeremonyError {
    fn from(error: HandshakeError) -> Self {
        match error {
            HandshakeError::Local => Self::Local,
            error => Self::PeerMisbehaved(error.into()),
        }
    }
}

impl From<MessageError> for CeremonyError {
    fn from(error: MessageError) -> Self {
        Self::PeerMisbehaved(error.into())
    }
}

impl From<ResponseError> for CeremonyError {
    fn from(error: ResponseError) -> Self {
        Self::PeerMisbehaved(error.into())
    }
}

impl From<PeerMisbehaved> for CeremonyError {
    fn from(error: PeerMisbehaved) -> Self {
        Self::PeerMisbehaved(error)
    }
}

/// How long a client waits (`hybrid-transport.md` §13.1).
#[derive(Clone, Copy, Debug)]
pub struct ClientLimits {
    /// For the phone's advert.
    pub advert: Duration,
    /// For the tunnel.
    pub channel: Duration,
    /// For the Bluetooth connection, and again for message 2 over it as long as there is a tunnel to go
    /// to instead.
    pub ble: Duration,
    /// For message 2, and again for the post-handshake message.
    pub handshake: Duration,
    /// For the answer to a request: a person has to find it and to decide.
    pub reply: Duration,
    /// For the phone to close after the shutdown.
    pub linger: Duration,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            advert: Duration::from_secs(180),
            channel: Duration::from_secs(30),
            ble: Duration::from_secs(10),
            handshake: Duration::from_secs(20),
            reply: Duration::from_secs(300),
            linger: Duration::from_secs(2),
        }
    }
}

/// How long a phone waits (`hybrid-transport.md` §13.1).
#[derive(Clone, Copy, Debug)]
pub struct PhoneLimits {
    /// For the tunnel.
    pub channel: Duration,
    /// For the tunnel when computers could come by Bluetooth already.
    pub without_tunnel: Duration,
    /// For message 1 of a computer that has come by Bluetooth: others may want to come.
    pub silent_link: Duration,
    /// For a client to hear the advert.
    pub advert: Duration,
    /// For a request, the first and every further one.
    pub request: Duration,
    /// For the person to answer a request.
    pub person: Duration,
}

impl Default for PhoneLimits {
    fn default() -> Self {
        Self {
            channel: Duration::from_secs(30),
            without_tunnel: Duration::from_secs(5),
            silent_link: Duration::from_secs(5),
            advert: Duration::from_secs(60),
            request: Duration::from_secs(60),
            // A prompt has its own minute for each line that is typed; this ends all of them.
            person: Duration::from_secs(240),
        }
    }
}
