//! Unlocking as a person meets it: by a key file, by a real keyring, after too many wrong pass phrases;
//! and what others see of a program that holds keys.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use handfast_demo::stage::{Finished, Home, PATIENCE, Process, Program, Programs};
use handfast_tests::keyring::Desktop;
use handfast_tests::{PASSPHRASE, PIN, finish, programs, told};
use tempfile::TempDir;

const LIST: &[&str] = &["passkeys", "list"];

/// A device, and a stick beside it.
struct Device {
    folder: TempDir,
    home: Home,
    programs: Programs,
    /// The message bus of its desktop.
    bus: String,
}

impl Device {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let device = Self {
            home: Home::make(&folder.path().join("home"), PASSPHRASE, PIN).unwrap(),
            bus: format!("unix:path={}", folder.path().join("none").display()),
            programs: programs(),
            folder,
        };
        fs::create_dir(device.folder.path().join("stick")).unwrap();
        let made = device.knowing(Program::Phone, &["init", "--for-tests"]);
        assert_eq!(made.code, 0, "{}", made.err);
        device
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("stick/key")
    }

    fn command(&self, program: Program, arguments: &[&str]) -> Command {
        let mut command = self.programs.command(program);
        command.args(arguments);
        self.home.apply(&mut command);
        command
            .env("DBUS_SESSION_BUS_ADDRESS", &self.bus)
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY");
        command
    }

    /// Runs a command whose pass phrase is in a file.
    fn knowing(&self, program: Program, arguments: &[&str]) -> Finished {
        finish(self.command(program, arguments), "")
    }

    /// Runs a command of the phone without that file, with this typed.
    fn typing(&self, arguments: &[&str], typed: &str) -> Finished {
        let mut command = self.command(Program::Phone, arguments);
        command.env_remove("HANDFAST_PASSPHRASE_FILE");
        finish(command, typed)
    }

    /// Checks that both programs open the vault with nobody at the keyboard.
    fn opens_by_itself(&self) {
        let list = self.typing(LIST, "");
        assert_eq!(list.code, 0, "{}", list.err);
        let mut status = self.command(Program::Desktop, &["vault", "status"]);
        status.env_remove("HANDFAST_PASSPHRASE_FILE");
        let status = finish(status, "");
        assert_eq!(status.code, 0, "{}", status.err);
    }

    /// Checks that the pass phrase is needed for this reason, and is enough.
    fn needs_passphrase(&self, why: &str) {
        told(&self.typing(LIST, ""), 2, why);
        let list = self.typing(LIST, &format!("{PASSPHRASE}\n"));
        assert_eq!(list.code, 0, "{}", list.err);
        assert!(list.err.contains(why), "{}", list.err);
    }

    fn doctor(&self) -> String {
        let air = format!("simulated={}", self.folder.path().join("air").display());
        let arguments = ["doctor", "--radio", &air, "--listen", "0"];
        self.typing(&arguments, "").out
    }
}

/// Every file below a folder, with its content.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => {
                let content = fs::read(&path).unwrap();
                found.insert(path, content);
            }
        }
    }
    found
}

#[test]
fn a_key_file_opens_the_vault_for_both_programs_while_it_is_there() {
    let device = Device::new();
    device.needs_passphrase("");
    let key = device.key();
    let key = key.to_str().unwrap();
    let synced = files(&device.home.vault());
    let set_up = device.typing(
        &["unlock-with", "key-file", key],
        &format!("{PASSPHRASE}\n"),
    );
    assert_eq!(set_up.code, 0, "{}", set_up.err);
    assert_eq!(
        files(&device.home.vault()),
        synced,
        "nothing of it is synced"
    );
    device.opens_by_itself();
    assert!(device.doctor().contains("✓ pass phrase: not needed here"));

    fs::rename(key, format!("{key}.away")).unwrap();
    device.needs_passphrase("is not there");
    assert!(
        device
            .doctor()
            .contains("· pass phrase: asked for when it is needed: the key file")
    );
    fs::write(key, "holiday pictures").unwrap();
    device.needs_passphrase("is no key file");
    assert!(device.doctor().contains("✗ pass phrase: "));

    fs::rename(format!("{key}.away"), key).unwrap();
    device.opens_by_itself();
    let back = device.knowing(Program::Desktop, &["vault", "unlock-with", "passphrase"]);
    assert_eq!(back.code, 0, "{}", back.err);
    device.needs_passphrase("");
}

#[test]
fn who_does_not_know_the_pass_phrase_chooses_no_way() {
    let device = Device::new();
    let key = device.key();
    let arguments = ["unlock-with", "key-file", key.to_str().unwrap()];
    told(&device.typing(&arguments, "a guess at it\n"), 1, "wrong");
    assert!(!key.exists());
    let within = device.home.vault().join("key");
    let arguments = ["unlock-with", "key-file", within.to_str().unwrap()];
    told(&device.knowing(Program::Phone, &arguments), 2, "beside");
    told(
        &device.knowing(Program::Phone, &["unlock-with", "keyring"]),
        1,
        "keyring can be reached",
    );
}

