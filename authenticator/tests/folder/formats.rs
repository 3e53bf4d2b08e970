//! Files that the version before wrote.

use handfast_authenticator::device::PinCheck;
use handfast_authenticator::group;

use super::*;

/// The device whose vault and store are in `vectors/vault.json`, written in format 1.
fn of_the_version_before() -> (Device, MachineId) {
    let vectors = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/vault.json");
    let vectors: serde_json::Value = serde_json::from_slice(&fs::read(vectors).unwrap()).unwrap();
    let first = &vectors["format_1"];
    let device = Device::without_vault("laptop");
    for (path, content) in first["files"].as_object().unwrap() {
        let path = device.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, hex::decode(content.as_str().unwrap()).unwrap()).unwrap();
    }
    let machine = MachineId::from_bytes(first["machine"].as_str().unwrap().as_bytes());
    (device, machine)
}

fn holds_all(device: &Device, machine: &MachineId, passphrase: &Passphrase) {
    let mut vault = Vault::open(&device.vault(), passphrase).unwrap();
    assert_eq!((usable(&vault), damaged(&vault)), (vec![2], vec![]));
    assert!(vault.named(&credential(1)).is_some(), "replaced, and kept");
    assert!(vault.named(&credential(3)).is_none(), "deleted");
    let passkey = vault.passkey(&credential(2)).unwrap();
    assert_eq!(passkey.user_name.as_deref(), Some("ana"));
    assert!(passkey.prf.is_some());
    assert_eq!(vault.devices().count(), 1);
    let mut store = DeviceStore::open(&device.store_folder(), &vault, machine).unwrap();
    assert_eq!(store.id().to_string(), "84e0229ae45df51b553e1ca8fcb8dafe");
    let checked = store.check_pin("2718", &mut OsRng).unwrap();
    assert_eq!(checked, PinCheck::Right);
    group::refresh(&mut vault, &mut store, &mut OsRng).unwrap();
    assert_eq!(group::status(&store).keys, 1);
    assert_eq!(group::status(&store).members.len(), 1);
}

#[test]
fn a_vault_of_format_1_opens_and_goes_over_to_format_2_with_its_first_change() {
    let first = Passphrase::new("correct horse battery");
    for renewed in [false, true] {
        let (device, machine) = of_the_version_before();
        let header = fs::read(device.header()).unwrap();
        holds_all(&device, &machine, &first);
        let vault = Vault::open(&device.vault(), &first).unwrap();
        assert_eq!(vault.revision(), 0);
        let key = vault.danger_vault_key();
        assert_eq!(
            hex::encode(key),
            "13db08f205c9511e6b604993e8dffdd229db8b758c8c0540cfd00e2c0cdc4c4a"
        );
        assert_eq!(fs::read(device.header()).unwrap(), header, "only read");
        // A conflict copy of it counts less than any header of format 2, and is then removed.
        fs::copy(device.header(), device.vault().join("copy.handfast")).unwrap();
        let mut vault = Vault::open(&device.vault(), &first).unwrap();
        match renewed {
            false => change(&mut vault, "second"),
            true => assert_eq!(rekey(&mut vault, "second"), 6),
        }
        assert_eq!(vault.revision(), 1);
        assert_eq!(vault.danger_vault_key() != key, renewed);
        assert!(!device.vault().join("copy.handfast").exists());
        holds_all(&device, &machine, &phrase("second"));
        assert!(Vault::open(&device.vault(), &first).is_err());
    }
}
