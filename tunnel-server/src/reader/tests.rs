use proptest::prelude::*;

use super::*;

const RULES: Rules = Rules {
    message_bytes: 100_000,
    messages: 1000,
    bytes: 10_000_000,
};

fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let written = Written::new(true, Kind::Binary, payload.len());
    let mut bytes = written.as_bytes().to_vec();
    bytes[0] = first;
    bytes[1] |= 0x80;
    let mask = [0x5A, 0x11, 0xC3, 0x77];
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(a, b)| a ^ b));
    bytes
}

/// Takes bytes in portions of these lengths, over and over; returns what is passed on and how it
/// ended.
fn read(bytes: &[u8], portions: &[usize], rules: &Rules) -> (Vec<u8>, Option<Last>) {
    let mut reader = Reader::default();
    let mut passed = Vec::new();
    let mut rest = bytes;
    for &portion in portions.iter().cycle() {
        if rest.is_empty() {
            return (passed, None);
        }
        let (now, later) = rest.split_at(portion.min(rest.len()));
        rest = later;
        let mut buffer = vec![0xEE; BEFORE + HELD + now.len()];
        buffer[reader.place()..][..now.len()].copy_from_slice(now);
        let taken = reader.take(&mut buffer, now.len(), rules);
        assert!(reader.held.len() <= HELD);
        passed.extend_from_slice(&buffer[taken.pass]);
        if taken.last.is_some() {
            return (passed, taken.last);
        }
    }
    unreachable!("portions are not empty")
}

/// Reads a server's frames to messages; the last may be unfinished.
fn messages(mut bytes: &[u8]) -> Vec<(Vec<u8>, bool)> {
    let mut messages: Vec<(Vec<u8>, bool)> = Vec::new();
    while !bytes.is_empty() {
        let (length, head) = match bytes[1] {
            126 => (usize::from(u16::from_be_bytes([bytes[2], bytes[3]])), 4),
            127 => panic!("longer than any read"),
            short => (usize::from(short), 2),
        };
        let payload = &bytes[head..head + length];
        let last = bytes[0] & 0x80 != 0;
        match bytes[0] & 0x7F {
            2 => {
                assert!(messages.last().is_none_or(|(_, whole)| *whole));
                messages.push((payload.to_vec(), last));
            }
            0 => {
                let (message, whole) = messages.last_mut().unwrap();
                assert!(!*whole);
                message.extend_from_slice(payload);
                *whole = last;
            }
            kind => panic!("{kind}"),
        }
        bytes = &bytes[head + length..];
    }
    messages
}

#[test]
fn a_whole_message_goes_on_as_one_frame() {
    for length in [1, 125, 126, 2000, HELD - 8] {
        let payload = vec![7; length];
        let written = Written::new(true, Kind::Binary, length);
        let expected = [written.as_bytes(), &payload].concat();
        for portions in [&[usize::MAX][..], &[1, 3, 500], &[HELD]] {
            let (passed, last) = read(&masked(0x82, &payload), portions, &RULES);
            assert_eq!(last, None);
            assert!(passed == expected, "{length} in {portions:?}");
        }
    }
}

#[test]
fn of_a_long_message_goes_on_what_is_there() {
    let bytes = masked(0x82, &[7; HELD]);
    let (passed, _) = read(&bytes[..1000], &[600, 400], &RULES);
    let messages = messages(&passed);
    assert_eq!(messages, [(vec![7; 992], false)]);
}

#[test]
fn every_broken_rule_has_its_code_and_what_came_before_goes_on() {
    let rules = Rules {
        message_bytes: 20,
        messages: 3,
        bytes: 40,
    };
    let close = |payload: &[u8]| masked(0x88, payload);
    for (bytes, last) in [
        (masked(0x81, b"text"), Last::Broke(code::UNSUPPORTED)),
        (masked(0x82, b""), Last::Broke(code::PROTOCOL)),
        (vec![0x82, 0x01, 0], Last::Broke(code::PROTOCOL)),
        (masked(0x80, b"x"), Last::Broke(code::PROTOCOL)),
        (
            [masked(0x02, b""), masked(0x80, b"")].concat(),
            Last::Broke(code::PROTOCOL),
        ),
        (
            [masked(0x02, b"x"), masked(0x82, b"y")].concat(),
            Last::Broke(code::PROTOCOL),
        ),
        (masked(0x82, &[0; 21]), Last::Broke(code::SIZE)),
        (
            [masked(0x02, &[0; 11]), masked(0x80, &[0; 10])].concat(),
            Last::Broke(code::SIZE),
        ),
        (masked(0x82, b"x").repeat(3), Last::Broke(code::POLICY)),
        (masked(0x82, &[0; 20]).repeat(2), Last::Broke(code::POLICY)),
        (close(b""), Last::Closed(None)),
        (close(&[3, 0xE8]), Last::Closed(Some(1000))),
        (close(&[0x0F, 0xA0, b'x']), Last::Closed(Some(4000))),
        (close(&[3]), Last::Broke(code::PROTOCOL)),
        (close(&[3, 0xED]), Last::Broke(code::PROTOCOL)),
        (close(&[3, 0xE8, 0xFF]), Last::Broke(code::PROTOCOL)),
    ] {
        let before = masked(0x82, b"before");
        let all = [before, bytes.clone()].concat();
        for portions in [&[usize::MAX][..], &[1]] {
            let (passed, ended) = read(&all, portions, &rules);
            assert_eq!(ended, Some(last), "{bytes:x?}");
            assert_eq!(&passed[..8], b"\x82\x06before");
        }
    }
}

