//! What a client makes of a phone that says anything, in any order, or nothing.
#![cfg(feature = "hybrid")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod common;

use std::time::Duration;

use common::pair::{ANSWER, ASK, info};
use handfast_proto::cbor::{DecodeError, Map, Value};
use handfast_proto::ctap2::ResponseError;
use handfast_proto::hybrid::advert::AdvertError;
use handfast_proto::hybrid::channel::ChannelError;
use handfast_proto::hybrid::handshake::HandshakeError;
use handfast_proto::hybrid::message::{Message, MessageError};
use handfast_proto::hybrid::{
    ApiMisuse, BadMessage, CeremonyError, ChannelFailure, ClientConfig, ClientEvent, Closed,
    PeerMisbehaved, TimedOut,
};
use handfast_testkit::{ScriptedPhone, Step};

type End = Option<Result<(), CeremonyError>>;

fn phone() -> ScriptedPhone {
    ScriptedPhone::new(1, ClientConfig::default()).unwrap()
}

/// Plays these steps from the beginning.
fn play(steps: impl IntoIterator<Item = Step>) -> ScriptedPhone {
    let mut phone = phone();
    phone.play(steps).unwrap();
    phone
}

fn hello() -> Step {
    Step::Plain(post_handshake(vec![Value::from("ctap")]))
}

fn post_handshake(features: Vec<Value>) -> Vec<u8> {
    Map::new().with(1, info()).with(3, features).encode()
}

fn reply() -> Step {
    Step::Send(Message::Ctap(ANSWER.to_vec()))
}

/// The steps of an honest phone until it has said what it is.
fn met() -> Vec<Step> {
    let mut steps = shaken();
    steps.push(hello());
    steps
}

/// The same, without its post-handshake message.
fn shaken() -> Vec<Step> {
    vec![Step::Advertise, Step::Open, Step::Handshake]
}

/// The same, with a request that the phone has read.
fn asked() -> Vec<Step> {
    let mut steps = met();
    steps.extend([Step::Ask(ASK.to_vec()), Step::Expect]);
    steps
}

#[test]
fn a_client_introduces_itself_once_and_before_it_asks() {
    let introduce = || Step::Introduce(b"laptop".to_vec());
    let said = |phone: &ScriptedPhone| phone.record().messages.len();
    let phone = after(met(), [introduce(), Step::Expect, introduce()]);
    assert_eq!(phone.record().misuse, [ApiMisuse::NotReady]);
    assert_eq!(said(&phone), 1);
    let Ok(Message::Update(update)) = Message::parse(&phone.record().messages[0]) else {
        panic!("no update");
    };
    let Some(Message::Update(expected)) = Message::introduction(b"laptop") else {
        panic!("no introduction");
    };
    assert_eq!(update, expected);
    // It can still ask; while it does, and later, it is too late for an introduction.
    for steps in [asked(), shaken()] {
        let phone = after(steps, [introduce()]);
        assert_eq!(phone.record().misuse, [ApiMisuse::NotReady]);
    }
    let phone = after(
        met(),
        [
            introduce(),
            Step::Expect,
            Step::Ask(ASK.to_vec()),
            Step::Expect,
            reply(),
            introduce(),
        ],
    );
    assert_eq!(phone.record().misuse, [ApiMisuse::NotReady]);
    assert_eq!(said(&phone), 2);
}

fn after(mut begin: Vec<Step>, more: impl IntoIterator<Item = Step>) -> ScriptedPhone {
    begin.extend(more);
    play(begin)
}

fn misbehaved(fault: impl Into<PeerMisbehaved>) -> End {
    Some(Err(CeremonyError::PeerMisbehaved(fault.into())))
}

fn timed_out(what: TimedOut) -> End {
    Some(Err(CeremonyError::TimedOut(what)))
}

fn responses(phone: &ScriptedPhone) -> usize {
    let events = phone.record().events.iter();
    let response = |event: &&ClientEvent| matches!(event, ClientEvent::Response(_));
    events.filter(response).count()
}

fn ready(phone: &ScriptedPhone) -> bool {
    let mut events = phone.record().events.iter();
    events.any(|event| matches!(event, ClientEvent::Ready { .. }))
}

