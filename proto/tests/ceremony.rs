//! Both ceremonies in virtual time, with several phones and with whoever else comes to the relay.
#![cfg(feature = "hybrid")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod common;

use std::time::Duration;

use common::pair::{ANSWER, ASK, good, play, play_pair, script, talk};
use handfast_proto::Now;
use handfast_proto::ctap2::Status;
use handfast_proto::hybrid::advert;
use handfast_proto::hybrid::qr::ScannedInvitation;
use handfast_proto::hybrid::tunnel::TunnelDomain;
use handfast_proto::hybrid::{ApiMisuse, CeremonyError, ChannelFailure, PeerMisbehaved, TimedOut};
use handfast_testkit::{Chances, DOMAIN, Damage, Faults, FrameFault, Pair, Script, Side};

const START: Now = Now {
    monotonic: Duration::ZERO,
    unix: 0,
};

#[test]
fn a_request_is_answered_and_both_sides_finish() {
    assert_eq!(play(Faults::default()), good());
}

#[test]
fn several_requests_fit_into_one_session() {
    let outcome = play_pair(1, talk(3), Faults::default()).outcome;
    assert_eq!(outcome.requests, vec![ASK; 3]);
    assert_eq!(outcome.responses, vec![ANSWER; 3]);
    assert_eq!(
        (outcome.client, outcome.phone),
        (Some(Ok(())), Some(Ok(())))
    );
}

#[test]
fn the_same_seed_and_the_same_faults_give_the_same_transcript() {
    let unlucky = Faults {
        broadcasts: 50,
        suffix: Some(vec![0xa0]),
        foreign_adverts: vec![vec![1; 20]; 3],
        frames: vec![FrameFault::late(Side::Phone, 2, Duration::from_secs(1))],
        chances: Chances {
            advert_loss: 50,
            advert_twice: 50,
            advert_delay: Duration::from_millis(300),
            frame_loss: 5,
            frame_twice: 5,
            frame_delay: Duration::from_millis(500),
        },
        ..Faults::default()
    };
    let transcript = |seed, faults: &Faults| {
        let mut pair = Pair::new(seed, talk(3), faults.clone()).unwrap();
        pair.drive();
        pair.transcript().join("\n")
    };
    for faults in [Faults::default(), unlucky.clone()] {
        for seed in 0..10 {
            assert_eq!(transcript(seed, &faults), transcript(seed, &faults));
        }
        assert_ne!(transcript(7, &faults), transcript(8, &faults));
    }
    assert_ne!(transcript(7, &unlucky), transcript(7, &Faults::default()));
}

#[test]
fn the_second_phone_that_answers_a_code_meets_a_conflict_and_disturbs_nobody() {
    let script = Script {
        rival: Some(DOMAIN),
        ..script()
    };
    let pair = play_pair(1, script, Faults::default());
    let conflict = CeremonyError::Environment(ChannelFailure::Conflict);
    assert_eq!(pair.outcome.rival, Some(Err(conflict)));
    assert_eq!(pair.air().len(), 1, "it broadcast nothing");
    let undisturbed = handfast_testkit::Outcome {
        rival: None,
        ..pair.outcome
    };
    assert_eq!(undisturbed, good());
}

#[test]
fn of_two_phones_at_two_relays_the_first_that_is_heard_is_asked() {
    let script = Script {
        rival: Some(TunnelDomain(DOMAIN.0 + 1)),
        ..script()
    };
    let pair = play_pair(1, script, Faults::default());
    assert_eq!(pair.air().len(), 2, "both broadcast");
    assert_eq!(pair.outcome.client, Some(Ok(())));
    assert_eq!(pair.outcome.phone, Some(Ok(())));
    let in_vain = CeremonyError::TimedOut(TimedOut::Unheard);
    assert_eq!(pair.outcome.rival, Some(Err(in_vain)));
    assert_eq!(pair.outcome.requests, vec![ASK], "only one was asked");
}

