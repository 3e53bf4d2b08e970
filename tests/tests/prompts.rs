//! What the owner of a phone sees and answers: on the terminal, and on the desktop.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::{Duration, Instant};

use handfast_demo::stage::{Home, PATIENCE, Process, Program, Stage, event_of};
use handfast_tests::notifications::{Asked, Notifications};
use handfast_tests::terminal::Terminal;
use handfast_tests::{PASSPHRASE, PIN, phone, stage};

const ORIGIN: &str = "https://xn--pple-43d.com";
const CREATE: &str = r#"{"challenge":"AAAAAAAAAAAAAAAAAAAAAA","rp":{"id":"xn--pple-43d.com","name":"E"},
    "user":{"id":"AAAA","name":"<b>ana</b> & co","displayName":""},"pubKeyCredParams":[{"type":"public-key","alg":-7}]}"#;

/// A desktop that wants a passkey made, and its code.
fn computer(stage: &Stage, name: &str) -> (Process, String) {
    let home = stage.home(name, PASSPHRASE, PIN).unwrap();
    let options = stage.desktop_options("here");
    let mut arguments = vec!["create", "--origin", ORIGIN, "--qr-url"];
    arguments.extend(options.iter().map(String::as_str));
    let mut desktop = stage.spawn(Program::Desktop, &home, &arguments).unwrap();
    desktop.say(&CREATE.replace('\n', "")).unwrap();
    desktop.close_input();
    let code = |text: &str| text.starts_with("FIDO:/").then(|| text.to_owned());
    let url = desktop.line("its code", PATIENCE, |line| code(&line.text));
    (desktop, url.unwrap())
}

fn scanning(stage: &Stage, home: &Home, bus: &str, arguments: &[&str]) -> Process {
    let options = stage.phone_options("here");
    let mut arguments = arguments.to_vec();
    arguments.extend(options.iter().map(String::as_str));
    let mut command = stage.command(Program::Phone, home, &arguments);
    command.env("DBUS_SESSION_BUS_ADDRESS", bus);
    Process::spawn("the phone", &mut command).unwrap()
}

fn line_with(process: &mut Process, words: &str) {
    let found = |text: &str| text.contains(words).then_some(());
    process
        .line(words, PATIENCE, |line| found(&line.text))
        .unwrap();
}

#[test]
fn a_question_that_waits_is_on_the_desktop_until_it_is_answered() {
    let Some(desktop) = Notifications::start(false) else {
        return;
    };
    let stage = stage();
    let home = phone(&stage, "phone");
    let (computer, url) = computer(&stage, "computer");
    let mut phone = scanning(&stage, &home, desktop.address(), &["scan", &url]);
    line_with(&mut phone, "x n - - p p l e - 4 3 d . c o m");
    line_with(&mut phone, "In its own letters: \u{430}pple.com");
    line_with(&mut phone, "Careful: this is not apple.com.");
    line_with(&mut phone, "<b>ana</b> & co");
    assert_eq!(desktop.next(), Asked::Capabilities);
    let Asked::Shown {
        summary,
        body,
        is_transient,
    } = desktop.next()
    else {
        panic!("something else is asked for");
    };
    assert_eq!(summary, "Make a passkey for xn--pple-43d.com?");
    assert!(
        body.starts_with("&lt;b&gt;ana&lt;/b&gt; &amp; co\n"),
        "{body}"
    );
    assert!(is_transient);
    assert!(desktop.is_quiet());
    phone.say("y").unwrap();
    assert_eq!(desktop.next(), Asked::Withdrawn);
    assert_eq!(phone.finish(PATIENCE).unwrap().code, 0);
    assert_eq!(computer.finish(PATIENCE).unwrap().code, 0);
    assert!(desktop.is_quiet());
}

#[test]
fn a_question_that_lapses_is_withdrawn_and_none_is_shown_to_who_wants_none() {
    let Some(desktop) = Notifications::start(false) else {
        return;
    };
    let stage = stage();
    let home = phone(&stage, "phone");
    let (_silent, url) = computer(&stage, "silent");
    let arguments = ["scan", &url, "--timeout", "2", "--no-notify"];
    let phone = scanning(&stage, &home, desktop.address(), &arguments);
    assert_eq!(phone.finish(PATIENCE).unwrap().code, 4);
    assert!(desktop.is_quiet());
    let (_computer, url) = computer(&stage, "computer");
    let phone = scanning(&stage, &home, desktop.address(), &arguments_of(&url));
    assert_eq!(desktop.next(), Asked::Capabilities);
    assert!(matches!(desktop.next(), Asked::Shown { .. }));
    assert_eq!(desktop.next(), Asked::Withdrawn);
    assert_eq!(phone.finish(PATIENCE).unwrap().code, 4);
}

fn arguments_of(url: &str) -> [&str; 4] {
    ["scan", url, "--timeout", "2"]
}

#[test]
fn a_notification_service_that_hangs_keeps_nobody_waiting() {
    let Some(desktop) = Notifications::start(true) else {
        return;
    };
    let stage = stage();
    let home = phone(&stage, "phone");
    let (computer, url) = computer(&stage, "computer");
    let mut phone = scanning(&stage, &home, desktop.address(), &["scan", &url]);
    assert_eq!(desktop.next(), Asked::Capabilities);
    let begin = Instant::now();
    phone.say("y").unwrap();
    assert_eq!(computer.finish(PATIENCE).unwrap().code, 0);
    assert_eq!(phone.finish(PATIENCE).unwrap().code, 0);
    // The service would have had five seconds.
    assert!(
        begin.elapsed() < Duration::from_secs(4),
        "{:?}",
        begin.elapsed()
    );
}

