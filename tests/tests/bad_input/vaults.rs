//! PINs, pass phrases and files that are not as they should be.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::*;

#[test]
fn wrong_pins_are_counted_over_restarts_and_block_in_the_end() {
    let stage = stage();
    let (home, desktop) = (
        phone(&stage, "phone"),
        stage.home("d", PASSPHRASE, PIN).unwrap(),
    );
    let mut left = Vec::new();
    for _ in 0..3 {
        let (computer, url) = register(&stage, &desktop, "ana");
        let mut arguments = words(&["scan", &url, "--json"]);
        arguments.extend(stage.phone_options("here"));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut command = stage.command(Program::Phone, &home, &arguments);
        home.apply_without_pin(&mut command);
        let mut phone = Process::spawn("handfast-authenticator", &mut command).unwrap();
        phone.event("prompt").unwrap();
        for _ in 0..3 {
            phone.say("000000").unwrap();
        }
        // Who is asked for the pass phrase then does not know it; a phone that has ended asks nothing.
        let _ = phone.say("");
        let ended = phone.finish(PATIENCE).unwrap();
        assert_eq!(ended.code, 1, "a wrong PIN is no refusal: {ended:?}");
        assert!(ended.out.contains("PIN"), "{ended:?}");
        assert_ne!(computer.finish(PATIENCE).unwrap().code, 0);
        for line in ended.out.lines() {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            left.extend(event["tries_left"].as_u64());
        }
    }
    assert_eq!(left, [7, 6, 5, 4, 3, 2, 1]);
}

#[test]
fn vaults_that_are_missing_locked_newer_or_copied_are_told_and_not_touched() {
    let stage = stage();
    let empty = stage.home("empty", PASSPHRASE, PIN).unwrap();
    for arguments in [
        &["vault", "join"][..],
        &["vault", "status"],
        &["group", "status"],
    ] {
        let finished = run(&stage, Program::Desktop, &empty, &words(arguments), "");
        told(&finished, 1, "no vault");
    }
    let mut link = words(&["link", "--qr-url"]);
    link.extend(stage.desktop_options("here"));
    let finished = run(&stage, Program::Desktop, &empty, &link, "");
    told(&finished, 1, "no vault");
    assert!(!finished.err.contains("FIDO:/"));

    let home = phone(&stage, "phone");
    fs::write(home.passphrase(), "something else\n").unwrap();
    let list = words(&["passkeys", "list"]);
    told(
        &run(&stage, Program::Phone, &home, &list, ""),
        1,
        "pass phrase is wrong",
    );
    fs::write(home.passphrase(), PASSPHRASE).unwrap();
    assert_eq!(run(&stage, Program::Phone, &home, &list, "").code, 0);

    // The format is the byte behind the name of the file's kind.
    let newer = |path: &Path, kind: &str| {
        let mut bytes = fs::read(path).unwrap();
        let at = bytes
            .windows(kind.len())
            .position(|window| window == kind.as_bytes())
            .unwrap();
        assert_eq!(bytes[at + kind.len()..][..2], [2, 2]);
        bytes[at + kind.len() + 1] = 9;
        let before = fs::read(path).unwrap();
        fs::write(path, &bytes).unwrap();
        told(
            &run(&stage, Program::Phone, &home, &list, ""),
            1,
            "newer version",
        );
        assert_eq!(fs::read(path).unwrap(), bytes, "it was not touched");
        fs::write(path, before).unwrap();
    };
    newer(&home.vault().join("vault.handfast"), "handfast-vault");
    newer(&home.device().join("device.handfast"), "handfast-device");
    assert_eq!(run(&stage, Program::Phone, &home, &list, "").code, 0);
}

