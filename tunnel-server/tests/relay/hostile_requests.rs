//! Requests that are none, or never whole, and names that many want.

use std::time::{Duration, Instant};

use futures_util::SinkExt;
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use crate::harness::{PATIENCE, TUNNEL, binary, bytes};
use crate::hostile::{Victim, ask, connect, descriptors, name, request, until};

/// Paths that name no tunnel.
fn paths() -> Vec<String> {
    let long = "0".repeat(7000);
    vec![
        "/".into(),
        "*".into(),
        "/cable/new/".into(),
        "/cable/new/DE1D".into(),
        format!("/cable/new/{TUNNEL}0"),
        format!("/cable/new/{TUNNEL}/"),
        format!("/cable/new/{TUNNEL}?x=1"),
        format!("/cable/new/{TUNNEL}%00"),
        format!("/cable/new/{}", TUNNEL.replace('D', "G")),
        format!("/cable/new/{}", TUNNEL.replacen("DE", "%44E", 1)),
        format!("/cable/new/{}", TUNNEL.replacen("DE", "0x", 1)),
        format!("/cable/new/{}", TUNNEL.replacen("DE", "é", 1)),
        format!("/cable/new/{long}"),
        format!("/cable//new/{TUNNEL}"),
        format!("/cable/../cable/new/{TUNNEL}"),
        format!("/CABLE/NEW/{TUNNEL}"),
        format!("/cable/connect/{TUNNEL}"),
        format!("/cable/connect//{TUNNEL}"),
        format!("/cable/connect/00000/{TUNNEL}"),
        format!("/cable/connect/0000000/{TUNNEL}"),
        format!("/cable/connect/+00000/{TUNNEL}"),
        "/cable/contact/abc".into(),
    ]
}

/// A good head with one thing changed.
fn changed(from: &str, to: &str) -> Vec<u8> {
    let good = request(&name(1));
    let changed = good.replacen(from, to, 1);
    assert_ne!(good, changed);
    changed.into()
}

/// Heads of requests, and how they are answered.
fn heads() -> Vec<(u16, Vec<u8>)> {
    let mut heads: Vec<_> = paths()
        .iter()
        .map(|path| (404, request(path).into_bytes()))
        .collect();
    for method in ["POST", "HEAD", "OPTIONS", "CONNECT", "get", "GETGET", "X"] {
        heads.push((405, changed("GET", method)));
    }
    for version in ["HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "HTTP/11", "http/1.1"] {
        heads.push((400, changed("HTTP/1.1", version)));
    }
    let huge = |length| format!("X: {}\r\nHost", "a".repeat(length));
    for (status, from, to) in [
        (400, " HTTP/1.1", ""),
        (400, "GET ", "GET\0"),
        (400, "Host: ", "Host\r\n"),
        (400, "Host", "Ho st"),
        (400, "relay.example", "relay\0example"),
        (400, "fido.cable", "fido.cable2"),
        (400, "Sec-WebSocket-Protocol", "X"),
        (426, "Version: 13", "Version: 12"),
        (426, "Version: 13", "Version: 4294967309"),
        (426, "Upgrade: websocket", "Upgrade: h2c"),
        (426, "Connection: Upgrade", "Connection: close"),
        (426, "b25jZQ==", ""),
        (
            426,
            "Host",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nHost",
        ),
        (431, "Host", &huge(8 * 1024)),
        (431, "Host", &huge(1024 * 1024)),
        (431, "Host", &format!("{}Host", "X: y\r\n".repeat(64))),
    ] {
        heads.push((status, changed(from, to)));
    }
    for other in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.0\r\n",
        b"GET /\r\n\r\n",
        &[0; 64],
        &[0xFF; 64],
    ] {
        heads.push((400, other.to_vec()));
    }
    heads
}

#[tokio::test]
async fn each_bad_request_gets_the_status_that_says_what_is_wrong() {
    let victim = Victim::start(&[]).await;
    for (status, head) in heads() {
        let shown = head.get(..head.len().min(400)).unwrap();
        let shown = String::from_utf8_lossy(shown).into_owned();
        let answered = ask(victim.relay.port, &head).await;
        assert_eq!(answered, Some(status), "{shown:?}");
    }
    victim.end("bad requests").await;
}

