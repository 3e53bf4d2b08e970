//! Group keys as files: what a member's own hand cannot make wrong either (`trust-group.md` §4.4).
#![cfg(feature = "trust")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod common;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use common::trust::{GROUP, bytes, group_key, map, without};
use handfast_proto::cbor::{Map, Value};
use handfast_proto::cose::Algorithm;
use handfast_proto::trust::wrap::{WrapError, key_file_header, open_key, seal_key};
use handfast_proto::trust::{Epoch, GroupKey, GroupSecret};
use hkdf::Hkdf;
use rand_core::OsRng;
use sha2::Sha256;

const SECRET: [u8; 32] = [0xee; 32];

fn sealed(key: &GroupKey) -> Vec<u8> {
    let secret = GroupSecret::from_bytes(SECRET);
    seal_key(&secret, GROUP.id, GROUP.epoch, key, &mut OsRng).unwrap()
}

fn open(file: &[u8]) -> Option<WrapError> {
    open_key(&GroupSecret::from_bytes(SECRET), GROUP.id, file).err()
}

fn header(file: &[u8]) -> Map {
    map(&bytes(&map(file), 2))
}

/// The plaintext of a key that was made at 100 and never shown.
fn plaintext(key: &GroupKey) -> Map {
    Map::new()
        .with(1, key.key.to_pkcs8_der().unwrap().as_slice())
        .with(2, 100)
        .with(3, Value::Null)
        .with(4, false)
}

/// Seals by hand, under the group's secret in its epoch.
fn seal(header: &Map, plaintext: &Map) -> Vec<u8> {
    let (aad, nonce, mut key) = (header.encode(), [1; 12], [0; 32]);
    let info = [b"tg-wrap/v1", &GROUP.epoch.0.to_be_bytes()[..]].concat();
    let hkdf = Hkdf::<Sha256>::new(Some(&GROUP.id.0), &SECRET);
    hkdf.expand(&info, &mut key).unwrap();
    let payload = Payload {
        msg: &plaintext.encode(),
        aad: &aad,
    };
    let sealed = Aes256Gcm::new(&key.into()).encrypt(Nonce::from_slice(&nonce), payload);
    Map::new()
        .with(1, "tg-key-file/v1")
        .with(2, aad)
        .with(3, nonce)
        .with(4, sealed.unwrap())
        .encode()
}

#[test]
fn a_file_that_names_another_key_than_it_holds_is_refused() {
    let [key, other] = [(); 2].map(|()| group_key(Algorithm::Es256, None));
    let right = header(&sealed(&key));
    assert_eq!(open(&seal(&right, &plaintext(&key))), None);
    let wrong = Some(WrapError::OtherKey);
    assert_eq!(open(&seal(&right, &plaintext(&other))), wrong);
    let renamed = right.clone().with(8, other.key_id().0);
    assert_eq!(open(&seal(&renamed, &plaintext(&key))), wrong);
    let relabelled = right.with(7, Algorithm::EdDsa.id());
    assert_eq!(open(&seal(&relabelled, &plaintext(&key))), wrong);
}

#[test]
fn what_is_sealed_must_be_readable() {
    let key = group_key(Algorithm::Es256, None);
    let (header, good) = (header(&sealed(&key)), plaintext(&key));
    for (member, value) in [
        (1, Value::from([0; 10])),
        (2, (-1).into()),
        (3, "never".into()),
        (4, 0.into()),
    ] {
        let bad = seal(&header, &good.clone().with(member, value));
        assert_eq!(open(&bad), Some(WrapError::Malformed), "{member}");
        let bad = seal(&header, &without(&good, member));
        assert_eq!(open(&bad), Some(WrapError::Malformed), "{member}");
    }
}

#[test]
fn a_header_has_just_its_members_as_they_must_be() {
    let key = group_key(Algorithm::Es256, Some(300));
    let file = sealed(&key);
    let good = header(&file);
    for (member, value) in [
        (1, Value::from("tg-key/v2")),
        (2, [0; 15].into()),
        (3, 0.into()),
        (3, (1_u64 << 32).into()),
        (4, [0; 31].into()),
        (5, Vec::<u8>::new().into()),
        (5, vec![0; 1024].into()),
        (6, vec![0; 65].into()),
        (7, (-257).into()),
        (8, [0; 15].into()),
        (9, true.into()),
    ] {
        let bad = map(&file).with(2, good.clone().with(member, value.clone()).encode());
        let bad = bad.encode();
        let read = key_file_header(&bad);
        assert_eq!(read, Err(WrapError::Malformed), "{member}: {value:?}");
        assert_eq!(open(&bad), Some(WrapError::Malformed));
    }
    for member in 1..=8 {
        let bad = map(&file).with(2, without(&good, member).encode()).encode();
        let read = key_file_header(&bad);
        assert_eq!(read, Err(WrapError::Malformed), "{member}");
    }
    for member in 1..=4 {
        let bad = without(&map(&file), member).encode();
        let read = key_file_header(&bad);
        assert_eq!(read, Err(WrapError::Malformed), "{member}");
    }
}

/// The passkey's name is outside the seal, and covered by it.
#[test]
fn a_key_cannot_be_moved_to_another_passkey_group_or_epoch() {
    let file = sealed(&group_key(Algorithm::Es256, None));
    let good = header(&file);
    for (member, value, error) in [
        (2, Value::from([0; 16]), WrapError::OtherGroup),
        (3, (GROUP.epoch.0 + 1).into(), WrapError::Sealed),
        (4, [0; 32].into(), WrapError::Sealed),
        (5, [0; 20].into(), WrapError::Sealed),
        (6, [0; 8].into(), WrapError::Sealed),
        (8, [0; 16].into(), WrapError::Sealed),
    ] {
        let moved = map(&file).with(2, good.clone().with(member, value).encode());
        assert_eq!(open(&moved.encode()), Some(error), "{member}");
    }
    assert_eq!(Epoch::from_number(0), None);
}
