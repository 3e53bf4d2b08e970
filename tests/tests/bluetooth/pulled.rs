//! Bluetooth that is pulled away in the middle.

use super::*;

/// What may be pulled away: how, how it is mended, and what is said in between.
type Pull = (fn(&mut Bluez), fn(&mut Bluez), &'static str);

const PULLS: [Pull; 4] = [
    (Bluez::vanish, Bluez::come_back, "not running"),
    (
        |bluez| bluez.denies = true,
        |bluez| bluez.denies = false,
        "let you in",
    ),
    (
        |bluez| {
            bluez.set_powered("hci0", false);
            bluez.set_powered("hci1", false);
        },
        |bluez| {
            bluez.set_powered("hci0", true);
            bluez.set_powered("hci1", true);
        },
        "off",
    ),
    (
        |bluez| {
            bluez.pull_out("hci0");
            bluez.pull_out("hci1");
        },
        |bluez| {
            bluez.plug_in("hci0", true);
            bluez.plug_in("hci1", true);
        },
        "no Bluetooth adapter",
    ),
];

/// Pulls each of them away, and waits until the program has noticed, and noticed that it is back.
fn pull_all(fake: &Fake, process: &mut Process) {
    for (pull, mend, words) in PULLS {
        fake.with(pull);
        let lost = process.event("radio-lost").unwrap();
        assert!(lost["reason"].as_str().unwrap().contains(words), "{lost}");
        fake.with(mend);
        process.event("radio-back").unwrap();
    }
}

#[test]
fn whatever_is_pulled_away_in_the_middle_is_named_and_waited_for_on_both_sides() {
    let Some(fake) = Fake::with_two_adapters() else {
        return;
    };
    let room = Room::new(fake);
    let (mut desktop, url) = room.register(&["--adapter", "hci0"]);
    pull_all(&room.fake, &mut desktop);
    room.fake.with(|bluez| bluez.has_air = false);
    let mut phone = room.scan(&url, &["--adapter", "hci1"]);
    phone.event("advertising").unwrap();
    pull_all(&room.fake, &mut phone);
    room.fake.with(|bluez| bluez.has_air = true);
    ends_well(desktop);
    ends_well(phone);
}

#[test]
fn the_service_may_die_and_come_back_at_once_without_a_word() {
    let Some(fake) = Fake::with_two_adapters() else {
        return;
    };
    let room = Room::new(fake);
    let (desktop, url) = room.register(&["--adapter", "hci0"]);
    room.fake.with(|bluez| {
        bluez.has_air = false;
        bluez.vanish();
        bluez.come_back();
    });
    let phone = room.scan(&url, &["--adapter", "hci1"]);
    room.fake.wait_until("an advert", is_advertised);
    // Now it forgets what both had asked for.
    room.fake.with(|bluez| {
        bluez.vanish();
        bluez.come_back();
    });
    room.fake.wait_until("the advert again", is_advertised);
    room.fake.with(|bluez| bluez.has_air = true);
    ends_well(desktop);
    ends_well(phone);
}

#[test]
fn an_adapter_that_is_pulled_out_for_good_is_the_reason_on_both_sides() {
    let Some(fake) = Fake::with_two_adapters() else {
        return;
    };
    let room = Room::new(fake);
    room.fake.with(|bluez| bluez.has_air = false);
    let (mut desktop, url) = room.register(&["--adapter", "hci0", "--timeout", "8"]);
    let mut phone = room.scan(&url, &["--adapter", "hci1", "--timeout", "6"]);
    phone.event("advertising").unwrap();
    room.fake.with(|bluez| {
        bluez.pull_out("hci0");
        bluez.set_powered("hci1", false);
    });
    desktop.event("radio-lost").unwrap();
    phone.event("radio-lost").unwrap();
    let (desktop, phone) = (
        desktop.finish(PATIENCE).unwrap(),
        phone.finish(PATIENCE).unwrap(),
    );
    assert_eq!((desktop.code, phone.code), (5, 5), "{desktop:?} {phone:?}");
    assert!(
        desktop.err.contains("no Bluetooth adapter hci0"),
        "{}",
        desktop.err
    );
    assert!(phone.out.contains("Bluetooth is off"), "{}", phone.out);
}

#[test]
fn an_advert_ends_with_the_phone_even_if_that_is_killed() {
    let Some(fake) = Fake::with_two_adapters() else {
        return;
    };
    let room = Room::new(fake);
    room.fake.with(|bluez| bluez.has_air = false);
    let (_desktop, url) = room.register(&["--adapter", "hci0"]);
    let mut phone = room.scan(&url, &["--adapter", "hci1"]);
    room.fake.wait_until("an advert", is_advertised);
    phone.kill();
    room.fake
        .wait_until("no advert", |bluez| !is_advertised(bluez));
}