#[tokio::test]
async fn a_request_of_which_anything_was_altered_is_granted_or_refused_or_never_whole() {
    let victim = Victim::start(&[]).await;
    let (good, mut random) = (request(&name(2)), 0x2545_F491_4F6C_DD1D_u64);
    let mut statuses = std::collections::BTreeMap::<_, u32>::new();
    for _ in 0..500 {
        let mut head = good.clone().into_bytes();
        // Numbers that look random and are the same every time (Marsaglia's xorshift).
        for shift in [13, -7, 17] {
            random ^= if shift > 0 {
                random << shift
            } else {
                random >> -shift
            };
        }
        let [at, to, ..] = random.to_le_bytes();
        let place = usize::from(at) % head.len();
        head[place] = to;
        let status = ask(victim.relay.port, &head).await;
        *statuses.entry(status).or_default() += 1;
    }
    println!("altered requests were answered {statuses:?}");
    let known = [
        None,
        Some(101),
        Some(400),
        Some(404),
        Some(405),
        Some(409),
        Some(426),
    ];
    assert!(statuses.keys().all(|status| known.contains(status)));
    victim.end("altered requests").await;
}

/// Keeps a connection open, and perhaps a request, with a byte now and then. Returns what the relay
/// answered to it before it ended the connection.
async fn linger(port: u16, number: usize) -> Vec<u8> {
    let mut stream = connect(port).await;
    let head = request(&name(number)).into_bytes();
    let (begin, slow) = match number % 4 {
        0 => (0, false),
        1 => (1, true),
        2 => (head.len() / 2, true),
        _ => (head.len() - 1, false),
    };
    let mut rest = head.into_iter();
    let first: Vec<_> = rest.by_ref().take(begin).collect();
    stream.write_all(&first).await.unwrap();
    let (mut read, mut write) = stream.split();
    let trickle = async {
        while slow && let Some(byte) = rest.next() {
            sleep(Duration::from_millis(100)).await;
            if write.write_all(&[byte]).await.is_err() {
                break;
            }
        }
        std::future::pending().await
    };
    let mut answer = Vec::new();
    let ended = async {
        // A reset is an end too: the relay does not read what comes late.
        let _ = read.read_to_end(&mut answer).await;
    };
    tokio::select! {
        () = ended => {}
        () = trickle => {}
    }
    answer
}

#[tokio::test]
async fn half_open_and_slow_requests_are_gone_in_time() {
    let victim = Victim::start(&["--opening", "1", "--openings", "1024"]).await;
    let process = victim.process();
    let before = descriptors(process);
    let begin = Instant::now();
    let lingering = (0..500).map(|number| linger(victim.relay.port, number));
    let lingering = tokio::spawn(join_all(lingering));
    until("all have come", || descriptors(process) >= before + 500).await;
    let answers = timeout(PATIENCE, lingering).await;
    let answers = answers.expect("all are gone").unwrap();
    println!(
        "500 half-open requests were gone in {:.1?}",
        begin.elapsed()
    );
    assert!(answers.iter().all(Vec::is_empty));
    until("their descriptors are free", || {
        descriptors(process) <= before
    })
    .await;
    assert!(victim.growth() < 8 * 1024);
    victim.end("half-open requests").await;
}

/// Sends a head that never ends, and returns how much of it could be sent.
async fn endless(port: u16) -> usize {
    let mut stream = connect(port).await;
    let (mut sent, more) = (0, vec![b'a'; 64 * 1024]);
    stream.write_all(b"GET / HTTP/1.1\r\nX: ").await.unwrap();
    while stream.write_all(&more).await.is_ok() {
        sent += more.len();
        // The processor is for the others, too.
        sleep(Duration::from_millis(5)).await;
    }
    sent
}

#[tokio::test]
async fn who_is_refused_and_never_stops_sending_is_cut_off() {
    let victim = Victim::start(&[]).await;
    let floods = join_all((0..8).map(|_| endless(victim.relay.port)));
    let sent = timeout(PATIENCE, floods).await.expect("all are cut off");
    println!("of endless requests the relay read {sent:?} bytes");
    assert!(victim.growth() < 1024);
    victim.end("endless requests").await;
}