#[test]
fn a_ping_in_the_middle_of_a_message_is_answered_and_the_message_goes_on() {
    let bytes = [
        masked(0x02, b"one"),
        masked(0x89, b"there?"),
        masked(0x80, b"two"),
    ]
    .concat();
    let mut buffer = [vec![0; BEFORE], bytes.clone()].concat();
    let taken = Reader::default().take(&mut buffer, bytes.len(), &RULES);
    assert_eq!(taken.pong.unwrap(), b"\x8A\x06there?");
    assert_eq!(&buffer[taken.pass], b"\x02\x03one\x80\x03two");
}

#[test]
fn parts_with_nothing_in_them_are_not_passed_on() {
    let bytes = [
        masked(0x02, b"be"),
        masked(0x00, b"").repeat(1000),
        masked(0x80, b"gin"),
    ]
    .concat();
    let mut buffer = [vec![0; BEFORE], bytes.clone()].concat();
    let taken = Reader::default().take(&mut buffer, bytes.len(), &RULES);
    assert_eq!(&buffer[taken.pass], b"\x02\x02be\x80\x03gin");
}

#[test]
fn of_many_pings_the_last_is_answered() {
    let bytes = [
        masked(0x89, b"first"),
        masked(0x82, &[7; 300]),
        masked(0x89, b"second"),
        masked(0x82, &[8; 300]),
    ]
    .concat();
    let mut buffer = [vec![0; BEFORE], bytes.clone()].concat();
    let taken = Reader::default().take(&mut buffer, bytes.len(), &RULES);
    assert_eq!(taken.pong.unwrap(), b"\x8A\x06second");
}

#[test]
fn what_came_early_counts_with_the_first_look() {
    let mut reader = Reader::with(masked(0x82, b"early"));
    let mut buffer = vec![0; reader.place()];
    let taken = reader.take(&mut buffer, 0, &RULES);
    assert_eq!(&buffer[taken.pass], b"\x82\x05early");
    assert_eq!((taken.payload, reader.messages()), (5, 1));
}

proptest! {
    #[test]
    fn messages_come_out_as_they_went_in(
        said in proptest::collection::vec((1_usize..40_000, 1_usize..5), 1..5),
        portions in proptest::collection::vec(1_usize..20_000, 1..6),
    ) {
        let mut bytes = Vec::new();
        let mut expected = Vec::new();
        for (number, (length, fragments)) in said.into_iter().enumerate() {
            let message: Vec<u8> = (0..length).map(|at| (at * 7 + number).to_le_bytes()[0]).collect();
            let parts: Vec<&[u8]> = message.chunks(length.div_ceil(fragments)).collect();
            for (index, part) in parts.iter().enumerate() {
                let kind = if index == 0 { 2 } else { 0 };
                let last = if index + 1 == parts.len() { 0x80 } else { 0 };
                bytes.extend(masked(kind | last, part));
                bytes.extend(masked(0x8A, b""));
            }
            expected.push((message, true));
        }
        let (passed, last) = read(&bytes, &portions, &RULES);
        prop_assert_eq!(last, None);
        prop_assert!(messages(&passed) == expected);
    }

    #[test]
    fn no_bytes_harm(
        bytes in proptest::collection::vec(any::<u8>(), 0..2000),
        portion in 1_usize..100,
    ) {
        let (passed, _) = read(&bytes, &[portion], &RULES);
        prop_assert!(passed.len() <= bytes.len() + bytes.len() / portion * MAX_HEAD);
    }
}
