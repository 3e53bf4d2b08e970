//! Ceremonies whose messages go by Bluetooth, or would.
#![cfg(feature = "hybrid")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

#[path = "../common/mod.rs"]
mod common;
mod scripted;

use std::time::Duration;

use common::pair::{ANSWER, ASK, good, info, play_pair, script, talk};
use handfast_proto::cbor::Value;
use handfast_proto::hybrid::handshake::HandshakeError;
use handfast_proto::hybrid::message::Message;
use handfast_proto::hybrid::{
    BadMessage, CeremonyError, ChannelFailure, ClientConfig, ClientEvent, Closed, DataChannel,
    DataChannels, PeerMisbehaved, PhoneConfig, PhoneEvent, PhoneLimits, TimedOut,
};
use handfast_testkit::{
    Ble, DOMAIN, Faults, Outcome, Pair, PairError, Script, ScriptedClient, ScriptedPhone, Step,
};

fn offering(client: DataChannels, phone: DataChannels) -> Script {
    Script {
        client_channels: client,
        phone_channels: phone,
        ..script()
    }
}

fn both() -> Script {
    offering(DataChannels::Both, DataChannels::Both)
}

fn only_ble() -> Script {
    offering(DataChannels::Ble, DataChannels::Ble)
}

fn with(ble: Ble) -> Faults {
    Faults {
        ble,
        ..Faults::default()
    }
}

fn good_on(channel: DataChannel) -> Outcome {
    Outcome {
        channel: Some(channel),
        ..good()
    }
}

/// How often this is in the transcript.
fn told(pair: &Pair, what: &str) -> usize {
    let lines = pair.transcript().iter();
    lines.filter(|line| line.contains(what)).count()
}

#[test]
fn client_and_phone_meet_on_what_both_have() {
    use DataChannels::{Ble, Both, WebSocket};
    let cases = [
        (WebSocket, WebSocket, DataChannel::WebSocket),
        (WebSocket, Both, DataChannel::WebSocket),
        (Both, WebSocket, DataChannel::WebSocket),
        (Both, Both, DataChannel::Ble),
        (Both, Ble, DataChannel::Ble),
        (Ble, Both, DataChannel::Ble),
        (Ble, Ble, DataChannel::Ble),
    ];
    for (client, phone, channel) in cases {
        let pair = play_pair(1, offering(client, phone), Faults::default());
        assert_eq!(pair.outcome, good_on(channel), "{client:?} {phone:?}");
        let longer = client != WebSocket && phone != WebSocket;
        assert_eq!(pair.air()[0].len(), if longer { 24 } else { 20 });
    }
}

#[test]
fn without_a_common_way_the_phone_says_so() {
    for (client, phone) in [
        (DataChannels::WebSocket, DataChannels::Ble),
        (DataChannels::Ble, DataChannels::WebSocket),
    ] {
        let pair = Pair::new(1, offering(client, phone), Faults::default());
        assert!(matches!(pair, Err(PairError::Unanswerable(_))));
    }
}

#[test]
fn by_bluetooth_alone_no_relay_is_asked() {
    let faults = Faults {
        silent_relay: true,
        ..Faults::default()
    };
    let pair = play_pair(1, only_ble(), faults);
    assert_eq!(pair.outcome, good_on(DataChannel::Ble));
    assert_eq!(told(&pair, "OpenTunnel"), 0);
}

#[test]
fn a_phone_without_its_relay_goes_on_by_bluetooth() {
    for (faults, reason) in [
        (
            Faults {
                refuse_new: Some(ChannelFailure::Unreachable),
                ..Faults::default()
            },
            "Environment(Unreachable)",
        ),
        (
            Faults {
                silent_relay: true,
                ..Faults::default()
            },
            "TimedOut(Channel)",
        ),
    ] {
        let pair = play_pair(1, both(), faults);
        assert_eq!(pair.outcome, good_on(DataChannel::Ble), "{reason}");
        let told = told(&pair, &format!("Phone Without(WebSocket, {reason})"));
        assert_eq!(told, 1, "{:#?}", pair.transcript());
        assert!(pair.elapsed() < Duration::from_secs(8), "nobody waits long");
    }
}

#[test]
fn another_phone_on_the_same_code_ends_it_whatever_ways_there_are() {
    let faults = Faults {
        refuse_new: Some(ChannelFailure::Conflict),
        ..Faults::default()
    };
    let pair = play_pair(1, both(), faults);
    let conflict = Err(ChannelFailure::Conflict.into());
    assert_eq!(pair.outcome.phone, Some(conflict));
    assert_eq!(told(&pair, "Advertise"), 0);
}

#[test]
fn a_phone_that_cannot_take_connections_offers_none() {
    let ble = Ble {
        refuse_listen: Some(ChannelFailure::BleFailed),
        ..Ble::default()
    };
    let pair = play_pair(1, both(), with(ble));
    assert_eq!(pair.outcome, good_on(DataChannel::WebSocket));
    assert_eq!(pair.air()[0].len(), 20);
    let pair = play_pair(1, only_ble(), with(ble));
    assert_eq!(
        pair.outcome.phone,
        Some(Err(ChannelFailure::BleFailed.into()))
    );
}

