//! The binary.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::harness::PATIENCE;

/// Starts the program from a shell that says `first`, and returns its port too. It is killed when
/// the child is dropped.
pub(crate) async fn start(first: &str) -> (Child, u16) {
    let mut child = Command::new("sh")
        .args([
            "-c",
            &format!("{first}; exec $0 serve --listen 127.0.0.1:0"),
        ])
        .arg(env!("CARGO_BIN_EXE_handfast-relay"))
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
    let port = line.trim().strip_prefix("listening on ws://127.0.0.1:");
    (child, port.unwrap().parse().unwrap())
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
        let (mut child, _) = start(":").await;
        signal(&child, name).await;
        let status = timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
        assert_eq!(status.code(), Some(0), "{name}");
    }
}

#[tokio::test]
async fn silent_openers_give_up_their_descriptors_to_who_speaks() {
    let (_child, port) = start("ulimit -n 64").await;
    let mut silent = Vec::new();
    for _ in 0..80 {
        silent.push(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
    }
    let mut speaker = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    speaker.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, speaker.read_to_string(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
}
