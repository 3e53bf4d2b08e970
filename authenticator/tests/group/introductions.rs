//! What a phone knows of a computer that introduces itself.

use handfast_authenticator::device::{MachineId, introducer};
use handfast_authenticator::engine::{
    Answer, Authenticator, Computer, Introduced, Person, PinPad, Prompt, Session, Standing,
};
use handfast_authenticator::group;
use handfast_authenticator::passphrase::{Passphrase, Stretching};
use handfast_authenticator::vault::Vault;
use handfast_proto::cbor::Map;
use handfast_proto::cose::{Algorithm, SigningKey};
use handfast_proto::trust::entry::{Entry, Kind, SignedEntry};
use handfast_proto::trust::introduction::{Introducer, IntroductionError};
use handfast_proto::trust::join::Joiner;
use handfast_proto::trust::{DeviceKeys, Method};
use rand_core::OsRng;

use crate::device::{Device, SESSION, copy, join, machine, pair, sync};

/// The owner, who refuses and remembers who asked.
#[derive(Default)]
struct Told(Vec<Computer>);

impl Person for Told {
    fn ask(&mut self, _: &Prompt<'_>, computer: &Computer, _: &mut dyn PinPad) -> Answer {
        self.0.push(computer.clone());
        Answer::Refused
    }
}

impl Device {
    /// What this device says in the session that all tests have.
    fn introduction(&self) -> Vec<u8> {
        let Authenticator { vault, device } = &self.authenticator;
        device
            .keep_introducer(vault, &machine(), &mut OsRng)
            .unwrap();
        let kept = introducer(&self.home.join("device"), &machine());
        kept.unwrap().unwrap().introduce(&SESSION)
    }

    /// What the owner of this phone is told of who asks in this session.
    fn told_in(&mut self, session: &mut Session) -> Computer {
        let mut owner = Told::default();
        // authenticatorSelection: the shortest way to a question.
        let authenticator = &mut self.authenticator;
        authenticator.handle(session, &[0x0b], &mut owner, &mut OsRng, 100);
        owner.0.pop().unwrap()
    }

    /// What he is told of a computer that introduces itself so.
    fn told(&mut self, introduction: &[u8]) -> (Result<(), IntroductionError>, Computer) {
        let mut session = self.session(Method::HybridQr);
        let read = self.authenticator.introduce(&mut session, introduction);
        (read, self.told_in(&mut session))
    }
}

fn known(name: Option<&str>, standing: Standing) -> (Result<(), IntroductionError>, Computer) {
    let name = name.map(str::to_owned);
    let introduced = Introduced {
        name,
        standing,
        outdated: false,
    };
    (Ok(()), Computer::Introduced(introduced))
}

fn linked(method: Method) -> (tempfile::TempDir, Device, Device) {
    let (folder, mut phone, mut computer) = pair();
    join(&mut computer, &mut phone, method, 3).unwrap();
    sync(&mut phone, &mut computer);
    (folder, phone, computer)
}

#[test]
fn a_linked_computer_is_named_with_the_day_of_the_link() {
    for method in [Method::HybridQr, Method::Simulated] {
        let (_folder, mut phone, mut computer) = linked(method);
        let standing = Standing::Linked {
            since: 100,
            simulated: method == Method::Simulated,
        };
        let told = phone.told(&computer.introduction());
        assert_eq!(told, known(Some("computer"), standing));
        // And the other way round.
        let told = computer.told(&phone.introduction());
        assert_eq!(told, known(Some("first"), standing));
    }
}

#[test]
fn a_link_counts_before_any_file_sync() {
    let (_folder, mut phone, mut computer) = pair();
    join(&mut computer, &mut phone, Method::HybridQr, 3).unwrap();
    let standing = Standing::Linked {
        since: 100,
        simulated: false,
    };
    let told = phone.told(&computer.introduction());
    assert_eq!(told, known(Some("computer"), standing));
}

#[test]
fn a_computer_that_only_has_the_vault_is_told_from_a_linked_one() {
    let (_folder, mut phone, mut computer) = pair();
    let introduction = computer.introduction();
    let told = phone.told(&introduction);
    assert_eq!(told, known(None, Standing::Vault { since: None }));
    sync(&mut phone, &mut computer);
    let told = phone.told(&introduction);
    let standing = Standing::Vault { since: Some(1) };
    assert_eq!(told, known(Some("computer"), standing));
    // It is in a group, but in one of its own.
    computer.key(9);
    sync(&mut phone, &mut computer);
    assert_eq!(phone.told(&introduction), known(Some("computer"), standing));
}

