//! What goes before what, what names are told, and what an approval is good for.

use handfast_authenticator::engine::{Answer, Computer, Session};
use handfast_proto::auth_data::AuthenticatorData;
use handfast_proto::cbor::{Map, Value};
use handfast_proto::ctap2::{
    Status, UserEntity, client_pin, command, get_assertion, make_credential, split_reply,
};
use handfast_proto::ids::UserHandle;

use crate::client::Client;
use crate::phone::{Phone, Scripted, answering, approving, create, get, id, unverified};

fn nobody() -> Scripted {
    answering(|_| panic!("somebody was asked"))
}

#[test]
fn names_are_told_only_of_who_was_verified() {
    let mut phone = Phone::new(true);
    let named = make_credential::Request {
        user: UserEntity {
            id: UserHandle::from_bytes(b"7").unwrap(),
            name: Some("ana".to_owned()),
            display_name: Some("Ana A.".to_owned()),
        },
        ..create(b"ana")
    };
    let ana = [id(&phone.create(&named))];
    for allow in [&[][..], &ana] {
        let user = phone.get_with(allow, Map::new(), &mut unverified()).user;
        let handle_only = UserEntity {
            name: None,
            display_name: None,
            ..named.user.clone()
        };
        assert_eq!(user, Some(handle_only));
        let user = phone.get_with(allow, Map::new(), &mut approving()).user;
        assert_eq!(user.as_ref(), Some(&named.user));
    }
}

#[test]
fn names_are_kept_up_to_sixty_four_bytes_and_no_letter_is_cut() {
    let mut phone = Phone::new(true);
    for (given, kept) in [
        ("x".repeat(64), "x".repeat(64)),
        ("x".repeat(65), "x".repeat(64)),
        // The last letter has two bytes, and there is room for one of them.
        ("x".repeat(63) + "é", "x".repeat(63)),
        ("x".repeat(62) + "éé", "x".repeat(62) + "é"),
    ] {
        let request = make_credential::Request {
            user: UserEntity {
                id: UserHandle::from_bytes(b"7").unwrap(),
                name: Some(given.clone()),
                display_name: Some(given),
            },
            ..create(b"ana")
        };
        let made = id(&phone.create(&request));
        let stored = phone.authenticator.vault.passkey(&made).unwrap();
        assert_eq!(stored.user_name.as_ref(), Some(&kept));
        assert_eq!(stored.display_name.as_ref(), Some(&kept));
        let user = phone.get_with(&[made], Map::new(), &mut approving()).user;
        let user = user.unwrap();
        assert_eq!(
            (user.name, user.display_name),
            (Some(kept.clone()), Some(kept))
        );
    }
}

#[test]
fn secrets_are_not_made_in_silence() {
    let mut phone = Phone::new(true);
    phone.create(&create(b"ana"));
    let mut client = Client::on(&mut phone, Computer::TestTool);
    let input = client.input(&[[1; 16], [1; 16]]);
    let mut silent = |extensions| {
        let request = get_assertion::Request {
            extensions,
            user_presence: Some(false),
            user_verification: None,
            ..get(&[])
        };
        phone.ask_in(&mut client.session, &request.encode(), &mut nobody())
    };
    let secret = Map::new().with("hmac-secret", input);
    assert_eq!(silent(secret), [Status::UNSUPPORTED_OPTION.0]);
    assert_eq!(silent(Map::new())[0], 0, "all else is answered");
}

#[test]
fn that_no_algorithm_is_known_goes_before_options_that_are_wrong() {
    let none = || make_credential::Request {
        algorithms: vec![-257],
        ..create(b"ana")
    };
    let absent = make_credential::Request {
        user_presence: Some(false),
        ..none()
    };
    let enterprise = make_credential::Request {
        enterprise_attestation: Some(1),
        ..none()
    };
    // Without a PIN, that somebody is to be verified is wrong as well.
    for with_pin in [true, false] {
        let mut phone = Phone::new(with_pin);
        for request in [&absent, &enterprise] {
            let status = phone.status(&request.encode(), &mut nobody());
            assert_eq!(status, Status::UNSUPPORTED_ALGORITHM);
        }
    }
}

