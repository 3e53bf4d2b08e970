//! Joining a trust group (`trust-group.md` §4.3): the whole way, and every message that must be
//! refused.
#![cfg(feature = "trust")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

#[path = "../common/mod.rs"]
mod common;

mod sealed;

use common::Known;
use common::trust::{
    Device, GROUP, SESSION, VAULT, altered, bytes, group_key, map, member_tag, without,
};
use handfast_proto::cbor::{Map, Value};
use handfast_proto::cose::{Algorithm, SigningKey};
use handfast_proto::ctap2::Status;
use handfast_proto::trust::entry::{Anchor, Entry, Kind, Members, SignedEntry};
use handfast_proto::trust::join::{
    AwaitingMerge, AwaitingSealed, Granted, Granter, JoinConfig, JoinError, Joiner, Offered,
    PendingGrant,
};
use handfast_proto::trust::{GroupSecret, MemberKey, Method, VaultId};
use rand_core::OsRng;

const SECRET: [u8; 32] = [0xee; 32];

/// The phone and the laptop that wants in.
struct Two {
    phone: Device,
    laptop: Device,
}

impl Two {
    fn new() -> Self {
        Self {
            phone: Device::new("phone"),
            laptop: Device::new("laptop"),
        }
    }

    /// JOIN: the joiner, and the request without its command byte.
    fn join(&self) -> (Joiner, Vec<u8>) {
        let (joiner, request) = Joiner::start(&self.laptop.config(), SESSION, &mut OsRng);
        assert_eq!(request[0], 0x50);
        (joiner, request[1..].to_vec())
    }

    fn offer(&self, join: &[u8]) -> (PendingGrant, Vec<u8>) {
        let granter = self.phone.granter();
        granter.handle_join(join, &mut OsRng).unwrap()
    }

    /// JOIN and OFFER: both sides, and the two envelopes.
    fn met(&self) -> (Offered, PendingGrant, Vec<u8>, Vec<u8>) {
        let (joiner, join) = self.join();
        let (pending, offer) = self.offer(&join);
        let offered = joiner.handle_offer(&offer, &self.laptop.config()).unwrap();
        (offered, pending, join, offer)
    }

    /// The same up to SEALED.
    fn sealed(&self) -> (AwaitingSealed, AwaitingMerge, Vec<u8>) {
        let (offered, pending, ..) = self.met();
        let (awaiting, confirm) = offered.confirm();
        let confirmed = pending.handle_confirm(&confirm[1..]).unwrap();
        let secret = GroupSecret::from_bytes(SECRET);
        let (merging, sealed) = confirmed.seal(&secret, &[], &mut OsRng).unwrap();
        (awaiting, merging, sealed)
    }

    /// The same up to MERGE.
    fn merged(&self) -> (Granted, AwaitingMerge, Vec<u8>) {
        let (awaiting, merging, sealed) = self.sealed();
        let granted = awaiting.handle_sealed(&sealed, &self.laptop.keys).unwrap();
        let merge = granted.merge(&[], &mut OsRng).unwrap();
        (granted, merging, merge[1..].to_vec())
    }

    fn ack(&self) -> Vec<u8> {
        let (_, merging, merge) = self.merged();
        merging.handle_merge(&merge, &self.phone.keys).unwrap().1
    }

    fn asks(&self, join: &[u8]) -> Option<JoinError> {
        let granter = self.phone.granter();
        granter.handle_join(join, &mut OsRng).err()
    }
}

/// Signs and tags the content of a JOIN or OFFER anew, and puts it into its envelope.
fn vouched(content: &Map, by: &SigningKey) -> Vec<u8> {
    let content = content.encode();
    Map::new()
        .with(1, 1)
        .with(2, content.as_slice())
        .with(3, by.sign(&content))
        .with(4, member_tag(&content))
        .encode()
}

fn reply(envelope: &[u8]) -> Vec<u8> {
    [&[0], envelope].concat()
}

fn entry(subject: &Device, kind: Kind, method: Option<Method>, parents: Vec<[u8; 32]>) -> Entry {
    Entry {
        group: GROUP.id,
        kind,
        subject: subject.id(),
        dsk: subject.keys.dsk().public_key(),
        mk: subject.keys.mk_public(),
        name: subject.config().name,
        actor: subject.id(),
        method,
        time: 1,
        parents,
    }
}

