//! One side alone, against another that does what a script says.

use super::*;

fn phone(channels: DataChannels) -> ScriptedPhone {
    let config = ClientConfig {
        channels,
        ..ClientConfig::default()
    };
    ScriptedPhone::new(1, config).unwrap()
}

fn after_advert(channels: DataChannels, steps: impl IntoIterator<Item = Step>) -> ScriptedPhone {
    let mut phone = phone(channels);
    let steps = [Step::Use(DataChannel::Ble), Step::Advertise]
        .into_iter()
        .chain(steps);
    phone.play(steps).unwrap();
    phone
}

#[test]
fn whatever_a_phone_sends_for_message_2_by_bluetooth_the_tunnel_is_tried() {
    let garbage = [
        Step::Frame(vec![4; 81]),
        Step::Frame(vec![4; 90]),
        Step::Frame(b"\r\n".repeat(60)),
        Step::Close(Closed::ByPeer),
        Step::Close(Closed::Misbehaved(BadMessage::TooLarge)),
        Step::Wait(Duration::from_secs(10)),
    ];
    for step in garbage {
        let steps = [Step::Open, step.clone()];
        let both = after_advert(DataChannels::Both, steps.clone());
        assert_eq!(both.end(), None, "{step:?}");
        assert_eq!((both.record().linked, both.record().opened), (1, 1));
        let mut alone = after_advert(DataChannels::Ble, steps);
        alone.rest();
        assert!(matches!(alone.end(), Some(Err(_))), "{step:?}");
        assert_eq!(alone.record().opened, 0);
    }
}

#[test]
fn a_connection_that_does_not_come_about_is_waited_for_ten_seconds() {
    let wait = |seconds| {
        let steps = [Step::Wait(Duration::from_secs(seconds))];
        after_advert(DataChannels::Both, steps)
    };
    assert_eq!(wait(9).record().opened, 0);
    assert_eq!(wait(10).record().opened, 1);
    let late = [
        Step::Wait(Duration::from_secs(10)),
        // It comes after all: nobody wants it any more.
        Step::Open,
    ];
    let late = after_advert(DataChannels::Both, late);
    assert_eq!(late.record().frames.len(), 0);
    assert_eq!(late.record().closed, 2);
}

#[test]
fn the_tunnel_serves_as_well_after_bluetooth_failed() {
    let steps = [
        Step::Refuse(ChannelFailure::BleFailed),
        Step::Use(DataChannel::WebSocket),
        Step::Open,
        Step::Handshake,
    ];
    let phone = after_advert(DataChannels::Both, steps);
    let connected = |event: &&ClientEvent| matches!(event, ClientEvent::Connected(_));
    let events: Vec<_> = phone.record().events.iter().filter(connected).collect();
    assert_eq!(events, [&ClientEvent::Connected(DataChannel::WebSocket)]);
    // What the old channel still says is nothing to it.
    let mut phone = phone;
    let old = [
        Step::Use(DataChannel::Ble),
        Step::Frame(vec![1; 81]),
        Step::Close(Closed::ByPeer),
        Step::Refuse(ChannelFailure::BleLost),
    ];
    phone.play(old).unwrap();
    assert_eq!(phone.end(), None);
}

fn client(channels: DataChannels) -> ScriptedClient {
    let config = PhoneConfig {
        domain: DOMAIN,
        channels,
        get_info: info(),
        limits: PhoneLimits::default(),
    };
    let offer: Vec<Value> = vec![0.into(), 1.into()];
    ScriptedClient::new(1, config, |map| map.with(6, offer)).unwrap()
}

/// A phone whose both ways are there, and which advertises.
fn advertising() -> ScriptedClient {
    let mut client = client(DataChannels::Both);
    let steps = [Step::Open, Step::Use(DataChannel::Ble), Step::Open];
    client.play(steps).unwrap();
    assert_eq!(client.record().adverts.len(), 1);
    client
}

fn channel_of(client: &ScriptedClient) -> Option<DataChannel> {
    let mut events = client.record().events.iter();
    events.find_map(|event| match event {
        PhoneEvent::ClientConnected { channel, .. } => Some(*channel),
        _ => None,
    })
}

