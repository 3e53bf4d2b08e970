//! Opening tunnels at relays that misbehave.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod script;
mod tls;

use std::time::Duration;

use handfast_proto::hybrid::ChannelFailure;
use handfast_proto::hybrid::tunnel::{RoutingId, TunnelId};
use handfast_transport::channel::Channel;
use handfast_transport::relay::{OpenError, RelayUrl, open_connect, open_new};
use handfast_transport::tls::TlsTrust;
use script::{Answer, Relay, Stage, header, http, redirect, tunnel, websocket};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};

const TUNNEL: TunnelId = TunnelId([0xde; 16]);

async fn plain(script: impl Into<Vec<Answer>>) -> Relay {
    Stage::new().await.plain(script)
}

async fn open(url: &str, trust: &TlsTrust) -> Result<(Channel, RoutingId), OpenError> {
    open_new(&RelayUrl::parse(url).unwrap(), &TUNNEL, trust).await
}

/// Opens a tunnel where no certificate matters, and expects that to fail.
async fn fault(relay: &Relay) -> OpenError {
    open(&relay.url, &TlsTrust::new(None).unwrap())
        .await
        .unwrap_err()
}

fn reason(error: &OpenError) -> &'static str {
    match error {
        OpenError::Protocol { reason, .. } => reason,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn what_comes_right_behind_the_answer_is_not_lost() {
    let Answer::Say(mut answer) = tunnel() else {
        panic!("a tunnel is said");
    };
    answer.extend(b"\x82\x03abc");
    let mut relay = plain([Answer::Say(answer)]).await;
    let trust = TlsTrust::new(None).unwrap();
    let (mut channel, routing) = open(&relay.url, &trust).await.unwrap();
    assert_eq!(routing, RoutingId([10, 11, 12]));
    assert_eq!(channel.recv().await.unwrap(), b"abc");
    let request = relay.asked().remove(0);
    assert!(request.starts_with(&format!("GET /cable/new/{} HTTP/1.1\r\n", TUNNEL.to_hex())));
}

#[tokio::test]
async fn a_relay_has_to_choose_the_subprotocol() {
    for lines in [
        &[][..],
        &["Sec-WebSocket-Protocol: chat"],
        &["Sec-WebSocket-Protocol: fido.cable, chat"],
        &[
            "Sec-WebSocket-Protocol: fido.cable",
            "Sec-WebSocket-Protocol: chat",
        ],
    ] {
        let lines = [lines, &["X-caBLE-Routing-ID: 000000"]].concat();
        let error = fault(&plain([websocket(&lines)]).await).await;
        assert_eq!(
            reason(&error),
            "it did not choose the subprotocol",
            "{lines:?}"
        );
        assert_eq!(error.failure(), ChannelFailure::Protocol);
    }
}

#[tokio::test]
async fn a_phone_needs_one_routing_id_of_three_bytes() {
    for lines in [
        &[][..],
        &["X-caBLE-Routing-ID: 000000", "X-caBLE-Routing-ID: 000000"],
        &["X-caBLE-Routing-ID: "],
        &["X-caBLE-Routing-ID: 0000"],
        &["X-caBLE-Routing-ID: 00000000"],
        &["X-caBLE-Routing-ID: 00000g"],
        &["X-caBLE-Routing-ID: +00000"],
        &["X-caBLE-Routing-ID: 000000, 000000"],
    ] {
        let lines = [lines, &["Sec-WebSocket-Protocol: fido.cable"]].concat();
        let error = fault(&plain([websocket(&lines)]).await).await;
        assert_eq!(
            reason(&error),
            "it gave no routing ID of three bytes",
            "{lines:?}"
        );
    }
}

#[tokio::test]
async fn a_client_needs_no_routing_id() {
    let mut relay = plain([websocket(&["Sec-WebSocket-Protocol: fido.cable"])]).await;
    let url = RelayUrl::parse(&relay.url).unwrap();
    let trust = TlsTrust::new(None).unwrap();
    open_connect(&url, &RoutingId([1, 2, 3]), &TUNNEL, &trust)
        .await
        .unwrap();
    let path = format!("GET /cable/connect/010203/{} ", TUNNEL.to_hex());
    assert!(relay.asked().remove(0).starts_with(&path));
}

#[tokio::test]
async fn a_redirect_is_followed_with_the_same_headers() {
    let stage = Stage::new().await;
    let absolute = format!("http://localhost:{}/far/away", stage.port);
    let mut relay = stage.plain([
        redirect("307 Temporary Redirect", "/elsewhere?node=2"),
        redirect("302 Found", &absolute),
        tunnel(),
    ]);
    let trust = TlsTrust::new(None).unwrap();
    open(&relay.url, &trust).await.unwrap();
    let port = relay.port;
    let requests = relay.asked();
    let heads: Vec<_> = requests
        .iter()
        .map(|request| {
            (
                request.split(' ').nth(1).unwrap().to_owned(),
                header(request, "Host").unwrap().to_owned(),
            )
        })
        .collect();
    let here = format!("127.0.0.1:{port}");
    assert_eq!(
        heads,
        [
            (format!("/cable/new/{}", TUNNEL.to_hex()), here.clone()),
            ("/elsewhere?node=2".to_owned(), here),
            ("/far/away".to_owned(), format!("localhost:{port}")),
        ]
    );
    for request in &requests {
        assert_eq!(header(request, "Origin"), Some("wss://127.0.0.1"));
        assert_eq!(
            header(request, "Sec-WebSocket-Protocol"),
            Some("fido.cable")
        );
    }
}

#[tokio::test]
async fn five_redirects_are_followed_and_a_sixth_is_not() {
    let to = |number| redirect("308 Permanent Redirect", &format!("/{number}"));
    let redirects: Vec<_> = (1..=6).map(to).collect();
    let mut script = redirects[..5].to_vec();
    script.push(tunnel());
    let relay = plain(script).await;
    open(&relay.url, &TlsTrust::new(None).unwrap())
        .await
        .unwrap();

    let mut script = redirects;
    script.push(tunnel());
    let mut relay = plain(script).await;
    let error = fault(&relay).await;
    assert!(
        matches!(error, OpenError::TooManyRedirects { .. }),
        "{error}"
    );
    assert_eq!(error.failure(), ChannelFailure::Protocol);
    assert_eq!(relay.asked().len(), 6);
}

#[tokio::test]
async fn plain_text_is_not_redirected_to_another_machine() {
    for location in [
        "ws://relay.example/cable",
        "http://192.0.2.1/",
        "//relay.example/",
        "ftp://localhost/",
        "wss://",
    ] {
        let relay = plain([redirect("302 Found", location)]).await;
        let error = fault(&relay).await;
        assert!(
            matches!(error, OpenError::Redirect { .. }),
            "{location}: {error}"
        );
        assert_eq!(error.failure(), ChannelFailure::Protocol);
    }
}

#[tokio::test]
async fn a_refusal_is_told_by_its_status() {
    for (line, status, failure) in [
        ("200 OK", 200, ChannelFailure::Rejected(200)),
        // A redirect to nowhere.
        ("302 Found", 302, ChannelFailure::Rejected(302)),
        ("404 Not Found", 404, ChannelFailure::NotFound),
        ("409 Conflict", 409, ChannelFailure::Conflict),
        ("410 Gone", 410, ChannelFailure::Gone),
        (
            "500 Internal Server Error",
            500,
            ChannelFailure::Rejected(500),
        ),
    ] {
        let error = fault(&plain([http(line, &["Content-Length: 0"])]).await).await;
        assert!(
            matches!(error, OpenError::Status { status: told, .. } if told == status),
            "{line}: {error}"
        );
        assert_eq!(error.failure(), failure);
    }
}

#[tokio::test]
async fn what_is_no_websocket_is_no_relay() {
    let say = |text: &str| Answer::Say(text.as_bytes().to_vec());
    for answer in [
        say("\0\u{1}\u{2}\r\n\r\n"),
        say("SSH-2.0-OpenSSH_9.9\r\n"),
        say("HTTP/1.0 101 Switching Protocols\r\n\r\n"),
        http(
            "101 Switching Protocols",
            &["Sec-WebSocket-Protocol: fido.cable"],
        ),
        http(
            "101 Switching Protocols",
            &[
                "Upgrade: websocket",
                "Connection: Upgrade",
                "Sec-WebSocket-Accept: AAAA",
            ],
        ),
        // A head without an end.
        say(&format!(
            "HTTP/1.1 101 Switching Protocols\r\nA: {}",
            "a".repeat(100_000)
        )),
    ] {
        let error = fault(&plain([answer.clone()]).await).await;
        assert_eq!(reason(&error), "its answer is no WebSocket", "{answer:?}");
    }
}

#[tokio::test]
async fn a_relay_that_nobody_runs_cannot_be_reached() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = open(&url, &TlsTrust::new(None).unwrap()).await.unwrap_err();
    assert!(matches!(error, OpenError::Connect { .. }), "{error}");
    assert_eq!(error.failure(), ChannelFailure::Unreachable);
}

