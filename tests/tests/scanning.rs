//! Where codes come from: standard input, pictures, the clipboard; and the settings that stand in for
//! options.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use handfast_demo::stage::{DOMAIN, Home, PATIENCE, Process, Program, Stage};
use handfast_tests::{PASSPHRASE, PIN, finish, phone, run, stage, start, told, words};

const APPROVE: [&str; 3] = ["--json", "--approve", "always"];

/// A desktop that waits, its code, and the picture of that.
fn computer(stage: &Stage, name: &str) -> (Process, String, PathBuf) {
    let home = stage.home(name, PASSPHRASE, PIN).unwrap();
    let (site, picture) = (stage.site_url(), stage.folder().join(format!("{name}.png")));
    let mut arguments = vec!["register", site, "--user", name, "--json", "--qr-url"];
    arguments.extend(["--qr-file", picture.to_str().unwrap()]);
    let mut desktop = start(stage, Program::Desktop, &home, &arguments);
    let url = desktop.event("qr").unwrap()["url"].clone();
    (desktop, url.as_str().unwrap().to_owned(), picture)
}

/// Writes down how the phone of this home meets computers.
fn settle(stage: &Stage, home: &Home) {
    let authority = stage.certificates().authority();
    fs::copy(authority, home.folder().join("authority.pem")).unwrap();
    let settings = format!(
        "# Where computers are met.\nradio = simulated={}\nrelay = {}\ntunnel-domain = {DOMAIN}\n\
         ca-file = authority.pem\nchannel = relay\n",
        stage.air("here").display(),
        stage.relay_url(),
    );
    fs::write(home.folder().join("settings"), settings).unwrap();
}

fn ends_well(phone: Process, computer: Process) {
    let phone = phone.finish(PATIENCE).unwrap();
    assert_eq!(phone.code, 0, "{phone:?}");
    let computer = computer.finish(PATIENCE).unwrap();
    assert_eq!(computer.code, 0, "{computer:?}");
}

#[test]
fn a_picture_on_standard_input_is_answered_by_the_settings_alone() {
    let stage = stage();
    let home = phone(&stage, "phone");
    settle(&stage, &home);
    let (computer, _, picture) = computer(&stage, "computer");
    let arguments = [&["scan", "-"], &APPROVE[..]].concat();
    let mut command = stage.command(Program::Phone, &home, &arguments);
    command.stdin(File::open(picture).unwrap());
    let answered = command.output().unwrap();
    assert!(answered.status.success(), "{answered:?}");
    assert_eq!(computer.finish(PATIENCE).unwrap().code, 0);
}

#[test]
fn a_link_in_small_letters_is_answered_too_and_options_win_over_settings() {
    let stage = stage();
    let home = phone(&stage, "phone");
    settle(&stage, &home);
    let (computer, url, _) = computer(&stage, "computer");
    // The settings are of another place than the option.
    let nowhere = format!("simulated={}", stage.air("nowhere").display());
    let lost = ["scan", &url, "--radio", &nowhere, "--timeout", "1"];
    let mut arguments = lost.to_vec();
    arguments.extend(APPROVE);
    let lost = stage.run(Program::Phone, &home, &arguments).unwrap();
    assert_eq!(lost.code, 4, "{lost:?}");
    let small = url.replace("FIDO:/", "fido:/");
    let mut arguments = vec!["scan", &small];
    arguments.extend(APPROVE);
    let phone = stage.spawn(Program::Phone, &home, &arguments).unwrap();
    ends_well(phone, computer);
}

#[test]
fn settings_that_cannot_be_read_are_told_with_their_line() {
    let stage = stage();
    let home = phone(&stage, "phone");
    let scan = words(&["scan", "FIDO:/1"]);
    let settings = home.folder().join("settings");
    for (text, word) in [
        ("relay = \n", "line 1"),
        ("\nrelays = x", "relays is no setting"),
    ] {
        fs::write(&settings, text).unwrap();
        told(&run(&stage, Program::Phone, &home, &scan, ""), 2, word);
    }
    fs::write(&settings, "relay = wss://localhost:1\n").unwrap();
    told(
        &run(&stage, Program::Phone, &home, &scan, ""),
        2,
        "no relay to meet",
    );
    fs::write(&settings, [0xff]).unwrap();
    told(
        &run(&stage, Program::Phone, &home, &scan, ""),
        1,
        "settings cannot be read",
    );
}

#[test]
fn where_there_is_no_code_that_is_said() {
    let stage = stage();
    let home = phone(&stage, "phone");
    settle(&stage, &home);
    let scan = |arguments: &[&str], input: &str| {
        let mut all = words(&["scan"]);
        all.extend(words(arguments));
        run(&stage, Program::Phone, &home, &all, input)
    };
    told(&scan(&["-"], ""), 2, "Nothing came");
    told(&scan(&["-"], "hello\n"), 2, "no code that a computer made");
    told(
        &scan(&["-"], "RIFF and nothing more"),
        2,
        "cannot be read as a picture",
    );
    // A picture without end is not read to it.
    told(&scan(&["--image", "/dev/zero"], ""), 2, "too large");
    told(&scan(&["--image", "/nonexistent"], ""), 2, "cannot be read");
    for arguments in [&[][..], &["-", "--clipboard"], &["FIDO:/1", "--image", "x"]] {
        told(&scan(arguments, ""), 2, "--image");
    }
}

