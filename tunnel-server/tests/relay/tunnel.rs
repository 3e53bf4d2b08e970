//! What a tunnel does, and what ends it.

use std::time::Duration;

use futures_util::SinkExt;
use handfast_relay::limits::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::harness::{PATIENCE, Relay, TUNNEL, binary, bytes, close_code, next};

#[tokio::test]
async fn messages_pass_both_ways_and_a_clean_end_is_told() {
    let relay = Relay::start(Limits::default()).await;
    let (mut phone, mut client, _) = relay.pair().await;
    client.send(binary(b"hello")).await.unwrap();
    assert_eq!(bytes(&mut phone).await, b"hello");
    let large = vec![7; 1024 * 1024 + 1024];
    phone.send(binary(&large)).await.unwrap();
    assert_eq!(bytes(&mut client).await, large);
    client.close(None).await.unwrap();
    assert_eq!(close_code(&mut phone).await, Some(CloseCode::Normal));
    // Both are answered before the connection ends, as RFC 6455 §7.1.1 has it.
    assert!(matches!(
        next(&mut client).await,
        Some(Ok(Message::Close(None)))
    ));
    assert!(next(&mut client).await.is_none());
    assert!(next(&mut phone).await.is_none());
    drop((phone, client));
    // The name is free again.
    timeout(PATIENCE, async {
        while relay.open(&format!("/cable/new/{TUNNEL}")).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn what_the_phone_says_early_is_kept_for_its_client() {
    let relay = Relay::start(Limits::default()).await;
    let (mut phone, routing) = relay.phone().await;
    for number in 0..8 {
        phone.send(binary(&[number])).await.unwrap();
    }
    let (mut client, _) = relay
        .open(&format!("/cable/connect/{routing}/{TUNNEL}"))
        .await
        .unwrap();
    for number in 0..8 {
        assert_eq!(bytes(&mut client).await, [number]);
    }
}

#[tokio::test]
async fn too_much_before_the_client_comes_ends_the_tunnel() {
    let relay = Relay::start(Limits::default()).await;
    let (mut phone, _) = relay.phone().await;
    for number in 0..9 {
        phone.send(binary(&[number])).await.unwrap();
    }
    assert_eq!(close_code(&mut phone).await, Some(CloseCode::Policy));
    let (mut phone, _) = {
        let other = TUNNEL.replace("DE", "AB");
        relay.open(&format!("/cable/new/{other}")).await.unwrap()
    };
    phone.send(binary(&vec![0; 70_000])).await.unwrap();
    assert_eq!(close_code(&mut phone).await, Some(CloseCode::Size));
}

#[tokio::test]
async fn the_first_client_stays_and_the_first_phone_too() {
    let relay = Relay::start(Limits::default()).await;
    assert_eq!(
        relay
            .open(&format!("/cable/connect/000000/{TUNNEL}"))
            .await
            .err(),
        Some(404)
    );
    let (mut phone, mut client, routing) = relay.pair().await;
    let second = relay
        .open(&format!("/cable/connect/{routing}/{TUNNEL}"))
        .await;
    assert_eq!(second.err(), Some(409));
    assert_eq!(
        relay.open(&format!("/cable/new/{TUNNEL}")).await.err(),
        Some(409)
    );
    client.send(binary(b"still here")).await.unwrap();
    assert_eq!(bytes(&mut phone).await, b"still here");
}

#[tokio::test]
async fn who_breaks_a_rule_is_told_which_and_the_other_is_let_go() {
    for (message, code) in [
        (Message::text("hello"), CloseCode::Unsupported),
        (binary(b""), CloseCode::Protocol),
        (binary(&vec![0; 2 * 1024 * 1024]), CloseCode::Size),
    ] {
        let relay = Relay::start(Limits::default()).await;
        let (mut phone, mut client, _) = relay.pair().await;
        client.send(message).await.unwrap();
        assert_eq!(
            close_code(&mut phone).await,
            Some(CloseCode::Policy),
            "{code:?}"
        );
        assert_eq!(close_code(&mut client).await, Some(code));
    }
}

#[tokio::test]
async fn who_is_still_sending_is_heard_out_before_the_connection_ends() {
    let relay = Relay::start(Limits {
        closing: PATIENCE,
        ..Limits::default()
    })
    .await;
    let (mut phone, _) = relay.phone().await;
    // A reset would fail the sending, or stand in for the end.
    phone.send(binary(&vec![0; 8 * 1024 * 1024])).await.unwrap();
    assert_eq!(close_code(&mut phone).await, Some(CloseCode::Size));
    assert!(next(&mut phone).await.is_none());
}

#[tokio::test]
async fn too_many_messages_end_a_tunnel() {
    let relay = Relay::start(Limits {
        messages_per_side: 3,
        ..Limits::default()
    })
    .await;
    let (mut phone, mut client, _) = relay.pair().await;
    for _ in 0..4 {
        client.send(binary(b"x")).await.unwrap();
    }
    assert_eq!(close_code(&mut client).await, Some(CloseCode::Policy));
    for _ in 0..3 {
        assert_eq!(bytes(&mut phone).await, b"x");
    }
}

#[tokio::test]
async fn a_peer_that_vanishes_is_told_to_the_other() {
    let relay = Relay::start(Limits::default()).await;
    let (mut phone, client, _) = relay.pair().await;
    drop(client);
    assert_eq!(close_code(&mut phone).await, Some(CloseCode::Away));
}

#[tokio::test]
async fn pings_are_answered_and_not_passed_on() {
    let relay = Relay::start(Limits::default()).await;
    let (mut phone, mut client, _) = relay.pair().await;
    client
        .send(Message::Ping(b"are you there"[..].into()))
        .await
        .unwrap();
    assert!(matches!(
        next(&mut client).await,
        Some(Ok(Message::Pong(_)))
    ));
    client.send(binary(b"next")).await.unwrap();
    assert_eq!(bytes(&mut phone).await, b"next");
}

#[tokio::test]
async fn slow_and_strange_requests_get_an_answer_or_the_door() {
    let relay = Relay::start(Limits {
        opening: Duration::from_millis(100),
        ..Limits::default()
    })
    .await;
    let mut slow = TcpStream::connect(("127.0.0.1", relay.port)).await.unwrap();
    slow.write_all(b"GET /cable/new/").await.unwrap();
    let mut rest = Vec::new();
    timeout(PATIENCE, slow.read_to_end(&mut rest))
        .await
        .unwrap()
        .unwrap();
    assert!(rest.is_empty());
    for (request, status) in [
        ("POST / HTTP/1.1\r\n\r\n", "405"),
        ("GET / HTTP/1.1\r\n\r\n", "404"),
        ("nonsense\r\n\r\n", "400"),
    ] {
        let mut stream = TcpStream::connect(("127.0.0.1", relay.port)).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut answer))
            .await
            .unwrap()
            .unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{request}: {answer}"
        );
    }
}
