//! Frames that break rules, floods of them, and peers that sleep or vanish.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::harness::{PATIENCE, Relay, Socket, binary, bytes, close_code, next};
use crate::hostile::{Victim, descriptors, frame, name, until};

const BEGIN: u8 = 0x02;
const CONTINUE: u8 = 0x00;
const FINISH: u8 = 0x80;
const WHOLE: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8A;

const MIB: usize = 1024 * 1024;

/// Opens a tunnel of this number, and waits until both are in it: before that, the phone may not say
/// as much.
async fn pair(relay: &Relay, number: usize) -> (Socket, Socket) {
    let (mut phone, routing) = relay.open(&name(number)).await.unwrap();
    let path = format!("/cable/connect/{}/{number:032X}", routing.unwrap());
    let (mut client, _) = relay.open(&path).await.unwrap();
    client.send(binary(b"here")).await.unwrap();
    assert_eq!(bytes(&mut phone).await, b"here");
    (phone, client)
}

/// What breaks a rule, and the code by which its sender is told.
fn broken() -> Vec<(&'static str, CloseCode, Vec<u8>)> {
    use CloseCode::{Protocol, Size, Unsupported};

    // Of the length that follows, with a mask.
    let long = |length: u64| [&[WHOLE, 0xFF][..], &length.to_be_bytes(), &[0; 4]].concat();
    vec![
        ("text", Unsupported, frame(0x81, b"hello")),
        ("a begin of text", Unsupported, frame(0x01, b"hello")),
        ("no mask", Protocol, b"\x82\x05hello".to_vec()),
        ("a ping without a mask", Protocol, vec![PING, 0]),
        ("empty", Protocol, frame(WHOLE, b"")),
        (
            "empty in two parts",
            Protocol,
            [frame(BEGIN, b""), frame(FINISH, b"")].concat(),
        ),
        ("two MiB announced", Size, long(2 << 20)),
        ("much announced", Size, long(1 << 62)),
        ("a negative length", Protocol, long(1 << 63)),
        ("a long short length", Protocol, long(5)),
        ("compressed", Protocol, frame(0xC2, b"hello")),
        ("reserved bits", Protocol, frame(0xB2, b"hello")),
        ("an unknown kind", Protocol, frame(0x83, b"hello")),
        ("an unknown control", Protocol, frame(0x8B, b"hello")),
        ("a ping in parts", Protocol, frame(0x09, b"hello")),
        ("a long ping", Protocol, frame(PING, &[0; 126])),
        ("no begin", Protocol, frame(FINISH, b"hello")),
        (
            "two begins",
            Protocol,
            [frame(BEGIN, b"hello"), frame(WHOLE, b"hello")].concat(),
        ),
        ("half a close code", Protocol, frame(CLOSE, &[3])),
        (
            "an unspeakable close code",
            Protocol,
            frame(CLOSE, &[3, 237]),
        ),
        (
            "a close reason that is no text",
            Protocol,
            frame(CLOSE, &[3, 232, 0xFF]),
        ),
        (
            "another protocol",
            Protocol,
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        ),
    ]
}

#[tokio::test]
async fn who_breaks_the_frames_is_told_how_and_nothing_after_it_is_passed_on() {
    let victim = Victim::start(&[]).await;
    let relay = &victim.relay;
    let cases = broken().into_iter().enumerate();
    join_all(cases.map(async |(number, (what, code, bad))| {
        let bad = [bad, frame(WHOLE, b"after it")].concat();
        let (mut phone, mut client) = pair(relay, 2 * number).await;
        client.get_mut().write_all(&bad).await.unwrap();
        let told = (close_code(&mut client).await, close_code(&mut phone).await);
        assert_eq!(told, (Some(code), Some(CloseCode::Policy)), "{what}");
        let (mut phone, _) = relay.open(&name(2 * number + 1)).await.unwrap();
        phone.get_mut().write_all(&bad).await.unwrap();
        assert_eq!(close_code(&mut phone).await, Some(code), "{what}, waiting");
    }))
    .await;
    victim.end("broken frames").await;
}

#[tokio::test]
async fn who_comes_while_a_phone_is_shown_the_door_is_told_so() {
    let victim = Victim::start(&[]).await;
    let (mut phone, routing) = victim.relay.open(&name(1)).await.unwrap();
    let text = frame(0x81, b"hello");
    phone.get_mut().write_all(&text).await.unwrap();
    assert_eq!(close_code(&mut phone).await, Some(CloseCode::Unsupported));
    // As long as the phone does not end the connection, the relay waits for that.
    let path = format!("/cable/connect/{}/{:032X}", routing.unwrap(), 1);
    let (mut client, _) = victim.relay.open(&path).await.unwrap();
    assert_eq!(close_code(&mut client).await, Some(CloseCode::Away));
    victim.end("a phone that does not go").await;
}

