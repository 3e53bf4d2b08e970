//! New pass phrases and new keys, with other devices and programs about.

use super::*;

#[test]
fn an_old_header_is_refused_by_a_device_that_saw_the_newer_one() {
    let phone = Device::first();
    let header = fs::read(phone.header()).unwrap();
    for renewed in [false, true] {
        let mut vault = phone.open(if renewed { "second" } else { "first" });
        match renewed {
            false => change(&mut vault, "second"),
            true => assert_eq!(rekey(&mut vault, "third"), 0),
        }
        phone.store(&vault).unwrap();
        let newer = fs::read(phone.header()).unwrap();
        fs::write(phone.header(), &header).unwrap();
        let store = phone.store(&phone.open("first"));
        assert!(
            matches!(store, Err(DeviceError::RolledBack(_))),
            "{store:?}"
        );
        fs::write(phone.header(), newer).unwrap();
    }
    phone.store(&phone.open("third")).unwrap();
}

#[test]
fn an_open_vault_sees_that_its_header_is_not_the_newest_any_more() {
    let phone = Device::first();
    let [behind, mut vault] = [phone.open("first"), phone.open("first")];
    assert!(!behind.is_superseded());
    change(&mut vault, "second");
    assert!(behind.is_superseded() && !vault.is_superseded());
    // Another vault's header is none of its own, and neither is none at all.
    let other = Device::first();
    change(&mut other.open("first"), "third");
    fs::copy(other.header(), phone.header()).unwrap();
    assert!(!behind.is_superseded());
    fs::remove_file(phone.header()).unwrap();
    assert!(!behind.is_superseded());
}

#[test]
fn the_old_pass_phrase_is_told_that_it_was_changed_while_an_old_header_is_about() {
    let phone = Device::first();
    let copied = phone
        .vault()
        .join("vault (Ana's conflicted copy 2026-11-28).handfast");
    fs::copy(phone.header(), &copied).unwrap();
    let old = fs::read(&copied).unwrap();
    let mut vault = phone.open("first");
    change(&mut vault, "second");
    assert!(!copied.exists(), "it went with the old pass phrase");
    fs::write(&copied, &old).unwrap();
    let opened = phone.try_open("first");
    assert!(
        matches!(&opened, Err(VaultError::Superseded(path)) if *path == phone.header()),
        "{opened:?}"
    );
    // The file sync may have chosen the other of the two for the usual name.
    fs::rename(phone.header(), phone.vault().join("newer.handfast")).unwrap();
    fs::rename(&copied, phone.header()).unwrap();
    assert!(matches!(
        phone.try_open("first"),
        Err(VaultError::Superseded(_))
    ));
    let mut vault = phone.open("second");
    assert_eq!(damaged(&vault).len(), 1, "the old one is named");
    vault.settle().unwrap();
    assert_eq!(damaged(&vault), []);
    assert_eq!(fs::read_dir(phone.vault()).unwrap().count(), 1);
    assert!(matches!(
        phone.try_open("first"),
        Err(VaultError::WrongPassphrase)
    ));
    phone.open("second");
}

