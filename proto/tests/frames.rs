//! Frames between a client and a phone: altered, cut, repeated, swapped, late, lost, and tunnels
//! that end in between.
#![cfg(feature = "hybrid")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod common;

use std::time::Duration;

use common::pair::{ANSWER, damaged, faulty, good, play, play_pair, script, talk};
use handfast_proto::hybrid::channel::ChannelError;
use handfast_proto::hybrid::handshake::HandshakeError;
use handfast_proto::hybrid::{BadMessage, CeremonyError, ChannelFailure, PeerMisbehaved, TimedOut};
use handfast_testkit::{Chances, Damage, Faults, FrameFault, Outcome, Side};

const SIDES: [Side; 2] = [Side::Client, Side::Phone];

/// Each of the three frames of each side of a ceremony with one request: handshake, then request
/// and shutdown, or post-handshake message and reply.
fn each_frame() -> Vec<(Side, usize, usize)> {
    let pair = play_pair(1, script(), Faults::default());
    let mut count = [0, 0];
    let mut frames = Vec::new();
    for (side, frame) in pair.frames() {
        let number = &mut count[usize::from(*side == Side::Phone)];
        frames.push((*side, *number, frame.len()));
        *number += 1;
    }
    assert_eq!(count, [3, 3]);
    frames
}

fn failed(outcome: &Outcome) -> bool {
    let failed = |end: &Option<Result<(), CeremonyError>>| matches!(end, Some(Err(_)));
    failed(&outcome.client) || failed(&outcome.phone)
}

fn forged() -> CeremonyError {
    PeerMisbehaved::Channel(ChannelError::Forged).into()
}

/// One bit of each byte; that every bit of a frame counts is shown where frames are opened.
#[test]
fn a_flipped_bit_in_any_byte_of_any_frame_ends_the_ceremony() {
    for (side, number, length) in each_frame() {
        for byte in 0..length {
            let bit = byte * 8 + byte % 8;
            let outcome = damaged(script(), side, number, Damage::Flip(bit));
            let which = format!("{side:?} frame {number} bit {bit}: {outcome:?}");
            assert!(failed(&outcome), "{which}");
            assert!(outcome.client.is_some() && outcome.phone.is_some());
            match (side, number) {
                // The last frame of the client is its shutdown, after the answer.
                (Side::Client, 2) => {
                    assert_eq!(outcome.responses, vec![ANSWER]);
                    assert_eq!(outcome.phone, Some(Err(forged())), "{which}");
                }
                _ => assert!(outcome.responses.is_empty(), "{which}"),
            }
        }
    }
}

#[test]
fn cut_and_emptied_frames_end_the_ceremony() {
    for (side, number, length) in each_frame() {
        for damage in [
            Damage::Empty,
            Damage::Truncate(0),
            Damage::Truncate(1),
            Damage::Truncate(16),
            Damage::Truncate(length - 1),
        ] {
            let outcome = damaged(script(), side, number, damage);
            assert!(failed(&outcome), "{side:?} {number} {damage:?}");
            assert_eq!(
                outcome.responses.is_empty(),
                (side, number) != (Side::Client, 2),
                "{side:?} {number} {damage:?}"
            );
        }
    }
}

#[test]
fn a_lost_frame_is_waited_for_in_vain() {
    let timed_out = |timed_out| Some(Err(CeremonyError::TimedOut(timed_out)));
    let gone = Some(Err(CeremonyError::PeerGone));
    for (side, number, client, phone) in [
        (Side::Client, 0, timed_out(TimedOut::Handshake), gone),
        (
            Side::Phone,
            0,
            Some(Err(HandshakeError::Length.into())),
            gone,
        ),
        (Side::Phone, 1, timed_out(TimedOut::Handshake), gone),
        (
            Side::Client,
            1,
            Some(Err(CeremonyError::PeerGone)),
            timed_out(TimedOut::Request),
        ),
        (
            Side::Phone,
            2,
            Some(Err(CeremonyError::PeerGone)),
            Some(Ok(())),
        ),
    ] {
        let outcome = damaged(script(), side, number, Damage::Drop);
        assert_eq!(outcome.client, client, "{side:?} {number}");
        assert_eq!(outcome.phone, phone, "{side:?} {number}");
        assert!(outcome.responses.is_empty());
    }
    // The farewell is a courtesy.
    assert_eq!(damaged(script(), Side::Client, 2, Damage::Drop), good());
}