#[tokio::test]
async fn a_message_of_tiny_parts_that_never_ends_is_cut_off() {
    let victim = Victim::start(&[]).await;
    let (mut phone, mut client) = pair(&victim.relay, 1).await;
    let told = tokio::spawn(async move { close_code(&mut client).await });
    // One byte more than there may be, and nothing that would have to be heard out.
    let stream = phone.get_mut();
    stream.write_all(&frame(BEGIN, b"x")).await.unwrap();
    let parts = frame(CONTINUE, b"x").repeat(1024);
    for _ in 0..1024 + 64 {
        stream.write_all(&parts).await.unwrap();
    }
    assert_eq!(close_code(&mut phone).await, Some(CloseCode::Size));
    assert_eq!(told.await.unwrap(), Some(CloseCode::Policy));
    assert!(victim.growth() < 1024);
    victim.end("1.1 million parts of one byte").await;
}

#[tokio::test]
async fn a_million_parts_with_nothing_in_them_pass_for_nothing() {
    let victim = Victim::start(&[]).await;
    let (mut phone, mut client) = pair(&victim.relay, 1).await;
    let stream = phone.get_mut();
    stream.write_all(&frame(BEGIN, b"be")).await.unwrap();
    let parts = frame(CONTINUE, b"").repeat(1000);
    for _ in 0..1_000 {
        stream.write_all(&parts).await.unwrap();
    }
    stream.write_all(&frame(FINISH, b"gin")).await.unwrap();
    assert_eq!(bytes(&mut client).await, b"begin");
    assert!(victim.growth() < 1024);
    victim.end("a million empty parts").await;
}

/// Sends a million control frames and reads nothing.
async fn flood(socket: &mut Socket) {
    let some = [
        frame(PING, b""),
        frame(PONG, &[0; 125]),
        frame(PING, &[0; 60]),
        frame(PONG, b""),
    ];
    let some = some.concat().repeat(250);
    let flooded = timeout(2 * PATIENCE, async {
        for _ in 0..1_000 {
            socket.get_mut().write_all(&some).await.unwrap();
        }
    });
    flooded.await.expect("control frames are taken");
}

#[tokio::test]
async fn millions_of_control_frames_before_and_after_the_join_take_no_memory() {
    let victim = Victim::start(&[]).await;
    let relay = &victim.relay;
    let (mut phone, mut client) = pair(relay, 1).await;
    let (mut waiting, routing) = relay.open(&name(2)).await.unwrap();
    tokio::join!(flood(&mut phone), flood(&mut client), flood(&mut waiting));
    let path = format!("/cable/connect/{}/{:032X}", routing.unwrap(), 2);
    let (mut late, _) = relay.open(&path).await.unwrap();
    for (from, to) in [(&mut phone, &mut client), (&mut waiting, &mut late)] {
        from.send(binary(b"still here")).await.unwrap();
        while let heard = next(to).await.unwrap().unwrap()
            && heard != binary(b"still here")
        {
            assert!(heard.is_ping() || heard.is_pong(), "{heard:?}");
        }
    }
    assert!(victim.growth() < 1024);
    victim.end("three million control frames").await;
}

/// Waits until something that goes on does not go on any more.
async fn stalled(counter: &AtomicUsize) -> usize {
    let waited = timeout(2 * PATIENCE, async {
        let mut before = counter.load(Ordering::Relaxed);
        loop {
            // That nothing happens is no event.
            sleep(Duration::from_millis(250)).await;
            let now = counter.load(Ordering::Relaxed);
            if now > 0 && now == before {
                return now;
            }
            before = now;
        }
    });
    waited.await.expect("the sender is held back")
}

