//! The fake's connection with its bus, and what it answers.

use std::collections::HashMap;
use std::ffi::CString;
use std::time::{Duration, Instant};

use dbus::arg::{PropMap, RefArg, Variant};
use dbus::channel::Channel;
use dbus::message::MessageType;
use dbus::strings::{ErrorName, Path};
use dbus::{Message, arg};

use super::objects::{self, Advert, Interfaces};
use super::{Bluez, Filter};

const NAME: &str = "org.bluez";
const MANAGER: &str = "org.freedesktop.DBus.ObjectManager";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
/// How long a call is waited for before orders and time have their turn.
const TURN: Duration = Duration::from_millis(5);

/// A connection.
pub(super) struct Bus {
    channel: Channel,
    /// Adverts whose content was asked for, by the serial number of that question.
    asked: HashMap<u32, Asked>,
}

/// An advert that a program registers.
struct Asked {
    answer: Message,
    adapter: String,
    client: String,
    path: String,
}

/// What a call gets: its answer, an error's name and words, or an answer later.
enum Reply {
    Answer(Message),
    Error(&'static str, &'static str),
    Later,
}

impl Bus {
    pub(super) fn connect(address: &str) -> Self {
        let mut channel = Channel::open_private(address).unwrap();
        channel.register().unwrap();
        let bus = Self {
            channel,
            asked: HashMap::new(),
        };
        let rule = "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged'";
        bus.daemon("AddMatch", (rule,));
        bus.request_name();
        bus
    }

    fn daemon(&self, method: &str, arguments: impl arg::AppendAll) {
        let path = "/org/freedesktop/DBus";
        let name = "org.freedesktop.DBus";
        let call = Message::call_with_args(name, path, name, method, arguments);
        let patience = Duration::from_secs(10);
        self.channel
            .send_with_reply_and_block(call, patience)
            .unwrap();
    }

    pub(super) fn request_name(&self) {
        self.daemon("RequestName", (NAME, 0u32));
    }

    pub(super) fn release_name(&self) {
        self.daemon("ReleaseName", (NAME,));
    }

    fn send(&self, message: Message) {
        // A program that left does not hear it.
        let _ = self.channel.send(message);
    }

    pub(super) fn added(&self, path: &str, interfaces: &Interfaces) {
        let signal = Message::new_signal("/", MANAGER, "InterfacesAdded").unwrap();
        self.send(signal.append2(Path::from(path.to_owned()), objects::copy(interfaces)));
    }

    pub(super) fn removed(&self, path: &str, interfaces: &[&str]) {
        let signal = Message::new_signal("/", MANAGER, "InterfacesRemoved").unwrap();
        self.send(signal.append2(Path::from(path.to_owned()), interfaces));
    }

    pub(super) fn changed(&self, path: &str, interface: &str, changed: PropMap) {
        let signal = Message::new_signal(path, PROPERTIES, "PropertiesChanged").unwrap();
        let invalidated: &[&str] = &[];
        self.send(signal.append3(interface, changed, invalidated));
    }
}

impl Bluez {
    /// Answers what came.
    pub(super) fn serve(&mut self) {
        self.bus.channel.read_write(Some(TURN)).unwrap();
        while let Some(message) = self.bus.channel.pop_message() {
            match message.msg_type() {
                MessageType::MethodCall if self.hangs => {}
                MessageType::MethodCall => self.answer(&message),
                MessageType::Signal => self.left(&message),
                _ => self.registered(&message),
            }
        }
    }

    fn answer(&mut self, call: &Message) {
        let reply = match self.denies {
            true => Reply::Error("org.freedesktop.DBus.Error.AccessDenied", "denied"),
            false => self.reply(call),
        };
        match reply {
            Reply::Answer(answer) => self.bus.send(answer),
            Reply::Error(name, words) => {
                let words = CString::new(words).unwrap();
                self.bus.send(call.error(&ErrorName::from(name), &words));
            }
            Reply::Later => {}
        }
    }

    fn reply(&mut self, call: &Message) -> Reply {
        let text = |part: Option<String>| part.unwrap_or_default();
        let path = text(call.path().map(|path| path.to_string()));
        let client = text(call.sender().map(|name| name.to_string()));
        let member = text(call.member().map(|member| member.to_string()));
        if member == "GetManagedObjects" {
            return Reply::Answer(call.return_with_args((self.objects(),)));
        }
        let Some((adapter, device)) = objects::parse(&path) else {
            return Reply::Error("org.freedesktop.DBus.Error.UnknownObject", "no such object");
        };
        if !self.adapters.contains_key(&adapter) {
            return Reply::Error(
                "org.freedesktop.DBus.Error.UnknownObject",
                "no such adapter",
            );
        }
        match member.as_str() {
            "Get" => self.get(call, &adapter, device.as_deref()),
            "Set" => self.set(call, &adapter),
            "SetDiscoveryFilter" => self.filter(call, &adapter, client),
            "StartDiscovery" => self.start_discovery(call, &adapter, client),
            "StopDiscovery" => self.stop_discovery(call, &adapter, &client),
            "RegisterAdvertisement" => self.register(call, adapter, client),
            "UnregisterAdvertisement" => self.unregister(call, &adapter, &client),
            _ => Reply::Error("org.freedesktop.DBus.Error.UnknownMethod", "no such method"),
        }
    }

