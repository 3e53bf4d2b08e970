//! What a phone makes of a client that says anything, in any order, or nothing.
#![cfg(feature = "hybrid")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod common;

use std::time::Duration;

use common::pair::{ANSWER, ASK, info};
use handfast_proto::cbor::{Map, Value};
use handfast_proto::ctap2::Status;
use handfast_proto::hybrid::channel::ChannelError;
use handfast_proto::hybrid::handshake::HandshakeError;
use handfast_proto::hybrid::message::{Message, MessageError, PostHandshake};
use handfast_proto::hybrid::tunnel::TunnelDomain;
use handfast_proto::hybrid::{
    ApiMisuse, BadMessage, CeremonyError, ChannelFailure, Closed, DataChannels, PeerMisbehaved,
    PhoneConfig, PhoneEvent, PhoneLimits, TimedOut, Unanswerable,
};
use handfast_testkit::{DOMAIN, PairError, ScriptError, ScriptedClient, Step};

type End = Option<Result<(), CeremonyError>>;

fn config(domain: TunnelDomain) -> PhoneConfig {
    PhoneConfig {
        domain,
        channels: DataChannels::WebSocket,
        get_info: info(),
        limits: PhoneLimits::default(),
    }
}

fn client(alter: impl FnOnce(Map) -> Map) -> Result<ScriptedClient, PairError> {
    ScriptedClient::new(1, config(DOMAIN), alter)
}

/// Plays these steps from the beginning.
fn play(steps: impl IntoIterator<Item = Step>) -> ScriptedClient {
    let mut client = client(|map| map).unwrap();
    client.play(steps).unwrap();
    client
}

/// The steps of an honest client until it knows what the phone is.
fn met() -> Vec<Step> {
    vec![Step::Open, Step::Handshake, Step::Expect, Step::Expect]
}

fn ask() -> Step {
    Step::Send(Message::Ctap(ASK.to_vec()))
}

/// The same, with a request that waits for its answer.
fn asked() -> Vec<Step> {
    let mut steps = met();
    steps.push(ask());
    steps
}

/// The same, with the answer.
fn answered() -> Vec<Step> {
    let mut steps = asked();
    steps.extend([Step::Answer(ANSWER.to_vec()), Step::Expect]);
    steps
}

fn after(mut begin: Vec<Step>, more: impl IntoIterator<Item = Step>) -> ScriptedClient {
    begin.extend(more);
    play(begin)
}

fn misbehaved(fault: impl Into<PeerMisbehaved>) -> End {
    Some(Err(CeremonyError::PeerMisbehaved(fault.into())))
}

fn timed_out(what: TimedOut) -> End {
    Some(Err(CeremonyError::TimedOut(what)))
}

fn requests(client: &ScriptedClient) -> usize {
    let events = client.record().events.iter();
    let request = |event: &&PhoneEvent| matches!(event, PhoneEvent::Request(_));
    events.filter(request).count()
}

fn code(altered: Result<ScriptedClient, PairError>) -> Option<Unanswerable> {
    match altered {
        Ok(_) => None,
        Err(PairError::Unanswerable(reason)) => Some(reason),
        Err(other) => panic!("{other:?}"),
    }
}

fn without(map: &Map, member: u64) -> Map {
    map.iter()
        .filter(|(key, _)| key.as_u64() != Some(member))
        .fold(Map::new(), |map, (key, value)| {
            map.with(key.clone(), value.clone())
        })
}

#[test]
fn an_honest_client_is_served_and_leaves() {
    let client = after(answered(), [Step::Send(Message::Shutdown)]);
    assert_eq!(client.end(), Some(Ok(())));
    let hello = PostHandshake::parse(&client.record().messages[0]).unwrap();
    assert_eq!(hello.get_info, info());
    assert_eq!(hello.features, ["ctap"]);
    let answer = Message::Ctap(ANSWER.to_vec()).encode();
    assert_eq!(client.record().messages[1..], [answer]);
    assert_eq!((client.record().opened, client.record().closed), (1, 1));
    assert_eq!(client.record().adverts.len(), 1);
}

