//! The passkeys on this computer: nothing is signed for nobody.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use handfast_tests::terminal::Terminal;

use super::*;

const PIN_FILE: &str = "HANDFAST_PIN_FILE";
const CREATE_HERE: [&str; 5] = ["create", "--origin", ORIGIN, "--via", "local"];
const GET_HERE: [&str; 5] = ["get", "--origin", ORIGIN, "--via", "local"];

/// Runs a command at a terminal, gives each answer when its question is there, and returns the exit
/// code, all that the terminal showed, and standard output.
fn at_terminal(
    stage: &Stage,
    home: &Home,
    arguments: &[&str],
    input: &str,
    talk: &[(&str, &str)],
) -> (Finished, String) {
    let folder = stage.folder();
    fs::write(folder.join("in"), input).unwrap();
    let mut command = stage.command(Program::Desktop, home, arguments);
    command.env_remove(PIN_FILE).current_dir(folder);
    let mut terminal = Terminal::start(&command, "<in >out 2>err");
    for (question, answer) in talk {
        terminal.until(question);
        terminal.type_line(answer);
    }
    let (code, shown) = terminal.finish();
    let read = |name| fs::read_to_string(folder.join(name)).unwrap();
    let finished = Finished {
        code,
        out: read("out"),
        err: read("err"),
    };
    (finished, shown)
}

/// The flags of an answer: present, verified.
fn flags(finished: &Finished) -> (bool, bool) {
    let credential = finished.json().unwrap();
    let data = credential["response"]["authenticatorData"].as_str();
    let flags = URL_SAFE_NO_PAD.decode(data.unwrap()).unwrap()[32];
    (flags & 1 != 0, flags & 4 != 0)
}