#[test]
fn an_honest_phone_is_asked_and_left_in_peace() {
    let phone = after(
        asked(),
        [
            reply(),
            Step::Shutdown,
            Step::Expect,
            Step::Close(Closed::ByPeer),
        ],
    );
    assert_eq!(phone.end(), Some(Ok(())));
    let said = [
        Message::Ctap(ASK.to_vec()).encode(),
        Message::Shutdown.encode(),
    ];
    assert_eq!(phone.record().messages, said);
    assert_eq!(responses(&phone), 1);
    assert_eq!((phone.record().opened, phone.record().closed), (1, 1));
    assert!(!phone.record().radio, "it stopped listening");
}

#[test]
fn a_script_goes_the_same_way_each_time() {
    let run = || after(asked(), [reply(), Step::Shutdown]);
    assert_eq!(run().record(), run().record());
    assert_eq!(run().advert(), run().advert());
}

#[test]
fn the_code_is_not_shown_any_more_when_an_advert_was_for_it() {
    let mut phone = phone();
    assert!(phone.client().url().is_some());
    assert_eq!(phone.hear(&[7; 20]), Err(AdvertError::Tag));
    assert!(phone.client().url().is_some(), "scanning goes on");
    phone.play([Step::Advertise]).unwrap();
    assert_eq!(phone.client().url(), None);
    let cancelled = play([Step::Cancel]);
    assert_eq!(cancelled.client().url(), None);
}

#[test]
fn only_the_first_advert_counts() {
    let phone = play([Step::Advertise, Step::Advertise]);
    assert_eq!(phone.record().opened, 1);
}

#[test]
fn data_before_the_handshake_is_fatal() {
    for begin in [vec![], vec![Step::Advertise]] {
        let phone = after(begin, [Step::Frame(vec![0; 81])]);
        assert_eq!(phone.end(), misbehaved(PeerMisbehaved::DataBeforeHandshake));
    }
}

#[test]
fn message_2_has_81_bytes() {
    for length in [0, 1, 65, 80, 82, 112] {
        let phone = play([Step::Advertise, Step::Open, Step::Frame(vec![4; length])]);
        assert_eq!(phone.end(), misbehaved(HandshakeError::Length), "{length}");
        assert_eq!(phone.record().closed, 1);
    }
    let phone = play([Step::Advertise, Step::Open, Step::Frame(vec![4; 81])]);
    assert_eq!(phone.end(), misbehaved(HandshakeError::Rejected));
}

#[test]
fn what_a_phone_says_of_itself_must_be_readable() {
    let map = Map::new;
    let texts = |texts: &[&str]| -> Vec<Value> { texts.iter().map(|&t| t.into()).collect() };
    for (message, fault) in [
        (vec![], MessageError::Cbor(DecodeError::Truncated)),
        (
            vec![0xff],
            MessageError::Cbor(DecodeError::IndefiniteLength),
        ),
        (
            vec![0xa1, 0x18, 1, 0],
            MessageError::Cbor(DecodeError::NonMinimalHead),
        ),
        (vec![0x80], MessageError::NotMap),
        (map().encode(), MessageError::NoGetInfo),
        (
            map().with(3, texts(&["ctap"])).encode(),
            MessageError::NoGetInfo,
        ),
        (post_handshake(texts(&["dc"])), MessageError::NoCtap),
        (post_handshake(texts(&[])), MessageError::NoCtap),
        (map().with(1, "text").encode(), MessageError::WrongType),
        (
            map().with(1, info()).with(3, 1).encode(),
            MessageError::WrongType,
        ),
    ] {
        let phone = after(shaken(), [Step::Plain(message.clone())]);
        assert_eq!(phone.end(), misbehaved(fault), "{message:02x?}");
        assert!(!ready(&phone));
    }
    let no_versions = map().with(1, map().with(3, [0; 16]).encode()).encode();
    let phone = after(shaken(), [Step::Plain(no_versions)]);
    assert_eq!(phone.end(), misbehaved(ResponseError::Missing(1)));
}

