//! Both programs with BlueZ, or what a computer has in its place: a fake one on a bus of its own.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod doctor;
mod pulled;

use std::collections::BTreeMap;
use std::time::Duration;

use handfast_demo::stage::{Finished, Home, PATIENCE, Process, Program, Stage};
use handfast_tests::bluez::{Bluez, FIDO, Fake, Filter, GOOGLE};
use handfast_tests::{PASSPHRASE, PIN, finish, phone, stage, told, words};
use serde_json::Value;

const CREATE: &str = r#"{"challenge":"AAAAAAAAAAAAAAAAAAAAAA","rp":{"id":"example.org","name":"E"},
    "user":{"id":"AAAA","name":"a","displayName":"A"},"pubKeyCredParams":[{"type":"public-key","alg":-7}]}"#;

/// A computer and a phone, and the BlueZ that both use.
struct Room {
    stage: Stage,
    fake: Fake,
    computer: Home,
    phone: Home,
}

impl Room {
    fn new(fake: Fake) -> Self {
        let stage = stage();
        Self {
            computer: stage.home("computer", PASSPHRASE, PIN).unwrap(),
            phone: phone(&stage, "phone"),
            stage,
            fake,
        }
    }

    fn spawn(&self, program: Program, home: &Home, arguments: &[&str]) -> Process {
        let relay = match program {
            Program::Phone => self.stage.phone_relay().to_vec(),
            _ => self.stage.desktop_relay().to_vec(),
        };
        let options = relay.iter().map(String::as_str);
        let arguments: Vec<_> = arguments.iter().copied().chain(options).collect();
        let mut command = self.stage.command(program, home, &arguments);
        command.env("DBUS_SYSTEM_BUS_ADDRESS", self.fake.address());
        Process::spawn(program.name(), &mut command).unwrap()
    }

    /// Starts a command of the computer that needs no relay.
    fn spawn_alone(&self, arguments: &[&str]) -> Process {
        let mut command = self
            .stage
            .command(Program::Desktop, &self.computer, arguments);
        command
            .env("DBUS_SYSTEM_BUS_ADDRESS", self.fake.address())
            .env_remove("HANDFAST_PASSPHRASE_FILE");
        Process::spawn(Program::Desktop.name(), &mut command).unwrap()
    }

    /// A computer that listens, and its code.
    fn register(&self, more: &[&str]) -> (Process, String) {
        self.register_as("ana", more)
    }

    fn register_as(&self, user: &str, more: &[&str]) -> (Process, String) {
        let site = self.stage.site_url().to_owned();
        let mut arguments = vec!["register", &site, "--user", user];
        arguments.extend(["--qr-url", "--json", "-v"]);
        arguments.extend(more);
        let mut desktop = self.spawn(Program::Desktop, &self.computer, &arguments);
        let url = desktop.event("qr").unwrap()["url"]
            .as_str()
            .unwrap()
            .to_owned();
        (desktop, url)
    }

    fn scan(&self, url: &str, more: &[&str]) -> Process {
        let mut arguments = vec!["scan", url, "--approve", "always", "--json"];
        arguments.extend(more);
        self.spawn(Program::Phone, &self.phone, &arguments)
    }

    /// What `handfast create` says that gets no further than to the radio.
    fn create(&self, more: &[&str]) -> Finished {
        let mut arguments = vec!["create", "--origin", "https://example.org", "--qr-url"];
        arguments.extend(more);
        let mut command = self
            .stage
            .command(Program::Desktop, &self.computer, &arguments);
        command.env("DBUS_SYSTEM_BUS_ADDRESS", self.fake.address());
        finish(command, CREATE)
    }

    /// What the phone says that gets no further than to the radio.
    fn answer(&self, more: &[&str]) -> Finished {
        let mut arguments = words(&["run"]);
        arguments.extend(self.stage.phone_relay());
        arguments.extend(words(more));
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let mut command = self.stage.command(Program::Phone, &self.phone, &arguments);
        command.env("DBUS_SYSTEM_BUS_ADDRESS", self.fake.address());
        finish(command, "")
    }

    /// Both programs end for the same reason, before a code is shown or a pass phrase asked for.
    fn neither_begins(&self, word: &str) {
        let computer = self.create(&[]);
        told(&computer, 5, word);
        assert!(!computer.err.contains("FIDO:/"), "{}", computer.err);
        let phone = self.answer(&[]);
        told(&phone, 5, word);
        assert!(!phone.err.contains("Ready"), "{}", phone.err);
    }
}

fn ends_well(process: Process) -> Finished {
    let finished = process.finish(PATIENCE).unwrap();
    assert_eq!(finished.code, 0, "{finished:?}");
    finished
}

fn is_scanned(bluez: &Bluez) -> bool {
    bluez
        .adapters
        .values()
        .all(|found| !found.scanners.is_empty())
}

fn is_advertised(bluez: &Bluez) -> bool {
    bluez
        .adapters
        .values()
        .any(|found| !found.adverts.is_empty())
}

