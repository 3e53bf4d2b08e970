//! Ceremonies that go by Bluetooth itself, over the simulated radio's connections: without a relay, and
//! with one to fall back on.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use handfast_demo::stage::{DOMAIN, Finished, Home, PATIENCE, Process, Program, Stage};
use handfast_proto::Now;
use handfast_proto::hybrid::qr::ScannedInvitation;
use handfast_proto::hybrid::tunnel::{RoutingId, TunnelDomain};
use handfast_proto::hybrid::{
    DataChannels, PhoneAction, PhoneCeremony, PhoneConfig, PhoneLimits, Psm,
};
use handfast_tests::{PASSPHRASE, PIN, phone, run, stage, told, words};
use rand_core::OsRng;

fn radio(stage: &Stage) -> String {
    format!("simulated={}", stage.air("here").display())
}

/// A computer that shows a code, and the code. It knows the relay if it is to.
fn desktop(
    stage: &Stage,
    home: &Home,
    command: &[&str],
    channel: &str,
    relay: &[String],
) -> (Process, String) {
    let radio = radio(stage);
    let options = [
        "--qr-url",
        "--json",
        "--radio",
        &radio,
        "--channel",
        channel,
    ];
    let relay = relay.iter().map(String::as_str);
    let arguments: Vec<&str> = command
        .iter()
        .copied()
        .chain(options)
        .chain(relay)
        .collect();
    let mut desktop = stage.spawn(Program::Desktop, home, &arguments).unwrap();
    let url = desktop.event("qr").unwrap()["url"]
        .as_str()
        .unwrap()
        .to_owned();
    (desktop, url)
}

fn register(stage: &Stage, home: &Home, channel: &str, relay: &[String]) -> (Process, String) {
    static USERS: AtomicU32 = AtomicU32::new(0);
    let site = stage.site_url().to_owned();
    let user = format!("user-{}", USERS.fetch_add(1, Ordering::Relaxed));
    let command = ["register", &site, "--user", &user];
    desktop(stage, home, &command, channel, relay)
}

fn scan(stage: &Stage, home: &Home, url: &str, options: &[&str]) -> Process {
    let radio = radio(stage);
    let scan = ["scan", url, "--approve", "always", "--json"];
    let arguments = [&scan, &["--radio", &radio][..], options].concat();
    stage.spawn(Program::Phone, home, &arguments).unwrap()
}

fn ends_well(mut process: Process, channel: &str) -> Finished {
    assert_eq!(process.event("connected").unwrap()["channel"], channel);
    let finished = process.finish(PATIENCE).unwrap();
    assert_eq!(finished.code, 0, "{finished:?}");
    finished
}

#[test]
fn a_passkey_is_made_and_used_without_any_relay() {
    let stage = stage();
    let (phone, home) = (
        phone(&stage, "phone"),
        stage.home("desktop", PASSPHRASE, PIN).unwrap(),
    );
    let site = stage.site_url().to_owned();
    for (command, word) in [
        (&["register", &site, "--user", "ble"][..], "new-group"),
        (&["sign-in", &site, "--user", "ble"][..], "known"),
    ] {
        let (desktop, url) = desktop(&stage, &home, command, "ble", &[]);
        let scanned = scan(&stage, &phone, &url, &["--channel", "ble"]);
        let finished = ends_well(desktop, "ble");
        assert!(finished.out.contains(word), "{}", finished.out);
        ends_well(scanned, "ble");
    }
    let left: Vec<_> = fs::read_dir(stage.air("here")).unwrap().collect();
    assert!(left.is_empty(), "nothing stays on the air: {left:?}");
}

#[test]
fn both_take_bluetooth_if_both_have_it_and_the_relay_else() {
    let stage = stage();
    let phone = phone(&stage, "phone");
    let home = stage.home("desktop", PASSPHRASE, PIN).unwrap();
    let relay = words(&stage.phone_relay().each_ref().map(String::as_str));
    let mut options: Vec<&str> = relay.iter().map(String::as_str).collect();
    for (computer, phones, channel) in [
        ("any", "any", "ble"),
        ("any", "relay", "relay"),
        ("relay", "any", "relay"),
    ] {
        let (desktop, url) = register(&stage, &home, computer, &stage.desktop_relay());
        options.extend(["--channel", phones]);
        let scanned = scan(&stage, &phone, &url, &options);
        ends_well(desktop, channel);
        ends_well(scanned, channel);
        options.truncate(options.len() - 2);
    }
}

#[test]
fn a_phone_whose_relay_is_down_goes_on_by_bluetooth_and_says_so() {
    let stage = stage();
    let phone = phone(&stage, "phone");
    let home = stage.home("desktop", PASSPHRASE, PIN).unwrap();
    let (desktop, url) = register(&stage, &home, "any", &stage.desktop_relay());
    let down = ["--relay", "wss://localhost:9", "--tunnel-domain", "300"];
    let mut scanned = scan(&stage, &phone, &url, &down);
    let without = scanned.event("without").unwrap();
    assert_eq!(without["channel"], "relay");
    let reason = without["reason"].as_str().unwrap();
    assert!(reason.contains("wss://localhost:9"), "{reason}");
    ends_well(scanned, "ble");
    ends_well(desktop, "ble");
}