#[test]
fn a_script_goes_the_same_way_each_time() {
    let run = || after(answered(), [Step::Send(Message::Shutdown)]);
    assert_eq!(run().record(), run().record());
}

#[test]
fn a_code_without_a_common_channel_is_not_answered() {
    let list = |numbers: &[u8]| -> Vec<Value> { numbers.iter().map(|&n| n.into()).collect() };
    for channels in [&[1][..], &[1, 7]] {
        let altered = client(|map| map.with(6, list(channels)));
        let reason = Some(Unanswerable::NoCommonChannel);
        assert_eq!(code(altered), reason, "{channels:?}");
    }
    // Numbers that nobody knows, nothing, and the older meaning of the member are passed over.
    for channels in [&[0][..], &[0, 1], &[1, 0], &[7], &[]] {
        let altered = client(|map| map.with(6, list(channels)));
        assert_eq!(code(altered), None, "{channels:?}");
    }
    assert_eq!(code(client(|map| map.with(6, true))), None);
    assert_eq!(code(client(|map| map.with(6, "text"))), None);
}

#[test]
fn a_code_of_a_client_that_cannot_know_the_relay_is_not_answered() {
    let start = |domain, known: Option<u64>| {
        let alter = |map: Map| match known {
            Some(known) => map.with(2, known),
            None => without(&map, 2),
        };
        code(ScriptedClient::new(1, config(TunnelDomain(domain)), alter))
    };
    let unknown = Some(Unanswerable::UnknownRelay);
    for (domain, known, reason) in [
        (0, None, unknown),
        (0, Some(0), unknown),
        (0, Some(1), None),
        (1, Some(1), unknown),
        (1, Some(2), None),
        (2, Some(2), unknown),
        (255, Some(255), unknown),
        (255, Some(256), None),
        (256, None, None),
        (256, Some(0), None),
        (65_535, Some(2), None),
    ] {
        assert_eq!(start(domain, known), reason, "{domain} {known:?}");
    }
}

#[test]
fn an_update_of_constant_size_is_sent_if_the_code_wants_it_and_none_otherwise() {
    let frames = |linking: Option<bool>| {
        let altered = client(|map| match linking {
            Some(linking) => map.with(4, linking),
            None => without(&map, 4),
        });
        let mut client = altered.unwrap();
        client.play(met()).unwrap();
        let hello = client.record().frames.len();
        client
            .play((2..hello).map(|_| Step::Expect).collect::<Vec<_>>())
            .unwrap();
        client
    };
    for linking in [None, Some(false)] {
        let client = frames(linking);
        assert_eq!(client.record().frames.len(), 2, "{linking:?}");
    }
    let client = frames(Some(true));
    let lengths: Vec<usize> = client.record().frames.iter().map(Vec::len).collect();
    assert_eq!(lengths[0], 81);
    assert_eq!(lengths[2..], [528], "512 bytes and a tag");
    assert_eq!(
        client.record().messages[1],
        Message::empty_update().encode()
    );
    let Ok(Message::Update(content)) = Message::parse(&client.record().messages[1]) else {
        panic!("no update");
    };
    let content = handfast_proto::cbor::decode(&content).unwrap();
    let content = content.into_map().unwrap();
    let padding = content.int(0).and_then(Value::as_bytes).unwrap();
    assert_eq!(content.len(), 1, "no linking data");
    assert!(padding.iter().all(|&byte| byte == 0));
}

#[test]
fn data_before_the_tunnel_is_there_is_fatal() {
    let client = play([Step::Frame(vec![4; 81])]);
    assert_eq!(
        client.end(),
        misbehaved(PeerMisbehaved::DataBeforeHandshake)
    );
}