#[test]
fn two_devices_join_and_exchange_their_keys() {
    let two = Two::new();
    let (offered, pending, ..) = two.met();
    assert_eq!(offered.code(), pending.code());
    assert_eq!(offered.code().to_string().len(), 6);
    let (granter, joiner) = (offered.granter().clone(), pending.joiner().clone());
    assert_eq!(granter.device, two.phone.id());
    assert_eq!(granter.name.as_str(), "phone");
    assert_eq!(joiner.device, two.laptop.id());
    assert_eq!(joiner.mk, two.laptop.keys.mk_public());
    assert_eq!(joiner.method, Method::HybridQr);
    assert_eq!(offered.group(), GROUP);

    let (awaiting, confirm) = offered.confirm();
    let confirmed = pending.handle_confirm(&confirm[1..]).unwrap();
    let known = group_key(Algorithm::Es256, Some(300));
    let mut retired = group_key(Algorithm::Es256, None);
    retired.retired = true;
    let secret = GroupSecret::from_bytes(SECRET);
    let (merging, sealed) = confirmed
        .seal(&secret, &[&known, &retired], &mut OsRng)
        .unwrap();
    let granted = awaiting.handle_sealed(&sealed, &two.laptop.keys).unwrap();
    assert_eq!(granted.secret.expose(), &SECRET);
    let received: Vec<_> = granted.keys.iter().map(|key| key.metadata()).collect();
    assert_eq!(received, [known.metadata()], "a retired key stays behind");
    assert_eq!(granted.keys[0].tuple, known.tuple);

    let own = group_key(Algorithm::EdDsa, None);
    let merge = granted.merge(&[&own], &mut OsRng).unwrap();
    let (merged, ack) = merging.handle_merge(&merge[1..], &two.phone.keys).unwrap();
    let received: Vec<_> = merged.iter().map(|key| key.metadata()).collect();
    assert_eq!(received, [own.metadata()]);
    assert_eq!(granted.handle_ack(&ack), Ok(()));

    // What the phone writes down makes them members to each other.
    let create = entry(&two.phone, Kind::Create, None, Vec::new());
    let create = SignedEntry::sign(create, &two.phone.keys);
    let method = Some(joiner.method);
    let add = entry(&two.laptop, Kind::Add, method, vec![create.hash()]);
    let add = SignedEntry::sign(add, &two.phone.keys);
    for device in [&two.phone, &two.laptop] {
        let anchor = Anchor {
            device: device.id(),
            signer: granter.dsk.clone(),
        };
        let members = Members::read(&[add.clone(), create.clone()], GROUP.id, &anchor);
        assert_eq!(members.len(), 2);
        assert!(members.contains(joiner.device) && members.contains(granter.device));
    }
}

#[test]
fn each_join_has_a_code_of_its_own() {
    let two = Two::new();
    let codes: Vec<String> = (0..4).map(|_| two.met().0.code().to_string()).collect();
    assert!(codes.iter().any(|code| *code != codes[0]), "{codes:?}");
}

#[test]
fn a_flipped_bit_in_any_byte_of_join_or_offer_is_refused() {
    let two = Two::new();
    let (_, join) = two.join();
    for (byte, bad) in altered(&join) {
        assert!(two.asks(&bad).is_some(), "JOIN, byte {byte}");
    }
    let (_, offer) = two.offer(&join);
    let config = two.laptop.config();
    let nonce = bytes(&map(&bytes(&map(&join), 2)), 6);
    // The same nonce makes the joiner of this very JOIN again.
    let joiner = || Joiner::start(&config, SESSION, &mut Known(nonce.clone())).0;
    assert!(joiner().handle_offer(&offer, &config).is_ok());
    for (byte, bad) in altered(&offer) {
        let offered = joiner().handle_offer(&bad, &config);
        assert!(offered.is_err(), "OFFER, byte {byte}");
    }
}

#[test]
fn a_device_that_does_not_fit_is_refused_for_its_reason() {
    let two = Two::new();
    let (_, join) = two.join();
    let asks = |config: JoinConfig<'_>| {
        let granter = Granter {
            config,
            ..two.phone.granter()
        };
        granter.handle_join(&join, &mut OsRng).err()
    };
    let phone = || two.phone.config();
    assert_eq!(asks(phone()), None);
    let stranger = MemberKey::derive(&[0; 32]);
    let member = JoinConfig {
        member: &stranger,
        ..phone()
    };
    assert_eq!(asks(member), Some(JoinError::NotInVault));
    let vault = JoinConfig {
        vault: VaultId([0; 16]),
        ..phone()
    };
    assert_eq!(asks(vault), Some(JoinError::OtherVault));
    let method = JoinConfig {
        method: Method::Simulated,
        ..phone()
    };
    assert_eq!(asks(method), Some(JoinError::Method));
    let removed = [two.laptop.id()];
    let granter = Granter {
        removed: &removed,
        ..two.phone.granter()
    };
    let asked = granter.handle_join(&join, &mut OsRng);
    assert_eq!(asked.err(), Some(JoinError::Removed));
}

