//! What clients of others may expect, and what they may not learn.

use handfast_authenticator::engine::{Answer, Computer};
use handfast_proto::cbor::{Map, Value};
use handfast_proto::ctap2::{
    MAX_REQUEST, Status, command, get_assertion, get_info, make_credential, split_reply,
};
use handfast_proto::extension::cmtg_key;
use handfast_proto::ids::CredentialId;
use rand_core::OsRng;

use crate::phone::{Phone, Scripted, answering, approving, create, get, id};

const DAY: u64 = 24 * 60 * 60;

/// An account whose passkey was replaced: the old one, and the new one.
fn replaced(phone: &mut Phone) -> [CredentialId; 2] {
    [0, 1].map(|_| id(&phone.create(&create(b"ana"))))
}

fn sign_in(phone: &mut Phone, allow: &[CredentialId]) -> Result<(), Status> {
    let reply = phone.ask(&get(allow).encode(), &mut approving());
    split_reply(&reply).map(|_| ())
}

/// A request with one of its members as it is given.
fn with(request: &[u8], key: i64, value: impl Into<Value>) -> Vec<u8> {
    let map = handfast_proto::cbor::decode(&request[1..]).unwrap();
    let map = map.into_map().unwrap().with(key, value);
    [&request[..1], map.encode().as_slice()].concat()
}

#[test]
fn that_there_is_no_passkey_is_told_with_the_owners_word_alone() {
    let request = get(&[]).encode();
    let unverified = Answer::Approved {
        account: 0,
        verified: false,
    };
    for (answer, status) in [
        (unverified, Status::NO_CREDENTIALS),
        (Answer::Refused, Status::OPERATION_DENIED),
        (Answer::NoAnswer, Status::USER_ACTION_TIMEOUT),
    ] {
        let mut phone = Phone::new(true);
        let mut person = answering(move |_| answer);
        assert_eq!(phone.status(&request, &mut person), status);
        assert!(
            person.asked[0].starts_with("NoPasskey"),
            "{:?}",
            person.asked
        );
    }
    // Who asks on this very device sees its files.
    let mut phone = Phone::new(true);
    let mut nobody: Scripted = answering(|_| Answer::Refused);
    let reply = phone.ask_as(Computer::ThisDevice, &request, &mut nobody);
    assert_eq!(reply, [Status::NO_CREDENTIALS.0]);
    assert!(nobody.asked.is_empty());
}

#[test]
fn a_replaced_passkey_answers_for_thirty_days_and_excludes_nothing() {
    let mut phone = Phone::new(true);
    let [old, _] = replaced(&mut phone);
    assert_eq!(sign_in(&mut phone, std::slice::from_ref(&old)), Ok(()));
    // A site that never heard of the new one can have another made.
    let again = make_credential::Request {
        exclude: vec![old.clone()],
        ..create(b"ana")
    };
    phone.create(&again);
    assert_eq!(sign_in(&mut phone, std::slice::from_ref(&old)), Ok(()));
    // No restart comes in between, which would delete it.
    phone.now += 31 * DAY;
    let gone = sign_in(&mut phone, &[old]);
    assert_eq!(gone, Err(Status::NO_CREDENTIALS));
}

#[test]
fn a_replaced_passkey_that_is_named_twice_is_one_account() {
    let mut phone = Phone::new(true);
    let [old, _] = replaced(&mut phone);
    let mut person = approving();
    let reply = phone.ask(&get(&[old.clone(), old]).encode(), &mut person);
    assert!(split_reply(&reply).is_ok());
    assert_eq!(person.asked[0].matches("Account {").count(), 1);
}