    fn get(&self, call: &Message, adapter: &str, device: Option<&str>) -> Reply {
        let (_, name) = call.get2::<&str, &str>();
        let properties = match device {
            None => self.adapters[adapter].properties(),
            Some(address) => match self.adapters[adapter].devices.get(address) {
                Some(data) => objects::device(adapter, address, data),
                None => {
                    return Reply::Error(
                        "org.freedesktop.DBus.Error.UnknownObject",
                        "no such device",
                    );
                }
            },
        };
        match properties.get(name.unwrap_or_default()) {
            Some(value) => Reply::Answer(call.return_with_args((Variant(value.0.box_clone()),))),
            None => Reply::Error("org.freedesktop.DBus.Error.InvalidArgs", "no such property"),
        }
    }

    fn set(&mut self, call: &Message, adapter: &str) -> Reply {
        let (_, name, value) = call.get3::<&str, &str, Variant<bool>>();
        let (Some("Powered"), Some(Variant(powered))) = (name, value) else {
            return Reply::Error("org.freedesktop.DBus.Error.InvalidArgs", "no such property");
        };
        if let (Some(error), true) = (self.refuses_power, powered) {
            return Reply::Error(error, "refused");
        }
        match powered {
            true => {
                let when = Instant::now() + self.powering_takes;
                self.powering.push((when, adapter.to_owned()));
            }
            false => self.set_powered(adapter, false),
        }
        Reply::Answer(call.method_return())
    }

    fn filter(&mut self, call: &Message, adapter: &str, client: String) -> Reply {
        let given: PropMap = call.get1().unwrap_or_default();
        let filter = Filter {
            transport: arg::prop_cast::<String>(&given, "Transport").cloned(),
            duplicate_data: arg::prop_cast::<bool>(&given, "DuplicateData").copied(),
            uuids: arg::prop_cast::<Vec<String>>(&given, "UUIDs")
                .cloned()
                .unwrap_or_default(),
        };
        if let Some(adapter) = self.adapters.get_mut(adapter) {
            adapter.filters.insert(client, filter);
        }
        Reply::Answer(call.method_return())
    }

    fn start_discovery(&mut self, call: &Message, name: &str, client: String) -> Reply {
        let Some(adapter) = self.adapters.get_mut(name) else {
            return Reply::Error("org.bluez.Error.Failed", "no adapter");
        };
        if !adapter.powered {
            return Reply::Error("org.bluez.Error.NotReady", "Resource Not Ready");
        }
        if !adapter.scanners.insert(client) {
            return Reply::Error(
                "org.bluez.Error.InProgress",
                "Operation already in progress",
            );
        }
        self.changed(name, "Discovering");
        Reply::Answer(call.method_return())
    }

    fn stop_discovery(&mut self, call: &Message, name: &str, client: &str) -> Reply {
        let stopped = self
            .adapters
            .get_mut(name)
            .is_some_and(|adapter| adapter.scanners.remove(client));
        match stopped {
            true => {
                self.changed(name, "Discovering");
                Reply::Answer(call.method_return())
            }
            false => Reply::Error("org.bluez.Error.Failed", "No discovery started"),
        }
    }

    fn register(&mut self, call: &Message, adapter: String, client: String) -> Reply {
        if let Some(error) = self.refuses_adverts {
            return Reply::Error(error, "refused");
        }
        let path = call.get1::<Path<'_>>().unwrap_or_default().to_string();
        let (of, member) = ("org.bluez.LEAdvertisement1", "GetAll");
        let question =
            Message::call_with_args(client.clone(), path.clone(), PROPERTIES, member, (of,));
        if let Ok(serial) = self.bus.channel.send(question) {
            let asked = Asked {
                answer: call.method_return(),
                adapter,
                client,
                path,
            };
            self.bus.asked.insert(serial, asked);
        }
        Reply::Later
    }

    /// A program told what it advertises.
    fn registered(&mut self, answer: &Message) {
        let serial = answer.get_reply_serial().unwrap_or_default();
        let Some(asked) = self.bus.asked.remove(&serial) else {
            return;
        };
        let properties: PropMap = answer.get1().unwrap_or_default();
        let advert = Advert::read(&properties, asked.client, asked.path);
        if let Some(adapter) = self.adapters.get_mut(&asked.adapter) {
            adapter.adverts.push(advert);
        }
        self.bus.send(asked.answer);
    }

    fn unregister(&mut self, call: &Message, adapter: &str, client: &str) -> Reply {
        let path = call.get1::<Path<'_>>().unwrap_or_default().to_string();
        let Some(adapter) = self.adapters.get_mut(adapter) else {
            return Reply::Error("org.bluez.Error.Failed", "no adapter");
        };
        let before = adapter.adverts.len();
        adapter
            .adverts
            .retain(|advert| advert.client != client || advert.path != path);
        match adapter.adverts.len() < before {
            true => Reply::Answer(call.method_return()),
            false => Reply::Error("org.bluez.Error.DoesNotExist", "Does Not Exist"),
        }
    }

    /// What a program asked for ends with the program.
    fn left(&mut self, signal: &Message) {
        let (client, _, owner) = signal.get3::<&str, &str, &str>();
        let is_name_signal = signal
            .member()
            .is_some_and(|member| &*member == "NameOwnerChanged");
        let (true, Some(client), Some("")) = (is_name_signal, client, owner) else {
            return;
        };
        let names: Vec<_> = self.adapters.keys().cloned().collect();
        for name in names {
            let Some(adapter) = self.adapters.get_mut(&name) else {
                continue;
            };
            adapter.adverts.retain(|advert| advert.client != client);
            if adapter.scanners.remove(client) {
                self.changed(&name, "Discovering");
            }
        }
    }
}
