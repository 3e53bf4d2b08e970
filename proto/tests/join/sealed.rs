//! The sealed messages, and what is inside them.

use handfast_proto::cbor::{Map, Value};
use handfast_proto::cose::Algorithm;
use handfast_proto::trust::GroupSecret;
use handfast_proto::trust::join::{Granted, JoinError};
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::{DhP256HkdfSha256 as P256, Kem};
use hpke::{Deserializable as _, OpModeS, Serializable as _, single_shot_seal};
use rand_core::OsRng;
use sha2::{Digest, Sha256};

use super::common::trust::{Device, GROUP, bytes, group_key, map};
use super::{SECRET, Two, reply};

#[test]
fn a_flipped_bit_in_any_byte_of_sealed_or_merge_is_refused() {
    let two = Two::new();
    let (_, _, sealed) = two.sealed();
    for byte in 0..sealed.len() {
        let (awaiting, _, mut sealed) = two.sealed();
        sealed[byte] ^= 1 << (byte % 8);
        let granted = awaiting.handle_sealed(&sealed, &two.laptop.keys);
        assert!(granted.is_err(), "SEALED, byte {byte}");
    }
    let (_, _, merge) = two.merged();
    for byte in 0..merge.len() {
        let (_, merging, mut merge) = two.merged();
        merge[byte] ^= 1 << (byte % 8);
        let merged = merging.handle_merge(&merge, &two.phone.keys);
        assert!(merged.is_err(), "MERGE, byte {byte}");
    }
}

#[test]
fn what_is_sealed_opens_for_nobody_else() {
    let two = Two::new();
    let (awaiting, merging, sealed) = two.sealed();
    let stolen = awaiting.handle_sealed(&sealed, &two.phone.keys);
    assert_eq!(stolen.err(), Some(JoinError::Sealed));
    let (_, _, merge) = two.merged();
    let stolen = merging.handle_merge(&merge, &two.laptop.keys);
    assert_eq!(stolen.err(), Some(JoinError::Sealed));
    let off_curve = map(&sealed[1..]).with(4, [4; 65]).encode();
    let granted = two.sealed().0;
    let granted = granted.handle_sealed(&reply(&off_curve), &two.laptop.keys);
    assert_eq!(granted.err(), Some(JoinError::Malformed));
}

/// Randomness for HPKE, which needs the next generation of the trait; any will do.
struct Fixed;

impl hpke::rand_core::RngCore for Fixed {
    fn next_u32(&mut self) -> u32 {
        5
    }

    fn next_u64(&mut self) -> u64 {
        5
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        dest.fill(5);
    }
}

impl hpke::rand_core::CryptoRng for Fixed {}

/// Seals a plaintext of the test's own.
fn seal(to: &Device, label: &[u8], join: &[u8], grant: &[u8], plaintext: &Map) -> Map {
    let transcript = Sha256::digest([join, grant].concat());
    let aad = match label {
        b"tg-transfer/v1" => grant,
        _ => join,
    };
    let (enc, ciphertext) = single_shot_seal::<AesGcm256, HkdfSha256, P256, _>(
        &OpModeS::Base,
        &<P256 as Kem>::PublicKey::from_bytes(&to.keys.mk_public()).unwrap(),
        &[label, &transcript].concat(),
        &plaintext.encode(),
        aad,
        &mut Fixed,
    )
    .unwrap();
    Map::new()
        .with(2, ciphertext)
        .with(4, enc.to_bytes().to_vec())
}

/// Has the laptop read a SEALED with this plaintext.
fn transfer(two: &Two, plaintext: &Map) -> Result<Granted, JoinError> {
    let (offered, _, join, offer) = two.met();
    let (join, grant) = (bytes(&map(&join), 2), bytes(&map(&offer[1..]), 2));
    let sealed = seal(&two.laptop, b"tg-transfer/v1", &join, &grant, plaintext);
    let (awaiting, _) = offered.confirm();
    awaiting.handle_sealed(&reply(&sealed.with(1, 2).encode()), &two.laptop.keys)
}

/// Has the phone read a MERGE with this plaintext; returns how many keys it took.
fn merge(two: &Two, plaintext: &Map) -> Result<usize, JoinError> {
    let (offered, pending, join, offer) = two.met();
    let (join, grant) = (bytes(&map(&join), 2), bytes(&map(&offer[1..]), 2));
    let sealed = seal(&two.phone, b"tg-merge/v1", &join, &grant, plaintext);
    let (_, confirm) = offered.confirm();
    let confirmed = pending.handle_confirm(&confirm[1..]).unwrap();
    let secret = GroupSecret::from_bytes(SECRET);
    let (merging, _) = confirmed.seal(&secret, &[], &mut OsRng).unwrap();
    let merged = merging.handle_merge(&sealed.with(1, 3).encode(), &two.phone.keys);
    merged.map(|(keys, _)| keys.len())
}

#[test]
fn what_is_inside_is_checked_like_what_is_outside() {
    let two = Two::new();
    let key = group_key(Algorithm::Es256, None);
    let record = Map::new()
        .with(1, key.tuple.rp_id_hash)
        .with(2, key.tuple.credential_id.as_bytes())
        .with(3, key.tuple.user_handle.as_bytes())
        .with(4, -7)
        .with(5, key.key.to_pkcs8_der().unwrap().as_slice())
        .with(6, 100)
        .with(7, Value::Null);
    let plaintext = |record: &Map| {
        Map::new()
            .with(1, GROUP.id.0)
            .with(2, GROUP.epoch.0)
            .with(4, vec![Value::Map(record.clone())])
    };
    let own = plaintext(&record);
    let whole = own.clone().with(3, SECRET);
    let granted = transfer(&two, &whole).unwrap();
    assert_eq!(granted.keys[0].metadata(), key.metadata());
    assert_eq!(merge(&two, &own), Ok(1));

    let malformed = Some(JoinError::Malformed);
    for (member, value) in [
        (1, Value::from([0; 31])),
        (2, Vec::<u8>::new().into()),
        (3, vec![0; 65].into()),
        // The algorithm is the key's own.
        (4, (-8).into()),
        (4, (-257).into()),
        (5, vec![0; 10].into()),
        (6, (-1).into()),
        (7, "never".into()),
    ] {
        let bad = plaintext(&record.clone().with(member, value.clone()));
        assert_eq!(merge(&two, &bad).err(), malformed, "{member}: {value:?}");
        let granted = transfer(&two, &bad.with(3, SECRET)).err();
        assert_eq!(granted, malformed, "{member}: {value:?}");
    }
    for (member, value, error) in [
        (1, Value::from([0; 16]), JoinError::OtherJoin),
        (2, 4.into(), JoinError::OtherJoin),
        (2, 0.into(), JoinError::OtherJoin),
        (3, [0; 31].into(), JoinError::Malformed),
        (4, 0.into(), JoinError::Malformed),
        (4, vec![Value::Null].into(), JoinError::Malformed),
    ] {
        let bad = whole.clone().with(member, value.clone());
        let granted = transfer(&two, &bad).err();
        assert_eq!(granted, Some(error), "{member}: {value:?}");
    }
    assert_eq!(transfer(&two, &own).err(), malformed, "no secret");
    assert_eq!(merge(&two, &whole).err(), malformed, "a joiner has none");
}