#[test]
fn what_is_replaced_goes_with_the_last_passkey_of_its_account() {
    let mut phone = Phone::new(true);
    let [old, new] = replaced(&mut phone);
    let other = id(&phone.create(&create(b"bob")));
    let now = phone.now;
    let gone = phone.authenticator.with_replaced(&new);
    assert_eq!(
        gone,
        [new, old.clone()],
        "the one that is meant comes first"
    );
    phone.authenticator.delete(&gone, &mut OsRng, now).unwrap();
    assert_eq!(sign_in(&mut phone, &[old]), Err(Status::NO_CREDENTIALS));
    assert_eq!(sign_in(&mut phone, &[other]), Ok(()));

    let [old, new] = replaced(&mut phone);
    let reply = phone.ask_as(Computer::TestTool, &[command::RESET], &mut approving());
    assert_eq!(reply, [0]);
    for id in [old, new] {
        assert_eq!(sign_in(&mut phone, &[id]), Err(Status::NO_CREDENTIALS));
    }
}

#[test]
fn tools_for_tests_are_told_how_much_they_may_send() {
    let mut phone = Phone::new(true);
    for (computer, most) in [
        (Computer::Unknown, None),
        (Computer::TestTool, u64::try_from(MAX_REQUEST).ok()),
    ] {
        let reply = phone.ask_as(computer, &[command::GET_INFO], &mut approving());
        let info = get_info::Response::parse(split_reply(&reply).unwrap()).unwrap();
        assert_eq!(info.max_msg_size, most);
    }
}

#[test]
fn of_several_faults_the_one_that_comes_first_in_the_standard_is_told() {
    let secrets = Map::new().with("hmac-secret", Map::new());
    let at_creation = Map::new()
        .with("hmac-secret", true)
        .with("hmac-secret-mc", Map::new());
    let asking = get_assertion::Request {
        extensions: secrets,
        ..get(&[])
    };
    // No PIN, before salts that cannot be read.
    let mut phone = Phone::new(false);
    let status = phone.status(&asking.encode(), &mut approving());
    assert_eq!(status, Status::INVALID_OPTION);
    // No passkey, before them.
    let mut phone = Phone::new(true);
    let status = phone.status(&asking.encode(), &mut approving());
    assert_eq!(status, Status::NO_CREDENTIALS);
    // A passkey that is here, before them.
    let here = id(&phone.create(&create(b"ana")));
    let excluded = make_credential::Request {
        exclude: vec![here],
        extensions: at_creation,
        ..create(b"ana")
    };
    let status = phone.status(&excluded.encode(), &mut approving());
    assert_eq!(status, Status::CREDENTIAL_EXCLUDED);
    let status = phone.status(&asking.encode(), &mut approving());
    assert_eq!(status, Status::MISSING_PARAMETER);
}

#[test]
fn an_option_of_new_credentials_is_refused_in_a_sign_in() {
    let mut phone = Phone::new(true);
    phone.create(&create(b"ana"));
    let options = Map::new().with("rk", true).with("uv", true);
    let request = with(&get(&[]).encode(), 5, options);
    let status = phone.status(&request, &mut approving());
    assert_eq!(status, Status::UNSUPPORTED_OPTION);
}

#[test]
fn an_rp_id_is_hashed_as_it_was_sent_or_refused() {
    let mut phone = Phone::new(true);
    let request = get(&[]).encode();
    for (text, status) in [
        ("example.org", Status::NO_CREDENTIALS),
        ("Example.ORG", Status::INVALID_PARAMETER),
    ] {
        let request = with(&request, 1, text);
        assert_eq!(phone.status(&request, &mut approving()), status, "{text}");
    }
    let rp = Map::new().with("id", "EXAMPLE.org").with("name", "");
    let request = with(&create(b"ana").encode(), 2, rp);
    let status = phone.status(&request, &mut approving());
    assert_eq!(status, Status::INVALID_PARAMETER);
}

#[test]
fn algorithms_that_nobody_knows_are_passed_over_whatever_they_are_called() {
    let entry =
        |kind: &str, alg: Value| -> Value { Map::new().with("type", kind).with("alg", alg).into() };
    let known = || entry("public-key", (-7).into());
    for before in [
        entry("other", "x".into()),
        entry("other", (-7).into()),
        entry("public-key", Value::Unsigned(u64::MAX)),
        entry("public-key", Value::Negative(u64::MAX)),
    ] {
        let mut phone = Phone::new(true);
        let request = with(&create(b"ana").encode(), 4, vec![before.clone(), known()]);
        let reply = phone.ask(&request, &mut approving());
        assert!(split_reply(&reply).is_ok(), "{before:?}");
    }
    let mut phone = Phone::new(true);
    let text = vec![entry("public-key", "x".into()), known()];
    let status = phone.status(&with(&create(b"ana").encode(), 4, text), &mut approving());
    assert_eq!(status, Status::CBOR_UNEXPECTED_TYPE);
}