#[tokio::test]
async fn an_address_that_wants_everything_gets_its_share_and_others_theirs() {
    let victim = Victim::start(&[]).await;
    let from = |address: &str, number| {
        let forwarded = format!("X-Forwarded-For: {address}\r\nHost");
        request(&name(number)).replacen("Host", &forwarded, 1)
    };
    let begin = Instant::now();
    let (mut granted, mut refused) = (0, 0);
    for number in 0..300 {
        match ask(victim.relay.port, from("192.0.2.1", number).as_bytes()).await {
            Some(101) => granted += 1,
            Some(429) => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    println!("of 300 tunnels at once {granted} were granted");
    // 50 at once and 10 a second, if nothing else is said.
    let most = 50 + 10 * (begin.elapsed().as_secs() + 1);
    assert!((50..=most).contains(&granted) && granted + refused == 300);
    let other = from("192.0.2.2", 300);
    assert_eq!(ask(victim.relay.port, other.as_bytes()).await, Some(101));
    victim.end("a greedy address").await;
}

#[tokio::test]
async fn of_all_that_want_a_name_at_once_one_gets_it() {
    let victim = Victim::start(&[]).await;
    let relay = &victim.relay;
    let path = name(3);
    let asked = join_all((0..50).map(|_| relay.open(&path))).await;
    let (mut phones, refused): (Vec<_>, Vec<_>) = asked.into_iter().partition(Result::is_ok);
    assert!(refused.iter().all(|refused| matches!(refused, Err(409))));
    assert_eq!((phones.len(), refused.len()), (1, 49));
    let (mut phone, routing) = phones.pop().unwrap().unwrap();
    let routing = routing.unwrap();
    let number = u32::from_str_radix(&routing, 16).unwrap();
    let wrong = format!("{:06x}", number ^ 1);
    for (routing, tunnel, status) in [(&wrong, 3, 404), (&routing, 4, 404)] {
        let path = format!("/cable/connect/{routing}/{tunnel:032X}");
        assert_eq!(relay.open(&path).await.err(), Some(status), "{path}");
    }
    let path = format!("/cable/connect/{routing}/{:032X}", 3);
    let asked = join_all((0..50).map(|_| relay.open(&path))).await;
    let (mut clients, refused): (Vec<_>, Vec<_>) = asked.into_iter().partition(Result::is_ok);
    assert!(refused.iter().all(|refused| matches!(refused, Err(409))));
    assert_eq!((clients.len(), refused.len()), (1, 49));
    let (mut client, _) = clients.pop().unwrap().unwrap();
    // While they speak, neither the name nor the client's place is to be had.
    client.send(binary(b"mine")).await.unwrap();
    assert_eq!(bytes(&mut phone).await, b"mine");
    assert_eq!(relay.open(&name(3)).await.err(), Some(409));
    assert_eq!(relay.open(&path).await.err(), Some(409));
    // A name whose tunnel has ended is as good as new.
    drop((phone, client));
    let again = timeout(PATIENCE, async {
        loop {
            match relay.open(&name(3)).await {
                Ok((phone, _)) => return phone,
                Err(_) => sleep(Duration::from_millis(5)).await,
            }
        }
    });
    let mut phone = again.await.expect("the name is free again");
    let (mut client, _) = relay.open(&path).await.unwrap();
    client.send(binary(b"mine now")).await.unwrap();
    assert_eq!(bytes(&mut phone).await, b"mine now");
    victim.end("a quarrel about a name").await;
}

#[tokio::test]
async fn those_who_are_refused_and_do_not_go_have_only_the_places_of_their_address() {
    // So this machine is a stranger.
    let victim = Victim::start(&["--trusted-proxy", "192.0.2.1"]).await;
    let fat = "\u{fffd}".repeat(2_000);
    let unknown = request(&format!("/cable/connect/000000/{:032X}", 1));
    let unknown = unknown.replace("Host:", &format!("X-Forwarded-For: {fat}\r\nHost:"));
    let unknown = [unknown.as_bytes(), &[0; 6_000]].concat();
    let mut refused = Vec::new();
    for _ in 0..2_000 {
        let mut stream = connect(victim.relay.port).await;
        // Who has lost his place may find the connection closed.
        let _ = stream.write_all(&unknown).await;
        refused.push(stream);
    }
    assert!(victim.growth() < 8 * 1024);
    victim.end("2,000 refused requests").await;
}