#[test]
fn message_1_has_81_bytes_and_one_chance() {
    for length in [0, 1, 65, 80, 82, 112] {
        let client = play([Step::Open, Step::Frame(vec![4; length])]);
        assert_eq!(client.end(), misbehaved(HandshakeError::Length), "{length}");
        assert!(!client.record().radio, "it broadcasts no more");
        assert_eq!(client.record().closed, 1);
    }
    let mut client = play([Step::Open, Step::Frame(vec![4; 81])]);
    assert_eq!(client.end(), misbehaved(HandshakeError::Rejected));
    client.play([Step::Handshake]).unwrap();
    assert_eq!(
        client.record().frames.len(),
        0,
        "the right message comes too late"
    );
}

#[test]
fn a_client_that_did_not_hear_the_advert_is_refused_however_well_it_knows_the_code() {
    let mut client = play([Step::Open]);
    let guess = client.secret().psk(&[0; 16]);
    client.handshake(&guess).unwrap();
    assert_eq!(client.end(), misbehaved(HandshakeError::Rejected));
    assert_eq!(requests(&client), 0);
    assert!(client.record().frames.is_empty(), "it is told nothing");
}

#[test]
fn every_ceremony_has_an_advert_of_its_own() {
    let advert = |seed| {
        let mut client = ScriptedClient::new(seed, config(DOMAIN), |map| map).unwrap();
        client.play([Step::Open]).unwrap();
        client.record().adverts[0].clone()
    };
    assert_eq!(advert(1), advert(1));
    assert_ne!(advert(1), advert(2));
}

#[test]
fn a_message_of_no_known_type_is_fatal_at_any_time() {
    for (message, fault) in [
        (vec![4, 0], MessageError::UnknownType),
        (vec![0xff], MessageError::UnknownType),
        (vec![], MessageError::Empty),
    ] {
        for begin in [met(), asked(), answered()] {
            let client = after(begin, [Step::Plain(message.clone())]);
            assert_eq!(client.end(), misbehaved(fault), "{message:?}");
            assert_eq!(client.record().closed, 1);
        }
    }
}

#[test]
fn a_request_while_another_is_open_is_fatal() {
    for second in [ask(), Step::Send(Message::Json(b"{}".to_vec()))] {
        let mut client = after(asked(), [second]);
        assert_eq!(
            client.end(),
            misbehaved(PeerMisbehaved::RequestWhilePending)
        );
        assert_eq!(requests(&client), 1);
        client.play([Step::Answer(ANSWER.to_vec())]).unwrap();
        assert_eq!(client.record().misuse, [ApiMisuse::NotReady]);
    }
}

#[test]
fn json_is_not_served_because_it_was_not_announced() {
    let json = Step::Send(Message::Json(
        b"{\"origin\": \"https://rp.example\"}".to_vec(),
    ));
    for begin in [met(), answered()] {
        let client = after(begin, [json.clone()]);
        assert_eq!(client.end(), misbehaved(PeerMisbehaved::UnexpectedType));
    }
}

#[test]
fn a_farewell_is_fine_after_an_answer_and_an_error_before() {
    for farewell in [
        Step::Send(Message::Shutdown),
        Step::Plain(vec![0, 1, 2]),
        Step::Close(Closed::ByPeer),
        Step::Close(Closed::ByRelay(ChannelFailure::Lost)),
    ] {
        let closed = match &farewell {
            Step::Close(Closed::ByRelay(failure)) => (*failure).into(),
            _ => CeremonyError::PeerGone,
        };
        for begin in [met(), asked()] {
            let client = after(begin, [farewell.clone()]);
            assert_eq!(client.end(), Some(Err(closed)), "{farewell:?}");
        }
        let client = after(answered(), [farewell.clone()]);
        assert_eq!(client.end(), Some(Ok(())), "{farewell:?}");
        // A second request is a new promise.
        let mut again = answered();
        again.extend([ask(), farewell.clone()]);
        assert_eq!(play(again).end(), Some(Err(closed)), "{farewell:?}");
    }
}

