//! Two copies of one passkey, in whatever order they are read: of each member the right one counts.

use handfast_proto::extension::cred_blob::CredBlob;
use handfast_proto::extension::cred_protect::Protection;
use handfast_proto::extension::large_blob::LargeBlob;
use handfast_proto::extension::prf::Seeds;

use super::*;

/// What a copy says beyond what all copies say.
type Said = fn(&mut Passkey);

fn blob(bytes: &[u8]) -> LargeBlob {
    LargeBlob::new(bytes, 900).unwrap()
}

fn seeds() -> Seeds {
    Seeds::from_bytes(&[5; 64]).unwrap()
}

/// A file of one and the same passkey, as another program wrote it.
fn copy_of(phone: &Device, key: &SigningKey, said: Said) -> Vec<u8> {
    let alone = Device::without_vault("laptop");
    fs::create_dir_all(alone.vault()).unwrap();
    fs::copy(phone.header(), alone.header()).unwrap();
    let user = UserHandle::from_bytes(b"ana").unwrap();
    let site = RpId::parse("example.org").unwrap();
    let mut passkey = Passkey::new(credential(1), site, user, key, 1).unwrap();
    said(&mut passkey);
    alone.open("first").store(passkey).unwrap();
    fs::read(alone.files("passkeys").remove(0)).unwrap()
}

/// Reads copies one after the other, and tells of the passkey; also of what is on the disk after it was
/// written.
fn merged(copies: [&[u8]; 2], phone: &Device, look: impl Fn(&Passkey)) {
    let place = Device::without_vault("phone");
    fs::create_dir_all(place.vault().join("passkeys")).unwrap();
    fs::copy(phone.header(), place.header()).unwrap();
    fs::write(place.vault().join("passkeys/first"), copies[0]).unwrap();
    let mut vault = place.open("first");
    fs::write(place.vault().join("passkeys/second"), copies[1]).unwrap();
    vault.refresh().unwrap();
    look(vault.named(&credential(1)).unwrap());
    vault.rename(&credential(1), Some("ana"), None, 9).unwrap();
    fs::remove_file(place.vault().join("passkeys/second")).unwrap();
    look(place.open("first").named(&credential(1)).unwrap());
}

/// Both copies are read in both orders.
fn in_both_orders(one: Said, two: Said, look: impl Fn(&Passkey)) {
    let phone = Device::first();
    let key = SigningKey::generate(Algorithm::Es256, &mut OsRng);
    let (one, two) = (copy_of(&phone, &key, one), copy_of(&phone, &key, two));
    merged([&one, &two], &phone, &look);
    merged([&two, &one], &phone, &look);
}

#[test]
fn of_two_copies_the_greater_protection_counts() {
    in_both_orders(
        |passkey| passkey.protection = Protection::Verification,
        |passkey| passkey.protection = Protection::VerificationUnlessNamed,
        |passkey| assert_eq!(passkey.protection, Protection::Verification),
    );
    in_both_orders(
        |passkey| passkey.protection = Protection::VerificationUnlessNamed,
        |_| (),
        |passkey| assert_eq!(passkey.protection, Protection::VerificationUnlessNamed),
    );
}

#[test]
fn what_only_one_copy_has_is_kept() {
    in_both_orders(
        |passkey| passkey.cred_blob = CredBlob::from_bytes(b"left here"),
        |passkey| passkey.prf = Some(seeds()),
        |passkey| {
            let left = passkey.cred_blob.as_ref().map(CredBlob::as_bytes);
            assert_eq!(left, Some(&b"left here"[..]));
            let kept = passkey.prf.as_ref().map(Seeds::as_bytes);
            assert_eq!(kept, Some(seeds().as_bytes()));
        },
    );
    in_both_orders(
        |passkey| passkey.large_blob = Some((blob(b"stored"), 5)),
        |_| (),
        |passkey| assert_eq!(passkey.large_blob, Some((blob(b"stored"), 5))),
    );
}

#[test]
fn of_two_copies_the_later_large_blob_counts() {
    in_both_orders(
        |passkey| passkey.large_blob = Some((blob(b"zzz"), 5)),
        |passkey| passkey.large_blob = Some((blob(b"aaa"), 6)),
        |passkey| assert_eq!(passkey.large_blob, Some((blob(b"aaa"), 6))),
    );
    // Of the same second all devices choose the same.
    in_both_orders(
        |passkey| passkey.large_blob = Some((blob(b"zzz"), 5)),
        |passkey| passkey.large_blob = Some((blob(b"aaa"), 5)),
        |passkey| assert_eq!(passkey.large_blob, Some((blob(b"zzz"), 5))),
    );
}

#[test]
fn of_two_copies_the_earlier_end_counts() {
    in_both_orders(
        |passkey| passkey.replaced_at = Some(3),
        |passkey| passkey.replaced_at = Some(4),
        |passkey| assert_eq!(passkey.replaced_at, Some(3)),
    );
    in_both_orders(
        |passkey| passkey.replaced_at = Some(4),
        |_| (),
        |passkey| assert_eq!(passkey.replaced_at, Some(4)),
    );
}

#[test]
fn a_large_blob_that_is_stored_after_the_clock_was_set_back_wins_over_the_earlier() {
    let phone = Device::first();
    let mut vault = phone.open("first");
    vault.store(passkey(1, "ana", 1)).unwrap();
    let only = || fs::read(phone.files("passkeys").remove(0)).unwrap();
    let mut stored = |bytes: &[u8], now| {
        vault
            .set_large_blob(&credential(1), blob(bytes), now)
            .unwrap();
        only()
    };
    let earlier = stored(b"zzz", 4000);
    let later = stored(b"aaa", 3000);
    let look = |passkey: &Passkey| {
        let (stored, _) = passkey.large_blob.as_ref().unwrap();
        assert_eq!(stored, &blob(b"aaa"));
    };
    merged([&earlier, &later], &phone, look);
    merged([&later, &earlier], &phone, look);
}
