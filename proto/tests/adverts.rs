//! Adverts between a client and a phone: lost, repeated, late, altered, of others.
#![cfg(feature = "hybrid")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod common;

use std::time::Duration;

use common::pair::{good, play, play_pair, script};
use handfast_proto::hybrid::{CeremonyError, TimedOut};
use handfast_testkit::{Chances, Faults, Pair};

const SUFFIX: [u8; 4] = [0xa1, 0x01, 0x18, 0x80];

fn ignored(pair: &Pair, reason: &str) -> usize {
    let line = format!("advert Err({reason})");
    let lines = pair.transcript().iter();
    lines.filter(|told| told.contains(&line)).count()
}

#[test]
fn foreign_adverts_of_any_length_are_ignored() {
    let foreign_adverts = [0, 1, 19, 20, 21, 24, 200].map(|length| vec![0xab; length]);
    let faults = Faults {
        foreign_adverts: foreign_adverts.to_vec(),
        ..Faults::default()
    };
    let pair = play_pair(1, script(), faults);
    assert_eq!(pair.outcome, good());
    assert_eq!((ignored(&pair, "Length"), ignored(&pair, "Tag")), (3, 4));
}

#[test]
fn what_follows_an_advert_does_not_hide_it() {
    for suffix in [&SUFFIX[..], &[0xff], &[0; 235]] {
        let suffix = suffix.to_vec();
        let faults = Faults {
            suffix: Some(suffix.clone()),
            ..Faults::default()
        };
        let pair = play_pair(1, script(), faults);
        assert_eq!(pair.outcome, good(), "{suffix:?}");
        assert_eq!(pair.air()[0].len(), 20 + suffix.len());
    }
    for advert_length in [21, 24, 31] {
        let faults = Faults {
            advert_length,
            ..Faults::default()
        };
        assert_eq!(play(faults), good(), "{advert_length} bytes");
    }
}

#[test]
fn a_repeated_advert_changes_nothing() {
    let faults = Faults {
        broadcasts: 5,
        ..Faults::default()
    };
    let pair = play_pair(1, script(), faults);
    assert_eq!(pair.outcome, good());
    let heard = pair.transcript().iter();
    let heard = heard.filter(|line| line.contains("advert Ok(())")).count();
    assert!(heard > 1, "{heard}");
    let faults = Faults {
        chances: Chances {
            advert_twice: 100,
            ..Chances::default()
        },
        ..Faults::default()
    };
    assert_eq!(play(faults), good());
}

#[test]
fn an_advert_that_is_cut_altered_or_lost_is_waited_for_in_vain() {
    let mut bad: Vec<Faults> = (0..160)
        .map(|bit| Faults {
            advert_flip: Some(bit),
            ..Faults::default()
        })
        .collect();
    for advert_length in [0, 1, 19] {
        bad.extend([Vec::new(), SUFFIX.to_vec()].map(|suffix| Faults {
            advert_length,
            suffix: Some(suffix),
            ..Faults::default()
        }));
    }
    bad.push(Faults {
        broadcasts: 0,
        ..Faults::default()
    });
    bad.push(Faults {
        broadcasts: 50,
        chances: Chances {
            advert_loss: 100,
            ..Chances::default()
        },
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
fn an_advert_that_is_rarely_heard_is_heard_in_the_end() {
    for seed in 0..20 {
        let faults = Faults {
            broadcasts: 500,
            broadcast_interval: Duration::from_millis(100),
            chances: Chances {
                advert_loss: 90,
                advert_delay: Duration::from_millis(400),
                ..Chances::default()
            },
            ..Faults::default()
        };
        let pair = play_pair(seed, script(), faults);
        assert_eq!(pair.outcome, good(), "seed {seed}");
    }
}

#[test]
fn an_advert_of_an_older_ceremony_is_ignored() {
    let recorded = play_pair(1, script(), Faults::default()).air().to_vec();
    assert_eq!(recorded.len(), 1);
    let faults = Faults {
        foreign_adverts: recorded,
        ..Faults::default()
    };
    let pair = play_pair(2, script(), faults);
    assert_eq!(pair.outcome, good());
    assert_eq!(ignored(&pair, "Tag"), 1);
}

#[test]
fn a_phone_stops_broadcasting_when_its_client_is_there() {
    let faults = Faults {
        broadcasts: 10_000,
        ..Faults::default()
    };
    let pair = play_pair(1, script(), faults);
    assert_eq!(pair.outcome, good());
    assert!(pair.air().len() < 20, "{} times", pair.air().len());
}