#[test]
fn a_device_that_was_away_during_a_rekey_loses_nothing() {
    let phone = Device::first();
    phone.open("first").store(passkey(1, "ana", 1)).unwrap();
    let laptop = Device::with_vault_of(&phone, "laptop");
    let id = laptop.store(&laptop.open("first")).unwrap().id();
    let mut vault = phone.open("first");
    let old_key = vault.danger_vault_key();
    assert_eq!(rekey(&mut vault, "second"), 1);
    assert_ne!(vault.danger_vault_key(), old_key);
    // Meanwhile the laptop, without the new header, makes a passkey and deletes another.
    let mut away = laptop.open("first");
    away.store(passkey(2, "bob", 2)).unwrap();
    away.delete(&credential(1), 3).unwrap();
    laptop.sync_with_conflicts(&phone, |name| {
        format!("{name}.sync-conflict-20261128-101112-ABCDEFG")
    });
    phone.sync_with_conflicts(&laptop, |name| {
        format!("{name} (conflicted copy 2026-11-28 101112)")
    });
    // The file sync brings the new header to the usual name.
    fs::copy(phone.header(), laptop.header()).unwrap();
    for device in [&phone, &laptop] {
        let mut vault = device.open("second");
        assert_eq!(usable(&vault), [2]);
        assert!(vault.stale() > 0);
        vault.settle().unwrap();
        vault.reseal().unwrap();
        let store = device.store(&vault).unwrap();
        assert!(device.name != "laptop" || store.id() == id);
        let vault = device.open("second");
        assert_eq!((usable(&vault), vault.stale()), (vec![2], 0));
        assert_eq!(damaged(&vault), []);
        // Nothing but the header tells of the old key.
        assert!(matches!(
            Vault::open_with_key(&device.vault(), &old_key),
            Err(VaultError::WrongKey)
        ));
    }
}

#[test]
fn devices_that_seal_the_same_file_anew_make_the_same_bytes() {
    let phone = Device::first();
    phone.open("first").store(passkey(1, "ana", 1)).unwrap();
    let old = phone.files("passkeys").remove(0);
    let content = fs::read(&old).unwrap();
    rekey(&mut phone.open("first"), "second");
    let resealed = fs::read(&old).unwrap();
    assert_ne!(resealed, content);
    let laptop = Device::without_vault("laptop");
    laptop.sync_from(&phone);
    fs::write(laptop.files("passkeys").remove(0), &content).unwrap();
    let mut vault = laptop.open("second");
    assert_eq!(vault.reseal().unwrap(), 1);
    assert_eq!(
        fs::read(laptop.files("passkeys").remove(0)).unwrap(),
        resealed
    );
}

#[test]
fn a_program_that_has_the_vault_open_goes_on_after_a_change_and_is_stopped_by_a_new_key() {
    let phone = Device::first();
    let mut running = phone.open("first");
    running.store(passkey(1, "ana", 1)).unwrap();
    let mut store = phone.store(&running).unwrap();
    let mut other = phone.open("first");
    change(&mut other, "second");
    phone.store(&other).unwrap();
    assert_eq!(
        store.check_pin("1234", &mut OsRng).unwrap(),
        handfast_authenticator::device::PinCheck::NotSet,
        "the store has been written for the new header, under the same key"
    );
    rekey(&mut other, "third");
    phone.store(&other).unwrap();
    let stopped = store.check_pin("1234", &mut OsRng);
    assert!(matches!(stopped, Err(DeviceError::Rekeyed)), "{stopped:?}");
    // What it writes nevertheless is read, and what others sealed anew it does not overwrite.
    running.store(passkey(2, "bob", 2)).unwrap();
    running.delete(&credential(1), 3).unwrap();
    let vault = phone.open("third");
    assert_eq!((usable(&vault), damaged(&vault)), (vec![2], vec![]));
    assert_eq!(phone.files("passkeys").len(), 3);
}

#[test]
fn a_second_change_by_another_program_is_refused_and_not_undone() {
    let phone = Device::first();
    let (mut one, mut two) = (phone.open("first"), phone.open("first"));
    change(&mut one, "second");
    let late = two.rekey(&phrase("third"), Stretching::LEAST, &mut OsRng);
    assert!(matches!(late, Err(VaultError::Superseded(_))), "{late:?}");
    phone.open("second");
}

#[test]
fn of_two_changes_at_once_either_pass_phrase_opens_until_the_next_change() {
    let phone = Device::first();
    let laptop = Device::with_vault_of(&phone, "laptop");
    change(&mut phone.open("first"), "phone's");
    change(&mut laptop.open("first"), "laptop's");
    phone.store(&phone.open("phone's")).unwrap();
    phone.sync_with_conflicts(&laptop, |name| format!("{name} (conflicted copy)"));
    for passphrase in ["phone's", "laptop's"] {
        let mut vault = phone.open(passphrase);
        vault.settle().unwrap();
        assert_eq!(damaged(&vault).len(), 1, "the other is named");
        phone.store(&vault).unwrap();
    }
    change(&mut phone.open("laptop's"), "third");
    assert_eq!(fs::read_dir(phone.vault()).unwrap().count(), 1);
    for passphrase in ["phone's", "laptop's", "first"] {
        assert!(phone.try_open(passphrase).is_err());
    }
    phone.open("third");
}