#[test]
fn features_and_members_that_nobody_knows_are_ignored() {
    let features = vec![Value::from(7), "ctap".into(), "zz-later".into()];
    let extra = Map::new()
        .with(0, [0; 40])
        .with(1, info())
        .with(2, Map::new())
        .with(3, vec![Value::from("ctap")])
        .with(99, true);
    for message in [
        post_handshake(features),
        Map::new().with(1, info()).encode(),
        extra.encode(),
    ] {
        let phone = after(shaken(), [Step::Plain(message)]);
        assert!(ready(&phone), "{:?}", phone.end());
    }
}

#[test]
fn the_form_of_revision_0_is_told_as_such() {
    let map = Map::new().with(1, info()).encode();
    let mut padded = map.clone();
    padded.resize(512, 0);
    padded.extend(u16::try_from(512 - map.len()).unwrap().to_le_bytes());
    for message in [padded, [map.as_slice(), &[0]].concat()] {
        let phone = after(shaken(), [Step::Plain(message)]);
        assert_eq!(phone.end(), misbehaved(MessageError::Revision0));
    }
}

#[test]
fn a_message_of_no_known_type_is_fatal_at_any_time() {
    for (message, fault) in [
        (vec![4, 0], MessageError::UnknownType),
        (vec![0xff], MessageError::UnknownType),
        (vec![], MessageError::Empty),
    ] {
        for begin in [met(), asked()] {
            let phone = after(begin, [Step::Plain(message.clone())]);
            assert_eq!(phone.end(), misbehaved(fault), "{message:?}");
            assert_eq!(phone.record().closed, 1);
        }
    }
}

#[test]
fn a_reply_that_nobody_asked_for_is_fatal() {
    let unsolicited = [
        Step::Send(Message::Ctap(ANSWER.to_vec())),
        Step::Send(Message::Json(b"{}".to_vec())),
    ];
    for step in unsolicited {
        let phone = after(met(), [step.clone()]);
        assert_eq!(phone.end(), misbehaved(PeerMisbehaved::UnsolicitedReply));
        // A second reply is one, too.
        let phone = after(asked(), [reply(), step]);
        assert_eq!(phone.end(), misbehaved(PeerMisbehaved::UnsolicitedReply));
        assert_eq!(responses(&phone), 1);
    }
}

#[test]
fn a_reply_has_the_type_of_its_request() {
    let json = Step::Send(Message::Json(b"{\"response\": {}}".to_vec()));
    let phone = after(asked(), [json]);
    assert_eq!(phone.end(), misbehaved(PeerMisbehaved::UnexpectedType));
    assert_eq!(responses(&phone), 0);
}

#[test]
fn a_shutdown_is_fine_after_the_reply_and_an_error_before() {
    let bare = Step::Send(Message::Shutdown);
    let with_payload = Step::Plain(vec![0, 1, 2]);
    for farewell in [bare, with_payload] {
        let fault = misbehaved(PeerMisbehaved::ShutdownInsteadOfReply);
        assert_eq!(after(met(), [farewell.clone()]).end(), fault);
        assert_eq!(after(asked(), [farewell.clone()]).end(), fault);
        let phone = after(asked(), [reply(), farewell]);
        assert_eq!(phone.end(), Some(Ok(())));
        assert_eq!(phone.record().closed, 1);
    }
}

#[test]
fn an_update_is_ignored_at_any_time_whatever_is_in_it() {
    let linking = Map::new().with(0, [0; 40]).with(1, Map::new().with(1, 1));
    let updates = [
        Step::Send(Message::empty_update()),
        Step::Send(Message::Update(Vec::new())),
        Step::Send(Message::Update(vec![0xff])),
        Step::Send(Message::Update(linking.encode())),
    ];
    let mut steps = met();
    steps.extend(updates.clone());
    steps.extend([Step::Ask(ASK.to_vec()), Step::Expect]);
    steps.extend(updates.clone());
    steps.push(reply());
    steps.extend(updates.clone());
    steps.push(Step::Shutdown);
    steps.extend(updates);
    steps.push(Step::Close(Closed::ByPeer));
    let phone = play(steps);
    assert_eq!(phone.end(), Some(Ok(())));
    assert_eq!(responses(&phone), 1);
}

