//! The power is cut before every single thing that is done to the disk, and each of them is refused
//! once: then the old or the new is there whole, and nothing else is lost.

use std::fs;
use std::path::Path;

use handfast_proto::trust::{DeviceId, DeviceName, KeyTuple};
use rand_core::OsRng;

use super::{OPTIONS, copy, credential, damaged, files, init, machine, new, old, passkey, usable};
use crate::device::{DeviceStore, Pin, PinCheck};
use crate::disk::Step;
use crate::disk::is_unfinished;
use crate::disk::power::{Cut, steps_of, with_cut};
use crate::group;
use crate::passphrase::{Passphrase, Stretching};
use crate::vault::{Backup, BackupOptions, HEADER, Passkey, Vault, VaultDevice, VaultError};
use handfast_proto::cose::Algorithm;
use handfast_proto::ids::{RpId, UserHandle};

/// Does something to copies of a folder, cut off at each of its steps; `check` sees what is left, and
/// whether it was done. Returns how many steps there were.
fn cut_everywhere(
    prepared: &Path,
    act: impl Fn(&Path) -> bool,
    check: impl Fn(&Path, bool),
) -> usize {
    let mut steps = 0;
    for cut in [Cut::Off, Cut::Once] {
        for at in 0.. {
            let place = tempfile::tempdir().unwrap();
            copy(prepared, place.path());
            let (done, reached) = with_cut(at, cut, || act(place.path()));
            let unfinished = files(place.path());
            let unfinished = unfinished.iter().filter(|path| is_unfinished(path)).count();
            assert!(cut == Cut::Off || unfinished <= 1, "step {at}: a mess");
            check(place.path(), done);
            if !reached {
                assert!(done, "{cut:?} after all {at} steps");
                assert_eq!(unfinished, 0);
                steps += at;
                break;
            }
        }
    }
    steps
}

/// A vault with a device and these passkeys, and their folder.
fn prepared(passkeys: impl IntoIterator<Item = Passkey>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut vault = init(&folder.path().join("vault"));
    let name = DeviceName::parse("laptop").unwrap();
    let device = folder.path().join("device");
    DeviceStore::create(&device, &vault, &machine(), name, &mut OsRng).unwrap();
    for passkey in passkeys {
        vault.store(passkey).unwrap();
    }
    folder
}

fn open(folder: &Path, passphrase: &Passphrase) -> Vault {
    Vault::open(&folder.join("vault"), passphrase).unwrap()
}

/// Opens without stretching a pass phrase.
fn open_fast(folder: &Path, key: &[u8; 32]) -> Vault {
    Vault::open_with_key(&folder.join("vault"), key).unwrap()
}

fn device(folder: &Path, vault: &Vault) -> DeviceStore {
    DeviceStore::open(&folder.join("device"), vault, &machine()).unwrap()
}

#[test]
fn a_vault_is_made_whole_or_not_at_all() {
    let nothing = tempfile::tempdir().unwrap();
    let make = |folder: &Path| Vault::init(&folder.join("v/vault"), &old(), OPTIONS, &mut OsRng);
    let steps = cut_everywhere(
        nothing.path(),
        |folder| make(folder).is_ok(),
        |folder, done| {
            let there = Vault::exists(&folder.join("v/vault"));
            assert!(there || !done);
            match there {
                true => drop(Vault::open(&folder.join("v/vault"), &old()).unwrap()),
                false => drop(make(folder).unwrap()),
            }
        },
    );
    assert!(steps > 10, "{steps}");
}

#[test]
fn a_passkey_is_stored_whole_or_not_at_all() {
    let folder = prepared([passkey(1, "ana", 1), passkey(2, "bob", 1)]);
    let key = open(folder.path(), &old()).danger_vault_key();
    let steps = cut_everywhere(
        folder.path(),
        |folder| open_fast(folder, &key).store(passkey(3, "eve", 2)).is_ok(),
        |folder, done| {
            let vault = open_fast(folder, &key);
            let there = usable(&vault);
            assert!(
                there == [1, 2, 3] || (there == [1, 2] && !done),
                "{there:?}"
            );
            assert!(damaged(&vault).is_empty());
        },
    );
    assert!(steps >= 10, "{steps}");
}

#[test]
fn a_passkey_is_replaced_by_another_that_is_there() {
    let folder = prepared([passkey(1, "ana", 1), passkey(2, "bob", 1)]);
    let key = open(folder.path(), &old()).danger_vault_key();
    let steps = cut_everywhere(
        folder.path(),
        |folder| open_fast(folder, &key).store(passkey(3, "ana", 2)).is_ok(),
        |folder, done| {
            let vault = open_fast(folder, &key);
            let there = usable(&vault);
            let between = there == [1, 2] || there == [1, 2, 3];
            assert!(there == [2, 3] || (between && !done), "{there:?}");
            assert!(vault.named(&credential(1)).is_some(), "kept for 30 days");
            assert!(damaged(&vault).is_empty());
        },
    );
    assert!(steps >= 20, "{steps}");
}

