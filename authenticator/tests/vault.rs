//! The vault and the device store: what they keep, and what they survive.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::fs;
use std::path::{Path, PathBuf};

use handfast_authenticator::device::{
    DeviceError, DeviceStore, MachineId, Pin, PinCheck, PinError,
};
use handfast_authenticator::passphrase::{Passphrase, StretchError, Stretching};
use handfast_authenticator::vault::{InitOptions, Passkey, Vault, VaultError};
use handfast_proto::cose::{Algorithm, SigningKey};
use handfast_proto::extension::prf::Seeds;
use handfast_proto::ids::{CredentialId, RpId, UserHandle};
use handfast_proto::trust::DeviceName;
use rand_core::OsRng;

const OPTIONS: InitOptions = InitOptions {
    for_tests: true,
    stretching: Stretching::LEAST,
};

fn passphrase() -> Passphrase {
    Passphrase::new("correct horse")
}

fn init(folder: &Path) -> Vault {
    Vault::init(folder, &passphrase(), OPTIONS, &mut OsRng).unwrap()
}

fn open(folder: &Path) -> Vault {
    Vault::open(folder, &passphrase()).unwrap()
}

fn passkey(id: u8, user: &[u8], now: u64) -> Passkey {
    Passkey::new(
        CredentialId::from_bytes(&[id; 32]).unwrap(),
        RpId::parse("example.org").unwrap(),
        UserHandle::from_bytes(user).unwrap(),
        &SigningKey::generate(Algorithm::Es256, &mut OsRng),
        now,
    )
    .unwrap()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder.join("passkeys"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect()
}

fn usable(vault: &Vault) -> Vec<u8> {
    let mut ids: Vec<u8> = vault
        .passkeys()
        .map(|passkey| passkey.credential_id.as_bytes()[0])
        .collect();
    ids.sort_unstable();
    ids
}

#[test]
fn a_passkey_survives_closing_and_a_wrong_pass_phrase_opens_nothing() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path()).store(passkey(1, b"ana", 1)).unwrap();
    assert_eq!(usable(&open(folder.path())), [1]);
    let wrong = Vault::open(folder.path(), &Passphrase::new("wrong"));
    assert!(matches!(wrong, Err(VaultError::WrongPassphrase)));
    let again = Vault::init(folder.path(), &passphrase(), OPTIONS, &mut OsRng);
    assert!(matches!(again, Err(VaultError::Exists(_))));
}

#[test]
fn conflict_copies_of_any_name_are_merged_and_the_end_counts() {
    let folder = tempfile::tempdir().unwrap();
    let mut vault = init(folder.path());
    vault.store(passkey(1, b"ana", 1)).unwrap();
    vault.store(passkey(2, b"bob", 1)).unwrap();
    let file = files(folder.path()).remove(0);
    let id = {
        let alone = tempfile::tempdir().unwrap();
        fs::create_dir(alone.path().join("passkeys")).unwrap();
        fs::copy(
            folder.path().join("vault.handfast"),
            alone.path().join("vault.handfast"),
        )
        .unwrap();
        fs::copy(&file, alone.path().join("passkeys/only")).unwrap();
        usable(&open(alone.path()))[0]
    };
    fs::copy(
        &file,
        file.with_file_name("photo (Ana's conflicted copy).sync-conflict"),
    )
    .unwrap();
    vault
        .delete(&CredentialId::from_bytes(&[id; 32]).unwrap(), 9)
        .unwrap();
    // The old copy does not bring it back.
    assert_eq!(usable(&open(folder.path())), [3 - id]);
}

#[test]
fn a_new_passkey_of_an_account_takes_the_old_ones_place() {
    let folder = tempfile::tempdir().unwrap();
    let mut vault = init(folder.path());
    vault.store(passkey(1, b"ana", 1)).unwrap();
    vault.store(passkey(2, b"bob", 2)).unwrap();
    vault.store(passkey(3, b"ana", 3)).unwrap();
    assert_eq!(usable(&vault), [2, 3]);
    assert_eq!(usable(&open(folder.path())), [2, 3]);
    assert_eq!(files(folder.path()).len(), 3, "the old one is kept, hidden");
    let newest = vault.passkeys_of(&RpId::parse("example.org").unwrap());
    assert_eq!(newest[0].credential_id.as_bytes()[0], 3, "the newest first");
}

