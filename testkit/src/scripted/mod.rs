//! One ceremony alone, against a peer that does what a script says: any message, in any order,
//! after any silence, under real keys.

mod client;
mod phone;
mod stage;

use core::time::Duration;

use handfast_proto::hybrid::channel::ChannelError;
use handfast_proto::hybrid::handshake::HandshakeError;
use handfast_proto::hybrid::message::Message;
use handfast_proto::hybrid::{ApiMisuse, ChannelFailure, Closed, DataChannel};

pub use client::ScriptedClient;
pub use phone::ScriptedPhone;

/// What happens next: at the scripted peer, at the relay, or at the program that has the ceremony.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// The phone's advert is heard; a scripted client needs no such step, it always listens.
    Advertise,
    /// The program with the phone's ceremony answers the request: status byte and CBOR.
    Answer(Vec<u8>),
    /// The program with the client's ceremony asks: command byte and CBOR.
    Ask(Vec<u8>),
    /// The person at the ceremony ends it.
    Cancel,
    /// The channel closes.
    Close(Closed),
    /// The peer takes the ceremony's next frame: message 2 for a scripted client that has sent
    /// message 1, else a message of the channel.
    Expect,
    /// The peer sends this as it is.
    Frame(Vec<u8>),
    /// The peer sends its message of the handshake; a scripted phone takes message 1 for it.
    Handshake,
    /// The program with the client's ceremony introduces itself.
    Introduce(Vec<u8>),
    /// A scripted client connects by Bluetooth.
    Link,
    /// The channel opens, whether or not that was asked for; for a phone's ceremony by Bluetooth: its
    /// connections are taken now.
    Open,
    /// The peer encrypts this as it is: its padding is the script's.
    Padded(Vec<u8>),
    /// The peer pads and encrypts this.
    Plain(Vec<u8>),
    /// The channel cannot be opened.
    Refuse(ChannelFailure),
    /// The peer sends a typed message.
    Send(Message),
    /// The program with the client's ceremony has nothing more to ask.
    Shutdown,
    /// From here on the peer is on this channel, which is a tunnel in the beginning. By Bluetooth each of
    /// its frames is a service data unit.
    Use(DataChannel),
    /// Nothing is said for this long.
    Wait(Duration),
}

/// Why a script cannot go on.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum ScriptError {
    /// The ceremony's frame cannot be opened, or the script's not be sealed.
    Channel(ChannelError),
    /// The handshake fails at the scripted side.
    Handshake(HandshakeError),
    /// The ceremony is not of the kind that this step is for, or not yet so far.
    Misplaced,
    /// The ceremony has sent nothing.
    NothingCame,
}

impl From<ChannelError> for ScriptError {
    fn from(error: ChannelError) -> Self {
        Self::Channel(error)
    }
}

impl From<HandshakeError> for ScriptError {
    fn from(error: HandshakeError) -> Self {
        Self::Handshake(error)
    }
}

/// What a ceremony did during a script.
#[derive(Debug, PartialEq)]
pub struct Record<Event> {
    /// What it told its program.
    pub events: Vec<Event>,
    /// What it sent.
    pub frames: Vec<Vec<u8>>,
    /// What the peer took of that and could read, without padding.
    pub messages: Vec<Vec<u8>>,
    /// The adverts that it broadcast.
    pub adverts: Vec<Vec<u8>>,
    /// Whether it broadcasts, or listens.
    pub radio: bool,
    /// How many tunnels it wanted.
    pub opened: usize,
    /// How many Bluetooth connections it wanted, or how often it got ready for them.
    pub linked: usize,
    /// How often it closed a channel.
    pub closed: usize,
    /// What its program did wrong.
    pub misuse: Vec<ApiMisuse>,
}

impl<Event> Default for Record<Event> {
    fn default() -> Self {
        Self {
            events: Vec::new(),
            frames: Vec::new(),
            messages: Vec::new(),
            adverts: Vec::new(),
            radio: false,
            opened: 0,
            linked: 0,
            closed: 0,
            misuse: Vec::new(),
        }
    }
}
