//! A computer is known to the phone that it asks, by what it is and not by what it says.

use handfast_demo::stage::PATIENCE;

use super::link::number_shown;
use super::*;

/// What the phone's owner is told when a computer asks for a passkey; he makes it.
fn asked(stage: &Stage, phone: &mut Process, computer: &Home) -> Value {
    let arguments = ["create", "--origin", ORIGIN, "--qr-url", "--json"];
    let mut desktop = start(stage, Program::Desktop, computer, &arguments);
    desktop.say(&CREATE.replace('\n', "")).unwrap();
    desktop.close_input();
    let url = desktop.event("qr").unwrap();
    phone.say(url["url"].as_str().unwrap()).unwrap();
    let prompt = phone.event("prompt").unwrap();
    phone.say("y").unwrap();
    let finished = desktop.finish(PATIENCE).unwrap();
    assert_eq!(finished.code, 0, "{}", finished.err);
    let doubts = events(&finished);
    let doubts = doubts
        .iter()
        .filter(|event| event["event"] == "not-introduced");
    let is_broken = std::fs::read(computer.device().join("introducer.handfast"))
        .is_ok_and(|kept| kept == b"nonsense");
    assert_eq!(doubts.count() == 1, is_broken);
    phone.event("done").unwrap();
    prompt
}

/// Copies what one vault has and the other has not, as a file sync does.
fn sync(from: &Home, to: &Home) {
    let mut copy = Command::new("cp");
    copy.arg("-rn").arg(from.vault().join(".")).arg(to.vault());
    assert!(copy.status().unwrap().success());
}

#[test]
fn a_phone_tells_its_owner_which_computer_asks() {
    let stage = stage();
    let (mut phone, mut desktop) = number_shown(&stage, &[]);
    let [home, computer, stranger] =
        ["phone", "computer", "stranger"].map(|name| stage.home(name, PASSPHRASE, PIN).unwrap());
    // In the vault, and nothing more; the phone has not heard of it.
    desktop.kill();
    phone.event("done").unwrap();
    let prompt = asked(&stage, &mut phone, &computer);
    assert_eq!(prompt["computer"], "in-vault");
    assert_eq!(prompt["computer_name"], Value::Null);
    sync(&computer, &home);
    let prompt = asked(&stage, &mut phone, &computer);
    assert_eq!(prompt["computer"], "in-vault");
    let name = prompt["computer_name"].as_str().unwrap().to_owned();
    assert!(!name.is_empty() && prompt["computer_since"].as_u64().unwrap() > 1_700_000_000);

    // A computer that has no vault, and one that has another.
    assert_eq!(asked(&stage, &mut phone, &stranger)["computer"], "unknown");
    let other = handfast(&stage, &stranger, &["vault", "init"], "");
    assert_eq!(other.code, 0, "{}", other.err);
    assert_eq!(asked(&stage, &mut phone, &stranger)["computer"], "unknown");

    let link = ["link", "--qr-url", "--json"];
    let mut desktop = start(&stage, Program::Desktop, &computer, &link);
    let url = desktop.event("qr").unwrap();
    phone.say(url["url"].as_str().unwrap()).unwrap();
    desktop.event("confirm-code").unwrap();
    desktop.say("y").unwrap();
    phone.event("prompt").unwrap();
    phone.say("y").unwrap();
    assert_eq!(desktop.finish(PATIENCE).unwrap().code, 0);
    phone.event("done").unwrap();
    let prompt = asked(&stage, &mut phone, &computer);
    assert_eq!(prompt["computer"], "linked");
    assert_eq!(prompt["computer_name"], name);
    assert_eq!(prompt["computer_simulated"], true);
    assert_eq!(asked(&stage, &mut phone, &stranger)["computer"], "unknown");
}

#[test]
fn what_is_wrong_with_its_introducer_keeps_no_computer_from_asking() {
    let stage = stage();
    let (mut phone, mut desktop) = number_shown(&stage, &[]);
    desktop.kill();
    phone.event("done").unwrap();
    let computer = stage.home("computer", PASSPHRASE, PIN).unwrap();
    let kept = computer.device().join("introducer.handfast");
    std::fs::write(&kept, b"nonsense").unwrap();
    assert_eq!(asked(&stage, &mut phone, &computer)["computer"], "unknown");
    assert_eq!(introduction(&stage, &computer), "bad");
    // The next time that the vault is opened here, there is a new one.
    let status = handfast(&stage, &computer, &["vault", "status"], "");
    assert_eq!(status.code, 0, "{}", status.err);
    assert_eq!(introduction(&stage, &computer), "good");
    assert_eq!(asked(&stage, &mut phone, &computer)["computer"], "in-vault");
}

/// What `doctor` says of whether this computer can introduce itself.
fn introduction(stage: &Stage, computer: &Home) -> Value {
    let arguments = ["doctor", "--json", "--listen", "0", "--radio", "simulated"];
    let finished = handfast(stage, computer, &arguments, "");
    let found: Value = serde_json::from_str(&finished.out).unwrap();
    let findings = found["findings"].as_array().unwrap().iter();
    let about = findings.filter(|finding| finding["check"] == "introduction");
    about
        .map(|finding| finding["outcome"].clone())
        .next()
        .unwrap()
}