#[test]
fn of_two_new_keys_at_once_none_is_lost_and_the_next_unites_them() {
    let phone = Device::first();
    phone.open("first").store(passkey(1, "ana", 1)).unwrap();
    let laptop = Device::with_vault_of(&phone, "laptop");
    for (device, passphrase, id) in [(&phone, "phone's", 2), (&laptop, "laptop's", 3)] {
        let mut vault = device.open("first");
        rekey(&mut vault, passphrase);
        device.store(&vault).unwrap();
        vault.store(passkey(id, passphrase, 5)).unwrap();
    }
    laptop.sync_with_conflicts(&phone, |name| {
        format!("{name}.sync-conflict-20261128-101112-ABCDEFG")
    });
    let mut vault = laptop.open("laptop's");
    vault.settle().unwrap();
    assert_eq!(usable(&vault), [1, 3]);
    let other = vault.other_headers();
    let [other] = other.as_slice() else {
        panic!("{other:?}")
    };
    let named = damaged(&vault);
    assert!(
        named.iter().any(|(path, _)| path == other.path()),
        "{named:?}"
    );
    // A change of the pass phrase alone must not remove what leads to the phone's files.
    change(&mut vault, "laptop's second");
    assert!(other.path().exists());
    assert!(matches!(
        vault.take_in(other, &phrase("wrong")),
        Err(VaultError::WrongPassphrase)
    ));
    vault.take_in(other, &phrase("phone's")).unwrap();
    assert_eq!(usable(&vault), [1, 2, 3]);
    rekey(&mut vault, "both's");
    assert!(!other.path().exists());
    // The phone's store is under the key that the phone made.
    fs::remove_dir_all(phone.vault()).unwrap();
    phone.sync_from(&laptop);
    for device in [&laptop, &phone] {
        let vault = device.open("both's");
        assert_eq!((usable(&vault), vault.stale()), (vec![1, 2, 3], 0));
        assert_eq!(damaged(&vault), []);
        device.store(&vault).unwrap();
    }
}

#[test]
fn who_has_the_vault_open_is_told_by_the_pass_phrase_that_counts_now() {
    let phone = Device::first();
    let running = phone.open("first");
    assert!(running.opens_with(&phrase("first")).unwrap());
    change(&mut phone.open("first"), "second");
    assert!(running.opens_with(&phrase("second")).unwrap());
    assert!(!running.opens_with(&phrase("first")).unwrap());
    rekey(&mut phone.open("second"), "third");
    assert!(running.opens_with(&phrase("third")).unwrap());
    assert!(!running.opens_with(&phrase("second")).unwrap());
    // A folder that lost its header is no reason to lock its owner out.
    fs::write(phone.header(), b"damaged").unwrap();
    assert!(running.opens_with(&phrase("first")).unwrap());
}

#[test]
fn of_two_new_keys_at_once_each_opens_the_vault_by_itself() {
    let phone = Device::first();
    let laptop = Device::with_vault_of(&phone, "laptop");
    let keys = [(&phone, "phone's"), (&laptop, "laptop's")].map(|(device, passphrase)| {
        rekey(&mut device.open("first"), passphrase);
        device.open(passphrase).danger_vault_key()
    });
    phone.sync_with_conflicts(&laptop, |name| format!("{name} (conflicted copy)"));
    for key in &keys {
        Vault::open_with_key(&phone.vault(), key).unwrap();
    }
    let wrong = Vault::open_with_key(&phone.vault(), &[7; 32]);
    assert!(matches!(wrong, Err(VaultError::WrongKey)), "{wrong:?}");
}
