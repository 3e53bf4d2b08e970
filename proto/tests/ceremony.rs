//! Both ceremonies in virtual time, over an air and a relay that misbehave.
#![cfg(feature = "hybrid")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::time::Duration;

use handfast_proto::ctap2::{Status, get_info};
use handfast_proto::hybrid::{ApiMisuse, CeremonyError, ChannelFailure, PeerMisbehaved, TimedOut};
use handfast_proto::ids::Aaguid;
use handfast_testkit::{Damage, Faults, Outcome, Pair, Script, Side};

const ASK: &[u8] = b"\x02request";
const ANSWER: &[u8] = b"\x00answer";

fn info() -> Vec<u8> {
    get_info::Response {
        versions: vec!["FIDO_2_1".to_owned()],
        extensions: Vec::new(),
        aaguid: Aaguid([0; 16]),
        options: vec![("uv".to_owned(), true)],
        transports: vec!["hybrid".to_owned()],
    }
    .encode()
}

fn script() -> Script {
    Script {
        get_info: info(),
        requests: vec![ASK.to_vec()],
        answer: Box::new(|_| Some(ANSWER.to_vec())),
    }
}

fn play_pair(script: Script, faults: Faults) -> Pair {
    let mut pair = Pair::new(1, script, faults).unwrap();
    assert!(
        pair.drive(),
        "it must come to rest: {:#?}",
        pair.transcript()
    );
    pair
}

fn play(faults: Faults) -> Outcome {
    play_pair(script(), faults).outcome
}

fn good() -> Outcome {
    Outcome {
        client: Some(Ok(())),
        phone: Some(Ok(())),
        responses: vec![ANSWER.to_vec()],
        requests: vec![ASK.to_vec()],
    }
}

#[test]
fn a_request_is_answered_and_both_sides_finish() {
    assert_eq!(play(Faults::default()), good());
}

#[test]
fn several_requests_fit_into_one_session() {
    let script = Script {
        requests: vec![ASK.to_vec(); 3],
        ..script()
    };
    let outcome = play_pair(script, Faults::default()).outcome;
    assert_eq!(outcome.responses.len(), 3);
    assert_eq!(
        (outcome.client, outcome.phone),
        (Some(Ok(())), Some(Ok(())))
    );
}

#[test]
fn the_same_seed_gives_the_same_transcript() {
    let transcript = |seed| {
        let mut pair = Pair::new(seed, script(), Faults::default()).unwrap();
        pair.drive();
        pair.transcript().join("\n")
    };
    assert_eq!(transcript(7), transcript(7));
    assert_ne!(transcript(7), transcript(8));
}

#[test]
fn foreign_adverts_of_any_length_are_ignored() {
    let foreign_adverts = [0, 1, 19, 20, 21, 24, 200]
        .map(|length| vec![0xab; length])
        .to_vec();
    assert_eq!(
        play(Faults {
            foreign_adverts,
            ..Faults::default()
        }),
        good()
    );
}

#[test]
fn a_suffix_does_not_hide_an_advert() {
    let suffix = vec![0xa1, 0x01, 0x18, 0x80];
    assert_eq!(
        play(Faults {
            suffix,
            ..Faults::default()
        }),
        good()
    );
    assert_eq!(
        play(Faults {
            suffix: vec![0xff],
            ..Faults::default()
        }),
        good()
    );
}

#[test]
fn a_repeated_advert_changes_nothing() {
    assert_eq!(
        play(Faults {
            adverts_heard: 5,
            ..Faults::default()
        }),
        good()
    );
}

#[test]
fn an_advert_that_is_cut_altered_or_lost_is_waited_for_in_vain() {
    let mut bad: Vec<Faults> = (0..160)
        .map(|bit| Faults {
            advert_flip: Some(bit),
            ..Faults::default()
        })
        .collect();
    bad.push(Faults {
        advert_length: 19,
        ..Faults::default()
    });
    bad.push(Faults {
        adverts_heard: 0,
        ..Faults::default()
    });
    for faults in bad {
        let outcome = play(faults.clone());
        let advert = Some(Err(CeremonyError::TimedOut(TimedOut::Advert)));
        let unheard = Some(Err(CeremonyError::TimedOut(TimedOut::Unheard)));
        assert_eq!(
            (&outcome.client, &outcome.phone),
            (&advert, &unheard),
            "{faults:?}"
        );
        assert_eq!(outcome.requests, Vec::<Vec<u8>>::new());
    }
}