/// An assertion, and what of it depends on the person.
fn assertion(
    phone: &mut Phone,
    session: &mut Session,
    request: &[u8],
    person: &mut Scripted,
) -> (Vec<u8>, (bool, bool), bool, bool, Option<Value>) {
    let reply = phone.ask_in(session, request, person);
    let response = get_assertion::Response::parse(split_reply(&reply).unwrap()).unwrap();
    let data = AuthenticatorData::parse(&response.auth_data).unwrap();
    let user = response.user.unwrap();
    (
        user.id.as_bytes().to_vec(),
        (data.flags.user_present(), data.flags.user_verified()),
        user.name.is_some(),
        response.unsigned_extensions.text("prf").is_some(),
        data.extensions.unwrap().text("credBlob").cloned(),
    )
}

#[test]
fn what_was_approved_for_the_first_assertion_is_so_for_the_next() {
    for (presence, mut person, flags) in [
        (Some(false), nobody(), (false, false)),
        (None, unverified(), (true, false)),
        (None, approving(), (true, true)),
    ] {
        let mut phone = Phone::new(true);
        for user in [b"ana", b"bob"] {
            let request = make_credential::Request {
                extensions: Map::new().with("credBlob", &user[..]),
                ..create(user)
            };
            phone.create(&request);
        }
        let eval = Map::new().with("eval", Map::new().with("first", [1; 32]));
        let request = get_assertion::Request {
            extensions: Map::new().with("credBlob", true).with("prf", eval),
            user_presence: presence,
            user_verification: None,
            ..get(&[])
        };
        let mut session = phone.session(Computer::TestTool);
        let first = assertion(&mut phone, &mut session, &request.encode(), &mut person);
        let next = [command::GET_NEXT_ASSERTION];
        let next = assertion(&mut phone, &mut session, &next, &mut nobody());
        for (answered, user) in [(first, b"bob"), (next, b"ana")] {
            let (verified, blob) = (flags.1, Value::from(user));
            let wanted = (user.to_vec(), flags, verified, verified, Some(blob));
            assert_eq!(answered, wanted);
        }
    }
}

#[test]
fn a_new_passkeys_secret_for_who_was_not_verified_is_another() {
    let mut phone = Phone::new(true);
    let mut client = Client::new(&mut phone);
    let salts = [[1; 16], [1; 16]];
    let extensions = Map::new()
        .with("hmac-secret", true)
        .with("hmac-secret-mc", client.input(&salts));
    let request = make_credential::Request {
        extensions,
        user_verification: None,
        ..create(b"ana")
    };
    let reply = phone.ask_in(&mut client.session, &request.encode(), &mut unverified());
    let made = make_credential::Response::parse(split_reply(&reply).unwrap()).unwrap();
    let secret = client.uncovered(&made.auth_data, "hmac-secret-mc");
    let input = client.input(&salts);
    let again = client.get(&mut phone, input, &mut unverified()).unwrap();
    assert_eq!(again, secret);
    let input = client.input(&salts);
    let verified = client.get(&mut phone, input, &mut approving()).unwrap();
    assert_ne!(verified, secret);
}

#[test]
fn a_session_has_one_key_to_agree_on_and_another_session_another() {
    let mut phone = Phone::new(true);
    let ask = client_pin::Request::KeyAgreement.encode();
    let mut keys = || {
        let mut session = phone.session(Computer::Unknown);
        let first = phone.ask_in(&mut session, &ask, &mut nobody());
        // Whatever comes in between.
        phone.ask_in(&mut session, &[command::GET_INFO], &mut nobody());
        assert_eq!(phone.ask_in(&mut session, &ask, &mut nobody()), first);
        assert!(split_reply(&first).is_ok());
        first
    };
    assert_ne!(keys(), keys());
}

#[test]
fn what_cannot_be_stored_is_not_said_to_be_and_the_sign_in_goes_on() {
    let mut phone = Phone::new(true);
    let ana = id(&phone.create(&create(b"ana")));
    let input = Map::new().with("write", b"bytes").with("originalSize", 9);
    let passkeys = phone.folder.path().join("v/passkeys");
    // As if the disk had been pulled out while the person was asked.
    let mut pulling = answering(move |_| {
        std::fs::remove_dir_all(&passkeys).unwrap();
        std::fs::write(&passkeys, []).unwrap();
        Answer::Approved {
            account: 0,
            verified: true,
        }
    });
    let extensions = Map::new().with("largeBlob", input);
    let got = phone.get_with(std::slice::from_ref(&ana), extensions, &mut pulling);
    assert_eq!(got.credential.as_ref(), Some(&ana));
    let outputs = got.unsigned_extensions.text("largeBlob").unwrap();
    let written = outputs.as_map().unwrap().text("written");
    assert_eq!(written, Some(&Value::Bool(false)));
    let kept = phone.authenticator.vault.passkey(&ana).unwrap();
    assert!(kept.large_blob.is_none());
}
