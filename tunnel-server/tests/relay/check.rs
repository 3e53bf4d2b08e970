//! The program looks at a relay from outside.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::time::timeout;

use crate::program::{port, start_with};
use crate::tls::{certify, start_with_tls};

/// What is said of a relay, on both outputs, and the exit code.
async fn check(arguments: &[&str]) -> (String, Option<i32>) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_handfast-relay"));
    program.arg("check").args(arguments).kill_on_drop(true);
    let output = timeout(Duration::from_secs(60), program.output());
    let output = output.await.unwrap().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (String::from_utf8(said).unwrap(), output.status.code())
}

#[tokio::test]
async fn a_relay_with_tls_is_good() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    let (_child, port) = start_with_tls(folder.path(), &[]).await;
    let chain = folder.path().join("cert.pem").display().to_string();
    let url = format!("wss://localhost:{port}");
    let (said, code) = check(&[&url, "--ca-file", &chain, "--idle", "1"]).await;
    assert_eq!(code, Some(0), "{said}");
    let noted: Vec<_> = said.lines().filter(|line| line.starts_with('·')).collect();
    assert_eq!(noted, ["· name: localhost is no tunnel domain"], "{said}");
    assert!(said.ends_with("The relay is good.\n"), "{said}");
    assert_eq!(said.matches('✓').count(), 19, "{said}");

    let (said, code) = check(&[&url]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("✗ TLS: the certificate's issuer is not known here"),
        "{said}"
    );
    let (said, _) = check(&[&format!("wss://127.0.0.1:{port}"), "--ca-file", &chain]).await;
    assert!(
        said.contains("✗ TLS: the certificate is for another name"),
        "{said}"
    );
    let (said, _) = check(&[&format!("ws://localhost:{port}")]).await;
    assert!(said.contains("If it speaks TLS, ask for wss://"), "{said}");
}

#[tokio::test]
async fn limits_that_are_too_small_are_found() {
    let arguments = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--message-bytes",
        "70000",
    ];
    let (_child, said) = start_with(":", &arguments, 1).await;
    let port = port(&said[0]);
    let (said, code) = check(&[&format!("ws://127.0.0.1:{port}"), "--json"]).await;
    assert_eq!(code, Some(1), "{said}");
    let bad: Vec<_> = said
        .lines()
        .filter(|line| line.contains("\"bad\""))
        .collect();
    assert_eq!(bad.len(), 1, "{said}");
    assert!(
        bad[0].contains("of 1048576 bytes: the relay closes with 1008"),
        "{said}"
    );
    let (said, _) = check(&[&format!("wss://127.0.0.1:{port}")]).await;
    assert!(
        said.contains("✗ TLS: what answers there does not speak TLS"),
        "{said}"
    );
}

/// A proxy that replaces one text by another in the begin of every answer.
async fn spoiler(relay: u16, from: &'static str, to: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut outer, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut inner = TcpStream::connect(("127.0.0.1", relay)).await?;
                let mut request = [0; 4096];
                let length = outer.read(&mut request).await?;
                inner.write_all(&request[..length]).await?;
                let mut answer = [0; 4096];
                let length = inner.read(&mut answer).await?;
                let answer = &answer[..length];
                // Frames may follow the head.
                let head = answer.windows(4).position(|end| end == b"\r\n\r\n");
                let (head, rest) = answer.split_at(head.unwrap_or(length));
                let head = String::from_utf8_lossy(head).replace(from, to);
                outer.write_all(head.as_bytes()).await?;
                outer.write_all(rest).await?;
                tokio::io::copy_bidirectional(&mut outer, &mut inner).await
            });
        }
    });
    port
}

#[tokio::test]
async fn what_a_proxy_spoils_is_found() {
    let (_child, said) = start_with(":", &["serve", "--listen", "127.0.0.1:0"], 1).await;
    let relay = port(&said[0]);
    for (from, to, finding, code) in [
        (
            "X-caBLE-Routing-ID",
            "X-Other",
            "✗ phone: the answer tells no routing ID",
            1,
        ),
        (
            "Routing-ID: ",
            "Routing-ID: 0",
            "✗ phone: the answer tells no routing ID",
            1,
        ),
        ("fido.cable", "chat", "✗ phone: ", 1),
        (
            "101 Switching Protocols",
            "200 OK",
            "✗ phone: it is answered with status 200",
            1,
        ),
        (
            "404 Not Found",
            "400 Bad",
            "· strangers: a client without a phone: it is answered with status 400",
            0,
        ),
        ("409 Conflict", "403 Forbidden", "✓ conflicts: ", 0),
    ] {
        let port = spoiler(relay, from, to).await;
        let (said, exit) = check(&[&format!("ws://127.0.0.1:{port}")]).await;
        assert!(said.contains(finding), "{from} -> {to}: {said}");
        assert_eq!(exit, Some(code), "{said}");
    }
}

#[tokio::test]
async fn what_cannot_be_examined_is_said() {
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = unused.local_addr().unwrap().port();
    drop(unused);
    let (said, code) = check(&[&format!("ws://127.0.0.1:{port}")]).await;
    assert!(said.contains("✗ address: "), "{said}");
    assert_eq!(code, Some(1));
    for (relay, sentence) in [
        ("https://relay.example", "begins with wss://"),
        ("wss://relay.example/cable/new", "only wss://HOST"),
        ("a b", "a relay's address is expected"),
    ] {
        let (said, code) = check(&[relay]).await;
        assert!(said.contains(sentence), "{said}");
        assert_eq!(code, Some(2));
    }
    let (said, code) = check(&["relay.example", "--ca-file", "/nonexistent"]).await;
    assert!(
        said.contains("The certificate file /nonexistent cannot be used"),
        "{said}"
    );
    assert_eq!(code, Some(1));
}