#[test]
fn a_client_that_gets_no_connection_takes_the_tunnel() {
    let ble = Ble {
        refuse_connect: Some(ChannelFailure::BleFailed),
        ..Ble::default()
    };
    let pair = play_pair(1, both(), with(ble));
    assert_eq!(pair.outcome, good_on(DataChannel::WebSocket));
    assert_eq!(told(&pair, "TunnelInstead(Environment(BleFailed))"), 1);
    let pair = play_pair(1, only_ble(), with(ble));
    assert_eq!(
        pair.outcome.client,
        Some(Err(ChannelFailure::BleFailed.into()))
    );
    assert_eq!(pair.outcome.phone, Some(Err(TimedOut::Unheard.into())));
}

#[test]
fn a_connection_that_breaks_before_message_2_is_replaced_and_later_is_not() {
    // Message 1 is the first that is carried, message 2 the second. Once the phone has read message 1
    // it is nobody else's.
    let breaks = |breaks_after| {
        let ble = Ble {
            breaks_after: Some(breaks_after),
            ..Ble::default()
        };
        play_pair(1, both(), with(ble))
    };
    let pair = breaks(0);
    assert_eq!(pair.outcome, good_on(DataChannel::WebSocket));
    assert_eq!(told(&pair, "Client Send(Ble"), 1);
    let lost = Some(Err(ChannelFailure::BleLost.into()));
    for later in 2..4 {
        let outcome = breaks(later).outcome;
        assert_eq!(outcome.client, lost, "after {later}");
        assert_eq!(outcome.phone, lost, "after {later}");
    }
    // The phone has answered; that the answer did not arrive only the client learns.
    let outcome = breaks(4).outcome;
    assert_eq!((outcome.client, outcome.phone), (lost, Some(Ok(()))));
}

#[test]
fn the_second_handshake_has_another_ephemeral_key() {
    let ble = Ble {
        breaks_after: Some(0),
        ..Ble::default()
    };
    let pair = play_pair(1, both(), with(ble));
    let mut sent = pair
        .transcript()
        .iter()
        .filter_map(|line| line.split_once("Client Send("))
        .filter_map(|(_, sent)| sent.split_once(", "))
        .map(|(_, bytes)| bytes.trim_end_matches(')').to_owned());
    let (first, second) = (sent.next().unwrap(), sent.next().unwrap());
    let key = |message: &str| -> Vec<String> {
        let bytes = message.trim_matches(['[', ']']).split(", ");
        bytes.take(65).map(str::to_owned).collect()
    };
    assert_eq!(key(&first).len(), 65);
    assert_ne!(key(&first), key(&second));
}

#[test]
fn a_wrong_suffix_of_somebody_else_leads_to_the_tunnel() {
    // Nobody takes connections there; an advert that is cut short or garbled offers none.
    for suffix in [
        &[0xa1, 0x01, 0x18, 0xfe][..],
        &[],
        &[0xff],
        &[0xa1, 0x01, 0x00],
    ] {
        let faults = Faults {
            suffix: Some(suffix.to_vec()),
            ..Faults::default()
        };
        let pair = play_pair(1, both(), faults.clone());
        assert_eq!(
            pair.outcome,
            good_on(DataChannel::WebSocket),
            "{suffix:02x?}"
        );
        let outcome = play_pair(1, only_ble(), faults).outcome;
        let failure = match suffix {
            [0xa1, 0x01, 0x18, ..] => ChannelFailure::BleFailed,
            _ => ChannelFailure::BleNotOffered,
        };
        assert_eq!(outcome.client, Some(Err(failure.into())), "{suffix:02x?}");
    }
}

#[test]
fn strangers_who_connect_do_not_keep_the_computer_away() {
    const WORDS: [&[u8]; 4] = [b"", b"hello", &[4; 81], &[4; 400]];
    for words in WORDS {
        let ble = Ble {
            stranger: Some(words),
            ..Ble::default()
        };
        let pair = play_pair(1, both(), with(ble));
        assert_eq!(pair.outcome, good_on(DataChannel::Ble), "{}", words.len());
        let pair = play_pair(1, only_ble(), with(ble));
        assert_eq!(pair.outcome, good_on(DataChannel::Ble), "{}", words.len());
    }
}

#[test]
fn long_messages_in_short_units_arrive() {
    for terminated in [true, false] {
        for sdu in [16, 23, 100, 672] {
            let script = Script {
                requests: vec![vec![2; 3000], vec![2; 40]],
                answer: Box::new(|request| Some(vec![0; request.len() + 2000])),
                ..both()
            };
            let ble = Ble {
                sdu,
                terminated,
                ..Ble::default()
            };
            let outcome = play_pair(1, script, with(ble)).outcome;
            assert_eq!(outcome.client, Some(Ok(())), "{sdu} {terminated}");
            assert_eq!(outcome.channel, Some(DataChannel::Ble));
            let lengths: Vec<usize> = outcome.responses.iter().map(Vec::len).collect();
            assert_eq!(lengths, [5000, 2040]);
        }
    }
}

#[test]
fn many_requests_go_over_one_connection() {
    let script = Script {
        client_channels: DataChannels::Ble,
        ..talk(20)
    };
    let outcome = play_pair(1, script, Faults::default()).outcome;
    assert_eq!(outcome.responses.len(), 20);
    assert_eq!(outcome.client, Some(Ok(())));
}
