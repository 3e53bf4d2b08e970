use core::time::Duration;

use handfast_proto::hybrid::ChannelFailure;

/// One of the two.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// The client.
    Client,
    /// The phone.
    Phone,
}

/// What happens to a frame on its way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Damage {
    /// It arrives twice.
    Duplicate,
    /// It vanishes.
    Drop,
    /// It becomes an empty message.
    Empty,
    /// One of its bits is flipped, counted modulo its length.
    Flip(usize),
    /// The relay closes the tunnel on both sides instead, with this code.
    Close(u16),
    /// It changes places with the next one of its side.
    Swap,
    /// Only this many of its bytes arrive.
    Truncate(usize),
}

/// What goes wrong in the air and at the relay. By default nothing does.
#[derive(Clone, Debug)]
pub struct Faults {
    /// How long everything is on its way.
    pub latency: Duration,
    /// Adverts of others that are heard before the phone's.
    pub foreign_adverts: Vec<Vec<u8>>,
    /// How often the phone's advert is heard.
    pub adverts_heard: usize,
    /// Bytes that follow the advert, as a suffix.
    pub suffix: Vec<u8>,
    /// How many of the advert's bytes are heard.
    pub advert_length: usize,
    /// A bit of the advert that is heard flipped.
    pub advert_flip: Option<usize>,
    /// What the relay answers the phone instead of a tunnel.
    pub refuse_new: Option<ChannelFailure>,
    /// What the relay answers the client instead of a tunnel.
    pub refuse_connect: Option<ChannelFailure>,
    /// What happens to the frame of this number (from 0) of this side.
    pub frame: Option<(Side, usize, Damage)>,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(20),
            foreign_adverts: Vec::new(),
            adverts_heard: 1,
            suffix: Vec::new(),
            advert_length: 20,
            advert_flip: None,
            refuse_new: None,
            refuse_connect: None,
            frame: None,
        }
    }
}
