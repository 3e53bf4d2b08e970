//! Phones, each as new as the first: what happens with an input depends on nothing but it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use handfast_authenticator::compat::CompatExtension;
use handfast_authenticator::device::{DeviceStore, MachineId, Pin};
use handfast_authenticator::engine::Authenticator;
use handfast_authenticator::group;
use handfast_authenticator::passphrase::{Passphrase, Stretching};
use handfast_authenticator::vault::{InitOptions, Passkey, Vault, VaultDevice};
use handfast_proto::ids::CredentialId;
use handfast_proto::trust::{DeviceId, DeviceName};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use rand_core::OsRng;
use tempfile::TempDir;

pub(crate) const PASSPHRASE: &str = "correct horse";
pub(crate) const PIN: &str = "1234";
pub(crate) const WRONG_PIN: &str = "0000";

const VAULT: &str = "vault";
const DEVICE: &str = "device";

/// How a phone is set up.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) struct Setup {
    pin: PinState,
    /// Whether the vault knows another device.
    has_other_device: bool,
    device_pub_key: bool,
    relationship_public_key: bool,
    supplemental_pub_keys: bool,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum PinState {
    Set,
    OneTryLeft,
    NotSet,
}

/// Vault and device store of a new phone, as they are on its disk: pass phrase and PIN are
/// stretched once for all inputs.
struct Template {
    key: [u8; 32],
    files: Vec<(PathBuf, Vec<u8>)>,
}

impl Template {
    fn of(pin: PinState) -> &'static Self {
        static NOT_SET: OnceLock<Template> = OnceLock::new();
        static ONE_TRY_LEFT: OnceLock<Template> = OnceLock::new();
        static SET: OnceLock<Template> = OnceLock::new();
        let template = match pin {
            PinState::NotSet => &NOT_SET,
            PinState::OneTryLeft => &ONE_TRY_LEFT,
            PinState::Set => &SET,
        };
        template.get_or_init(|| Self::new(pin))
    }

    fn new(pin: PinState) -> Self {
        let folder = folder();
        let options = InitOptions {
            for_tests: true,
            stretching: Stretching::LEAST,
        };
        let phrase = Passphrase::new(PASSPHRASE);
        let vault = Vault::init(&folder.path().join(VAULT), &phrase, options, &mut OsRng).unwrap();
        let name = DeviceName::parse("phone").unwrap();
        let store = folder.path().join(DEVICE);
        let mut device = DeviceStore::create(&store, &vault, &machine(), name, &mut OsRng).unwrap();
        if !matches!(pin, PinState::NotSet) {
            let new = Pin::parse(PIN).unwrap();
            device.set_pin(&new, Stretching::LEAST, &mut OsRng).unwrap();
        }
        if matches!(pin, PinState::OneTryLeft) {
            while device.pin_tries() > Some(1) {
                device.check_pin(WRONG_PIN, &mut OsRng).unwrap();
            }
        }
        let files = [VAULT, DEVICE].into_iter().flat_map(|name| {
            let files = fs::read_dir(folder.path().join(name)).unwrap();
            files.map(move |file| {
                let file = file.unwrap();
                let content = fs::read(file.path()).unwrap();
                (Path::new(name).join(file.file_name()), content)
            })
        });
        Self {
            key: vault.danger_vault_key(),
            files: files.collect(),
        }
    }
}

/// Files are kept in memory, as a disk would be the slowest part of all.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap()
}

fn machine() -> MachineId {
    MachineId::from_bytes(b"machine")
}

/// A phone, without radio and relay.
pub(crate) struct Phone {
    pub(crate) authenticator: Authenticator,
    key: [u8; 32],
    folder: TempDir,
}

impl Phone {
    pub(crate) fn new(setup: Setup) -> Self {
        let template = Template::of(setup.pin);
        let folder = folder();
        for name in [VAULT, DEVICE] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        for (path, content) in &template.files {
            fs::write(folder.path().join(path), content).unwrap();
        }
        let mut authenticator = open(folder.path(), &template.key);
        if setup.has_other_device {
            let other = VaultDevice {
                id: DeviceId([2; 16]),
                name: DeviceName::parse("laptop").unwrap(),
                since: 1,
            };
            authenticator.vault.record_device(other).unwrap();
        }
        let compat = [
            (setup.device_pub_key, CompatExtension::DevicePubKey),
            (
                setup.relationship_public_key,
                CompatExtension::RelationshipPublicKey,
            ),
            (
                setup.supplemental_pub_keys,
                CompatExtension::SupplementalPubKeys,
            ),
        ];
        let wanted = compat.into_iter().filter(|(wanted, _)| *wanted);
        authenticator.device.compat = wanted.map(|(_, extension)| extension).collect();
        Self {
            authenticator,
            key: template.key,
            folder,
        }
    }

    /// Returns the names of the passkeys that can be used.
    pub(crate) fn usable(&self) -> BTreeSet<CredentialId> {
        let passkeys = self.authenticator.vault.passkeys();
        passkeys.map(|it| it.credential_id.clone()).collect()
    }

    /// What is on the disk is what is in memory: nobody loses anything by a restart.
    pub(crate) fn assert_durable(&self) {
        let again = open(self.folder.path(), &self.key);
        let (Authenticator { vault, device }, known) = (&again, &self.authenticator);
        assert_eq!(vault.damaged().count(), 0, "files that cannot be read");
        assert_eq!(passkeys(vault), passkeys(&known.vault));
        assert_eq!(
            vault.group_files().count(),
            known.vault.group_files().count()
        );
        assert_eq!(device.pin_tries(), known.device.pin_tries());
        assert_eq!(device.bound_keys(), known.device.bound_keys());
        assert_eq!(group::status(device), group::status(&known.device));
    }
}

fn open(folder: &Path, key: &[u8; 32]) -> Authenticator {
    let vault = Vault::open_with_key(&folder.join(VAULT), key).unwrap();
    let device = DeviceStore::open(&folder.join(DEVICE), &vault, &machine()).unwrap();
    Authenticator { vault, device }
}

/// What a vault has of its passkeys, but for their keys.
fn passkeys(vault: &Vault) -> Vec<String> {
    let shown = |it: &Passkey| {
        let names = (&it.rp_id, &it.user_handle, &it.user_name, &it.display_name);
        let times = (it.created_at, it.changed_at, it.ordinal);
        let kept = (it.protection, &it.cred_blob);
        let large = it.large_blob.as_ref().map(|(blob, at)| {
            let content = blob.deflated().to_vec();
            (content, blob.original_size(), *at)
        });
        let id = &it.credential_id;
        format!("{id:?} {names:?} {times:?} {kept:?} {large:?}")
    };
    let mut passkeys: Vec<String> = vault.passkeys().map(shown).collect();
    passkeys.sort_unstable();
    passkeys
}
