//! What the trust group's files tell of the keys that passkeys of this device present.

use std::slice;

use handfast_authenticator::engine::Computer;
use handfast_authenticator::group;
use handfast_proto::auth_data::AuthenticatorData;
use handfast_proto::cbor::Map;
use handfast_proto::ids::CredentialId;
use handfast_proto::trust::wrap::open_key;
use handfast_proto::trust::{GroupKey, GroupSecret};
use rand_core::OsRng;

use crate::phone::{Phone, approving, create, id};

/// How long a replaced passkey is kept, and a day more.
const MONTH: u64 = 31 * 24 * 60 * 60;

/// The one key of a passkey, as other devices of the group find it in the folder.
fn key_of(phone: &Phone, passkey: &CredentialId) -> GroupKey {
    let device = &phone.authenticator.device;
    let secret = GroupSecret::from_bytes(group::danger_group_secret(device).unwrap());
    let group = group::status(device).group.unwrap();
    let files = phone.authenticator.vault.group_files();
    let keys = files.filter_map(|file| open_key(&secret, group, file).ok());
    let mut keys: Vec<_> = keys
        .filter(|key| key.tuple.credential_id == *passkey)
        .collect();
    assert_eq!(keys.len(), 1, "{keys:?}");
    keys.remove(0)
}

fn is_retired(phone: &Phone, passkey: &CredentialId) -> bool {
    key_of(phone, passkey).retired
}

#[test]
fn when_a_site_first_got_to_see_a_key_is_told() {
    let mut phone = Phone::new(true);
    let asked = || Map::new().with("cmtgKey", true);
    let bob = id(&phone.create(&create(b"bob")));
    let first = phone.now;
    // One that presents its key only later, when a site asks for it.
    let made = phone.create_with(Map::new(), &mut approving());
    let late = id(&AuthenticatorData::parse(&made.auth_data).unwrap());
    phone.now = 5000;
    phone.get_with(slice::from_ref(&late), asked(), &mut approving());
    let second = phone.now;
    for later in [6000, 7000] {
        phone.now = later;
        phone.get_with(slice::from_ref(&bob), asked(), &mut approving());
        phone.get_with(slice::from_ref(&late), asked(), &mut approving());
    }
    assert_eq!(key_of(&phone, &bob).first_presented_at, Some(first));
    assert_eq!(key_of(&phone, &late).first_presented_at, Some(second));
}

#[test]
fn keys_of_passkeys_that_are_gone_for_good_are_retired() {
    let mut phone = Phone::new(true);
    let old = id(&phone.create(&create(b"ana")));
    let [new, bob, eve] = [b"ana", b"bob", b"eve"].map(|user| id(&phone.create(&create(user))));
    let replaced = phone.now;
    let all = [&old, &new, &bob, &eve];
    let retired = |phone: &Phone| all.map(|passkey| is_retired(phone, passkey));
    // It is kept, for who never heard of the one in its place.
    phone.authenticator.tidy(&mut OsRng, replaced).unwrap();
    assert_eq!(retired(&phone), [false; 4]);
    let later = replaced + MONTH;
    phone.authenticator.tidy(&mut OsRng, later).unwrap();
    assert_eq!(retired(&phone), [true, false, false, false]);

    let engine = &mut phone.authenticator;
    engine
        .delete(slice::from_ref(&bob), &mut OsRng, later)
        .unwrap();
    assert_eq!(retired(&phone), [true, false, true, false]);

    let reply = phone.ask_as(Computer::TestTool, &[0x07], &mut approving());
    assert_eq!(reply, [0]);
    assert_eq!(retired(&phone), [true; 4]);
}
