//! Linking: the number is confirmed here in time, or nothing happens.

use std::process::Command;

use handfast_demo::stage::PATIENCE;

use super::*;

/// A phone, and a computer in its vault but in no group, which shows the number.
pub(super) fn number_shown(stage: &Stage, options: &[&str]) -> (Process, Process) {
    let phone = phone(stage, "phone");
    let computer = stage.home("computer", PASSPHRASE, PIN).unwrap();
    std::fs::create_dir_all(computer.folder()).unwrap();
    let mut copy = Command::new("cp");
    copy.arg("-r").arg(phone.vault()).arg(computer.vault());
    assert!(copy.status().unwrap().success());
    let joined = handfast(stage, &computer, &["vault", "join"], "");
    assert_eq!(joined.code, 0, "{}", joined.err);

    let mut ready = start(stage, Program::Phone, &phone, &["run", "--json"]);
    ready.event("ready").unwrap();
    let arguments = [&["link", "--qr-url", "--json"], options].concat();
    let mut desktop = start(stage, Program::Desktop, &computer, &arguments);
    let url = desktop.event("qr").unwrap();
    ready.say(url["url"].as_str().unwrap()).unwrap();
    let shown = desktop.event("confirm-code").unwrap();
    assert_eq!(shown["code"].as_str().unwrap().len(), 6);
    (ready, desktop)
}

#[test]
fn a_number_that_nobody_confirms_lapses_and_the_phone_is_not_asked() {
    let stage = stage();
    let (mut phone, desktop) = number_shown(&stage, &["--timeout", "3"]);
    let finished = desktop.finish(PATIENCE).unwrap();
    assert_eq!(finished.code, 4, "{}", finished.err);
    let last = events(&finished).pop().unwrap();
    assert!(
        last["message"].as_str().unwrap().contains("3 seconds"),
        "{last}"
    );
    phone.event("done").unwrap();
    let asked = phone.said().iter().any(|line| line.text.contains("prompt"));
    assert!(!asked, "{:?}", phone.said());
}

#[test]
fn a_number_that_is_not_confirmed_links_nothing() {
    let stage = stage();
    let (_phone, mut desktop) = number_shown(&stage, &[]);
    desktop.say("n").unwrap();
    let finished = desktop.finish(PATIENCE).unwrap();
    assert_eq!(finished.code, 3, "{}", finished.err);
}

#[test]
fn a_pin_that_is_typed_too_early_is_no_refusal() {
    let stage = stage();
    let (mut phone, mut desktop) = number_shown(&stage, &[]);
    desktop.say("y").unwrap();
    let prompt = phone.event("prompt").unwrap();
    assert_eq!(prompt["kind"], "join");
    phone.say(PIN).unwrap();
    phone.event("neither-yes-nor-no").unwrap();
    phone.say("n").unwrap();
    let finished = desktop.finish(PATIENCE).unwrap();
    assert_eq!(finished.code, 3, "{}", finished.err);
}

#[test]
fn a_phone_that_leaves_while_the_number_is_shown_is_noticed_at_once() {
    let stage = stage();
    let (mut phone, desktop) = number_shown(&stage, &[]);
    phone.kill();
    let finished = desktop.finish(PATIENCE).unwrap();
    assert_eq!(finished.code, 1, "{}", finished.err);
    let last = events(&finished).pop().unwrap();
    assert!(last["message"].as_str().unwrap().contains("left"), "{last}");
}
