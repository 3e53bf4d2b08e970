//! What one peer may take from the others.

use futures_util::SinkExt;
use handfast_relay::limits::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::{PATIENCE, Relay, binary, bytes};

/// Connects and says nothing.
async fn silent(port: u16) -> TcpStream {
    TcpStream::connect(("127.0.0.1", port)).await.unwrap()
}

#[tokio::test]
async fn silent_openers_keep_nobody_out_and_the_oldest_of_them_goes() {
    let relay = Relay::start(Limits {
        openings: 4,
        ..Limits::default()
    })
    .await;
    let mut openers = Vec::new();
    for _ in 0..4 {
        openers.push(silent(relay.port).await);
    }
    let (mut phone, mut client, _) = timeout(PATIENCE, relay.pair()).await.unwrap();
    phone.send(binary(b"hello")).await.unwrap();
    assert_eq!(bytes(&mut client).await, b"hello");
    // The phone took a place from the oldest and left it to the client.
    let mut openers = openers.into_iter();
    let mut oldest = openers.next().unwrap();
    let read = timeout(PATIENCE, oldest.read_u8()).await.unwrap();
    assert!(read.is_err());
    for mut opener in openers {
        opener.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        timeout(PATIENCE, opener.read_to_string(&mut answer))
            .await
            .unwrap()
            .unwrap();
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    }
}
