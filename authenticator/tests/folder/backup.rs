//! Backups: into an empty place, into the same vault, and never over anything.

use handfast_authenticator::vault::{Backup, BackupOptions, Restored};

use super::*;

fn plain(replace: bool) -> BackupOptions<'static> {
    BackupOptions {
        passphrase: None,
        replace,
        now: 100,
    }
}

fn restore(device: &Device, file: &Path, passphrase: &str) -> Result<Restored, VaultError> {
    let backup = Backup::read(file)?.open(&phrase(passphrase))?;
    let restored = Vault::from_backup(&device.vault(), &backup);
    restored.map(|(_, restored)| restored)
}

#[test]
fn a_backup_makes_the_same_vault_anew_without_what_is_a_devices_own() {
    let phone = Device::first();
    let mut vault = phone.open("first");
    for (id, user) in [(1, "ana"), (2, "bob"), (3, "eve")] {
        vault.store(passkey(id, user, 1)).unwrap();
    }
    vault.delete(&credential(3), 5).unwrap();
    vault.publish(b"of the group").unwrap();
    let file = phone.folder.path().join("backup");
    assert_eq!(vault.back_up(&file, plain(false), &mut OsRng).unwrap(), 2);
    let written = fs::read(&file).unwrap();
    let again = vault.back_up(&file, plain(false), &mut OsRng);
    assert!(matches!(again, Err(VaultError::FileExists(_))), "{again:?}");
    assert_eq!(fs::read(&file).unwrap(), written, "it was not touched");
    vault.back_up(&file, plain(true), &mut OsRng).unwrap();
    assert_ne!(
        fs::read(&file).unwrap(),
        written,
        "never the same bytes twice"
    );

    let laptop = Device::without_vault("laptop");
    assert!(matches!(
        restore(&laptop, &file, "wrong"),
        Err(VaultError::WrongPassphrase)
    ));
    assert!(!Vault::exists(&laptop.vault()));
    let restored = restore(&laptop, &file, "first").unwrap();
    assert_eq!(
        (restored.new, restored.known, restored.made_at),
        (2, 0, 100)
    );
    assert!(matches!(
        restore(&laptop, &file, "first"),
        Err(VaultError::Exists(_))
    ));
    let copy = laptop.open("first");
    assert_eq!((usable(&copy), copy.id()), (vec![1, 2], vault.id()));
    assert!(copy.named(&credential(3)).is_none(), "deleted for good");
    assert_eq!(copy.group_files().count(), 0);
    // It is the same vault: files of both go together.
    phone.sync_from(&laptop);
    let vault = phone.open("first");
    assert_eq!((usable(&vault), damaged(&vault)), (vec![1, 2], vec![]));
}

#[test]
fn restoring_into_the_same_vault_brings_back_what_is_gone_and_revives_nothing() {
    let phone = Device::first();
    let mut vault = phone.open("first");
    for (id, user) in [(1, "ana"), (2, "bob"), (3, "eve")] {
        vault.store(passkey(id, user, 1)).unwrap();
    }
    let file = phone.folder.path().join("backup");
    let own = phrase("backup's");
    let options = BackupOptions {
        passphrase: Some((&own, Stretching::LEAST)),
        ..plain(false)
    };
    vault.back_up(&file, options, &mut OsRng).unwrap();
    // Later one is deleted, the file of another is lost, and the vault gets a new key.
    vault.delete(&credential(1), 5).unwrap();
    rekey(&mut vault, "second");
    let lost = phone.files("passkeys").into_iter().find(|file| {
        let alone = Device::without_vault("alone");
        fs::create_dir_all(alone.vault().join("passkeys")).unwrap();
        fs::copy(phone.header(), alone.header()).unwrap();
        fs::copy(file, alone.vault().join("passkeys/it")).unwrap();
        usable(&alone.open("second")) == [2]
    });
    fs::remove_file(lost.unwrap()).unwrap();
    let mut vault = phone.open("second");
    assert_eq!(usable(&vault), [3]);
    let backup = Backup::read(&file).unwrap();
    assert!(matches!(
        backup.open(&phrase("first")),
        Err(VaultError::WrongPassphrase)
    ));
    let backup = backup.open(&own).unwrap();
    let restored = vault.take_back(&backup).unwrap();
    let counted = (
        restored.new,
        restored.known,
        restored.ended,
        restored.unreadable,
    );
    assert_eq!(counted, (1, 2, 1, 0));
    let written: Vec<_> = phone.files("passkeys");
    let again = vault.take_back(&backup).unwrap();
    assert_eq!((again.new, again.known), (0, 3));
    assert_eq!(phone.files("passkeys"), written);
    let vault = phone.open("second");
    assert_eq!((usable(&vault), vault.stale()), (vec![2, 3], 0));
    let mut other = Device::first().open("first");
    assert!(matches!(
        other.take_back(&backup),
        Err(VaultError::BackupOfOther)
    ));
}

#[test]
fn every_altered_byte_and_every_cut_of_a_backup_is_noticed() {
    let phone = Device::first();
    let mut vault = phone.open("first");
    vault.store(passkey(1, "ana", 1)).unwrap();
    let file = phone.folder.path().join("backup");
    vault.back_up(&file, plain(false), &mut OsRng).unwrap();
    let good = fs::read(&file).unwrap();
    let opened = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        Backup::read(&file).and_then(|backup| backup.open(&phrase("first")))
    };
    for byte in (0..good.len()).step_by(23) {
        let mut bad = good.clone();
        bad[byte] ^= 1;
        assert!(opened(&bad).is_err(), "byte {byte}");
    }
    for length in [0, 1, good.len() / 2, good.len() - 1] {
        let cut = opened(&good[..length]);
        assert!(
            matches!(cut, Err(VaultError::BackupDamaged)),
            "cut to {length}"
        );
    }
    for hostile in [vec![0x81; 100_000], b"hello".to_vec()] {
        assert!(matches!(opened(&hostile), Err(VaultError::BackupDamaged)));
    }
    assert!(opened(&good).is_ok());
}