/// Whether a file holds these bytes, in the folder, hidden files included.
fn holds(folder: &Path, bytes: &[u8]) -> bool {
    let mut files = files(folder).into_iter();
    files.any(|file| fs::read(file).unwrap() == bytes)
}

#[test]
fn a_pass_phrase_is_changed_or_the_old_one_counts() {
    let folder = prepared([passkey(1, "ana", 1)]);
    // A conflict copy of the old header is to go with it.
    let vault = folder.path().join("vault");
    let copied = "vault.sync-conflict-20261128-101112-ABCDEFG.handfast";
    fs::copy(vault.join(HEADER), vault.join(copied)).unwrap();
    let header = fs::read(vault.join(HEADER)).unwrap();
    let others = || files(&folder.path().join("vault/passkeys"));
    let before: Vec<_> = others()
        .iter()
        .map(|file| fs::read(file).unwrap())
        .collect();
    let key = open(folder.path(), &old()).danger_vault_key();
    let steps = cut_everywhere(
        folder.path(),
        |folder| {
            let mut vault = open_fast(folder, &key);
            vault
                .change_passphrase(&new(), Stretching::LEAST, &mut OsRng)
                .is_ok()
        },
        |folder, done| {
            let changed = fs::read(folder.join("vault").join(HEADER)).unwrap() != header;
            assert!(changed || !done);
            let (right, wrong) = if changed {
                (new(), old())
            } else {
                (old(), new())
            };
            let mut vault = open(folder, &right);
            assert_eq!(usable(&vault), [1]);
            vault.settle().unwrap();
            assert!(damaged(&vault).is_empty(), "{vault:?}");
            assert_eq!(device(folder, &vault).name().as_str(), "laptop");
            let refused = Vault::open(&folder.join("vault"), &wrong);
            assert!(matches!(refused, Err(VaultError::WrongPassphrase)));
            assert_ne!(holds(&folder.join("vault"), &header), changed);
            for file in files(&folder.join("vault/passkeys")) {
                assert!(before.contains(&fs::read(file).unwrap()), "rewritten");
            }
        },
    );
    assert!(steps >= 12, "{steps}");
}

#[test]
fn a_rekey_that_is_cut_off_anywhere_goes_on_at_the_next_opening() {
    let folder = prepared([passkey(1, "ana", 1), passkey(2, "bob", 1)]);
    let mut vault = open(folder.path(), &old());
    let mut store = device(folder.path(), &vault);
    group::key_for(
        &mut vault,
        &mut store,
        &tuple(1),
        Algorithm::Es256,
        1,
        &mut OsRng,
    )
    .unwrap();
    let key = vault.danger_vault_key();
    let header = fs::read(folder.path().join("vault").join(HEADER)).unwrap();
    let id = store.id();
    drop((vault, store));
    let steps = cut_everywhere(
        folder.path(),
        |folder| {
            let mut vault = open_fast(folder, &key);
            let rekeyed = vault.rekey(&new(), Stretching::LEAST, &mut OsRng);
            assert!(
                !matches!(rekeyed, Ok(count) if count != 4),
                "two passkeys, two of the group"
            );
            rekeyed.is_ok()
        },
        |folder, done| {
            let rekeyed = fs::read(folder.join("vault").join(HEADER)).unwrap() != header;
            assert!(rekeyed || !done);
            let mut vault = match rekeyed {
                true => open(folder, &new()),
                false => open_fast(folder, &key),
            };
            assert_eq!(usable(&vault), [1, 2], "before it goes on");
            assert_eq!(vault.danger_vault_key() != key, rekeyed);
            assert!(!done || vault.stale() == 0);
            vault.settle().unwrap();
            vault.reseal().unwrap();
            let key = vault.danger_vault_key();
            drop(vault);
            let mut vault = open_fast(folder, &key);
            assert_eq!((usable(&vault), vault.stale()), (vec![1, 2], 0));
            assert!(damaged(&vault).is_empty());
            assert_ne!(holds(&folder.join("vault"), &header), rekeyed);
            let mut store = device(folder, &vault);
            assert_eq!(store.id(), id);
            group::refresh(&mut vault, &mut store, &mut OsRng).unwrap();
            assert_eq!(group::status(&store).keys, 1);
            assert_eq!(group::status(&store).members.len(), 1);
        },
    );
    assert!(steps >= 40, "{steps}");
}

