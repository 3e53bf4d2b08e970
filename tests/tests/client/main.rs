//! `handfast` as the person and the program before it meet it: what it refuses and when, what it says
//! and what it never says, and what it leaves behind.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod link;
mod local;
mod nearby;
mod site;
mod talk;

use std::process::{Command, Stdio};

use handfast_demo::stage::{Finished, Home, Process, Program, Stage};
use handfast_tests::{programs, run, words};
use serde_json::Value;

const PASSPHRASE: &str = "copper lantern orbit velvet thistle harbor";
const PIN: &str = "271828";
const ORIGIN: &str = "https://example.org";
const CREATE: &str = r#"{"challenge":"AAAAAAAAAAAAAAAAAAAAAA","rp":{"id":"example.org","name":"E"},
    "user":{"id":"AAAA","name":"ana","displayName":"A"},"pubKeyCredParams":[{"type":"public-key","alg":-7}]}"#;
const GET: &str = r#"{"challenge":"AAAAAAAAAAAAAAAAAAAAAA","rpId":"example.org"}"#;

fn stage() -> Stage {
    Stage::start(programs()).unwrap()
}

/// Checks the exit code, and that the words are for a person: the given one among them, and what to do
/// after what happened.
fn told(finished: &Finished, code: i32, word: &str) {
    assert_eq!(finished.code, code, "{finished:?}");
    assert!(finished.err.contains(word), "“{word}” in {}", finished.err);
    for foreign in ["panicked", "Error(", "Err(", "::", "None", "Some("] {
        assert!(
            !finished.err.contains(foreign),
            "“{foreign}” in {}",
            finished.err
        );
    }
    let lines = finished.err.lines().count();
    assert!(lines >= 2, "what to do is missing: {}", finished.err);
}

/// Reads every line of standard error as JSON.
fn events(finished: &Finished) -> Vec<Value> {
    let lines = finished.err.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect()
}

/// A device that has made a vault of its own, for tests.
fn phone(stage: &Stage, name: &str) -> Home {
    let home = stage.home(name, PASSPHRASE, PIN).unwrap();
    let init = words(&["init", "--for-tests", "--name", name]);
    let made = run(stage, Program::Phone, &home, &init, "");
    assert_eq!(made.code, 0, "{}", made.err);
    home
}

/// Runs `handfast` to its end.
fn handfast(stage: &Stage, home: &Home, arguments: &[&str], input: &str) -> Finished {
    run(stage, Program::Desktop, home, &words(arguments), input)
}

/// Starts a command with the options by which phone and desktop find each other.
fn start(stage: &Stage, program: Program, home: &Home, arguments: &[&str]) -> Process {
    let mut arguments = words(arguments);
    arguments.extend(match program {
        Program::Phone => stage.phone_options("here"),
        _ => stage.desktop_options("here"),
    });
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    stage.spawn(program, home, &arguments).unwrap()
}

/// Prepares a command without a terminal, though whoever runs the tests may have one, and without
/// those secrets in files that `unset` names.
fn without_terminal(stage: &Stage, home: &Home, arguments: &[&str], unset: &[&str]) -> Command {
    let inner = stage.command(Program::Desktop, home, arguments);
    let mut command = Command::new("setsid");
    command.arg("--wait");
    command.arg(inner.get_program()).args(inner.get_args());
    home.apply(&mut command);
    for variable in unset {
        command.env_remove(variable);
    }
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs such a command to its end.
fn finish(mut command: Command, input: &str) -> Finished {
    use std::io::Write;

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