#[test]
fn a_link_by_bluetooth_is_a_link() {
    let stage = stage();
    let phone = phone(&stage, "phone");
    let home = stage.home("desktop", PASSPHRASE, PIN).unwrap();
    handfast_demo::copier::copy_folder(&phone.vault(), &home.vault()).unwrap();
    let joined = run(
        &stage,
        Program::Desktop,
        &home,
        &words(&["vault", "join"]),
        "",
    );
    assert_eq!(joined.code, 0, "{joined:?}");
    let (mut desktop, url) = desktop(&stage, &home, &["link"], "ble", &[]);
    let scanned = scan(&stage, &phone, &url, &["--channel", "ble"]);
    desktop.event("confirm-code").unwrap();
    desktop.say("y").unwrap();
    let linked = desktop.finish(PATIENCE).unwrap();
    assert_eq!(linked.code, 0, "{linked:?}");
    // The radio was simulated, whatever went over it.
    assert!(linked.out.contains("simulated"), "{}", linked.out);
    ends_well(scanned, "ble");
}

#[test]
fn a_phone_that_dies_in_the_middle_of_a_connection_is_noticed() {
    let stage = stage();
    let phone = phone(&stage, "phone");
    let home = stage.home("desktop", PASSPHRASE, PIN).unwrap();
    let (mut desktop, url) = register(&stage, &home, "ble", &[]);
    let radio = radio(&stage);
    // It asks a person, who does not come.
    let ask = [
        "scan",
        &url,
        "--json",
        "--radio",
        &radio,
        "--channel",
        "ble",
    ];
    let scanned = stage.spawn(Program::Phone, &phone, &ask).unwrap();
    desktop.event("waiting-for-approval").unwrap();
    drop(scanned);
    told(&desktop.finish(PATIENCE).unwrap(), 1, "left");
}

#[test]
fn ways_that_do_not_fit_are_told() {
    let stage = stage();
    let phone = phone(&stage, "phone");
    let home = stage.home("desktop", PASSPHRASE, PIN).unwrap();
    let (_desktop, url) = register(&stage, &home, "relay", &stage.desktop_relay());
    for (options, code, words) in [
        (&["--channel", "ble"][..], 1, "no way to talk"),
        (&[], 2, "there is no relay"),
    ] {
        let finished = scan(&stage, &phone, &url, options)
            .finish(PATIENCE)
            .unwrap();
        assert_eq!(finished.code, code, "{finished:?}");
        let told = finished.out.to_lowercase();
        assert!(told.contains(words) && told.contains("--channel"), "{told}");
    }
    let scanned = scan(&stage, &phone, &url, &["--channel", "post"]);
    let finished = scanned.finish(PATIENCE).unwrap();
    assert_eq!(finished.code, 2);
    assert!(
        finished.err.contains("relay, ble or any"),
        "{}",
        finished.err
    );
}

/// What a phone does that is not what it claims to be.
enum Ghost {
    /// Takes no connections where it says that it does.
    Absent,
    /// Takes one and closes it.
    Closing,
    /// Takes one and sends this.
    Talking(Vec<u8>),
}

/// Answers a code in the name of a phone that is in no tunnel, and haunts a place of the air.
fn haunt(stage: &Stage, url: &str, number: u16, ghost: Ghost) {
    let air: PathBuf = stage.air("here");
    let now = Now {
        monotonic: PATIENCE,
        unix: 0,
    };
    let config = PhoneConfig {
        domain: TunnelDomain(DOMAIN),
        channels: DataChannels::Both,
        get_info: Vec::new(),
        limits: PhoneLimits::default(),
    };
    let invitation = ScannedInvitation::parse(url).unwrap();
    let mut phone = PhoneCeremony::start(config, invitation, now).unwrap();
    phone.handle_tunnel_opened(RoutingId([1; 3]), &mut OsRng, now);
    phone.handle_ble_listening(Psm::new(number).unwrap(), &mut OsRng, now);
    let advert = loop {
        match phone.poll_action() {
            Some(PhoneAction::Advertise(advert)) => break advert,
            Some(_) => {}
            None => panic!("a phone with both ways, or the one that the code offers, advertises"),
        }
    };
    let listener = UnixListener::bind(air.join(format!("{number:04x}.psm"))).unwrap();
    let advert = handfast_proto::hybrid::advert::Advertisement {
        psm: Psm::new(number),
        ..advert
    };
    fs::write(air.join("ghost.tmp"), advert.service_data()).unwrap();
    fs::rename(
        air.join("ghost.tmp"),
        air.join(format!("ghost-{number}.advert")),
    )
    .unwrap();
    match ghost {
        Ghost::Absent => drop(listener),
        Ghost::Closing => drop(listener.accept().unwrap()),
        Ghost::Talking(bytes) => {
            let (mut stream, _) = listener.accept().unwrap();
            let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
            stream.write_all(&length).unwrap();
            stream.write_all(&bytes).unwrap();
            // Message 1, and the end.
            let _ = stream.read_to_end(&mut Vec::new());
        }
    }
}

#[test]
fn a_phone_that_does_not_answer_by_bluetooth_is_sought_at_the_relay() {
    let stage = stage();
    let home = stage.home("desktop", PASSPHRASE, PIN).unwrap();
    let ghosts = || {
        [
            Ghost::Absent,
            Ghost::Closing,
            Ghost::Talking(vec![4; 81]),
            Ghost::Talking(vec![4; 4000]),
        ]
    };
    for (number, ghost) in (0x90..).zip(ghosts()) {
        let (mut desktop, url) = register(&stage, &home, "any", &stage.desktop_relay());
        haunt(&stage, &url, number, ghost);
        desktop.event("relay-instead").unwrap();
        // The relay was asked, and knows no such tunnel.
        told(&desktop.finish(PATIENCE).unwrap(), 6, "404");
    }
    for (number, ghost) in (0xa0..).zip(ghosts()) {
        let (desktop, url) = register(&stage, &home, "ble", &[]);
        haunt(&stage, &url, number, ghost);
        let finished = desktop.finish(PATIENCE).unwrap();
        assert!([1, 5].contains(&finished.code), "{finished:?}");
        assert!(!finished.err.contains("relay-instead"));
    }
}