#[test]
fn a_tunnel_that_closes_before_its_client_comes_is_told_as_it_is() {
    let lost = Closed::ByRelay(ChannelFailure::Lost);
    let client = play([Step::Open, Step::Close(lost)]);
    assert_eq!(client.end(), Some(Err(ChannelFailure::Lost.into())));
    assert!(!client.record().radio, "it broadcasts no more");
    let client = play([Step::Open, Step::Close(Closed::ByPeer)]);
    assert_eq!(client.end(), Some(Err(CeremonyError::PeerGone)));
    let client = play([Step::Close(Closed::ByPeer)]);
    assert_eq!(client.end(), Some(Err(ChannelFailure::Unreachable.into())));
}

#[test]
fn an_update_is_ignored_at_any_time_whatever_is_in_it() {
    let updates = [
        Step::Send(Message::empty_update()),
        Step::Send(Message::Update(Vec::new())),
        Step::Send(Message::Update(vec![0xff])),
    ];
    let mut steps = met();
    steps.extend(updates.clone());
    steps.push(ask());
    steps.extend(updates.clone());
    steps.extend([Step::Answer(ANSWER.to_vec()), Step::Expect]);
    steps.extend(updates);
    steps.push(Step::Send(Message::Shutdown));
    let client = play(steps);
    assert_eq!(client.end(), Some(Ok(())));
    assert_eq!(requests(&client), 1);
}

/// What others send: padding longer than need be, none but a zero at the end, and padding that was
/// counted before the type byte came in front, so that frames have 32 k + 1 bytes.
#[test]
fn padding_is_read_by_its_last_byte_alone() {
    let request = Message::Ctap(ASK.to_vec()).encode();
    let to_granule = u8::try_from(31 - ASK.len() % 32).unwrap();
    for zeros in [0, 1, 31, to_granule, 32, 255] {
        let padding = [vec![0; usize::from(zeros)], vec![zeros]].concat();
        let padded = [request.as_slice(), &padding].concat();
        if zeros == to_granule {
            assert_eq!(padded.len() % 32, 1);
        }
        let client = after(met(), [Step::Padded(padded)]);
        let wanted = PhoneEvent::Request(ASK.to_vec());
        assert_eq!(client.record().events.last(), Some(&wanted), "{zeros}");
    }
    // The bytes before the count need not be zero.
    let odd = [request.as_slice(), &[9, 9, 2]].concat();
    assert_eq!(requests(&after(met(), [Step::Padded(odd)])), 1);
    for impossible in [vec![], vec![1], vec![7; 3]] {
        let client = after(met(), [Step::Padded(impossible)]);
        assert_eq!(client.end(), misbehaved(ChannelError::Padding));
    }
}

/// Here two messages are really on their way at once.
#[test]
fn messages_in_another_order_are_fatal() {
    let mut client = play(met());
    let first = client.seal(&Message::empty_update().encode()).unwrap();
    let second = client.seal(&Message::Ctap(ASK.to_vec()).encode()).unwrap();
    let steps = [Step::Frame(second), Step::Frame(first)];
    client.play(steps).unwrap();
    assert_eq!(client.end(), misbehaved(ChannelError::Forged));
    assert_eq!(requests(&client), 0);
}

#[test]
fn each_silence_has_its_own_end() {
    for (steps, silence, seconds) in [
        (vec![], TimedOut::Channel, 30),
        (vec![Step::Open], TimedOut::Unheard, 60),
        (met(), TimedOut::Request, 60),
    ] {
        let mut client = play(steps);
        let limit = Duration::from_secs(seconds);
        let almost = Step::Wait(limit - Duration::from_millis(1));
        client.play([almost]).unwrap();
        assert_eq!(client.end(), None, "{silence:?}");
        client.rest();
        assert_eq!(client.end(), timed_out(silence));
        assert_eq!(client.elapsed(), limit);
        assert!(!client.record().radio);
    }
}