#[test]
fn without_a_desktop_there_is_no_clipboard_and_without_its_tool_that_is_named() {
    let stage = stage();
    let home = phone(&stage, "phone");
    let scan = |variable: &str, path: &str| {
        let mut command = stage.command(Program::Phone, &home, &["scan", "--clipboard"]);
        command.env_remove("WAYLAND_DISPLAY").env_remove("DISPLAY");
        finish(command_with(command, variable, path), "")
    };
    told(&scan("UNUSED", ""), 2, "no clipboard");
    told(&scan("DISPLAY", "/nonexistent"), 1, "xclip");
    told(&scan("WAYLAND_DISPLAY", "/nonexistent"), 1, "wl-paste");
}

fn command_with(mut command: Command, variable: &str, path: &str) -> Command {
    command.env(variable, ":none").env("PATH", path);
    command
}

/// An X server without a screen. It ends with this.
struct Xvfb {
    server: Child,
    display: String,
    /// Who holds what was copied.
    holders: Vec<Child>,
}

impl Xvfb {
    /// Starts one; nothing where it or `xclip` is missing, which is printed.
    fn start() -> Option<Self> {
        if let Err(error) = Command::new("xclip").arg("-version").output() {
            eprintln!("skipped: there is no xclip ({error})");
            return None;
        }
        let mut server = Command::new("Xvfb");
        server.args([
            "-displayfd",
            "1",
            "-nolisten",
            "tcp",
            "-screen",
            "0",
            "64x64x24",
        ]);
        let mut server = match server.stdout(Stdio::piped()).stderr(Stdio::null()).spawn() {
            Ok(server) => server,
            Err(error) => {
                eprintln!("skipped: there is no Xvfb ({error})");
                return None;
            }
        };
        let mut number = String::new();
        let mut out = std::io::BufReader::new(server.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut out, &mut number).unwrap();
        Some(Self {
            server,
            display: format!(":{}", number.trim()),
            holders: Vec::new(),
        })
    }

    fn tool(&self, arguments: &[&str]) -> Command {
        let mut tool = Command::new("xclip");
        tool.args(["-selection", "clipboard"]).args(arguments);
        tool.env("DISPLAY", &self.display);
        tool
    }

    /// Copies bytes of a kind, as a program does that stays.
    fn copy(&mut self, kind: &str, bytes: &[u8]) {
        let mut holder = self.tool(&["-in", "-quiet", "-target", kind]);
        let mut holder = holder
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        holder.stdin.take().unwrap().write_all(bytes).unwrap();
        self.holders.push(holder);
        let begin = Instant::now();
        loop {
            let there = self.tool(&["-out", "-target", kind]).output().unwrap();
            if there.stdout == bytes {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "nothing is copied");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Xvfb {
    fn drop(&mut self) {
        for child in self.holders.iter_mut().chain([&mut self.server]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn what_was_copied_on_a_real_desktop_is_answered() {
    let Some(mut x) = Xvfb::start() else {
        return;
    };
    let stage = stage();
    let home = phone(&stage, "phone");
    settle(&stage, &home);
    let scan = |x: &Xvfb, more: &[&str]| {
        let arguments = [&["scan", "--clipboard"], more].concat();
        let mut command = stage.command(Program::Phone, &home, &arguments);
        command
            .env_remove("WAYLAND_DISPLAY")
            .env("DISPLAY", &x.display);
        command
    };
    told(&finish(scan(&x, &[]), ""), 1, "nothing in the clipboard");
    x.copy("UTF8_STRING", b"hello");
    told(
        &finish(scan(&x, &[]), ""),
        2,
        "no FIDO:/ code in the clipboard",
    );
    let (first, url, _) = computer(&stage, "first");
    x.copy("UTF8_STRING", format!("Scan {url} please").as_bytes());
    ends_well(
        Process::spawn("phone", &mut scan(&x, &APPROVE)).unwrap(),
        first,
    );
    let (second, _, picture) = computer(&stage, "second");
    x.copy("image/png", &fs::read(picture).unwrap());
    ends_well(
        Process::spawn("phone", &mut scan(&x, &APPROVE)).unwrap(),
        second,
    );
}

#[test]
fn the_desktop_opens_links_with_it() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../packaging/desktop/handfast-authenticator.desktop"
    );
    let text = fs::read_to_string(file).unwrap();
    assert!(
        text.contains("\nMimeType=x-scheme-handler/fido;\n"),
        "{text}"
    );
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Exec="))
        .unwrap();
    // What the desktop puts in place of %u is a code that no computer made.
    let mut arguments = line
        .split(' ')
        .map(|word| word.replace("%u", "fido:/12345"));
    assert_eq!(arguments.next().as_deref(), Some(Program::Phone.name()));
    let arguments: Vec<String> = arguments.collect();
    let stage = stage();
    let home = phone(&stage, "phone");
    settle(&stage, &home);
    told(
        &run(&stage, Program::Phone, &home, &arguments, ""),
        2,
        "no code that a computer made",
    );
    match Command::new("desktop-file-validate").arg(file).output() {
        Ok(checked) => assert!(
            checked.status.success() && checked.stdout.is_empty(),
            "{checked:?}"
        ),
        Err(error) => eprintln!("skipped: there is no desktop-file-validate ({error})"),
    }
}