#[test]
fn every_altered_byte_and_every_cut_is_noticed_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut vault = init(folder.path());
    vault.store(passkey(1, b"ana", 1)).unwrap();
    vault.store(passkey(2, b"bob", 1)).unwrap();
    let file = files(folder.path()).remove(0);
    let good = fs::read(&file).unwrap();
    let named = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        let vault = open(folder.path());
        let damaged: Vec<_> = vault.damaged().map(|(path, _)| path.to_owned()).collect();
        (usable(&vault).len(), damaged)
    };
    for byte in (0..good.len()).step_by(5) {
        let mut bad = good.clone();
        bad[byte] ^= 1;
        assert_eq!(named(&bad), (1, vec![file.clone()]), "byte {byte}");
    }
    for length in [0, 1, good.len() / 2, good.len() - 1] {
        assert_eq!(
            named(&good[..length]),
            (1, vec![file.clone()]),
            "cut to {length}"
        );
    }
    assert_eq!(named(&good), (2, vec![]));
}

#[test]
fn a_file_of_one_vault_is_of_no_use_in_another() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    init(one.path()).store(passkey(1, b"ana", 1)).unwrap();
    init(two.path()).store(passkey(2, b"bob", 1)).unwrap();
    fs::copy(
        files(one.path()).remove(0),
        two.path().join("passkeys/copied"),
    )
    .unwrap();
    let vault = open(two.path());
    assert_eq!(usable(&vault), [2]);
    assert_eq!(vault.damaged().count(), 1);
}

#[test]
fn weak_and_huge_stretching_is_refused_before_use() {
    for (memory, passes, lanes) in [
        (1024, 3, 1),
        (19 * 1024 - 1, 1, 1),
        (2 * 1024 * 1024, 1, 1),
        (65536, 0, 1),
        (65536, 1, 99),
    ] {
        let refused = Stretching::new(memory, passes, lanes);
        assert_eq!(
            refused,
            Err(StretchError::OutOfBounds),
            "{memory} {passes} {lanes}"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    init(folder.path());
    let header = folder.path().join("vault.handfast");
    let mut bytes = fs::read(&header).unwrap();
    // 19 MiB in KiB is 0x4c00: one bit makes it 3 MiB.
    let at = bytes
        .windows(3)
        .position(|window| window == [0x19, 0x4c, 0x00])
        .unwrap();
    bytes[at + 1] = 0x0c;
    fs::write(&header, bytes).unwrap();
    let opened = Vault::open(folder.path(), &passphrase());
    assert!(matches!(
        opened,
        Err(VaultError::Stretch(StretchError::OutOfBounds))
    ));
}

fn machine(name: &str) -> MachineId {
    MachineId::from_bytes(name.as_bytes())
}

#[test]
fn a_device_store_opens_only_where_it_was_made() {
    let folder = tempfile::tempdir().unwrap();
    let vault = init(&folder.path().join("vault"));
    let device = folder.path().join("device");
    let name = DeviceName::parse("laptop").unwrap();
    let made = DeviceStore::create(&device, &vault, &machine("here"), name, &mut OsRng).unwrap();
    let open = |machine: &MachineId, vault: &Vault| DeviceStore::open(&device, vault, machine);
    assert_eq!(open(&machine("here"), &vault).unwrap().id(), made.id());
    let there = open(&machine("there"), &vault);
    assert!(matches!(there, Err(DeviceError::OtherMachine(_))));
    let other_vault = init(&folder.path().join("other"));
    let other = open(&machine("here"), &other_vault);
    assert!(
        matches!(other, Err(DeviceError::OtherVault(_))),
        "{other:?}"
    );
    let file = device.join("device.handfast");
    let good = fs::read(&file).unwrap();
    for byte in 0..good.len() {
        let mut bad = good.clone();
        bad[byte] ^= 1;
        fs::write(&file, &bad).unwrap();
        assert!(open(&machine("here"), &vault).is_err(), "byte {byte}");
    }
}

#[test]
fn pin_tries_are_counted_before_they_are_made_and_kept_over_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let vault = init(&folder.path().join("vault"));
    let device = folder.path().join("device");
    let (here, name) = (machine("here"), DeviceName::parse("laptop").unwrap());
    let mut store = DeviceStore::create(&device, &vault, &here, name, &mut OsRng).unwrap();
    assert_eq!(
        store.check_pin("1234", &mut OsRng).unwrap(),
        PinCheck::NotSet
    );
    assert_eq!(Pin::parse("123").unwrap_err(), PinError::TooShort);
    assert_eq!(Pin::parse(&"1".repeat(64)).unwrap_err(), PinError::TooLong);
    store
        .set_pin(&Pin::parse("1234").unwrap(), Stretching::LEAST, &mut OsRng)
        .unwrap();
    for left in (5..8).rev() {
        assert_eq!(
            store.check_pin("0000", &mut OsRng).unwrap(),
            PinCheck::Wrong(left)
        );
    }
    drop(store);
    let mut store = DeviceStore::open(&device, &vault, &here).unwrap();
    assert_eq!(store.pin_tries(), Some(5));
    assert_eq!(
        store.check_pin("1234", &mut OsRng).unwrap(),
        PinCheck::Right
    );
    assert_eq!(store.pin_tries(), Some(8));
    for _ in 0..7 {
        store.check_pin("0000", &mut OsRng).unwrap();
    }
    assert_eq!(
        store.check_pin("0000", &mut OsRng).unwrap(),
        PinCheck::Blocked
    );
    assert_eq!(
        store.check_pin("1234", &mut OsRng).unwrap(),
        PinCheck::Blocked,
        "even if right"
    );
}

#[test]
fn a_header_is_known_by_its_content_and_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let id = init(folder.path()).id();
    let renamed = folder
        .path()
        .join("vault.sync-conflict-20261125-080000-PHONE.handfast");
    fs::rename(folder.path().join("vault.handfast"), &renamed).unwrap();
    assert!(Vault::exists(folder.path()));
    assert_eq!(open(folder.path()).id(), id);
    let again = Vault::init(folder.path(), &passphrase(), OPTIONS, &mut OsRng);
    assert!(matches!(again, Err(VaultError::Exists(_))));
    assert_eq!(open(folder.path()).id(), id);
}