#[test]
fn a_computer_that_was_put_out_is_not_called_linked() {
    let (_folder, mut phone, computer) = linked(Method::HybridQr);
    let introduction = computer.introduction();
    let vault = &mut phone.authenticator.vault;
    let entries: Vec<SignedEntry> = vault
        .group_files()
        .filter_map(|file| SignedEntry::parse(file).ok())
        .collect();
    let added = entries
        .iter()
        .find(|signed| signed.entry.kind == Kind::Add)
        .unwrap();
    let removal = Entry {
        kind: Kind::Remove,
        method: None,
        time: 200,
        parents: vec![added.hash()],
        ..added.entry.clone()
    };
    let removal = SignedEntry::sign(removal, phone.authenticator.device.keys());
    vault.publish(&removal.encode()).unwrap();
    let told = phone.told(&introduction);
    assert_eq!(told, known(Some("computer"), Standing::Removed));
}

#[test]
fn a_stranger_and_silence_are_the_same_to_the_owner() {
    let (_folder, mut phone, _) = pair();
    let mut silent = phone.session(Method::HybridQr);
    assert_eq!(phone.told_in(&mut silent), Computer::Unknown);
    let elsewhere = tempfile::tempdir().unwrap();
    let stranger = Device::first(elsewhere.path());
    let foreign = (Err(IntroductionError::Foreign), Computer::Unknown);
    assert_eq!(phone.told(&stranger.introduction()), foreign);
    for noise in [&[][..], &[0; 15], &[7; 380], &[1; 100_000]] {
        assert_eq!(phone.told(noise), foreign);
    }
}

#[test]
fn who_knows_the_vault_and_passes_for_a_linked_computer_is_called_an_impostor() {
    let (_folder, mut phone, computer) = linked(Method::HybridQr);
    let vault_key = phone.authenticator.vault.danger_vault_key();
    let thief = DeviceKeys::generate(&mut OsRng);
    let forged = forged(&phone, &computer, &thief);
    let told = phone.told(&forged);
    assert_eq!(
        told,
        (Err(IntroductionError::Certificate), Computer::Impostor)
    );
    // Under his own name he is one more device that has the vault.
    let his = Introducer::issue(&thief, &vault_key, &mut OsRng);
    let told = phone.told(&his.introduce(&SESSION));
    assert_eq!(told, known(None, Standing::Vault { since: None }));
    // What nobody can read may be a later version's.
    let told = phone.told(&sealed(&vault_key, &|map| map));
    assert_eq!(told, (Err(IntroductionError::Malformed), Computer::Unknown));
}

/// What a thief says with the vault's key, the computer's public key, and keys of his own.
fn forged(phone: &Device, computer: &Device, thief: &DeviceKeys) -> Vec<u8> {
    let vault_key = phone.authenticator.vault.danger_vault_key();
    let key = SigningKey::generate(Algorithm::Es256, &mut OsRng);
    let dsk = computer.authenticator.device.keys().dsk().public_key();
    let certificate = Map::new()
        .with(1, "tg-introducer/v1")
        .with(2, dsk.as_bytes())
        .with(3, key.public_key().as_bytes())
        .encode();
    let signed = Map::new()
        .with(1, "tg-introduction/v1")
        .with(2, SESSION)
        .encode();
    sealed(&vault_key, &|map| {
        map.with(1, certificate.as_slice())
            .with(2, thief.dsk().sign(&certificate))
            .with(3, key.sign(&signed))
            .with(4, [0; 20])
    })
}