/// What the phone advertises.
fn advert(fake: &Fake) -> Vec<u8> {
    fake.wait_until("an advert", is_advertised);
    fake.with(|bluez| {
        let mut adverts = bluez.adapters.values().flat_map(|found| &found.adverts);
        adverts.next().unwrap().service_data[FIDO].clone()
    })
}

fn data(service: &str, bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    BTreeMap::from([(service.to_owned(), bytes.to_vec())])
}

#[test]
fn a_ceremony_asks_of_bluez_what_it_should_and_leaves_nothing_behind() {
    let Some(fake) = Fake::with_two_adapters() else {
        return;
    };
    let room = Room::new(fake);
    let (desktop, url) = room.register(&["--adapter", "hci0"]);
    room.fake.with(|bluez| {
        let filters: Vec<_> = bluez.adapters["hci0"].filters.values().cloned().collect();
        let wanted = Filter {
            transport: Some("le".to_owned()),
            duplicate_data: Some(true),
            uuids: Vec::new(),
        };
        assert_eq!(filters, [wanted]);
        // The adapter that was not named is left alone.
        assert!(bluez.adapters["hci1"].filters.is_empty());
        bluez.has_air = false;
    });
    let phone = room.scan(&url, &["--adapter", "hci1"]);
    room.fake.wait_until("an advert", is_advertised);
    room.fake.with(|bluez| {
        assert!(bluez.adapters["hci0"].adverts.is_empty());
        let [advert] = &bluez.adapters["hci1"].adverts[..] else {
            panic!("several adverts");
        };
        assert_eq!(advert.kind, "broadcast");
        assert_eq!(advert.services, [FIDO]);
        let data: Vec<_> = advert.service_data.iter().collect();
        assert!(matches!(&data[..], [(service, bytes)] if *service == FIDO && bytes.len() == 20));
        bluez.has_air = true;
    });
    ends_well(desktop);
    ends_well(phone);
    room.fake.wait_until("silence", |bluez| {
        let mut adapters = bluez.adapters.values();
        adapters.all(|found| found.scanners.is_empty() && found.adverts.is_empty())
    });
}

#[test]
fn where_bluetooth_makes_no_connections_the_relay_serves() {
    let Some(fake) = Fake::with_two_adapters() else {
        return;
    };
    let room = Room::new(fake);
    let (mut desktop, url) = room.register(&["--channel", "any"]);
    // A kernel without Bluetooth takes no connections; one with it never hears of that computer.
    let phone = room.scan(&url, &[]);
    assert_eq!(desktop.event("connected").unwrap()["channel"], "relay");
    ends_well(desktop);
    ends_well(phone);
}

#[test]
fn an_advert_counts_under_either_service_and_at_first_sight_or_later() {
    let Some(fake) = Fake::with_two_adapters() else {
        return;
    };
    let room = Room::new(fake);
    for (service, late) in [(FIDO, true), (FIDO, false), (GOOGLE, true), (GOOGLE, false)] {
        room.fake.with(|bluez| bluez.has_air = false);
        let user = format!("ana-{service}-{late}");
        let (desktop, url) = room.register_as(&user, &["--adapter", "hci0"]);
        let phone = room.scan(&url, &["--adapter", "hci1"]);
        let advert = advert(&room.fake);
        room.fake.with(move |bluez| {
            let address = "C0:00:00:00:00:01";
            if late {
                bluez.hear("hci0", address, &BTreeMap::new());
                bluez.hear(
                    "hci0",
                    address,
                    &data("0000180f-0000-1000-8000-00805f9b34fb", &[1]),
                );
            }
            bluez.hear("hci0", address, &data(service, &advert));
        });
        ends_well(desktop);
        ends_well(phone);
    }
}

#[test]
fn foreign_adverts_are_counted_by_reason_and_shown_to_nobody() {
    let Some(fake) = Fake::with_two_adapters() else {
        return;
    };
    let room = Room::new(fake);
    let (desktop, url) = room.register(&["--adapter", "hci0", "-v"]);
    room.fake.with(|bluez| {
        for (number, length) in [0, 19, 20, 21, 60].into_iter().enumerate() {
            let address = format!("C0:00:00:00:01:0{number}");
            for _ in 0..3 {
                bluez.hear("hci0", &address, &data(FIDO, &vec![0xab; length]));
            }
        }
        bluez.hear(
            "hci0",
            "C0:00:00:00:02:00",
            &data("0000180f-0000-1000-8000-00805f9b34fb", &[7; 20]),
        );
    });
    let phone = room.scan(&url, &["--adapter", "hci1"]);
    let finished = ends_well(desktop);
    ends_well(phone);
    let ignored: Vec<_> = finished
        .err
        .lines()
        .filter(|line| line.contains("adverts were ignored"))
        .collect();
    // Too short, and not for this code: each distinct advert once.
    assert_eq!(ignored.len(), 2, "{ignored:?}");
    assert!(
        ignored.iter().any(|line| line.contains("\"count\":2")),
        "{ignored:?}"
    );
    assert!(
        ignored.iter().any(|line| line.contains("\"count\":3")),
        "{ignored:?}"
    );
    for trace in ["abab", "171, 171", "C0:00:00", "C0_00_00"] {
        assert!(!finished.err.contains(trace), "{trace} in {}", finished.err);
    }
}