#[test]
fn the_first_channel_with_message_1_wins_and_the_other_is_closed() {
    for (channel, steps) in [
        (DataChannel::Ble, vec![Step::Link, Step::Handshake]),
        (
            DataChannel::WebSocket,
            vec![
                Step::Link,
                Step::Use(DataChannel::WebSocket),
                Step::Handshake,
            ],
        ),
    ] {
        let mut client = advertising();
        client.play(steps).unwrap();
        assert_eq!(channel_of(&client), Some(channel));
        assert_eq!(client.record().closed, 1, "{channel:?}");
        assert!(!client.record().radio);
        let serve = [
            Step::Expect,
            Step::Expect,
            Step::Send(Message::Ctap(ASK.to_vec())),
            Step::Answer(ANSWER.to_vec()),
            Step::Expect,
            Step::Send(Message::Shutdown),
        ];
        client.play(serve).unwrap();
        assert_eq!(client.end(), Some(Ok(())), "{channel:?}");
    }
}

#[test]
fn after_message_1_the_other_channel_is_nothing_to_the_phone() {
    let mut client = advertising();
    let steps = [
        Step::Link,
        Step::Handshake,
        Step::Expect,
        Step::Use(DataChannel::WebSocket),
        Step::Frame(vec![9; 81]),
        Step::Close(Closed::ByPeer),
        Step::Refuse(ChannelFailure::Lost),
        Step::Open,
        Step::Use(DataChannel::Ble),
        Step::Expect,
    ];
    client.play(steps).unwrap();
    assert_eq!(client.end(), None);
}

#[test]
fn a_wrong_message_1_ends_a_tunnel_but_by_bluetooth_only_the_connection() {
    let wrong = |at: DataChannel| {
        let mut client = advertising();
        let steps = [Step::Link, Step::Use(at), Step::Frame(vec![4; 81])];
        client.play(steps).unwrap();
        client
    };
    let rejected = PeerMisbehaved::Handshake(HandshakeError::Rejected);
    let tunnel = wrong(DataChannel::WebSocket);
    assert_eq!(tunnel.end(), Some(Err(rejected.into())));
    let mut ble = wrong(DataChannel::Ble);
    assert_eq!(ble.end(), None);
    assert_eq!(ble.record().closed, 1);
    // What comes before the next connection is nobody's.
    ble.play([Step::Frame(vec![4; 81])]).unwrap();
    assert_eq!(ble.record().closed, 1);
    ble.play([Step::Link, Step::Handshake]).unwrap();
    assert_eq!(channel_of(&ble), Some(DataChannel::Ble));
}

#[test]
fn who_comes_and_says_nothing_makes_room_after_five_seconds() {
    let mut client = advertising();
    let wait = |seconds| Step::Wait(Duration::from_secs(seconds));
    client.play([Step::Link, wait(4)]).unwrap();
    assert_eq!(client.record().closed, 0);
    client.play([wait(1)]).unwrap();
    assert_eq!(client.record().closed, 1);
    assert_eq!(client.end(), None);
    client.play([wait(60)]).unwrap();
    assert_eq!(client.end(), Some(Err(TimedOut::Unheard.into())));
}

#[test]
fn a_way_that_is_lost_before_anybody_came_is_told_and_the_last_one_ends_it() {
    let lost = Closed::ByRelay(ChannelFailure::Lost);
    let mut client = advertising();
    let steps = [Step::Use(DataChannel::WebSocket), Step::Close(lost)];
    client.play(steps).unwrap();
    let reason = CeremonyError::Environment(ChannelFailure::Lost);
    let without = PhoneEvent::Without(DataChannel::WebSocket, reason);
    assert_eq!(client.record().events.last(), Some(&without));
    assert_eq!(client.end(), None);
    let gone = [
        Step::Use(DataChannel::Ble),
        Step::Refuse(ChannelFailure::BleFailed),
    ];
    client.play(gone).unwrap();
    let failed = Err(ChannelFailure::BleFailed.into());
    assert_eq!(client.end(), Some(failed));
}

#[test]
fn nobody_may_come_by_bluetooth_before_the_advert() {
    let mut client = client(DataChannels::Both);
    let steps = [
        Step::Use(DataChannel::Ble),
        Step::Open,
        Step::Link,
        Step::Frame(vec![4; 81]),
    ];
    client.play(steps).unwrap();
    assert_eq!((client.record().closed, client.end()), (1, None));
}

#[test]
fn a_tunnel_that_comes_late_is_closed() {
    let mut client = client(DataChannels::Both);
    let steps = [
        Step::Use(DataChannel::Ble),
        Step::Open,
        Step::Wait(Duration::from_secs(5)),
        Step::Use(DataChannel::WebSocket),
        Step::Open,
    ];
    client.play(steps).unwrap();
    assert_eq!(client.record().adverts.len(), 1);
    // Given up once, and closed when it came.
    assert_eq!((client.record().closed, client.end()), (2, None));
}
