//! What goes wrong between the code and the phone.

use std::fs;
use std::path::Path;

use handfast_demo::stage::{DOMAIN, PATIENCE};
use handfast_proto::Now;
use handfast_proto::hybrid::qr::ScannedInvitation;
use handfast_proto::hybrid::tunnel::{RoutingId, TunnelDomain, TunnelId};
use handfast_proto::hybrid::{DataChannels, PhoneAction, PhoneCeremony, PhoneConfig, PhoneLimits};
use rand_core::OsRng;

use super::*;

const ROUTING: RoutingId = RoutingId([0xc5, 0xf1, 0x7e]);

/// A phone that scanned the code and claims to be in a tunnel, which no relay knows of.
fn advertise(url: &str, air: &Path) -> TunnelId {
    let now = Now {
        monotonic: PATIENCE,
        unix: 0,
    };
    let config = PhoneConfig {
        domain: TunnelDomain(DOMAIN),
        channels: DataChannels::WebSocket,
        get_info: Vec::new(),
        limits: PhoneLimits::default(),
    };
    let invitation = ScannedInvitation::parse(url).unwrap();
    let mut phone = PhoneCeremony::start(config, invitation, now).unwrap();
    let Some(PhoneAction::OpenTunnel { tunnel, .. }) = phone.poll_action() else {
        panic!("a phone opens a tunnel first");
    };
    phone.handle_tunnel_opened(ROUTING, &mut OsRng, now);
    let Some(PhoneAction::Advertise(advert)) = phone.poll_action() else {
        panic!("a phone in a tunnel advertises");
    };
    fs::write(air.join("ghost.tmp"), advert.service_data()).unwrap();
    fs::rename(air.join("ghost.tmp"), air.join("ghost.advert")).unwrap();
    tunnel
}

/// Shows a code with these options, lets a ghost answer it, and returns how that ended, the code, and
/// the tunnel that was looked for.
fn haunted(stage: &Stage, name: &str, options: &[&str]) -> (Finished, String, TunnelId) {
    let home = stage.home(name, PASSPHRASE, PIN).unwrap();
    let air = stage.air(name);
    let radio = format!("simulated={}", air.display());
    let arguments = ["get", "--origin", ORIGIN, "--qr-url", "--radio", &radio];
    let arguments = [&arguments, options].concat();
    let mut desktop = stage.spawn(Program::Desktop, &home, &arguments).unwrap();
    desktop.say(GET).unwrap();
    desktop.close_input();
    let url = desktop
        .line("the code", PATIENCE, |line| {
            line.text.starts_with("FIDO:/").then(|| line.text.clone())
        })
        .unwrap();
    let tunnel = advertise(&url, &air);
    (desktop.finish(PATIENCE).unwrap(), url, tunnel)
}

#[test]
fn a_relay_that_is_down_or_not_trusted_or_does_not_know_the_phone_is_told() {
    let stage = stage();
    let ca = stage.certificates().authority().display().to_string();
    let real = format!("{DOMAIN}={}", stage.relay_url());
    let down = format!("{DOMAIN}=wss://localhost:9");
    let (finished, ..) = haunted(&stage, "down", &["--relay-map", &down, "--ca-file", &ca]);
    told(&finished, 6, "cannot be reached");
    assert!(finished.err.contains("--relay-map"), "{}", finished.err);
    let (finished, ..) = haunted(&stage, "foreign", &["--relay-map", &real]);
    told(&finished, 6, "certificate");
    assert!(finished.err.contains("--ca-file"));
    let options = ["--relay-map", &real, "--ca-file", &ca];
    let (finished, ..) = haunted(&stage, "gone", &options);
    told(&finished, 6, "404");
    assert!(finished.err.contains("given up"));
}

#[test]
fn a_log_names_no_tunnel_that_anybody_else_could_look_for() {
    let stage = stage();
    let ca = stage.certificates().authority().display().to_string();
    let real = format!("{DOMAIN}={}", stage.relay_url());
    let options = ["--relay-map", &real, "--ca-file", &ca, "-vv"];
    let (finished, url, tunnel) = haunted(&stage, "gone", &options);
    assert_eq!(finished.code, 6, "{}", finished.err);
    assert!(finished.err.contains("opening a tunnel"));
    let said = finished.err.replace(&url, "").to_uppercase();
    assert!(!said.contains(&tunnel.to_hex()), "{said}");
    assert!(!said.contains(&ROUTING.to_hex()), "{said}");
    assert!(!said.contains("/CABLE/"), "{said}");
}

