use std::path::{Path, PathBuf};

use rand_core::OsRng;
use zeroize::Zeroizing;

use super::*;
use crate::console::{init, join};
use crate::device::Tries;
use crate::passphrase::{Passphrase, Stretching};

const PASSPHRASE: &str = "copper lantern orbit";

/// A person who types the pass phrase, wants no PIN, and remembers what was said and asked.
struct Owner {
    passphrase: &'static str,
    said: Vec<String>,
    asked: usize,
}

impl Owner {
    fn new() -> Self {
        Self {
            passphrase: PASSPHRASE,
            said: Vec::new(),
            asked: 0,
        }
    }
}

impl Secrets for Owner {
    fn ask(&mut self, question: &str) -> Option<Zeroizing<String>> {
        if question.contains("PIN") {
            return None;
        }
        self.asked += 1;
        Some(Zeroizing::new(self.passphrase.to_owned()))
    }

    fn say(&mut self, words: &str) {
        self.said.push(words.to_owned());
    }

    fn propose(&mut self, _words: &str) {}
}

/// A device and a stick.
struct Desk {
    folder: tempfile::TempDir,
    home: Home,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = Home {
            vault: folder.path().join("vault"),
            device: folder.path().join("device"),
        };
        fs::create_dir(folder.path().join("stick")).unwrap();
        init(&home, None, true, &mut Owner::new()).unwrap();
        Self { folder, home }
    }

    fn with_key_file() -> Self {
        let desk = Self::new();
        desk.set_up(&desk.key()).unwrap();
        desk
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("stick/key")
    }

    fn set_up(&self, key: &Path) -> Result<String, Failure> {
        let with = UnlockWith::KeyFile(key.to_owned());
        unlock_with(&self.home, with, &mut Owner::new())
    }

    /// Opens, and returns what was said; the pass phrase is asked for if anything was.
    fn opened(&self) -> String {
        let mut owner = Owner::new();
        open(&self.home, &mut owner).unwrap();
        assert_eq!(owner.asked, owner.said.len().min(1), "{:?}", owner.said);
        owner.said.join("\n")
    }
}

#[test]
fn a_key_file_opens_without_the_pass_phrase_and_only_while_it_is_there() {
    let desk = Desk::with_key_file();
    assert_eq!(desk.opened(), "");
    assert!(unlock_state(&desk.home).works());
    let away = desk.key().with_file_name("away");
    fs::rename(desk.key(), &away).unwrap();
    assert!(desk.opened().contains("is not there"));
    assert!(!unlock_state(&desk.home).works());
    fs::rename(away, desk.key()).unwrap();
    assert_eq!(desk.opened(), "");
}

#[test]
fn a_false_key_file_or_record_is_told_in_a_sentence_and_the_pass_phrase_works() {
    let desk = Desk::with_key_file();
    let whole = fs::read(desk.key()).unwrap();
    fs::write(desk.key(), b"something else").unwrap();
    assert!(desk.opened().contains("is no key file"));
    let other = Desk::with_key_file();
    fs::copy(other.key(), desk.key()).unwrap();
    assert!(
        desk.opened()
            .contains("is not the key file that this device")
    );
    fs::write(desk.key(), &whole).unwrap();
    let record = Record::path(&desk.home.device);
    let before = fs::read(&record).unwrap();
    fs::write(&record, &before[..40]).unwrap();
    assert!(desk.opened().contains("damaged"));
    fs::copy(Record::path(&other.home.device), &record).unwrap();
    assert!(!desk.opened().is_empty());
    fs::write(&record, before).unwrap();
    assert_eq!(desk.opened(), "");
}

#[test]
fn a_wrong_pass_phrase_sets_nothing_up_and_leaves_what_was() {
    let desk = Desk::new();
    let mut stranger = Owner {
        passphrase: "guessed it",
        ..Owner::new()
    };
    let with = UnlockWith::KeyFile(desk.key());
    unlock_with(&desk.home, with, &mut stranger).unwrap_err();
    assert!(!desk.key().exists());
    desk.set_up(&desk.key()).unwrap();
    unlock_with(&desk.home, UnlockWith::Passphrase, &mut stranger).unwrap_err();
    assert_eq!(desk.opened(), "");
}

