use std::collections::BTreeMap;

use crate::faults::{Faults, Side, flip};

/// The air: who broadcasts, and everything that was ever broadcast.
#[derive(Debug, Default)]
pub(crate) struct Air {
    history: Vec<Vec<u8>>,
    broadcasting: BTreeMap<Side, Vec<u8>>,
    scanning: bool,
}

impl Air {
    pub(crate) fn new(foreign: &[Vec<u8>]) -> Self {
        Self {
            history: foreign.to_vec(),
            ..Self::default()
        }
    }

    pub(crate) fn history(&self) -> &[Vec<u8>] {
        &self.history
    }

    /// Begins to listen; what was broadcast before is heard at once, as a radio's driver remembers
    /// it.
    pub(crate) fn scan(&mut self) -> Vec<Vec<u8>> {
        self.scanning = true;
        self.history.clone()
    }

    pub(crate) fn stop_scan(&mut self) {
        self.scanning = false;
    }

    pub(crate) fn start(&mut self, from: Side, advert: &[u8], faults: &Faults) {
        self.broadcasting.insert(from, distorted(advert, faults));
    }

    pub(crate) fn stop(&mut self, from: Side) {
        self.broadcasting.remove(&from);
    }

    /// A phone sends its advert once more, if it has not stopped: returns it, and whether somebody
    /// listens.
    pub(crate) fn broadcast(&mut self, from: Side) -> Option<(Vec<u8>, bool)> {
        let advert = self.broadcasting.get(&from)?.clone();
        self.history.push(advert.clone());
        Some((advert, self.scanning))
    }
}

/// What is heard of an advert. Its suffix, or the one of the faults, follows whatever
/// is left of it.
fn distorted(advert: &[u8], faults: &Faults) -> Vec<u8> {
    let (eid, suffix) = advert.split_at(advert.len().min(20));
    let mut heard = eid.to_vec();
    heard.resize(faults.advert_length, 0);
    if let Some(bit) = faults.advert_flip {
        flip(&mut heard, bit);
    }
    heard.extend_from_slice(faults.suffix.as_deref().unwrap_or(suffix));
    heard
}
