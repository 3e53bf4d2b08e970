//! A blocked PIN, and the pass phrase in its place.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

use std::time::Duration;

use handfast_authenticator::device::{DeviceStore, MachineId, Pin, PinCheck, TRIES};
use handfast_authenticator::engine::{
    Answer, Authenticator, Computer, Context, PassphraseCheck, Person, PinPad, Prompt,
};
use handfast_authenticator::passphrase::{Passphrase, Stretching};
use handfast_authenticator::vault::{InitOptions, Vault};
use handfast_proto::cbor::{self, Map, Value};
use handfast_proto::ctap2::Status;
use handfast_proto::trust::DeviceName;
use rand_core::OsRng;
use tempfile::TempDir;

const PIN: &str = "1234";
const PHRASE: &str = "correct horse";
/// authenticatorSelection: whatever a person answers decides it.
const SELECTION: [u8; 1] = [0x0b];

struct Scripted<F>(F);

impl<F: FnMut(&mut dyn PinPad) -> Answer> Person for Scripted<F> {
    fn ask(&mut self, _: &Prompt<'_>, _: &Computer, pin: &mut dyn PinPad) -> Answer {
        (self.0)(pin)
    }
}

fn vault(folder: &TempDir, name: &str, phrase: &str) -> Vault {
    let options = InitOptions {
        for_tests: true,
        stretching: Stretching::LEAST,
    };
    let path = folder.path().join(name);
    Vault::init(&path, &Passphrase::new(phrase), options, &mut OsRng).unwrap()
}

fn phone() -> (Authenticator, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let vault = vault(&folder, "vault", PHRASE);
    let (machine, name) = (MachineId::from_bytes(b"m"), DeviceName::parse("p").unwrap());
    let path = folder.path().join("device");
    let mut device = DeviceStore::create(&path, &vault, &machine, name, &mut OsRng).unwrap();
    let pin = Pin::parse(PIN).unwrap();
    device.set_pin(&pin, Stretching::LEAST, &mut OsRng).unwrap();
    (Authenticator { vault, device }, folder)
}

fn ask(phone: &mut Authenticator, answer: impl FnMut(&mut dyn PinPad) -> Answer) -> Status {
    let mut session = phone.session(Context {
        computer: Computer::Unknown,
        method: None,
        handshake_hash: None,
    });
    let mut person = Scripted(answer);
    let reply = phone.handle(&mut session, &SELECTION, &mut person, &mut OsRng, 1000);
    Status(reply.bytes[0])
}

fn block(pin: &mut dyn PinPad) {
    for left in (1..TRIES).rev() {
        assert_eq!(pin.check("0000"), Ok(PinCheck::Wrong(left)));
    }
    assert!(!pin.is_blocked());
    assert_eq!(pin.check("0000"), Ok(PinCheck::Blocked));
    assert!(pin.is_blocked());
}

#[test]
fn the_pass_phrase_frees_a_blocked_pin_and_nothing_else_does() {
    let (mut phone, _folder) = phone();
    ask(&mut phone, |pin| {
        block(pin);
        // The right one comes too late.
        assert_eq!(pin.check(PIN), Ok(PinCheck::Blocked));
        for wrong in ["", "correct horses", PIN] {
            assert_eq!(
                pin.check_passphrase(&Passphrase::new(wrong)),
                Ok(PassphraseCheck::Wrong)
            );
        }
        assert!(pin.is_blocked());
        assert_eq!(
            pin.check_passphrase(&Passphrase::new(PHRASE)),
            Ok(PassphraseCheck::Right)
        );
        assert!(!pin.is_blocked());
        assert_eq!(pin.check(PIN), Ok(PinCheck::Right));
        Answer::Refused
    });
    assert_eq!(phone.device.pin_tries(), Some(TRIES));
}

/// Lets a device have had so many wrong pass phrases, the last of them now.
fn had_wrong(folder: &TempDir, wrong: u64) {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    let seconds: u64 = uptime.split('.').next().unwrap().parse().unwrap();
    let tries = Map::new()
        .with(1, "handfast-tries")
        .with(2, 1)
        .with(3, wrong)
        .with(4, boot.trim())
        .with(5, seconds);
    std::fs::write(folder.path().join("device/tries.handfast"), tries.encode()).unwrap();
}

#[test]
fn after_many_wrong_pass_phrases_the_next_has_to_wait_also_if_it_is_right() {
    let (mut phone, folder) = phone();
    ask(&mut phone, |pin| {
        block(pin);
        assert_eq!(pin.passphrase_waits(), None);
        had_wrong(&folder, 20);
        let waits = pin.passphrase_waits().unwrap();
        assert!(waits > Duration::from_secs(30), "{waits:?}");
        let right = Passphrase::new(PHRASE);
        let PassphraseCheck::TooSoon(wait) = pin.check_passphrase(&right).unwrap() else {
            panic!("it was tried");
        };
        assert!(wait > Duration::from_secs(30), "{wait:?}");
        assert!(pin.is_blocked());

        // One that was wrong is counted with those that did not unlock the vault.
        had_wrong(&folder, 1);
        let wrong = Passphrase::new("correct horses");
        assert_eq!(pin.check_passphrase(&wrong), Ok(PassphraseCheck::Wrong));
        let counted = std::fs::read(folder.path().join("device/tries.handfast")).unwrap();
        let counted = cbor::decode(&counted).unwrap().into_map().unwrap();
        assert_eq!(counted.int(3).and_then(Value::as_u64), Some(2));
        Answer::Refused
    });
}

#[test]
fn as_long_as_the_pin_has_tries_the_pass_phrase_is_no_answer() {
    let (mut phone, _folder) = phone();
    ask(&mut phone, |pin| {
        assert_eq!(pin.check("0000"), Ok(PinCheck::Wrong(TRIES - 1)));
        assert_eq!(
            pin.check_passphrase(&Passphrase::new(PHRASE)),
            Ok(PassphraseCheck::Wrong)
        );
        Answer::Refused
    });
    // Nor does it give tries back.
    assert_eq!(phone.device.pin_tries(), Some(TRIES - 1));
}

#[test]
fn another_header_in_the_folder_opens_nothing() {
    let (mut phone, folder) = phone();
    let other = vault(&folder, "other", "thief of folders");
    let header = "vault.handfast";
    let from = other.folder().join(header);
    std::fs::copy(from, phone.vault.folder().join(header)).unwrap();
    let thief = Passphrase::new("thief of folders");
    assert!(!phone.vault.opens_with(&thief).unwrap());
    // What was opened is still what it was.
    assert!(phone.vault.opens_with(&Passphrase::new(PHRASE)).unwrap());
    // The vault of the thief is not this device's, so that nothing else is answered, either.
    ask(&mut phone, |pin| {
        block(pin);
        assert_eq!(pin.check_passphrase(&thief), Ok(PassphraseCheck::Wrong));
        Answer::Refused
    });
}

#[test]
fn what_becomes_of_the_folder_meanwhile_does_not_matter() {
    let (mut phone, _folder) = phone();
    let header = phone.vault.folder().join("vault.handfast");
    let status = ask(&mut phone, |pin| {
        block(pin);
        std::fs::write(&header, b"damaged").unwrap();
        let phrase = Passphrase::new(PHRASE);
        assert_eq!(pin.check_passphrase(&phrase), Ok(PassphraseCheck::Right));
        Answer::Approved {
            account: 0,
            verified: true,
        }
    });
    assert_eq!(status, Status::OK);
    assert_eq!(phone.device.pin_tries(), Some(TRIES));
}
