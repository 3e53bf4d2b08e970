use std::cell::RefCell;

use handfast_transport::radio::Radio;
use rand_core::OsRng;
use zeroize::Zeroizing;

use super::*;
use crate::console::{self, Secrets};
use crate::home::Home;
use crate::passphrase::{Passphrase, Stretching};
use crate::vault::Vault;

/// A person who knows the pass phrase and wants no PIN.
struct Owner;

impl Secrets for Owner {
    fn ask(&mut self, question: &str) -> Option<Zeroizing<String>> {
        let knows = !question.contains("PIN");
        let line = if knows { "copper lantern orbit" } else { "" };
        Some(Zeroizing::new(line.to_owned()))
    }

    fn say(&mut self, _words: &str) {}

    fn propose(&mut self, _words: &str) {}
}

fn phone(folder: &tempfile::TempDir) -> (Home, Phone) {
    let home = Home {
        vault: folder.path().join("vault"),
        device: folder.path().join("device"),
    };
    let authenticator = console::init(&home, None, true, &mut Owner).unwrap();
    let radio = Radio::parse("simulated", None, || folder.path().join("air")).unwrap();
    let phone = Phone {
        authenticator: Some(authenticator),
        radio,
        relay: None,
        ble: false,
        patience: Duration::from_secs(1),
    };
    (home, phone)
}

fn line(text: &str) -> Typed {
    Typed::Line(Zeroizing::new(text.to_owned()))
}

#[test]
fn a_device_that_is_left_alone_has_no_vault_in_memory_and_the_next_code_unlocks_it() {
    let folder = tempfile::tempdir().unwrap();
    let (home, mut phone) = phone(&folder);
    let told = RefCell::new(Vec::new());
    // What comes, the last first; nothing in time is a deadline that passed.
    let mut coming = vec![
        line("third"),
        line("second"),
        Typed::TimedOut,
        line("first"),
    ];
    let desk = Desk {
        voice: Voice::Words,
        lock_after: parse_minutes("15").unwrap(),
        next: &mut |patience| {
            told.borrow_mut().push(format!("waits {patience:?}"));
            coming.pop().unwrap_or(Typed::End)
        },
        unlock: &mut || {
            told.borrow_mut().push("unlocks".to_owned());
            console::open(&home, &mut Owner)
        },
        answer: &mut |phone, line| {
            assert!(phone.authenticator.is_some());
            told.borrow_mut().push(format!("answers {line}"));
            Ok(())
        },
    };
    answer_all(&mut phone, desk);
    assert_eq!(
        *told.borrow(),
        [
            "waits Some(900s)",
            "answers first",
            "waits Some(900s)",
            "waits None",
            "unlocks",
            "answers second",
            "waits Some(900s)",
            "answers third",
            "waits Some(900s)",
        ]
    );
}

#[test]
fn a_vault_that_another_device_gave_another_pass_phrase_is_unlocked_with_that() {
    let folder = tempfile::tempdir().unwrap();
    let (home, mut phone) = phone(&folder);
    let words = Passphrase::new("copper lantern orbit");
    let mut elsewhere = Vault::open(&home.vault, &words).unwrap();
    let mut coming = vec![line("third"), line("second"), line("first")];
    let told = RefCell::new(Vec::new());
    let desk = Desk {
        voice: Voice::Words,
        lock_after: parse_minutes("15").unwrap(),
        next: &mut |_| coming.pop().unwrap_or(Typed::End),
        unlock: &mut || {
            told.borrow_mut().push("unlocks".to_owned());
            console::open(&home, &mut Owner)
        },
        answer: &mut |phone, line| {
            told.borrow_mut().push(format!("answers {line}"));
            let key = |vault: &Vault| vault.danger_vault_key();
            let ours = phone.authenticator.as_ref().map(|it| key(&it.vault));
            assert_eq!(ours, Some(key(&elsewhere)));
            if line == "first" {
                elsewhere
                    .rekey(&words, Stretching::LEAST, &mut OsRng)
                    .unwrap();
            }
            Ok(())
        },
    };
    answer_all(&mut phone, desk);
    let told = told.into_inner();
    assert_eq!(
        told,
        [
            "answers first",
            "unlocks",
            "answers second",
            "answers third"
        ]
    );
}

#[test]
fn a_header_that_somebody_put_there_locks_nobody_out_of_what_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let (home, mut phone) = phone(&folder);
    let words = Passphrase::new("copper lantern orbit");
    let mut elsewhere = Vault::open(&home.vault, &words).unwrap();
    let before = std::fs::read(home.vault.join("vault.handfast")).unwrap();
    let other = Passphrase::new("somebody else's");
    elsewhere
        .change_passphrase(&other, Stretching::LEAST, &mut OsRng)
        .unwrap();
    let usual = home.vault.join("vault.handfast");
    std::fs::rename(&usual, home.vault.join("forged.handfast")).unwrap();
    std::fs::write(&usual, before).unwrap();
    let mut coming = vec![line("second"), line("first")];
    let mut answered = 0;
    let desk = Desk {
        voice: Voice::Words,
        lock_after: parse_minutes("15").unwrap(),
        next: &mut |_| coming.pop().unwrap_or(Typed::End),
        unlock: &mut || console::open(&home, &mut Owner),
        answer: &mut |phone, _| {
            assert!(phone.authenticator.is_some());
            answered += 1;
            Ok(())
        },
    };
    answer_all(&mut phone, desk);
    assert_eq!(answered, 2);
}

#[test]
fn a_device_that_is_not_unlocked_answers_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (_, mut phone) = phone(&folder);
    let mut coming = vec![line("code"), line("code"), Typed::TimedOut];
    let mut asked = 0;
    let desk = Desk {
        voice: Voice::Words,
        lock_after: parse_minutes("0.5").unwrap(),
        next: &mut |_| coming.pop().unwrap_or(Typed::End),
        unlock: &mut || {
            asked += 1;
            Err(Failure::new("the pass phrase is wrong"))
        },
        answer: &mut |_, _| panic!("a locked device answered"),
    };
    answer_all(&mut phone, desk);
    assert_eq!(asked, 2);
    assert!(phone.authenticator.is_none());
}

#[test]
fn a_device_that_never_locks_waits_without_end() {
    let folder = tempfile::tempdir().unwrap();
    let (_, mut phone) = phone(&folder);
    let mut waits = Vec::new();
    let desk = Desk {
        voice: Voice::Words,
        lock_after: parse_minutes("0").unwrap(),
        next: &mut |patience| {
            waits.push(patience);
            Typed::End
        },
        unlock: &mut || panic!("it was never locked"),
        answer: &mut |_, _| Ok(()),
    };
    answer_all(&mut phone, desk);
    assert_eq!(waits, [None]);
    assert!(phone.authenticator.is_some());
}

#[test]
fn minutes_are_sane() {
    for text in ["", "-1", "NaN", "inf", "1e9", "10081", "a"] {
        assert!(parse_minutes(text).is_err(), "{text}");
    }
    let half = parse_minutes("0.5").unwrap();
    assert_eq!(half.patience(), Some(Duration::from_secs(30)));
}