#[test]
fn a_repeated_frame_ends_the_ceremony_and_is_not_answered_twice() {
    for (side, number, _) in each_frame() {
        let outcome = damaged(script(), side, number, Damage::Duplicate);
        assert!(outcome.requests.len() <= 1, "{side:?} {number}");
        assert!(outcome.responses.len() <= 1, "{side:?} {number}");
        match (side, number) {
            // What comes after the end is nobody's business.
            (Side::Client | Side::Phone, 2) => assert_eq!(outcome, good(), "{side:?}"),
            (Side::Client, _) => assert_eq!(outcome.phone, Some(Err(forged()))),
            _ => assert_eq!(outcome.client, Some(Err(forged()))),
        }
    }
}

/// Each frame of the first request comes once more while the later ones are asked and answered.
#[test]
fn an_old_frame_is_never_taken_for_a_new_one() {
    let second = Duration::from_secs(1);
    for side in SIDES {
        for number in 0..3 {
            // The second request, or its reply, is slow, so that the copy comes while it is open.
            let slow = match side {
                Side::Client => FrameFault::late(Side::Phone, 3, 2 * second),
                _ => FrameFault::late(Side::Client, 2, 2 * second),
            };
            let copy = FrameFault::new(side, number, Damage::Duplicate).after(second);
            let mut frames = vec![copy, slow];
            frames.sort_by_key(|fault| (fault.from, fault.number));
            let outcome = faulty(talk(3), frames);
            let noticed = match side {
                Side::Client => outcome.phone,
                _ => outcome.client,
            };
            assert_eq!(noticed, Some(Err(forged())), "{side:?} {number}");
            assert!(outcome.responses.len() < 3, "{side:?} {number}");
        }
    }
}

/// A ceremony is a conversation: only message 2 and the post-handshake message are ever on their
/// way together. Those of scripts are, and their order is tested there.
#[test]
fn swapped_frames_end_the_ceremony() {
    let outcome = damaged(script(), Side::Phone, 0, Damage::Swap);
    assert_eq!(outcome.client, Some(Err(HandshakeError::Length.into())));
    assert!(outcome.phone.unwrap().is_err());
    let late = FrameFault::late(Side::Phone, 0, Duration::from_secs(1));
    let outcome = faulty(talk(2), vec![late]);
    assert_eq!(outcome.client, Some(Err(HandshakeError::Length.into())));
}

#[test]
fn a_late_frame_is_waited_for_as_long_as_the_limits_say() {
    for (side, number, limit) in [
        (Side::Client, 0, 20),
        (Side::Phone, 1, 20),
        (Side::Client, 1, 60),
        (Side::Phone, 2, 60),
    ] {
        let late = |seconds| {
            let late = FrameFault::late(side, number, Duration::from_secs(seconds));
            faulty(script(), vec![late])
        };
        assert_eq!(late(limit - 1), good(), "{side:?} {number}");
        let outcome = late(limit + 1);
        assert!(outcome.client.unwrap().is_err(), "{side:?} {number}");
        assert!(outcome.responses.is_empty());
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
        (1013, relay(ChannelFailure::Limit)),
    ] {
        let both = Damage::Close {
            sender: code,
            receiver: code,
        };
        // The phone's reply never arrives: the client waits for it, the phone for a farewell.
        let waiting = damaged(script(), Side::Phone, 2, both);
        assert_eq!(waiting.client, Some(Err(told)), "{code}");
        assert_eq!(waiting.phone, Some(Ok(())), "{code}: it had answered");
        // The client's request never arrives: neither side has what it came for.
        let unasked = damaged(script(), Side::Client, 1, both);
        assert_eq!(
            (unasked.client, unasked.phone),
            (Some(Err(told)), Some(Err(told))),
            "{code}"
        );
        // After the answer nobody cares how it ends.
        let after = damaged(script(), Side::Client, 2, both);
        assert_eq!(after, good(), "{code}");
    }
}

