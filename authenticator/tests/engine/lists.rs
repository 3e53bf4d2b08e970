//! Lists of passkeys in requests: whom they name, and who learns what of it.

use handfast_authenticator::engine::Answer;
use handfast_proto::auth_data::AuthenticatorData;
use handfast_proto::cbor::{Map, Value};
use handfast_proto::cose::CoseKey;
use handfast_proto::ctap2::{RpEntity, Status, get_assertion, make_credential, split_reply};
use handfast_proto::ids::{CredentialId, RpId};

use crate::phone::{Phone, Scripted, answering, approving, changed, create, get, id, unverified};

const ALLOW: i64 = 0x03;
const ALGORITHMS: i64 = 0x04;
const EXCLUDE: i64 = 0x05;

fn descriptor(kind: &str, id: &[u8]) -> Value {
    Map::new().with("id", id).with("type", kind).into()
}

/// A new passkey with a level of protection, made for who was not verified.
fn protected(phone: &mut Phone, level: u8) -> CredentialId {
    let extensions = Map::new().with("credProtect", level);
    let made = phone.create_with(extensions, &mut unverified());
    id(&AuthenticatorData::parse(&made.auth_data).unwrap())
}

fn signed(reply: &[u8]) -> get_assertion::Response {
    get_assertion::Response::parse(split_reply(reply).unwrap()).unwrap()
}

/// A request for a passkey of another account, which wants nobody verified.
fn excluding(exclude: &[CredentialId]) -> make_credential::Request {
    make_credential::Request {
        exclude: exclude.to_vec(),
        user_verification: None,
        ..create(b"bob")
    }
}

#[test]
fn an_allow_list_with_nothing_readable_names_no_passkey_and_never_another() {
    let mut phone = Phone::new(true);
    let ana = id(&phone.create(&create(b"ana")));
    for unreadable in [
        descriptor("other", ana.as_bytes()),
        descriptor("public-key", &[9; 1024]),
        descriptor("public-key", &[]),
    ] {
        let request = changed(&get(&[]).encode(), ALLOW, vec![unreadable.clone()]);
        let mut person = approving();
        let status = phone.status(&request, &mut person);
        assert_eq!(status, Status::NO_CREDENTIALS, "{unreadable:?}");
        assert!(person.asked[0].starts_with("NoPasskey"), "{unreadable:?}");
        // It is no reason to pass over what can be read beside it.
        let named = descriptor("public-key", ana.as_bytes());
        let request = changed(&get(&[]).encode(), ALLOW, vec![unreadable, named]);
        let response = signed(&phone.ask(&request, &mut approving()));
        assert_eq!(response.credential.as_ref(), Some(&ana));
        assert_eq!(response.user_selected, None, "the site chose");
    }
}

#[test]
fn an_empty_allow_list_is_as_if_there_was_none() {
    let mut phone = Phone::new(true);
    let ana = id(&phone.create(&create(b"ana")));
    let request = changed(&get(&[]).encode(), ALLOW, Vec::<Value>::new());
    assert!(request.windows(2).any(|bytes| bytes == [0x03, 0x80]));
    let response = signed(&phone.ask(&request, &mut approving()));
    assert_eq!(response.credential, Some(ana));
    assert_eq!(response.user_selected, Some(true));
}

#[test]
fn credentials_of_another_type_are_passed_over() {
    let mut phone = Phone::new(true);
    let bob = id(&phone.create(&create(b"bob")));
    let ana = id(&phone.create(&create(b"ana")));
    // The newest would stand first.
    let allow = vec![
        descriptor("other", ana.as_bytes()),
        descriptor("public-key", bob.as_bytes()),
    ];
    let mut person = approving();
    let request = changed(&get(&[]).encode(), ALLOW, allow);
    let response = signed(&phone.ask(&request, &mut person));
    assert_eq!(response.credential, Some(bob));
    assert!(!person.asked[0].contains("ana"), "{:?}", person.asked);

    for unreadable in [
        descriptor("other", ana.as_bytes()),
        descriptor("public-key", &[9; 1024]),
        descriptor("public-key", &[]),
    ] {
        let request = changed(&create(b"eve").encode(), EXCLUDE, vec![unreadable]);
        let mut person = approving();
        assert_eq!(phone.ask(&request, &mut person)[0], 0);
        assert!(person.asked[0].starts_with("Create"), "{:?}", person.asked);
    }
}

#[test]
fn algorithms_of_another_type_are_passed_over() {
    let mut phone = Phone::new(true);
    let algorithm =
        |kind: &str, id: i64| Value::from(Map::new().with("alg", id).with("type", kind));
    let only = vec![algorithm("other", -7)];
    let request = changed(&create(b"ana").encode(), ALGORITHMS, only);
    let status = phone.status(&request, &mut approving());
    assert_eq!(status, Status::UNSUPPORTED_ALGORITHM);
    let both = vec![algorithm("other", -7), algorithm("public-key", -8)];
    let request = changed(&create(b"ana").encode(), ALGORITHMS, both);
    let reply = phone.ask(&request, &mut approving());
    let response = make_credential::Response::parse(split_reply(&reply).unwrap()).unwrap();
    let data = AuthenticatorData::parse(&response.auth_data).unwrap();
    let key = CoseKey::parse(&data.attested.unwrap().public_key).unwrap();
    assert_eq!(key.algorithm().id(), -8);
}

