//! A relay that runs out of descriptors, is killed, is stopped, or gets new certificates, while
//! others are at it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use futures_util::{SinkExt, StreamExt};
use rustls::{ClientConfig, ClientConnection};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::canary::Canary;
use crate::harness::{PATIENCE, Relay, Socket, binary, bytes};
use crate::hostile::{Victim, connect, descriptors, name, request, until};
use crate::program::{signal, start, start_heard, start_with};
use crate::tls;

/// Waits until the relay ends a connection.
async fn hung_up(mut stream: TcpStream) {
    let _ = stream.read_u8().await;
}

/// Asks for a tunnel, and returns its stream unless the relay hangs up.
async fn phone(port: u16, number: usize) -> Option<TcpStream> {
    let mut stream = connect(port).await;
    stream
        .write_all(request(&name(number)).as_bytes())
        .await
        .ok()?;
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.ok()?;
    assert_eq!(&status, b"HTTP/1.1 101");
    Some(stream)
}

#[tokio::test]
async fn without_descriptors_the_relay_says_so_once_and_goes_on_when_there_are_some() {
    let arguments = ["serve", "--listen", "127.0.0.1:0"];
    let (child, port, mut errors) = start_heard("ulimit -n 64", &arguments).await;
    let canary = Canary::of(port).await;
    let process = child.id().unwrap();
    // The silent are let go for others to come, and each time there are too many again.
    let silent = join_all((0..200).map(|_| connect(port))).await;
    let mut silent: FuturesUnordered<_> = silent.into_iter().map(hung_up).collect();
    let gone = timeout(PATIENCE, silent.by_ref().take(120).count());
    assert_eq!(gone.await.expect("the silent are let go"), 120);
    drop(silent);
    // More at once than there is place for; those who wait in the system's queue are not hung up.
    let asking: Vec<_> = (0..100)
        .map(|number| tokio::spawn(phone(port, number)))
        .collect();
    let said = timeout(PATIENCE, errors.next_line()).await.unwrap();
    let said = said.unwrap().unwrap();
    assert!(said.contains("connections cannot be accepted, and wait"));
    until("all are in use", || descriptors(process) >= 60).await;
    // Long enough for more tries than one.
    let again = timeout(Duration::from_secs(1), errors.next_line()).await;
    assert!(again.is_err(), "{again:?}");
    for asking in asking {
        asking.abort();
        let _ = asking.await;
    }
    let mut after = timeout(PATIENCE, async {
        loop {
            if let Some(phone) = phone(port, 1000).await {
                return phone;
            }
        }
    })
    .await
    .expect("there is a place again");
    after.shutdown().await.unwrap();
    canary.end("too few descriptors").await;
}

#[tokio::test]
async fn a_crowd_that_comes_while_the_relay_cannot_look_waits_in_line() {
    let system = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
    let places: usize = system.trim().parse().unwrap();
    let (child, port) = start(":").await;
    signal(&child, "STOP").await;
    // Who finds no place is not connected, and tries again in a second.
    let crowd = timeout(
        PATIENCE,
        join_all((0..places.min(500)).map(|_| connect(port))),
    );
    let crowd = crowd.await.expect("there are places");
    signal(&child, "CONT").await;
    let answered = join_all(crowd.into_iter().map(async |mut stream| {
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\n\r\n")
            .await
            .unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 200");
    }));
    timeout(PATIENCE, answered).await.expect("all are answered");
}

/// Reads to the end of the connection.
async fn ends(mut socket: Socket) {
    while let Some(Ok(_)) = socket.next().await {}
}

#[tokio::test]
async fn when_a_relay_is_killed_all_sides_notice_and_another_takes_its_port() {
    let (mut child, port) = start(":").await;
    let relay = Relay::of_program(port);
    let (mut phone, client, _) = relay.pair().await;
    let (waiting, _) = relay.open(&name(1)).await.unwrap();
    // One is in the middle of a message.
    phone.get_mut().write_all(&[0x82, 0x85]).await.unwrap();
    child.start_kill().unwrap();
    let begin = Instant::now();
    let ended = join_all([phone, client, waiting].map(ends));
    timeout(PATIENCE, ended).await.expect("all notice");
    println!(
        "that the relay was killed was noticed after {:.1?}",
        begin.elapsed()
    );
    timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
    let listen = format!("127.0.0.1:{port}");
    let (_child, _) = start_with(":", &["serve", "--listen", &listen], 1).await;
    let (mut phone, mut client, _) = relay.pair().await;
    phone.send(binary(b"here again")).await.unwrap();
    assert_eq!(bytes(&mut client).await, b"here again");
}

