//! Where messages begin and end in the service data units of an L2CAP channel.
#![cfg(feature = "hybrid")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use handfast_proto::hybrid::channel::{MAX_FRAME, SecureChannel};
use handfast_proto::hybrid::framing::{Framing, FramingError, Sdus, Whole};
use proptest::prelude::*;

/// A peer's sealed messages, and the channel that can tell them from anything else.
struct Talk {
    sender: SecureChannel,
    receiver: SecureChannel,
}

impl Talk {
    fn new() -> Self {
        Self {
            sender: SecureChannel::from_keys(&[1; 32], &[2; 32]),
            receiver: SecureChannel::from_keys(&[2; 32], &[1; 32]),
        }
    }

    fn seal(&mut self, message: &[u8]) -> Vec<u8> {
        self.sender.seal(message).unwrap()
    }

    /// Takes all messages that are there.
    fn read(&mut self, sdus: &mut Sdus) -> Result<Vec<Vec<u8>>, FramingError> {
        let mut messages = Vec::new();
        loop {
            let receiver = &self.receiver;
            match sdus.cut(MAX_FRAME, &|candidate| receiver.recognizes(candidate))? {
                Some(frame) => messages.push(self.receiver.open(&frame).unwrap()),
                None => return Ok(messages),
            }
        }
    }
}

fn terminated(mut frame: Vec<u8>) -> Vec<u8> {
    frame.extend_from_slice(b"\r\n");
    frame
}

/// A message, and its frame, in whose middle a terminator happens to be.
fn frame_with_terminator(talk: &mut Talk) -> (Vec<u8>, Vec<u8>) {
    let mut message = vec![0; 600];
    let stream = Talk::new().seal(&message);
    for (at, byte) in [(100, b'\r'), (101, b'\n'), (400, b'\r'), (401, b'\n')] {
        message[at] = stream[at] ^ byte;
    }
    let frame = talk.seal(&message);
    let found = frame.windows(2).filter(|two| two == b"\r\n").count();
    assert!(found >= 2);
    (message, frame)
}

#[test]
fn a_terminator_within_a_message_does_not_end_it() {
    for with_terminator in [true, false] {
        let (mut talk, mut sdus) = (Talk::new(), Sdus::default());
        let (message, frame) = frame_with_terminator(&mut talk);
        let sdu = match with_terminator {
            true => terminated(frame),
            false => frame,
        };
        sdus.push(&sdu);
        assert_eq!(talk.read(&mut sdus), Ok(vec![message]));
    }
}

#[test]
fn a_terminator_may_come_in_a_unit_of_its_own() {
    let (mut talk, mut sdus) = (Talk::new(), Sdus::default());
    for message in [&b"one"[..], b"two", b"three"] {
        sdus.push(&talk.seal(message));
        sdus.push(b"\r\n");
        assert_eq!(talk.read(&mut sdus), Ok(vec![message.to_vec()]));
    }
    sdus.push(&talk.seal(b"without"));
    assert_eq!(talk.read(&mut sdus), Ok(vec![b"without".to_vec()]));
}

#[test]
fn a_terminator_may_be_cut_in_two() {
    let (mut talk, mut sdus) = (Talk::new(), Sdus::default());
    let first = terminated(talk.seal(b"one"));
    let second = terminated(talk.seal(b"two"));
    let (head, tail) = first.split_at(first.len() - 1);
    sdus.push(head);
    assert_eq!(talk.read(&mut sdus), Ok(vec![]));
    sdus.push(&[tail, &second].concat());
    let both = vec![b"one".to_vec(), b"two".to_vec()];
    assert_eq!(talk.read(&mut sdus), Ok(both));
}

#[test]
fn an_altered_message_is_noticed_at_its_end() {
    let mut talk = Talk::new();
    let frame = talk.seal(b"message");
    for bit in 0..frame.len() * 8 {
        let mut sdus = Sdus::default();
        let mut bad = frame.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        sdus.push(&terminated(bad));
        assert_eq!(talk.read(&mut sdus), Err(FramingError), "bit {bit}");
    }
}

#[test]
fn what_never_ends_is_not_kept_for_ever() {
    let (mut talk, mut sdus) = (Talk::new(), Sdus::default());
    let mut pushed = 0;
    loop {
        sdus.push(&[0; 60_000]);
        pushed += 60_000;
        match talk.read(&mut sdus) {
            Ok(messages) => assert!(messages.is_empty()),
            Err(FramingError) => break,
        }
    }
    assert!((MAX_FRAME..MAX_FRAME + 2 * 60_000).contains(&pushed));
}

#[test]
fn nothing_but_terminators_costs_little() {
    let (mut talk, mut sdus) = (Talk::new(), Sdus::default());
    // Each of them could be the end of a message: only so much is tried.
    let noise = b"\r\n".repeat(30_000);
    let ended = (0..40).any(|_| {
        sdus.push(&noise);
        talk.read(&mut sdus).is_err()
    });
    assert!(ended);
}

#[test]
fn a_message_of_a_websocket_is_what_came() {
    let mut whole = Whole::default();
    assert_eq!(whole.wrap(vec![1, 2]), [1, 2]);
    whole.push(b"\r\n");
    let taken = whole.cut(0, &|_| false);
    assert_eq!(taken, Ok(Some(b"\r\n".to_vec())));
    assert_eq!(whole.cut(0, &|_| true), Ok(None));
}

proptest! {
    #[test]
    fn messages_survive_any_way_of_sending_them(
        lengths in prop::collection::vec(0..1500_usize, 1..6),
        unit in 16..700_usize,
        with_terminators in any::<bool>(),
        in_one_write in any::<bool>(),
    ) {
        let (mut talk, mut sdus) = (Talk::new(), Sdus::default());
        let messages: Vec<Vec<u8>> = lengths.into_iter().map(|length| vec![3; length]).collect();
        let frames: Vec<Vec<u8>> = messages
            .iter()
            .map(|message| talk.seal(message))
            .map(|frame| if with_terminators { terminated(frame) } else { frame })
            .collect();
        // Without terminators the units are all that keeps messages apart.
        let writes = if in_one_write && with_terminators { vec![frames.concat()] } else { frames };
        let mut read = Vec::new();
        for write in writes {
            for piece in write.chunks(unit) {
                sdus.push(piece);
                read.extend(talk.read(&mut sdus).unwrap());
            }
        }
        prop_assert_eq!(read, messages);
    }

    #[test]
    fn any_bytes_are_survived(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..12)) {
        let (mut talk, mut sdus) = (Talk::new(), Sdus::default());
        for piece in pieces {
            sdus.push(&piece);
            if let Ok(messages) = talk.read(&mut sdus) {
                prop_assert!(messages.is_empty());
            }
        }
    }
}