/// Seals a map for the session that all tests have, by the standards' primitives alone.
fn sealed(vault_key: &[u8; 32], fill: &dyn Fn(Map) -> Map) -> Vec<u8> {
    use aes_gcm::aead::{Aead, KeyInit};
    use aes_gcm::{Aes256Gcm, Nonce};
    let derive = |salt: &[u8], secret: &[u8], purpose: &[u8]| {
        let mut key = [0; 32];
        let hkdf = hkdf::Hkdf::<sha2::Sha256>::new(Some(salt), secret);
        hkdf.expand(purpose, &mut key).unwrap();
        key
    };
    let key = derive(&[], vault_key, b"tg-introduction-key/v1");
    let key = derive(&SESSION, &key, b"tg-introduction/v1");
    let plaintext = fill(Map::new()).encode();
    let cipher = Aes256Gcm::new(&key.into());
    cipher
        .encrypt(Nonce::from_slice(&[0; 12]), plaintext.as_slice())
        .unwrap()
}

#[test]
fn only_the_first_introduction_of_a_session_counts() {
    let (folder, mut phone, computer) = linked(Method::HybridQr);
    let third = Device::further(folder.path(), "third", &phone);
    let mut session = phone.session(Method::HybridQr);
    let authenticator = &phone.authenticator;
    let first = authenticator.introduce(&mut session, &third.introduction());
    assert_eq!(first, Ok(()));
    let second = authenticator.introduce(&mut session, &computer.introduction());
    assert_eq!(second, Err(IntroductionError::Repeated));
    let (_, expected) = known(None, Standing::Vault { since: None });
    assert_eq!(phone.told_in(&mut session), expected);
    // Nor does one after a failed attempt.
    let mut session = phone.session(Method::HybridQr);
    let authenticator = &phone.authenticator;
    let noise = authenticator.introduce(&mut session, &[0; 380]);
    assert_eq!(noise, Err(IntroductionError::Foreign));
    let second = authenticator.introduce(&mut session, &computer.introduction());
    assert_eq!(second, Err(IntroductionError::Repeated));
    assert_eq!(phone.told_in(&mut session), Computer::Unknown);
}

#[test]
fn an_introduction_of_another_session_is_not_heard() {
    let (_folder, mut phone, computer) = linked(Method::HybridQr);
    computer.introduction();
    let kept = introducer(&computer.home.join("device"), &machine()).unwrap();
    let elsewhere = kept.unwrap().introduce(&[8; 32]);
    let foreign = (Err(IntroductionError::Foreign), Computer::Unknown);
    assert_eq!(phone.told(&elsewhere), foreign);
}

#[test]
fn what_has_this_devices_own_keys_is_called_that() {
    let (_folder, mut phone, _) = pair();
    let told = phone.told(&phone.introduction());
    assert_eq!(told, known(Some("first"), Standing::Own));
}

#[test]
fn a_simulated_link_anywhere_on_the_way_is_not_forgotten() {
    let (folder, mut phone, mut first) = linked(Method::Simulated);
    let mut second = Device::further(folder.path(), "second", &phone);
    join(&mut second, &mut first, Method::HybridQr, 3).unwrap();
    sync(&mut first, &mut second);
    sync(&mut first, &mut phone);
    let standing = Standing::Linked {
        since: 100,
        simulated: true,
    };
    let told = phone.told(&second.introduction());
    assert_eq!(told, known(Some("second"), standing));
}

#[test]
fn who_introduced_himself_as_another_does_not_join() {
    let (folder, mut phone, mut computer) = linked(Method::HybridQr);
    let third = Device::further(folder.path(), "third", &phone);
    let thief = DeviceKeys::generate(&mut OsRng);
    for (introduction, joins) in [
        (computer.introduction(), false),
        (third.introduction(), true),
        (forged(&phone, &computer, &thief), false),
        (vec![0; 380], true),
    ] {
        let mut session = phone.session(Method::HybridQr);
        let _ = phone.authenticator.introduce(&mut session, &introduction);
        let Authenticator { vault, device } = &third.authenticator;
        let member = vault.member_key();
        let config = group::join_config(vault, device, &member, Method::HybridQr);
        let (joiner, request) = Joiner::start(&config, SESSION, &mut OsRng);
        let offered = joiner.handle_offer(&phone.ask(&mut session, &request), &config);
        assert_eq!(offered.is_ok(), joins);
    }
    computer.refresh();
}

