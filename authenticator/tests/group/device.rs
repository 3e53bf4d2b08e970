//! Devices of one vault, each with a folder of its own, and what they do together.

use std::fs;
use std::path::{Path, PathBuf};

use handfast_authenticator::device::{DeviceStore, MachineId, Pin, PinCheck};
use handfast_authenticator::engine::{
    Answer, Authenticator, Computer, Context, Person, PinPad, Prompt, Session,
};
use handfast_authenticator::group;
use handfast_authenticator::passphrase::{Passphrase, Stretching};
use handfast_authenticator::vault::{InitOptions, Vault, VaultDevice};
use handfast_proto::cose::Algorithm;
use handfast_proto::ids::{CredentialId, UserHandle};
use handfast_proto::trust::join::{JoinError, Joiner};
use handfast_proto::trust::{DeviceName, KeyTuple, Method};
use rand_core::OsRng;
use tempfile::TempDir;

pub(crate) const SESSION: [u8; 32] = [9; 32];
pub(crate) const PIN: &str = "1234";

/// The owner, who says yes and gives the PIN.
pub(crate) struct Willing;

impl Person for Willing {
    fn ask(&mut self, _: &Prompt<'_>, _: &Computer, pin: &mut dyn PinPad) -> Answer {
        assert_eq!(pin.check(PIN), Ok(PinCheck::Right));
        Answer::Approved {
            account: 0,
            verified: true,
        }
    }
}

pub(crate) fn phrase() -> Passphrase {
    Passphrase::new("correct horse battery")
}

/// A device with a vault folder of its own.
pub(crate) struct Device {
    pub(crate) authenticator: Authenticator,
    pub(crate) home: PathBuf,
}

impl Device {
    pub(crate) fn first(folder: &Path) -> Self {
        let options = InitOptions {
            for_tests: true,
            stretching: Stretching::LEAST,
        };
        let home = folder.join("first");
        let vault = Vault::init(&home.join("vault"), &phrase(), options, &mut OsRng).unwrap();
        Self::set_up(home, vault, "first")
    }

    /// A further device, whose folder is a copy of another's.
    pub(crate) fn further(folder: &Path, name: &str, of: &Self) -> Self {
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

    pub(crate) fn vault(&self) -> PathBuf {
        self.home.join("vault")
    }

    /// What another program on this device has open.
    pub(crate) fn again(&self) -> Authenticator {
        let vault = Vault::open(&self.vault(), &phrase()).unwrap();
        let device = DeviceStore::open(&self.home.join("device"), &vault, &machine()).unwrap();
        Authenticator { vault, device }
    }

    pub(crate) fn key(&mut self, credential: u8) {
        new_key(&mut self.authenticator, credential);
    }

    pub(crate) fn refresh(&mut self) {
        let Authenticator { vault, device } = &mut self.authenticator;
        vault.refresh().unwrap();
        group::refresh(vault, device, &mut OsRng).unwrap();
    }

    pub(crate) fn members(&self) -> Vec<String> {
        let status = group::status(&self.authenticator.device);
        let mut names: Vec<_> = status.members.iter().map(|m| m.name.to_string()).collect();
        names.sort();
        names
    }

    /// A session of this device as the phone.
    pub(crate) fn session(&self, method: Method) -> Session {
        self.authenticator.session(Context {
            computer: Computer::Unknown,
            method: Some(method),
            handshake_hash: Some(SESSION),
        })
    }

    pub(crate) fn ask(&mut self, session: &mut Session, request: &[u8]) -> Vec<u8> {
        let reply = self
            .authenticator
            .handle(session, request, &mut Willing, &mut OsRng, 100);
        reply.bytes
    }
}

pub(crate) fn machine() -> MachineId {
    MachineId::from_bytes(b"machine")
}

pub(crate) fn new_key(authenticator: &mut Authenticator, credential: u8) {
    let tuple = KeyTuple {
        rp_id_hash: [1; 32],
        credential_id: CredentialId::from_bytes(&[credential; 32]).unwrap(),
        user_handle: UserHandle::from_bytes(b"u").unwrap(),
    };
    let Authenticator { vault, device } = authenticator;
    group::key_for(vault, device, &tuple, Algorithm::Es256, 50, &mut OsRng).unwrap();
}

/// Copies what a folder has and the other has not, as a file sync does.
pub(crate) fn copy(from: &Path, to: &Path) {
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

pub(crate) fn sync(a: &mut Device, b: &mut Device) {
    copy(&a.vault(), &b.vault());
    copy(&b.vault(), &a.vault());
    a.refresh();
    b.refresh();
}

/// Plays the steps of a join until `steps` of them are done, and returns the phone's session.
pub(crate) fn join(
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

pub(crate) fn pair() -> (TempDir, Device, Device) {
    let folder = tempfile::tempdir().unwrap();
    let mut phone = Device::first(folder.path());
    phone.key(1);
    let computer = Device::further(folder.path(), "computer", &phone);
    (folder, phone, computer)
}