/// Creation options of a site that knows this passkey.
fn excluding(id: &str) -> String {
    let listed = format!(r#""excludeCredentials":[{{"type":"public-key","id":"{id}"}}],"rp""#);
    CREATE.replace("\"rp\"", &listed)
}

/// A computer without a PIN.
fn without_pin(stage: &Stage) -> Home {
    let home = stage.home("no-pin", PASSPHRASE, PIN).unwrap();
    let init = ["vault", "init"];
    let made = finish(without_terminal(stage, &home, &init, &[PIN_FILE]), "");
    assert_eq!(made.code, 0, "{}", made.err);
    assert!(made.err.contains("No PIN"), "{}", made.err);
    home
}

#[test]
fn without_a_pin_a_person_says_yes_or_nothing_is_signed() {
    let stage = stage();
    let home = without_pin(&stage);
    let nobody = |arguments: &[&str], input: &str| {
        finish(
            without_terminal(&stage, &home, arguments, &[PIN_FILE]),
            input,
        )
    };
    let refused = nobody(&CREATE_HERE, CREATE);
    told(&refused, 3, "no terminal");
    assert!(refused.out.is_empty());
    // A PIN from a file is for a device that has one.
    let refused = finish(without_terminal(&stage, &home, &CREATE_HERE, &[]), CREATE);
    told(&refused, 3, "no terminal");

    let question = "make a passkey for example.org, for ana? [y/N] ";
    let (no, _) = at_terminal(&stage, &home, &CREATE_HERE, CREATE, &[(question, "")]);
    told(&no, 3, "refused");
    let (made, _) = at_terminal(&stage, &home, &CREATE_HERE, CREATE, &[(question, "y")]);
    assert_eq!(made.code, 0, "{}", made.err);
    assert_eq!(flags(&made), (true, false));

    told(&nobody(&GET_HERE, GET), 3, "no terminal");
    let question = "sign in to example.org as ana? [y/N] ";
    let (signed, _) = at_terminal(&stage, &home, &GET_HERE, GET, &[(question, "yes")]);
    assert_eq!(signed.code, 0, "{}", signed.err);

    // That there is a passkey is told to a site only if somebody lets it know.
    let id = made.json().unwrap()["id"].as_str().unwrap().to_owned();
    let again = excluding(&id);
    told(&nobody(&CREATE_HERE, &again), 3, "no terminal");
    let question = "tell example.org that this account has a passkey here already? [y/N] ";
    let (no, _) = at_terminal(&stage, &home, &CREATE_HERE, &again, &[(question, "n")]);
    told(&no, 3, "refused");
    let (yes, _) = at_terminal(&stage, &home, &CREATE_HERE, &again, &[(question, "y")]);
    told(&yes, 1, "has a passkey there already");
}

#[test]
fn a_pin_is_asked_for_three_times_and_a_wrong_one_is_told_as_that() {
    let stage = stage();
    // In a vault for tests nobody would be asked at the end.
    let home = stage.home("d", PASSPHRASE, PIN).unwrap();
    let made = handfast(&stage, &home, &["vault", "init"], "");
    assert_eq!(made.code, 0, "{}", made.err);
    let question = "PIN, to make a passkey for example.org, for ana: ";
    let wrong = [
        (question, "000000"),
        (question, "111111"),
        (question, "222222"),
    ];
    let (finished, screen) = at_terminal(&stage, &home, &CREATE_HERE, CREATE, &wrong);
    told(&finished, 1, "The PIN was wrong; 5 tries are left.");
    assert!(
        finished.err.contains("7 tries are left"),
        "{}",
        finished.err
    );
    for pin in ["000000", "111111", "222222"] {
        assert!(!screen.contains(pin), "a PIN is not shown: {screen}");
    }
    let right = [(question, "000000"), (question, PIN)];
    let (finished, _) = at_terminal(&stage, &home, &CREATE_HERE, CREATE, &right);
    assert_eq!(finished.code, 0, "{}", finished.err);
    assert_eq!(flags(&finished), (true, true));
    let (refused, _) = at_terminal(&stage, &home, &CREATE_HERE, CREATE, &[(question, "")]);
    told(&refused, 3, "refused");
    // What makes and signs nothing needs no PIN.
    let again = excluding(finished.json().unwrap()["id"].as_str().unwrap());
    let yes = [(" a passkey here already? [y/N] ", "y")];
    let (finished, _) = at_terminal(&stage, &home, &CREATE_HERE, &again, &yes);
    told(&finished, 1, "has a passkey there already");
    let nobody = without_terminal(&stage, &home, &GET_HERE, &[PIN_FILE]);
    told(&finish(nobody, GET), 3, "no terminal");
}

#[test]
fn of_several_accounts_one_is_chosen_at_the_terminal() {
    let stage = stage();
    let home = phone(&stage, "d");
    for (id, name) in [("AAAA", "ana"), ("BBBB", "bob")] {
        let options = CREATE.replace("\"id\":\"AAAA\"", &format!("\"id\":\"{id}\""));
        let made = handfast(&stage, &home, &CREATE_HERE, &options.replace("ana", name));
        assert_eq!(made.code, 0, "{}", made.err);
    }
    let which = "Which? (number, or Enter to refuse) ";
    for (number, code) in [("", 3), ("3", 3), ("0", 3)] {
        let (finished, _) = at_terminal(&stage, &home, &GET_HERE, GET, &[(which, number)]);
        told(&finished, code, "refused");
    }
    let talk = [(which, "2"), (" to sign in to example.org as ", PIN)];
    let (finished, screen) = at_terminal(&stage, &home, &GET_HERE, GET, &talk);
    assert_eq!(finished.code, 0, "{}", finished.err);
    let chosen = screen
        .lines()
        .find_map(|line| line.trim().strip_prefix("2 "));
    let handle = if chosen.unwrap().starts_with("ana") {
        "AAAA"
    } else {
        "BBBB"
    };
    assert_eq!(finished.json().unwrap()["response"]["userHandle"], handle);
}

#[test]
fn a_pin_from_a_file_says_for_what_it_is_used_and_is_tried_once() {
    let stage = stage();
    let home = phone(&stage, "d");
    let made = handfast(&stage, &home, &CREATE_HERE, CREATE);
    assert_eq!(made.code, 0, "{}", made.err);
    assert_eq!(flags(&made), (true, true));
    let used = "HANDFAST_PIN_FILE is used to make a passkey for example.org, for ana.";
    assert!(made.err.contains(used), "{}", made.err);
    let arguments = [&GET_HERE[..], &["--json"]].concat();
    let signed = handfast(&stage, &home, &arguments, GET);
    assert_eq!(signed.code, 0, "{}", signed.err);
    let event = events(&signed).remove(0);
    assert_eq!(event["event"], "pin-from-file");
    assert_eq!(event["for"], "sign in to example.org as ana");

    let wrong = stage.folder().join("wrong-pin");
    fs::write(&wrong, "000000").unwrap();
    for left in ["7 tries are left", "6 tries are left"] {
        let mut command = without_terminal(&stage, &home, &GET_HERE, &[]);
        command.env(PIN_FILE, &wrong);
        told(&finish(command, GET), 1, left);
    }
}

#[test]
fn only_a_vault_for_tests_signs_for_nobody_and_says_so() {
    let stage = stage();
    let home = stage.home("phone", PASSPHRASE, PIN).unwrap();
    let mut init = stage.command(Program::Phone, &home, &["init", "--for-tests"]);
    init.env_remove(PIN_FILE)
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    assert!(init.status().unwrap().success());
    let command = without_terminal(&stage, &home, &CREATE_HERE, &[PIN_FILE]);
    let made = finish(command, CREATE);
    assert_eq!(made.code, 0, "{}", made.err);
    assert!(made.err.contains("for tests"), "{}", made.err);
    assert_eq!(flags(&made), (true, false));
}

#[test]
fn a_file_of_no_use_is_named_by_every_command_that_opens_the_vault() {
    let stage = stage();
    let home = phone(&stage, "d");
    let made = handfast(&stage, &home, &CREATE_HERE, CREATE);
    assert_eq!(made.code, 0, "{}", made.err);
    let mut files = fs::read_dir(home.vault().join("passkeys")).unwrap();
    let file = files.next().unwrap().unwrap().path();
    let whole = fs::read(&file).unwrap();
    let name = file.display().to_string();

    let mut damaged = whole.clone();
    *damaged.last_mut().unwrap() ^= 1;
    fs::write(&file, damaged).unwrap();
    let signed = handfast(&stage, &home, &GET_HERE, GET);
    told(&signed, 1, "no passkey");
    assert!(signed.err.contains(&name), "{}", signed.err);
    assert!(signed.err.contains("damaged"), "{}", signed.err);
    let group = handfast(&stage, &home, &["group", "status", "--json"], "");
    assert_eq!(group.code, 0);
    let event = events(&group).remove(0);
    assert_eq!(event["event"], "damaged");
    assert_eq!(event["file"], name.as_str());
    let mut link = words(&["link", "--qr-url", "--timeout", "1"]);
    link.extend(stage.desktop_options("here"));
    let link: Vec<&str> = link.iter().map(String::as_str).collect();
    let link = handfast(&stage, &home, &link, "");
    told(&link, 4, &name);
    // There it is part of the result.
    let status = handfast(&stage, &home, &["vault", "status"], "");
    assert!(status.out.contains(&name) && !status.err.contains(&name));
    let other = stage.home("other", PASSPHRASE, PIN).unwrap();
    let vault = home.vault().display().to_string();
    let join = handfast(&stage, &other, &["vault", "join", "--vault", &vault], "");
    assert_eq!(join.code, 0, "{}", join.err);
    assert!(join.err.contains(&name), "{}", join.err);

    // The format is the number behind the name of the file's kind.
    let kind = b"handfast-file";
    let at = whole.windows(kind.len()).position(|window| window == kind);
    let format = at.unwrap() + kind.len() + 1;
    let mut newer = whole;
    newer[format] = 9;
    fs::write(&file, newer).unwrap();
    let signed = handfast(&stage, &home, &GET_HERE, GET);
    told(&signed, 1, "newer version");
}