/// A stream that counts what is written to it.
async fn write_counted<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8], counter: &AtomicUsize) {
    for some in bytes.chunks(16 * 1024) {
        stream.write_all(some).await.unwrap();
        counter.fetch_add(some.len(), Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_sleeping_reader_holds_its_sender_back_and_then_gets_all() {
    const MESSAGES: usize = 64;
    let victim = Victim::start(&["--bytes", "268435456"]).await;
    let (mut phone, routing) = victim.relay.open(&name(1)).await.unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    // The system would keep half of it for the reader.
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    let address = ([127, 0, 0, 1], victim.relay.port).into();
    let stream = socket.connect(address).await.unwrap();
    let path = format!("/cable/connect/{}/{:032X}", routing.unwrap(), 1);
    let (mut reader, _) = victim.relay.open_over(stream, &path).await.unwrap();
    reader.send(binary(b"here")).await.unwrap();
    assert_eq!(bytes(&mut phone).await, b"here");
    // No two messages are the same, and no byte is where it is in another.
    let block: Vec<u8> = (0..MIB)
        .map(|at| (at * at / 7 + at / 251).to_le_bytes()[0])
        .collect();
    let message = move |number: usize| {
        let mut message = block.clone();
        message.rotate_left(number * 4099);
        message
    };
    let counter = Arc::new(AtomicUsize::new(0));
    let sending = tokio::spawn({
        let (message, counter) = (message.clone(), Arc::clone(&counter));
        async move {
            for number in 0..MESSAGES {
                let frame = frame(WHOLE, &message(number));
                write_counted(phone.get_mut(), &frame, &counter).await;
            }
            phone
        }
    });
    let written = stalled(&counter).await;
    assert!(written < MESSAGES * MIB && !sending.is_finished());
    println!(
        "beside a sleeping reader {} KiB were written, and the relay had {} KiB more",
        written / 1024,
        victim.growth()
    );
    assert!(victim.growth() < 1024);
    for number in 0..MESSAGES {
        assert!(bytes(&mut reader).await == message(number), "{number}");
    }
    let mut phone = sending.await.unwrap();
    reader.send(binary(b"got it")).await.unwrap();
    assert_eq!(bytes(&mut phone).await, b"got it");
    victim.end("a sleeping reader").await;
}

#[tokio::test]
async fn who_vanishes_in_the_middle_of_a_message_is_told_to_the_other_at_once() {
    let victim = Victim::start(&[]).await;
    let small = frame(WHOLE, &[7; 1000]);
    let large = frame(WHOLE, &[7; 100_000]);
    let begun = [frame(BEGIN, &[7; 1000]), frame(CONTINUE, &[7; 1000])].concat();
    let mut times = Vec::new();
    for (number, cut) in [&small[..1], &small[..500], &large[..50_000], &begun[..1500]]
        .into_iter()
        .enumerate()
    {
        for resets in [false, true] {
            let (mut phone, mut client) =
                pair(&victim.relay, 2 * number + usize::from(resets)).await;
            if resets {
                // The system resets a connection that is ended with something unread.
                phone.send(binary(b"unread")).await.unwrap();
                client.get_mut().readable().await.unwrap();
            }
            client.get_mut().write_all(cut).await.unwrap();
            let begin = Instant::now();
            drop(client);
            assert_eq!(close_code(&mut phone).await, Some(CloseCode::Away));
            times.push(begin.elapsed());
            while let Some(Ok(_)) = phone.next().await {}
        }
    }
    println!("that a peer vanished was told after {times:.1?}");
    victim.end("peers that vanish").await;
}

#[tokio::test]
async fn who_neither_reads_nor_goes_when_a_tunnel_ends_is_thrown_out() {
    let victim = Victim::start(&["--ping", "1"]).await;
    let process = victim.process();
    let before = descriptors(process);
    let mut asleep = Vec::new();
    for number in 0..100 {
        let (phone, mut client) = pair(&victim.relay, number).await;
        client
            .get_mut()
            .write_all(&frame(WHOLE, b""))
            .await
            .unwrap();
        asleep.extend([phone, client]);
    }
    // This one is sent more than the system takes off the relay's hands, by one who leaves then. The
    // relay, which does not read him meanwhile, learns that only from pings.
    let (mut phone, client) = pair(&victim.relay, 100).await;
    let large = frame(WHOLE, &vec![7; MIB]).repeat(32);
    let counter = AtomicUsize::new(0);
    tokio::select! {
        () = write_counted(phone.get_mut(), &large, &counter) => panic!("nobody reads it"),
        _ = stalled(&counter) => {}
    }
    drop(phone);
    asleep.push(client);
    let begin = Instant::now();
    until("all are thrown out", || descriptors(process) <= before).await;
    println!(
        "the last sleepers were thrown out in {:.1?}",
        begin.elapsed()
    );
    assert!(victim.growth() < 1024);
    drop(asleep);
    victim.end("sleepers").await;
}
