//! Trust groups over vaults and device stores: who may let whom in, what several programs on one
//! device do to each other, and what a join that breaks off leaves behind.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::fs;
use std::path::{Path, PathBuf};

use handfast_authenticator::device::{DeviceStore, MachineId, Pin, PinCheck};
use handfast_authenticator::engine::{
    Answer, Authenticator, Computer, Conclusion, Context, Person, PinPad, Prompt, Session,
};
use handfast_authenticator::group::{self, GroupError};
use handfast_authenticator::passphrase::{Passphrase, Stretching};
use handfast_authenticator::vault::{InitOptions, Vault, VaultDevice};
use handfast_proto::cose::Algorithm;
use handfast_proto::ctap2::Status;
use handfast_proto::ids::{CredentialId, UserHandle};
use handfast_proto::trust::join::{JoinError, Joiner};
use handfast_proto::trust::{DeviceName, KeyTuple, Method};
use rand_core::OsRng;
use tempfile::TempDir;

const SESSION: [u8; 32] = [9; 32];
const PIN: &str = "1234";

/// The owner, who says yes and gives the PIN.
struct Willing;

impl Person for Willing {
    fn ask(&mut self, _: &Prompt<'_>, _: Computer, pin: &mut dyn PinPad) -> Answer {
        assert_eq!(pin.check(PIN), Ok(PinCheck::Right));
        Answer::Approved {
            account: 0,
            verified: true,
        }
    }
}

fn phrase() -> Passphrase {
    Passphrase::new("correct horse battery")
}

/// A device with a vault folder of its own.
struct Device {
    authenticator: Authenticator,
    home: PathBuf,
}

impl Device {
    fn first(folder: &Path) -> Self {
        let options = InitOptions {
            for_tests: true,
            stretching: Stretching::LEAST,
        };
        let home = folder.join("first");
        let vault = Vault::init(&home.join("vault"), &phrase(), options, &mut OsRng).unwrap();
        Self::set_up(home, vault, "first")
    }

    /// A further device, whose folder is a copy of another's.
    fn further(folder: &Path, name: &str, of: &Self) -> Self {
        let home = folder.join(name);
        copy(&of.vault(), &home.join("vault"));
        let vault = Vault::open(&home.join("vault"), &phrase()).unwrap();
        Self::set_up(home, vault, name)
    }

    fn set_up(home: PathBuf, mut vault: Vault, name: &str) -> Self {
        let name = DeviceName::parse(name).unwrap();
        let store = home.join("device");
        let mut device =
            DeviceStore::create(&store, &vault, &machine(), name.clone(), &mut OsRng).unwrap();
        let pin = Pin::parse(PIN).unwrap();
        device.set_pin(&pin, Stretching::LEAST, &mut OsRng).unwrap();
        let id = device.id();
        vault
            .record_device(VaultDevice { id, name, since: 1 })
            .unwrap();
        Self {
            authenticator: Authenticator { vault, device },
            home,
        }
    }

    fn vault(&self) -> PathBuf {
        self.home.join("vault")
    }

    /// What another program on this device has open.
    fn again(&self) -> Authenticator {
        let vault = Vault::open(&self.vault(), &phrase()).unwrap();
        let device = DeviceStore::open(&self.home.join("device"), &vault, &machine()).unwrap();
        Authenticator { vault, device }
    }

    fn key(&mut self, credential: u8) {
        new_key(&mut self.authenticator, credential);
    }

    fn refresh(&mut self) {
        let Authenticator { vault, device } = &mut self.authenticator;
        vault.refresh().unwrap();
        group::refresh(vault, device, &mut OsRng).unwrap();
    }

    fn members(&self) -> Vec<String> {
        let status = group::status(&self.authenticator.device);
        let mut names: Vec<_> = status.members.iter().map(|m| m.name.to_string()).collect();
        names.sort();
        names
    }

    /// A session of this device as the phone.
    fn session(&self, method: Method) -> Session {
        self.authenticator.session(Context {
            computer: Computer::Unknown,
            method: Some(method),
            handshake_hash: Some(SESSION),
        })
    }

    fn ask(&mut self, session: &mut Session, request: &[u8]) -> Vec<u8> {
        let reply = self
            .authenticator
            .handle(session, request, &mut Willing, &mut OsRng, 100);
        reply.bytes
    }
}