#[test]
fn a_real_keyring_opens_the_vault_while_it_is_unlocked() {
    let Some(mut desktop) = Desktop::start() else {
        return;
    };
    let mut device = Device::new();
    device.bus = desktop.address().to_owned();
    let set_up = device.knowing(Program::Desktop, &["vault", "unlock-with", "keyring"]);
    assert_eq!(set_up.code, 0, "{}", set_up.err);
    assert_eq!(desktop.count(), 1);
    device.opens_by_itself();
    assert!(
        device
            .doctor()
            .contains("✓ pass phrase: not needed here: the keyring")
    );

    desktop.lock();
    device.needs_passphrase("the keyring is locked");
    assert!(device.doctor().contains("· pass phrase: "));
    desktop.log_out();
    device.needs_passphrase("no keyring can be reached");
    desktop.log_in();
    device.opens_by_itself();

    let again = device.knowing(Program::Phone, &["unlock-with", "keyring"]);
    assert_eq!(again.code, 0, "{}", again.err);
    assert_eq!(desktop.count(), 1, "the secret of before is gone");
    device.opens_by_itself();
    let back = device.knowing(Program::Phone, &["unlock-with", "passphrase"]);
    assert_eq!(back.code, 0, "{}", back.err);
    assert_eq!(desktop.count(), 0);
    device.needs_passphrase("");
}

#[test]
fn wrong_pass_phrases_are_counted_for_both_programs_and_over_restarts() {
    let device = Device::new();
    let guesses = device.typing(LIST, "one\ntwo\nthree\n");
    told(&guesses, 1, "wrong");
    fs::write(device.home.passphrase(), "four").unwrap();
    let status = ["vault", "status"];
    told(&device.knowing(Program::Desktop, &status), 1, "wrong");
    told(&device.knowing(Program::Phone, LIST), 1, "wrong");
    fs::write(device.home.passphrase(), PASSPHRASE).unwrap();
    // The first wait is of a second, which may be over here.
    let begin = Instant::now();
    let waiting = device.knowing(Program::Desktop, &status);
    if waiting.code != 0 {
        told(&waiting, 1, "5 wrong pass phrases");
        assert!(waiting.err.contains("wait 1 s"), "{}", waiting.err);
    }
    while device.knowing(Program::Phone, LIST).code != 0 {
        assert!(
            begin.elapsed() < PATIENCE,
            "a right one never comes through"
        );
    }
    assert!(!device.home.device().join("tries.handfast").exists());
}

/// A line of what the system tells of a process.
fn line_of(process: u32, file: &str, name: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{process}/{file}")).unwrap();
    let line = text.lines().find(|line| line.starts_with(name));
    line.unwrap()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn a_phone_that_is_left_alone_locks_itself_and_no_key_stays_in_memory() {
    let device = Device::new();
    let air = format!("simulated={}", device.folder.path().join("air").display());
    let options = ["--channel", "ble", "--radio", &air, "--json"];
    let arguments = [&["run", "--lock-after", "0.02"], &options[..]].concat();
    let mut command = device.command(Program::Phone, &arguments);
    command.env_remove("HANDFAST_PASSPHRASE_FILE");
    let mut phone = Process::spawn("phone", &mut command).unwrap();
    phone.event("asking").unwrap();
    phone.say(PASSPHRASE).unwrap();
    phone.event("ready").unwrap();
    let locked = || line_of(phone.id(), "status", "VmLck:");
    let open = locked();
    phone.event("locked").unwrap();
    let locked = || line_of(phone.id(), "status", "VmLck:");
    assert_eq!(locked(), "VmLck: 0 kB");
    phone.say("FIDO:/1").unwrap();
    phone.event("unlocking").unwrap();
    phone.event("asking").unwrap();
    phone.say(PASSPHRASE).unwrap();
    phone.event("unlocked").unwrap();
    phone.event("error").unwrap();
    match open.as_str() {
        "VmLck: 0 kB" => eprintln!("skipped: this system lets no memory be locked"),
        _ => assert_eq!(line_of(phone.id(), "status", "VmLck:"), open),
    }
}

#[test]
fn other_programs_of_a_person_see_nothing_of_what_these_hold() {
    // Where everything may be looked at, somebody with fewer rights has to run them.
    const NOBODY: u32 = 65534;
    let folder = tempfile::tempdir().unwrap();
    let open = fs::Permissions::from_mode(0o777);
    fs::set_permissions(folder.path(), open.clone()).unwrap();
    let is_root = folder.path().metadata().unwrap().uid() == 0;
    let air = format!("simulated={}", folder.path().join("air").display());
    let phone = ["scan", "-", "--channel", "ble", "--radio", &air];
    let desktop = [
        "create",
        "--origin",
        "https://example.org",
        "--via",
        "local",
    ];
    for (program, arguments) in [
        (Program::Phone, &phone[..]),
        (Program::Desktop, &desktop[..]),
    ] {
        let built = programs().command(program);
        let copy = folder.path().join(program.name());
        fs::copy(built.get_program(), &copy).unwrap();
        fs::set_permissions(&copy, open.clone()).unwrap();
        let mut command = Command::new(&copy);
        command
            .args(arguments)
            .current_dir(folder.path())
            .env("HANDFAST_HOME", folder.path().join("home"));
        if is_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        // It waits for its standard input, and ends with that.
        let process = Process::spawn(program.name(), &mut command).unwrap();
        let id = process.id();
        let begin = Instant::now();
        while line_of(id, "limits", "Max core file size") != "Max core file size 0 0 bytes"
            || fs::metadata(format!("/proc/{id}/mem")).unwrap().uid() != 0
        {
            assert!(
                begin.elapsed() < PATIENCE,
                "{} may be dumped",
                program.name()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
