use super::*;

const TUNNEL: &str = "DE1D8150B45F03349B2B00A52E2E893E";

fn head(line: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut text = format!("{line}\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.into_bytes()
}

fn upgrade(line: &str) -> Vec<u8> {
    upgrade_with(line, "fido.cable")
}

fn upgrade_with(line: &str, protocol: &str) -> Vec<u8> {
    head(
        line,
        &[
            ("Host", "relay.example"),
            ("Connection", "keep-alive, Upgrade"),
            ("Upgrade", "WebSocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Sec-WebSocket-Protocol", protocol),
        ],
    )
}

/// The request for a tunnel, and the length of its head.
fn tunnel(bytes: &[u8]) -> (Request, usize) {
    match parse(bytes).unwrap().unwrap() {
        (Asked::Tunnel(request), length) => (request, length),
        other => panic!("{other:?}"),
    }
}

#[test]
fn both_hex_cases_name_the_same_tunnel() {
    let upper = parse(&upgrade(&format!("GET /cable/new/{TUNNEL} HTTP/1.1")))
        .unwrap()
        .unwrap();
    let lower = format!("GET /cable/new/{} HTTP/1.1", TUNNEL.to_lowercase());
    assert_eq!(upper.0, parse(&upgrade(&lower)).unwrap().unwrap().0);
}

#[test]
fn routing_id_and_tunnel_id_are_read() {
    let bytes = upgrade(&format!("GET /cable/connect/c0FFee/{TUNNEL} HTTP/1.1"));
    let (request, length) = tunnel(&bytes);
    let expected = Target::Connect(
        RoutingId::parse_hex("c0ffee").unwrap(),
        TunnelId::parse_hex(TUNNEL).unwrap(),
    );
    assert_eq!(request.target, expected);
    assert_eq!(length, bytes.len());
}

#[test]
fn subprotocol_may_be_one_of_a_list() {
    let line = format!("GET /cable/new/{TUNNEL} HTTP/1.1");
    assert!(
        parse(&upgrade_with(&line, "chat, fido.cable"))
            .unwrap()
            .is_some()
    );
    assert_eq!(
        parse(&upgrade_with(&line, "chat")),
        Err(Refusal::NoSubprotocol)
    );
    assert_eq!(
        parse(&upgrade_with(&line, "fido.cable2")),
        Err(Refusal::NoSubprotocol)
    );
}

#[test]
fn an_unfinished_head_is_waited_for_up_to_the_limit() {
    let bytes = upgrade(&format!("GET /cable/new/{TUNNEL} HTTP/1.1"));
    for cut in 0..bytes.len() {
        assert_eq!(parse(&bytes[..cut]), Ok(None), "cut at {cut}");
    }
    let endless = [b"GET / HTTP/1.1\r\nX: ".as_slice(), &vec![b'a'; MAX_HEAD]].concat();
    assert_eq!(parse(&endless), Err(Refusal::TooLarge));
}

#[test]
fn wrong_paths_are_not_found() {
    for path in [
        "/",
        "/cable/new/",
        "/cable/new/DE1D",
        "/cable/new/DE1D8150B45F03349B2B00A52E2E893G",
        "/cable/new/DE1D8150B45F03349B2B00A52E2E893E/",
        "/cable/new/DE1D8150B45F03349B2B00A52E2E893E?x=1",
        "/cable/connect/DE1D8150B45F03349B2B00A52E2E893E",
        "/cable/connect/C0FFE/DE1D8150B45F03349B2B00A52E2E893E",
        "/cable/contact/abc",
    ] {
        let bytes = upgrade(&format!("GET {path} HTTP/1.1"));
        assert_eq!(parse(&bytes), Err(Refusal::NotFound), "{path}");
    }
}

#[test]
fn what_is_not_a_websocket_request_is_told_so() {
    let line = format!("GET /cable/new/{TUNNEL} HTTP/1.1");
    assert_eq!(
        parse(&head(&line, &[("Host", "x")])),
        Err(Refusal::UpgradeRequired)
    );
    let text = String::from_utf8(upgrade(&line)).unwrap();
    for (from, to) in [
        ("Version: 13", "Version: 8"),
        ("dGhlIHNhbXBsZSBub25jZQ==", "short"),
        ("Upgrade: WebSocket", "Upgrade: h2c"),
        ("keep-alive, Upgrade", "keep-alive"),
    ] {
        let altered = text.replace(from, to);
        assert_ne!(altered, text);
        assert_eq!(
            parse(altered.as_bytes()),
            Err(Refusal::UpgradeRequired),
            "{to}"
        );
    }
}

#[test]
fn other_methods_and_versions_are_refused() {
    let post = upgrade(&format!("POST /cable/new/{TUNNEL} HTTP/1.1"));
    assert_eq!(parse(&post), Err(Refusal::Method));
    let old = upgrade(&format!("GET /cable/new/{TUNNEL} HTTP/1.0"));
    assert_eq!(parse(&old), Err(Refusal::Malformed));
    assert_eq!(
        parse(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        Err(Refusal::Malformed)
    );
}

#[test]
fn a_key_is_answered_as_the_standard_shows() {
    // RFC 6455 §1.3.
    assert_eq!(
        accept_key("dGhlIHNhbXBsZSBub25jZQ=="),
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    );
}

#[test]
fn who_watches_needs_no_websocket() {
    for (path, page) in [
        ("/healthz", Page::Health),
        ("/readyz", Page::Ready),
        ("/metrics", Page::Metrics),
    ] {
        for version in ["HTTP/1.1", "HTTP/1.0"] {
            let bytes = head(&format!("GET {path} {version}"), &[]);
            let read = parse(&bytes).unwrap().unwrap();
            assert_eq!(read, (Asked::Page(page), bytes.len()));
        }
        let bytes = head(&format!("HEAD {path} HTTP/1.1"), &[]);
        let read = parse(&bytes).unwrap().unwrap();
        assert_eq!(read, (Asked::Head(page), bytes.len()));
        let bytes = head(&format!("POST {path} HTTP/1.1"), &[]);
        assert_eq!(parse(&bytes), Err(Refusal::Method));
    }
}

#[test]
fn whom_a_proxy_speaks_for_is_read_in_order() {
    let bytes = head(
        &format!("GET /cable/new/{TUNNEL} HTTP/1.1"),
        &[
            ("Connection", "Upgrade"),
            ("X-Forwarded-For", "192.0.2.1"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Sec-WebSocket-Protocol", "fido.cable"),
            ("x-forwarded-for", "192.0.2.2, 192.0.2.3"),
        ],
    );
    let (request, _) = tunnel(&bytes);
    assert_eq!(request.forwarded, ["192.0.2.1", "192.0.2.2, 192.0.2.3"]);
}