#[test]
fn any_flipped_bit_of_any_frame_is_noticed() {
    let frames = [(Side::Client, 3), (Side::Phone, 3)];
    for (side, count) in frames {
        for frame in 0..count {
            for bit in (0..81 * 8).step_by(5) {
                let damage = Some((side, frame, Damage::Flip(bit)));
                let outcome = play(Faults {
                    frame: damage,
                    ..Faults::default()
                });
                assert_ne!(outcome, good(), "{side:?} frame {frame} bit {bit}");
                let (client, phone) = (outcome.client.unwrap(), outcome.phone.unwrap());
                assert!(
                    client.is_err() || phone.is_err(),
                    "{side:?} frame {frame} bit {bit}"
                );
                // The last frame of the client is its shutdown, after the answer.
                if (side, frame) != (Side::Client, 2) {
                    assert!(
                        outcome.responses.is_empty(),
                        "{side:?} frame {frame} bit {bit}"
                    );
                }
            }
        }
    }
}

#[test]
fn cut_emptied_repeated_swapped_and_lost_frames_end_in_an_error_not_in_an_answer() {
    for side in [Side::Client, Side::Phone] {
        for frame in 0..2 {
            for damage in [
                Damage::Truncate(0),
                Damage::Truncate(1),
                Damage::Truncate(47),
                Damage::Empty,
                Damage::Drop,
                Damage::Swap,
                Damage::Close(1000),
            ] {
                let faults = Faults {
                    frame: Some((side, frame, damage)),
                    ..Faults::default()
                };
                let outcome = play(faults);
                let ended = (outcome.client.unwrap(), outcome.phone.unwrap());
                assert!(ended.0.is_err(), "{side:?} {frame} {damage:?}: {ended:?}");
                assert!(outcome.responses.is_empty(), "{side:?} {frame} {damage:?}");
            }
        }
    }
}

#[test]
fn who_ended_a_tunnel_is_told_by_its_close_code() {
    let peer = CeremonyError::PeerGone;
    let relay = CeremonyError::Environment;
    for (code, told) in [
        (1000, peer),
        (1001, peer),
        (1003, relay(ChannelFailure::Protocol)),
        (1006, relay(ChannelFailure::Lost)),
        (1008, relay(ChannelFailure::Limit)),
        (1009, relay(ChannelFailure::TooLarge)),
    ] {
        // The phone's reply never arrives: the client waits for it, the phone for a farewell.
        let waiting = play(Faults {
            frame: Some((Side::Phone, 2, Damage::Close(code))),
            ..Faults::default()
        });
        assert_eq!(waiting.client, Some(Err(told)), "{code}");
        assert_eq!(waiting.phone, Some(Ok(())), "{code}: it had answered");
        // The client's request never arrives: neither side has what it came for.
        let unasked = play(Faults {
            frame: Some((Side::Client, 1, Damage::Close(code))),
            ..Faults::default()
        });
        assert_eq!(
            (unasked.client, unasked.phone),
            (Some(Err(told)), Some(Err(told))),
            "{code}"
        );
        // After the answer nobody cares how it ends.
        let after = play(Faults {
            frame: Some((Side::Client, 2, Damage::Close(code))),
            ..Faults::default()
        });
        assert_eq!(after, good(), "{code}");
    }
}

#[test]
fn an_advert_of_an_older_ceremony_is_ignored() {
    let recorded = play_pair(script(), Faults::default()).air().to_vec();
    assert_eq!(recorded.len(), 1);
    let mut pair = Pair::new(
        2,
        script(),
        Faults {
            foreign_adverts: recorded,
            ..Faults::default()
        },
    )
    .unwrap();
    assert!(pair.drive());
    assert_eq!(pair.outcome, good());
    let ignored = |line: &&String| line.contains("advert Err(Tag)");
    assert_eq!(pair.transcript().iter().filter(ignored).count(), 1);
}

