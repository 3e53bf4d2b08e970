//! CBOR and COSE: what is accepted, and above all what is not.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use handfast_proto::auth_data::{AuthDataError, AuthenticatorData};
use handfast_proto::cbor::{self, DecodeError, Map, Value};
use handfast_proto::cose::{Algorithm, CoseError, CoseKey, SignatureError, SigningKey};
use handfast_proto::ctap2::{Command, Status, truncate_name};
use proptest::prelude::*;
use rand_core::OsRng;

#[test]
fn what_is_not_canonical_is_refused_with_its_reason() {
    for (hex, error) in [
        ("", DecodeError::Truncated),
        ("18", DecodeError::Truncated),
        ("1817", DecodeError::NonMinimalHead),
        ("190017", DecodeError::NonMinimalHead),
        ("1a0000ffff", DecodeError::NonMinimalHead),
        ("1b00000000ffffffff", DecodeError::NonMinimalHead),
        ("3817", DecodeError::NonMinimalHead),
        ("5800", DecodeError::NonMinimalHead),
        ("1c", DecodeError::NonMinimalHead),
        ("4201", DecodeError::Truncated),
        ("5bffffffffffffffff", DecodeError::Truncated),
        ("9bffffffffffffffff", DecodeError::Truncated),
        ("bbffffffffffffffff", DecodeError::Truncated),
        ("61ff", DecodeError::InvalidUtf8),
        ("5f4101ff", DecodeError::IndefiniteLength),
        ("9fff", DecodeError::IndefiniteLength),
        ("bfff", DecodeError::IndefiniteLength),
        ("ff", DecodeError::IndefiniteLength),
        ("a201010101", DecodeError::DuplicateKey),
        ("a202010101", DecodeError::KeyOrder),
        ("a220010101", DecodeError::KeyOrder),
        ("c001", DecodeError::Tag),
        ("f90000", DecodeError::FloatingPoint),
        ("fb3ff0000000000000", DecodeError::FloatingPoint),
        ("f7", DecodeError::UnsupportedSimple),
        ("e0", DecodeError::UnsupportedSimple),
        ("0000", DecodeError::TrailingBytes),
        ("8181818180", DecodeError::TooDeep),
        ("a101a101a101a101a0", DecodeError::TooDeep),
    ] {
        assert_eq!(
            cbor::decode(&hex::decode(hex).unwrap()),
            Err(error),
            "{hex}"
        );
    }
    assert!(
        cbor::decode(&hex::decode("81818180").unwrap()).is_ok(),
        "four deep"
    );
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<u64>().prop_map(Value::Unsigned),
        any::<u64>().prop_map(Value::Negative),
        any::<bool>().prop_map(Value::Bool),
        Just(Value::Null),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::Bytes),
        ".{0,20}".prop_map(Value::Text),
    ];
    leaf.prop_recursive(3, 40, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::Array),
            prop::collection::vec((any::<i64>(), inner), 0..8).prop_map(|entries| {
                let empty = Map::new();
                Value::Map(
                    entries
                        .into_iter()
                        .fold(empty, |map, (key, value)| map.with(key, value)),
                )
            }),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(value in value()) {
        prop_assert_eq!(cbor::decode(&value.encode()), Ok(value));
    }

    #[test]
    fn what_is_read_is_written_back(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Ok((value, length)) = cbor::decode_prefix(&bytes, 4) {
            prop_assert_eq!(value.encode(), &bytes[..length]);
        }
    }

    #[test]
    fn no_bytes_make_a_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        let _ = Command::parse(&bytes);
        let _ = AuthenticatorData::parse(&bytes);
        let _ = CoseKey::parse(&bytes);
    }
}

#[test]
fn signatures_of_both_algorithms_hold_and_altered_ones_do_not() {
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        let key = SigningKey::generate(algorithm, &mut OsRng);
        let public = CoseKey::parse(key.public_key().as_bytes()).unwrap();
        let signature = key.sign(b"message");
        assert_eq!(public.verify(b"message", &signature), Ok(()));
        assert_eq!(
            public.verify(b"massage", &signature),
            Err(SignatureError::Mismatch)
        );
        for byte in 0..signature.len() {
            let mut bad = signature.clone();
            bad[byte] ^= 1;
            assert!(
                public.verify(b"message", &bad).is_err(),
                "{algorithm:?}, byte {byte}"
            );
        }
        let longer = [signature.as_slice(), &[0]].concat();
        assert_eq!(
            public.verify(b"message", &longer),
            Err(SignatureError::Malformed)
        );
    }
}

