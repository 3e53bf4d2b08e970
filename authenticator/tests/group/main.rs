//! Trust groups over vaults and device stores: who may let whom in, what several programs on one
//! device do to each other, what a join that breaks off leaves behind, and who is known by what he says.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod device;
mod introductions;

use std::fs;

use device::{Device, PIN, SESSION, copy, join, new_key, pair, sync};
use handfast_authenticator::device::{Pin, PinCheck};
use handfast_authenticator::engine::{Authenticator, Conclusion};
use handfast_authenticator::group::{self, GroupError};
use handfast_authenticator::passphrase::Stretching;
use handfast_proto::ctap2::Status;
use handfast_proto::trust::Method;
use handfast_proto::trust::join::{JoinError, Joiner};
use rand_core::OsRng;

#[test]
fn a_join_brings_both_onto_one_list_and_one_set_of_keys() {
    let (_folder, mut phone, mut computer) = pair();
    computer.key(2);
    let session = join(&mut computer, &mut phone, Method::Simulated, 3).unwrap();
    assert_eq!(session.conclude(), Conclusion::Done);
    sync(&mut phone, &mut computer);
    assert_eq!(phone.members(), ["computer", "first"]);
    assert_eq!(computer.members(), phone.members());
    let keys = |device: &Device| group::status(&device.authenticator.device).keys;
    assert_eq!((keys(&phone), keys(&computer)), (2, 2));
}

#[test]
fn a_join_that_is_left_before_the_secret_is_nothing() {
    let (_folder, mut phone, mut computer) = pair();
    let session = join(&mut computer, &mut phone, Method::Simulated, 1).unwrap();
    let nothing = Conclusion::Nothing { note: None };
    assert_eq!(session.conclude(), nothing);
    assert_eq!(phone.members(), ["first"]);
}

#[test]
fn who_took_the_secret_and_left_is_on_the_list() {
    let (_folder, mut phone, mut computer) = pair();
    let session = join(&mut computer, &mut phone, Method::Simulated, 2).unwrap();
    let Conclusion::Nothing { note: Some(note) } = session.conclude() else {
        panic!("the owner must learn of it");
    };
    assert!(note.contains("computer"), "{note}");
    assert_eq!(phone.members(), ["computer", "first"]);
}

#[test]
fn the_list_names_who_has_the_secret_whatever_he_sends_instead_of_his_keys() {
    for instead in [&[0x50, 0xff][..], &[0x50, 0xa1, 1, 3], &[0x04]] {
        let (_folder, mut phone, mut computer) = pair();
        let mut session = join(&mut computer, &mut phone, Method::Simulated, 2).unwrap();
        // Also if the phone dies now: the list is on its disk already.
        assert_eq!(
            group::status(&phone.again().device).members.len(),
            2,
            "before MERGE"
        );
        phone.ask(&mut session, instead);
        assert_eq!(phone.members(), ["computer", "first"], "{instead:?}");
    }
}

#[test]
fn a_device_that_is_on_no_list_lets_nobody_in() {
    let (folder, mut phone, mut computer) = pair();
    join(&mut computer, &mut phone, Method::HybridQr, 3).unwrap();
    // Nothing was synced: the computer has the secret and no entry that says so.
    assert_eq!(computer.members(), Vec::<String>::new());
    let mut third = Device::further(folder.path(), "third", &computer);
    for method in [Method::HybridQr, Method::Simulated] {
        let refused = join(&mut third, &mut computer, method, 3);
        assert_eq!(refused.err(), Some(JoinError::Refused(Status::OTHER)));
    }
    sync(&mut phone, &mut computer);
    sync(&mut computer, &mut third);
    let refused = join(&mut third, &mut computer, Method::Simulated, 3);
    assert!(
        refused.is_err(),
        "a group with a real radio takes no simulated one"
    );
    join(&mut third, &mut computer, Method::HybridQr, 3).unwrap();
    sync(&mut computer, &mut third);
    sync(&mut computer, &mut phone);
    for device in [&phone, &computer, &third] {
        assert_eq!(device.members(), ["computer", "first", "third"]);
    }
}

