//! The binary.

use std::process::Stdio;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;
#[cfg(target_os = "linux")]
use tokio::{io::Lines, process::ChildStderr};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::harness::{PATIENCE, Relay, TUNNEL, binary, bytes, close_code};

/// Starts the program from a shell that says `first`, and returns its port too. It is killed when
/// the child is dropped.
pub(crate) async fn start(first: &str) -> (Child, u16) {
    let (child, addresses) = start_with(first, &["serve", "--listen", "127.0.0.1:0"], 1).await;
    (child, port(&addresses[0]))
}

/// Starts the program with these arguments, and returns the first lines that it says.
pub(crate) async fn start_with(
    first: &str,
    arguments: &[&str],
    lines: usize,
) -> (Child, Vec<String>) {
    launch(first, arguments, lines, Stdio::null()).await
}

/// Starts the program as [`start_with`] does, and hears what it says on standard error.
#[cfg(target_os = "linux")]
pub(crate) async fn start_heard(
    first: &str,
    arguments: &[&str],
) -> (Child, u16, Lines<BufReader<ChildStderr>>) {
    let (mut child, said) = launch(first, arguments, 1, Stdio::piped()).await;
    let errors = BufReader::new(child.stderr.take().unwrap()).lines();
    (child, port(&said[0]), errors)
}

async fn launch(
    first: &str,
    arguments: &[&str],
    lines: usize,
    errors: Stdio,
) -> (Child, Vec<String>) {
    let mut child = Command::new("sh")
        .args(["-c", &format!("{first}; exec $0 \"$@\"")])
        .arg(env!("CARGO_BIN_EXE_handfast-relay"))
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(errors)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = Vec::new();
    for _ in 0..lines {
        let line = timeout(PATIENCE, out.next_line()).await.unwrap().unwrap();
        said.push(line.unwrap());
    }
    (child, said)
}

/// The port of an address that the program said.
pub(crate) fn port(line: &str) -> u16 {
    let (_, port) = line.trim_end_matches("/metrics").rsplit_once(':').unwrap();
    port.parse().unwrap()
}

/// What is answered to a plain request for this path.
pub(crate) async fn fetch(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = timeout(PATIENCE, stream.read_to_string(&mut answer));
    read.await.unwrap().unwrap();
    answer
}

