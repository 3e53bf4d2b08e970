//! What a vault's folder goes through: new pass phrases and keys, file syncs with their conflict copies,
//! several devices and programs at once, strangers' files.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod backup;
mod conflicts;
mod formats;
mod merging;
mod renewal;
mod strangers;

use std::fs;
use std::path::{Path, PathBuf};

use handfast_authenticator::device::{DeviceError, DeviceStore, MachineId};
use handfast_authenticator::passphrase::{Passphrase, Stretching};
use handfast_authenticator::vault::{InitOptions, Passkey, Vault, VaultError};
use handfast_proto::cose::{Algorithm, SigningKey};
use handfast_proto::ids::{CredentialId, RpId, UserHandle};
use handfast_proto::trust::DeviceName;
use rand_core::OsRng;

const HEADER: &str = "vault.handfast";

/// A device: its copy of the vault's folder, and its own store.
struct Device {
    folder: tempfile::TempDir,
    name: &'static str,
}

impl Device {
    /// The device that makes the vault.
    fn first() -> Self {
        let device = Self::without_vault("phone");
        let options = InitOptions {
            for_tests: true,
            stretching: Stretching::LEAST,
        };
        let vault = Vault::init(&device.vault(), &phrase("first"), options, &mut OsRng).unwrap();
        device.join(&vault);
        device
    }

    /// A device that got the folder of another.
    fn with_vault_of(other: &Self, name: &'static str) -> Self {
        let device = Self::without_vault(name);
        device.sync_from(other);
        device.join(&device.open("first"));
        device
    }

    fn without_vault(name: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, name }
    }

    fn join(&self, vault: &Vault) {
        let name = DeviceName::parse(self.name).unwrap();
        DeviceStore::create(
            &self.store_folder(),
            vault,
            &self.machine(),
            name,
            &mut OsRng,
        )
        .unwrap();
    }

    fn machine(&self) -> MachineId {
        MachineId::from_bytes(self.name.as_bytes())
    }

    fn vault(&self) -> PathBuf {
        self.folder.path().join("vault")
    }

    fn store_folder(&self) -> PathBuf {
        self.folder.path().join("device")
    }

    fn header(&self) -> PathBuf {
        self.vault().join(HEADER)
    }

    fn try_open(&self, passphrase: &str) -> Result<Vault, VaultError> {
        Vault::open(&self.vault(), &phrase(passphrase))
    }

    fn open(&self, passphrase: &str) -> Vault {
        self.try_open(passphrase).unwrap()
    }

    fn store(&self, vault: &Vault) -> Result<DeviceStore, DeviceError> {
        DeviceStore::open(&self.store_folder(), vault, &self.machine())
    }

    /// Takes over all files of another device, as a file sync that meets no conflict.
    fn sync_from(&self, other: &Self) {
        copy(&other.vault(), &self.vault(), |path| path.to_owned());
    }

    /// Takes over another device's files under names for conflict copies, where there is a file of
    /// another content already.
    fn sync_with_conflicts(&self, other: &Self, named: impl Fn(&str) -> String) {
        copy(&other.vault(), &self.vault(), |path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            path.with_file_name(named(name))
        });
    }

    fn files(&self, kind: &str) -> Vec<PathBuf> {
        let mut files: Vec<_> = fs::read_dir(self.vault().join(kind))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        files
    }
}

/// Copies all files; what is there with another content stays, and the copy gets the name that is given.
fn copy(from: &Path, to: &Path, renamed: impl Fn(&Path) -> PathBuf + Copy) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let mut place = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &place, renamed);
            continue;
        }
        let content = fs::read(&path).unwrap();
        if place.exists() && fs::read(&place).unwrap() != content {
            place = renamed(&place);
        }
        fs::write(place, content).unwrap();
    }
}

fn phrase(text: &str) -> Passphrase {
    Passphrase::new(format!("the {text} pass phrase"))
}

fn credential(id: u8) -> CredentialId {
    CredentialId::from_bytes(&[id; 32]).unwrap()
}

fn passkey(id: u8, user: &str, now: u64) -> Passkey {
    let key = SigningKey::generate(Algorithm::Es256, &mut OsRng);
    let user = UserHandle::from_bytes(user.as_bytes()).unwrap();
    let site = RpId::parse("example.org").unwrap();
    Passkey::new(credential(id), site, user, &key, now).unwrap()
}

fn usable(vault: &Vault) -> Vec<u8> {
    let ids = vault.passkeys().map(|passkey| &passkey.credential_id);
    let mut ids: Vec<u8> = ids.map(|id| id.as_bytes()[0]).collect();
    ids.sort_unstable();
    ids
}

fn damaged(vault: &Vault) -> Vec<(PathBuf, &'static str)> {
    let damaged = vault.damaged();
    damaged.map(|(path, why)| (path.to_owned(), why)).collect()
}

fn change(vault: &mut Vault, passphrase: &str) {
    vault
        .change_passphrase(&phrase(passphrase), Stretching::LEAST, &mut OsRng)
        .unwrap();
}

fn rekey(vault: &mut Vault, passphrase: &str) -> usize {
    vault
        .rekey(&phrase(passphrase), Stretching::LEAST, &mut OsRng)
        .unwrap()
}
