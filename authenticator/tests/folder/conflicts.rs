//! Conflict copies, as file syncs make them, and several programs at once.

use handfast_authenticator::group;
use handfast_authenticator::vault::VaultDevice;
use handfast_proto::trust::{DeviceId, KeyTuple};

use super::*;

/// How file syncs name the copy that lost.
const NAMES: [fn(&str) -> String; 4] = [
    |name| format!("{name}.sync-conflict-20261128-101112-ABCDEFG"),
    |name| match name.rsplit_once('.') {
        Some((stem, kind)) => format!("{stem}.sync-conflict-20261128-101112-ABCDEFG.{kind}"),
        None => format!("{name}.sync-conflict-20261128-101112-ABCDEFG"),
    },
    |name| format!("{name} (conflicted copy 2026-11-28 101112)"),
    |name| format!("{name} (Ana's conflicted copy 2026-11-28)"),
];

fn tuple(id: u8) -> KeyTuple {
    KeyTuple {
        rp_id_hash: RpId::parse("example.org").unwrap().hash(),
        credential_id: credential(id),
        user_handle: UserHandle::from_bytes(b"ana").unwrap(),
    }
}

#[test]
fn what_two_devices_did_at_once_is_all_there_whatever_the_copies_are_called() {
    let origin = Device::first();
    let mut vault = origin.open("first");
    for (id, user) in [(1, "ana"), (2, "bob"), (3, "eve")] {
        vault.store(passkey(id, user, 1)).unwrap();
    }
    let mut store = origin.store(&vault).unwrap();
    let key = |vault: &mut Vault, store: &mut DeviceStore, id| {
        group::key_for(vault, store, &tuple(id), Algorithm::Es256, 1, &mut OsRng).unwrap()
    };
    let shared = key(&mut vault, &mut store, 1);
    for named in NAMES {
        let (phone, laptop) = (
            Device::without_vault("phone"),
            Device::without_vault("laptop"),
        );
        phone.sync_from(&origin);
        laptop.sync_from(&origin);
        let (mut one, mut two) = (phone.open("first"), laptop.open("first"));
        one.store(passkey(11, "new", 5)).unwrap();
        two.store(passkey(12, "other", 5)).unwrap();
        // One and the same passkey is replaced here and deleted there: both ends count.
        one.store(passkey(13, "ana", 6)).unwrap();
        two.delete(&credential(1), 7).unwrap();
        two.delete(&credential(2), 7).unwrap();
        let device = |id, name| VaultDevice {
            id: DeviceId([id; 16]),
            name: DeviceName::parse(name).unwrap(),
            since: 5,
        };
        one.record_device(device(1, "one")).unwrap();
        two.record_device(device(2, "two")).unwrap();
        one.publish(b"of one").unwrap();
        two.publish(b"of two").unwrap();
        phone.sync_with_conflicts(&laptop, named);
        let copies = phone.files("passkeys").len();
        // Three, three new ones, and other versions of the two that the laptop deleted.
        assert_eq!(copies, 8, "{:?}", phone.files("passkeys"));
        let vault = phone.open("first");
        assert_eq!(usable(&vault), [3, 11, 12, 13]);
        assert!(
            vault.named(&credential(1)).is_none(),
            "deleted, not only replaced"
        );
        assert_eq!(vault.devices().count(), 2);
        assert!(vault.group_files().any(|file| file == b"of one"));
        assert!(vault.group_files().any(|file| file == b"of two"));
        assert_eq!(damaged(&vault), []);
    }
    // The group's files under other names are the same files.
    let group = origin.files("group");
    for (file, named) in group.iter().zip(NAMES) {
        let name = named(file.file_name().unwrap().to_str().unwrap());
        fs::rename(file, file.with_file_name(name)).unwrap();
    }
    let mut vault = origin.open("first");
    let mut store = origin.store(&vault).unwrap();
    group::refresh(&mut vault, &mut store, &mut OsRng).unwrap();
    assert_eq!(key(&mut vault, &mut store, 1), shared);
    assert_eq!(origin.files("group").len(), group.len());
}

