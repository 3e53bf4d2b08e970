//! Bad input and bad luck, as a person meets them: one clear sentence, one of what to do, the right
//! exit code, and nothing lost.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod vaults;

use handfast_demo::stage::{Finished, Home, PATIENCE, Process, Program, Stage};
use handfast_proto::cbor::Map;
use handfast_proto::hybrid::qr::encode_digits;
use handfast_tests::{PASSPHRASE, PIN, finish, phone, run, stage, start, told, words};

const CREATE: &str = r#"{"challenge":"AAAAAAAAAAAAAAAAAAAAAA","rp":{"id":"example.org","name":"E"},
    "user":{"id":"AAAA","name":"a","displayName":"A"},"pubKeyCredParams":[{"type":"public-key","alg":-7}]}"#;

fn scan(stage: &Stage, home: &Home, code: &str) -> Finished {
    let mut arguments = words(&["scan", code]);
    arguments.extend(stage.phone_options("here"));
    run(stage, Program::Phone, home, &arguments, "")
}

/// A desktop that shows a code, and the code.
fn register(stage: &Stage, home: &Home, user: &str) -> (Process, String) {
    let site = stage.site_url().to_owned();
    let arguments = ["register", &site, "--user", user, "--qr-url", "--json"];
    let mut desktop = start(stage, Program::Desktop, home, &arguments);
    let url = desktop.event("qr").unwrap()["url"]
        .as_str()
        .unwrap()
        .to_owned();
    (desktop, url)
}

#[test]
fn codes_that_no_computer_made_are_refused() {
    let stage = stage();
    let home = phone(&stage, "phone");
    let good = "FIDO:/162870791865632382552704231438327900152302540348097243854039966655366469794954476199158014113179232779520163209900691930075274801398564434658077048963842109321447142660";
    for (code, word) in [
        ("https://example.org", "FIDO"),
        ("FIDO:/", "damaged"),
        (&good[..100], "damaged"),
        ("FIDO:/12345", "code"),
        ("FIDO:/abc", "damaged"),
    ] {
        told(&scan(&stage, &home, code), 2, word);
    }
    let mut arguments = words(&["scan", "--image", "/dev/null"]);
    arguments.extend(stage.phone_options("here"));
    told(
        &run(&stage, Program::Phone, &home, &arguments, ""),
        2,
        "picture",
    );
}

#[test]
fn codes_with_a_key_off_its_curve_or_in_another_order_are_refused() {
    let stage = stage();
    let home = phone(&stage, "phone");
    // No point of P-256 has this x.
    let off_curve = [&[2][..], &[0xff; 32]].concat();
    let map = Map::new().with(0, off_curve).with(1, [7; 16]);
    let code = |bytes: &[u8]| format!("FIDO:/{}", encode_digits(bytes));
    let told_off = scan(&stage, &home, &code(&map.encode()));
    told(&told_off, 2, "key");
    // Member 1 before member 0: not canonical.
    let unsorted = [&[0xa2, 1, 0x41, 0, 0, 0x41, 0][..]].concat();
    told(&scan(&stage, &home, &code(&unsorted)), 2, "canonical");
}

#[test]
fn a_link_that_the_desktop_does_not_confirm_is_none_for_the_phone_either() {
    let stage = stage();
    let home = phone(&stage, "phone");
    let desktop = stage.home("d", PASSPHRASE, PIN).unwrap();
    handfast_demo::copier::copy_folder(&home.vault(), &desktop.vault()).unwrap();
    let joined = run(
        &stage,
        Program::Desktop,
        &desktop,
        &words(&["vault", "join"]),
        "",
    );
    assert_eq!(joined.code, 0, "{}", joined.err);
    let mut computer = start(
        &stage,
        Program::Desktop,
        &desktop,
        &["link", "--qr-url", "--json"],
    );
    let url = computer.event("qr").unwrap()["url"].clone();
    let url = url.as_str().unwrap();
    let phone = start(&stage, Program::Phone, &home, &["scan", url, "--json"]);
    computer.event("confirm-code").unwrap();
    computer.say("n").unwrap();
    assert_eq!(computer.finish(PATIENCE).unwrap().code, 3);
    let phone = phone.finish(PATIENCE).unwrap();
    assert_eq!(phone.code, 1, "{phone:?}");
    assert!(phone.out.contains("\"outcome\":\"nothing\""), "{phone:?}");
    for home in [&home, &desktop] {
        let status = words(&["group", "status", "--json"]);
        let status = run(&stage, Program::Desktop, home, &status, "");
        let members = status.json().unwrap()["members"].as_array().unwrap().len();
        assert!(members <= 1, "{}", status.out);
    }
}

