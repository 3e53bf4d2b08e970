//! A fake BlueZ on a message bus of its own: what `bluetoothd` says over D-Bus, without any Bluetooth.
//! What one adapter advertises, the others hear.
//!
//! It stands in for the daemon alone: the programs' own D-Bus code runs unchanged. What the daemon and
//! the kernel themselves would do with adverts is for the hardware tests.

mod bus;
mod objects;

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use objects::{Adapter, Advert, Filter};

use crate::daemon::Daemon;

/// The service under which phones advertise.
pub const FIDO: &str = "0000fff9-0000-1000-8000-00805f9b34fb";
/// The one that old phones use.
pub const GOOGLE: &str = "0000fde2-0000-1000-8000-00805f9b34fb";
/// How long a program may take to do what is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// Something to be done where the fake lives.
type Order = Box<dyn FnOnce(&mut Bluez) + Send>;

/// A bus and a fake BlueZ on it. Both end with this.
pub struct Fake {
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
    daemon: Daemon,
}

impl Fake {
    /// Starts both, without any adapter; nothing where there is no `dbus-daemon`, which is printed.
    ///
    /// # Panics
    ///
    /// If they cannot be started, or `HANDFAST_REQUIRE_DBUS` is set and there is none.
    pub fn start() -> Option<Self> {
        let daemon = Daemon::start()?;
        let (orders, received) = channel();
        let bluez = Bluez::connect(daemon.address());
        Some(Self {
            orders: Some(orders),
            thread: Some(std::thread::spawn(move || bluez.live(&received))),
            daemon,
        })
    }

    /// Starts both with `hci0` and `hci1`, on.
    pub fn with_two_adapters() -> Option<Self> {
        let fake = Self::start()?;
        fake.with(|bluez| {
            bluez.plug_in("hci0", true);
            bluez.plug_in("hci1", true);
        });
        Some(fake)
    }

    /// Returns the value of `DBUS_SYSTEM_BUS_ADDRESS` for programs that are to meet the fake.
    pub fn address(&self) -> &str {
        self.daemon.address()
    }

