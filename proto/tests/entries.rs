//! Who is a member: entries that count, and entries that must not.
#![cfg(feature = "trust")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod common;

use common::trust::{Device, GROUP, bytes, map, without};
use handfast_proto::cbor::{Map, Value};
use handfast_proto::cose::{Algorithm, SigningKey};
use handfast_proto::trust::entry::{
    Anchor, Entry, EntryError, EntryHash, Kind, Members, SignedEntry,
};
use handfast_proto::trust::{DeviceId, GroupId, Method};
use rand_core::OsRng;

fn entry(subject: &Device, kind: Kind, parents: &[EntryHash]) -> Entry {
    Entry {
        group: GROUP.id,
        kind,
        subject: subject.id(),
        dsk: subject.keys.dsk().public_key(),
        mk: subject.keys.mk_public(),
        name: subject.config().name,
        actor: subject.id(),
        method: (kind == Kind::Add).then_some(Method::HybridQr),
        time: 7,
        parents: parents.to_vec(),
    }
}

fn found(founder: &Device) -> SignedEntry {
    SignedEntry::sign(entry(founder, Kind::Create, &[]), &founder.keys)
}

fn add(subject: &Device, by: &Device, parents: &[EntryHash]) -> SignedEntry {
    SignedEntry::sign(entry(subject, Kind::Add, parents), &by.keys)
}

/// What a device reads that was let in by `by`.
fn read(entries: &[SignedEntry], device: &Device, by: &Device) -> Members {
    let anchor = Anchor {
        device: device.id(),
        signer: by.keys.dsk().public_key(),
    };
    Members::read(entries, GROUP.id, &anchor)
}

/// The content of an entry, to be altered.
fn content(signed: &SignedEntry) -> Map {
    map(&bytes(&map(&signed.encode()), 2))
}

/// A file with this content, signed by whomever.
fn file(content: &Map, by: &Device) -> Vec<u8> {
    let content = content.encode();
    Map::new()
        .with(1, "tg-entry-file/v1")
        .with(2, content.as_slice())
        .with(3, by.keys.dsk().sign(&content))
        .encode()
}

#[test]
fn a_founder_and_whom_members_let_in_are_members() {
    let [a, b, c] = ["a", "b", "c"].map(Device::new);
    let create = found(&a);
    let add_b = add(&b, &a, &[create.hash()]);
    let add_c = add(&c, &b, &[add_b.hash()]);
    let entries = [create, add_b, add_c.clone()];
    for (device, by) in [(&a, &a), (&b, &a), (&c, &b)] {
        let members = read(&entries, device, by);
        assert_eq!(members.len(), 3);
        assert_eq!(members.heads(), [add_c.hash()]);
    }
    // Files come in any order.
    for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let shuffled = order.map(|at| entries[at].clone());
        assert_eq!(read(&shuffled, &c, &b).len(), 3, "{order:?}");
    }
    let members = read(&entries, &a, &a);
    let founder = members.iter().find(|member| member.device == a.id());
    assert_eq!(founder.unwrap().method, None);
}

#[test]
fn who_is_added_by_a_stranger_or_by_himself_is_no_member() {
    let [a, b, stranger] = ["a", "b", "stranger"].map(Device::new);
    let create = found(&a);
    let by_stranger = add(&b, &stranger, &[create.hash()]);
    let by_himself = add(&stranger, &stranger, &[create.hash()]);
    let members = read(&[create.clone(), by_stranger, by_himself], &a, &a);
    assert_eq!(members.len(), 1);
    assert!(members.contains(a.id()));
    assert_eq!(members.heads(), [create.hash()]);

    // The actor's name is not enough: the signature must be his.
    let forged = content(&add(&stranger, &stranger, &[create.hash()])).with(8, a.id().0);
    let forged = SignedEntry::parse(&file(&forged, &stranger)).unwrap();
    assert_eq!(forged.entry.actor, a.id());
    assert_eq!(read(&[create, forged], &a, &a).len(), 1);
}

