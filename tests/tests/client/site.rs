//! A site that rejects is one thing, a site that fails another.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use handfast_demo::stage::PATIENCE;

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
fn a_site_whose_certificate_nobody_knows_is_told_as_that() {
    let stage = stage();
    let home = stage.home("d", PASSPHRASE, PIN).unwrap();
    // Any server with that certificate will do, and the relay has it.
    let site = stage.relay_url().replace("wss://", "https://");
    let finished = handfast(&stage, &home, &["sign-in", &site, "--via", "local"], "");
    told(&finished, 1, "nobody here knows who issued it");
    assert!(finished.err.contains("--ca-file"), "{}", finished.err);
}

#[test]
fn a_one_time_code_that_was_mistyped_is_asked_for_again() {
    let stage = stage();
    let home = phone(&stage, "d");
    let options = CREATE.replace("example.org", "localhost").replace('\n', "");
    let more = r#"{"step_up_required":true,"signed_in":false,"why":"A code was sent."}"#;
    let wrong = r#"{"ok":false,"rule":"Request","why":"The code is wrong."}"#;
    let right = r#"{"step_up_required":false,"signed_in":true,"why":"Signed in."}"#;
    let often = r#"{"ok":false,"rule":null,"why":"Too many wrong codes."}"#;
    let begin = [(200, options.as_str()), (200, more)];
    for (answers, typed, code, result) in [
        (
            vec![(400, wrong), (400, wrong), (200, right)],
            vec!["1", "2", "3"],
            0,
            "Signed in.",
        ),
        (vec![(400, wrong)], vec!["1", ""], 7, "A code was sent."),
        (
            vec![(400, wrong), (409, often)],
            vec!["1", "2"],
            7,
            "A code was sent.",
        ),
        (vec![], vec![""], 7, "A code was sent."),
    ] {
        let (url, thread) = site(&[&begin[..], &answers].concat());
        let arguments = [
            "register", &url, "--user", "ana", "--via", "local", "--json",
        ];
        let mut desktop = stage.spawn(Program::Desktop, &home, &arguments).unwrap();
        for word in &typed {
            desktop.event("step-up").unwrap();
            desktop.say(word).unwrap();
        }
        let finished = desktop.finish(PATIENCE).unwrap();
        thread.join().unwrap();
        assert_eq!(finished.code, code, "{typed:?}: {finished:?}");
        let told = events(&finished);
        let again = told.iter().filter(|event| event["event"] == "wrong-code");
        assert_eq!(
            again.count(),
            answers.iter().filter(|(status, _)| *status == 400).count()
        );
        let value = finished.json().unwrap();
        let why = value["step_up"]
            .get("why")
            .unwrap_or_else(|| &value["decision"]["why"]);
        assert_eq!(why, result);
    }
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