#[test]
fn a_blocked_pin_gives_way_to_the_pass_phrase_at_the_prompt() {
    let stage = stage();
    let home = phone(&stage, "phone");
    let mut arguments = vec!["run", "--json"];
    let options = stage.phone_options("here");
    arguments.extend(options.iter().map(String::as_str));
    let mut command = stage.command(Program::Phone, &home, &arguments);
    home.apply_without_pin(&mut command);
    let mut phone = Process::spawn("the phone", &mut command).unwrap();
    phone.event("ready").unwrap();
    let mut left = 8;
    let mut round = 0;
    let computer = loop {
        let (computer, url) = computer(&stage, &format!("computer{round}"));
        phone.say(&url).unwrap();
        assert_eq!(phone.event("prompt").unwrap()["doubt"], "looks-like");
        for _ in 0..left.min(3) {
            left -= 1;
            phone.say("0000").unwrap();
            let event = if left == 0 {
                "pin-blocked"
            } else {
                "wrong-pin"
            };
            phone.event(event).unwrap();
        }
        if left == 0 {
            break computer;
        }
        phone.event("error").unwrap();
        assert_ne!(computer.finish(PATIENCE).unwrap().code, 0);
        round += 1;
    };
    phone.say("not the pass phrase").unwrap();
    phone.event("wrong-passphrase").unwrap();
    phone.say(PASSPHRASE).unwrap();
    phone.event("pin-freed").unwrap();
    assert_eq!(phone.event("done").unwrap()["outcome"], "approved");
    let created = computer.finish(PATIENCE).unwrap();
    assert_eq!(created.code, 0, "{created:?}");
    phone.close_input();
    let said = phone.finish(PATIENCE).unwrap().out;
    let events = said.lines().filter_map(event_of);
    assert!(
        !events
            .map(|(_, all)| all.to_string())
            .any(|all| all.contains(PASSPHRASE))
    );
}

#[test]
fn what_was_typed_before_a_question_is_no_answer_to_it() {
    let stage = stage();
    let home = phone(&stage, "phone");
    for (number, (answer, code, is_piped)) in [("n", 3, false), ("y", 0, false), ("n", 3, true)]
        .into_iter()
        .enumerate()
    {
        let (computer, url) = computer(&stage, &format!("computer{number}"));
        let options = stage.phone_options("here");
        let file = stage.folder().join("code");
        std::fs::write(&file, format!("{url}\n")).unwrap();
        let (code_from, redirection) = match is_piped {
            true => ("-", format!("<'{}'", file.display())),
            false => (url.as_str(), String::new()),
        };
        let mut arguments = vec!["scan", code_from, "--no-notify"];
        arguments.extend(options.iter().map(String::as_str));
        let scan = stage.command(Program::Phone, &home, &arguments);
        let mut terminal = Terminal::start(&scan, &redirection);
        // Whatever was asked before, this was meant for that.
        terminal.type_line(if answer == "n" { "y" } else { "n" });
        terminal.until("Approve? [y/N] ");
        terminal.type_line(answer);
        let (ended, shown) = terminal.finish();
        assert_eq!(ended, code, "{shown}");
        assert_eq!(computer.finish(PATIENCE).unwrap().code, code);
    }
}

/// A phone at a terminal that waits for codes.
fn waiting(stage: &Stage, home: &Home) -> Terminal {
    let options = stage.phone_options("here");
    let mut arguments = vec!["run", "--no-notify"];
    arguments.extend(options.iter().map(String::as_str));
    let run = stage.command(Program::Phone, home, &arguments);
    let mut terminal = Terminal::start(&run, "");
    terminal.until("Ready.");
    terminal
}

#[test]
fn codes_that_were_pasted_at_once_are_answered_one_after_another() {
    let stage = stage();
    let home = phone(&stage, "phone");
    let computers = ["one", "two"].map(|name| computer(&stage, name));
    let mut terminal = waiting(&stage, &home);
    let codes = computers.each_ref().map(|(_, url)| url.as_str());
    terminal.type_line(&codes.join("\n"));
    for (computer, _) in computers {
        terminal.until("Approve? [y/N] ");
        terminal.type_line("y");
        assert_eq!(computer.finish(PATIENCE).unwrap().code, 0);
    }
    terminal.until("Done.");
    terminal.type_line("\u{4}");
    assert_eq!(terminal.finish().0, 0);
}

#[test]
fn a_search_for_a_computer_that_has_gone_ends_with_enter() {
    let stage = stage();
    let home = phone(&stage, "phone");
    let (mut gone, old) = computer(&stage, "gone");
    gone.kill();
    let (computer, url) = computer(&stage, "here");
    let mut terminal = waiting(&stage, &home);
    terminal.type_line(&old);
    terminal.until("Looking for the computer… (Enter ends that)");
    terminal.type_line("");
    terminal.until("No computer came until this was ended. Nothing was signed.");
    terminal.type_line(&url);
    terminal.until("Approve? [y/N] ");
    terminal.type_line("y");
    assert_eq!(computer.finish(PATIENCE).unwrap().code, 0);
}
