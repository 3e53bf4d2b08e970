//! The binary.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::harness::PATIENCE;

/// Starts the program; it is killed when what this returns is dropped.
async fn start() -> Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_handfast-relay"))
        .args(["serve", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut line = String::new();
    let out = child.stdout.as_mut().unwrap();
    timeout(PATIENCE, BufReader::new(out).read_line(&mut line))
        .await
        .unwrap()
        .unwrap();
    assert!(line.starts_with("listening on ws://127.0.0.1:"), "{line}");
    child
}

async fn signal(child: &Child, name: &str) {
    // The shell's own `kill`: a program of that name is not everywhere.
    let sent = Command::new("sh")
        .args(["-c", "kill -s $0 $1", name])
        .arg(child.id().unwrap().to_string())
        .status()
        .await
        .unwrap();
    assert!(sent.success());
}

#[tokio::test]
async fn the_program_ends_well_when_it_is_asked_to() {
    for name in ["INT", "TERM"] {
        let mut child = start().await;
        signal(&child, name).await;
        let status = timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
        assert_eq!(status.code(), Some(0), "{name}");
    }
}
