//! What the end-to-end tests share: the project's binaries, built once, and people to use them.
//!
//! `cargo test` builds no other package's binaries, so [`programs`] does.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use handfast_demo::stage::{Finished, Home, Program, Programs, Stage};

/// Builds the binaries, with the profile and in the target folder of the running test, and tells
/// where they are.
///
/// # Panics
///
/// If they cannot be built: then no test can say anything.
#[expect(
    clippy::expect_used,
    clippy::panic,
    reason = "this crate is tests only"
)]
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
            .args(["build", "--quiet", "--workspace", "--bins", "--target-dir"])
            .arg(target);
        if folder
            .file_name()
            .is_some_and(|profile| profile == "release")
        {
            build.arg("--release");
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
#[expect(clippy::unwrap_used, reason = "this crate is tests only")]
pub fn run(
    stage: &Stage,
    program: Program,
    home: &Home,
    arguments: &[String],
    input: &str,
) -> Finished {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut command = stage.command(program, home, &arguments);
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