#[test]
fn the_newest_names_count_in_whatever_order_copies_are_read() {
    for newest_first in [true, false] {
        let phone = Device::first();
        let mut vault = phone.open("first");
        let original = passkey(1, "ana", 1);
        let key = original.key().unwrap();
        let named = |name: &str, changed| {
            let user = UserHandle::from_bytes(b"ana").unwrap();
            let site = RpId::parse("example.org").unwrap();
            let mut passkey = Passkey::new(credential(1), site, user, &key, 1).unwrap();
            passkey.user_name = Some(name.to_owned());
            passkey.changed_at = changed;
            passkey
        };
        let versions = match newest_first {
            true => [("new", 9), ("old", 2)],
            false => [("old", 2), ("new", 9)],
        };
        for (at, (name, changed)) in versions.into_iter().enumerate() {
            let alone = Device::without_vault("laptop");
            fs::create_dir_all(alone.vault()).unwrap();
            fs::copy(phone.header(), alone.header()).unwrap();
            alone.open("first").store(named(name, changed)).unwrap();
            let file = alone.files("passkeys").remove(0);
            fs::create_dir_all(phone.vault().join("passkeys")).unwrap();
            fs::copy(file, phone.vault().join(format!("passkeys/{at}"))).unwrap();
        }
        vault.refresh().unwrap();
        let passkey = vault.passkey(&credential(1)).unwrap();
        assert_eq!(passkey.user_name.as_deref(), Some("new"));
        assert_eq!(passkey.key().unwrap().public_key(), key.public_key());
    }
}

#[test]
fn two_programs_that_change_one_passkey_lose_neither_change() {
    let phone = Device::first();
    phone.open("first").store(passkey(1, "ana", 1)).unwrap();
    let (mut one, mut two) = (phone.open("first"), phone.open("first"));
    one.delete(&credential(1), 5).unwrap();
    // The other does not know of it, and marks the same passkey as replaced.
    two.store(passkey(2, "ana", 6)).unwrap();
    let vault = phone.open("first");
    assert!(vault.named(&credential(1)).is_none(), "it stays deleted");
    assert_eq!(usable(&vault), [2]);
}

#[test]
fn many_programs_at_once_lose_nothing() {
    let phone = Device::first();
    let key = phone.open("first").danger_vault_key();
    std::thread::scope(|scope| {
        for program in 0..4_u8 {
            let folder = phone.vault();
            scope.spawn(move || {
                let mut vault = Vault::open_with_key(&folder, &key).unwrap();
                for at in 0..8 {
                    let id = program * 8 + at + 1;
                    vault.store(passkey(id, &format!("user {id}"), 1)).unwrap();
                    vault.refresh().unwrap();
                }
                vault.delete(&credential(program * 8 + 1), 5).unwrap();
            });
        }
    });
    let vault = phone.open("first");
    let expected: Vec<u8> = (1..=32).filter(|id| id % 8 != 1).collect();
    assert_eq!((usable(&vault), damaged(&vault)), (expected, vec![]));
}

#[test]
fn a_file_that_is_replaced_while_we_look_is_seen_whatever_its_size_and_time() {
    let phone = Device::first();
    let mut vault = phone.open("first");
    vault.store(passkey(1, "ana", 1)).unwrap();
    vault.refresh().unwrap();
    let file = phone.files("passkeys").remove(0);
    let modified = fs::metadata(&file).unwrap().modified().unwrap();
    let mut other = phone.open("first");
    other.delete(&credential(1), 5).unwrap();
    other.store(passkey(2, "ben", 1)).unwrap();
    // A file sync brings another file of the same size, and says that it is of the same time.
    let second = phone.files("passkeys");
    let second = second.iter().find(|path| **path != file).unwrap();
    let beside = file.with_file_name(".syncthing.tmp");
    fs::copy(second, &beside).unwrap();
    fs::File::options()
        .write(true)
        .open(&beside)
        .unwrap()
        .set_modified(modified)
        .unwrap();
    fs::rename(second, phone.folder.path().join("elsewhere")).unwrap();
    fs::rename(&beside, &file).unwrap();
    vault.refresh().unwrap();
    assert!(usable(&vault).contains(&2));
}

#[test]
fn a_clock_that_is_set_back_loses_nothing() {
    let phone = Device::first();
    let mut vault = phone.open("first");
    vault.store(passkey(1, "ana", 2_000_000_000)).unwrap();
    // A year ago, by the clock.
    vault.store(passkey(2, "ana", 1_968_000_000)).unwrap();
    vault.store(passkey(3, "bob", 1_968_000_001)).unwrap();
    assert!(vault.bury(1_968_000_002).unwrap().is_empty());
    let vault = phone.open("first");
    assert_eq!(usable(&vault), [2, 3]);
    assert!(vault.named(&credential(1)).is_some());
    // Files of the future are read as well, and read again when they change.
    let mut vault = phone.open("first");
    let file = phone.files("passkeys").remove(0);
    let future = std::time::SystemTime::now() + std::time::Duration::from_secs(1_000_000);
    for path in [&file, &phone.vault().join("passkeys")] {
        let file = fs::File::open(path).unwrap();
        file.set_modified(future).unwrap();
    }
    vault.refresh().unwrap();
    phone.open("first").store(passkey(4, "eve", 1)).unwrap();
    vault.refresh().unwrap();
    assert_eq!(usable(&vault), [2, 3, 4]);
}