#[test]
fn what_lies_beside_the_vault_or_is_something_else_is_no_place_for_a_key() {
    let desk = Desk::new();
    for folder in [&desk.home.vault, &desk.home.device] {
        let failure = desk.set_up(&folder.join("key")).unwrap_err();
        assert!(failure.what().contains("beside"), "{}", failure.what());
        let link = desk.folder.path().join("stick/link");
        std::os::unix::fs::symlink(folder, &link).unwrap();
        desk.set_up(&link.join("key")).unwrap_err();
        fs::remove_file(link).unwrap();
    }
    desk.set_up(&desk.folder.path().join("nowhere/key"))
        .unwrap_err();
    desk.set_up(Path::new("/")).unwrap_err();
    fs::write(desk.key(), "a letter").unwrap();
    desk.set_up(&desk.key()).unwrap_err();
    assert_eq!(fs::read(desk.key()).unwrap(), b"a letter");
    assert!(Record::read(&desk.home.device).unwrap().is_none());
}

#[test]
fn one_stick_opens_two_devices_and_forgets_none_of_them() {
    let desk = Desk::with_key_file();
    let second = Home {
        vault: desk.home.vault.clone(),
        device: desk.folder.path().join("second"),
    };
    join(&second, None, &mut Owner::new()).unwrap();
    let with = UnlockWith::KeyFile(desk.key());
    let said = unlock_with(&second, with, &mut Owner::new()).unwrap();
    assert!(said.contains("was there already"), "{said}");
    let mut owner = Owner::new();
    open(&second, &mut owner).unwrap();
    assert_eq!(owner.asked, 0);
    unlock_with(&second, UnlockWith::Passphrase, &mut Owner::new()).unwrap();
    open(&second, &mut owner).unwrap();
    assert_eq!(owner.asked, 1);
    assert_eq!(desk.opened(), "");
}

#[test]
fn a_changed_pass_phrase_changes_nothing_for_a_key_file() {
    let desk = Desk::with_key_file();
    let mut vault = Vault::open(&desk.home.vault, &Passphrase::new(PASSPHRASE)).unwrap();
    let another = Passphrase::new("another pass phrase");
    vault
        .change_passphrase(&another, Stretching::LEAST, &mut OsRng)
        .unwrap();
    assert_eq!(desk.opened(), "");
    let mut owner = Owner::new();
    fs::remove_file(desk.key()).unwrap();
    assert!(open(&desk.home, &mut owner).is_err(), "the old one is gone");
}

#[test]
fn a_new_vault_key_of_another_device_is_noticed_told_and_needs_the_pass_phrase_once() {
    let desk = Desk::with_key_file();
    let mut elsewhere = Vault::open(&desk.home.vault, &Passphrase::new(PASSPHRASE)).unwrap();
    let same = Passphrase::new(PASSPHRASE);
    elsewhere
        .rekey(&same, Stretching::LEAST, &mut OsRng)
        .unwrap();
    let mut owner = Owner::new();
    open(&desk.home, &mut owner).unwrap();
    assert_eq!(
        owner.said,
        [
            "The pass phrase is needed: the vault's key was changed.",
            "From now on this device is unlocked as before."
        ]
    );
    assert_eq!(owner.asked, 1);
    assert_eq!(desk.opened(), "");
}

#[test]
fn a_way_of_a_former_key_is_sealed_again_under_the_new_one() {
    let desk = Desk::with_key_file();
    let machine = MachineId::of_this_machine().unwrap();
    let record = Record::read(&desk.home.device).unwrap().unwrap();
    let secret = fetch(&record.way, false).unwrap();
    let vault = open(&desk.home, &mut Owner::new()).unwrap().vault;
    let former = (vault.id(), &[7; 32]);
    let device = &desk.home.device;
    Record::write(device, record.way, &secret, former, &machine, &mut OsRng).unwrap();
    let said = desk.opened();
    assert!(said.contains("key was changed"), "{said}");
    assert!(said.contains("unlocked as before"), "{said}");
    assert_eq!(desk.opened(), "");
}

#[test]
fn after_a_few_wrong_pass_phrases_even_the_question_waits() {
    let desk = Desk::new();
    let mut stranger = Owner {
        passphrase: "guessed it",
        ..Owner::new()
    };
    let wrong = open(&desk.home, &mut stranger).unwrap_err().what();
    assert!(wrong.contains("is wrong"), "{wrong}");
    assert_eq!(stranger.asked, 3);
    // After the fifth it is a second, which may be over before it is looked at; after these, a minute.
    Tries::of(&desk.home.device).pretend(20);
    let waits = open(&desk.home, &mut stranger).unwrap_err().what();
    assert!(waits.contains("has to wait"), "{waits}");
    assert_eq!(stranger.asked, 3);
    let mut owner = Owner::new();
    assert!(open(&desk.home, &mut owner).is_err());
    assert_eq!(owner.asked, 0);
    // Whoever may write here may also remove it.
    fs::remove_file(desk.home.device.join("tries.handfast")).unwrap();
    open(&desk.home, &mut owner).unwrap();
}
