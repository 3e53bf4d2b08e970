//! Relay or network is pulled away: both sides say which, and neither waits for ever.
//!
//! What is pulled away of Bluetooth is in `bluetooth.rs`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use handfast_demo::stage::{Home, PATIENCE, Process, Program, Stage, event_of};
use handfast_tests::{PASSPHRASE, PIN, phone, stage, words};

/// The way to the relay, which can be cut: then nothing comes through any more, and nobody is told.
struct Cable {
    port: u16,
    cut: Arc<AtomicBool>,
}

impl Cable {
    fn to(relay_url: &str) -> Self {
        let relay = relay_url.strip_prefix("wss://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let cut = Arc::new(AtomicBool::new(false));
        let is_cut = Arc::clone(&cut);
        // These threads end with the test's process.
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let Ok(far) = TcpStream::connect(&relay) else {
                    return;
                };
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let is_cut = Arc::clone(&is_cut);
                    thread::spawn(move || carry(from, to, &is_cut));
                }
            }
        });
        Self { port, cut }
    }

    fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }

    /// These options, with the relay at the other end of the cable.
    fn lay(&self, stage: &Stage, options: Vec<String>) -> Vec<String> {
        let url = format!("wss://localhost:{}", self.port);
        let relaid = |option: String| option.replace(stage.relay_url(), &url);
        options.into_iter().map(relaid).collect()
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, is_cut: &AtomicBool) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if !is_cut.load(Ordering::SeqCst) && to.write_all(&buffer[..length]).is_err() {
            return;
        }
    }
    if !is_cut.load(Ordering::SeqCst) {
        let _ = to.shutdown(std::net::Shutdown::Write);
    }
}

fn spawn(
    stage: &Stage,
    program: Program,
    home: &Home,
    first: &[&str],
    options: &[String],
) -> Process {
    let mut arguments = words(first);
    arguments.extend_from_slice(options);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    stage.spawn(program, home, &arguments).unwrap()
}

/// A desktop that registers and shows its code.
fn register(stage: &Stage, options: &[String]) -> (Process, String) {
    let home = stage.home("desktop", PASSPHRASE, PIN).unwrap();
    let site = stage.site_url().to_owned();
    let first = ["register", &site, "--user", "ana", "--qr-url", "--json"];
    let mut desktop = spawn(stage, Program::Desktop, &home, &first, options);
    let url = desktop.event("qr").unwrap()["url"].clone();
    (desktop, url.as_str().unwrap().to_owned())
}

fn scan(stage: &Stage, home: &Home, url: &str, options: &[String]) -> Process {
    let first = ["scan", url, "--json"];
    spawn(stage, Program::Phone, home, &first, options)
}

/// Waits for the end, and checks that its last event is an error with this exit code and word, and
/// says what to do.
fn ends_with(process: Process, code: i32, word: &str) {
    let finished = process.finish(PATIENCE).unwrap();
    assert_eq!(finished.code, code, "{finished:?}");
    let lines = finished.out.lines().chain(finished.err.lines());
    let (event, error) = event_of(lines.last().unwrap()).unwrap();
    assert_eq!(event, "error", "{finished:?}");
    assert!(error["message"].as_str().unwrap().contains(word), "{error}");
    assert!(!error["hint"].as_str().unwrap().is_empty(), "{error}");
}

#[test]
fn a_relay_that_only_the_phone_reaches_is_told_by_the_computer() {
    let stage = stage();
    let home = phone(&stage, "phone");
    let mut options = stage.desktop_options("here");
    // Nobody listens at the port of a listener that is gone.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("wss://localhost:{}", gone.local_addr().unwrap().port());
    drop(gone);
    for option in &mut options {
        *option = option.replace(stage.relay_url(), &nobody);
    }
    let (desktop, url) = register(&stage, &options);
    let _phone = scan(&stage, &home, &url, &stage.phone_options("here"));
    ends_with(desktop, 6, "reached");
}

#[test]
fn a_relay_that_dies_while_the_phone_waits_is_told() {
    let mut stage = stage();
    let home = phone(&stage, "phone");
    let (_desktop, url) = register(&stage, &stage.desktop_options("here"));
    // No computer is in the phone's air.
    let mut phone = scan(&stage, &home, &url, &stage.phone_options("elsewhere"));
    phone.event("advertising").unwrap();
    stage.relay.kill();
    ends_with(phone, 6, "relay");
}

#[test]
fn a_relay_that_dies_in_the_middle_is_told_on_both_sides() {
    let mut stage = stage();
    let home = phone(&stage, "phone");
    let (desktop, url) = register(&stage, &stage.desktop_options("here"));
    let mut phone = scan(&stage, &home, &url, &stage.phone_options("here"));
    phone.event("prompt").unwrap();
    stage.relay.kill();
    ends_with(phone, 6, "relay");
    ends_with(desktop, 6, "relay");
}

#[test]
fn a_network_that_goes_silent_ends_the_computer_in_its_time() {
    let stage = stage();
    let home = phone(&stage, "phone");
    let cable = Cable::to(stage.relay_url());
    let mut options = cable.lay(&stage, stage.desktop_options("here"));
    options.extend(words(&["--timeout", "4"]));
    let (desktop, url) = register(&stage, &options);
    let mut phone = scan(&stage, &home, &url, &stage.phone_options("here"));
    phone.event("prompt").unwrap();
    cable.cut();
    ends_with(desktop, 4, "phone");
}

#[test]
fn a_network_that_goes_silent_ends_the_phone_in_its_time() {
    let stage = stage();
    let home = phone(&stage, "phone");
    let cable = Cable::to(stage.relay_url());
    let (_desktop, url) = register(&stage, &stage.desktop_options("here"));
    let mut options = cable.lay(&stage, stage.phone_options("here"));
    options.extend(words(&["--timeout", "4"]));
    let mut phone = scan(&stage, &home, &url, &options);
    phone.event("prompt").unwrap();
    cable.cut();
    ends_with(phone, 4, "Nobody answered");
}