#[test]
fn the_offender_is_told_its_fault_and_the_other_that_it_was_not_at_fault() {
    for (code, told) in [
        (1002, ChannelFailure::Protocol),
        (1003, ChannelFailure::Protocol),
        (1009, ChannelFailure::TooLarge),
    ] {
        let fault = Damage::Close {
            sender: code,
            receiver: 1008,
        };
        let outcome = damaged(script(), Side::Client, 1, fault);
        assert_eq!(outcome.client, Some(Err(told.into())), "{code}");
        assert_eq!(outcome.phone, Some(Err(ChannelFailure::Limit.into())));
        let outcome = damaged(script(), Side::Phone, 1, fault);
        assert_eq!(outcome.client, Some(Err(ChannelFailure::Limit.into())));
        assert_eq!(outcome.phone, Some(Err(told.into())), "{code}");
    }
}

#[test]
fn what_is_no_binary_message_is_the_other_sides_fault() {
    for bad in [BadMessage::Empty, BadMessage::Text, BadMessage::TooLarge] {
        let told = Some(Err(PeerMisbehaved::BadMessage(bad).into()));
        let gone = Some(Err(CeremonyError::PeerGone));
        for number in 0..2 {
            let outcome = damaged(script(), Side::Client, number, Damage::Unreadable(bad));
            assert_eq!(outcome.phone, told, "{bad:?} {number}");
            assert_eq!(outcome.client, gone, "{bad:?} {number}");
            let outcome = damaged(script(), Side::Phone, number, Damage::Unreadable(bad));
            assert_eq!(outcome.client, told, "{bad:?} {number}");
            assert_eq!(outcome.phone, gone, "{bad:?} {number}");
        }
    }
}

#[test]
fn a_slow_relay_changes_nothing_but_the_time() {
    for seed in 0..20 {
        let faults = Faults {
            latency: Duration::from_secs(1),
            chances: Chances {
                frame_delay: Duration::from_secs(5),
                ..Chances::default()
            },
            ..Faults::default()
        };
        let pair = play_pair(seed, talk(3), faults);
        assert_eq!(pair.outcome.responses, vec![ANSWER; 3], "seed {seed}");
        assert_eq!(pair.outcome.phone, Some(Ok(())), "seed {seed}");
        assert!(pair.elapsed() > Duration::from_secs(10));
    }
}

#[test]
fn frames_that_are_lost_or_repeated_at_random_never_make_a_wrong_answer() {
    let mut ends = [0, 0];
    for seed in 0..100 {
        let faults = Faults {
            chances: Chances {
                frame_loss: 10,
                frame_twice: 10,
                frame_delay: Duration::from_millis(100),
                ..Chances::default()
            },
            ..Faults::default()
        };
        let outcome = play_pair(seed, talk(2), faults).outcome;
        assert!(outcome.client.is_some() && outcome.phone.is_some());
        assert!(outcome.responses.iter().all(|answer| answer == ANSWER));
        assert!(outcome.responses.len() <= outcome.requests.len());
        ends[usize::from(failed(&outcome))] += 1;
    }
    assert!(ends[0] > 10 && ends[1] > 10, "good and bad luck: {ends:?}");
}

#[test]
fn faults_of_frames_that_never_come_are_not_counted() {
    let frames = vec![FrameFault::new(Side::Client, 7, Damage::Drop)];
    let faults = Faults {
        frames,
        ..Faults::default()
    };
    let pair = play_pair(1, script(), faults.clone());
    assert_eq!(pair.applied(), []);
    assert_eq!(play(faults), good());
}
