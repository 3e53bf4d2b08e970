use std::time::Duration;

use handfast_proto::hybrid::{ChannelFailure, Closed};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::*;

/// How much the line between the two ends holds.
const LINE: usize = 256;

type Peer = WebSocketStream<DuplexStream>;

/// A channel, and the bare other end of its line.
async fn wire(line: usize) -> (WebSocket, DuplexStream) {
    let (here, there) = duplex(line);
    let here: Box<dyn Stream> = Box::new(here);
    let config = Some(WebSocket::config());
    let socket = WebSocketStream::from_raw_socket(here, Role::Client, config).await;
    (WebSocket::new(socket), there)
}

async fn pair(line: usize) -> (WebSocket, Peer) {
    let (channel, there) = wire(line).await;
    let peer = WebSocketStream::from_raw_socket(there, Role::Server, None).await;
    (channel, peer)
}

/// Closes as a relay does, which keeps reading until the other end is gone.
async fn closing(mut peer: Peer, code: Option<u16>) {
    let frame = code.map(|code| farewell(code.into()));
    peer.close(frame).await.unwrap();
    while let Some(Ok(_)) = peer.next().await {}
}

async fn close_code(peer: &mut Peer) -> Option<u16> {
    match timeout(FAREWELL, peer.next()).await.unwrap() {
        Some(Ok(Message::Close(frame))) => frame.map(|frame| frame.code.into()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_message_is_one_binary_message_and_may_be_large() {
    let (mut channel, mut peer) = pair(LINE).await;
    let large = vec![7; MAX_FRAME];
    let echo = tokio::spawn(async move {
        let message = peer.next().await.unwrap().unwrap();
        assert!(message.is_binary());
        peer.send(message).await.unwrap();
        peer
    });
    channel.send(large.clone()).await.unwrap();
    assert_eq!(channel.recv().await.unwrap(), large);
    echo.await.unwrap();
}

#[tokio::test]
async fn a_close_code_comes_through() {
    for code in [
        None,
        Some(1000),
        Some(1001),
        Some(1008),
        Some(1009),
        Some(1013),
    ] {
        let (mut channel, peer) = pair(LINE).await;
        let peer = tokio::spawn(closing(peer, code));
        let end = channel.recv().await.unwrap_err();
        assert!(matches!(end, ChannelEnd::Closed(came) if came == code));
        assert_eq!(end.closed(), Closed::from_code(code));
        drop(channel);
        peer.await.unwrap();
    }
}

#[tokio::test]
async fn who_closes_is_answered() {
    let (mut channel, mut peer) = pair(LINE).await;
    peer.close(Some(farewell(CloseCode::Policy))).await.unwrap();
    channel.recv().await.unwrap_err();
    assert_eq!(close_code(&mut peer).await, Some(1008));
}

#[tokio::test]
async fn pings_are_answered_and_are_no_messages() {
    let (mut channel, mut peer) = pair(LINE).await;
    peer.send(Message::Ping(b"well?"[..].into())).await.unwrap();
    peer.send(Message::binary(vec![1])).await.unwrap();
    assert_eq!(channel.recv().await.unwrap(), [1]);
    channel.send(vec![2]).await.unwrap();
    assert_eq!(
        peer.next().await.unwrap().unwrap(),
        Message::Pong(b"well?"[..].into())
    );
    assert_eq!(
        peer.next().await.unwrap().unwrap(),
        Message::binary(vec![2])
    );
}

#[tokio::test]
async fn text_ends_the_channel_and_the_sender_is_told() {
    let (mut channel, mut peer) = pair(LINE).await;
    peer.send(Message::text("hello")).await.unwrap();
    assert!(matches!(channel.recv().await, Err(ChannelEnd::Text)));
    assert_eq!(close_code(&mut peer).await, Some(1003));
}

#[tokio::test]
async fn an_empty_message_ends_the_channel_and_the_sender_is_told() {
    let (mut channel, mut peer) = pair(LINE).await;
    peer.send(Message::binary(Vec::new())).await.unwrap();
    assert!(matches!(channel.recv().await, Err(ChannelEnd::Empty)));
    assert_eq!(close_code(&mut peer).await, Some(1002));
}

#[tokio::test]
async fn too_large_a_message_is_not_read_and_the_sender_is_told() {
    // The head of a frame of one byte too many, and the two fragments that only together are.
    let length = u32::try_from(MAX_FRAME).unwrap();
    let whole = [&[0x82, 127, 0, 0, 0, 0][..], &(length + 1).to_be_bytes()].concat();
    let first = [&[0x02, 127, 0, 0, 0, 0][..], &length.to_be_bytes()].concat();
    let fragments = [first, vec![7; MAX_FRAME], vec![0x80, 1, 7]].concat();
    for bytes in [whole, fragments] {
        let (mut channel, mut there) = wire(LINE).await;
        let writing = tokio::spawn(async move {
            there.write_all(&bytes).await.unwrap();
            there
        });
        let end = channel.recv().await.unwrap_err();
        assert!(matches!(end, ChannelEnd::TooLarge), "{end}");
        let there = writing.await.unwrap();
        let mut peer = WebSocketStream::from_raw_socket(there, Role::Server, None).await;
        assert_eq!(close_code(&mut peer).await, Some(1009));
    }
}

/// A relay that breaks a rule and takes no answer cannot hold its victim.
#[tokio::test(start_paused = true)]
async fn an_offender_that_does_not_read_is_not_waited_for() {
    let (mut channel, mut there) = wire(LINE).await;
    let stalled = channel.send(vec![7; 2 * LINE]).await.unwrap_err();
    assert!(matches!(stalled, ChannelEnd::Stalled));
    let begin = Instant::now();
    there.write_all(b"\x81\x02hi").await.unwrap();
    assert!(matches!(channel.recv().await, Err(ChannelEnd::Text)));
    assert_eq!(begin.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn a_dropped_connection_is_no_farewell() {
    let (mut channel, mut there) = wire(LINE).await;
    // In the middle of a message.
    there.write_all(&[0x82, 5, 1, 2]).await.unwrap();
    drop(there);
    let end = channel.recv().await.unwrap_err();
    assert!(matches!(end, ChannelEnd::Broken(_)), "{end}");
    assert_eq!(end.closed(), Closed::ByRelay(ChannelFailure::Lost));
}

#[tokio::test]
async fn a_message_in_pieces_survives_a_receiver_that_gives_up() {
    let (mut channel, mut there) = wire(LINE).await;
    // Two fragments with a ping between them, then a second message.
    let wire = b"\x02\x03abc\x89\x01?\x80\x03def\x82\x01z";
    let mut came = Vec::new();
    for byte in wire {
        there.write_all(&[*byte]).await.unwrap();
        if let Some(message) = channel.recv().now_or_never() {
            came.push(message.unwrap());
        }
    }
    assert_eq!(came, [b"abcdef".to_vec(), b"z".to_vec()]);
    // The ping was answered, although nobody was waiting when it came.
    assert_eq!(there.read_u8().await.unwrap(), 0x8a);
}

#[tokio::test(start_paused = true)]
async fn sending_to_who_stopped_reading_ends() {
    let (mut channel, there) = wire(LINE).await;
    let begin = Instant::now();
    let end = channel.send(vec![7; 2 * LINE]).await.unwrap_err();
    assert!(matches!(end, ChannelEnd::Stalled));
    assert_eq!(begin.elapsed(), SENDING);
    assert_eq!(end.closed(), Closed::ByRelay(ChannelFailure::Lost));
    drop(there);
}

#[tokio::test(start_paused = true)]
async fn closing_towards_who_stopped_reading_ends() {
    let (mut channel, there) = wire(LINE).await;
    channel.send(vec![7; 2 * LINE]).await.unwrap_err();
    let begin = Instant::now();
    channel.close().await;
    assert_eq!(begin.elapsed(), FAREWELL);
    drop(there);
}

#[tokio::test]
async fn closing_is_told_with_code_1000() {
    let (channel, mut peer) = pair(LINE).await;
    channel.close().await;
    assert_eq!(close_code(&mut peer).await, Some(1000));
}

#[tokio::test]
async fn a_failed_send_says_why_the_channel_was_closed() {
    let (mut channel, mut peer) = pair(LINE).await;
    peer.send(Message::binary(vec![1])).await.unwrap();
    peer.close(Some(farewell(CloseCode::Policy))).await.unwrap();
    drop(peer);
    let end = channel.send(vec![7; 2 * LINE]).await.unwrap_err();
    assert!(matches!(end, ChannelEnd::Closed(Some(1008))), "{end}");
}