#[test]
fn a_phone_killed_at_any_moment_keeps_every_passkey_that_was_finished() {
    let stage = stage();
    let (home, desktop) = (
        phone(&stage, "phone"),
        stage.home("d", PASSPHRASE, PIN).unwrap(),
    );
    let mut finished = 0;
    for moment in 0..8 {
        let (computer, url) = register(&stage, &desktop, &format!("user{moment}"));
        let arguments = ["scan", &url, "--json", "--approve", "always"];
        let mut phone = start(&stage, Program::Phone, &home, &arguments);
        phone.event("prompt").unwrap();
        std::thread::sleep(std::time::Duration::from_millis(6 * moment));
        phone.kill();
        finished += usize::from(computer.finish(PATIENCE).unwrap().code == 0);
        let status = words(&["vault", "status", "--json"]);
        let status = run(&stage, Program::Desktop, &home, &status, "");
        let status = status.json().unwrap();
        assert_eq!(status["damaged"], serde_json::json!([]), "moment {moment}");
        let kept = usize::try_from(status["passkeys"].as_u64().unwrap()).unwrap();
        assert!(kept >= finished, "moment {moment}: {kept} of {finished}");
    }
}

#[test]
fn options_and_origins_that_do_not_fit_are_refused_before_a_code_is_shown() {
    let stage = stage();
    let home = stage.home("desktop", PASSPHRASE, PIN).unwrap();
    let create = |origin: &str, options: &str| {
        let mut arguments = words(&["create", "--origin", origin, "--qr-url"]);
        arguments.extend(stage.desktop_options("here"));
        run(&stage, Program::Desktop, &home, &arguments, options)
    };
    for (origin, options, word) in [
        ("https://example.org", "not json", "JSON"),
        ("https://example.org", "{}", "rp"),
        (
            "https://example.org",
            &CREATE.replace("AAAAAAAAAAAAAAAAAAAAAA", "AAAA"),
            "challenge",
        ),
        (
            "https://example.org",
            &CREATE.replace("\"AAAA\"", "\"A=\""),
            "user.id",
        ),
        (
            "https://example.org",
            &CREATE.replace("-7", "\"ES256\""),
            "pubKeyCredParams",
        ),
        ("https://other.org", CREATE, "belong"),
        ("http://example.org", CREATE, "secure"),
        ("https://127.0.0.1", CREATE, "address"),
        ("https://example.org/login", CREATE, "origin"),
        (
            "https://a.co.uk",
            &CREATE.replace("example.org", "co.uk"),
            "public suffix",
        ),
    ] {
        let finished = create(origin, options);
        told(&finished, 2, word);
        assert!(
            !finished.err.contains("FIDO:/"),
            "a code was shown: {}",
            finished.err
        );
    }
}

#[test]
fn a_radio_that_is_not_there_and_a_code_without_a_screen_are_told() {
    let stage = stage();
    let home = stage.home("desktop", PASSPHRASE, PIN).unwrap();
    let origin = "https://example.org";
    let bluez = ["create", "--origin", origin, "--qr-url"];
    let mut command = stage.command(Program::Desktop, &home, &bluez);
    command.env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent");
    told(&finish(command, CREATE), 5, "Bluetooth");
    let mut unseen = words(&["create", "--origin", origin]);
    unseen.extend(stage.desktop_options("here"));
    told(
        &run(&stage, Program::Desktop, &home, &unseen, CREATE),
        2,
        "terminal",
    );
}

#[test]
fn nobody_near_is_a_timeout() {
    let stage = stage();
    let home = stage.home("desktop", PASSPHRASE, PIN).unwrap();
    let mut arguments = words(&[
        "create",
        "--origin",
        "https://example.org",
        "--qr-url",
        "--timeout",
        "1",
    ]);
    arguments.extend(stage.desktop_options("here"));
    told(
        &run(&stage, Program::Desktop, &home, &arguments, CREATE),
        4,
        "phone",
    );
}

#[test]
fn a_phone_that_no_computer_hears_says_so() {
    let stage = stage();
    let (home, desktop) = (
        phone(&stage, "phone"),
        stage.home("d", PASSPHRASE, PIN).unwrap(),
    );
    let (_computer, url) = register(&stage, &desktop, "ana");
    // The same code, the same relay, another air.
    let mut arguments = words(&["scan", &url, "--timeout", "1"]);
    arguments.extend(stage.phone_options("elsewhere"));
    let finished = run(&stage, Program::Phone, &home, &arguments, "");
    told(&finished, 4, "No computer heard this device");
}

