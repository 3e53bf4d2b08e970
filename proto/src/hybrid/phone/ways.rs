//! The ways on which a computer may come, until one does.

use core::time::Duration;

use crate::hybrid::data_channel::{DataChannel, DataChannels, Psm};
use crate::hybrid::tunnel::RoutingId;

/// Both ways, as far as each is there.
#[derive(Debug)]
pub(super) struct Ways {
    tunnel: Way<RoutingId>,
    ble: Way<Psm>,
    /// Until when a computer that has come by Bluetooth has to say something, if one has come.
    pub(super) link: Option<Duration>,
}

#[derive(Debug)]
enum Way<T> {
    Absent,
    Opening,
    Open(T),
}

impl<T: Copy> Way<T> {
    fn wanted(is_wanted: bool) -> Self {
        match is_wanted {
            true => Self::Opening,
            false => Self::Absent,
        }
    }

    fn open(&self) -> Option<T> {
        match self {
            Self::Open(at) => Some(*at),
            _ => None,
        }
    }

    /// Notes that it is open; returns whether it was waited for.
    fn opened(&mut self, at: T) -> bool {
        let waited_for = matches!(self, Self::Opening);
        if waited_for {
            *self = Self::Open(at);
        }
        waited_for
    }

    /// Returns whether it was there, or could have been.
    fn lose(&mut self) -> bool {
        !matches!(core::mem::replace(self, Self::Absent), Self::Absent)
    }
}

/// What is to be done about the ways.
#[derive(Debug, PartialEq)]
pub(super) enum Advice {
    /// Advertise what is there.
    Advertise,
    /// There is no way.
    GiveUp,
    /// One of them may come yet.
    Wait,
}

impl Ways {
    pub(super) fn new(wanted: DataChannels) -> Self {
        Self {
            tunnel: Way::wanted(wanted.contain(DataChannel::WebSocket)),
            ble: Way::wanted(wanted.contain(DataChannel::Ble)),
            link: None,
        }
    }

    pub(super) fn advice(&self) -> Advice {
        match (&self.tunnel, &self.ble) {
            (Way::Absent, Way::Absent) => Advice::GiveUp,
            (Way::Opening, _) | (_, Way::Opening) => Advice::Wait,
            _ => Advice::Advertise,
        }
    }

    pub(super) fn tunnel_opened(&mut self, routing: RoutingId) -> bool {
        self.tunnel.opened(routing)
    }

    pub(super) fn ble_opened(&mut self, psm: Psm) -> bool {
        self.ble.opened(psm)
    }

    pub(super) fn routing(&self) -> Option<RoutingId> {
        self.tunnel.open()
    }

    pub(super) fn psm(&self) -> Option<Psm> {
        self.ble.open()
    }

    /// Returns whether this way was there, or could have been.
    pub(super) fn lose(&mut self, channel: DataChannel) -> bool {
        match channel {
            DataChannel::WebSocket => self.tunnel.lose(),
            DataChannel::Ble => self.ble.lose(),
        }
    }

    /// The way that is not there yet, when the other is.
    pub(super) fn late(&self) -> Option<DataChannel> {
        match (&self.tunnel, &self.ble) {
            (Way::Opening, Way::Open(_)) => Some(DataChannel::WebSocket),
            (Way::Open(_), Way::Opening) => Some(DataChannel::Ble),
            _ => None,
        }
    }
}