fn machine() -> MachineId {
    MachineId::from_bytes(b"machine")
}

fn new_key(authenticator: &mut Authenticator, credential: u8) {
    let tuple = KeyTuple {
        rp_id_hash: [1; 32],
        credential_id: CredentialId::from_bytes(&[credential; 32]).unwrap(),
        user_handle: UserHandle::from_bytes(b"u").unwrap(),
    };
    let Authenticator { vault, device } = authenticator;
    group::key_for(vault, device, &tuple, Algorithm::Es256, 50, &mut OsRng).unwrap();
}

/// Copies what a folder has and the other has not, as a file sync does.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let place = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy(&path, &place),
            false => drop(fs::copy(&path, &place).unwrap()),
        }
    }
}

fn sync(a: &mut Device, b: &mut Device) {
    copy(&a.vault(), &b.vault());
    copy(&b.vault(), &a.vault());
    a.refresh();
    b.refresh();
}

/// Plays the steps of a join until `steps` of them are done, and returns the phone's session.
fn join(
    computer: &mut Device,
    phone: &mut Device,
    method: Method,
    steps: usize,
) -> Result<Session, JoinError> {
    let mut session = phone.session(method);
    let Authenticator { vault, device } = &computer.authenticator;
    let member = vault.member_key();
    let config = group::join_config(vault, device, &member, method);
    let (joiner, request) = Joiner::start(&config, SESSION, &mut OsRng);
    let offered = joiner.handle_offer(&phone.ask(&mut session, &request), &config)?;
    if steps == 1 {
        return Ok(session);
    }
    let (awaiting, request) = offered.confirm();
    let granted = awaiting.handle_sealed(&phone.ask(&mut session, &request), device.keys())?;
    if steps == 2 {
        return Ok(session);
    }
    let request = granted.merge(&group::own_keys(device), &mut OsRng)?;
    granted.handle_ack(&phone.ask(&mut session, &request))?;
    let Authenticator { vault, device } = &mut computer.authenticator;
    group::commit_join(vault, device, granted, &mut OsRng).unwrap();
    Ok(session)
}

fn pair() -> (TempDir, Device, Device) {
    let folder = tempfile::tempdir().unwrap();
    let mut phone = Device::first(folder.path());
    phone.key(1);
    let computer = Device::further(folder.path(), "computer", &phone);
    (folder, phone, computer)
}

#[test]
fn a_join_brings_both_onto_one_list_and_one_set_of_keys() {
    let (_folder, mut phone, mut computer) = pair();
    computer.key(2);
    let session = join(&mut computer, &mut phone, Method::Simulated, 3).unwrap();
    assert_eq!(session.conclude(), Conclusion::Done);
    sync(&mut phone, &mut computer);
    assert_eq!(phone.members(), ["computer", "first"]);
    assert_eq!(computer.members(), phone.members());
    let keys = |device: &Device| group::status(&device.authenticator.device).keys;
    assert_eq!((keys(&phone), keys(&computer)), (2, 2));
}

#[test]
fn a_join_that_is_left_before_the_secret_is_nothing() {
    let (_folder, mut phone, mut computer) = pair();
    let session = join(&mut computer, &mut phone, Method::Simulated, 1).unwrap();
    let nothing = Conclusion::Nothing { note: None };
    assert_eq!(session.conclude(), nothing);
    assert_eq!(phone.members(), ["first"]);
}

#[test]
fn who_took_the_secret_and_left_is_on_the_list() {
    let (_folder, mut phone, mut computer) = pair();
    let session = join(&mut computer, &mut phone, Method::Simulated, 2).unwrap();
    let Conclusion::Nothing { note: Some(note) } = session.conclude() else {
        panic!("the owner must learn of it");
    };
    assert!(note.contains("computer"), "{note}");
    assert_eq!(phone.members(), ["computer", "first"]);
}

#[test]
fn the_list_names_who_has_the_secret_whatever_he_sends_instead_of_his_keys() {
    for instead in [&[0x50, 0xff][..], &[0x50, 0xa1, 1, 3], &[0x04]] {
        let (_folder, mut phone, mut computer) = pair();
        let mut session = join(&mut computer, &mut phone, Method::Simulated, 2).unwrap();
        // Also if the phone dies now: the list is on its disk already.
        assert_eq!(
            group::status(&phone.again().device).members.len(),
            2,
            "before MERGE"
        );
        phone.ask(&mut session, instead);
        assert_eq!(phone.members(), ["computer", "first"], "{instead:?}");
    }
}