    /// Does something to the fake, or looks at it.
    ///
    /// # Panics
    ///
    /// If the fake is gone.
    pub fn with<T: Send + 'static>(
        &self,
        order: impl FnOnce(&mut Bluez) -> T + Send + 'static,
    ) -> T {
        let (answer, answered) = channel();
        let order: Order = Box::new(move |bluez| {
            let _ = answer.send(order(bluez));
        });
        self.orders.as_ref().unwrap().send(order).unwrap();
        answered.recv().unwrap()
    }

    /// Waits until something is so.
    ///
    /// # Panics
    ///
    /// If it does not become so.
    pub fn wait_until(&self, what: &str, is_so: impl Fn(&Bluez) -> bool + Copy + Send + 'static) {
        let begin = Instant::now();
        while !self.with(move |bluez| is_so(bluez)) {
            assert!(begin.elapsed() < PATIENCE, "it did not come to: {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// How the fake behaves, and what it has.
pub struct Bluez {
    bus: bus::Bus,
    /// By name.
    pub adapters: BTreeMap<String, Adapter>,
    /// Whether it answers nothing.
    pub hangs: bool,
    /// Whether nobody is let in.
    pub denies: bool,
    /// With which error adverts are refused.
    pub refuses_adverts: Option<&'static str>,
    /// With which error an adapter refuses to be switched on.
    pub refuses_power: Option<&'static str>,
    /// How long an adapter takes to be on.
    pub powering_takes: Duration,
    /// Whether adverts get from one adapter to the others.
    pub has_air: bool,
    powering: Vec<(Instant, String)>,
    next_air: Instant,
}

/// How often an advert is heard.
const AIR_EVERY: Duration = Duration::from_millis(100);

impl Bluez {
    fn connect(address: &str) -> Self {
        Self {
            bus: bus::Bus::connect(address),
            adapters: BTreeMap::new(),
            hangs: false,
            denies: false,
            refuses_adverts: None,
            refuses_power: None,
            powering_takes: Duration::ZERO,
            has_air: true,
            powering: Vec::new(),
            next_air: Instant::now(),
        }
    }

    fn live(mut self, orders: &Receiver<Order>) {
        use std::sync::mpsc::TryRecvError;

        loop {
            match orders.try_recv() {
                Ok(order) => order(&mut self),
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => {
                    self.serve();
                    self.pass_time();
                }
            }
        }
    }

    fn pass_time(&mut self) {
        let now = Instant::now();
        let (due, later) = std::mem::take(&mut self.powering)
            .into_iter()
            .partition(|(when, _)| *when <= now);
        self.powering = later;
        let due: Vec<(Instant, String)> = due;
        for (_, name) in due {
            self.set_powered(&name, true);
        }
        if self.has_air && now >= self.next_air {
            self.next_air = now + AIR_EVERY;
            self.carry();
        }
    }

    /// Lets every adapter hear what the others advertise.
    fn carry(&mut self) {
        let on_air: Vec<_> = self
            .adapters
            .iter()
            .filter(|(_, adapter)| adapter.powered)
            .flat_map(|(name, adapter)| {
                let adverts = adapter.adverts.iter().cloned();
                adverts.map(|advert| (name.clone(), advert))
            })
            .collect();
        let names: Vec<_> = self.adapters.keys().cloned().collect();
        for (from, advert) in on_air {
            for to in names.iter().filter(|to| **to != from) {
                self.hear(to, &advert.address, &advert.service_data);
            }
        }
    }

    /// Plugs an adapter in.
    pub fn plug_in(&mut self, name: &str, powered: bool) {
        self.adapters
            .insert(name.to_owned(), Adapter::new(name, powered));
        self.bus
            .added(&objects::path(name), &self.interfaces_of(name));
    }

    /// Pulls an adapter out.
    pub fn pull_out(&mut self, name: &str) {
        if let Some(adapter) = self.adapters.remove(name) {
            for address in adapter.devices.keys() {
                self.bus.removed(
                    &objects::device_path(name, address),
                    &[objects::DEVICE_INTERFACE],
                );
            }
            self.bus
                .removed(&objects::path(name), objects::ADAPTER_INTERFACES);
        }
    }

    /// Switches an adapter on or off. One that is off hears and sends nothing.
    pub fn set_powered(&mut self, name: &str, powered: bool) {
        let Some(adapter) = self.adapters.get_mut(name) else {
            return;
        };
        adapter.powered = powered;
        if !powered {
            adapter.scanners.clear();
            let devices = std::mem::take(&mut adapter.devices);
            for address in devices.keys() {
                self.bus.removed(
                    &objects::device_path(name, address),
                    &[objects::DEVICE_INTERFACE],
                );
            }
        }
        self.changed(name, "Powered");
        self.changed(name, "Discovering");
    }

    /// Lets an adapter that scans hear a device's advert; one that does not hears nothing.
    pub fn hear(&mut self, name: &str, address: &str, data: &BTreeMap<String, Vec<u8>>) {
        let Some(adapter) = self.adapters.get_mut(name) else {
            return;
        };
        if !adapter.powered || adapter.scanners.is_empty() {
            return;
        }
        let known = adapter
            .devices
            .insert(address.to_owned(), data.clone())
            .is_some();
        let path = objects::device_path(name, address);
        let properties = objects::device(name, address, data);
        match known {
            true => {
                let mut changed = properties;
                changed.retain(|name, _| name == "RSSI" || name == "ServiceData");
                self.bus.changed(&path, objects::DEVICE_INTERFACE, changed);
            }
            false => {
                let interfaces = [(objects::DEVICE_INTERFACE.to_owned(), properties)];
                self.bus.added(&path, &interfaces.into());
            }
        }
    }

    /// Lets the daemon die: it says nothing, and forgets all that programs asked of it.
    pub fn vanish(&mut self) {
        self.bus.release_name();
        for adapter in self.adapters.values_mut() {
            adapter.adverts.clear();
            adapter.scanners.clear();
            adapter.devices.clear();
        }
    }

    /// Starts it again, with the adapters as they were.
    pub fn come_back(&mut self) {
        self.bus.request_name();
    }

    fn changed(&self, adapter: &str, property: &str) {
        if let Some(found) = self.adapters.get(adapter) {
            let mut changed = found.properties();
            changed.retain(|name, _| name == property);
            self.bus
                .changed(&objects::path(adapter), objects::ADAPTER_INTERFACE, changed);
        }
    }
}
