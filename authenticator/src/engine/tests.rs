//! What the tests of several of the engine's parts begin with.

use std::path::Path;

use handfast_proto::trust::DeviceName;
use rand_core::OsRng;

use super::Authenticator;
use crate::device::{DeviceStore, MachineId};
use crate::passphrase::{Passphrase, Stretching};
use crate::vault::{InitOptions, Vault};

/// A new phone, in the folders `vault` and `device`.
pub(super) fn phone(folder: &Path) -> Authenticator {
    let options = InitOptions {
        for_tests: true,
        stretching: Stretching::LEAST,
    };
    let phrase = Passphrase::new("correct horse");
    let vault = Vault::init(&folder.join("vault"), &phrase, options, &mut OsRng).unwrap();
    let machine = MachineId::from_bytes(b"machine");
    let name = DeviceName::parse("phone").unwrap();
    let store = folder.join("device");
    let device = DeviceStore::create(&store, &vault, &machine, name, &mut OsRng).unwrap();
    Authenticator { vault, device }
}
