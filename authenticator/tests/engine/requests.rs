//! Options, errors and the rarer commands.

use handfast_authenticator::engine::{Answer, Computer};
use handfast_proto::auth_data::AuthenticatorData;
use handfast_proto::cbor::{self, Map};
use handfast_proto::ctap2::{
    Status, command, get_assertion, get_info, make_credential, split_reply,
};
use handfast_proto::ids::CredentialId;

use crate::phone::{EXTENSIONS, Phone, answering, approving, create, get, id};

const NEXT: [u8; 1] = [command::GET_NEXT_ASSERTION];

/// The account that an assertion is of, and how many there are.
fn account(reply: &[u8]) -> Result<(Vec<u8>, Option<u64>), Status> {
    let response = get_assertion::Response::parse(split_reply(reply)?).unwrap();
    assert_eq!(response.user_selected, None);
    let user = response.user.unwrap();
    Ok((user.id.as_bytes().to_vec(), response.number_of_credentials))
}

#[test]
fn a_tool_gets_one_account_after_another_the_newest_first() {
    let mut phone = Phone::new(true);
    // All in one second, and the last when the clock was set back.
    for (user, now) in [(b"one", 1000), (b"two", 1000), (b"six", 1000), (b"ten", 10)] {
        phone.now = now - 1;
        phone.create(&create(user));
    }
    phone.now = 1000;
    let mut session = phone.session(Computer::TestTool);
    let mut ask = |request: &[u8], now| {
        phone.now = now;
        account(&phone.ask_in(&mut session, request, &mut approving()))
    };
    let all = get(&[]).encode();
    assert_eq!(ask(&NEXT, 1000), Err(Status::NOT_ALLOWED));
    assert_eq!(ask(&all, 1000), Ok((b"ten".to_vec(), Some(4))));
    assert_eq!(ask(&NEXT, 1030), Ok((b"six".to_vec(), None)));
    assert_eq!(ask(&NEXT, 1060), Ok((b"two".to_vec(), None)));
    assert_eq!(ask(&NEXT, 1060), Ok((b"one".to_vec(), None)));
    assert_eq!(ask(&NEXT, 1060), Err(Status::NOT_ALLOWED));

    // Who waits too long, does something else, or sets the clock back, begins again.
    assert!(ask(&all, 1000).is_ok());
    assert_eq!(ask(&NEXT, 1031), Err(Status::NOT_ALLOWED));
    assert_eq!(ask(&NEXT, 1000), Err(Status::NOT_ALLOWED));
    assert!(ask(&all, 1000).is_ok());
    assert_eq!(ask(&NEXT, 999), Err(Status::NOT_ALLOWED));
    assert!(ask(&all, 1000).is_ok());
    assert_eq!(ask(&[0x99], 1000), Err(Status::INVALID_COMMAND));
    assert_eq!(ask(&NEXT, 1000), Err(Status::NOT_ALLOWED));
}

#[test]
fn where_a_person_or_the_site_chose_there_is_no_next() {
    let mut phone = Phone::new(true);
    let ids = [b"one", b"two"].map(|user| id(&phone.create(&create(user))));
    for (computer, request, number) in [
        (Computer::Unknown, get(&[]), None),
        (Computer::TestTool, get(&ids), None),
        (Computer::TestTool, get(&ids[..1]), None),
    ] {
        let mut session = phone.session(computer);
        let reply = phone.ask_in(&mut session, &request.encode(), &mut approving());
        let response = get_assertion::Response::parse(split_reply(&reply).unwrap()).unwrap();
        assert_eq!(response.number_of_credentials, number);
        let next = phone.ask_in(&mut session, &NEXT, &mut approving());
        assert_eq!(next, [Status::NOT_ALLOWED.0]);
    }
}

#[test]
fn the_proof_of_a_pin_that_is_not_there_is_refused() {
    let mut phone = Phone::new(true);
    phone.create(&create(b"ana"));
    for (proof, protocol, status, asked) in [
        (vec![], None, Status::PIN_NOT_SET, 1),
        (vec![], Some(2), Status::PIN_NOT_SET, 1),
        (vec![1; 32], None, Status::MISSING_PARAMETER, 0),
        (vec![1; 16], Some(1), Status::INVALID_PARAMETER, 0),
        (vec![1; 32], Some(2), Status::PIN_AUTH_INVALID, 0),
    ] {
        let made = make_credential::Request {
            pin_uv_auth_param: Some(proof.clone()),
            pin_uv_auth_protocol: protocol,
            ..create(b"ben")
        };
        let got = get_assertion::Request {
            pin_uv_auth_param: Some(proof),
            pin_uv_auth_protocol: protocol,
            ..get(&[])
        };
        for request in [made.encode(), got.encode()] {
            let mut person = approving();
            assert_eq!(phone.status(&request, &mut person), status);
            assert_eq!(person.asked.len(), asked);
        }
    }
    let empty = get_assertion::Request {
        pin_uv_auth_param: Some(Vec::new()),
        ..get(&[])
    };
    let mut refusing = answering(|_| Answer::Refused);
    assert_eq!(
        phone.status(&empty.encode(), &mut refusing),
        Status::OPERATION_DENIED
    );
}