#[test]
fn an_offer_that_does_not_fit_is_refused_for_its_reason() {
    let two = Two::new();
    let phone = two.phone.keys.dsk();
    // A fresh JOIN each time, and what the phone grants it.
    let offers = || {
        let (joiner, join) = two.join();
        let (_, offer) = two.offer(&join);
        (joiner, map(&bytes(&map(&offer[1..]), 2)))
    };
    let reads = |joiner: Joiner, grant: &Map, config: &JoinConfig<'_>| {
        let offer = reply(&vouched(grant, phone));
        joiner.handle_offer(&offer, config).err()
    };
    let (joiner, grant) = offers();
    assert_eq!(reads(joiner, &grant, &two.laptop.config()), None);
    let stranger = MemberKey::derive(&[0; 32]);
    let config = JoinConfig {
        member: &stranger,
        ..two.laptop.config()
    };
    let (joiner, grant) = offers();
    let read = reads(joiner, &grant, &config);
    assert_eq!(read, Some(JoinError::NotInVault));
    for (member, value, error) in [
        (1, Value::from("tg-join/v1"), JoinError::Malformed),
        (2, [0; 32].into(), JoinError::OtherSession),
        (3, [0; 32].into(), JoinError::OtherJoin),
        (4, [0; 16].into(), JoinError::OtherDevice),
        (5, [0; 15].into(), JoinError::Malformed),
        (6, 0.into(), JoinError::Malformed),
        (6, (1_u64 << 32).into(), JoinError::Malformed),
        (7, [0; 31].into(), JoinError::Malformed),
        (9, [4; 65].into(), JoinError::Malformed),
        (11, Method::Simulated.number().into(), JoinError::Method),
        (11, 99.into(), JoinError::Malformed),
        (12, true.into(), JoinError::Malformed),
    ] {
        let (joiner, grant) = offers();
        let bad = grant.with(member, value.clone());
        let read = reads(joiner, &bad, &two.laptop.config());
        assert_eq!(read, Some(error), "{member}: {value:?}");
    }
}

#[test]
fn a_join_made_by_hand_needs_every_member_as_it_must_be() {
    let two = Two::new();
    let content = map(&bytes(&map(&two.join().1), 2));
    let dsk = two.laptop.keys.dsk();
    assert_eq!(two.asks(&vouched(&content, dsk)), None);

    let eddsa = SigningKey::generate(Algorithm::EdDsa, &mut OsRng);
    let mut off_curve = two.laptop.keys.mk_public();
    off_curve[64] ^= 1;
    let compressed: Vec<u8> = [&[2], &off_curve[1..33]].concat();
    for (member, value) in [
        (1, Value::from("tg-grant/v1")),
        (1, "tg-join/v2".into()),
        (2, [0; 31].into()),
        (3, [0; 15].into()),
        (4, eddsa.public_key().as_bytes().into()),
        (4, [0].into()),
        (5, off_curve.into()),
        (5, compressed.into()),
        (5, [0; 65].into()),
        (6, [0; 31].into()),
        (6, [0; 33].into()),
        (6, "nonce".into()),
        (7, [0; 31].into()),
        (8, "".into()),
        (8, "x".repeat(65).into()),
        (8, "two\nlines".into()),
        (9, 0.into()),
        (9, 99.into()),
        (10, true.into()),
    ] {
        let bad = vouched(&content.clone().with(member, value.clone()), dsk);
        let wanted = Some(JoinError::Malformed);
        assert_eq!(two.asks(&bad), wanted, "{member}: {value:?}");
    }
    for member in 1..=9 {
        let bad = vouched(&without(&content, member), dsk);
        assert_eq!(two.asks(&bad), Some(JoinError::Malformed), "{member}");
    }
    for (member, value, error) in [
        (2, Value::from([0; 32]), JoinError::OtherSession),
        (3, [0; 16].into(), JoinError::OtherDevice),
        (7, [0; 32].into(), JoinError::OtherVault),
        (9, Method::Simulated.number().into(), JoinError::Method),
    ] {
        let bad = vouched(&content.clone().with(member, value), dsk);
        assert_eq!(two.asks(&bad), Some(error), "{member}");
    }
    assert_ne!(bytes(&content, 7), VAULT.0, "only its hash is told");
    let forged = vouched(&content, two.phone.keys.dsk());
    assert_eq!(two.asks(&forged), Some(JoinError::Signature));
    // Somebody else's name and key, without the private half.
    let stolen = content
        .with(3, two.phone.id().0)
        .with(4, two.phone.keys.dsk().public_key().as_bytes());
    assert_eq!(two.asks(&vouched(&stolen, dsk)), Some(JoinError::Signature));
}