/// What others send: padding longer than need be, none but a zero at the end, and padding that was
/// counted before the type byte came in front, so that frames have 32 k + 1 bytes.
#[test]
fn padding_is_read_by_its_last_byte_alone() {
    let hello = post_handshake(vec!["ctap".into()]);
    let padded = |message: &[u8], zeros: u8| {
        let zeros_and_count = [vec![0; usize::from(zeros)], vec![zeros]].concat();
        Step::Padded([message, &zeros_and_count].concat())
    };
    let reply = Message::Ctap(ANSWER.to_vec()).encode();
    let to_granule = u8::try_from(31 - ANSWER.len() % 32).unwrap();
    for (hello_zeros, reply_zeros) in [(0, 0), (31, 255), (200, to_granule)] {
        let mut steps = shaken();
        steps.extend([
            padded(&hello, hello_zeros),
            Step::Ask(ASK.to_vec()),
            Step::Expect,
            padded(&reply, reply_zeros),
        ]);
        let phone = play(steps);
        assert!(ready(&phone), "{:?}", phone.end());
        let answered = phone.record().events.last().unwrap();
        assert_eq!(*answered, ClientEvent::Response(ANSWER.to_vec()));
    }
    for impossible in [
        vec![],
        vec![1],
        vec![7; 3],
        [vec![0; 31], vec![32]].concat(),
    ] {
        let phone = after(asked(), [Step::Padded(impossible.clone())]);
        assert_eq!(
            phone.end(),
            misbehaved(ChannelError::Padding),
            "{impossible:?}"
        );
    }
}

#[test]
fn a_frame_of_another_channel_is_fatal() {
    for begin in [shaken(), met(), asked()] {
        for length in [1, 16, 48, 81, 112] {
            let phone = after(begin.clone(), [Step::Frame(vec![1; length])]);
            assert_eq!(phone.end(), misbehaved(ChannelError::Forged), "{length}");
        }
    }
}

#[test]
fn closing_without_a_reply_is_failure_with_its_reason() {
    let lost = Closed::ByRelay(ChannelFailure::Lost);
    for begin in [vec![Step::Advertise, Step::Open], shaken(), met(), asked()] {
        let phone = after(begin.clone(), [Step::Close(Closed::ByPeer)]);
        assert_eq!(phone.end(), Some(Err(CeremonyError::PeerGone)));
        let phone = after(begin, [Step::Close(lost)]);
        assert_eq!(phone.end(), Some(Err(ChannelFailure::Lost.into())));
    }
    // An open tunnel it was not yet.
    let phone = play([Step::Advertise, Step::Close(Closed::ByPeer)]);
    assert_eq!(phone.end(), Some(Err(ChannelFailure::Unreachable.into())));
    // A phone that hangs up after its answer is done.
    for closed in [Closed::ByPeer, lost] {
        let phone = after(asked(), [reply(), Step::Close(closed)]);
        assert_eq!(phone.end(), Some(Ok(())));
    }
}

#[test]
fn what_is_no_binary_message_is_the_phones_fault() {
    for bad in [BadMessage::Empty, BadMessage::Text, BadMessage::TooLarge] {
        for begin in [vec![Step::Advertise, Step::Open], shaken(), met(), asked()] {
            let phone = after(begin, [Step::Close(Closed::Misbehaved(bad))]);
            assert_eq!(phone.end(), misbehaved(bad));
        }
    }
}

#[test]
fn each_silence_has_its_own_end() {
    for (steps, silence, seconds) in [
        (vec![], TimedOut::Advert, 180),
        (vec![Step::Advertise], TimedOut::Channel, 30),
        (vec![Step::Advertise, Step::Open], TimedOut::Handshake, 20),
        (shaken(), TimedOut::Handshake, 20),
        (asked(), TimedOut::Reply, 300),
    ] {
        let mut phone = play(steps);
        let limit = Duration::from_secs(seconds);
        let almost = Step::Wait(limit - Duration::from_millis(1));
        phone.play([almost]).unwrap();
        assert_eq!(phone.end(), None, "{silence:?}");
        phone.rest();
        assert_eq!(phone.end(), timed_out(silence));
        assert_eq!(phone.elapsed(), limit);
    }
}

