//! The virtual relay keeps the rules of a real one.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use handfast_proto::hybrid::ChannelFailure;
use handfast_proto::hybrid::channel::MAX_FRAME;
use handfast_proto::hybrid::tunnel::{RoutingId, TunnelDomain, TunnelId};
use handfast_testkit::{Connection, Delivery, Relay, Told};

const DOMAIN: TunnelDomain = TunnelDomain(300);
const TUNNEL: TunnelId = TunnelId([7; 16]);

fn pair(relay: &mut Relay) -> (Connection, Connection) {
    let (phone, routing) = relay.create(DOMAIN, TUNNEL).unwrap();
    let (client, waiting) = relay.connect(DOMAIN, routing, TUNNEL).unwrap();
    assert!(waiting.is_empty());
    (phone, client)
}

fn frame(to: Connection, bytes: &[u8]) -> Vec<Delivery> {
    let told = Told::Frame(bytes.to_vec());
    vec![Delivery { to, told }]
}

fn closed<const N: usize>(codes: [(Connection, u16); N]) -> Vec<Delivery> {
    let told = |(to, code)| Delivery {
        to,
        told: Told::Closed(code),
    };
    codes.map(told).to_vec()
}

#[test]
fn nobody_joins_a_tunnel_that_is_not_there() {
    let mut relay = Relay::new(1);
    let unknown = relay.connect(DOMAIN, RoutingId([0; 3]), TUNNEL);
    assert_eq!(unknown, Err(ChannelFailure::NotFound));
    let (_, routing) = relay.create(DOMAIN, TUNNEL).unwrap();
    let RoutingId([a, b, c]) = routing;
    for (domain, routing, tunnel) in [
        (DOMAIN, RoutingId([a ^ 1, b, c]), TUNNEL),
        (DOMAIN, routing, TunnelId([8; 16])),
        (TunnelDomain(301), routing, TUNNEL),
    ] {
        let joined = relay.connect(domain, routing, tunnel);
        assert_eq!(
            joined,
            Err(ChannelFailure::NotFound),
            "{domain:?} {routing:?}"
        );
    }
    assert!(relay.connect(DOMAIN, routing, TUNNEL).is_ok());
}

#[test]
fn the_first_phone_and_the_first_client_keep_their_places() {
    let mut relay = Relay::new(1);
    let (phone, routing) = relay.create(DOMAIN, TUNNEL).unwrap();
    assert_eq!(relay.create(DOMAIN, TUNNEL), Err(ChannelFailure::Conflict));
    let (client, _) = relay.connect(DOMAIN, routing, TUNNEL).unwrap();
    let second = relay.connect(DOMAIN, routing, TUNNEL);
    assert_eq!(second, Err(ChannelFailure::Conflict));
    assert_eq!(relay.forward(client, vec![1]), frame(phone, &[1]));
    assert_eq!(relay.forward(phone, vec![2]), frame(client, &[2]));
}

#[test]
fn one_name_at_two_relays_is_two_tunnels() {
    let mut relay = Relay::new(1);
    let first = relay.create(DOMAIN, TUNNEL).unwrap();
    let second = relay.create(TunnelDomain(301), TUNNEL).unwrap();
    assert_ne!(first, second);
    assert_eq!(relay.tunnels(), 2);
}

#[test]
fn who_is_left_is_told_how_the_other_went() {
    let mut relay = Relay::new(1);
    let (phone, client) = pair(&mut relay);
    assert_eq!(relay.close(client), closed([(phone, 1000)]));
    assert_eq!(relay.tunnels(), 0);
    let (phone, client) = pair(&mut relay);
    assert_eq!(relay.lose(phone), closed([(client, 1001)]));
    assert_eq!(relay.forward(client, vec![1]), Vec::new(), "it is over");
    assert_eq!(relay.close(client), Vec::new());
    assert_eq!(relay.peer(client), None);
}

#[test]
fn who_breaks_a_rule_is_told_which_and_the_other_only_that_it_is_over() {
    for (bytes, code) in [(0, 1002), (MAX_FRAME + 1, 1009)] {
        let mut relay = Relay::new(1);
        let (phone, client) = pair(&mut relay);
        assert_eq!(relay.peer(client), Some(phone));
        let told = relay.forward(client, vec![0; bytes]);
        assert_eq!(told, closed([(client, code), (phone, 1008)]));
        assert_eq!(relay.tunnels(), 0);
    }
    let mut relay = Relay::new(1);
    let (phone, client) = pair(&mut relay);
    for _ in 0..256 {
        assert_eq!(relay.forward(phone, vec![1]), frame(client, &[1]));
    }
    let told = relay.forward(phone, vec![1]);
    assert_eq!(told, closed([(phone, 1008), (client, 1008)]));
}

#[test]
fn what_a_phone_says_early_is_kept_for_its_client_within_bounds() {
    let mut relay = Relay::new(1);
    let (phone, routing) = relay.create(DOMAIN, TUNNEL).unwrap();
    for byte in 1..=8 {
        assert_eq!(relay.forward(phone, vec![byte]), Vec::new());
    }
    let (_, waiting) = relay.connect(DOMAIN, routing, TUNNEL).unwrap();
    let sent: Vec<Vec<u8>> = (1..=8).map(|byte| vec![byte]).collect();
    assert_eq!(waiting, sent);

    let mut relay = Relay::new(1);
    let (phone, _) = relay.create(DOMAIN, TUNNEL).unwrap();
    for _ in 0..8 {
        relay.forward(phone, vec![1]);
    }
    assert_eq!(relay.forward(phone, vec![1]), closed([(phone, 1008)]));
    let (phone, _) = relay.create(DOMAIN, TUNNEL).unwrap();
    let told = relay.forward(phone, vec![1; 64 * 1024 + 1]);
    assert_eq!(told, closed([(phone, 1009)]));
}
