//! What passkeys keep for sites and make for them: `prf`, `hmac-secret`, `credProtect`, `credBlob`,
//! `largeBlob`.

use handfast_authenticator::engine::Computer;
use handfast_authenticator::passphrase::Passphrase;
use handfast_authenticator::vault::Vault;
use handfast_proto::auth_data::AuthenticatorData;
use handfast_proto::cbor::{Map, Value};
use handfast_proto::ctap2::{Status, get_assertion, make_credential, split_reply};
use handfast_proto::ids::CredentialId;

use crate::client::Client;
use crate::phone::{Phone, approving, create, get, id, unverified};

/// A request's extensions with salts of these bytes.
fn salted(prf: Map) -> Map {
    Map::new().with("prf", prf)
}

fn salts(byte: u8) -> Map {
    Map::new().with("first", [byte; 32])
}

/// The first result of a response's unsigned outputs.
fn first_result(outputs: &Map) -> Option<Vec<u8>> {
    let results = outputs.text("prf")?.as_map()?.text("results")?.as_map()?;
    Some(results.text("first")?.as_bytes()?.to_vec())
}

#[test]
fn a_passkey_makes_the_same_secret_of_the_same_salt_and_nobody_else_does() {
    let mut phone = Phone::new(true);
    let eval = || salted(Map::new().with("eval", salts(1)));
    let made = phone.create_with(eval(), &mut approving());
    let data = AuthenticatorData::parse(&made.auth_data).unwrap();
    assert!(
        data.extensions.is_none(),
        "no secret is where the site reads"
    );
    let secret = first_result(&made.unsigned_extensions).unwrap();
    let ana = id(&data);
    let again = phone.get_with(&[], eval(), &mut approving());
    assert_eq!(
        first_result(&again.unsigned_extensions),
        Some(secret.clone())
    );
    let other = salted(Map::new().with("eval", salts(2)));
    let other = phone.get_with(&[], other, &mut approving());
    assert_ne!(first_result(&other.unsigned_extensions).unwrap(), secret);

    // The salts of its own go before those for all, and those of others are nothing to it.
    let own = |of: &CredentialId| {
        let entry = Map::new().with(of.as_bytes(), salts(1));
        salted(
            Map::new()
                .with("eval", salts(2))
                .with("evalByCredential", entry),
        )
    };
    let stranger = CredentialId::from_bytes(&[9; 32]).unwrap();
    let named = phone.get_with(std::slice::from_ref(&ana), own(&ana), &mut approving());
    assert_eq!(
        first_result(&named.unsigned_extensions),
        Some(secret.clone())
    );
    let named = phone.get_with(&[ana], own(&stranger), &mut approving());
    assert_ne!(first_result(&named.unsigned_extensions).unwrap(), secret);

    let mut another = Phone::new(true);
    let made = another.create_with(eval(), &mut approving());
    assert_ne!(first_result(&made.unsigned_extensions).unwrap(), secret);
}

#[test]
fn secrets_are_only_for_who_verified_himself_and_only_if_they_are_asked_for() {
    let mut phone = Phone::new(true);
    let eval = || salted(Map::new().with("eval", salts(1)));
    let enabled = |response: &make_credential::Response| {
        let prf = response.unsigned_extensions.text("prf")?.as_map()?;
        prf.text("enabled")?.as_bool()
    };
    let made = phone.create_with(eval(), &mut unverified());
    assert_eq!(enabled(&made), Some(true));
    assert!(first_result(&made.unsigned_extensions).is_none());
    let got = phone.get_with(&[], eval(), &mut unverified());
    assert!(got.unsigned_extensions.is_empty());
    let made = phone.create_with(salted(Map::new()), &mut approving());
    assert_eq!(enabled(&made), Some(true));
    assert!(first_result(&made.unsigned_extensions).is_none());
    for extensions in [Map::new(), salted(Map::new().with("eval", true))] {
        let made = phone.create_with(extensions.clone(), &mut approving());
        assert!(made.unsigned_extensions.is_empty());
        let got = phone.get_with(&[], extensions, &mut approving());
        assert!(got.unsigned_extensions.is_empty());
    }
    // Made without being asked, it can all the same.
    let mut person = approving();
    let got = phone.get_with(&[], eval(), &mut person);
    assert!(first_result(&got.unsigned_extensions).is_some());
    assert!(person.asked[0].contains("[Secret]"), "{:?}", person.asked);
}