#[test]
fn a_client_that_was_answered_and_says_nothing_more_is_done() {
    let mut client = play(answered());
    client.rest();
    assert_eq!(client.end(), Some(Ok(())));
    assert_eq!(client.elapsed(), Duration::from_secs(60));
}

#[test]
fn a_request_that_nobody_answers_lapses_and_cannot_be_answered_late() {
    let person = PhoneLimits::default().person;
    let almost = Step::Wait(person - Duration::from_millis(1));
    let mut client = after(asked(), [almost]);
    assert!(!client.record().events.contains(&PhoneEvent::Lapsed));
    client
        .play([Step::Wait(Duration::from_millis(1)), Step::Expect])
        .unwrap();
    let lapsed = Message::Ctap(vec![Status::USER_ACTION_TIMEOUT.0]).encode();
    assert_eq!(client.record().messages.last(), Some(&lapsed));
    assert_eq!(client.record().events.last(), Some(&PhoneEvent::Lapsed));
    client.play([Step::Answer(ANSWER.to_vec())]).unwrap();
    assert_eq!(client.record().misuse, [ApiMisuse::NotReady]);
    assert_eq!(client.play([Step::Expect]), Err(ScriptError::NothingCame));
    // The client may ask again, and the person has as much time as before.
    let again = [
        ask(),
        Step::Wait(person - Duration::from_millis(1)),
        Step::Answer(ANSWER.to_vec()),
        Step::Expect,
        Step::Send(Message::Shutdown),
    ];
    client.play(again).unwrap();
    assert_eq!(client.end(), Some(Ok(())));
}

#[test]
fn what_is_no_binary_message_is_the_clients_fault() {
    for bad in [BadMessage::Empty, BadMessage::Text, BadMessage::TooLarge] {
        for begin in [vec![Step::Open], met(), asked()] {
            let client = after(begin, [Step::Close(Closed::Misbehaved(bad))]);
            assert_eq!(client.end(), misbehaved(bad));
        }
    }
}

#[test]
fn what_comes_after_the_end_is_nobodys_business() {
    let ended = after(asked(), [Step::Cancel]);
    let late = after(
        asked(),
        [
            Step::Cancel,
            ask(),
            Step::Frame(vec![1; 50]),
            Step::Close(Closed::Misbehaved(BadMessage::Text)),
            Step::Wait(Duration::from_secs(600)),
            Step::Refuse(ChannelFailure::Conflict),
            Step::Cancel,
        ],
    );
    assert_eq!(late.record(), ended.record());
    assert_eq!(late.end(), Some(Err(CeremonyError::Cancelled)));
}

#[test]
fn a_tunnel_that_opens_too_late_is_closed_again_and_not_advertised() {
    for begin in [
        vec![Step::Cancel],
        vec![Step::Wait(Duration::from_secs(30))],
    ] {
        let mut client = play(begin);
        let before = client.record().closed;
        client.play([Step::Open]).unwrap();
        assert_eq!(client.record().closed, before + 1);
        assert!(client.record().adverts.is_empty());
    }
}

#[test]
fn a_refused_tunnel_is_told_as_it_is_and_nothing_is_advertised() {
    for failure in [ChannelFailure::Conflict, ChannelFailure::Rejected(503)] {
        let client = play([Step::Refuse(failure)]);
        assert_eq!(client.end(), Some(Err(failure.into())));
        assert!(client.record().adverts.is_empty());
    }
}

#[test]
fn cancelling_takes_the_advert_off_the_air() {
    let client = play([Step::Open, Step::Cancel]);
    assert!(!client.record().radio);
    assert_eq!(client.record().closed, 1);
    assert_eq!(client.end(), Some(Err(CeremonyError::Cancelled)));
}
