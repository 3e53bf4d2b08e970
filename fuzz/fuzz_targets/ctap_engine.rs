//! The engine answers every request with one status, and with CBOR of the one form after OK; it asks
//! a person before it says anything of passkeys.
#![no_main]

use std::cell::RefCell;

use handfast_authenticator::device::{DeviceStore, MachineId};
use handfast_authenticator::engine::{
    Answer, Authenticator, Computer, Context, Person, PinPad, Prompt, Session,
};
use handfast_authenticator::passphrase::{Passphrase, Stretching};
use handfast_authenticator::vault::{InitOptions, Vault};
use handfast_proto::cbor;
use handfast_proto::ctap2::command::{GET_ASSERTION, MAKE_CREDENTIAL, RESET, TRUST_GROUP};
use handfast_proto::trust::DeviceName;
use libfuzzer_sys::fuzz_target;
use rand_core::OsRng;
use tempfile::TempDir;

/// Passkeys, above which a phone is replaced by a new one: a vault that grows slows all down.
const MOST: usize = 64;

struct Phone {
    authenticator: Authenticator,
    session: Session,
    _folder: TempDir,
}

impl Phone {
    fn new() -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let options = InitOptions {
            for_tests: true,
            stretching: Stretching::LEAST,
        };
        let phrase = Passphrase::new("correct horse");
        let vault = Vault::init(&folder.path().join("v"), &phrase, options, &mut OsRng).unwrap();
        let (machine, name) = (
            MachineId::from_bytes(b"m"),
            DeviceName::parse("phone").unwrap(),
        );
        let device = folder.path().join("d");
        let device = DeviceStore::create(&device, &vault, &machine, name, &mut OsRng).unwrap();
        let authenticator = Authenticator { vault, device };
        let session = authenticator.session(Context {
            computer: Computer::Unknown,
            method: None,
            handshake_hash: None,
        });
        Self {
            authenticator,
            session,
            _folder: folder,
        }
    }
}

struct Willing {
    asked: bool,
}

impl Person for Willing {
    fn ask(&mut self, _: &Prompt<'_>, _: Computer, _: &mut dyn PinPad) -> Answer {
        self.asked = true;
        Answer::Approved {
            account: 0,
            verified: true,
        }
    }
}

thread_local! {
    static PHONE: RefCell<Phone> = RefCell::new(Phone::new());
}

fuzz_target!(|requests: Vec<Vec<u8>>| {
    PHONE.with_borrow_mut(|phone| {
        for request in requests.iter().take(4) {
            let mut person = Willing { asked: false };
            let Phone {
                authenticator,
                session,
                ..
            } = phone;
            let reply = authenticator.handle(session, request, &mut person, &mut OsRng, 1000);
            let (&status, cbor) = reply.bytes.split_first().expect("a status");
            let command = request.first().copied().unwrap_or_default();
            if status != 0 {
                assert!(cbor.is_empty());
            } else if !cbor.is_empty() {
                cbor::decode(cbor).expect("canonical CBOR");
            }
            assert!(command != RESET || status != 0);
            let says_something = [MAKE_CREDENTIAL, GET_ASSERTION].contains(&command);
            assert!(status != 0 || !says_something || person.asked);
            assert!(command != TRUST_GROUP || status != 0, "nobody is near");
        }
        if phone.authenticator.vault.passkeys().count() > MOST {
            *phone = Phone::new();
        }
    });
});