#[test]
fn the_form_of_security_keys_makes_the_same_secrets_as_that_of_phones() {
    let mut phone = Phone::new(true);
    let made = phone.create_with(salted(Map::new()), &mut approving());
    assert!(
        AuthenticatorData::parse(&made.auth_data)
            .unwrap()
            .extensions
            .is_none()
    );
    let eval = Map::new().with("first", [1; 32]).with("second", [2; 32]);
    let got = phone.get_with(&[], salted(Map::new().with("eval", eval)), &mut approving());
    let first = first_result(&got.unsigned_extensions).unwrap();

    let mut client = Client::new(&mut phone);
    let input = client.input(&[[1; 16], [1; 16]]);
    assert_eq!(
        client.get(&mut phone, input, &mut approving()).unwrap(),
        first
    );
    let both = [[1; 16], [1; 16], [2; 16], [2; 16]];
    let input = client.input(&both);
    let two = client.get(&mut phone, input, &mut approving()).unwrap();
    assert_eq!((two.len(), &two[..32]), (64, first.as_slice()));

    // Who was not verified gets other secrets, and always the same.
    let input = client.input(&both);
    let others = client.get(&mut phone, input, &mut unverified()).unwrap();
    let input = client.input(&both);
    assert_eq!(
        client.get(&mut phone, input, &mut unverified()).unwrap(),
        others
    );
    assert_ne!(&others[..32], &two[..32]);
}

#[test]
fn a_passkey_that_is_made_gives_its_secret_at_once() {
    let mut phone = Phone::new(true);
    let mut client = Client::new(&mut phone);
    let extensions = |client: &Client| {
        let input = client.input(&[[1; 16], [1; 16]]);
        Map::new()
            .with("hmac-secret", true)
            .with("hmac-secret-mc", input)
    };
    let mut person = approving();
    let request = make_credential::Request {
        extensions: extensions(&client),
        ..create(b"ana")
    };
    let reply = phone.ask_in(&mut client.session, &request.encode(), &mut person);
    assert!(person.asked[0].contains("[Secret]"), "{:?}", person.asked);
    let made = make_credential::Response::parse(split_reply(&reply).unwrap()).unwrap();
    let outputs = AuthenticatorData::parse(&made.auth_data)
        .unwrap()
        .extensions;
    let enabled = outputs
        .unwrap()
        .text("hmac-secret")
        .and_then(Value::as_bool);
    assert_eq!(enabled, Some(true));
    let secret = client.uncovered(&made.auth_data, "hmac-secret-mc");
    let input = client.input(&[[1; 16], [1; 16]]);
    assert_eq!(
        client.get(&mut phone, input, &mut approving()).unwrap(),
        secret
    );

    // Without the extension itself the salts are nothing to it.
    let input = client.input(&[[1; 16], [1; 16]]);
    let request = make_credential::Request {
        extensions: Map::new().with("hmac-secret-mc", input),
        ..create(b"ben")
    };
    let reply = phone.ask_in(&mut client.session, &request.encode(), &mut approving());
    let made = make_credential::Response::parse(split_reply(&reply).unwrap()).unwrap();
    assert!(
        AuthenticatorData::parse(&made.auth_data)
            .unwrap()
            .extensions
            .is_none()
    );
}

#[test]
fn covered_salts_that_are_not_right_are_refused_before_anybody_is_asked() {
    let mut phone = Phone::new(true);
    phone.create(&create(b"ana"));
    let mut client = Client::new(&mut phone);
    let good = client.input(&[[1; 16], [1; 16]]);
    let with = |label: i64, value: Value| good.clone().with(label, value);
    let flipped = |label: i64| {
        let mut bytes = good.int(label).unwrap().as_bytes().unwrap().to_vec();
        bytes[20] ^= 1;
        with(label, bytes.into())
    };
    let without = |label: i64| {
        let members = good.iter().filter(|(key, _)| **key != label.into());
        members.fold(Map::new(), |map, (key, value)| {
            map.with(key.clone(), value.clone())
        })
    };
    let cut = good.int(3).unwrap().as_bytes().unwrap()[..16].to_vec();
    let key = |label: i64, value: Value| with(1, client.public.clone().with(label, value).into());
    let wrong = [
        (flipped(2), Status::PIN_AUTH_INVALID),
        (flipped(3), Status::PIN_AUTH_INVALID),
        (with(3, cut.into()), Status::PIN_AUTH_INVALID),
        (with(4, 1.into()), Status::INVALID_PARAMETER),
        (without(4), Status::INVALID_PARAMETER),
        (without(1), Status::MISSING_PARAMETER),
        (without(2), Status::MISSING_PARAMETER),
        (without(3), Status::MISSING_PARAMETER),
        (with(1, true.into()), Status::CBOR_UNEXPECTED_TYPE),
        (with(2, true.into()), Status::CBOR_UNEXPECTED_TYPE),
        (key(-2, vec![7; 32].into()), Status::INVALID_PARAMETER),
        (key(-3, vec![7; 31].into()), Status::INVALID_PARAMETER),
        (key(3, (-7).into()), Status::INVALID_PARAMETER),
        (client.input(&[[1; 16]]), Status::INVALID_LENGTH),
        (client.input(&[[1; 16]; 3]), Status::INVALID_LENGTH),
        (client.input(&[[1; 16]; 5]), Status::INVALID_LENGTH),
        (client.input(&[]), Status::INVALID_LENGTH),
    ];
    for (input, status) in wrong {
        let mut person = approving();
        let shown = format!("{input:?}");
        assert_eq!(
            client.get(&mut phone, input, &mut person),
            Err(status),
            "{shown}"
        );
        assert!(person.asked.is_empty());
    }
    // What another session agreed on is nothing to this one.
    let mut another = Client::new(&mut phone);
    let stranger = another.get(&mut phone, good, &mut approving());
    assert_eq!(stranger, Err(Status::PIN_AUTH_INVALID));
    another.session = phone.session(Computer::Unknown);
    let input = another.input(&[[1; 16], [1; 16]]);
    let never = another.get(&mut phone, input, &mut approving());
    assert_eq!(never, Err(Status::PIN_AUTH_INVALID));
}

