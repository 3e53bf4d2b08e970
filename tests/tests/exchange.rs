//! Passkeys in and out, as their owner meets it: what is refused and when, what it says, and that an
//! exported passkey signs elsewhere.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use handfast_demo::stage::{Finished, Home, Program, Stage};
use handfast_tests::terminal::Terminal;
use handfast_tests::{PASSPHRASE, PIN, finish, phone, run, stage, told, words};
use serde_json::{Value, json};

const CREATE: &str = r#"{"challenge":"AAAAAAAAAAAAAAAAAAAAAA","rp":{"id":"example.org","name":"E"},
    "user":{"id":"AAAA","name":"ana","displayName":"Ana"},"pubKeyCredParams":[{"type":"public-key","alg":-7}]}"#;
const GET: &str = r#"{"challenge":"AAAAAAAAAAAAAAAAAAAAAA","rpId":"example.org"}"#;
const ORIGIN: [&str; 4] = ["--origin", "https://example.org", "--via", "local"];
const DOCUMENT_PASSPHRASE: &str = "HANDFAST_EXPORT_PASSPHRASE_FILE";

/// Runs `passkeys …` with the document's pass phrase in a file.
fn passkeys(stage: &Stage, home: &Home, arguments: &[&str], input: &str) -> Finished {
    finish(command(stage, home, arguments), input)
}

fn command(stage: &Stage, home: &Home, arguments: &[&str]) -> Command {
    let file = stage.folder().join("document-passphrase");
    fs::write(&file, "six other words for a document\n").unwrap();
    let mut command = stage.command(Program::Phone, home, &[&["passkeys"], arguments].concat());
    command.env(DOCUMENT_PASSPHRASE, file);
    command
}

fn locally(stage: &Stage, home: &Home, verb: &str, input: &str) -> Value {
    let arguments = words(&[&[verb][..], &ORIGIN].concat());
    let done = run(stage, Program::Desktop, home, &arguments, input);
    assert_eq!(done.code, 0, "{}", done.err);
    done.json().unwrap()
}

fn listed(stage: &Stage, home: &Home) -> Vec<Value> {
    let list = passkeys(stage, home, &["list", "--json"], "");
    list.json().unwrap().as_array().unwrap().clone()
}

