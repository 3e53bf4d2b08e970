//! Hearing adverts with every adapter that may be used.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::pin::pin;

use bluer::{
    Adapter, AdapterEvent, DeviceEvent, DeviceProperty, DiscoveryFilter, DiscoveryTransport, Uuid,
    UuidExt,
};
use futures_util::stream::{SelectAll, Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tracing::debug;

use super::link::Sender as BluezSender;
use super::{Bluez, FIDO, GOOGLE, LOOK_EVERY, answer};
use crate::radio::{Heard, RadioError, Sender};

/// How many things to tell may wait.
const QUEUE: usize = 256;
/// How many adverts are known again. Only a keyed hash of each is kept.
const REMEMBERED: usize = 4096;

/// A scan over all adapters that may be used: those that come later, and those that come back, too.
#[derive(Debug)]
pub(in crate::radio) struct Scanner {
    heard: mpsc::Receiver<Heard>,
    seen: Seen,
    /// Ends with this.
    _watch: JoinSet<()>,
}

impl Scanner {
    /// Starts to listen; at least one adapter does so when this returns.
    pub(in crate::radio) async fn start(bluez: Bluez) -> Result<Self, RadioError> {
        let (tell, heard) = mpsc::channel(QUEUE);
        let mut watch = Watch {
            bluez,
            tell,
            listening: BTreeMap::new(),
        };
        watch.look().await?;
        let mut task = JoinSet::new();
        task.spawn(watch.run());
        Ok(Self {
            heard,
            seen: Seen::default(),
            _watch: task,
        })
    }

    pub(in crate::radio) async fn next(&mut self) -> Result<Heard, RadioError> {
        loop {
            match self.heard.recv().await {
                Some(Heard::Advert { service_data, .. }) if self.seen.before(&service_data) => {}
                Some(heard) => return Ok(heard),
                None => return Err(RadioError::Failed("it stopped listening".to_owned())),
            }
        }
    }
}

/// Which adverts were told already.
#[derive(Debug, Default)]
struct Seen {
    hasher: RandomState,
    hashes: HashSet<u64>,
}

impl Seen {
    /// Returns whether this one was, and remembers it.
    fn before(&mut self, advert: &[u8]) -> bool {
        if self.hashes.len() >= REMEMBERED {
            self.hashes.clear();
        }
        !self.hashes.insert(self.hasher.hash_one(advert))
    }
}

/// Keeps every adapter listening.
struct Watch {
    bluez: Bluez,
    tell: mpsc::Sender<Heard>,
    /// By the adapter's name, what listens there; it ends with its entry.
    listening: BTreeMap<String, JoinSet<()>>,
}

impl Watch {
    async fn run(mut self) {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        looks.tick().await;
        let mut lost = false;
        loop {
            looks.tick().await;
            if lost {
                self.bluez.reconnect().await;
            }
            let news = match (self.look().await, lost) {
                (Err(error), false) => Heard::Lost(error),
                (Ok(()), true) if !self.listening.is_empty() => Heard::Back,
                _ => continue,
            };
            lost = !lost;
            if self.tell.send(news).await.is_err() {
                return;
            }
        }
    }

    /// Lets every adapter listen that is on and does not yet.
    async fn look(&mut self) -> Result<(), RadioError> {
        let powered = match self.bluez.powered().await {
            Ok(powered) => powered,
            Err(error) => {
                self.listening.clear();
                return Err(error);
            }
        };
        self.listening.retain(|name, task| {
            let is_on = powered.iter().any(|adapter| adapter.name() == name);
            is_on && task.try_join_next().is_none()
        });
        let mut failure = None;
        for adapter in powered {
            match self.listen_with(&adapter).await {
                Ok(()) => {}
                Err(error) => {
                    debug!(adapter = adapter.name(), "it does not listen: {error}");
                    failure = Some(error);
                }
            }
        }
        match failure {
            Some(error) if self.listening.is_empty() => Err(error),
            _ => Ok(()),
        }
    }

    async fn listen_with(&mut self, adapter: &Adapter) -> Result<(), RadioError> {
        let name = adapter.name();
        if self.listening.contains_key(name) {
            // BlueZ that was started anew does not say that it no longer scans for us. The old scan is
            // given the time until the next look to end.
            if !answer(adapter.is_discovering()).await? {
                self.listening.remove(name);
            }
            return Ok(());
        }
        let task = listen(adapter.clone(), self.tell.clone()).await?;
        debug!(adapter = name, "listening");
        self.listening.insert(name.to_owned(), task);
        Ok(())
    }
}

async fn listen(adapter: Adapter, tell: mpsc::Sender<Heard>) -> Result<JoinSet<()>, RadioError> {
    // No filter by service: with one, BlueZ reports no device that has service data alone.
    let filter = DiscoveryFilter {
        transport: DiscoveryTransport::Le,
        duplicate_data: true,
        ..DiscoveryFilter::default()
    };
    answer(adapter.set_discovery_filter(filter)).await?;
    let devices = answer(adapter.discover_devices()).await?;
    let mut task = JoinSet::new();
    task.spawn(hear(adapter, devices, tell));
    Ok(task)
}

/// Tells the service data of every device, as it appears and whenever it changes.
async fn hear(
    adapter: Adapter,
    devices: impl Stream<Item = AdapterEvent>,
    tell: mpsc::Sender<Heard>,
) {
    let mut devices = pin!(devices);
    let mut changes = SelectAll::new();
    loop {
        let (address, data) = tokio::select! {
            event = devices.next() => match event {
                Some(AdapterEvent::DeviceAdded(address)) => {
                    let Ok(device) = adapter.device(address) else {
                        continue;
                    };
                    // Before the data is read, so that no change is missed in between.
                    if let Ok(events) = device.events().await {
                        changes.push(Box::pin(events.map(move |event| (address, event))));
                    }
                    (address, answer(device.service_data()).await.ok().flatten())
                }
                Some(_) => continue,
                None => return,
            },
            Some(change) = changes.next(), if !changes.is_empty() => match change {
                (address, DeviceEvent::PropertyChanged(DeviceProperty::ServiceData(data))) => {
                    (address, Some(data))
                }
                _ => continue,
            },
        };
        for advert in data.into_iter().flat_map(of_fido) {
            let sender = BluezSender {
                adapter: adapter.clone(),
                address,
            };
            let heard = Heard::Advert {
                service_data: advert,
                sender: Sender::of_bluez(sender),
            };
            if tell.send(heard).await.is_err() {
                return;
            }
        }
    }
}

/// Returns what is under the services by which phones are known; all else is nobody's business here.
fn of_fido(mut data: HashMap<Uuid, Vec<u8>>) -> impl Iterator<Item = Vec<u8>> {
    [FIDO, GOOGLE]
        .into_iter()
        .filter_map(move |service| data.remove(&Uuid::from_u16(service)))
}
