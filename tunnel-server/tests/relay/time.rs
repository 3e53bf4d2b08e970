//! What ends by time, and what lives on.

use std::time::Duration;

use futures_util::SinkExt;
use handfast_relay::limits::Limits;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::harness::{PATIENCE, Relay, Socket, TUNNEL, binary, bytes, close_code, next};

/// Pings often, and waits for no farewell.
fn hasty() -> Limits {
    Limits {
        ping_every: Duration::from_millis(100),
        closing: Duration::from_millis(50),
        ..Limits::default()
    }
}

/// Reads so many pings, and answers all but perhaps the last.
async fn pings(socket: &mut Socket, count: usize) {
    for _ in 0..count {
        let read = next(socket).await;
        assert!(matches!(read, Some(Ok(Message::Ping(_)))), "{read:?}");
    }
}

#[tokio::test]
async fn who_answers_pings_stays() {
    let relay = Relay::start(hasty()).await;
    let (mut phone, mut client, _) = relay.pair().await;
    tokio::join!(pings(&mut phone, 6), pings(&mut client, 6));
    phone.send(binary(b"still here")).await.unwrap();
    assert_eq!(bytes(&mut client).await, b"still here");
}

#[tokio::test]
async fn who_answers_no_ping_is_gone_and_the_other_is_told() {
    let relay = Relay::start(hasty()).await;
    // A socket that nobody reads answers nothing.
    let (mut phone, _silent, _) = relay.pair().await;
    assert_eq!(close_code(&mut phone).await, Some(CloseCode::Away));
    let relay = Relay::start(hasty()).await;
    let (_silent, mut client, _) = relay.pair().await;
    assert_eq!(close_code(&mut client).await, Some(CloseCode::Away));
}

#[tokio::test]
async fn any_message_is_a_sign_of_life() {
    let relay = Relay::start(hasty()).await;
    let (mut phone, mut client, _) = relay.pair().await;
    for number in 0..6 {
        pings(&mut phone, 1).await;
        client.send(binary(&[number])).await.unwrap();
        assert_eq!(bytes(&mut phone).await, [number]);
    }
}

#[tokio::test]
async fn a_waiting_phone_that_answers_no_ping_leaves_its_name() {
    let relay = Relay::start(hasty()).await;
    let (_silent, _) = relay.phone().await;
    timeout(PATIENCE, async {
        while relay.open(&format!("/cable/new/{TUNNEL}")).await.is_err() {}
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_tunnel_lives_only_so_long() {
    let limits = Limits {
        unpaired: Duration::from_millis(50),
        ..Limits::default()
    };
    let relay = Relay::start(limits).await;
    let (mut phone, _) = relay.phone().await;
    assert_eq!(close_code(&mut phone).await, Some(CloseCode::Policy));
    let limits = Limits {
        total: Duration::from_secs(1),
        ..Limits::default()
    };
    let relay = Relay::start(limits).await;
    let (mut phone, mut client, _) = relay.pair().await;
    client.send(binary(b"in time")).await.unwrap();
    assert_eq!(bytes(&mut phone).await, b"in time");
    assert_eq!(close_code(&mut phone).await, Some(CloseCode::Policy));
    assert_eq!(close_code(&mut client).await, Some(CloseCode::Policy));
}