#[test]
fn an_add_counts_only_if_its_actor_is_a_member_by_the_entries_before_it() {
    let [a, b, c] = ["a", "b", "c"].map(Device::new);
    let create = found(&a);
    let add_b = add(&b, &a, &[create.hash()]);
    // b lets c in by an entry that does not stand on b's own.
    let beside = add(&c, &b, &[create.hash()]);
    let members = read(&[create.clone(), beside.clone()], &a, &a);
    assert_eq!(members.len(), 1, "b is nobody yet");
    let members = read(&[create, add_b, beside.clone()], &a, &a);
    assert!(!members.counts(&beside.hash()), "nor is b before it");
    assert_eq!(members.len(), 2);
}

#[test]
fn entries_on_parents_that_never_come_do_not_count_and_do_not_hang() {
    let [a, b, c] = ["a", "b", "c"].map(Device::new);
    let create = found(&a);
    let lost = add(&b, &a, &[[9; 32]]);
    let half = add(&b, &a, &[create.hash(), [9; 32]]);
    let on_lost = add(&c, &a, &[lost.hash()]);
    let on_nothing = add(&c, &a, &[]);
    let members = read(&[create.clone(), lost, half, on_lost, on_nothing], &a, &a);
    assert_eq!(members.len(), 1);
    assert_eq!(members.heads(), [create.hash()]);
}

/// No two entries can name each other, since each name is a hash of what it names; the nearest to
/// it is a ring in which one link is a wrong hash.
#[test]
fn a_ring_of_entries_does_not_count_and_does_not_hang() {
    let [a, b, c] = ["a", "b", "c"].map(Device::new);
    let create = found(&a);
    let first = add(&b, &a, &[[1; 32]]);
    let second = add(&c, &a, &[first.hash()]);
    let closing = add(&b, &a, &[second.hash()]);
    assert_ne!(closing.hash(), [1; 32]);
    let twice = add(&b, &a, &[create.hash(), create.hash()]);
    let members = read(&[create, first, second, closing, twice.clone()], &a, &a);
    assert_eq!(members.len(), 2, "only what stands on the founder");
    assert!(members.counts(&twice.hash()));
}

/// Whoever has the vault can write into the folder: a founder of his own under the group's name.
#[test]
fn a_foreign_founder_makes_nobody_a_member() {
    let [a, b, phisher] = ["a", "b", "phisher"].map(Device::new);
    let create = found(&a);
    let add_b = add(&b, &a, &[create.hash()]);
    let foreign = found(&phisher);
    let foreign_b = add(&b, &phisher, &[foreign.hash()]);
    let foreign_a = add(&a, &phisher, &[foreign_b.hash()]);
    let entries = [foreign, foreign_b, foreign_a, create, add_b];
    for (device, by) in [(&a, &a), (&b, &a)] {
        let members = read(&entries, device, by);
        assert_eq!(members.len(), 2);
        assert!(!members.contains(phisher.id()));
    }
    // Who names a wrong granter, or another group, is in none.
    assert!(read(&entries, &b, &b).is_empty());
    let anchor = Anchor {
        device: a.id(),
        signer: a.keys.dsk().public_key(),
    };
    assert!(Members::read(&entries, GroupId([0; 16]), &anchor).is_empty());
}

#[test]
fn a_founder_founds_only_himself_and_on_nothing() {
    let [a, b] = ["a", "b"].map(Device::new);
    let good = found(&a);
    let with_parents = SignedEntry::sign(entry(&a, Kind::Create, &[[1; 32]]), &a.keys);
    let of_another = SignedEntry::sign(entry(&b, Kind::Create, &[]), &a.keys);
    let forged = SignedEntry::parse(&file(&content(&good), &b)).unwrap();
    for bad in [with_parents, of_another, forged] {
        let alone = [bad];
        assert!(read(&alone, &a, &a).is_empty());
        assert!(read(&alone, &b, &a).is_empty());
    }
    // One that says another founded for him.
    let named = SignedEntry::parse(&file(&content(&found(&b)).with(8, a.id().0), &b)).unwrap();
    let on_named = add(&a, &b, &[named.hash()]);
    assert!(read(&[named, on_named], &a, &b).is_empty());
    let second = SignedEntry::sign(entry(&b, Kind::Create, &[good.hash()]), &a.keys);
    assert_eq!(read(&[good, second], &a, &a).len(), 1);
}

