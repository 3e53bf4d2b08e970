//! What a thief with the whole folder and the pass phrase can try.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use handfast_authenticator::device::{DeviceStore, MachineId};
use handfast_authenticator::group;
use handfast_authenticator::passphrase::Passphrase;
use handfast_authenticator::vault::Vault;
use handfast_proto::cbor::{self, Value as Cbor};
use handfast_proto::hybrid::advert::{self, EidPlaintext};
use handfast_proto::hybrid::keys::QrSecret;
use handfast_proto::hybrid::qr::{SCHEME, decode_digits};
use handfast_proto::trust::wrap::{WrapError, key_file_header, open_key};
use handfast_proto::trust::{GroupId, GroupSecret};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::StoryError;
use crate::stage::Home;

/// What came of the thief's tries.
#[derive(Clone, Debug)]
pub(super) struct Tried {
    /// Key files of groups that the thief is not in.
    pub(super) files: usize,
    /// Whose keys these are, by their identifiers.
    keys: BTreeSet<String>,
    /// How many of them opened.
    pub(super) opened: usize,
    /// How many secrets were tried on each.
    pub(super) secrets: usize,
    /// Whether each try ended at the seal, and not at some lesser check.
    pub(super) all_failed_at_the_seal: bool,
}

impl Tried {
    /// Returns whether the files are of all these keys, and of no others. The site names a key by
    /// the beginning of its identifier.
    pub(super) fn is_all_of(&self, keys: &[String]) -> bool {
        let is = |key: &String| keys.iter().any(|named| key.starts_with(named.as_str()));
        self.keys.len() == keys.len() && self.keys.iter().all(is)
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "key_files": self.files,
            "keys": self.keys,
            "opened": self.opened,
            "secrets_tried_on_each": self.secrets,
            "all_failed_at_the_seal": self.all_failed_at_the_seal,
        })
    }
}

fn thwarted(error: impl std::fmt::Display) -> StoryError {
    StoryError::Thief(error.to_string())
}

/// Opens the stolen vault with the stolen pass phrase, as its owner would, and tries all that can
/// be had from it on every key file of the owner's groups.
pub(super) fn unwrap_all(home: &Home, passphrase: &str) -> Result<Tried, StoryError> {
    let vault = Vault::open(&home.vault(), &Passphrase::new(passphrase)).map_err(thwarted)?;
    let machine = MachineId::of_this_machine().map_err(thwarted)?;
    let device = DeviceStore::open(&home.device(), &vault, &machine).map_err(thwarted)?;
    let own = group::status(&device).group;
    let mut tried = Tried {
        files: 0,
        keys: BTreeSet::new(),
        opened: 0,
        secrets: 0,
        all_failed_at_the_seal: true,
    };
    for file in vault.group_files() {
        let header = match key_file_header(file) {
            Ok(header) if Some(header.group) != own => header,
            _ => continue,
        };
        tried.files += 1;
        tried.keys.insert(header.key_id.to_string());
        let secrets = what_a_thief_has(&vault, &device, passphrase, header.group);
        tried.secrets = secrets.len();
        for secret in secrets {
            match open_key(&secret, header.group, file) {
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

/// Makes an advert that answers the thief's own QR code, as a phone's would but for its ten random
/// bytes, and puts it on the air as `forged`.
///
/// The thief gets more help than it could have: where the phone waits at the relay is read from
/// the real advert in `air`, which it cannot hear.
pub(super) fn fake_advert(url: &str, air: &Path, forged: &Path) -> Result<(), StoryError> {
    let key = qr_secret(url).ok_or_else(|| thwarted("the QR code cannot be read"))?;
    let key = key.eid_key();
    let real = fs::read_dir(air)?
        .filter_map(|entry| fs::read(entry.ok()?.path()).ok())
        .find_map(|bytes| advert::open(&key, &bytes).ok())
        .ok_or_else(|| thwarted("the phone's advert is not on the air"))?;
    let faked = EidPlaintext {
        nonce: real.nonce.map(|byte| !byte),
        ..real
    };
    // As the radio does it: nobody hears half an advert.
    let unfinished = forged.with_extension("tmp");
    fs::write(&unfinished, advert::seal(&key, &faked))?;
    fs::rename(&unfinished, forged)?;
    Ok(())
}

fn qr_secret(url: &str) -> Option<QrSecret> {
    let bytes = decode_digits(url.strip_prefix(SCHEME)?).ok()?;
    let map = cbor::decode(&bytes).ok()?.into_map()?;
    let secret = map.int(1).and_then(Cbor::as_bytes)?.try_into().ok()?;
    Some(QrSecret::from_bytes(secret))
}