#[test]
fn a_replaced_passkey_is_kept_for_thirty_days_and_then_gone_everywhere() {
    const DAY: u64 = 24 * 60 * 60;
    let folder = tempfile::tempdir().unwrap();
    let mut vault = init(folder.path());
    vault.store(passkey(1, b"ana", 1)).unwrap();
    vault.store(passkey(2, b"ana", 1000)).unwrap();
    let old = CredentialId::from_bytes(&[1; 32]).unwrap();
    assert_eq!(usable(&vault), [2]);
    assert!(vault.passkey(&old).is_none());
    assert!(vault.named(&old).is_some(), "a site may know only this one");
    assert!(vault.bury(1000 + 29 * DAY).unwrap().is_empty());
    assert_eq!(
        vault.bury(1000 + 31 * DAY).unwrap(),
        std::slice::from_ref(&old)
    );
    assert!(vault.named(&old).is_none());
    let vault = open(folder.path());
    assert!(vault.named(&old).is_none());
    assert_eq!(usable(&vault), [2]);
}

#[test]
fn only_their_owner_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let mut vault = init(&folder.path().join("deep/vault"));
    vault.store(passkey(1, b"ana", 1)).unwrap();
    let name = DeviceName::parse("laptop").unwrap();
    let device = folder.path().join("device");
    DeviceStore::create(&device, &vault, &machine("here"), name, &mut OsRng).unwrap();
    let mut paths = vec![folder.path().join("deep"), folder.path().join("device")];
    while let Some(path) = paths.pop() {
        let metadata = fs::metadata(&path).unwrap();
        let mode = metadata.permissions().mode() & 0o777;
        assert_eq!(
            mode,
            if metadata.is_dir() { 0o700 } else { 0o600 },
            "{path:?}"
        );
        if metadata.is_dir() {
            paths.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        }
    }
}

#[test]
fn the_seeds_of_a_passkey_are_kept_and_one_that_has_none_gets_none() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut vault = init(folder);
    let seeds = Seeds::generate(&mut OsRng);
    let bytes = seeds.as_bytes().to_vec();
    let mut with = passkey(1, b"ana", 10);
    with.prf = Some(seeds);
    vault.store(with).unwrap();
    vault.store(passkey(2, b"ben", 10)).unwrap();
    let vault = open(folder);
    let kept = |id: u8| {
        let id = CredentialId::from_bytes(&[id; 32]).unwrap();
        let seeds = vault.passkey(&id).unwrap().prf.as_ref();
        seeds.map(|seeds| seeds.as_bytes().to_vec())
    };
    assert_eq!(kept(1), Some(bytes.clone()));
    assert_eq!(kept(2), None);
    for file in files(folder) {
        let content = fs::read(file).unwrap();
        assert!(!content.windows(64).any(|part| part == bytes), "in clear");
    }
}
