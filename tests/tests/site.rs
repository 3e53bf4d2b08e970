//! The demo site against people who do not use its page: answers that are replayed or altered,
//! requests of other pages, guessed codes. The answers are those of the real `handfast`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use handfast_demo::stage::{Home, PATIENCE, Process, Program, Source, Stage};
use handfast_tests::{PASSPHRASE, PIN, programs, run, stage, words};
use serde_json::{Value, json};

struct Reply {
    status: u16,
    body: Value,
    cookie: Option<String>,
}

/// One browser, as the site knows it: whoever sends its cookie.
struct Visitor<'a> {
    site: &'a str,
    cookie: Option<String>,
}

impl<'a> Visitor<'a> {
    fn new(stage: &'a Stage) -> Self {
        Self {
            site: stage.site_url(),
            cookie: None,
        }
    }

    fn send(&self, path: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Reply {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .into();
        let url = format!("{}{path}", self.site);
        let mut request = ureq::http::Request::builder().uri(url);
        request = request.method(if body.is_some() { "POST" } else { "GET" });
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", format!("other=1; session={cookie}"));
        }
        let mut reply = match body {
            Some(body) => agent.run(request.body(body).unwrap()),
            None => agent.run(request.body(()).unwrap()),
        }
        .unwrap();
        let cookie = reply.headers().get("set-cookie").map(|cookie| {
            let cookie = cookie.to_str().unwrap();
            assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"));
            let (_, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            value.to_owned()
        });
        let text = reply.body_mut().read_to_string().unwrap();
        Reply {
            status: reply.status().as_u16(),
            body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
            cookie,
        }
    }

    fn post(&mut self, endpoint: &str, body: &Value) -> Reply {
        let headers = [("origin", self.site), ("content-type", "application/json")];
        let text = body.to_string();
        let reply = self.send(&format!("/api/{endpoint}"), &headers, Some(text.as_bytes()));
        if reply.cookie.is_some() {
            self.cookie.clone_from(&reply.cookie);
        }
        reply
    }

    fn ask(&mut self, endpoint: &str, body: &Value) -> Value {
        let reply = self.post(endpoint, body);
        assert_eq!(reply.status, 200, "{endpoint}: {}", reply.body);
        reply.body
    }

    fn account(&self) -> Reply {
        self.send("/api/account", &[], None)
    }
}

/// A computer with passkeys of its own.
struct Computer<'a> {
    stage: &'a Stage,
    home: Home,
}

impl<'a> Computer<'a> {
    fn new(stage: &'a Stage, name: &str) -> Self {
        let computer = Self::bare(stage, name);
        let arguments = words(&["vault", "init", "--name", name]);
        computer.handfast(&arguments, "");
        computer
    }

    fn bare(stage: &'a Stage, name: &str) -> Self {
        let home = stage.home(name, PASSPHRASE, PIN).unwrap();
        Self { stage, home }
    }

    /// A computer that came by this one's vault through file sync, and by its pass phrase.
    fn copy(&self, name: &str) -> Self {
        let copy = Self::bare(self.stage, name);
        let copied = std::process::Command::new("cp")
            .arg("-r")
            .arg(self.home.folder())
            .arg(copy.home.folder())
            .status();
        assert!(copied.unwrap().success());
        std::fs::remove_dir_all(copy.home.device()).unwrap();
        copy.handfast(&words(&["vault", "join", "--name", name]), "");
        copy
    }

    fn handfast(&self, arguments: &[String], input: &str) -> String {
        let done = run(self.stage, Program::Desktop, &self.home, arguments, input);
        assert_eq!(done.code, 0, "{}", done.err);
        done.out
    }

    fn answer(&self, verb: &str, options: &Value) -> Value {
        let site = self.stage.site_url();
        let arguments = words(&[verb, "--origin", site, "--via", "local"]);
        serde_json::from_str(&self.handfast(&arguments, &options.to_string())).unwrap()
    }

    fn register(&self, visitor: &mut Visitor<'_>, name: &str) -> Value {
        let options = visitor.ask("register/options", &json!({"username": name}));
        let answer = self.answer("create", &options);
        visitor.ask("register/verify", &answer);
        answer
    }

    fn sign_in_answer(&self, visitor: &mut Visitor<'_>) -> Value {
        let options = visitor.ask("sign-in/options", &json!({}));
        self.answer("get", &options)
    }

    fn sign_in(&self, visitor: &mut Visitor<'_>) -> Value {
        let answer = self.sign_in_answer(visitor);
        visitor.ask("sign-in/verify", &answer)
    }
}