/// Somebody who photographed the code and heard the advert takes the client's place at the relay.
#[test]
fn a_stranger_in_the_clients_place_is_not_evicted_and_gets_nothing() {
    let mut pair = Pair::new(1, script(), Faults::default()).unwrap();
    let invitation = ScannedInvitation::parse(&pair.client.url().unwrap()).unwrap();
    assert!(pair.drive_until(|pair| !pair.air().is_empty()));
    let heard = pair.air()[0].clone();
    let opened = advert::open(&invitation.secret().eid_key(), &heard).unwrap();
    let tunnel = invitation.secret().tunnel_id();
    let (stranger, _) = pair
        .relay()
        .connect(DOMAIN, opened.routing, tunnel)
        .unwrap();
    // It cannot make message 1 without the computer's key, so it says something else.
    let answer = pair.relay().forward(stranger, vec![4; 81]);
    assert_eq!(answer.len(), 1, "the relay passes it on");
    assert!(pair.drive());
    let conflict = CeremonyError::Environment(ChannelFailure::Conflict);
    assert_eq!(pair.outcome.client, Some(Err(conflict)));
    let in_vain = CeremonyError::TimedOut(TimedOut::Unheard);
    assert_eq!(pair.outcome.phone, Some(Err(in_vain)));
    assert_eq!(pair.outcome.requests, Vec::<Vec<u8>>::new());
}

#[test]
fn a_phone_that_left_after_its_advert_is_not_found_any_more() {
    let mut pair = Pair::new(1, script(), Faults::default()).unwrap();
    assert!(pair.drive_until(|pair| !pair.air().is_empty()));
    pair.phone.cancel(START);
    assert!(pair.drive());
    let gone = CeremonyError::Environment(ChannelFailure::NotFound);
    assert_eq!(pair.outcome.client, Some(Err(gone)));
    assert_eq!(pair.relay().tunnels(), 0, "no tunnel stays behind");
}

#[test]
fn no_tunnel_outlives_a_ceremony() {
    for damage in [None, Some(Damage::Drop), Some(Damage::Flip(0))] {
        for number in 0..3 {
            let frames = damage.map(|damage| FrameFault::new(Side::Phone, number, damage));
            let faults = Faults {
                frames: frames.into_iter().collect(),
                ..Faults::default()
            };
            let mut pair = play_pair(1, script(), faults);
            assert_eq!(pair.relay().tunnels(), 0, "{damage:?} {number}");
        }
    }
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
    let pair = play_pair(1, script, Faults::default());
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
    let outcome = play_pair(1, talk(0), Faults::default()).outcome;
    assert_eq!(outcome.client, Some(Ok(())));
    assert_eq!(outcome.phone, Some(Err(CeremonyError::PeerGone)));
}

#[test]
fn a_phone_that_cannot_say_what_it_is_is_refused() {
    let script = Script {
        get_info: vec![0xff],
        ..script()
    };
    let outcome = play_pair(1, script, Faults::default()).outcome;
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
    let (client, phone) = (&mut pair.client, &mut pair.phone);
    let large = vec![0; 2 << 20];
    assert_eq!(
        client.request(ASK.to_vec(), START),
        Err(ApiMisuse::NotReady)
    );
    assert_eq!(
        client.request(large.clone(), START),
        Err(ApiMisuse::TooLarge)
    );
    assert_eq!(
        phone.respond(ANSWER.to_vec(), START),
        Err(ApiMisuse::NotReady)
    );
    assert_eq!(phone.respond(large, START), Err(ApiMisuse::TooLarge));
    assert!(pair.drive());
    assert_eq!(pair.outcome, good());
}

#[test]
fn cancelling_ends_both_sides() {
    let mut pair = Pair::new(1, script(), Faults::default()).unwrap();
    pair.client.cancel(START);
    pair.phone.cancel(START);
    assert!(pair.drive());
    let cancelled = Some(Err(CeremonyError::Cancelled));
    assert_eq!(
        (&pair.outcome.client, &pair.outcome.phone),
        (&cancelled, &cancelled)
    );
}

#[test]
fn a_large_request_and_a_large_answer_fit() {
    const LARGE: usize = 1 << 20;
    let script = Script {
        requests: vec![vec![2; LARGE]],
        answer: Box::new(|_| Some(vec![0; LARGE])),
        ..script()
    };
    let outcome = play_pair(1, script, Faults::default()).outcome;
    assert_eq!(outcome.requests[0].len(), LARGE);
    assert_eq!(outcome.responses[0].len(), LARGE);
}
