//! How the program speaks: to programs, in its log, to who does not listen, and when it is stopped.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use handfast_demo::stage::{PATIENCE, Source};
use handfast_proto::Now;
use handfast_proto::hybrid::qr::ScannedInvitation;
use handfast_proto::hybrid::tunnel::TunnelDomain;
use handfast_proto::hybrid::{DataChannels, PhoneAction, PhoneCeremony, PhoneConfig, PhoneLimits};

use super::*;

/// The name of the tunnel that a code leads to.
fn tunnel(url: &str) -> String {
    let now = Now {
        monotonic: PATIENCE,
        unix: 0,
    };
    let config = PhoneConfig {
        domain: TunnelDomain(300),
        channels: DataChannels::WebSocket,
        get_info: Vec::new(),
        limits: PhoneLimits::default(),
    };
    let invitation = ScannedInvitation::parse(url).unwrap();
    match PhoneCeremony::start(config, invitation, now)
        .unwrap()
        .poll_action()
    {
        Some(PhoneAction::OpenTunnel { tunnel, .. }) => tunnel.to_hex(),
        _ => panic!("a phone opens a tunnel first"),
    }
}

/// A passkey is made on the phone; returns what the computer said, and the code.
fn make_passkey(stage: &Stage, name: &str, options: &[&str]) -> (Finished, String) {
    let phone = phone(stage, &format!("phone-{name}"));
    let home = stage.home(name, PASSPHRASE, PIN).unwrap();
    let arguments = [&["create", "--origin", ORIGIN, "--qr-url"], options].concat();
    let mut desktop = start(stage, Program::Desktop, &home, &arguments);
    desktop.say(&CREATE.replace('\n', " ")).unwrap();
    desktop.close_input();
    let url = desktop
        .line("the code", PATIENCE, |line| {
            let (_, url) = line.text.split_once("FIDO:/")?;
            let digits: String = url.chars().take_while(char::is_ascii_digit).collect();
            (line.source == Source::Err).then(|| format!("FIDO:/{digits}"))
        })
        .unwrap();
    let scan = ["scan", &url, "--approve", "always"];
    let scanned = start(stage, Program::Phone, &phone, &scan);
    let scanned = scanned.finish(PATIENCE).unwrap();
    assert_eq!(scanned.code, 0, "{}", scanned.err);
    (desktop.finish(PATIENCE).unwrap(), url)
}

#[test]
fn a_log_tells_steps_and_no_secret() {
    let stage = stage();
    for (name, flag, told, untold) in [
        ("steps", "-v", "opening a tunnel", "a message goes out"),
        ("messages", "-vv", "a message goes out", "TRACE"),
    ] {
        let (finished, url) = make_passkey(&stage, name, &[flag]);
        assert_eq!(finished.code, 0, "{}", finished.err);
        assert!(finished.err.contains("listening for adverts"));
        assert!(finished.err.contains(told), "{}", finished.err);
        assert!(!finished.err.contains(untold), "{}", finished.err);
        // The code was asked for, as one line; nothing of it is anywhere else.
        let said = finished.err.replacen(&url, "", 1);
        let digits = url.strip_prefix("FIDO:/").unwrap();
        for part in digits.as_bytes().chunks(17) {
            let part = str::from_utf8(part).unwrap();
            assert!(part.len() < 8 || !said.contains(part), "{said}");
        }
        let credential = finished.json().unwrap();
        let signed = credential["response"]["authenticatorData"].as_str();
        for secret in [
            tunnel(&url).as_str(),
            &tunnel(&url).to_lowercase(),
            PASSPHRASE,
            PIN,
            "/cable/",
            "AAAAAAAAAAAAAAAAAAAAAA",
            credential["id"].as_str().unwrap(),
            signed.unwrap(),
        ] {
            assert!(!said.contains(secret), "{secret} in {said}");
        }
    }
}