fn rejected(reply: &Reply, rule: &str) {
    assert_eq!(reply.status, 400, "{}", reply.body);
    assert_eq!(reply.body["rule"], rule, "{}", reply.body);
}

fn alter_bytes(value: &mut Value, alter: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = URL_SAFE_NO_PAD.decode(value.as_str().unwrap()).unwrap();
    alter(&mut bytes);
    *value = URL_SAFE_NO_PAD.encode(bytes).into();
}

fn alter_client_data(answer: &mut Value, member: &str, with: Value) {
    alter_bytes(&mut answer["response"]["clientDataJSON"], |bytes| {
        let mut data: Value = serde_json::from_slice(bytes).unwrap();
        data[member] = with;
        *bytes = serde_json::to_vec(&data).unwrap();
    });
}

fn step_up_code(stage: &mut Stage, name: &str) -> String {
    let sent = stage.site.event("step-up-code").unwrap();
    assert_eq!(sent["user"], name);
    sent["code"].as_str().unwrap().to_owned()
}

#[test]
fn an_answer_counts_once_and_only_in_the_session_that_asked() {
    let stage = stage();
    let computer = Computer::new(&stage, "desk");
    let mut visitor = Visitor::new(&stage);
    let created = computer.register(&mut visitor, "ada");
    rejected(&visitor.post("register/verify", &created), "Challenge");

    let answer = computer.sign_in_answer(&mut visitor);
    let mut other = Visitor::new(&stage);
    rejected(&other.post("sign-in/verify", &answer), "Challenge");
    other.ask("sign-in/options", &json!({}));
    rejected(&other.post("sign-in/verify", &answer), "Challenge");

    visitor.ask("sign-in/verify", &answer);
    rejected(&visitor.post("sign-in/verify", &answer), "Challenge");

    // A registration is no sign-in, and a passkey is registered once.
    let options = visitor.ask("register/options", &json!({"username": "ada"}));
    assert_eq!(
        options["publicKey"]["excludeCredentials"][0]["id"],
        created["id"]
    );
    let reply = visitor.post("sign-in/verify", &answer);
    rejected(&reply, "ClientDataType");
}

#[test]
fn altered_answers_are_rejected_by_the_rule_they_break() {
    let stage = stage();
    let computer = Computer::new(&stage, "desk");
    let mut visitor = Visitor::new(&stage);
    computer.register(&mut visitor, "ada");
    type Alter = fn(&mut Value);
    let cases: &[(&str, Alter)] = &[
        ("Origin", |answer| {
            alter_client_data(answer, "origin", json!("https://example.org"));
        }),
        ("ClientDataType", |answer| {
            alter_client_data(answer, "type", json!("webauthn.create"));
        }),
        ("CrossOrigin", |answer| {
            alter_client_data(answer, "crossOrigin", json!(true));
        }),
        ("Signature", |answer| {
            alter_client_data(answer, "more", json!(1));
        }),
        ("Signature", |answer| {
            alter_bytes(&mut answer["response"]["signature"], |bytes| bytes[20] ^= 1);
        }),
        ("RpIdHash", |answer| {
            let data = &mut answer["response"]["authenticatorData"];
            alter_bytes(data, |bytes| bytes[0] ^= 1);
        }),
        ("UserVerification", |answer| {
            let data = &mut answer["response"]["authenticatorData"];
            alter_bytes(data, |bytes| bytes[32] &= !4);
        }),
        ("Signature", |answer| {
            let data = &mut answer["response"]["authenticatorData"];
            alter_bytes(data, |bytes| bytes[36] ^= 1);
        }),
        ("TrustGroupKey", |answer| {
            let key = &mut answer["clientExtensionResults"]["cmtgKey"]["cmtgKey"];
            alter_bytes(key, |bytes| *bytes.last_mut().unwrap() ^= 1);
        }),
        ("TrustGroupKey", |answer| {
            let signature = &mut answer["clientExtensionResults"]["cmtgKey"]["signature"];
            alter_bytes(signature, |bytes| bytes[20] ^= 1);
        }),
        ("CredentialUnknown", |answer| {
            alter_bytes(&mut answer["id"], |bytes| bytes[0] ^= 1);
            answer["rawId"] = answer["id"].clone();
        }),
        ("UserHandle", |answer| {
            let handle = &mut answer["response"]["userHandle"];
            alter_bytes(handle, |bytes| bytes[0] ^= 1);
        }),
    ];
    for (rule, alter) in cases {
        let mut answer = computer.sign_in_answer(&mut visitor);
        alter(&mut answer);
        rejected(&visitor.post("sign-in/verify", &answer), rule);
    }
    // Without its trust-group key, where the signed data still carry it, or altogether: that is no
    // rule broken, and no way around the trust group either.
    let mut answer = computer.sign_in_answer(&mut visitor);
    answer["clientExtensionResults"] = json!({});
    rejected(&visitor.post("sign-in/verify", &answer), "TrustGroupKey");
    let mut options = visitor.ask("sign-in/options", &json!({}));
    let asked = options["publicKey"].as_object_mut().unwrap();
    asked.remove("extensions").unwrap();
    let answer = computer.answer("get", &options);
    let decision = visitor.ask("sign-in/verify", &answer);
    assert_eq!(decision["outcome"], "absent", "{decision}");
    assert_eq!(decision["step_up_required"], true, "{decision}");
    assert_eq!(visitor.account().status, 401);
    assert_eq!(computer.sign_in(&mut visitor)["outcome"], "known");
    let known = visitor.account().body["passkeys"][0]["groups"].clone();
    assert_eq!(known.as_array().unwrap().len(), 1, "{known}");
}