#[test]
fn a_protected_passkey_answers_to_the_verified_and_where_it_is_named() {
    for level in [1_u8, 2, 3] {
        let mut phone = Phone::new(true);
        let made = phone.create_with(Map::new().with("credProtect", level), &mut approving());
        let data = AuthenticatorData::parse(&made.auth_data).unwrap();
        let outputs = data.extensions.as_ref().unwrap();
        let told = outputs.text("credProtect").and_then(Value::as_u64);
        assert_eq!(told, Some(level.into()));
        let ana = [id(&data)];
        let mut answers = |allow: &[CredentialId], mut person| {
            let request = get_assertion::Request {
                user_verification: None,
                ..get(allow)
            };
            let reply = phone.ask(&request.encode(), &mut person);
            split_reply(&reply).map(|_| ())
        };
        assert_eq!(answers(&[], approving()), Ok(()));
        assert_eq!(answers(&ana, approving()), Ok(()));
        let refused = |refused: bool| match refused {
            true => Err(Status::NO_CREDENTIALS),
            false => Ok(()),
        };
        assert_eq!(answers(&ana, unverified()), refused(level == 3));
        assert_eq!(answers(&[], unverified()), refused(level > 1));
    }
}

#[test]
fn of_a_protected_passkey_only_the_verified_learn_that_it_is_there() {
    let mut phone = Phone::new(true);
    let made = phone.create_with(Map::new().with("credProtect", 3), &mut approving());
    let data = AuthenticatorData::parse(&made.auth_data).unwrap();
    let again = make_credential::Request {
        exclude: vec![id(&data)],
        user_verification: None,
        ..create(b"ana")
    };
    let mut person = approving();
    assert_eq!(
        phone.status(&again.encode(), &mut person),
        Status::CREDENTIAL_EXCLUDED
    );
    assert!(
        person.asked[0].contains("verify: true"),
        "{:?}",
        person.asked
    );
    assert_eq!(
        phone.status(&again.encode(), &mut unverified()),
        Status::OPERATION_DENIED
    );
}

#[test]
fn a_level_of_protection_that_is_none_is_passed_over() {
    let mut phone = Phone::new(true);
    let made = phone.create_with(Map::new().with("credProtect", 4), &mut approving());
    assert!(
        AuthenticatorData::parse(&made.auth_data)
            .unwrap()
            .extensions
            .is_none()
    );
}

/// What is left of a phone after a restart.
fn reopened(phone: &Phone) -> Vault {
    let phrase = Passphrase::new("correct horse");
    Vault::open(&phone.folder.path().join("v"), &phrase).unwrap()
}

