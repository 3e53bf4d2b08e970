//! `doctor` on both programs.

use super::*;

/// What `doctor` finds, by check, and how it ends.
fn doctor(room: &Room, program: Program, more: &[&str]) -> (BTreeMap<String, String>, i32) {
    let home = match program {
        Program::Phone => &room.phone,
        _ => &room.computer,
    };
    let mut arguments = vec!["doctor", "--json"];
    arguments.extend(more);
    let mut command = room.stage.command(program, home, &arguments);
    command
        .env("DBUS_SYSTEM_BUS_ADDRESS", room.fake.address())
        .env_remove("HANDFAST_PASSPHRASE_FILE");
    let finished = finish(command, "");
    let found: Value = serde_json::from_str(&finished.out).unwrap();
    assert_eq!(found["ok"] == true, finished.code == 0, "{finished:?}");
    let findings = found["findings"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let findings = findings
        .inspect(|finding| assert_eq!(finding["hint"].is_string(), finding["outcome"] == "bad"))
        .map(|finding| (text(&finding["check"]), text(&finding["outcome"])));
    (findings.collect(), finished.code)
}

#[test]
fn doctor_finds_what_is_wrong_and_its_exit_code_says_where() {
    let Some(fake) = Fake::start() else {
        return;
    };
    let room = Room::new(fake);
    let relay = room.stage.relay_url().to_owned();
    let authority = room.stage.certificates().authority().display().to_string();
    let mapped = format!("300={relay}");
    let computer = [
        "--listen",
        "1",
        "--relay-map",
        &mapped,
        "--ca-file",
        &authority,
    ];
    let phone = ["--listen", "1", "--relay", &relay, "--ca-file", &authority];
    let both = |check: &str, outcome: &str, code: i32| {
        for (program, arguments) in [(Program::Desktop, computer), (Program::Phone, phone)] {
            let (found, ended) = doctor(&room, program, &arguments);
            assert_eq!(
                found.get(check).map(String::as_str),
                Some(outcome),
                "{found:?}"
            );
            assert_eq!(ended, code, "{found:?}");
        }
    };
    both("adapter", "bad", 5);
    room.fake.with(|bluez| bluez.plug_in("hci0", false));
    both("power", "bad", 5);
    room.fake.with(|bluez| bluez.set_powered("hci0", true));
    both("scanning", "good", 0);
    let (found, _) = doctor(&room, Program::Desktop, &computer);
    // Not every kernel that this runs on has Bluetooth.
    let connections = found["connections"].as_str();
    assert!(["good", "unneeded"].contains(&connections), "{connections}");
    both("relay", "good", 0);
    both("on the air", "good", 0);
    let untrusted = ["--listen", "0", "--relay", &relay];
    let (found, code) = doctor(&room, Program::Phone, &untrusted);
    assert_eq!((found["relay"].as_str(), code), ("bad", 6));
    for nowhere in [
        ["--relay-map", "300=wss://localhost:1"],
        ["--relay", "wss://localhost:1"],
    ] {
        let nowhere = [&["--listen", "0"], &nowhere[..]].concat();
        let (found, code) = doctor(&room, Program::Desktop, &nowhere);
        assert_eq!((found["relay"].as_str(), code), ("bad", 6));
    }
    room.fake.with(|bluez| bluez.denies = true);
    both("Bluetooth service", "bad", 5);
    room.fake.with(Bluez::vanish);
    both("Bluetooth service", "bad", 5);
}

#[test]
fn doctor_counts_what_is_on_the_air() {
    let Some(fake) = Fake::with_two_adapters() else {
        return;
    };
    let room = Room::new(fake);
    let arguments = ["doctor", "--listen", "2"];
    let process = room.spawn_alone(&arguments);
    room.fake.wait_until("a scan", is_scanned);
    room.fake.with(|bluez| {
        for (number, length) in [19, 20, 20, 24].into_iter().enumerate() {
            let address = format!("C0:00:00:00:03:0{number}");
            let bytes = vec![u8::try_from(number).unwrap(); length];
            bluez.hear("hci0", &address, &data(FIDO, &bytes));
            // The other adapter hears the same, which is no other advert.
            bluez.hear("hci1", &address, &data(FIDO, &bytes));
        }
    });
    let said = ends_well(process).out;
    let counted = "2 of the usual length, 1 longer, 1 too short";
    assert!(said.contains(counted), "{said}");
}