#[test]
fn requests_of_other_pages_and_requests_that_make_no_sense_are_refused() {
    let stage = stage();
    let visitor = Visitor::new(&stage);
    let ours = ("origin", stage.site_url());
    let foreign = ("origin", "https://example.org");
    let json = ("content-type", "application/json");
    let text = ("content-type", "text/plain");
    let options = "/api/sign-in/options";
    let large = vec![b' '; 70_000];
    type Headers<'a> = &'a [(&'a str, &'a str)];
    let cases: [(&str, Headers<'_>, Option<&[u8]>, u16); 10] = [
        (options, &[ours, json], Some(b"{}"), 200),
        (options, &[json], Some(b"{}"), 403),
        (options, &[foreign, json], Some(b"{}"), 403),
        (options, &[ours, text], Some(b"{}"), 415),
        (options, &[ours, json], Some(b"{"), 400),
        (options, &[ours, json], Some(&large), 413),
        (options, &[ours, json], None, 405),
        ("/api/account", &[ours, json], Some(b"{}"), 405),
        ("/api/account", &[], None, 401),
        ("/api/nothing", &[ours, json], Some(b"{}"), 404),
    ];
    for (path, headers, body, status) in cases {
        let reply = visitor.send(path, headers, body);
        assert_eq!(reply.status, status, "{path} {headers:?}: {}", reply.body);
    }
    let mut visitor = visitor;
    for body in [json!({"username": 5}), json!({"username": "a".repeat(65)})] {
        assert_eq!(visitor.post("register/options", &body).status, 400);
    }
    for name in ["/", "/page.css", "/page.js"] {
        assert_eq!(visitor.send(name, &[], None).status, 200);
    }
}

#[test]
fn a_planted_session_gains_nothing_and_signing_out_ends_all_that_was_open() {
    let stage = stage();
    let computer = Computer::new(&stage, "desk");
    let mut planted = Visitor::new(&stage);
    planted.cookie = Some("chosen-by-somebody-else".to_owned());
    let first = planted.ask("sign-in/options", &json!({}));
    assert!(first["publicKey"]["challenge"].is_string());
    let mut victim = Visitor::new(&stage);
    victim.cookie.clone_from(&planted.cookie);
    assert_ne!(victim.cookie.as_deref(), Some("chosen-by-somebody-else"));

    computer.register(&mut victim, "ada");
    assert_eq!(victim.account().status, 200);
    assert_eq!(planted.account().status, 401);

    let stolen = Visitor {
        site: victim.site,
        cookie: victim.cookie.clone(),
    };
    let reset = victim.ask("reset-passkeys/options", &json!({}));
    victim.ask("sign-out", &json!({}));
    assert_eq!(victim.account().status, 401);
    assert_eq!(stolen.account().status, 401);
    let answer = computer.answer("create", &reset);
    rejected(&victim.post("register/verify", &answer), "Challenge");

    let taken = victim.post("register/options", &json!({"username": "ada"}));
    assert_eq!(taken.status, 409, "{}", taken.body);
}

#[test]
fn codes_cannot_be_guessed_by_signing_in_again_and_again() {
    let mut stage = stage();
    let wrong = json!({"code": "no code"});
    {
        let computer = Computer::new(&stage, "desk");
        let mut owner = Visitor::new(&stage);
        computer.register(&mut owner, "ada");
        let thief = computer.copy("thief");
        let mut visitor = Visitor::new(&stage);
        for _ in 0..3 {
            let decision = thief.sign_in(&mut visitor);
            assert_eq!(decision["step_up_required"], true, "{decision}");
            assert_eq!(visitor.account().status, 401);
            for _ in 0..4 {
                let reply = visitor.post("step-up", &wrong);
                assert_eq!((reply.status, &reply.body["ok"]), (400, &json!(false)));
            }
            assert_eq!(visitor.post("step-up", &wrong).status, 409);
            assert_eq!(visitor.post("step-up", &wrong).status, 409);
        }
        let answer = thief.sign_in_answer(&mut visitor);
        let reply = visitor.post("sign-in/verify", &answer);
        assert_eq!(reply.status, 409, "{}", reply.body);
        // Who comes with a trusted device is not kept out by it.
        assert_eq!(computer.sign_in(&mut owner)["signed_in"], true);
        let groups = owner.account().body["passkeys"][0]["groups"].clone();
        assert_eq!(groups.as_array().unwrap().len(), 1, "{groups}");
    }
    assert_eq!(step_up_code(&mut stage, "ada").len(), 6);
}

#[test]
fn a_reset_ends_old_passkeys_their_groups_and_other_sessions() {
    let stage = stage();
    let old = Computer::new(&stage, "old");
    let new = Computer::new(&stage, "new");
    let mut elsewhere = Visitor::new(&stage);
    old.register(&mut elsewhere, "ada");
    let mut here = Visitor::new(&stage);
    old.sign_in(&mut here);
    let options = here.ask("reset-passkeys/options", &json!({}));
    let created = new.answer("create", &options);
    here.ask("register/verify", &created);

    assert_eq!(elsewhere.account().status, 401);
    let account = here.account().body;
    assert_eq!(account["passkeys"].as_array().unwrap().len(), 1);
    assert_eq!(account["passkeys"][0]["id"], created["id"]);
    let answer = old.sign_in_answer(&mut elsewhere);
    let reply = elsewhere.post("sign-in/verify", &answer);
    rejected(&reply, "CredentialUnknown");
    assert_eq!(new.sign_in(&mut elsewhere)["outcome"], "known");
}

/// Starts a site of its own with these options.
fn start(options: &[&str]) -> (Process, String) {
    let mut command = programs().command(Program::Site);
    command.args(["--listen", "127.0.0.1:0"]).args(options);
    let mut site = Process::spawn(Program::Site.name(), &mut command).unwrap();
    let url = site.address().unwrap();
    (site, url)
}

fn cookie_of(url: &str, origin: &str) -> String {
    let reply = ureq::post(format!("{url}/api/sign-in/options"))
        .header("origin", origin)
        .send_json(json!({}))
        .unwrap();
    let cookie = reply.headers().get("set-cookie").unwrap();
    cookie.to_str().unwrap().to_owned()
}

#[test]
fn the_cookie_is_secure_as_soon_as_the_site_has_https() {
    let (_plain, url) = start(&[]);
    assert!(!cookie_of(&url, &url).contains("Secure"));
    let https = "https://example.org";
    let (_behind_a_proxy, url) = start(&["--rp-id", "example.org", "--origin", https]);
    let cookie = cookie_of(&url, https);
    assert!(cookie.ends_with("; Secure"), "{cookie}");
}

#[test]
fn a_rejection_is_said_to_who_runs_the_site() {
    let refused = |url: &str| {
        let visitor = Visitor {
            site: url,
            cookie: None,
        };
        let headers = [("origin", url), ("content-type", "application/json")];
        let answer = br#"{"id": "c2VjcmV0", "rawId": "c2VjcmV0"}"#;
        let reply = visitor.send("/api/sign-in/verify", &headers, Some(answer));
        rejected(&reply, "Challenge");
        let foreign = [("origin", "https://example.org"), headers[1]];
        let reply = visitor.send("/api/sign-in/verify", &foreign, Some(answer));
        assert_eq!(reply.status, 403, "{}", reply.body);
    };
    let (mut site, url) = start(&["--json"]);
    refused(&url);
    for (status, rule) in [(400, "Challenge"), (403, "Request")] {
        let told = site.event("rejected").unwrap();
        assert_eq!(
            (&told["status"], &told["rule"]),
            (&json!(status), &json!(rule))
        );
        assert_eq!(told["endpoint"], "sign-in/verify");
    }

    let (mut site, url) = start(&["-v"]);
    refused(&url);
    let told = site.line("a rejection", PATIENCE, |line| {
        let text = line
            .text
            .starts_with("rejected ")
            .then(|| line.text.clone());
        text.map(|text| (line.source, text))
    });
    let (source, text) = told.unwrap();
    assert_eq!(source, Source::Err);
    assert!(
        text.starts_with("rejected sign-in/verify: Challenge: "),
        "{text}"
    );
}