#[test]
fn a_repeated_request_is_not_answered_twice() {
    let frame = Some((Side::Client, 1, Damage::Duplicate));
    let outcome = play(Faults {
        frame,
        ..Faults::default()
    });
    assert_eq!(outcome.requests.len(), 1);
    assert!(outcome.phone.unwrap().is_err());
}

#[test]
fn what_the_relay_refuses_is_told_as_it_is() {
    for failure in [
        ChannelFailure::NotFound,
        ChannelFailure::Conflict,
        ChannelFailure::Gone,
        ChannelFailure::Rejected(500),
        ChannelFailure::Tls,
        ChannelFailure::Protocol,
        ChannelFailure::Unreachable,
    ] {
        let told = Some(Err(CeremonyError::Environment(failure)));
        let outcome = play(Faults {
            refuse_connect: Some(failure),
            ..Faults::default()
        });
        assert_eq!(outcome.client, told);
        let outcome = play(Faults {
            refuse_new: Some(failure),
            ..Faults::default()
        });
        assert_eq!(outcome.phone, told);
    }
}

#[test]
fn nobody_answers_and_the_computer_is_told_so() {
    let script = Script {
        answer: Box::new(|_| None),
        ..script()
    };
    let pair = play_pair(script, Faults::default());
    let lapsed = vec![vec![Status::USER_ACTION_TIMEOUT.0]];
    assert_eq!(pair.outcome.responses, lapsed);
    assert_eq!(
        (&pair.outcome.client, &pair.outcome.phone),
        (&Some(Ok(())), &Some(Ok(())))
    );
    assert!(pair.elapsed() >= Duration::from_secs(240));
}

#[test]
fn a_client_without_a_request_leaves_the_phone_unfinished() {
    let script = Script {
        requests: Vec::new(),
        ..script()
    };
    let outcome = play_pair(script, Faults::default()).outcome;
    assert_eq!(outcome.client, Some(Ok(())));
    assert_eq!(outcome.phone, Some(Err(CeremonyError::PeerGone)));
}

#[test]
fn a_phone_that_cannot_say_what_it_is_is_refused() {
    let script = Script {
        get_info: vec![0xff],
        ..script()
    };
    let outcome = play_pair(script, Faults::default()).outcome;
    let refused = matches!(
        outcome.client,
        Some(Err(CeremonyError::PeerMisbehaved(PeerMisbehaved::GetInfo(
            _
        ))))
    );
    assert!(refused, "{:?}", outcome.client);
}

#[test]
fn asking_too_early_or_too_much_is_the_callers_mistake() {
    let mut pair = Pair::new(1, script(), Faults::default()).unwrap();
    let now = handfast_proto::Now {
        monotonic: Duration::ZERO,
        unix: 0,
    };
    assert_eq!(
        pair.client.request(ASK.to_vec(), now),
        Err(ApiMisuse::NotReady)
    );
    assert_eq!(
        pair.client.request(vec![0; 2 << 20], now),
        Err(ApiMisuse::TooLarge)
    );
    assert_eq!(
        pair.phone.respond(ANSWER.to_vec(), now),
        Err(ApiMisuse::NotReady)
    );
    assert!(pair.drive());
    assert_eq!(pair.outcome, good());
}

#[test]
fn cancelling_ends_both_sides() {
    let mut pair = Pair::new(1, script(), Faults::default()).unwrap();
    let now = handfast_proto::Now {
        monotonic: Duration::ZERO,
        unix: 0,
    };
    pair.client.cancel(now);
    pair.phone.cancel(now);
    assert!(pair.drive());
    let cancelled = Some(Err(CeremonyError::Cancelled));
    assert_eq!(
        (&pair.outcome.client, &pair.outcome.phone),
        (&cancelled, &cancelled)
    );
}