#[test]
fn envelopes_have_just_their_members_and_their_step() {
    let two = Two::new();
    let (_, join) = two.join();
    let envelope = map(&join);
    let malformed = Some(JoinError::Malformed);
    for member in 2..=4 {
        let bad = without(&envelope, member).encode();
        assert_eq!(two.asks(&bad), malformed, "{member}");
        let bad = envelope.clone().with(member, 7).encode();
        assert_eq!(two.asks(&bad), malformed, "{member}");
    }
    let more = envelope.clone().with(5, [0]).encode();
    let longer = [join.as_slice(), &[0]].concat();
    for bad in [vec![], vec![0xff], vec![0x80], more, longer] {
        assert_eq!(two.asks(&bad), malformed);
    }
    for step in [0, 2, 3, 4] {
        let bad = envelope.clone().with(1, step).encode();
        assert_eq!(two.asks(&bad), Some(JoinError::Step), "{step}");
    }
    let extra = Map::new().with(1, 2).with(2, [0]).encode();
    assert_eq!(two.met().1.handle_confirm(&extra).err(), malformed);
    let ack = reply(&Map::new().with(1, 3).with(2, [0]).encode());
    assert_eq!(two.merged().0.handle_ack(&ack).err(), malformed);
}

#[test]
fn a_message_of_another_step_is_refused_everywhere() {
    let two = Two::new();
    let config = two.laptop.config();
    let (offered, _, join, offer) = two.met();
    let (_, confirm) = offered.confirm();
    let (_, _, sealed) = two.sealed();
    let (granted, _, merge) = two.merged();
    let ack = two.ack();
    let step = Some(JoinError::Step);
    for other in [&confirm[1..], &merge] {
        assert_eq!(two.asks(other), step);
    }
    for other in [&join, &merge] {
        assert_eq!(two.met().1.handle_confirm(other).err(), step);
    }
    for other in [&join[..], &confirm[1..]] {
        let merged = two.sealed().1.handle_merge(other, &two.phone.keys);
        assert_eq!(merged.err(), step);
    }
    for other in [&sealed, &ack] {
        assert_eq!(two.join().0.handle_offer(other, &config).err(), step);
    }
    for other in [&offer, &ack] {
        let granted = two.sealed().0.handle_sealed(other, &two.laptop.keys);
        assert_eq!(granted.err(), step);
    }
    for other in [&offer, &sealed] {
        assert_eq!(granted.handle_ack(other).err(), step);
    }
}

#[test]
fn a_refusal_is_told_with_its_status_at_every_step() {
    let two = Two::new();
    let config = two.laptop.config();
    for status in [
        Status::OTHER,
        Status::OPERATION_DENIED,
        Status::USER_ACTION_TIMEOUT,
    ] {
        let (reply, refused) = ([status.0], Some(JoinError::Refused(status)));
        assert_eq!(two.join().0.handle_offer(&reply, &config).err(), refused);
        let granted = two.sealed().0.handle_sealed(&reply, &two.laptop.keys);
        assert_eq!(granted.err(), refused);
        assert_eq!(two.merged().0.handle_ack(&reply).err(), refused);
    }
    let empty = two.join().0.handle_offer(&[], &config);
    assert_eq!(empty.err(), Some(JoinError::Refused(Status::OTHER)));
}

#[test]
fn no_message_is_good_for_another_join() {
    let two = Two::new();
    let config = two.laptop.config();
    let (_, _, old_join, old_offer) = two.met();
    let (_, _, old_sealed) = two.sealed();
    let (_, _, old_merge) = two.merged();

    // In another session, the handshake hash tells.
    let granter = Granter {
        session: [0; 32],
        ..two.phone.granter()
    };
    let asked = granter.handle_join(&old_join, &mut OsRng);
    assert_eq!(asked.err(), Some(JoinError::OtherSession));
    let (joiner, _) = Joiner::start(&config, [0; 32], &mut OsRng);
    let offered = joiner.handle_offer(&old_offer, &config);
    assert_eq!(offered.err(), Some(JoinError::OtherSession));

    // In the same session, the nonces do.
    let offered = two.join().0.handle_offer(&old_offer, &config);
    assert_eq!(offered.err(), Some(JoinError::OtherJoin));
    let granted = two.sealed().0.handle_sealed(&old_sealed, &two.laptop.keys);
    assert_eq!(granted.err(), Some(JoinError::Sealed));
    let merged = two.sealed().1.handle_merge(&old_merge, &two.phone.keys);
    assert_eq!(merged.err(), Some(JoinError::Sealed));

    // The same JOIN a second time gives another OFFER, so that nothing of the first one fits.
    let (joiner, join) = two.join();
    let (_, offer) = two.offer(&join);
    let (second, _) = two.offer(&join);
    let (awaiting, confirm) = joiner.handle_offer(&offer, &config).unwrap().confirm();
    let second = second.handle_confirm(&confirm[1..]).unwrap();
    let secret = GroupSecret::from_bytes(SECRET);
    let (_, sealed) = second.seal(&secret, &[], &mut OsRng).unwrap();
    let granted = awaiting.handle_sealed(&sealed, &two.laptop.keys);
    assert_eq!(granted.err(), Some(JoinError::Sealed));
}