/// The document of the vectors in a file: two passkeys of one account.
fn sample(stage: &Stage) -> (PathBuf, Value) {
    let vectors = include_str!("../../vectors/trust-group.json");
    let vectors: Value = serde_json::from_str(vectors).unwrap();
    let document = vectors["cxfSample"].clone();
    let path = stage.folder().join("sample.json");
    fs::write(&path, document.to_string()).unwrap();
    (path, document)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn an_exported_passkey_signs_in_from_a_second_home() {
    let stage = stage();
    let (old, new) = (phone(&stage, "old"), phone(&stage, "new"));
    let made = locally(&stage, &old, "create", CREATE);
    let file = stage.folder().join("passkeys.age");
    let exported = passkeys(&stage, &old, &["export", "--to", text(&file)], "");
    assert_eq!(exported.code, 0, "{}", exported.err);
    assert!(exported.err.contains("1 passkey is in"), "{}", exported.err);
    assert!(exported.err.contains("trust group"), "{}", exported.err);
    assert!(exported.out.is_empty());
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let bytes = fs::read(&file).unwrap();
    assert!(bytes.starts_with(b"age-encryption.org/v1\n"));
    assert!(!bytes.windows(11).any(|bytes| bytes == b"example.org"));

    let dry = ["import", text(&file), "--dry-run", "--json"];
    let dry = passkeys(&stage, &new, &dry, "").json().unwrap();
    assert_eq!(
        (&dry["imported"], &dry["dry_run"]),
        (&json!(1), &json!(true))
    );
    assert!(listed(&stage, &new).is_empty(), "nothing was written");
    let imported = passkeys(&stage, &new, &["import", text(&file)], "");
    assert_eq!(imported.code, 0, "{}", imported.err);
    assert!(
        imported.err.contains("1 passkey was imported"),
        "{}",
        imported.err
    );

    let signed = locally(&stage, &new, "get", GET);
    assert_eq!(signed["id"], made["id"]);
    assert_eq!(signed["response"]["userHandle"], "AAAA");
    // Again is no harm.
    let again = passkeys(&stage, &new, &["import", text(&file), "--json"], "");
    assert_eq!(
        (again.code, &again.json().unwrap()["present"]),
        (0, &json!(1))
    );
}

#[test]
fn the_sample_is_asked_about_imported_and_exported_as_it_came() {
    let stage = stage();
    let home = phone(&stage, "phone");
    let (path, document) = sample(&stage);
    let import = ["import", text(&path)];
    let nobody = passkeys(&stage, &home, &import, "");
    told(&nobody, 2, "--on-conflict");
    assert!(listed(&stage, &home).is_empty(), "nothing was written");

    let asked = passkeys(&stage, &home, &import, "what\nk\n");
    assert_eq!(asked.code, 0, "{}", asked.err);
    assert_eq!(
        asked.err.matches("has another passkey").count(),
        2,
        "asked again"
    );
    assert_eq!(listed(&stage, &home).len(), 2);

    let export = ["export", "--plain", "--plain", "--site", "example.org"];
    let exported = passkeys(&stage, &home, &export, "");
    assert_eq!(exported.code, 0, "{}", exported.err);
    assert!(exported.err.contains("NOT SEALED"), "{}", exported.err);
    let credentials = |document: &Value| {
        let items = document["accounts"][0]["items"].as_array().unwrap();
        let credentials = items.iter().map(|item| item["credentials"].to_string());
        let mut credentials: Vec<_> = credentials.collect();
        credentials.sort();
        credentials
    };
    assert_eq!(
        credentials(&exported.json().unwrap()),
        credentials(&document)
    );
}

#[test]
fn what_is_chosen_for_all_conflicts_is_done() {
    let stage = stage();
    let (path, _) = sample(&stage);
    for (choice, usable, skipped) in [("skip", 1, 1), ("replace", 1, 0), ("keep-both", 2, 0)] {
        let home = phone(&stage, choice);
        let import = ["import", text(&path), "--on-conflict", choice, "--json"];
        let imported = passkeys(&stage, &home, &import, "");
        let summary = imported.json().unwrap();
        assert_eq!((imported.code, &summary["skipped"]), (0, &json!(skipped)));
        assert_eq!(listed(&stage, &home).len(), usable, "{choice}");
    }
}

#[test]
fn an_export_is_refused_before_anything_is_written() {
    let stage = stage();
    let home = phone(&stage, "phone");
    let file = stage.folder().join("there.age");
    let export =
        |arguments: &[&str]| passkeys(&stage, &home, &[&["export"], arguments].concat(), "");
    told(&export(&["--to", text(&file)]), 1, "no passkeys to export");
    locally(&stage, &home, "create", CREATE);
    told(&export(&["--plain"]), 2, "--plain --plain");
    told(
        &export(&["--site", "other.org"]),
        1,
        "no passkey for other.org",
    );
    told(&export(&["--to", text(stage.folder())]), 2, "is a folder");
    told(&export(&["--to", "/nowhere/at/all.age"]), 2, "is no folder");
    assert_eq!(export(&["--recipient", "age1what"]).code, 2);
    assert!(!file.exists());

    fs::write(&file, "precious").unwrap();
    told(&export(&["--to", text(&file)]), 1, "--force");
    assert_eq!(fs::read(&file).unwrap(), b"precious");
    assert_eq!(export(&["--to", text(&file), "--force"]).code, 0);
    assert_ne!(fs::read(&file).unwrap(), b"precious");
}

#[test]
fn nothing_leaves_for_who_does_not_know_the_pin_or_the_pass_phrase() {
    let stage = stage();
    let home = phone(&stage, "phone");
    locally(&stage, &home, "create", CREATE);
    let file = stage.folder().join("stolen.age");
    let export = |pin: Option<&str>, short: bool, input: &str| {
        let mut command = command(&stage, &home, &["export", "--to", text(&file)]);
        command.env_remove("HANDFAST_PIN_FILE");
        let secret = |name: &str, content: &str| {
            let path = stage.folder().join(name);
            fs::write(&path, content).unwrap();
            path
        };
        if let Some(pin) = pin {
            command.env("HANDFAST_PIN_FILE", secret("pin", pin));
        }
        if short {
            command.env(DOCUMENT_PASSPHRASE, secret("short", "short"));
        }
        let done = finish(command, input);
        assert_eq!(file.exists(), done.code == 0);
        done
    };
    told(
        &export(None, false, ""),
        2,
        "without it nothing leaves the vault",
    );
    told(
        &export(Some("0000"), false, ""),
        1,
        "The PIN is wrong; it can be tried 7 times more",
    );
    told(
        &export(None, false, "1111\n2222\n"),
        1,
        "The PIN is wrong; it can be tried 5 times more",
    );
    told(&export(Some(PIN), true, ""), 2, "at least 12 characters");
    let typed = export(None, false, &format!("{PIN}\n"));
    assert_eq!(typed.code, 0, "{}", typed.err);
    fs::remove_file(&file).unwrap();

    // Where no PIN can be tried the pass phrase is asked for.
    for _ in 0..8 {
        export(Some("0000"), false, "");
    }
    let mut blocked = command(&stage, &home, &["export", "--to", text(&file)]);
    blocked.env_remove("HANDFAST_PASSPHRASE_FILE");
    told(
        &finish(blocked, &format!("{PASSPHRASE}\nnot this\n")),
        1,
        "pass phrase is wrong",
    );
    assert!(!file.exists());

    // Wrong ones are counted, also where the vault opens without one.
    let key = stage.folder().join("key");
    let with_key = ["unlock-with", "key-file", text(&key)];
    let with_key = finish(stage.command(Program::Phone, &home, &with_key), "");
    assert_eq!(with_key.code, 0, "{with_key:?}");
    let guess = || {
        let mut command = command(&stage, &home, &["export", "--to", text(&file)]);
        command.env_remove("HANDFAST_PASSPHRASE_FILE");
        finish(command, "not this\nnot this\nnot this\n")
    };
    told(&guess(), 1, "pass phrase is wrong");
    // The first wait is a second, which may be over before it is looked at; then it is longer.
    let waits = (0..4)
        .map(|_| guess())
        .find(|it| it.err.contains("has to wait"));
    told(
        &waits.unwrap(),
        1,
        "wrong pass phrases were given here in a row",
    );
    assert!(!file.exists());
}

#[test]
fn keys_of_age_open_what_is_for_them() {
    let stage = stage();
    let (old, new) = (phone(&stage, "old"), phone(&stage, "new"));
    locally(&stage, &old, "create", CREATE);
    let (public, private) = AGE_KEY;
    let identity = stage.folder().join("key.txt");
    fs::write(&identity, format!("# created: once\n{private}\n")).unwrap();
    let file = stage.folder().join("for-ana.age");
    let exported = passkeys(
        &stage,
        &old,
        &["export", "--recipient", public, "--to", text(&file)],
        "",
    );
    assert_eq!(exported.code, 0, "{}", exported.err);

    told(
        &passkeys(&stage, &new, &["import", text(&file)], ""),
        2,
        "--identity",
    );
    let with = |key: &Path| {
        passkeys(
            &stage,
            &new,
            &["import", text(&file), "--identity", text(key)],
            "",
        )
    };
    let other = stage.folder().join("other.txt");
    fs::write(&other, OTHER_AGE_KEY).unwrap();
    told(&with(&other), 1, "none of the keys opens it");
    fs::write(&other, "no key").unwrap();
    told(&with(&other), 2, "age-keygen");
    told(&with(Path::new("/nowhere")), 1, "--identity");
    let imported = with(&identity);
    assert_eq!(imported.code, 0, "{}", imported.err);
    assert_eq!(listed(&stage, &new).len(), 1);
}

/// Made for these tests: SHA-256 of a sentence.
const AGE_KEY: (&str, &str) = (
    "age1460ay570z2cjvxsvra3ku9edyl5uys2942juu6zchp3hy6nq6y9qzkdpcz",
    "AGE-SECRET-KEY-1KSH6E4JZMMDMR9GMJSKAMXK9MZYQ2R34G92FCCUT5VUEM6FKMQFQ5PVX48",
);
const OTHER_AGE_KEY: &str =
    "AGE-SECRET-KEY-1GK7JH76F84MU0QW035LWTYW6P0G9DG73MZA53N9X7KLTWQUVJ92SFW45JZ";

#[test]
fn documents_that_cannot_be_used_are_told_and_change_nothing() {
    let stage = stage();
    let home = phone(&stage, "phone");
    let import = |bytes: &[u8]| {
        let path = stage.folder().join("document");
        fs::write(&path, bytes).unwrap();
        passkeys(&stage, &home, &["import", text(&path)], "")
    };
    let deep = "[".repeat(1000);
    for (bytes, word) in [
        (&b""[..], "cut off"),
        (b"PK\x03\x04", "no JSON"),
        (b"{}", "Credential Exchange Format"),
        (b"\xff", "no text"),
        (deep.as_bytes(), "too deep"),
        (b"{\"version\":{\"major\":2},\"accounts\":[]}", "version 2"),
        (b"age-encryption.org/v1\n-> scrypt", "damaged"),
    ] {
        told(&import(bytes), 1, word);
    }
    told(
        &passkeys(&stage, &home, &["import", "/nowhere"], ""),
        1,
        "cannot be read",
    );
    told(
        &passkeys(&stage, &home, &["import", "-"], "{"),
        1,
        "standard input",
    );
    assert!(listed(&stage, &home).is_empty());
    let empty = import(br#"{"version":{"major":1,"minor":0},"accounts":[]}"#);
    assert_eq!(empty.code, 0);
    assert!(empty.err.contains("no passkey in it"), "{}", empty.err);
}

#[test]
fn bad_passkeys_are_named_and_the_rest_is_imported() {
    let stage = stage();
    let home = phone(&stage, "phone");
    let (_, mut document) = sample(&stage);
    let items = &mut document["accounts"][0]["items"];
    items[0]["credentials"][0]["rpId"] = json!("evil\u{1b}[2J.org");
    items[1]["credentials"]
        .as_array_mut()
        .unwrap()
        .push(json!({"type": "note"}));
    let imported = passkeys(&stage, &home, &["import", "-"], &document.to_string());
    told(&imported, 1, "account 1, item 1, credential 1 (evil");
    assert!(
        imported.err.contains(
            "1 passkey was imported, 1 passkey cannot be used, 1 credential of other kinds"
        ),
        "{}",
        imported.err
    );
    assert!(
        !imported.err.contains('\u{1b}'),
        "the terminal is not spoken to"
    );
    assert_eq!(listed(&stage, &home).len(), 1);
    let again = passkeys(
        &stage,
        &home,
        &["import", "-", "--json"],
        &document.to_string(),
    );
    let summary: Value = serde_json::from_str(&again.out).unwrap();
    assert_eq!((again.code, &summary["present"]), (1, &json!(1)));
    assert_eq!(summary["refused"][0]["item"], 1);
}

#[test]
fn a_passkey_without_its_secrets_waits_for_a_word_of_its_owner() {
    let stage = stage();
    let home = phone(&stage, "phone");
    let (path, mut document) = sample(&stage);
    let items = document["accounts"][0]["items"].as_array_mut().unwrap();
    items.truncate(1);
    items[0]["credentials"][0]["fido2Extensions"] = json!({"hmacCredentials": {"algorithm": "x"}});
    fs::write(&path, document.to_string()).unwrap();
    let import = |more: &[&str], input: &str| {
        passkeys(
            &stage,
            &home,
            &[&["import", text(&path)], more].concat(),
            input,
        )
    };
    told(&import(&[], ""), 2, "--without-prf");
    let no = import(&[], "n\n");
    assert!(no.err.contains("1 passkey was skipped"), "{}", no.err);
    assert!(listed(&stage, &home).is_empty());
    let yes = import(&["--without-prf"], "");
    assert!(
        yes.err.contains("without the keys of its secrets"),
        "{}",
        yes.err
    );
    assert_eq!((yes.code, listed(&stage, &home).len()), (0, 1));
}

#[test]
fn a_passkey_is_shown_renamed_and_deleted_only_if_its_owner_says_so() {
    let stage = stage();
    let home = phone(&stage, "phone");
    let (path, _) = sample(&stage);
    let import = ["import", text(&path), "--on-conflict", "keep-both"];
    assert_eq!(passkeys(&stage, &home, &import, "").code, 0);
    let with = |arguments: &[&str], input: &str| passkeys(&stage, &home, arguments, input);
    let shown = with(&["show", "example.org"], "");
    for word in ["ES256", "EdDSA", "2025-07-08", "a@example.org"] {
        assert!(shown.out.contains(word), "“{word}” in {}", shown.out);
    }
    told(&with(&["show", "other.org"], ""), 1, "no such passkey");
    told(&with(&["delete", "example.org"], "y\n"), 2, "--id");
    let one = ["--id", "Na6J"];
    let rename = [&["rename", "example.org", "--name", "Ana"], &one[..]].concat();
    assert_eq!(with(&rename, "").code, 0);
    assert_eq!(with(&["rename", "example.org"], "").code, 2);
    let shown = with(&["show", "example.org", "--user", "Ana", "--json"], "")
        .json()
        .unwrap();
    assert_eq!(shown.as_array().unwrap().len(), 1);
    assert_eq!(
        (&shown[0]["display_name"], &shown[0]["algorithm"]),
        (&json!("A"), &json!(-7))
    );

    let delete = ["delete", "example.org", "--user", "Ana"];
    told(&with(&delete, ""), 2, "--yes");
    told(&with(&delete, "\n"), 3, "refused");
    assert_eq!(listed(&stage, &home).len(), 2);
    assert_eq!(with(&delete, "y\n").code, 0);
    assert_eq!(with(&["delete", "example.org", "--yes"], "").code, 0);
    assert!(listed(&stage, &home).is_empty());
    // What was deleted stays so.
    told(
        &with(&["import", text(&path), "--on-conflict", "skip"], ""),
        1,
        "deleted from this vault",
    );
    told(
        &with(&["export", "--plain", "--plain"], ""),
        1,
        "no passkeys to export",
    );
}

#[test]
fn a_terminal_gets_letters_only() {
    let stage = stage();
    let home = phone(&stage, "phone");
    locally(&stage, &home, "create", CREATE);
    let export = command(&stage, &home, &["export"]);
    let (_, shown) = Terminal::start(&export, "").finish();
    assert!(
        shown.contains("-----BEGIN AGE ENCRYPTED FILE-----"),
        "{shown}"
    );
    assert!(
        shown.contains("-----END AGE ENCRYPTED FILE-----"),
        "{shown}"
    );
    // Into a pipe it goes as it is, and comes in again.
    let mut piped = command(&stage, &home, &["export"]);
    let out = piped.output().unwrap().stdout;
    assert!(out.starts_with(b"age-encryption.org/v1\n"));
}