#[test]
fn a_new_key_of_the_vault_makes_nobody_a_stranger_and_what_was_stolen_outdated() {
    let (_folder, mut phone, mut computer) = linked(Method::HybridQr);
    let introduction = computer.introduction();
    let late = phone.again();
    let new = Passphrase::new("another phrase for it");
    let vault = &mut phone.authenticator.vault;
    vault.rekey(&new, Stretching::LEAST, &mut OsRng).unwrap();
    let standing = Standing::Linked {
        since: 100,
        simulated: false,
    };
    // The computer has not heard of it yet, or it is who stole what introduces it.
    let outdated = phone.told(&introduction);
    assert!(matches!(
        outdated,
        (Ok(()), Computer::Introduced(Introduced { outdated: true, standing: as_before, .. }))
            if as_before == standing
    ));
    let told = known(Some("computer"), standing);
    copy(&phone.vault(), &computer.vault());
    computer.authenticator.vault = Vault::open(&computer.vault(), &new).unwrap();
    let renewed = computer.introduction();
    assert_ne!(renewed, introduction);
    assert_eq!(phone.told(&renewed), told);
    // Only a phone that still has the vault open under the old key cannot read it.
    let mut session = phone.session(Method::HybridQr);
    let read = late.introduce(&mut session, &renewed);
    assert_eq!(read, Err(IntroductionError::Foreign));
}

#[test]
fn an_introducer_is_made_once_and_again_where_it_is_of_no_use() {
    let (_folder, phone, computer) = pair();
    let path = computer.home.join("device/introducer.handfast");
    let Authenticator { vault, device } = &computer.authenticator;
    let keep = || device.keep_introducer(vault, &machine(), &mut OsRng);
    let read = || introducer(&computer.home.join("device"), &machine());
    assert!(matches!(read(), Ok(None)));
    keep().unwrap();
    let first = std::fs::read(&path).unwrap();
    keep().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), first);
    let is_ours = || read().is_ok_and(|it| it.is_some_and(|it| it.device() == device.id()));
    assert!(is_ours());
    // Another device's, a damaged one, and none that a file could be.
    let others = phone.home.join("device/introducer.handfast");
    phone.introduction();
    for wrong in [
        std::fs::read(others).unwrap(),
        first[..100].to_vec(),
        Vec::new(),
    ] {
        std::fs::write(&path, wrong).unwrap();
        assert!(!is_ours());
        keep().unwrap();
        assert!(is_ours());
    }
}

#[test]
fn an_independent_implementations_file_is_read() {
    let vectors = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/introduction.json");
    let vectors = std::fs::read_to_string(vectors).unwrap();
    let vectors: serde_json::Value = serde_json::from_str(&vectors).unwrap();
    let bytes = |value: &serde_json::Value| {
        let hex = value.as_str().unwrap();
        let digits = (0..hex.len()).step_by(2);
        let bytes = digits.map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
        bytes.collect::<Vec<u8>>()
    };
    let (folder, file) = (tempfile::tempdir().unwrap(), &vectors["file"]);
    let path = folder.path().join("introducer.handfast");
    std::fs::write(&path, bytes(&file["file"])).unwrap();
    let machine = MachineId::from_bytes(file["machine_id"].as_str().unwrap().as_bytes());
    let kept = introducer(folder.path(), &machine).unwrap().unwrap();
    assert_eq!(kept.device().0.to_vec(), bytes(&vectors["device_id"]));
    let session = bytes(&vectors["session"]).try_into().unwrap();
    assert_eq!(kept.introduce(&session), bytes(&vectors["introduction"]));
}

#[test]
fn an_introducer_that_was_copied_to_another_machine_is_refused_there() {
    let (_folder, _, computer) = pair();
    computer.introduction();
    let folder = computer.home.join("device");
    let elsewhere = MachineId::from_bytes(b"elsewhere");
    let copied = introducer(&folder, &elsewhere).unwrap_err().to_string();
    assert!(copied.contains("another machine"), "{copied}");
}

#[test]
fn an_introducer_of_a_newer_version_is_left_as_it_is() {
    let (_folder, _, computer) = pair();
    let path = computer.home.join("device/introducer.handfast");
    let newer = Map::new()
        .with(1, "handfast-introducer")
        .with(2, 2)
        .encode();
    std::fs::write(&path, &newer).unwrap();
    let Authenticator { vault, device } = &computer.authenticator;
    assert!(
        device
            .keep_introducer(vault, &machine(), &mut OsRng)
            .is_err()
    );
    assert_eq!(std::fs::read(&path).unwrap(), newer);
}