#[test]
fn updates_do_not_make_the_time_for_an_answer_longer() {
    let minute = Step::Wait(Duration::from_secs(60));
    let mut steps = asked();
    for _ in 0..5 {
        steps.extend([Step::Send(Message::empty_update()), minute.clone()]);
    }
    assert_eq!(play(steps).end(), timed_out(TimedOut::Reply));
}

#[test]
fn a_client_that_may_ask_and_does_not_waits_without_limit() {
    let mut phone = after(met(), [Step::Wait(Duration::from_secs(86_400))]);
    assert_eq!(phone.end(), None);
    phone
        .play([Step::Ask(ASK.to_vec()), Step::Expect, reply()])
        .unwrap();
    assert_eq!(responses(&phone), 1);
}

#[test]
fn a_phone_that_stays_after_the_farewell_is_left_after_two_seconds() {
    let mut phone = after(asked(), [reply(), Step::Shutdown, Step::Expect]);
    assert_eq!(phone.end(), None);
    phone.rest();
    assert_eq!(phone.end(), Some(Ok(())));
    assert_eq!(phone.elapsed(), Duration::from_secs(2));
    assert_eq!(phone.record().closed, 1);
}

#[test]
fn what_comes_after_the_end_is_nobodys_business() {
    let ended = after(met(), [Step::Cancel]);
    let late = after(
        met(),
        [
            Step::Cancel,
            hello(),
            reply(),
            Step::Frame(vec![1; 50]),
            Step::Close(Closed::Misbehaved(BadMessage::Text)),
            Step::Wait(Duration::from_secs(600)),
            Step::Cancel,
            Step::Shutdown,
        ],
    );
    assert_eq!(late.record(), ended.record());
    assert_eq!(late.end(), Some(Err(CeremonyError::Cancelled)));
}

#[test]
fn a_tunnel_that_opens_too_late_is_closed_again() {
    let mut phone = play([Step::Advertise, Step::Cancel]);
    let before = phone.record().closed;
    phone.play([Step::Open]).unwrap();
    assert_eq!(phone.record().closed, before + 1);
    assert!(phone.record().frames.is_empty(), "nothing is sent");

    let mut phone = play([Step::Advertise]);
    phone.rest();
    assert_eq!(phone.end(), timed_out(TimedOut::Channel));
    let before = phone.record().closed;
    phone.play([Step::Open]).unwrap();
    assert_eq!(phone.record().closed, before + 1);
}

#[test]
fn a_client_asks_one_thing_at_a_time() {
    let phone = after(asked(), [Step::Ask(ASK.to_vec()), reply()]);
    assert_eq!(phone.record().misuse, [ApiMisuse::NotReady]);
    assert_eq!(responses(&phone), 1);
    let phone = after(asked(), [reply(), Step::Shutdown, Step::Ask(ASK.to_vec())]);
    assert_eq!(phone.record().misuse, [ApiMisuse::NotReady]);
}

/// Here two messages are really on their way at once.
#[test]
fn messages_in_another_order_are_fatal() {
    use handfast_testkit::ScriptError;
    let update = Message::empty_update();
    let mut honest = after(asked(), [Step::Send(update.clone()), reply()]);
    assert_eq!(responses(&honest), 1);
    let sealed = |phone: &mut ScriptedPhone, message: &Message| phone.seal(&message.encode());
    let mut phone = play(asked());
    let first = sealed(&mut phone, &update).unwrap();
    let second = sealed(&mut phone, &Message::Ctap(ANSWER.to_vec())).unwrap();
    phone
        .play([Step::Frame(second), Step::Frame(first)])
        .unwrap();
    assert_eq!(phone.end(), misbehaved(ChannelError::Forged));
    assert_eq!(responses(&phone), 0);
    assert_eq!(honest.play([Step::Expect]), Err(ScriptError::NothingCame));
}