#[test]
fn a_member_does_not_leave_its_group_because_its_entry_is_late() {
    let (_folder, mut phone, mut computer) = pair();
    join(&mut computer, &mut phone, Method::Simulated, 3).unwrap();
    assert_eq!(computer.members(), Vec::<String>::new());
    let may = group::may_join(&computer.authenticator.device);
    assert!(matches!(may, Err(GroupError::HasMembers)), "{may:?}");
}

#[test]
fn two_programs_on_one_device_do_not_undo_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let mut device = Device::first(folder.path());
    let mut other = device.again();
    // Each makes the first key, and with it the group, as far as it knows.
    new_key(&mut other, 1);
    device.key(2);
    new_key(&mut other, 3);
    let status = |authenticator: &Authenticator| group::status(&authenticator.device);
    device.refresh();
    let reopened = device.again();
    assert_eq!(status(&reopened).keys, 3);
    assert_eq!(status(&reopened).group, status(&other).group);
    assert_eq!(status(&device.authenticator), status(&reopened));

    let pin = Pin::parse("5678").unwrap();
    let store = &mut device.authenticator.device;
    store.set_pin(&pin, Stretching::LEAST, &mut OsRng).unwrap();
    let old = other.device.check_pin(PIN, &mut OsRng).unwrap();
    assert_eq!(old, PinCheck::Wrong(7), "the new PIN counts everywhere");
    let again = store.check_pin(PIN, &mut OsRng).unwrap();
    assert_eq!(again, PinCheck::Wrong(6), "tries are counted together");
}

#[test]
fn entries_of_who_only_has_the_vault_are_not_kept() {
    let (folder, mut phone, mut computer) = pair();
    join(&mut computer, &mut phone, Method::Simulated, 3).unwrap();
    sync(&mut phone, &mut computer);
    // A thief makes entries of a group of his own, in his copy, which the sync brings back.
    let mut thief = Device::further(folder.path(), "thief", &phone);
    thief.key(7);
    let before = fs::read(phone.home.join("device/device.handfast")).unwrap();
    sync(&mut thief, &mut phone);
    assert_eq!(phone.members(), ["computer", "first"]);
    let after = fs::read(phone.home.join("device/device.handfast")).unwrap();
    assert_eq!(before, after, "nothing of it was taken in");
}

#[test]
fn a_group_file_that_goes_and_comes_back_is_read_again() {
    let (_folder, mut phone, _) = pair();
    let count = |device: &Device| device.authenticator.vault.group_files().count();
    let folder = phone.vault().join("group");
    let before = count(&phone);
    let away = phone.home.join("away");
    fs::rename(&folder, &away).unwrap();
    fs::create_dir(&folder).unwrap();
    phone.authenticator.vault.refresh().unwrap();
    assert_eq!(count(&phone), 0);
    // What is gone is published again, from the device's own copies.
    phone.refresh();
    assert_eq!(count(&phone), before);
    copy(&away, &folder);
    phone.refresh();
    assert_eq!(count(&phone), 2 * before);
}

#[test]
fn nobody_is_put_on_a_list_that_cannot_be_written() {
    for is_early in [true, false] {
        let (_folder, mut phone, computer) = pair();
        let group = phone.vault().join("group");
        // Not even root writes into a folder that is none.
        let block = || {
            fs::remove_dir_all(&group).unwrap();
            fs::write(&group, "no folder").unwrap();
        };
        let mut session = phone.session(Method::HybridQr);
        let Authenticator { vault, device } = &computer.authenticator;
        let member = vault.member_key();
        let config = group::join_config(vault, device, &member, Method::HybridQr);
        let (joiner, request) = Joiner::start(&config, SESSION, &mut OsRng);
        if is_early {
            block();
        }
        let offered = joiner.handle_offer(&phone.ask(&mut session, &request), &config);
        assert_eq!(offered.is_err(), is_early);
        if let Ok(offered) = offered {
            block();
            let (awaiting, request) = offered.confirm();
            let sealed = phone.ask(&mut session, &request);
            let refused = awaiting.handle_sealed(&sealed, device.keys());
            assert_eq!(refused.err(), Some(JoinError::Refused(Status::OTHER)));
        }
        fs::remove_file(&group).unwrap();
        phone.refresh();
        assert_eq!(phone.members(), ["first"]);
        let again = group::status(&phone.again().device);
        assert_eq!(again.members.len(), 1);
    }
}