#[test]
fn one_file_that_cannot_be_sealed_anew_leaves_no_other_under_the_old_key() {
    let folder = prepared([]);
    let mut behind = open(folder.path(), &old());
    let mut vault = open(folder.path(), &old());
    vault.rekey(&new(), Stretching::LEAST, &mut OsRng).unwrap();
    // A device that has not heard of it goes on for a while.
    for (id, user) in [(1, "ana"), (2, "bob"), (3, "eve")] {
        behind.store(passkey(id, user, 1)).unwrap();
    }
    vault.refresh().unwrap();
    assert_eq!(vault.stale(), 3);
    let (resealed, reached) = with_cut(0, Cut::Once, || vault.reseal());
    assert!(reached && resealed.is_err(), "{resealed:?}");
    assert_eq!(vault.stale(), 1);
    assert_eq!(vault.reseal().unwrap(), 1);
    assert_eq!(usable(&open(folder.path(), &new())), [1, 2, 3]);
}

#[test]
fn settling_headers_that_is_cut_off_leaves_the_one_that_counts() {
    let folder = prepared([passkey(1, "ana", 1)]);
    let vault = folder.path().join("vault");
    let older = fs::read(vault.join(HEADER)).unwrap();
    let mut changed = open(folder.path(), &old());
    changed
        .change_passphrase(&new(), Stretching::LEAST, &mut OsRng)
        .unwrap();
    let key = changed.danger_vault_key();
    let newest = fs::read(vault.join(HEADER)).unwrap();
    // The file sync gave the older one the usual name, and made two copies of each.
    fs::write(vault.join(HEADER), &older).unwrap();
    for (name, bytes) in [("1", &older), ("2", &newest), ("3", &newest)] {
        fs::write(vault.join(name), bytes).unwrap();
    }
    let steps = cut_everywhere(
        folder.path(),
        |folder| open_fast(folder, &key).settle().is_ok(),
        |folder, done| {
            assert!(holds(&folder.join("vault"), &newest));
            let mut vault = open_fast(folder, &key);
            vault.settle().unwrap();
            assert!(usable(&vault) == [1] && damaged(&vault).is_empty());
            assert!(!holds(&folder.join("vault"), &older) || !done);
            let headers = fs::read_dir(folder.join("vault")).unwrap();
            assert_eq!(headers.count(), 2, "the header and the passkeys");
        },
    );
    assert!(steps >= 8, "{steps}");
}

#[test]
fn a_backup_is_written_whole_or_not_at_all_and_restored_in_as_many_goes_as_it_takes() {
    let folder = prepared([passkey(1, "ana", 1), passkey(2, "bob", 1)]);
    let key = open(folder.path(), &old()).danger_vault_key();
    let options = |replace| BackupOptions {
        passphrase: None,
        replace,
        now: 9,
    };
    let file = folder.path().join("backup");
    fs::write(&file, b"an older one").unwrap();
    let written = |folder: &Path| {
        let bytes = fs::read(folder.join("backup")).unwrap();
        assert!(bytes == b"an older one" || Backup::parse(&bytes).is_ok());
        bytes != b"an older one"
    };
    cut_everywhere(
        folder.path(),
        |folder| {
            let vault = open_fast(folder, &key);
            let kept = vault.back_up(&folder.join("backup"), options(false), &mut OsRng);
            assert!(matches!(
                kept,
                Err(VaultError::FileExists(_) | VaultError::Io { .. })
            ));
            assert!(!written(folder));
            let made = vault.back_up(&folder.join("backup"), options(true), &mut OsRng);
            made.is_ok()
        },
        |folder, done| assert!(written(folder) || !done),
    );
    let vault = open_fast(folder.path(), &key);
    vault.back_up(&file, options(true), &mut OsRng).unwrap();
    let backup = Backup::read(&file).unwrap().open(&old()).unwrap();
    let restore = |folder: &Path| match Vault::exists(folder) {
        false => Vault::from_backup(folder, &backup).map(|(vault, _)| vault),
        true => {
            let mut vault = Vault::open_with_key(folder, &key).unwrap();
            vault.take_back(&backup).map(|_| vault)
        }
    };
    let nothing = tempfile::tempdir().unwrap();
    let steps = cut_everywhere(
        nothing.path(),
        |folder| restore(&folder.join("vault")).is_ok(),
        |folder, _| {
            let vault = restore(&folder.join("vault")).unwrap();
            assert!(usable(&vault) == [1, 2] && damaged(&vault).is_empty());
            assert_eq!(
                files(&folder.join("vault/passkeys"))
                    .iter()
                    .filter(|path| !is_unfinished(path))
                    .count(),
                2
            );
        },
    );
    assert!(steps >= 30, "{steps}");
}

