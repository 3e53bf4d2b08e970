//! What a thief with the whole folder and the pass phrase can try.

use std::fs;
use std::io;
use std::path::Path;

use handfast_authenticator::device::{DeviceStore, MachineId};
use handfast_authenticator::group;
use handfast_authenticator::passphrase::Passphrase;
use handfast_authenticator::vault::Vault;
use handfast_proto::trust::wrap::{WrapError, key_file_header, open_key};
use handfast_proto::trust::{GroupId, GroupSecret};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::StoryError;
use crate::stage::Home;

/// What came of the thief's tries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tried {
    /// Key files of groups that the thief is not in.
    pub(super) foreign: usize,
    /// How many of them opened.
    pub(super) opened: usize,
    /// How many secrets were tried on each.
    pub(super) secrets: usize,
    /// Whether each try ended at the seal, and not at some lesser check.
    pub(super) all_failed_at_the_seal: bool,
}

impl Tried {
    pub(super) fn json(&self) -> Value {
        json!({
            "foreign_key_files": self.foreign,
            "opened": self.opened,
            "secrets_tried_on_each": self.secrets,
            "all_failed_at_the_seal": self.all_failed_at_the_seal,
        })
    }
}

/// Opens the stolen vault with the stolen pass phrase, as its owner would, and tries all that can
/// be had from it on every key file of the owner's groups.
pub(super) fn unwrap_all(home: &Home, passphrase: &str) -> Result<Tried, StoryError> {
    let stolen = |error: &dyn std::fmt::Display| {
        StoryError::Sync(io::Error::other(format!(
            "the stolen vault does not open: {error}"
        )))
    };
    let vault = Vault::open(&home.vault(), &Passphrase::new(passphrase)).map_err(|e| stolen(&e))?;
    let machine = MachineId::of_this_machine().map_err(|e| stolen(&e))?;
    let device = DeviceStore::open(&home.device(), &vault, &machine).map_err(|e| stolen(&e))?;
    let own = group::status(&device).group;
    let files: Vec<(GroupId, Vec<u8>)> = vault
        .group_files()
        .filter_map(|file| Some((key_file_header(file).ok()?.group, file.to_vec())))
        .filter(|(group, _)| Some(*group) != own)
        .collect();
    let mut tried = Tried {
        foreign: files.len(),
        opened: 0,
        secrets: 0,
        all_failed_at_the_seal: true,
    };
    for (group, file) in &files {
        let secrets = what_a_thief_has(&vault, &device, passphrase, *group);
        tried.secrets = secrets.len();
        for secret in secrets {
            match open_key(&secret, *group, file) {
                Ok(_) => tried.opened += 1,
                Err(WrapError::Sealed) => {}
                Err(_) => tried.all_failed_at_the_seal = false,
            }
        }
    }
    Ok(tried)
}

/// All that could be taken for the group's secret by who has the vault and a device of his own.
fn what_a_thief_has(
    vault: &Vault,
    device: &DeviceStore,
    passphrase: &str,
    group: GroupId,
) -> Vec<GroupSecret> {
    let mut secrets: Vec<GroupSecret> = vec![
        GroupSecret::from_bytes([0; 32]),
        GroupSecret::from_bytes(Sha256::digest(passphrase).into()),
        GroupSecret::from_bytes(Sha256::digest(vault.id().0).into()),
        GroupSecret::from_bytes(Sha256::digest(group.0).into()),
    ];
    secrets.push(GroupSecret::from_bytes(vault.danger_vault_key()));
    secrets.extend(group::danger_group_secret(device).map(GroupSecret::from_bytes));
    secrets
}

/// Makes a conflict copy of every passkey file, as a file sync does that met two versions. Returns
/// how many.
pub(super) fn duplicate_passkey_files(vault: &Path) -> io::Result<usize> {
    let mut made = 0;
    for entry in fs::read_dir(vault.join("passkeys"))? {
        let path = entry?.path();
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".sync-conflict-20261124-120000-HANDFAS");
        fs::copy(&path, path.with_file_name(name))?;
        made += 1;
    }
    Ok(made)
}