#[test]
fn salts_for_one_passkey_count_only_where_passkeys_are_named() {
    let mut phone = Phone::new(true);
    let made = id(&phone.create(&create(b"ana")));
    let salts = Map::new().with("first", [3; 32]);
    let mut of = Map::new();
    of.insert(made.as_bytes(), salts);
    let prf = Map::new().with("evalByCredential", of);
    for (allow, has_results) in [(vec![made], true), (Vec::new(), false)] {
        let request = get_assertion::Request {
            extensions: Map::new().with("prf", prf.clone()),
            ..get(&allow)
        };
        let mut person = approving();
        let reply = phone.ask(&request.encode(), &mut person);
        let response = get_assertion::Response::parse(split_reply(&reply).unwrap()).unwrap();
        let answered = response.unsigned_extensions.text("prf").is_some();
        assert_eq!(answered, has_results);
        assert_eq!(person.asked[0].contains("[Secret]"), has_results);
    }
}

#[test]
fn what_the_site_stored_is_not_read_without_a_word_of_it() {
    let mut phone = Phone::new(true);
    let stored = Map::new().with("credBlob", b"x".as_slice());
    phone.create_with(stored, &mut approving());
    let mut person = approving();
    phone.get_with(&[], Map::new().with("credBlob", true), &mut person);
    assert!(
        person.asked[0].contains("[StoredRead]"),
        "{:?}",
        person.asked
    );
}

#[test]
fn nothing_that_comes_in_between_leaves_the_others_of_an_assertion() {
    let mut phone = Phone::new(true);
    let ids = [b"one", b"two"].map(|user| id(&phone.create(&create(user))));
    let silent = get_assertion::Request {
        user_presence: Some(false),
        user_verification: None,
        ..get(&ids)
    };
    let all = get_assertion::Request {
        allow: Vec::new(),
        has_allow_list: false,
        ..silent
    };
    for between in [&[][..], &[0x01], &[0x04, 0xa0], &[0x02, 0xff]] {
        let mut session = phone.session(Computer::TestTool);
        let mut ask = |request: &[u8]| phone.ask_in(&mut session, request, &mut approving());
        assert_eq!(ask(&all.encode())[0], 0);
        assert_ne!(ask(between)[0], 0);
        assert_eq!(ask(&[0x08]), [Status::NOT_ALLOWED.0], "{between:?}");
    }
}

#[test]
fn a_folder_that_takes_no_group_key_costs_that_key_and_nothing_else() {
    let mut phone = Phone::new(true);
    let mut without = create(b"ana");
    without.extensions = Map::new();
    let made = id(&phone.create(&without));
    // Not even root writes into a folder that is none.
    let group = phone.folder.path().join("v/group");
    let _ = std::fs::remove_dir_all(&group);
    std::fs::write(&group, "no folder").unwrap();
    let has_key = |phone: &mut Phone| {
        let reply = phone.ask(&get(std::slice::from_ref(&made)).encode(), &mut approving());
        let response = get_assertion::Response::parse(split_reply(&reply).unwrap()).unwrap();
        response.unsigned_extensions.text(cmtg_key::NAME).is_some()
    };
    for _ in 0..2 {
        assert!(!has_key(&mut phone));
        let reply = phone.ask(&[command::GET_INFO], &mut approving());
        assert!(split_reply(&reply).is_ok());
    }
    let damaged: Vec<_> = phone.authenticator.vault.damaged().collect();
    assert_eq!(damaged[0].0, group, "{damaged:?}");
    std::fs::remove_file(&group).unwrap();
    assert!(has_key(&mut phone));
    assert!(phone.authenticator.vault.group_files().count() > 1);
}