#[test]
fn a_passkey_of_another_site_excludes_nothing() {
    let mut phone = Phone::new(true);
    let ana = id(&phone.create(&create(b"ana")));
    let elsewhere = make_credential::Request {
        rp: RpEntity {
            id: RpId::parse("other.org").unwrap(),
            name: None,
        },
        ..excluding(&[ana])
    };
    let mut person = approving();
    assert_eq!(phone.ask(&elsewhere.encode(), &mut person)[0], 0);
    assert_eq!(person.asked.len(), 1);
    assert!(person.asked[0].starts_with("Create"), "{:?}", person.asked);
}

#[test]
fn who_is_there_learns_of_an_excluded_passkey_that_wants_no_more() {
    for level in [1, 2] {
        let mut phone = Phone::new(true);
        let ana = protected(&mut phone, level);
        let mut person = unverified();
        let status = phone.status(&excluding(&[ana]).encode(), &mut person);
        assert_eq!(status, Status::CREDENTIAL_EXCLUDED, "level {level}");
        assert!(
            person.asked[0].contains("verify: false"),
            "{:?}",
            person.asked
        );
    }
    // One that wants no more is enough, whatever else is on the list.
    let mut phone = Phone::new(true);
    let bob = id(&phone.create(&create(b"bob")));
    let both = [protected(&mut phone, 3), bob];
    let status = phone.status(&excluding(&both).encode(), &mut unverified());
    assert_eq!(status, Status::CREDENTIAL_EXCLUDED);
}

#[test]
fn where_nobody_can_be_verified_a_passkey_that_wants_that_excludes_nothing() {
    let mut phone = Phone::new(false);
    let ana = protected(&mut phone, 3);
    let mut person = unverified();
    let reply = phone.ask(&excluding(std::slice::from_ref(&ana)).encode(), &mut person);
    assert_eq!(reply[0], 0);
    assert_eq!(person.asked.len(), 1);
    assert!(person.asked[0].starts_with("Create"), "{:?}", person.asked);
    assert_eq!(phone.authenticator.vault.passkeys().count(), 2);
    // Another one on the list still does.
    let mut person = unverified();
    let bob = signed_in(&mut phone, &mut person);
    let status = phone.status(&excluding(&[ana, bob]).encode(), &mut unverified());
    assert_eq!(status, Status::CREDENTIAL_EXCLUDED);
}

/// The passkey that signs for who is not verified.
fn signed_in(phone: &mut Phone, person: &mut Scripted) -> CredentialId {
    let request = get_assertion::Request {
        user_verification: None,
        ..get(&[])
    };
    signed(&phone.ask(&request.encode(), person))
        .credential
        .unwrap()
}

/// Asks for one passkey; returns what came of it, and the first question.
fn asked_for(
    phone: &mut Phone,
    rp_id: &str,
    named: &CredentialId,
    mut person: Scripted,
) -> (Result<CredentialId, Status>, String) {
    let request = get_assertion::Request {
        rp_id: RpId::parse(rp_id).unwrap(),
        user_verification: None,
        ..get(std::slice::from_ref(named))
    };
    let reply = phone.ask(&request.encode(), &mut person);
    let signed = split_reply(&reply).map(|_| signed(&reply).credential.unwrap());
    (signed, person.asked.remove(0))
}

#[test]
fn a_replaced_passkey_answers_only_its_site_and_whom_it_answered_before() {
    for (with_pin, level) in [(true, 2), (true, 3), (false, 2), (false, 3)] {
        let mut phone = Phone::new(with_pin);
        let old = protected(&mut phone, level);
        let new = protected(&mut phone, 1);
        assert!(phone.authenticator.vault.passkey(&old).is_none());
        assert!(phone.authenticator.vault.passkey(&new).is_some());

        let (signed, asked) = asked_for(&mut phone, "example.org", &old, unverified());
        let wanted = match level {
            3 => Err(Status::NO_CREDENTIALS),
            _ => Ok(old.clone()),
        };
        assert_eq!(signed, wanted, "level {level}");
        // Where nobody can be verified it is as if it was not there.
        let question = match (with_pin, level) {
            (false, 3) => "NoPasskey",
            _ => "SignIn",
        };
        assert!(asked.starts_with(question), "{asked}");
        if with_pin {
            let (signed, _) = asked_for(&mut phone, "example.org", &old, approving());
            assert_eq!(signed, Ok(old.clone()));
        }

        let person = answering(|_| Answer::Approved {
            account: 0,
            verified: true,
        });
        let (signed, asked) = asked_for(&mut phone, "other.org", &old, person);
        assert_eq!(signed, Err(Status::NO_CREDENTIALS));
        assert!(asked.starts_with("NoPasskey"), "{asked}");
    }
}