#[test]
fn a_device_is_recorded_whole_or_not_at_all() {
    let folder = prepared([passkey(1, "ana", 1)]);
    let key = open(folder.path(), &old()).danger_vault_key();
    let steps = cut_everywhere(
        folder.path(),
        |folder| {
            let device = VaultDevice {
                id: DeviceId([7; 16]),
                name: DeviceName::parse("phone").unwrap(),
                since: 5,
            };
            open_fast(folder, &key).record_device(device).is_ok()
        },
        |folder, done| {
            let vault = open_fast(folder, &key);
            assert!(vault.devices().count() == 1 || !done);
            assert!(damaged(&vault).is_empty() && usable(&vault) == [1]);
        },
    );
    assert!(steps >= 12, "{steps}");
}

fn tuple(id: u8) -> KeyTuple {
    KeyTuple {
        rp_id_hash: RpId::parse("example.org").unwrap().hash(),
        credential_id: credential(id),
        user_handle: UserHandle::from_bytes(b"ana").unwrap(),
    }
}

#[test]
fn a_trust_group_and_its_key_are_durable_before_anybody_sees_them() {
    let folder = prepared([passkey(1, "ana", 1)]);
    let key = open(folder.path(), &old()).danger_vault_key();
    let presented = |folder: &Path| {
        let mut vault = open_fast(folder, &key);
        let mut store = device(folder, &vault);
        let made = group::key_for(
            &mut vault,
            &mut store,
            &tuple(1),
            Algorithm::Es256,
            1,
            &mut OsRng,
        );
        made.and_then(|id| group::presented(&mut vault, &mut store, id, 2, &mut OsRng).map(|()| id))
    };
    let steps = cut_everywhere(
        folder.path(),
        |folder| presented(folder).is_ok(),
        |folder, done| {
            let mut vault = open_fast(folder, &key);
            let mut store = device(folder, &vault);
            let kept = group::status(&store).keys;
            assert!(kept == 1 || !done, "{kept}");
            // What the cut kept from the folder is published now, and the same key is presented.
            let before = store.group.iter().flat_map(|group| group.keys.keys());
            let before: Vec<_> = before.copied().collect();
            group::refresh(&mut vault, &mut store, &mut OsRng).unwrap();
            let id = presented(folder).unwrap();
            assert!(before.is_empty() || before == [id]);
            let vault = open_fast(folder, &key);
            assert_eq!(vault.group_files().count(), 2, "an entry and a key");
            assert!(damaged(&vault).is_empty());
        },
    );
    assert!(steps >= 40, "{steps}");
}

#[test]
fn a_device_store_is_saved_whole_or_stays_as_it_was() {
    let folder = prepared([]);
    let key = open(folder.path(), &old()).danger_vault_key();
    {
        let vault = open_fast(folder.path(), &key);
        let mut store = device(folder.path(), &vault);
        let pin = Pin::parse("0000").unwrap();
        store.set_pin(&pin, Stretching::LEAST, &mut OsRng).unwrap();
    }
    let steps = cut_everywhere(
        folder.path(),
        |folder| {
            let mut store = device(folder, &open_fast(folder, &key));
            let pin = Pin::parse("1111").unwrap();
            store.set_pin(&pin, Stretching::LEAST, &mut OsRng).is_ok()
        },
        |folder, done| {
            let mut store = device(folder, &open_fast(folder, &key));
            let check = store.check_pin("1111", &mut OsRng).unwrap();
            assert!(check == PinCheck::Right || (check == PinCheck::Wrong(7) && !done));
        },
    );
    assert!(steps >= 10, "{steps}");
}

#[test]
fn a_device_store_follows_a_new_key_or_stays_under_the_earlier_one() {
    let folder = prepared([]);
    let mut vault = open(folder.path(), &old());
    let id = device(folder.path(), &vault).id();
    vault.rekey(&new(), Stretching::LEAST, &mut OsRng).unwrap();
    let key = vault.danger_vault_key();
    let before = fs::read(folder.path().join("device/device.handfast")).unwrap();
    let steps = cut_everywhere(
        folder.path(),
        |folder| {
            // That it could not follow now is no reason not to work.
            assert_eq!(device(folder, &open_fast(folder, &key)).id(), id);
            fs::read(folder.join("device/device.handfast")).unwrap() != before
        },
        |folder, _| {
            let store = device(folder, &open_fast(folder, &key));
            assert_eq!(store.id(), id);
            let after = fs::read(folder.join("device/device.handfast")).unwrap();
            assert_ne!(after, before);
        },
    );
    assert!(steps >= 10, "{steps}");
}

#[test]
fn a_new_passkey_costs_one_durable_file_and_its_folder() {
    let folder = prepared([passkey(1, "ana", 1)]);
    let mut vault = open(folder.path(), &old());
    let (stored, steps) = steps_of(|| vault.store(passkey(2, "bob", 2)));
    stored.unwrap();
    let whole = [
        Step::Create,
        Step::Write,
        Step::SyncFile,
        Step::Rename,
        Step::SyncFolder,
    ];
    assert_eq!(
        steps, whole,
        "in this order: nothing is seen before it is durable"
    );
}
