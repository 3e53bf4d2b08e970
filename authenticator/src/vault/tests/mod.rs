//! What needs to look inside: power cuts, steps on the disk.

mod crash;
mod vectors;

use std::fs;
use std::path::{Path, PathBuf};

use handfast_proto::cose::{Algorithm, SigningKey};
use handfast_proto::ids::{CredentialId, RpId, UserHandle};
use rand_core::OsRng;

use super::{InitOptions, Passkey, Vault};
use crate::device::MachineId;
use crate::passphrase::{Passphrase, Stretching};

const OPTIONS: InitOptions = InitOptions {
    for_tests: true,
    stretching: Stretching::LEAST,
};

fn old() -> Passphrase {
    Passphrase::new("the old pass phrase")
}

fn new() -> Passphrase {
    Passphrase::new("the new pass phrase")
}

fn init(folder: &Path) -> Vault {
    Vault::init(folder, &old(), OPTIONS, &mut OsRng).unwrap()
}

fn passkey(id: u8, user: &str, now: u64) -> Passkey {
    Passkey::new(
        credential(id),
        RpId::parse("example.org").unwrap(),
        UserHandle::from_bytes(user.as_bytes()).unwrap(),
        &SigningKey::generate(Algorithm::Es256, &mut OsRng),
        now,
    )
    .unwrap()
}

fn credential(id: u8) -> CredentialId {
    CredentialId::from_bytes(&[id; 32]).unwrap()
}

/// The passkeys that can be used, by the first byte of their names.
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

fn machine() -> MachineId {
    MachineId::from_bytes(b"here")
}

/// All files below a folder, hidden ones too.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => found.push(path),
            }
        }
    }
    found
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let copy = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(&file, copy).unwrap();
    }
}
