use std::collections::VecDeque;

use rand_core::OsRng;
use zeroize::Zeroizing;

use super::{Secrets, new_passphrase, new_pin, open_vault};
use crate::home::Home;
use crate::passphrase::{Passphrase, Stretching};
use crate::vault::{InitOptions, Vault};

/// Stands for the words that were proposed.
const PROPOSED: &str = "(the words)";

/// A person who types these lines and then leaves.
struct Person {
    asked: Vec<String>,
    lines: VecDeque<&'static str>,
    proposed: String,
}

impl Person {
    fn typing(lines: &[&'static str]) -> Self {
        Self {
            asked: Vec::new(),
            lines: lines.iter().copied().collect(),
            proposed: String::new(),
        }
    }
}

impl Secrets for Person {
    fn ask(&mut self, question: &str) -> Option<Zeroizing<String>> {
        self.asked.push(question.to_owned());
        let line = self.lines.pop_front()?;
        Some(Zeroizing::new(line.replace(PROPOSED, &self.proposed)))
    }

    fn say(&mut self, _words: &str) {}

    fn propose(&mut self, words: &str) {
        words.clone_into(&mut self.proposed);
    }
}

#[test]
fn a_mistyped_pin_is_asked_for_again_and_the_reason_is_told() {
    let mut person = Person::typing(&["12", "2718", "2817", "2718", "2718"]);
    assert!(new_pin(&mut person).unwrap().is_some());
    let questions: Vec<_> = person.asked.iter().map(String::as_str).collect();
    assert!(!questions[0].contains('\n'));
    assert!(questions[1].contains("4"), "{questions:?}");
    assert!(
        questions[3].starts_with("The two PINs are not the same.\n"),
        "{questions:?}"
    );
}

#[test]
fn who_chooses_a_pin_may_mistype_it_as_often_as_he_likes() {
    let mut person = Person::typing(&["12", "12", "12", "2718", "2", "12", "2718", "2718"]);
    assert!(new_pin(&mut person).unwrap().is_some());
    assert_eq!(person.asked.len(), 8);
}

#[test]
fn an_own_pass_phrase_is_typed_twice_and_the_proposed_words_once() {
    let mut person = Person::typing(&[PROPOSED]);
    new_passphrase(&mut person).unwrap();
    assert_eq!(person.asked.len(), 1);

    let own = "a phrase of my own";
    let mut person = Person::typing(&["short", own, "a phrase of my won", own, own]);
    new_passphrase(&mut person).unwrap();
    assert_eq!(person.asked.len(), 5);
    let why = &person.asked[3];
    assert!(
        why.starts_with("The two pass phrases are not the same.\n"),
        "{why}"
    );

    // Mistyped words are no pass phrase of his own yet.
    let mut person = Person::typing(&["(the words) ", PROPOSED, PROPOSED]);
    new_passphrase(&mut person).unwrap();
    assert_eq!(person.asked.len(), 3);
    assert!(person.asked[1].contains("not the words above"));

    // What types without end is no person.
    let mut pipe = Person::typing(&["short"; 100]);
    assert_eq!(new_passphrase(&mut pipe).unwrap_err().code(), 2);
    assert!(pipe.asked.len() < 100);
}

#[test]
fn who_leaves_has_chosen_no_pass_phrase() {
    for lines in [&["a phrase of my own"][..], &["short"][..], &[][..]] {
        let failure = new_passphrase(&mut Person::typing(lines)).unwrap_err();
        assert_eq!(failure.code(), 2, "{lines:?}");
    }
}

#[test]
fn who_leaves_after_a_mistyped_pin_has_not_chosen_to_have_none() {
    for lines in [&["2718", "2817"][..], &["2718"][..], &["12"][..]] {
        let failure = new_pin(&mut Person::typing(lines)).unwrap_err();
        assert_eq!(failure.code(), 2, "{lines:?}");
    }
}

#[test]
fn who_types_no_pin_has_none() {
    assert!(new_pin(&mut Person::typing(&[""])).unwrap().is_none());
    assert!(new_pin(&mut Person::typing(&[])).unwrap().is_none());
}

#[test]
fn a_wrong_pass_phrase_is_asked_for_again_three_times_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home {
        vault: folder.path().join("vault"),
        device: folder.path().join("device"),
    };
    let folder = &home.vault;
    let options = InitOptions {
        for_tests: true,
        stretching: Stretching::LEAST,
    };
    Vault::init(folder, &Passphrase::new("right"), options, &mut OsRng).unwrap();
    let mut person = Person::typing(&["wrong", "right"]);
    open_vault(&home, &mut person).unwrap();
    assert_eq!(person.asked.len(), 2);
    assert!(
        person.asked[1].contains("pass phrase is wrong"),
        "{:?}",
        person.asked
    );
    let mut stubborn = Person::typing(&["wrong", "wrong", "wrong", "right"]);
    assert!(open_vault(&home, &mut stubborn).is_err());
    assert_eq!(stubborn.asked.len(), 3);
    // What no pass phrase could mend is told before one is asked for.
    let mut person = Person::typing(&["right", "right"]);
    std::fs::write(folder.join("vault.handfast"), b"damaged").unwrap();
    assert!(open_vault(&home, &mut person).is_err());
    assert!(person.asked.is_empty());
}