#[test]
fn a_damaged_file_is_named_and_the_others_work() {
    let stage = stage();
    let (home, desktop) = (
        phone(&stage, "phone"),
        stage.home("d", PASSPHRASE, PIN).unwrap(),
    );
    for user in ["ana", "bob"] {
        let (computer, url) = register(&stage, &desktop, user);
        let mut arguments = words(&["scan", &url, "--approve", "always"]);
        arguments.extend(stage.phone_options("here"));
        let phone = run(&stage, Program::Phone, &home, &arguments, "");
        assert_eq!(phone.code, 0, "{}", phone.err);
        assert_eq!(computer.finish(PATIENCE).unwrap().code, 0);
    }
    let file = fs::read_dir(home.vault().join("passkeys"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let mut bytes = fs::read(&file).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&file, bytes).unwrap();
    let status = run(
        &stage,
        Program::Desktop,
        &home,
        &words(&["vault", "status", "--json"]),
        "",
    );
    let status = status.json().unwrap();
    assert_eq!(status["passkeys"], 1);
    assert_eq!(status["damaged"][0]["file"], file.display().to_string());
    let list = run(
        &stage,
        Program::Phone,
        &home,
        &words(&["passkeys", "list"]),
        "",
    );
    assert_eq!((list.code, list.out.lines().count()), (0, 1));
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(list.err.contains(name), "{}", list.err);
}

#[test]
fn approval_without_a_person_needs_a_vault_made_for_it() {
    let stage = stage();
    let home = stage.home("phone", PASSPHRASE, PIN).unwrap();
    assert_eq!(
        run(&stage, Program::Phone, &home, &words(&["init"]), "").code,
        0
    );
    let mut arguments = words(&["run", "--approve", "always"]);
    arguments.extend(stage.phone_options("here"));
    told(
        &run(&stage, Program::Phone, &home, &arguments, ""),
        2,
        "tests",
    );
}

/// Runs one of the phone's commands to its end, after a shell did something.
fn run_after(shell: &[&str], first: &str, stage: &Stage, home: &Home, words: &[&str]) -> Finished {
    let inner = stage.command(Program::Phone, home, words);
    let mut command = Command::new(shell[0]);
    command.args(&shell[1..]);
    command.args(["-c", &format!("{first}; exec \"$@\""), "sh"]);
    command.arg(inner.get_program()).args(inner.get_args());
    home.apply(&mut command);
    let output = command.stdin(Stdio::null()).output().unwrap();
    Finished {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn a_full_disk_loses_nothing() {
    let stage = stage();
    let home = phone(&stage, "phone");
    let store = home.device().join("device.handfast");
    let before = fs::read(&store).unwrap();
    let files = || fs::read_dir(home.device()).unwrap().count();
    let count = files();
    // A limit on the size of files is met by the same calls as a full disk.
    let full = "trap '' XFSZ; ulimit -f 0";
    let finished = run_after(&["sh"], full, &stage, &home, &["pin"]);
    told(&finished, 1, "device.handfast");
    assert_eq!(fs::read(&store).unwrap(), before);
    assert_eq!(files(), count, "nothing is left behind");
}

#[test]
fn a_torn_device_store_is_named_by_whoever_looks_at_it() {
    let stage = stage();
    let home = phone(&stage, "phone");
    let join = words(&["vault", "join"]);
    let doctor = words(&["doctor", "--json", "--listen", "0", "--radio", "simulated"]);
    let is_ready = run(&stage, Program::Desktop, &home, &join, "");
    told(&is_ready, 1, "It is ready");
    let store = home.device().join("device.handfast");
    let whole = fs::read(&store).unwrap();
    fs::write(&store, &whole[..100]).unwrap();
    let torn = run(&stage, Program::Desktop, &home, &join, "");
    told(&torn, 1, "is damaged");
    let torn = run(&stage, Program::Desktop, &home, &doctor, "");
    assert_eq!(torn.code, 1, "{}", torn.out);
    assert!(torn.out.contains("is damaged"), "{}", torn.out);
}

#[test]
fn a_backup_is_not_written_into_a_folder_that_is_not_there() {
    let stage = stage();
    let home = phone(&stage, "phone");
    let stick = stage.folder().join("stick");
    let backup = stick.join("vault.backup").display().to_string();
    let arguments = words(&["vault", "backup", &backup]);
    let refused = run(&stage, Program::Phone, &home, &arguments, "");
    told(&refused, 2, "no such folder");
    assert!(!stick.exists());
    fs::create_dir(&stick).unwrap();
    let made = run(&stage, Program::Phone, &home, &arguments, "");
    assert_eq!(made.code, 0, "{}", made.err);
}

#[test]
fn a_device_store_from_another_machine_is_refused_and_kept() {
    let stage = stage();
    let home = phone(&stage, "phone");
    let store = home.device().join("device.handfast");
    let before = fs::read(&store).unwrap();
    let other = stage.folder().join("machine-id");
    fs::write(&other, "0123456789abcdef0123456789abcdef\n").unwrap();
    let bind = format!("mount --bind {} /etc/machine-id", other.display());
    let possible = Command::new("unshare")
        .args(["-rm", "sh", "-c", &bind])
        .output()
        .is_ok_and(|output| output.status.success());
    if !possible {
        println!("skipped: no namespace for another machine's name can be made here");
        return;
    }
    let shell = ["unshare", "-rm", "sh"];
    let finished = run_after(&shell, &bind, &stage, &home, &["passkeys", "list"]);
    told(&finished, 1, "another machine");
    assert_eq!(fs::read(&store).unwrap(), before);
    let list = words(&["passkeys", "list"]);
    assert_eq!(run(&stage, Program::Phone, &home, &list, "").code, 0);
}
