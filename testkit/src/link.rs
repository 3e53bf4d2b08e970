use std::collections::BTreeMap;

use handfast_proto::hybrid::{ChannelFailure, Closed, DataChannel, Psm};

use crate::faults::{Ble, Side};
use crate::network::{Arrival, Wish};

/// Who takes Bluetooth connections, and who has one.
#[derive(Debug, Default)]
pub(crate) struct Links {
    listening: BTreeMap<u16, Side>,
    /// The phone to which the client is connected.
    linked: Option<Side>,
    /// The client waits until this phone has sent the stranger away.
    waiting: Option<Side>,
    carried: usize,
}

type Arrivals = Vec<(Side, Arrival)>;

fn arrivals(all: impl IntoIterator<Item = (Side, Arrival)>) -> Arrivals {
    all.into_iter().collect()
}

impl Links {
    pub(crate) fn stop_listening(&mut self, side: Side) {
        self.listening.retain(|_, known| *known != side);
    }

    /// Does what a device wants of its Bluetooth.
    pub(crate) fn serve(&mut self, from: Side, wish: Wish, ble: &Ble) -> Arrivals {
        match wish {
            Wish::Listen => arrivals([(from, self.listen(from, ble))]),
            Wish::ConnectBle(psm) => self.connect(psm, ble),
            Wish::Forward(_, message) => self.carry(from, message, ble),
            Wish::Close(_) => self.close(from),
            _ => Vec::new(),
        }
    }

    fn listen(&mut self, from: Side, ble: &Ble) -> Arrival {
        if let Some(failure) = ble.refuse_listen {
            return Arrival::Refused(from, DataChannel::Ble, failure);
        }
        // The dynamic numbers of LE begin here.
        let number = (0x80..=u16::MAX).find(|number| !self.listening.contains_key(number));
        match number.and_then(Psm::new) {
            Some(psm) => {
                self.listening.insert(psm.get(), from);
                Arrival::Listening(from, psm)
            }
            None => Arrival::Refused(from, DataChannel::Ble, ChannelFailure::BleFailed),
        }
    }

    fn connect(&mut self, psm: Psm, ble: &Ble) -> Arrivals {
        let phone = self.listening.get(&psm.get()).copied();
        match (phone, ble.refuse_connect, ble.stranger) {
            (Some(phone), None, None) => self.link(phone),
            (Some(phone), None, Some(words)) => {
                self.waiting = Some(phone);
                let said = Arrival::Frame(phone, DataChannel::Ble, words.to_vec());
                let said = (!words.is_empty()).then_some((phone, said));
                arrivals([(phone, Arrival::Linked(phone))].into_iter().chain(said))
            }
            (_, failure, _) => {
                let failure = failure.unwrap_or(ChannelFailure::BleFailed);
                let refused = Arrival::Refused(Side::Client, DataChannel::Ble, failure);
                arrivals([(Side::Client, refused)])
            }
        }
    }

    fn link(&mut self, phone: Side) -> Arrivals {
        self.linked = Some(phone);
        arrivals([
            (phone, Arrival::Linked(phone)),
            (Side::Client, Arrival::Joined(DataChannel::Ble)),
        ])
    }

    fn peer(&self, from: Side) -> Option<Side> {
        let phone = self.linked?;
        match from {
            Side::Client => Some(phone),
            side => (side == phone).then_some(Side::Client),
        }
    }

    fn carry(&mut self, from: Side, mut message: Vec<u8>, ble: &Ble) -> Arrivals {
        let Some(to) = self.peer(from) else {
            return Vec::new();
        };
        self.carried += 1;
        if ble.breaks_after.is_some_and(|most| self.carried > most) {
            self.linked = None;
            let lost = Closed::ByRelay(ChannelFailure::BleLost);
            let ended = |side| (side, Arrival::Closed(side, DataChannel::Ble, lost));
            return arrivals([ended(from), ended(to)]);
        }
        if !ble.terminated {
            message.truncate(message.len().saturating_sub(2));
        }
        let units = message.chunks(ble.sdu.max(1));
        arrivals(units.map(|unit| (to, Arrival::Frame(to, DataChannel::Ble, unit.to_vec()))))
    }

    fn close(&mut self, from: Side) -> Arrivals {
        if self.waiting.take_if(|phone| *phone == from).is_some() {
            return self.link(from);
        }
        let Some(peer) = self.peer(from) else {
            return Vec::new();
        };
        self.linked = None;
        let closed = Arrival::Closed(peer, DataChannel::Ble, Closed::ByPeer);
        arrivals([(peer, closed)])
    }
}