#[test]
fn all_adapters_that_are_on_listen_and_one_that_comes_later_does_too() {
    let Some(fake) = Fake::with_two_adapters() else {
        return;
    };
    let room = Room::new(fake);
    let (desktop, url) = room.register(&[]);
    room.fake.wait_until("two scans", is_scanned);
    room.fake.with(|bluez| bluez.plug_in("hci2", true));
    room.fake.wait_until("three scans", is_scanned);
    let phone = room.scan(&url, &[]);
    ends_well(desktop);
    ends_well(phone);
}

#[test]
fn bluetooth_that_is_off_is_switched_on_and_waited_for() {
    let Some(fake) = Fake::start() else {
        return;
    };
    fake.with(|bluez| {
        bluez.plug_in("hci0", false);
        bluez.plug_in("hci1", false);
        bluez.powering_takes = Duration::from_millis(700);
    });
    let room = Room::new(fake);
    let (desktop, url) = room.register(&["--adapter", "hci0"]);
    let phone = room.scan(&url, &["--adapter", "hci1"]);
    assert!(ends_well(desktop).err.contains("powering-on"));
    assert!(ends_well(phone).out.contains("powering-on"));
}

#[test]
fn a_phone_that_waits_for_codes_looks_at_bluetooth_before_each() {
    let Some(fake) = Fake::with_two_adapters() else {
        return;
    };
    let room = Room::new(fake);
    let run = ["run", "--approve", "always", "--json", "--adapter", "hci1"];
    let mut phone = room.spawn(Program::Phone, &room.phone, &run);
    phone.event("ready").unwrap();
    let (desktop, url) = room.register(&["--adapter", "hci0"]);
    room.fake.with(|bluez| bluez.set_powered("hci1", false));
    phone.say(&url).unwrap();
    phone.event("powering-on").unwrap();
    ends_well(desktop);
    phone.event("done").unwrap();
    // One that stays off is told, and the next code is waited for.
    room.fake.with(|bluez| {
        bluez.set_powered("hci1", false);
        bluez.refuses_power = Some("org.bluez.Error.Blocked");
    });
    let (_desktop, url) = room.register_as("ben", &["--adapter", "hci0"]);
    phone.say(&url).unwrap();
    phone.event("error").unwrap();
    phone.close_input();
    ends_well(phone);
}

#[test]
fn bluetooth_that_cannot_be_switched_on_is_told_on_both_sides() {
    let Some(fake) = Fake::start() else {
        return;
    };
    fake.with(|bluez| bluez.plug_in("hci0", false));
    let room = Room::new(fake);
    for (error, word) in [
        ("org.bluez.Error.Blocked", "rfkill"),
        ("org.freedesktop.DBus.Error.AccessDenied", "let you in"),
        ("org.bluez.Error.Failed", "does not work"),
    ] {
        room.fake
            .with(move |bluez| bluez.refuses_power = Some(error));
        room.neither_begins(word);
    }
}

#[test]
fn without_adapter_service_permission_or_bus_both_sides_say_what_is_missing() {
    let Some(fake) = Fake::start() else {
        return;
    };
    let mut room = Room::new(fake);
    room.neither_begins("no Bluetooth adapter");
    room.fake.with(|bluez| bluez.plug_in("hci0", true));
    told(&room.create(&["--adapter", "hci7"]), 5, "there is hci0");
    told(&room.answer(&["--adapter", "hci7"]), 5, "there is hci0");
    told(&room.create(&["--adapter", "../hci0"]), 2, "hci1");
    room.fake.with(|bluez| bluez.denies = true);
    room.neither_begins("let you in");
    room.fake.with(Bluez::vanish);
    room.neither_begins("not running");
    if let Some(none) = Fake::start() {
        room.fake = none;
    }
    room.fake.with(Bluez::vanish);
    room.neither_begins("not running");
}

#[test]
fn a_service_that_hangs_is_not_waited_for_for_ever() {
    let Some(fake) = Fake::with_two_adapters() else {
        return;
    };
    let room = Room::new(fake);
    room.fake.with(|bluez| bluez.hangs = true);
    told(&room.create(&[]), 5, "does not answer");
}

#[test]
fn an_adapter_that_cannot_advertise_is_told() {
    let Some(fake) = Fake::with_two_adapters() else {
        return;
    };
    let room = Room::new(fake);
    let (_desktop, url) = room.register(&["--adapter", "hci0"]);
    for error in [
        "org.bluez.Error.NotPermitted",
        "org.bluez.Error.InvalidLength",
    ] {
        room.fake
            .with(move |bluez| bluez.refuses_adverts = Some(error));
        let phone = room.scan(&url, &["--adapter", "hci1"]);
        let ended = phone.finish(PATIENCE).unwrap();
        assert_eq!(ended.code, 5, "{ended:?}");
        assert!(ended.out.contains("cannot send an advert"), "{}", ended.out);
    }
}