#[test]
fn a_question_that_nobody_answers_lapses_and_both_sides_are_told() {
    let stage = stage();
    let (home, desktop) = (
        phone(&stage, "phone"),
        stage.home("d", PASSPHRASE, PIN).unwrap(),
    );
    let (computer, url) = register(&stage, &desktop, "ana");
    let mut arguments = words(&["scan", &url, "--timeout", "5"]);
    arguments.extend(stage.phone_options("here"));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut command = stage.command(Program::Phone, &home, &arguments);
    home.apply_without_pin(&mut command);
    // Its input stays open, and silent.
    let phone = Process::spawn("phone", &mut command).unwrap();
    let phone = phone.finish(PATIENCE).unwrap();
    told(&phone, 4, "Nobody answered in 5 s");
    told(&computer.finish(PATIENCE).unwrap(), 4, "answer");
    // Nothing was made.
    let list = words(&["passkeys", "list", "--json"]);
    let list = run(&stage, Program::Phone, &home, &list, "");
    assert_eq!(list.out.trim(), "[]", "{list:?}");
}

#[test]
fn a_relay_that_is_down_or_has_a_foreign_certificate_is_told() {
    let stage = stage();
    let (home, desktop) = (
        phone(&stage, "phone"),
        stage.home("d", PASSPHRASE, PIN).unwrap(),
    );
    let (_desktop, url) = register(&stage, &desktop, "ana");
    let air = format!("simulated={}", stage.air("here").display());
    let ca = stage.certificates().authority().display().to_string();
    let scan = |relay: &str, options: &[&str]| {
        let mut arguments = words(&["scan", &url, "--relay", relay, "--tunnel-domain", "300"]);
        arguments.extend(words(&["--radio", &air]));
        arguments.extend(words(options));
        run(&stage, Program::Phone, &home, &arguments, "")
    };
    told(
        &scan("wss://localhost:9", &["--ca-file", &ca]),
        6,
        "reached",
    );
    told(&scan(stage.relay_url(), &[]), 6, "certificate");
    told(&scan("ws://example.org", &[]), 2, "wss");
    told(
        &scan(stage.relay_url(), &["--ca-file", "/dev/null"]),
        2,
        "certificate",
    );
}

#[test]
fn a_refusal_on_the_phone_reaches_the_computer() {
    let stage = stage();
    let (home, desktop) = (
        phone(&stage, "phone"),
        stage.home("d", PASSPHRASE, PIN).unwrap(),
    );
    let (computer, url) = register(&stage, &desktop, "ana");
    let mut phone = start(&stage, Program::Phone, &home, &["scan", &url, "--json"]);
    phone.event("prompt").unwrap();
    phone.say("n").unwrap();
    assert_eq!(phone.finish(PATIENCE).unwrap().code, 3);
    let finished = computer.finish(PATIENCE).unwrap();
    assert_eq!(finished.code, 3, "{}", finished.err);
    assert!(finished.out.is_empty());
}

#[test]
fn a_computer_that_leaves_takes_its_prompt_along() {
    let stage = stage();
    let (home, desktop) = (
        phone(&stage, "phone"),
        stage.home("d", PASSPHRASE, PIN).unwrap(),
    );
    let (mut computer, url) = register(&stage, &desktop, "ana");
    let mut phone = start(&stage, Program::Phone, &home, &["scan", &url, "--json"]);
    phone.event("prompt").unwrap();
    computer.kill();
    phone.event("withdrawn").unwrap();
    assert_eq!(phone.finish(PATIENCE).unwrap().code, 1);
}

#[test]
fn a_phone_that_dies_in_the_middle_is_noticed() {
    let stage = stage();
    let (home, desktop) = (
        phone(&stage, "phone"),
        stage.home("d", PASSPHRASE, PIN).unwrap(),
    );
    let (computer, url) = register(&stage, &desktop, "ana");
    let mut phone = start(&stage, Program::Phone, &home, &["scan", &url, "--json"]);
    phone.event("prompt").unwrap();
    phone.kill();
    let finished = computer.finish(PATIENCE).unwrap();
    assert_eq!(finished.code, 1, "{}", finished.err);
    assert!(finished.err.contains("left"), "{}", finished.err);
}

#[test]
fn of_two_phones_that_answer_one_code_the_first_serves_it() {
    let stage = stage();
    let (one, two) = (phone(&stage, "one"), phone(&stage, "two"));
    let desktop = stage.home("d", PASSPHRASE, PIN).unwrap();
    let (computer, url) = register(&stage, &desktop, "ana");
    let mut first = start(&stage, Program::Phone, &one, &["scan", &url, "--json"]);
    first.event("prompt").unwrap();
    told(&scan(&stage, &two, &url), 1, "device answers this code");
    first.say("y").unwrap();
    assert_eq!(first.finish(PATIENCE).unwrap().code, 0);
    assert_eq!(computer.finish(PATIENCE).unwrap().code, 0);
}