/// What somebody sends instead of a TLS handshake, or of all of it.
fn handshakes(config: &Arc<ClientConfig>) -> Vec<Vec<u8>> {
    let server = ServerName::try_from("localhost").unwrap();
    let mut client = ClientConnection::new(Arc::clone(config), server).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    let mut spoilt = hello.clone();
    spoilt[9..60].fill(0xFF);
    vec![
        Vec::new(),
        hello[..1].to_vec(),
        hello[..hello.len() / 2].to_vec(),
        hello,
        spoilt,
        request(&name(1)).into_bytes(),
        vec![0x16; 1000],
        b"\x16\x03\x01\xFF\xFF".to_vec(),
    ]
}

#[tokio::test]
async fn while_certificates_are_replaced_and_handshakes_fail_a_tunnel_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let trusted = tls::trusting(&tls::certify(folder.path()), tls::BOTH);
    let (child, port) = tls::start_with_tls(folder.path(), &["--handshake", "1"]).await;
    let process = child.id().unwrap();
    let old = Arc::clone(&trusted);
    let canary = Canary::with(async move || {
        let (phone, routing) = tls::open(port, &old, &name(0)).await;
        let path = format!("/cable/connect/{}/{:032X}", routing.unwrap(), 0);
        (phone, tls::open(port, &old, &path).await.0)
    })
    .await;
    let before = descriptors(process);
    let mut strangers = Vec::new();
    for bytes in handshakes(&trusted).iter().cycle().take(200) {
        let mut stranger = connect(port).await;
        stranger.write_all(bytes).await.unwrap();
        strangers.push(stranger);
    }
    for _ in 0..10 {
        let new = tls::trusting(&tls::certify(folder.path()), tls::BOTH);
        signal(&child, "HUP").await;
        let seen = timeout(PATIENCE, async {
            while tls::connect(port, &new).await.is_err() {}
        });
        seen.await.expect("the new certificate is shown");
    }
    until("failed handshakes are gone", || {
        descriptors(process) <= before
    })
    .await;
    drop(strangers);
    canary.end("new certificates and failed handshakes").await;
}

/// Opens tunnels, says something in each and closes it, until the relay makes no more. Returns how
/// many there were.
async fn come_and_go(relay: &Relay, numbers: &AtomicUsize) -> usize {
    for tunnels in 0.. {
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        let (mut phone, routing) = match relay.open(&name(number)).await {
            Ok(opened) => opened,
            Err(status) => {
                assert_eq!(status, 503);
                return tunnels;
            }
        };
        let path = format!("/cable/connect/{}/{number:032X}", routing.unwrap());
        let (mut client, _) = relay.open(&path).await.unwrap();
        client.send(binary(b"hello")).await.unwrap();
        assert_eq!(bytes(&mut phone).await, b"hello");
        client.close(None).await.unwrap();
        tokio::join!(ends(phone), ends(client));
    }
    unreachable!("tunnels are made for ever");
}

#[tokio::test]
async fn who_is_there_when_a_busy_relay_is_stopped_may_stay_and_the_last_turns_off_the_light() {
    let mut victim = Victim::start(&[]).await;
    let numbers = AtomicUsize::new(0);
    let relay = &victim.relay;
    let coming = join_all((0..32).map(|_| come_and_go(relay, &numbers)));
    let stopping = async {
        until("all are busy", || numbers.load(Ordering::Relaxed) > 500).await;
        signal(&victim.child, "TERM").await;
    };
    let (tunnels, ()) = timeout(2 * PATIENCE, async { tokio::join!(coming, stopping) })
        .await
        .expect("no new tunnels are made");
    println!("{} tunnels came and went", tunnels.iter().sum::<usize>());
    assert!(victim.child.try_wait().unwrap().is_none());
    let mut child = victim.end("a busy relay that is stopped").await;
    let status = timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn a_warning_that_nobody_hears_ends_no_tunnel() {
    let arguments = ["-vv", "serve", "--listen", "127.0.0.1:0"];
    let (mut child, port, errors) = start_heard("ulimit -n 64", &arguments).await;
    let canary = Canary::of(port).await;
    drop(errors);
    let silent = join_all((0..100).map(|_| connect(port))).await;
    let mut silent: FuturesUnordered<_> = silent.into_iter().map(hung_up).collect();
    let gone = timeout(PATIENCE, silent.by_ref().take(40).count());
    assert_eq!(gone.await.expect("the silent are let go"), 40);
    assert!(child.try_wait().unwrap().is_none());
    drop(silent);
    canary.end("warnings that nobody hears").await;
}
