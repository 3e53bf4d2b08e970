//! The ways on which a client and a phone can talk (CTAP 2.3 §11.5.1.1, `hybrid-transport.md` §9).

use core::fmt;
use core::num::NonZeroU16;

/// A way for messages.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum DataChannel {
    /// A tunnel through a relay: number 0.
    WebSocket,
    /// Bluetooth, an L2CAP channel of LE: number 1.
    Ble,
}

/// The ways that a device has, or offers: one at least.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum DataChannels {
    /// Only a tunnel through a relay. Who says nothing of channels means this.
    #[default]
    WebSocket,
    /// Only Bluetooth.
    Ble,
    /// Both of them.
    Both,
}

impl DataChannels {
    /// Reads the numbers of a list; those that nobody knows are passed over.
    pub fn from_numbers(numbers: impl IntoIterator<Item = u64>) -> Option<Self> {
        let one = |number| match number {
            0 => Some(Self::WebSocket),
            1 => Some(Self::Ble),
            _ => None,
        };
        let known = numbers.into_iter().filter_map(one);
        known.reduce(|all, one| if all == one { all } else { Self::Both })
    }

    /// Returns the numbers, ascending.
    pub fn numbers(self) -> &'static [u64] {
        match self {
            Self::WebSocket => &[0],
            Self::Ble => &[1],
            Self::Both => &[0, 1],
        }
    }

    /// Returns whether this is one of them.
    pub fn contain(self, channel: DataChannel) -> bool {
        match channel {
            DataChannel::WebSocket => self != Self::Ble,
            DataChannel::Ble => self != Self::WebSocket,
        }
    }

    /// Returns those that both have, if there are any.
    pub fn common(self, other: Self) -> Option<Self> {
        let numbers = self.numbers().iter().copied();
        Self::from_numbers(numbers.filter(|number| other.numbers().contains(number)))
    }
}

/// The number under which a phone takes L2CAP connections (its PSM). Those of LE that are given out as they
/// are needed are 0x80 to 0xff.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Psm(NonZeroU16);

impl Psm {
    /// Reads a number; zero is none.
    pub fn new(number: u16) -> Option<Self> {
        NonZeroU16::new(number).map(Self)
    }

    /// Returns the number.
    pub fn get(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Display for Psm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", self.0)
    }
}
