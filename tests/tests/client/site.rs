//! A site that rejects is one thing, a site that fails another.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use super::*;

/// A site that gives these answers, one a request, whatever it is asked.
fn site(answers: &[(u16, &str)]) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://localhost:{}", listener.local_addr().unwrap().port());
    let answers: Vec<_> = answers
        .iter()
        .map(|(status, body)| (*status, (*body).to_owned()))
        .collect();
    let thread = thread::spawn(move || {
        for (status, body) in answers {
            let (stream, _) = listener.accept().unwrap();
            answer(stream, status, &body);
        }
    });
    (url, thread)
}

/// Answers one request, and returns whose host it asked for.
fn answer(stream: TcpStream, status: u16, body: &str) -> String {
    let mut reader = BufReader::new(&stream);
    let (mut length, mut host) = (0, String::new());
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if let Some(value) = line.strip_prefix("host:") {
            value.trim().clone_into(&mut host);
        }
        if line.is_empty() {
            break;
        }
    }
    reader.read_exact(&mut vec![0; length]).unwrap();
    let head = format!(
        "HTTP/1.1 {status} Status\r\nLocation: /elsewhere\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    (&stream).write_all(head.as_bytes()).unwrap();
    (&stream).write_all(body.as_bytes()).unwrap();
    host
}

/// Nothing may be claimed of a site that did not judge.
fn claims_nothing(finished: &Finished) {
    for claim in ["rejected", "Rejected", "Nothing was changed"] {
        assert!(!finished.err.contains(claim), "{}", finished.err);
    }
}

#[test]
fn only_a_site_that_says_why_has_rejected() {
    let stage = stage();
    let home = stage.home("d", PASSPHRASE, PIN).unwrap();
    let air = format!("simulated={}", stage.air("here").display());
    let store = r#"{"ok":false,"rule":null,"why":"The store failed."}"#;
    let nothing = r#"{"ok":false,"rule":null,"why":"There is nothing here."}"#;
    let rule = r#"{"ok":false,"rule":"Challenge","why":"Rejected: it is stale."}"#;
    let taken = r#"{"ok":false,"rule":null,"why":"This name is taken."}"#;
    for (status, body, code, word) in [
        (503, "<html>Busy</html>", 1, "the site failed"),
        (503, "", 1, "503"),
        (500, store, 1, "the site failed"),
        (404, "<html>Not found</html>", 1, "404"),
        (404, nothing, 1, "404"),
        (403, "{}", 1, "the site failed"),
        (400, "not json", 1, "the site failed"),
        (302, "", 1, "302"),
        (200, "<html>Hello</html>", 1, "no JSON"),
        (400, rule, 7, "it is stale. (Challenge)"),
        (409, taken, 7, "taken"),
    ] {
        let (url, thread) = site(&[(status, body)]);
        let arguments = [
            "register", &url, "--user", "ana", "--radio", &air, "--qr-url",
        ];
        let finished = handfast(&stage, &home, &arguments, "");
        thread.join().unwrap();
        // A sentence begins with a capital letter.
        let word = word.trim_start_matches("the site");
        told(&finished, code, word);
        if code != 7 {
            claims_nothing(&finished);
        }
    }
}

#[test]
fn a_site_that_fails_after_the_passkey_was_made_has_not_rejected_it() {
    let stage = stage();
    let home = phone(&stage, "d");
    let options = CREATE.replace("example.org", "localhost");
    let (url, thread) = site(&[(200, &options), (503, "Busy")]);
    let arguments = ["register", &url, "--user", "ana", "--via", "local"];
    let finished = handfast(&stage, &home, &arguments, "");
    thread.join().unwrap();
    told(&finished, 1, "503");
    claims_nothing(&finished);
    assert!(finished.err.contains("not known"), "{}", finished.err);
    assert!(finished.out.is_empty(), "{}", finished.out);
}

#[test]
fn a_site_that_cannot_be_reached_is_told() {
    let stage = stage();
    let home = stage.home("d", PASSPHRASE, PIN).unwrap();
    let arguments = ["sign-in", "http://localhost:9", "--via", "local"];
    told(
        &handfast(&stage, &home, &arguments, ""),
        1,
        "cannot be reached",
    );
}

#[test]
fn a_name_below_localhost_is_this_computer_whatever_proxy_there_is() {
    let stage = stage();
    let home = stage.home("d", PASSPHRASE, PIN).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("shop.localhost:{}", listener.local_addr().unwrap().port());
    let url = format!("http://{host}");
    let air = format!("simulated={}", stage.air("here").display());
    let arguments = [
        "register", &url, "--user", "ana", "--radio", &air, "--qr-url",
    ];
    let mut command = stage.command(Program::Desktop, &home, &arguments);
    for name in ["ALL_PROXY", "HTTP_PROXY", "http_proxy", "HTTPS_PROXY"] {
        // Nobody is there.
        command.env(name, "http://127.0.0.1:1");
    }
    let asked = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        answer(
            stream,
            409,
            r#"{"ok":false,"rule":null,"why":"This name is taken."}"#,
        )
    });
    let finished = finish(command, "");
    // Who could not come would be waited for without end.
    told(&finished, 7, "taken");
    assert_eq!(asked.join().unwrap(), host);
}

#[test]
fn two_sites_on_one_computer_have_passkeys_of_their_own() {
    let stage = stage();
    let home = stage.home("d", PASSPHRASE, PIN).unwrap();
    let works = |arguments: &[&str]| {
        let finished = handfast(&stage, &home, arguments, "");
        assert_eq!(finished.code, 0, "{finished:?}");
    };
    works(&["vault", "init"]);
    let sites = [
        ("localhost", &[][..]),
        ("bank.localhost", &["--rp-id", "bank.localhost"]),
    ];
    let sites = sites.map(|(name, options)| {
        let mut command = stage.programs().command(Program::Site);
        command.args(["--listen", "127.0.0.1:0"]).args(options);
        let mut process = Process::spawn(Program::Site.name(), &mut command).unwrap();
        let url = process.address().unwrap();
        assert!(url.starts_with(&format!("http://{name}:")), "{url}");
        (process, url)
    });
    for (_, url) in &sites {
        for verb in ["register", "sign-in"] {
            works(&[verb, url, "--user", "ana", "--via", "local"]);
        }
    }
    let bank = &sites[1].1;
    let listed = run(
        &stage,
        Program::Phone,
        &home,
        &words(&["passkeys", "list"]),
        "",
    );
    for name in ["localhost", "bank.localhost"] {
        let of_it = listed
            .out
            .lines()
            .filter(|line| line.split_whitespace().any(|word| word == name));
        assert_eq!(of_it.count(), 1, "{}", listed.out);
    }
    // Where one's passkey is asked for, the other's does not do.
    let elsewhere = bank.replace("bank.", "shop.");
    let arguments = ["sign-in", &elsewhere, "--user", "ana", "--via", "local"];
    told(&handfast(&stage, &home, &arguments, ""), 7, "page");
}