#[tokio::test]
async fn a_relay_that_hangs_up_cannot_be_reached() {
    let mut relay = plain([Answer::HangUp, Answer::HangUp]).await;
    for scheme in ["ws", "wss"] {
        relay.url = format!("{scheme}://127.0.0.1:{}", relay.port);
        let error = fault(&relay).await;
        assert!(
            matches!(&error, OpenError::Connect { source, .. }
                if source.to_string() == "it hung up before it answered"),
            "{scheme}: {error}"
        );
    }
}

#[tokio::test]
async fn a_relay_that_says_nothing_is_given_up() {
    // Silence where the answer should be, where TLS should be, and behind a redirect.
    for (scheme, script) in [
        ("ws", vec![Answer::Silence]),
        ("wss", vec![Answer::Silence]),
        ("ws", vec![redirect("302 Found", "/there"), Answer::Silence]),
    ] {
        let steps = script.len();
        let mut relay = plain(script).await;
        relay.url = format!("{scheme}://127.0.0.1:{}", relay.port);
        let trust = TlsTrust::new(None).unwrap();
        let url = relay.url.clone();
        let begin = Instant::now();
        let opening = tokio::spawn(async move { open(&url, &trust).await.map(|_| ()) });
        for _ in 0..steps {
            let asked = timeout(Duration::from_secs(5), relay.requests.recv()).await;
            asked.unwrap().unwrap();
        }
        // Nothing is left to come: from here on only the clock moves.
        tokio::time::pause();
        let error = opening.await.unwrap().unwrap_err();
        assert!((30..40).contains(&begin.elapsed().as_secs()));
        tokio::time::resume();
        assert!(matches!(error, OpenError::TimedOut { .. }), "{error}");
        assert_eq!(error.failure(), ChannelFailure::Unreachable);
    }
}
