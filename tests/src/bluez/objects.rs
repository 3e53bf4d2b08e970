//! What the fake's objects have.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};

use dbus::Path;
use dbus::arg::{PropMap, RefArg, Variant, prop_cast};

use super::Bluez;

pub(super) const ADAPTER_INTERFACE: &str = "org.bluez.Adapter1";
const ADVERTISING_INTERFACE: &str = "org.bluez.LEAdvertisingManager1";
pub(super) const ADAPTER_INTERFACES: &[&str] = &[ADAPTER_INTERFACE, ADVERTISING_INTERFACE];
pub(super) const DEVICE_INTERFACE: &str = "org.bluez.Device1";
const ROOT: &str = "/org/bluez/";

/// The properties of each interface.
pub(super) type Interfaces = HashMap<String, PropMap>;

/// An adapter.
#[derive(Debug)]
pub struct Adapter {
    name: String,
    /// Whether it is on.
    pub powered: bool,
    /// The adverts that programs registered.
    pub adverts: Vec<Advert>,
    /// The last filter that each program set, by the program's name on the bus.
    pub filters: BTreeMap<String, Filter>,
    /// The programs that scan.
    pub scanners: BTreeSet<String>,
    /// The devices that were heard, by address, and their service data.
    pub(super) devices: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
}

/// What a program wants to hear.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Filter {
    /// The kind of Bluetooth.
    pub transport: Option<String>,
    /// Whether everything is told again.
    pub duplicate_data: Option<bool>,
    /// Only devices of these services.
    pub uuids: Vec<String>,
}

/// An advert.
#[derive(Clone, Debug)]
pub struct Advert {
    pub(super) client: String,
    pub(super) path: String,
    /// From where others hear it.
    pub(super) address: String,
    /// `broadcast` or `peripheral`.
    pub kind: String,
    /// The list of services.
    pub services: Vec<String>,
    /// Service data by service.
    pub service_data: BTreeMap<String, Vec<u8>>,
}

impl Advert {
    pub(super) fn read(properties: &PropMap, client: String, path: String) -> Self {
        static ADDRESSES: AtomicU64 = AtomicU64::new(0);
        let number = ADDRESSES.fetch_add(1, Ordering::Relaxed);
        let text = |name| prop_cast::<String>(properties, name).cloned();
        let data: Option<&HashMap<String, Variant<Box<dyn RefArg>>>> =
            prop_cast(properties, "ServiceData");
        let services = prop_cast::<Vec<String>>(properties, "ServiceUUIDs").cloned();
        Self {
            client,
            path,
            address: format!("C0:FF:EE:00:{:02X}:{:02X}", number / 256, number % 256),
            kind: text("Type").unwrap_or_default(),
            services: services.unwrap_or_default(),
            service_data: data.map(read_data).unwrap_or_default(),
        }
    }
}

fn read_data(data: &HashMap<String, Variant<Box<dyn RefArg>>>) -> BTreeMap<String, Vec<u8>> {
    data.iter()
        .map(|(service, bytes)| {
            let bytes = bytes.0.as_iter().into_iter().flatten();
            let bytes = bytes.filter_map(|byte| u8::try_from(byte.as_u64()?).ok());
            (service.clone(), bytes.collect())
        })
        .collect()
}

impl Adapter {
    pub(super) fn new(name: &str, powered: bool) -> Self {
        Self {
            name: name.to_owned(),
            powered,
            adverts: Vec::new(),
            filters: BTreeMap::new(),
            scanners: BTreeSet::new(),
            devices: BTreeMap::new(),
        }
    }

    /// Returns the properties of both of its interfaces.
    pub(super) fn properties(&self) -> PropMap {
        let mut properties = PropMap::new();
        let mut add = |name: &str, value: Box<dyn RefArg>| {
            properties.insert(name.to_owned(), Variant(value));
        };
        add("Address", Box::new("00:00:00:00:00:01".to_owned()));
        add("AddressType", Box::new("public".to_owned()));
        add("Name", Box::new(self.name.clone()));
        add("Powered", Box::new(self.powered));
        add("Discovering", Box::new(!self.scanners.is_empty()));
        let active = u8::try_from(self.adverts.len()).unwrap_or(u8::MAX);
        add("ActiveInstances", Box::new(active));
        add("SupportedInstances", Box::new(4u8.saturating_sub(active)));
        properties
    }
}

/// Returns the properties of a device.
pub(super) fn device(adapter: &str, address: &str, data: &BTreeMap<String, Vec<u8>>) -> PropMap {
    let mut properties = PropMap::new();
    let mut add = |name: &str, value: Box<dyn RefArg>| {
        properties.insert(name.to_owned(), Variant(value));
    };
    add("Address", Box::new(address.to_owned()));
    add("AddressType", Box::new("random".to_owned()));
    add("Adapter", Box::new(Path::from(path(adapter))));
    add("RSSI", Box::new(-40i16));
    for flag in ["Paired", "Connected", "Trusted", "Blocked"] {
        add(flag, Box::new(false));
    }
    // BlueZ leaves out what it has not heard.
    if !data.is_empty() {
        let data: HashMap<String, Variant<Vec<u8>>> = data
            .iter()
            .map(|(service, bytes)| (service.clone(), Variant(bytes.clone())))
            .collect();
        add("ServiceData", Box::new(data));
    }
    properties
}

/// Returns an adapter's object path.
pub(super) fn path(adapter: &str) -> String {
    format!("{ROOT}{adapter}")
}

/// Returns a device's object path.
pub(super) fn device_path(adapter: &str, address: &str) -> String {
    format!("{ROOT}{adapter}/dev_{}", address.replace(':', "_"))
}

/// Reads an object path: the adapter's name and perhaps a device's address.
pub(super) fn parse(path: &str) -> Option<(String, Option<String>)> {
    let path = path.strip_prefix(ROOT)?;
    Some(match path.split_once("/dev_") {
        Some((adapter, address)) => (adapter.to_owned(), Some(address.replace('_', ":"))),
        None => (path.to_owned(), None),
    })
}

/// Returns the same once more: it cannot be cloned.
pub(super) fn copy(interfaces: &Interfaces) -> Interfaces {
    let properties = |properties: &PropMap| -> PropMap {
        properties
            .iter()
            .map(|(name, value)| (name.clone(), Variant(value.0.box_clone())))
            .collect()
    };
    interfaces
        .iter()
        .map(|(name, found)| (name.clone(), properties(found)))
        .collect()
}

impl Bluez {
    /// Returns what an adapter has. Its properties are not told apart by interface: no program here asks
    /// for all of one.
    pub(super) fn interfaces_of(&self, adapter: &str) -> Interfaces {
        let properties = || {
            self.adapters
                .get(adapter)
                .map(Adapter::properties)
                .unwrap_or_default()
        };
        ADAPTER_INTERFACES
            .iter()
            .map(|&interface| (interface.to_owned(), properties()))
            .collect()
    }

    /// Returns all objects.
    pub(super) fn objects(&self) -> HashMap<Path<'static>, Interfaces> {
        let mut objects = HashMap::new();
        for (name, adapter) in &self.adapters {
            objects.insert(Path::from(path(name)), self.interfaces_of(name));
            for (address, data) in &adapter.devices {
                let properties = device(name, address, data);
                let interfaces = [(DEVICE_INTERFACE.to_owned(), properties)];
                objects.insert(Path::from(device_path(name, address)), interfaces.into());
            }
        }
        objects
    }
}
