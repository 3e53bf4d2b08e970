//! The program among others: a service manager, a proxy that passes bytes on.

use std::os::fd::OwnedFd;
use std::process::Stdio;

use futures_util::stream::FuturesUnordered;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpStream, UnixDatagram};
use tokio::process::{Child, Command};
use tokio::time::timeout;
#[cfg(target_os = "linux")]
use tokio_tungstenite::tungstenite::Message;

#[cfg(target_os = "linux")]
use crate::harness::TUNNEL;
use crate::harness::{PATIENCE, Relay, binary, bytes};
#[cfg(target_os = "linux")]
use crate::program::start_heard;
use crate::program::{port, signal, start_with};

#[tokio::test]
async fn a_service_manager_passes_the_socket_and_is_told_what_happens() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let news = UnixDatagram::bind(&path).unwrap();
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let opened = socket.local_addr().unwrap();
    let mut child = Command::new("sh")
        .args(["-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec $0 \"$@\" 3<&0 <&-"])
        .arg(env!("CARGO_BIN_EXE_handfast-relay"))
        .args(["serve", "--listen", "systemd"])
        .env("NOTIFY_SOCKET", &path)
        .stdin(OwnedFd::from(socket))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = timeout(PATIENCE, out.next_line()).await.unwrap().unwrap();
    assert_eq!(line.unwrap(), format!("listening on ws://{opened}"));
    let mut told = [0; 64];
    let length = timeout(PATIENCE, news.recv(&mut told)).await.unwrap();
    assert_eq!(told[..length.unwrap()].trim_ascii_end(), b"READY=1");
    let relay = Relay::of_program(opened.port());
    let (mut phone, mut client, _) = relay.pair().await;
    phone.send(binary(b"hello")).await.unwrap();
    assert_eq!(bytes(&mut client).await, b"hello");
    drop((phone, client));
    signal(&child, "TERM").await;
    let length = timeout(PATIENCE, news.recv(&mut told)).await.unwrap();
    assert_eq!(told[..length.unwrap()].trim_ascii_end(), b"STOPPING=1");
    let status = timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn a_socket_that_was_not_passed_is_missed() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_handfast-relay"));
    program.args(["serve", "--listen", "systemd"]);
    let output = timeout(PATIENCE, program.output()).await.unwrap().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("passed no TCP socket"), "{said}");
}

/// What a proxy says before all else, when it calls for this address, or for nobody.
fn header(source: Option<[u8; 4]>) -> Vec<u8> {
    let signature = b"\r\n\r\n\0\r\nQUIT\n";
    match source {
        Some(source) => [
            &signature[..],
            b"\x21\x11\0\x0C",
            &source,
            &[198, 51, 100, 1, 0x30, 0x39, 1, 187],
        ]
        .concat(),
        None => [&signature[..], b"\x20\x00\0\0"].concat(),
    }
}

/// Connects as a proxy that calls for this address.
async fn connect_for(port: u16, source: Option<[u8; 4]>) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(&header(source)).await.unwrap();
    stream
}

/// A relay that only proxies reach, which speak the PROXY protocol.
async fn behind_proxies(arguments: &[&str]) -> (Child, Relay) {
    let usual = ["serve", "--listen", "127.0.0.1:0", "--proxy-protocol"];
    let (child, said) = start_with(":", &[&usual[..], arguments].concat(), 1).await;
    (child, Relay::of_program(port(&said[0])))
}

#[tokio::test]
async fn a_proxy_that_passes_bytes_on_says_for_whom_it_calls() {
    let (_child, relay) = behind_proxies(&["--tunnels-per-address", "1"]).await;
    let mut held = Vec::new();
    let first = Some([192, 0, 2, 7]);
    for (number, source, wanted) in [
        (1, first, None),
        (2, first, Some(429)),
        (3, Some([192, 0, 2, 8]), None),
        // For nobody: then it is the proxy's own account, and nobody else's.
        (4, None, None),
        (5, None, Some(429)),
    ] {
        let stream = connect_for(relay.port, source).await;
        let path = format!("/cable/new/{number:032X}");
        let opened = relay.open_over(stream, &path).await;
        assert_eq!(opened.as_ref().err(), wanted.as_ref(), "{number}");
        held.extend(opened);
    }
    // What a client adds is only its own word.
    let mut liar = connect_for(relay.port, None).await;
    let request = format!(
        "GET /cable/new/{:032X} HTTP/1.1\r\nX-Forwarded-For: 192.0.2.9\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: fido.cable\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        6
    );
    liar.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    let read = timeout(PATIENCE, liar.read_exact(&mut answer));
    read.await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 429");
    // Who does not say it is not served.
    let mut silent = TcpStream::connect(("127.0.0.1", relay.port)).await.unwrap();
    let _ = silent.write_all(b"GET /healthz HTTP/1.1\r\n\r\n").await;
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, silent.read_to_end(&mut answer))
        .await
        .unwrap();
    assert_eq!(answer, b"");
}

#[tokio::test]
async fn who_is_silent_behind_a_proxy_has_the_places_of_his_own_address() {
    let limits = ["--openings", "44", "--openings-per-address", "4"];
    let (_child, relay) = behind_proxies(&limits).await;
    let mut slow = connect_for(relay.port, Some([192, 0, 2, 99])).await;
    let silent = FuturesUnordered::new();
    for _ in 0..40 {
        let mut stream = connect_for(relay.port, Some([192, 0, 2, 1])).await;
        silent.push(async move { stream.read_u8().await });
    }
    // All but four lose their places, and none of another address does.
    let lost = timeout(PATIENCE, silent.take(36).count());
    assert_eq!(lost.await.unwrap(), 36);
    slow.write_all(b"GET /healthz HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    let mut answer = [0; 12];
    let read = timeout(PATIENCE, slow.read_exact(&mut answer));
    read.await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}

/// Plays a tunnel and some that are refused, and returns all that the log says of it.
#[cfg(target_os = "linux")]
async fn log(arguments: &[&str]) -> String {
    let usual = ["-vv", "--log-json", "serve", "--listen", "127.0.0.1:0"];
    let (mut child, port, mut errors) = start_heard(":", &[&usual, arguments].concat()).await;
    let relay = Relay::of_program(port);
    let (mut phone, client, routing) = relay.pair().await;
    assert!(relay.open(&format!("/cable/new/{TUNNEL}")).await.is_err());
    let unknown = format!("/cable/connect/{routing}/{}", "AB".repeat(16));
    assert!(relay.open(&unknown).await.is_err());
    phone.send(Message::text("text")).await.unwrap();
    drop((phone, client));
    signal(&child, "TERM").await;
    let mut said = String::new();
    while let Some(line) = timeout(PATIENCE, errors.next_line())
        .await
        .unwrap()
        .unwrap()
    {
        serde_json::from_str::<serde_json::Value>(&line).unwrap();
        said.push_str(&line);
    }
    let status = timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
    said.to_ascii_uppercase()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_log_names_nobody_unless_it_is_asked_to() {
    let usual = log(&[]).await;
    assert!(
        usual.contains("A TUNNEL ENDED") && usual.contains("409"),
        "{usual}"
    );
    let private = [TUNNEL, &"AB".repeat(16), "127.0.0.1"];
    for word in private {
        assert!(!usual.contains(word), "{word} in {usual}");
    }
    let asked = log(&["--show-identifiers"]).await;
    for word in private {
        assert!(asked.contains(word), "{word} in {asked}");
    }
}
