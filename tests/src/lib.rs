//! What the end-to-end tests share: the project's binaries, built once, and people to use them.
//!
//! `cargo test` builds no other package's binaries, so [`programs`] does.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this crate is tests only"
)]

pub mod bluez;
mod daemon;
pub mod keyring;
pub mod notifications;
pub mod terminal;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use handfast_demo::stage::{Finished, Home, Process, Program, Programs, Stage};

/// The pass phrase of every vault here.
pub const PASSPHRASE: &str = "copper lantern orbit velvet thistle harbor";
/// The PIN of every device here.
pub const PIN: &str = "271828";

/// Builds the binaries, with the profile and in the target folder of the running test, and tells
/// where they are.
///
/// # Panics
///
/// If they cannot be built: then no test can say anything.
pub fn programs() -> Programs {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        // …/target/PROFILE/deps/TEST
        let test = std::env::current_exe().expect("a test has an executable");
        let folder = test
            .ancestors()
            .nth(2)
            .expect("a test is in target/PROFILE/deps");
        let target = folder
            .parent()
            .expect("a profile's folder is in the target folder");
        let mut build = Command::new(option_env!("CARGO").unwrap_or("cargo"));
        build
            // With the tests, as a crate has other features then: else half of all would be built once more.
            .args(["build", "--quiet", "--workspace", "--bins", "--tests"])
            .arg("--target-dir")
            .arg(target);
        if folder
            .file_name()
            .is_some_and(|profile| profile == "release")
        {
            build.arg("--release");
        }
        // What cargo tells this test of itself: build scripts look at it, and would run once more for that.
        let own = [
            "CARGO_MANIFEST_",
            "CARGO_PKG_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
            "OUT_DIR",
        ];
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if own.iter().any(|own| name.starts_with(own)) {
                build.env_remove(&*name);
            }
        }
        build.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let built = build.status().expect("cargo runs");
        if !built.success() {
            panic!("the binaries could not be built");
        }
        folder.to_owned()
    });
    Programs::Folder(folder.clone())
}

/// Arguments that own themselves.
pub fn words(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(|&word| word.to_owned()).collect()
}

/// Runs a program to its end with this on its standard input.
///
/// # Panics
///
/// If it cannot be started, or says what is no text.
pub fn run(
    stage: &Stage,
    program: Program,
    home: &Home,
    arguments: &[String],
    input: &str,
) -> Finished {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    finish(stage.command(program, home, &arguments), input)
}

/// Runs a prepared command to its end with this on its standard input.
///
/// # Panics
///
/// If it cannot be started, or says what is no text.
pub fn finish(mut command: Command, input: &str) -> Finished {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that refuses at once does not read its input.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Finished {
        code: output.status.code().unwrap_or(-1),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

/// Starts relay, site and air.
///
/// # Panics
///
/// If they cannot be started.
pub fn stage() -> Stage {
    Stage::start(programs()).unwrap()
}

/// Makes a device with a vault of its own, for tests.
///
/// # Panics
///
/// If it cannot be made.
pub fn phone(stage: &Stage, name: &str) -> Home {
    let home = stage.home(name, PASSPHRASE, PIN).unwrap();
    let init = words(&["init", "--for-tests", "--name", name]);
    let made = run(stage, Program::Phone, &home, &init, "");
    assert_eq!(made.code, 0, "{}", made.err);
    home
}

/// Starts a command with the options by which phone and desktop find each other.
///
/// # Panics
///
/// If it cannot be started.
pub fn start(stage: &Stage, program: Program, home: &Home, arguments: &[&str]) -> Process {
    let mut arguments = words(arguments);
    arguments.extend(match program {
        Program::Phone => stage.phone_options("here"),
        _ => stage.desktop_options("here"),
    });
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    stage.spawn(program, home, &arguments).unwrap()
}

/// Checks the exit code, and that the words are for a person: the given one among them, none of Rust's,
/// and what to do after what happened.
///
/// # Panics
///
/// If it is not so.
pub fn told(finished: &Finished, code: i32, word: &str) {
    assert_eq!(finished.code, code, "{finished:?}");
    let said = &finished.err;
    assert!(said.contains(word), "“{word}” in {said}");
    for foreign in [
        "panicked", "Error(", "Err(", "::", "unwrap", "None", "Some(",
    ] {
        assert!(!said.contains(foreign), "“{foreign}” in {said}");
    }
    assert!(said.lines().count() >= 2, "what to do is missing: {said}");
}