#[test]
fn a_device_that_is_on_no_list_lets_nobody_in() {
    let (folder, mut phone, mut computer) = pair();
    join(&mut computer, &mut phone, Method::HybridQr, 3).unwrap();
    // Nothing was synced: the computer has the secret and no entry that says so.
    assert_eq!(computer.members(), Vec::<String>::new());
    let mut third = Device::further(folder.path(), "third", &computer);
    for method in [Method::HybridQr, Method::Simulated] {
        let refused = join(&mut third, &mut computer, method, 3);
        assert_eq!(refused.err(), Some(JoinError::Refused(Status::OTHER)));
    }
    sync(&mut phone, &mut computer);
    sync(&mut computer, &mut third);
    let refused = join(&mut third, &mut computer, Method::Simulated, 3);
    assert!(
        refused.is_err(),
        "a group with a real radio takes no simulated one"
    );
    join(&mut third, &mut computer, Method::HybridQr, 3).unwrap();
    sync(&mut computer, &mut third);
    sync(&mut computer, &mut phone);
    for device in [&phone, &computer, &third] {
        assert_eq!(device.members(), ["computer", "first", "third"]);
    }
}

#[test]
fn a_member_does_not_leave_its_group_because_its_entry_is_late() {
    let (_folder, mut phone, mut computer) = pair();
    join(&mut computer, &mut phone, Method::Simulated, 3).unwrap();
    assert_eq!(computer.members(), Vec::<String>::new());
    let may = group::may_join(&computer.authenticator.device);
    assert!(matches!(may, Err(GroupError::HasMembers)), "{may:?}");
}

#[test]
fn two_programs_on_one_device_do_not_undo_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let mut device = Device::first(folder.path());
    let mut other = device.again();
    // Each makes the first key, and with it the group, as far as it knows.
    new_key(&mut other, 1);
    device.key(2);
    new_key(&mut other, 3);
    let status = |authenticator: &Authenticator| group::status(&authenticator.device);
    device.refresh();
    let reopened = device.again();
    assert_eq!(status(&reopened).keys, 3);
    assert_eq!(status(&reopened).group, status(&other).group);
    assert_eq!(status(&device.authenticator), status(&reopened));

    let pin = Pin::parse("5678").unwrap();
    let store = &mut device.authenticator.device;
    store.set_pin(&pin, Stretching::LEAST, &mut OsRng).unwrap();
    let old = other.device.check_pin(PIN, &mut OsRng).unwrap();
    assert_eq!(old, PinCheck::Wrong(7), "the new PIN counts everywhere");
    let again = store.check_pin(PIN, &mut OsRng).unwrap();
    assert_eq!(again, PinCheck::Wrong(6), "tries are counted together");
}

#[test]
fn entries_of_who_only_has_the_vault_are_not_kept() {
    let (folder, mut phone, mut computer) = pair();
    join(&mut computer, &mut phone, Method::Simulated, 3).unwrap();
    sync(&mut phone, &mut computer);
    // A thief makes entries of a group of his own, in his copy, which the sync brings back.
    let mut thief = Device::further(folder.path(), "thief", &phone);
    thief.key(7);
    let before = fs::read(phone.home.join("device/device.handfast")).unwrap();
    sync(&mut thief, &mut phone);
    assert_eq!(phone.members(), ["computer", "first"]);
    let after = fs::read(phone.home.join("device/device.handfast")).unwrap();
    assert_eq!(before, after, "nothing of it was taken in");
}

#[test]
fn a_group_file_that_goes_and_comes_back_is_read_again() {
    let (_folder, mut phone, _) = pair();
    let count = |device: &Device| device.authenticator.vault.group_files().count();
    let folder = phone.vault().join("group");
    let before = count(&phone);
    let away = phone.home.join("away");
    fs::rename(&folder, &away).unwrap();
    fs::create_dir(&folder).unwrap();
    phone.authenticator.vault.refresh().unwrap();
    assert_eq!(count(&phone), 0);
    // What is gone is published again, from the device's own copies.
    phone.refresh();
    assert_eq!(count(&phone), before);
    copy(&away, &folder);
    phone.refresh();
    assert_eq!(count(&phone), 2 * before);
}
