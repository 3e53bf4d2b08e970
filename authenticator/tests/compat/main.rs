//! Extensions that WebAuthn has no more: answered only where that is wanted, by keys that stay where
//! they belong.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod phone;

use handfast_authenticator::compat::{CompatExtension, UnknownExtension};
use handfast_authenticator::device::DeviceStore;
use handfast_authenticator::engine::AAGUID;
use handfast_proto::cbor::Map;
use handfast_proto::cose::Algorithm;
use handfast_proto::extension::attested_key::Attestation;
use handfast_proto::extension::supplemental_pub_keys::Scope;
use handfast_proto::extension::{cmtg_key, device_pub_key, relationship_public_key};
use handfast_proto::ids::Aaguid;
use rand_core::OsRng;

use crate::phone::{
    ALL, Answered, Phone, approving, device, everything, get, machine, supplemental,
};

#[test]
fn nothing_is_answered_that_is_not_switched_on_and_listed() {
    let folder = tempfile::tempdir().unwrap();
    let mut phone = Phone::new(folder.path(), "phone");
    let usual = phone.listed();
    assert!(!ALL.iter().any(|name| usual.contains(&(*name).to_owned())));
    let made = phone.create(b"ana", everything());
    assert_eq!(made.names(), ["cmtgKey"]);
    assert_eq!(made.unsigned.len(), 1);
    let former = Map::new().with(cmtg_key::FORMER_INPUT, true);
    assert!(phone.sign_in(&made.id(), former.clone()).names().is_empty());
    assert_eq!(phone.authenticator.device.bound_keys(), 0);

    for name in ALL {
        let mut phone = Phone::again(folder.path(), "phone").answering(&[name]);
        assert_eq!(
            phone.listed(),
            [usual.clone(), vec![name.to_owned()]].concat()
        );
        let signed = phone.sign_in(&made.id(), everything());
        assert_eq!(signed.names(), ["cmtgKey", name]);
        assert_eq!(signed.unsigned.len(), 2, "{name}");
    }
    let mut phone = Phone::again(folder.path(), "phone").answering(&ALL);
    let signed = phone.sign_in(&made.id(), everything());
    let order = ["cmtgKey", ALL[0], ALL[1], ALL[2]];
    assert_eq!(signed.names(), order);
    assert_eq!(phone.sign_in(&made.id(), former).names(), ["cmtgKey"]);
    let unknown = CompatExtension::parse("uvm");
    assert_eq!(unknown, Err(UnknownExtension("uvm".to_owned())));
}

#[test]
fn a_device_key_is_the_same_in_every_program_and_another_on_every_device_and_passkey() {
    let folder = tempfile::tempdir().unwrap();
    let mut phone = Phone::new(folder.path(), "phone").answering(&ALL);
    let made = phone.create(b"ana", device());
    let key = made.device_key();
    assert_eq!(key.scope, device_pub_key::Scope::EntireDevice);
    assert_eq!(key.attestation, Attestation::None);
    assert_eq!(key.aaguid, Aaguid([0; 16]));
    assert_ne!(
        key.key.as_bytes(),
        made.data.attested.as_ref().unwrap().public_key
    );
    let other = phone.create(b"bob", device()).device_key();
    assert_ne!(other.key, key.key);
    assert_eq!(phone.sign_in(&made.id(), device()).device_key(), key);
    let mut again = Phone::again(folder.path(), "phone").answering(&ALL);
    assert_eq!(again.sign_in(&made.id(), device()).device_key(), key);

    // The vault with its passkeys is there for every device, and this key is not in it.
    let mut laptop = Phone::new(folder.path(), "laptop").answering(&ALL);
    assert_eq!(laptop.authenticator.device.bound_keys(), 0);
    let elsewhere = laptop.sign_in(&made.id(), device()).device_key();
    assert_ne!(elsewhere.key, key.key);
    assert_eq!(phone.sign_in(&made.id(), device()).device_key(), key);
}

#[test]
fn a_device_key_has_the_passkeys_algorithm_and_the_attestation_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut phone = Phone::new(folder.path(), "phone").answering(&ALL);
    let attested = |how| Map::new().with(device_pub_key::NAME, Map::new().with("attestation", how));
    let direct = attested("direct");
    let made = phone.create_with(b"ana", -8, direct.clone(), &mut approving(|_| {}));
    let key = made.device_key();
    assert_eq!(key.key.algorithm(), Algorithm::EdDsa);
    assert_eq!(key.aaguid, AAGUID);
    assert!(matches!(key.attestation, Attestation::PackedSelf { .. }));
    // The same statement each time, so that a site knows it again.
    assert_eq!(phone.sign_in(&made.id(), direct).device_key(), key);
    let key = phone
        .sign_in(&made.id(), attested("enterprise"))
        .device_key();
    assert_eq!(
        (key.attestation, key.aaguid),
        (Attestation::None, Aaguid([0; 16]))
    );
}

#[test]
fn supplemental_keys_are_the_devices_and_the_trust_groups() {
    let folder = tempfile::tempdir().unwrap();
    let mut phone = Phone::new(folder.path(), "phone").answering(&ALL);
    let made = phone.create(b"ana", everything());
    let keys = made.supplemental();
    let [own, shared] = keys.as_slice() else {
        panic!("{keys:?}");
    };
    assert_eq!((own.scope, shared.scope), (Scope::Device, Scope::Provider));
    assert_eq!(own.key, made.device_key().key);
    assert_eq!(shared.key, made.group_key());
    for key in &keys {
        let Attestation::PackedSelf {
            algorithm,
            signature,
        } = &key.attestation
        else {
            panic!("indirect is what is usual: {key:?}");
        };
        assert_eq!(key.aaguid, AAGUID);
        key.verify_attestation(&key.key, *algorithm, signature)
            .unwrap();
    }
    let id = made.id();
    let asked = phone.sign_in(&id, supplemental(&["provider"]));
    assert_eq!(asked.supplemental(), std::slice::from_ref(shared));
    let asked = phone.sign_in(&id, supplemental(&["device", "galaxy"]));
    assert_eq!(asked.supplemental(), std::slice::from_ref(own));
    for nothing in [supplemental(&["galaxy"]), supplemental(&[])] {
        assert!(phone.sign_in(&id, nothing).names().is_empty());
    }
}