#[test]
fn options_that_make_no_sense_are_refused_and_unknown_ones_are_not() {
    let mut phone = Phone::new(true);
    let absent = make_credential::Request {
        user_presence: Some(false),
        ..create(b"ana")
    };
    assert_eq!(
        phone.status(&absent.encode(), &mut approving()),
        Status::INVALID_OPTION
    );
    for level in [1, 2, 3] {
        let enterprise = make_credential::Request {
            enterprise_attestation: Some(level),
            ..create(b"ana")
        };
        let status = phone.status(&enterprise.encode(), &mut approving());
        assert_eq!(status, Status::INVALID_PARAMETER);
    }
    // Every passkey can be found again, whatever was asked for.
    let made = make_credential::Request {
        resident_key: Some(false),
        user_presence: Some(true),
        ..create(b"ana")
    };
    phone.create(&made);
    let plain = get(&[]).encode();
    let map = cbor::decode(&plain[1..]).unwrap().into_map().unwrap();
    let options = Map::new().with("uv", true).with("brandNew", true);
    let strange = map.with(5, options).with(0x70, Map::new()).encode();
    let reply = phone.ask(
        &[&[command::GET_ASSERTION], strange.as_slice()].concat(),
        &mut approving(),
    );
    assert!(split_reply(&reply).is_ok());
}

#[test]
fn client_pin_agrees_on_a_key_and_tells_the_tries_and_nothing_else() {
    let mut phone = Phone::new(true);
    let ask = |phone: &mut Phone, map: Map| {
        let request = [&[command::CLIENT_PIN], map.encode().as_slice()].concat();
        let reply = phone.ask(&request, &mut approving());
        split_reply(&reply).map(|cbor| cbor::decode(cbor).unwrap().into_map().unwrap())
    };
    let tries = |phone: &mut Phone| {
        let reply = ask(phone, Map::new().with(2, 7)).unwrap();
        assert_eq!(reply.len(), 1);
        reply.int(5).unwrap().as_u64().unwrap()
    };
    assert_eq!(tries(&mut phone), 8);
    let mut wrong = answering(|pin| {
        let _ = pin.check("0000");
        Answer::WrongPin
    });
    assert_eq!(
        phone.status(&create(b"ana").encode(), &mut wrong),
        Status::OPERATION_DENIED
    );
    assert_eq!(tries(&mut phone), 7);
    for (map, status) in [
        (Map::new(), Status::MISSING_PARAMETER),
        (Map::new().with(1, 2), Status::MISSING_PARAMETER),
        (Map::new().with(2, 2), Status::MISSING_PARAMETER),
        (Map::new().with(1, 1).with(2, 2), Status::INVALID_PARAMETER),
        (
            Map::new().with(1, "2").with(2, 2),
            Status::CBOR_UNEXPECTED_TYPE,
        ),
        (Map::new().with(1, 2).with(2, 1), Status::INVALID_SUBCOMMAND),
        (Map::new().with(1, 2).with(2, 3), Status::INVALID_SUBCOMMAND),
        (Map::new().with(1, 2).with(2, 9), Status::INVALID_SUBCOMMAND),
    ] {
        assert_eq!(ask(&mut phone, map.clone()), Err(status), "{map:?}");
    }
    let reply = phone.ask(&[command::CLIENT_PIN], &mut approving());
    assert_eq!(reply, [Status::INVALID_CBOR.0]);
}

#[test]
fn what_is_said_of_the_device_is_what_it_does() {
    let mut phone = Phone::new(true);
    let reply = phone.ask(&[command::GET_INFO], &mut approving());
    let info = get_info::Response::parse(split_reply(&reply).unwrap()).unwrap();
    assert_eq!(info.pin_uv_protocols, [2]);
    assert_eq!(info.max_cred_blob_length, Some(32));
    assert_eq!(info.option("clientPin"), None);
    for name in EXTENSIONS {
        assert!(info.has_extension(name), "{name}");
    }
    assert_eq!(info.extensions.len(), 7);
    let all = info.extensions.iter().fold(Map::new(), |map, name| {
        let input: cbor::Value = match name.as_str() {
            "credBlob" => b"x".as_slice().into(),
            "credProtect" => 2.into(),
            "largeBlob" | "prf" => Map::new().into(),
            "hmac-secret-mc" => return map,
            _ => true.into(),
        };
        map.with(name.as_str(), input)
    });
    let made = phone.create_with(all, &mut approving());
    let signed = AuthenticatorData::parse(&made.auth_data)
        .unwrap()
        .extensions
        .unwrap();
    let answered = |name: &&String| {
        signed.text(name).is_some() || made.unsigned_extensions.text(name).is_some()
    };
    assert_eq!(info.extensions.iter().filter(answered).count(), 6);
}

#[test]
fn only_a_tool_for_tests_learns_in_silence_which_passkeys_are_there() {
    let mut phone = Phone::new(true);
    let ana = id(&phone.create(&create(b"ana")));
    let silent = |allow: &[CredentialId]| get_assertion::Request {
        user_presence: Some(false),
        user_verification: None,
        ..get(allow)
    };
    let mut nobody = answering(|_| panic!("somebody was asked"));
    let here = silent(&[ana]);
    let status = phone.status(&here.encode(), &mut nobody);
    assert_eq!(status, Status::UNSUPPORTED_OPTION);
    let reply = phone.ask_as(Computer::TestTool, &here.encode(), &mut nobody);
    let response = get_assertion::Response::parse(split_reply(&reply).unwrap()).unwrap();
    let flags = AuthenticatorData::parse(&response.auth_data).unwrap().flags;
    assert!(!flags.user_present() && !flags.user_verified());
    let elsewhere = silent(&[CredentialId::from_bytes(&[9; 32]).unwrap()]).encode();
    let reply = phone.ask_as(Computer::TestTool, &elsewhere, &mut nobody);
    assert_eq!(reply, [Status::NO_CREDENTIALS.0]);
    let both = get_assertion::Request {
        user_verification: Some(true),
        ..here
    };
    let reply = phone.ask_as(Computer::TestTool, &both.encode(), &mut nobody);
    assert_eq!(reply, [Status::UNSUPPORTED_OPTION.0]);
}