pub(crate) async fn signal(child: &Child, name: &str) {
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

#[tokio::test]
async fn who_watches_sees_figures_and_the_public_does_not() {
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--watch", "127.0.0.1:0"];
    let (_child, said) = start_with(":", &arguments, 2).await;
    let (public, watch) = (port(&said[0]), port(&said[1]));
    let relay = Relay::of_program(public);
    let (mut phone, mut client, _) = relay.pair().await;
    phone.send(binary(b"hello")).await.unwrap();
    assert_eq!(bytes(&mut client).await, b"hello");
    assert_eq!(relay.open("/cable/new/00").await.err(), Some(404));
    let figures = fetch(watch, "/metrics").await;
    assert!(figures.starts_with("HTTP/1.1 200"), "{figures}");
    for line in [
        "handfast_relay_tunnels{state=\"joined\"} 1",
        "handfast_relay_tunnels{state=\"waiting\"} 0",
        "handfast_relay_refusals_total{reason=\"not_found\"} 1",
        "handfast_relay_opening_seconds_count 2",
    ] {
        assert!(figures.contains(line), "{line} in {figures}");
    }
    assert!(!figures.contains(TUNNEL) && !figures.contains("127.0.0.1"));
    for port in [public, watch] {
        assert!(fetch(port, "/healthz").await.starts_with("HTTP/1.1 200"));
        assert!(fetch(port, "/readyz").await.starts_with("HTTP/1.1 200"));
    }
    assert!(fetch(public, "/metrics").await.starts_with("HTTP/1.1 404"));
    let tunnel = format!("/cable/new/{TUNNEL}");
    assert!(Relay::of_program(watch).open(&tunnel).await.is_err());
    phone.close(None).await.unwrap();
    assert_eq!(close_code(&mut client).await, Some(CloseCode::Normal));
    timeout(PATIENCE, async {
        while !fetch(watch, "/metrics")
            .await
            .contains("ends_total{ending=\"closed\"} 1")
        {}
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_relay_that_stops_lets_tunnels_end_and_makes_none() {
    let (mut child, port) = start(":").await;
    let relay = Relay::of_program(port);
    let (mut phone, mut client, routing) = relay.pair().await;
    let other = TUNNEL.replace("DE", "AB");
    let (mut waiting, _) = relay.open(&format!("/cable/new/{other}")).await.unwrap();
    signal(&child, "TERM").await;
    timeout(PATIENCE, async {
        while fetch(port, "/readyz").await.starts_with("HTTP/1.1 200") {}
    })
    .await
    .unwrap();
    assert!(fetch(port, "/healthz").await.starts_with("HTTP/1.1 200"));
    let third = TUNNEL.replace("DE", "CD");
    let refused = relay.open(&format!("/cable/new/{third}")).await;
    assert_eq!(refused.err(), Some(503));
    // Who was there before goes on, and a phone that waits gets its client.
    phone.send(binary(b"still here")).await.unwrap();
    assert_eq!(bytes(&mut client).await, b"still here");
    let path = format!("/cable/connect/{routing}/{other}");
    let (mut late, _) = relay.open(&path).await.unwrap();
    waiting.send(binary(b"you too")).await.unwrap();
    assert_eq!(bytes(&mut late).await, b"you too");
    for mut side in [client, late] {
        side.close(None).await.unwrap();
        while let Some(Ok(_)) = side.next().await {}
    }
    drop((phone, waiting));
    let status = timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn tunnels_that_do_not_end_in_time_are_told_that_the_relay_goes() {
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--draining", "0"];
    let (mut child, said) = start_with(":", &arguments, 1).await;
    let relay = Relay::of_program(port(&said[0]));
    let (mut phone, mut client, _) = relay.pair().await;
    signal(&child, "TERM").await;
    assert_eq!(close_code(&mut phone).await, Some(CloseCode::Restart));
    assert_eq!(close_code(&mut client).await, Some(CloseCode::Restart));
    drop((phone, client));
    let status = timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn the_second_signal_ends_a_relay_at_once() {
    let (mut child, port) = start(":").await;
    let relay = Relay::of_program(port);
    let (_phone, _client, _) = relay.pair().await;
    signal(&child, "INT").await;
    timeout(PATIENCE, async {
        while fetch(port, "/readyz").await.starts_with("HTTP/1.1 200") {}
    })
    .await
    .unwrap();
    signal(&child, "INT").await;
    let status = timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn a_node_has_the_routing_id_that_it_is_given() {
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--node-id", "0A0b0c"];
    let (_child, said) = start_with(":", &arguments, 1).await;
    let relay = Relay::of_program(port(&said[0]));
    let (_phone, routing) = relay.phone().await;
    assert!(routing.eq_ignore_ascii_case("0a0b0c"), "{routing}");
    let wrong = relay.open(&format!("/cable/connect/0a0b0d/{TUNNEL}")).await;
    assert_eq!(wrong.err(), Some(404));
    relay
        .open(&format!("/cable/connect/0A0B0C/{TUNNEL}"))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_relay_without_tls_listens_to_the_public_only_for_its_proxies() {
    let mut refused = Command::new(env!("CARGO_BIN_EXE_handfast-relay"));
    refused.args(["serve", "--listen", "0.0.0.0:0"]);
    let output = refused.output().await.unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("--trusted-proxy"), "{said}");
    for (proxy, served) in [("127.0.0.0/8", true), ("192.0.2.1", false)] {
        let arguments = ["serve", "--listen", "0.0.0.0:0", "--trusted-proxy", proxy];
        let (_child, said) = start_with(":", &arguments, 1).await;
        let mut stream = TcpStream::connect(("127.0.0.1", port(&said[0])))
            .await
            .unwrap();
        let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\n\r\n").await;
        let mut answer = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut answer))
            .await
            .unwrap();
        assert_eq!(answer.starts_with(b"HTTP/1.1 200"), served, "{proxy}");
    }
}