#[test]
fn keys_with_wrong_members_are_refused() {
    let good = SigningKey::generate(Algorithm::Es256, &mut OsRng).public_key();
    let map = cbor::decode(good.as_bytes()).unwrap().into_map().unwrap();
    let parse = |map: Map| CoseKey::parse(&map.encode()).err();
    assert_eq!(parse(map.clone()), None);
    assert_eq!(parse(map.clone().with(2, [1])), Some(CoseError::Members));
    assert_eq!(parse(map.clone().with(1, 1)), Some(CoseError::Members));
    assert_eq!(parse(map.clone().with(-1, 2)), Some(CoseError::Members));
    assert_eq!(
        parse(map.clone().with(-2, [0; 31])),
        Some(CoseError::Members)
    );
    assert_eq!(parse(map.clone().with(-3, true)), Some(CoseError::Members));
    assert_eq!(
        parse(map.clone().with(3, -9)),
        Some(CoseError::UnsupportedAlgorithm)
    );
    assert_eq!(parse(map.with(-2, [0; 32])), Some(CoseError::NotOnCurve));
}

#[test]
fn authenticator_data_end_where_their_flags_say() {
    let plain = [vec![7; 32], vec![0x01, 0, 0, 0, 5]].concat();
    let parsed = AuthenticatorData::parse(&plain).unwrap();
    assert_eq!((parsed.sign_count, parsed.flags.user_present()), (5, true));
    for length in 0..plain.len() {
        let cut = AuthenticatorData::parse(&plain[..length]);
        assert_eq!(cut.err(), Some(AuthDataError::Truncated));
    }
    let longer = [plain.as_slice(), &[0]].concat();
    assert_eq!(
        AuthenticatorData::parse(&longer).err(),
        Some(AuthDataError::TrailingBytes)
    );
    let mut extended = plain;
    extended[32] |= 0x80;
    assert!(
        AuthenticatorData::parse(&extended).is_err(),
        "extensions announced, none there"
    );
}

#[test]
fn bad_requests_get_their_status() {
    let hash = || Map::new().with(2, [0; 32]);
    let get = |map: Map| Command::parse(&[vec![0x02], map.encode()].concat()).err();
    assert_eq!(get(hash().with(1, "example.org")), None);
    assert_eq!(get(hash()), Some(Status::MISSING_PARAMETER));
    assert_eq!(get(hash().with(1, 1)), Some(Status::CBOR_UNEXPECTED_TYPE));
    assert_eq!(get(hash().with(1, "")), Some(Status::INVALID_LENGTH));
    assert_eq!(get(hash().with(1, "a b")), Some(Status::INVALID_PARAMETER));
    let short = hash().with(1, "example.org").with(2, [0; 31]);
    assert_eq!(get(short), Some(Status::INVALID_LENGTH));
    let unknown = hash().with(1, "example.org").with(0x77, "ignored");
    assert_eq!(get(unknown), None);
    let options = Map::new().with("uv", 1);
    let wrong = hash().with(1, "example.org").with(5, options);
    assert_eq!(get(wrong), Some(Status::CBOR_UNEXPECTED_TYPE));
    assert_eq!(
        Command::parse(&[0x02, 0xff]).err(),
        Some(Status::INVALID_CBOR)
    );
    assert_eq!(Command::parse(&[]).err(), Some(Status::INVALID_LENGTH));
    assert_eq!(
        Command::parse(&[0x04, 0xa0]).err(),
        Some(Status::INVALID_LENGTH)
    );
    assert_eq!(
        Command::parse(&vec![2; 70_000]).err(),
        Some(Status::REQUEST_TOO_LARGE)
    );
}

#[test]
fn names_are_cut_at_a_characters_end() {
    assert_eq!(truncate_name("short"), "short");
    let long = "ä".repeat(40);
    assert_eq!(truncate_name(&long), "ä".repeat(32));
    assert_eq!(
        truncate_name(&format!("x{long}")),
        format!("x{}", "ä".repeat(31))
    );
}
