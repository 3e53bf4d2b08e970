use core::time::Duration;

use handfast_proto::hybrid::{BadMessage, ChannelFailure};

/// Who sends or receives.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Side {
    /// The client.
    Client,
    /// The phone.
    Phone,
    /// A second phone that read the same code.
    Rival,
}

/// What happens to a frame at the relay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Damage {
    /// The relay closes the tunnel instead.
    Close {
        /// The code that the frame's sender is told.
        sender: u16,
        /// The code that the other side is told.
        receiver: u16,
    },
    /// It vanishes.
    Drop,
    /// It arrives twice. A delay is the copy's.
    Duplicate,
    /// It becomes an empty message, and the relay passes that on.
    Empty,
    /// One of its bits is flipped, counted modulo its length.
    Flip(usize),
    /// It changes places with the next one of its side.
    Swap,
    /// Only this many of its bytes arrive.
    Truncate(usize),
    /// It arrives as something that no channel takes.
    Unreadable(BadMessage),
}

/// What happens to one frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FrameFault {
    /// Who sends the frame.
    pub from: Side,
    /// Which of this side's frames it is, from 0.
    pub number: usize,
    /// What happens to it.
    pub damage: Option<Damage>,
    /// How much longer it takes than others; later frames overtake it.
    pub delay: Duration,
}

impl FrameFault {
    /// Damages a frame.
    pub fn new(from: Side, number: usize, damage: Damage) -> Self {
        Self {
            from,
            number,
            damage: Some(damage),
            delay: Duration::ZERO,
        }
    }

    /// Delays a frame.
    pub fn late(from: Side, number: usize, delay: Duration) -> Self {
        Self {
            from,
            number,
            damage: None,
            delay,
        }
    }

    /// Returns the fault with a delay as well.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }
}

/// How likely accidents are, in percent, and how long the longest delays. Seed and faults decide
/// together which accidents happen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Chances {
    /// That an advert is not heard.
    pub advert_loss: u8,
    /// That an advert is heard twice.
    pub advert_twice: u8,
    /// The longest that an advert is heard late.
    pub advert_delay: Duration,
    /// That a frame is lost.
    pub frame_loss: u8,
    /// That a frame arrives twice.
    pub frame_twice: u8,
    /// The longest that a frame is late. Frames stay in their order, as they do within a socket.
    pub frame_delay: Duration,
}

/// How a Bluetooth connection behaves. By default it is as ours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ble {
    /// Why a phone cannot take connections, if it cannot.
    pub refuse_listen: Option<ChannelFailure>,
    /// Why the client gets no connection, if it gets none.
    pub refuse_connect: Option<ChannelFailure>,
    /// After so many messages of both sides the connection breaks.
    pub breaks_after: Option<usize>,
    /// The most bytes of one service data unit; longer messages come in several.
    pub sdu: usize,
    /// Whether messages end with `0d 0a`, as ours do.
    pub terminated: bool,
    /// Whether a stranger connects first, sends this and waits.
    pub stranger: Option<&'static [u8]>,
}

impl Default for Ble {
    fn default() -> Self {
        Self {
            refuse_listen: None,
            refuse_connect: None,
            breaks_after: None,
            sdu: 512,
            terminated: true,
            stranger: None,
        }
    }
}

/// What goes wrong in the air and at the relay. By default nothing does.
#[derive(Clone, Debug)]
pub struct Faults {
    /// How long everything takes between a device and the relay, and a radio to stop listening.
    pub latency: Duration,
    /// Adverts of others that are heard when the scan begins.
    pub foreign_adverts: Vec<Vec<u8>>,
    /// How often a phone repeats its advert, unless it stops before.
    pub broadcasts: usize,
    /// How long it waits between two.
    pub broadcast_interval: Duration,
    /// How many of the advert's 20 bytes are heard; beyond 20 there are zeros.
    pub advert_length: usize,
    /// A bit of the advert that is heard flipped.
    pub advert_flip: Option<usize>,
    /// What is heard after the advert instead of its own suffix.
    pub suffix: Option<Vec<u8>>,
    /// What the relay answers the phone instead of a tunnel.
    pub refuse_new: Option<ChannelFailure>,
    /// What the relay answers the client instead of a tunnel.
    pub refuse_connect: Option<ChannelFailure>,
    /// What happens to single frames.
    pub frames: Vec<FrameFault>,
    /// What may happen to any advert or frame.
    pub chances: Chances,
    /// How the Bluetooth connection behaves.
    pub ble: Ble,
    /// The relay answers nobody, and refuses nobody either.
    pub silent_relay: bool,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(20),
            foreign_adverts: Vec::new(),
            broadcasts: 1,
            broadcast_interval: Duration::from_millis(20),
            advert_length: 20,
            advert_flip: None,
            suffix: None,
            refuse_new: None,
            refuse_connect: None,
            frames: Vec::new(),
            chances: Chances::default(),
            ble: Ble::default(),
            silent_relay: false,
        }
    }
}

/// Flips a bit, counted modulo the length.
pub(crate) fn flip(bytes: &mut [u8], bit: usize) {
    let length = bytes.len().max(1);
    if let Some(byte) = bytes.get_mut(bit / 8 % length) {
        *byte ^= 1 << (bit % 8);
    }
}
