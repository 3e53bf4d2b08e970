//! `handfast` as the person and the program before it meet it: what it refuses and when, what it says
//! and what it never says, and what it leaves behind.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod introduction;
mod link;
mod local;
mod nearby;
mod site;
mod talk;

use std::process::{Command, Stdio};

use handfast_demo::stage::{Finished, Home, Process, Program, Stage};
use handfast_tests::{PASSPHRASE, PIN, finish, phone, run, stage, start, told, words};
use serde_json::Value;

const ORIGIN: &str = "https://example.org";
const CREATE: &str = r#"{"challenge":"AAAAAAAAAAAAAAAAAAAAAA","rp":{"id":"example.org","name":"E"},
    "user":{"id":"AAAA","name":"ana","displayName":"A"},"pubKeyCredParams":[{"type":"public-key","alg":-7}]}"#;
const GET: &str = r#"{"challenge":"AAAAAAAAAAAAAAAAAAAAAA","rpId":"example.org"}"#;

/// Reads every line of standard error as JSON.
fn events(finished: &Finished) -> Vec<Value> {
    let lines = finished.err.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect()
}

/// Runs `handfast` to its end.
fn handfast(stage: &Stage, home: &Home, arguments: &[&str], input: &str) -> Finished {
    run(stage, Program::Desktop, home, &words(arguments), input)
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