#[test]
fn what_fails_without_a_phone_fails_before_a_code_is_shown() {
    let stage = stage();
    let folder = stage.folder().display().to_string();
    let (garbage, no_air) = (format!("{folder}/garbage.pem"), format!("{folder}/file"));
    fs::write(&no_air, "").unwrap();
    fs::write(
        &garbage,
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    let (missing, unwritable) = (
        format!("{folder}/none.pem"),
        format!("{folder}/none/qr.png"),
    );
    let air = format!("simulated={}", stage.air("here").display());
    let no_air = format!("simulated={no_air}");
    let cases: [(&[&str], i32, &str); 8] = [
        (&[], 5, "Bluetooth"),
        (&["--radio", "bluez"], 5, "Bluetooth"),
        (&["--radio", "infrared"], 2, "infrared"),
        (&["--radio", &no_air], 5, "simulated air"),
        (&["--radio", &air, "--ca-file", &missing], 2, "none.pem"),
        (
            &["--radio", &air, "--ca-file", "/dev/null"],
            2,
            "no certificate",
        ),
        (&["--radio", &air, "--ca-file", &garbage], 2, "garbage.pem"),
        (&["--radio", &air, "--relay-map", "300"], 2, "N=URL"),
    ];
    let nobody = stage.home("nobody", PASSPHRASE, PIN).unwrap();
    let somebody = phone(&stage, "somebody");
    let site = stage.site_url().to_owned();
    let commands: [(&[&str], &Home, &str); 5] = [
        (&["get", "--origin", ORIGIN], &nobody, GET),
        (&["create", "--origin", ORIGIN], &nobody, CREATE),
        (&["register", &site, "--user", "ana"], &nobody, ""),
        (&["sign-in", &site], &nobody, ""),
        // Not even the missing vault is told before.
        (&["link"], &nobody, ""),
    ];
    for (command, home, input) in commands {
        for (options, code, word) in cases {
            let arguments = [command, options, &["--qr-url"]].concat();
            let finished = handfast(&stage, home, &arguments, input);
            told(&finished, code, word);
            assert!(!finished.err.contains("FIDO:/"), "{}", finished.err);
        }
    }
    for (command, home, input) in [commands[0], (&["link"], &somebody, "")] {
        let options = ["--radio", &air, "--qr-url", "--qr-file", &unwritable];
        let finished = handfast(&stage, home, &[command, &options].concat(), input);
        told(&finished, 1, "qr.png");
        assert!(!finished.err.contains("FIDO:/"), "{}", finished.err);
    }
}

#[test]
fn a_phone_that_has_no_passkey_for_the_site_is_told_and_the_picture_goes() {
    let stage = stage();
    let (phone, desktop) = (
        phone(&stage, "phone"),
        stage.home("d", PASSPHRASE, PIN).unwrap(),
    );
    let picture = stage.folder().join("qr.png");
    let path = picture.display().to_string();
    let arguments = ["get", "--origin", ORIGIN, "--qr-file", &path, "--json"];
    let mut computer = start(&stage, Program::Desktop, &desktop, &arguments);
    computer.say(GET).unwrap();
    computer.close_input();
    computer.event("waiting-for-phone").unwrap();
    let scan = ["scan", "--image", &path, "--approve", "always"];
    let scanned = start(&stage, Program::Phone, &phone, &scan);
    assert_eq!(scanned.finish(PATIENCE).unwrap().code, 1);
    let finished = computer.finish(PATIENCE).unwrap();
    assert_eq!(finished.code, 1, "{}", finished.err);
    let last = events(&finished).pop().unwrap();
    assert!(last["message"].as_str().unwrap().contains("no passkey"));
    assert!(!picture.exists(), "the code is of no more use");
}

#[test]
fn that_there_is_no_passkey_is_told_when_the_phones_owner_says_so() {
    let stage = stage();
    let home = phone(&stage, "phone");
    let computer = stage.home("computer", PASSPHRASE, PIN).unwrap();
    let mut phone = start(&stage, Program::Phone, &home, &["run", "--json"]);
    phone.event("ready").unwrap();
    for (answer, code, word) in [("", 1, "There is no passkey"), ("n", 3, "refused")] {
        let arguments = ["get", "--origin", ORIGIN, "--qr-url", "--json"];
        let mut desktop = start(&stage, Program::Desktop, &computer, &arguments);
        desktop.say(GET).unwrap();
        desktop.close_input();
        let url = desktop.event("qr").unwrap();
        phone.say(url["url"].as_str().unwrap()).unwrap();
        let prompt = phone.event("prompt").unwrap();
        assert_eq!(prompt["kind"], "no-passkey");
        desktop.event("waiting-for-approval").unwrap();
        phone.say(answer).unwrap();
        told(&desktop.finish(PATIENCE).unwrap(), code, word);
        phone.event("error").unwrap();
    }
}