#[test]
fn who_was_put_out_stays_out_and_lets_nobody_in() {
    let [a, b, c] = ["a", "b", "c"].map(Device::new);
    let create = found(&a);
    let add_b = add(&b, &a, &[create.hash()]);
    let remove = SignedEntry::sign(entry(&b, Kind::Remove, &[add_b.hash()]), &a.keys);
    let again = add(&b, &a, &[remove.hash()]);
    let by_removed = add(&c, &b, &[remove.hash()]);
    let members = read(&[create, add_b, remove, again, by_removed], &a, &a);
    assert_eq!(members.len(), 1);
    assert_eq!(members.removed(), [b.id()]);
    assert!(members.removed_name(b.id()).is_some() && !members.contains(c.id()));
}

#[test]
fn a_group_with_a_member_by_real_radio_admits_nobody_by_a_simulated_one() {
    let [a, b, c] = ["a", "b", "c"].map(Device::new);
    let create = found(&a);
    let simulated = Entry {
        method: Some(Method::Simulated),
        ..entry(&b, Kind::Add, &[create.hash()])
    };
    let simulated = SignedEntry::sign(simulated, &a.keys);
    let members = read(&[create.clone(), simulated.clone()], &a, &a);
    assert!(members.admits(Method::Simulated) && members.admits(Method::HybridQr));
    let real = add(&c, &a, &[create.hash()]);
    let members = read(&[create, simulated, real], &a, &a);
    assert!(!members.admits(Method::Simulated) && members.admits(Method::UsbNfc));
}

#[test]
fn a_file_that_is_no_entry_is_refused_for_its_reason() {
    let [a, b] = ["a", "b"].map(Device::new);
    let create = found(&a);
    let good = content(&add(&b, &a, &[create.hash()]));
    assert!(SignedEntry::parse(&file(&good, &a)).is_ok());

    let eddsa = SigningKey::generate(Algorithm::EdDsa, &mut OsRng);
    let mut off_curve = b.keys.mk_public();
    off_curve[64] ^= 1;
    for (member, value) in [
        (1, Value::from("tg-entry/v2")),
        (2, [0; 15].into()),
        (3, 0.into()),
        (3, 5.into()),
        // A method is what an add has, and what nothing else has.
        (9, 0.into()),
        (9, 99.into()),
        (3, 1.into()),
        (3, 3.into()),
        (3, 4.into()),
        (4, [0; 17].into()),
        (5, eddsa.public_key().as_bytes().into()),
        (6, off_curve.into()),
        (7, "".into()),
        (7, "x".repeat(65).into()),
        (8, [0; 15].into()),
        (10, (-1).into()),
        (11, vec![Value::from([0; 31])].into()),
        (11, 0.into()),
        (12, true.into()),
    ] {
        let bad = file(&good.clone().with(member, value.clone()), &a);
        let parsed = SignedEntry::parse(&bad);
        assert_eq!(parsed, Err(EntryError::Malformed), "{member}: {value:?}");
    }
    for member in 1..=11 {
        let bad = file(&without(&good, member), &a);
        let parsed = SignedEntry::parse(&bad);
        assert_eq!(parsed, Err(EntryError::Malformed), "{member}");
    }
    let renamed = file(&good.clone().with(4, DeviceId([0; 16]).0), &a);
    let parsed = SignedEntry::parse(&renamed);
    assert_eq!(parsed, Err(EntryError::OtherDevice));

    let whole = map(&file(&good, &a));
    for bad in [
        without(&whole, 1),
        without(&whole, 2),
        without(&whole, 3),
        whole.clone().with(1, "tg-key-file/v1"),
        whole.clone().with(4, true),
        whole.with(2, [0]),
    ] {
        let parsed = SignedEntry::parse(&bad.encode());
        assert_eq!(parsed, Err(EntryError::Malformed));
    }
}