#[test]
fn a_small_blob_is_kept_and_given_back_in_what_is_signed() {
    let mut phone = Phone::new(true);
    let read = || Map::new().with("credBlob", true);
    let blob = |auth_data: &[u8]| {
        let outputs = AuthenticatorData::parse(auth_data).unwrap().extensions;
        outputs.unwrap().text("credBlob").cloned().unwrap()
    };
    for (left, kept) in [(b"left here".to_vec(), true), (vec![1; 33], false)] {
        let asked = Map::new().with("credBlob", left.clone());
        let made = phone.create_with(asked, &mut approving());
        assert_eq!(blob(&made.auth_data), Value::Bool(kept));
        let got = phone.get_with(&[], read(), &mut approving());
        let left = if kept { left } else { Vec::new() };
        assert_eq!(blob(&got.auth_data), Value::Bytes(left.clone()));
        phone.authenticator.vault = reopened(&phone);
        let got = phone.get_with(&[], read(), &mut approving());
        assert_eq!(blob(&got.auth_data), Value::Bytes(left));
    }
}

/// The outputs of `largeBlob`.
fn stored(outputs: &Map) -> Option<&Map> {
    outputs.text("largeBlob")?.as_map()
}

fn write(bytes: &[u8]) -> Map {
    let input = Map::new().with("write", bytes).with("originalSize", 900);
    Map::new().with("largeBlob", input)
}

fn read() -> Map {
    Map::new().with("largeBlob", Map::new().with("read", true))
}

#[test]
fn what_a_site_stores_stays_until_it_stores_something_else() {
    let mut phone = Phone::new(true);
    let support = Map::new().with("largeBlob", Map::new().with("support", "required"));
    let made = phone.create_with(support, &mut approving());
    let supported = stored(&made.unsigned_extensions).unwrap().text("supported");
    assert_eq!(supported, Some(&Value::Bool(true)));
    let ana = [id(&AuthenticatorData::parse(&made.auth_data).unwrap())];
    let got = phone.get_with(&ana, read(), &mut approving());
    assert!(got.unsigned_extensions.is_empty(), "nothing is stored yet");
    phone.now = 5000;
    for (bytes, clock) in [(&b"first"[..], 4000), (b"second", 3000), (b"", 2000)] {
        // A clock that goes back does not bring back what was.
        phone.now = clock;
        let mut person = approving();
        let got = phone.get_with(&ana, write(bytes), &mut person);
        assert!(
            person.asked[0].contains("StoredReplaced"),
            "{:?}",
            person.asked
        );
        let written = stored(&got.unsigned_extensions).unwrap().text("written");
        assert_eq!(written, Some(&Value::Bool(true)));
        phone.authenticator.vault = reopened(&phone);
        let mut person = approving();
        let got = phone.get_with(&ana, read(), &mut person);
        assert!(person.asked[0].contains("StoredRead"), "{:?}", person.asked);
        let stored = stored(&got.unsigned_extensions).unwrap();
        assert_eq!(stored.text("blob").unwrap().as_bytes(), Some(bytes));
        assert_eq!(stored.text("originalSize").unwrap().as_u64(), Some(900));
    }
}

#[test]
fn only_who_verified_himself_stores_and_only_with_the_one_passkey_that_is_named() {
    let mut phone = Phone::new(true);
    let made = phone.create_with(Map::new(), &mut approving());
    let ana = id(&AuthenticatorData::parse(&made.auth_data).unwrap());
    let stranger = CredentialId::from_bytes(&[9; 32]).unwrap();
    let one = vec![ana.clone()];
    let long = vec![0; 16 * 1024 + 1];
    for (allow, bytes, person) in [
        (one.clone(), &b"bytes"[..], unverified()),
        (vec![ana, stranger], b"bytes", approving()),
        (Vec::new(), b"bytes", approving()),
        (one.clone(), &long, approving()),
    ] {
        let mut person = person;
        let got = phone.get_with(&allow, write(bytes), &mut person);
        let written = stored(&got.unsigned_extensions).unwrap().text("written");
        assert_eq!(written, Some(&Value::Bool(false)));
        let got = phone.get_with(&one, read(), &mut approving());
        assert!(got.unsigned_extensions.is_empty());
    }
}

#[test]
fn what_is_not_offered_is_not_answered() {
    let mut phone = Phone::new(true);
    let asked = [
        "minPinLength",
        "credProps",
        "uvm",
        "devicePubKey",
        "relationshipPublicKey",
        "x",
    ];
    let asked = asked
        .into_iter()
        .fold(Map::new(), |map, name| map.with(name, true));
    let made = phone.create_with(asked.clone(), &mut approving());
    assert!(
        AuthenticatorData::parse(&made.auth_data)
            .unwrap()
            .extensions
            .is_none()
    );
    assert!(made.unsigned_extensions.is_empty());
    let got = phone.get_with(&[], asked, &mut approving());
    assert!(
        AuthenticatorData::parse(&got.auth_data)
            .unwrap()
            .extensions
            .is_none()
    );
    assert!(got.unsigned_extensions.is_empty());
}
