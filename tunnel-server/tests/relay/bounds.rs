//! What one peer may take from the others.

use futures_util::SinkExt;
use handfast_relay::limits::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::harness::{PATIENCE, Relay, TUNNEL, binary, bytes, close_code, next};
#[cfg(target_os = "linux")]
use crate::hostile::peak_memory;
#[cfg(target_os = "linux")]
use crate::program::start;

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

/// A masked frame's head, of at least 126 bytes; the mask is zero, so that the payload follows as it is.
fn frame_head(opcode: u8, length: u64) -> Vec<u8> {
    let mut head = vec![opcode];
    match u16::try_from(length) {
        Ok(length @ 126..) => {
            head.push(0x80 | 126);
            head.extend(length.to_be_bytes());
        }
        _ => {
            head.push(0x80 | 127);
            head.extend(length.to_be_bytes());
        }
    }
    head.extend([0; 4]);
    head
}

#[tokio::test]
async fn an_unfinished_message_before_the_join_is_cut_off_at_the_limit() {
    const BEGIN: u8 = 0x02;
    const CONTINUE: u8 = 0x00;
    const WHOLE: u8 = 0x82;
    let mut one_frame = frame_head(WHOLE, 1024 * 1024);
    one_frame.resize(72 * 1024, 0);
    let mut fragments = Vec::new();
    for number in 0..72 {
        fragments.extend(frame_head(if number == 0 { BEGIN } else { CONTINUE }, 1024));
        fragments.resize(fragments.len() + 1024, 0);
    }
    for bytes in [one_frame, fragments] {
        let relay = Relay::start(Limits::default()).await;
        let (mut phone, _) = relay.phone().await;
        phone.get_mut().write_all(&bytes).await.unwrap();
        assert_eq!(close_code(&mut phone).await, Some(CloseCode::Size));
    }
}

#[tokio::test]
async fn a_message_that_was_begun_before_the_join_may_be_finished_after_it() {
    let relay = Relay::start(Limits::default()).await;
    let (mut phone, routing) = relay.phone().await;
    let large = vec![7; 1024 * 1024 + 1024];
    let (early, late) = large.split_at(60 * 1024);
    let stream = phone.get_mut();
    stream
        .write_all(&frame_head(0x82, large.len().try_into().unwrap()))
        .await
        .unwrap();
    stream.write_all(early).await.unwrap();
    let path = format!("/cable/connect/{routing}/{TUNNEL}");
    let (mut client, _) = relay.open(&path).await.unwrap();
    stream.write_all(late).await.unwrap();
    assert_eq!(bytes(&mut client).await, large);
}

#[tokio::test]
async fn pings_before_the_join_cost_the_phone_nothing() {
    let relay = Relay::start(Limits::default()).await;
    let (mut phone, routing) = relay.phone().await;
    for _ in 0..600 {
        let ping = Message::Ping(vec![0; 125].into());
        phone.send(ping).await.unwrap();
        assert!(matches!(next(&mut phone).await, Some(Ok(Message::Pong(_)))));
    }
    let path = format!("/cable/connect/{routing}/{TUNNEL}");
    let (mut client, _) = relay.open(&path).await.unwrap();
    phone.send(binary(b"here")).await.unwrap();
    assert_eq!(bytes(&mut client).await, b"here");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_million_pings_whose_pongs_nobody_reads_take_no_memory() {
    let (child, port) = start(":").await;
    let relay = Relay::of_program(port);
    let (mut phone, mut client, _) = relay.pair().await;
    let process = child.id().unwrap();
    let before = peak_memory(process);
    let mut ping = vec![0x89, 0x80 | 125, 0, 0, 0, 0];
    ping.resize(ping.len() + 125, 0);
    let many = ping.repeat(1000);
    let stream = phone.get_mut();
    for _ in 0..1000 {
        let write = timeout(PATIENCE, stream.write_all(&many));
        write.await.expect("pings are taken").unwrap();
    }
    // The tunnel lives, and messages pass it.
    phone.send(binary(b"still here")).await.unwrap();
    assert_eq!(bytes(&mut client).await, b"still here");
    let after = peak_memory(process);
    // What the system says is off by some pages, and may be less later.
    assert!(
        after.saturating_sub(before) < 1024,
        "{before} KiB, then {after} KiB"
    );
}

/// A relay to which this machine is a stranger, not a proxy.
async fn strict(limits: Limits) -> Relay {
    Relay::serve(limits, None, Vec::new()).await
}

fn name(number: u8) -> String {
    format!("/cable/new/{number:032X}")
}

#[tokio::test]
async fn an_address_has_only_so_many_tunnels_and_its_clients_are_not_counted() {
    let relay = strict(Limits {
        tunnels_per_address: 2,
        ..Limits::default()
    })
    .await;
    let (first, routing) = relay.open(&name(1)).await.unwrap();
    let (_second, _) = relay.open(&name(2)).await.unwrap();
    let (_client, _) = relay
        .open(&format!("/cable/connect/{}/{:032X}", routing.unwrap(), 2))
        .await
        .unwrap();
    assert_eq!(relay.open(&name(3)).await.err(), Some(429));
    drop(first);
    timeout(PATIENCE, async {
        while relay.open(&name(4)).await.is_err() {}
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn an_address_makes_only_so_many_tunnels_at_once() {
    let relay = strict(Limits {
        new_at_once_per_address: 3,
        new_per_second_and_address: 1,
        ..Limits::default()
    })
    .await;
    for number in 0..3 {
        relay.open(&name(number)).await.unwrap();
    }
    assert_eq!(relay.open(&name(4)).await.err(), Some(429));
    timeout(PATIENCE, async {
        while relay.open(&name(5)).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn for_whom_a_proxy_calls_is_who_is_limited() {
    let relay = Relay::start(Limits {
        tunnels_per_address: 1,
        ..Limits::default()
    })
    .await;
    let open = async |number: u8, forwarded: &str| {
        let line = format!(
            "GET {} HTTP/1.1\r\nX-Forwarded-For: {forwarded}\r\n",
            name(number)
        );
        let request = format!(
            "{line}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: fido.cable\r\n\r\n"
        );
        let mut stream = silent(relay.port).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.unwrap();
        let status: u16 = std::str::from_utf8(&status[9..]).unwrap().parse().unwrap();
        (stream, status)
    };
    let mut open_ones = Vec::new();
    for (number, forwarded, status) in [
        (1, "192.0.2.1", 101),
        (2, "192.0.2.1", 429),
        (3, "192.0.2.2", 101),
        // He may write what he likes before what the proxy writes.
        (4, "192.0.2.9, 192.0.2.2", 429),
        (5, "2001:db8::1", 101),
        (6, "2001:db8::2", 429),
    ] {
        let (stream, answered) = open(number, forwarded).await;
        assert_eq!(answered, status, "{forwarded}");
        open_ones.push(stream);
    }
}