#[test]
fn only_a_scope_that_is_asked_for_makes_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let mut phone = Phone::new(folder.path(), "phone").answering(&ALL);
    let (mut asked, made) = (
        Vec::new(),
        phone.create(b"ana", supplemental(&["provider"])),
    );
    assert_eq!(phone.authenticator.device.bound_keys(), 0);
    for names in [&["provider"][..], &["device"]] {
        let request = get(&made.id(), supplemental(names));
        phone.ask(
            &request.encode(),
            &mut approving(|prompt| asked.push(format!("{prompt:?}"))),
        );
    }
    for (prompt, shares) in asked.iter().zip(["[GroupKey]", "[DeviceKey]"]) {
        assert!(prompt.contains(&format!("shares: {shares}")), "{prompt}");
    }
    assert_eq!(asked.len(), 2);
    assert_eq!(phone.authenticator.device.bound_keys(), 1);
}

#[test]
fn the_older_name_has_the_same_key_and_signature() {
    let folder = tempfile::tempdir().unwrap();
    let mut phone = Phone::new(folder.path(), "phone").answering(&[relationship_public_key::NAME]);
    let asked = Map::new().with(relationship_public_key::NAME, true);
    let made = phone.create(b"ana", asked.clone());
    assert_eq!(made.names(), [relationship_public_key::NAME]);
    let both = phone.sign_in(&made.id(), asked.with(cmtg_key::NAME, true));
    let older = |answered: &Answered| {
        let output = relationship_public_key::client_output(&answered.data, &answered.unsigned);
        output.unwrap().unwrap()
    };
    let output = older(&both);
    assert_eq!(output.public_key, both.group_key().as_bytes());
    let newer = cmtg_key::client_output(&both.data, &both.unsigned).unwrap();
    assert_eq!(newer.unwrap().signature, output.signature);
    assert_eq!(older(&made).public_key, output.public_key);
}

#[test]
fn a_key_that_cannot_be_stored_is_not_shown_and_the_ceremony_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut phone = Phone::new(folder.path(), "phone").answering(&ALL);
    let store = folder.path().join("phone/device.handfast");
    // As if the disk had been pulled out while the person was asked.
    let mut pulling = approving(|_| std::fs::remove_file(&store).unwrap());
    let made = phone.create_with(b"ana", -7, everything(), &mut pulling);
    assert!(made.names().is_empty(), "{:?}", made.names());
    assert!(made.unsigned.is_empty());
    assert_eq!(phone.authenticator.device.bound_keys(), 0);
}

#[test]
fn a_passkey_that_is_deleted_takes_its_device_key_along() {
    let folder = tempfile::tempdir().unwrap();
    let mut phone = Phone::new(folder.path(), "phone").answering(&ALL);
    let mut laptop = Phone::new(folder.path(), "laptop").answering(&ALL);
    let (made, kept) = (
        phone.create(b"ana", device()),
        phone.create(b"bob", device()),
    );
    laptop.sign_in(&made.id(), device());
    let held = |phone: &Phone| phone.authenticator.device.bound_keys();
    assert_eq!((held(&phone), held(&laptop)), (2, 1));
    // One that replaces another leaves it its key, as long as it answers.
    let again = phone.create(b"ana", device());
    assert_eq!(held(&phone), 3);
    let first = made.device_key();
    assert_eq!(phone.sign_in(&made.id(), device()).device_key(), first);
    let later = phone.now + 31 * 24 * 60 * 60;
    phone.authenticator.tidy(&mut OsRng, later).unwrap();
    assert_eq!(held(&phone), 2);
    // The laptop learns of it from the vault.
    laptop.ask(&[0x04], &mut approving(|_| {}));
    assert_eq!(held(&laptop), 0);
    for gone in [again.id(), kept.id()] {
        phone.authenticator.vault.delete(&gone, later).unwrap();
    }
    phone.authenticator.tidy(&mut OsRng, later).unwrap();
    assert_eq!(held(&phone), 0);
    assert_eq!(
        held(&Phone::again(folder.path(), "phone")),
        0,
        "on disk too"
    );

    phone.create(b"ana", device());
    let reset = phone.ask(&[0x07], &mut approving(|_| {}));
    assert!(reset.is_empty());
    assert_eq!(held(&phone), 0);
}

#[test]
fn a_store_whose_device_keys_are_damaged_is_refused_and_one_without_any_opens() {
    let folder = tempfile::tempdir().unwrap();
    let mut phone = Phone::new(folder.path(), "phone").answering(&ALL);
    drop(Phone::again(folder.path(), "phone"));
    phone.create(b"ana", device());
    let path = folder.path().join("phone/device.handfast");
    let good = std::fs::read(&path).unwrap();
    for at in (0..good.len()).step_by(good.len() / 16) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(&path, bad).unwrap();
        let vault = &phone.authenticator.vault;
        let opened = DeviceStore::open(&folder.path().join("phone"), vault, &machine());
        assert!(opened.is_err(), "byte {at}");
    }
    std::fs::write(&path, good).unwrap();
    assert_eq!(
        Phone::again(folder.path(), "phone")
            .authenticator
            .device
            .bound_keys(),
        1
    );
}