#[test]
fn a_program_gets_json_and_nothing_else_whatever_is_told() {
    let stage = stage();
    let (finished, _) = make_passkey(&stage, "d", &["--json", "-vv"]);
    assert_eq!(finished.code, 0, "{}", finished.err);
    let said = events(&finished);
    let named = |name: &str| said.iter().any(|event| event["event"] == name);
    for event in [
        "qr",
        "waiting-for-phone",
        "phone-found",
        "connected",
        "done",
    ] {
        assert!(named(event), "{event}: {}", finished.err);
    }
    assert!(said.iter().any(|line| line["level"] == "DEBUG"));
    assert_eq!(finished.json().unwrap()["type"], "public-key");

    let home = stage.home("nobody", PASSPHRASE, PIN).unwrap();
    let failed = handfast(&stage, &home, &["vault", "status", "--json"], "");
    let said = events(&failed);
    assert_eq!(failed.code, 1);
    assert_eq!(said[0]["event"], "error");
    for words in ["message", "hint"] {
        assert!(!said[0][words].as_str().unwrap().is_empty());
    }
}

#[test]
fn a_program_is_not_asked_for_a_new_pass_phrase() {
    let stage = stage();
    let home = stage.home("d", PASSPHRASE, PIN).unwrap();
    let unset = ["HANDFAST_PASSPHRASE_FILE"];
    let init = ["vault", "init", "--json"];
    let finished = finish(without_terminal(&stage, &home, &init, &unset), "");
    assert_eq!(finished.code, 2, "{}", finished.err);
    let said = events(&finished);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0]["hint"]
            .as_str()
            .unwrap()
            .contains("HANDFAST_PASSPHRASE_FILE")
    );
    assert!(!home.vault().exists());
    // A person sees the words, but needs a terminal to type them.
    let finished = finish(without_terminal(&stage, &home, &init[..2], &unset), "");
    told(&finished, 2, "six words");
    assert!(!home.vault().exists());
}

#[test]
fn an_interrupted_wait_takes_its_picture_along() {
    let stage = stage();
    let home = stage.home("d", PASSPHRASE, PIN).unwrap();
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let picture = stage.folder().join("qr.png");
        let mut arguments = words(&["get", "--origin", ORIGIN, "--json", "--qr-file"]);
        arguments.push(picture.display().to_string());
        arguments.extend(stage.desktop_options("here"));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let options = stage.folder().join("options.json");
        fs::write(&options, GET).unwrap();
        let mut command = stage.command(Program::Desktop, &home, &arguments);
        let mut child = command
            .stdin(fs::File::open(&options).unwrap())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert!(line.contains("waiting-for-phone"), "{line}");
        assert!(picture.exists());
        let id = child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &id]).status();
        assert!(sent.unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(code));
        let mut rest = String::new();
        said.read_to_string(&mut rest).unwrap();
        assert_eq!(rest.trim(), r#"{"event":"interrupted"}"#);
        assert!(!picture.exists(), "nobody waits for an answer to this code");
        assert_eq!(fs::read_dir(stage.air("here")).unwrap().count(), 0);
    }
}

#[test]
fn a_result_that_nobody_takes_is_a_failure_and_no_panic() {
    let stage = stage();
    let home = phone(&stage, "d");
    let create = ["create", "--origin", ORIGIN, "--via", "local"];
    for arguments in [&["vault", "status"][..], &["group", "status"], &create] {
        let mut command = stage.command(Program::Desktop, &home, arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        let mut input = child.stdin.take().unwrap();
        // A command without options does not read them.
        let _ = std::io::Write::write_all(&mut input, CREATE.as_bytes());
        drop(input);
        let output = child.wait_with_output().unwrap();
        let finished = Finished {
            code: output.status.code().unwrap_or(-1),
            out: String::new(),
            err: String::from_utf8(output.stderr).unwrap(),
        };
        told(&finished, 1, "could not be written");
        assert!(!finished.err.contains("Done"), "{}", finished.err);
    }
}
