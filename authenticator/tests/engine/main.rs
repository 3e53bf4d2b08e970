//! The engine: what it answers, and what it asks a person before.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use handfast_authenticator::device::PinCheck;
use handfast_authenticator::engine::{Answer, Computer, Conclusion, printable};
use handfast_authenticator::group;
use handfast_authenticator::vault::VaultDevice;
use handfast_proto::auth_data::AuthenticatorData;
use handfast_proto::cose::CoseKey;
use handfast_proto::ctap2::{Status, get_assertion, make_credential, split_reply};
use handfast_proto::ids::{CredentialId, RpId};
use handfast_proto::trust::{DeviceId, DeviceName};
use rand_core::OsRng;

mod client;
mod expected;
mod extensions;
mod group_keys;
mod info;
mod lists;
mod members;
mod phone;
mod requests;
mod rules;

use phone::{HASH, PIN, Phone, answering, approving, create, get, id};

#[test]
fn a_passkey_is_made_and_signs_with_the_same_group_key() {
    let mut phone = Phone::new(true);
    let made = phone.create(&create(b"ana"));
    let flags = made.flags;
    assert!(flags.user_present() && flags.user_verified() && flags.backup_eligible());
    assert!(!flags.backed_up(), "no other device is in the vault");
    assert_eq!(
        made.extensions.as_ref().unwrap().len(),
        1,
        "unknown extensions are not answered"
    );

    let reply = phone.ask(&get(&[]).encode(), &mut approving());
    let response = get_assertion::Response::parse(split_reply(&reply).unwrap()).unwrap();
    let data = AuthenticatorData::parse(&response.auth_data).unwrap();
    let key = CoseKey::parse(&made.attested.as_ref().unwrap().public_key).unwrap();
    let message = [data.as_bytes(), &HASH.0].concat();
    key.verify(&message, &response.signature).unwrap();
    assert_eq!(response.credential, Some(id(&made)));
    assert_eq!(response.user_selected, Some(true));
    assert_eq!(response.user.unwrap().name.as_deref(), Some("ana"));
    assert_eq!(data.extensions, made.extensions, "the same group key");
}

#[test]
fn another_device_in_the_vault_makes_passkeys_backed_up() {
    let mut phone = Phone::new(true);
    let name = DeviceName::parse("laptop").unwrap();
    let other = VaultDevice {
        id: DeviceId([1; 16]),
        name,
        since: 1,
    };
    phone.authenticator.vault.record_device(other).unwrap();
    assert!(phone.create(&create(b"ana")).flags.backed_up());
}

#[test]
fn the_first_algorithm_that_is_known_decides() {
    let mut phone = Phone::new(true);
    for (algorithms, chosen) in [(vec![-257, -8, -7], -8), (vec![-7, -8], -7)] {
        let made = phone.create(&make_credential::Request {
            algorithms,
            ..create(b"ana")
        });
        let key = CoseKey::parse(&made.attested.unwrap().public_key).unwrap();
        assert_eq!(key.algorithm().id(), chosen);
    }
    let none = make_credential::Request {
        algorithms: vec![-257],
        ..create(b"ana")
    };
    let mut person = approving();
    assert_eq!(
        phone.status(&none.encode(), &mut person),
        Status::UNSUPPORTED_ALGORITHM
    );
    assert!(person.asked.is_empty(), "nobody is asked for nothing");
}

#[test]
fn an_excluded_passkey_is_told_only_after_a_person_was_there() {
    let mut phone = Phone::new(true);
    let made = id(&phone.create(&create(b"ana")));
    let request = make_credential::Request {
        exclude: vec![made],
        ..create(b"ana")
    }
    .encode();
    let mut person = approving();
    assert_eq!(
        phone.status(&request, &mut person),
        Status::CREDENTIAL_EXCLUDED
    );
    assert!(person.asked[0].starts_with("Excluded"));
    let mut refusing = answering(|_| Answer::Refused);
    assert_eq!(
        phone.status(&request, &mut refusing),
        Status::OPERATION_DENIED
    );
}

#[test]
fn answers_of_a_person_become_the_right_status_and_leave_nothing_behind() {
    let mut phone = Phone::new(true);
    let unverified = Answer::Approved {
        account: 0,
        verified: false,
    };
    for (answer, status) in [
        (Answer::Refused, Status::OPERATION_DENIED),
        (Answer::NoAnswer, Status::USER_ACTION_TIMEOUT),
        (Answer::Blocked, Status::OPERATION_DENIED),
        (unverified, Status::OPERATION_DENIED),
    ] {
        let mut person = answering(move |_| answer);
        assert_eq!(
            phone.status(&create(b"ana").encode(), &mut person),
            status,
            "{answer:?}"
        );
    }
    assert_eq!(phone.authenticator.vault.passkeys().count(), 0);
    assert_eq!(group::status(&phone.authenticator.device).keys, 0);
}

#[test]
fn without_a_pin_verification_is_refused_and_presence_is_enough_where_it_is() {
    let mut phone = Phone::new(false);
    let mut person = approving();
    let status = phone.status(&create(b"ana").encode(), &mut person);
    assert_eq!(status, Status::INVALID_OPTION);
    let request = make_credential::Request {
        user_verification: None,
        ..create(b"ana")
    };
    let mut person = answering(|_| Answer::Approved {
        account: 0,
        verified: false,
    });
    let reply = phone.ask(&request.encode(), &mut person);
    let response = make_credential::Response::parse(split_reply(&reply).unwrap()).unwrap();
    let flags = AuthenticatorData::parse(&response.auth_data).unwrap().flags;
    assert!(flags.user_present() && !flags.user_verified());
}

#[test]
fn a_passkey_of_another_site_or_outside_the_list_is_not_there() {
    let mut phone = Phone::new(true);
    phone.create(&create(b"ana"));
    let unknown = CredentialId::from_bytes(&[9; 32]).unwrap();
    let status = phone.status(&get(&[unknown]).encode(), &mut approving());
    assert_eq!(status, Status::NO_CREDENTIALS);
    let elsewhere = get_assertion::Request {
        rp_id: RpId::parse("other.org").unwrap(),
        ..get(&[])
    };
    let status = phone.status(&elsewhere.encode(), &mut approving());
    assert_eq!(status, Status::NO_CREDENTIALS);
}

#[test]
fn of_several_accounts_the_chosen_one_signs() {
    let mut phone = Phone::new(true);
    phone.create(&create(b"ana"));
    phone.create(&create(b"bob"));
    let mut person = answering(|_| Answer::Approved {
        account: 1,
        verified: true,
    });
    let reply = phone.ask(&get(&[]).encode(), &mut person);
    let response = get_assertion::Response::parse(split_reply(&reply).unwrap()).unwrap();
    assert_eq!(
        response.user.unwrap().id.as_bytes(),
        b"ana",
        "the newest stands first"
    );
    let mut person = answering(|_| Answer::Approved {
        account: 7,
        verified: true,
    });
    assert_eq!(
        phone.status(&get(&[]).encode(), &mut person),
        Status::OPERATION_DENIED
    );
}

#[test]
fn malformed_unknown_and_oversized_requests_get_their_status() {
    let mut phone = Phone::new(true);
    let mut person = approving();
    for (request, status) in [
        (vec![], Status::INVALID_LENGTH),
        (vec![0x06], Status::INVALID_CBOR),
        (vec![0x09], Status::INVALID_COMMAND),
        (vec![0x07], Status::INVALID_COMMAND),
        (vec![0x0b, 0xa0], Status::INVALID_LENGTH),
        (vec![0x01, 0xff], Status::INVALID_CBOR),
        (vec![0x02, 0xa0], Status::MISSING_PARAMETER),
        // Maps in maps: four are taken, five are not.
        (
            [&[0x02][..], &[0xa1, 0x04].repeat(3), &[0xa0]].concat(),
            Status::MISSING_PARAMETER,
        ),
        (
            [&[0x02][..], &[0xa1, 0x04].repeat(4), &[0xa0]].concat(),
            Status::INVALID_CBOR,
        ),
        (vec![0x01; 70_000], Status::REQUEST_TOO_LARGE),
        (vec![0x50, 0xa1, 0x01, 0x01], Status::OTHER),
    ] {
        assert_eq!(
            phone.status(&request, &mut person),
            status,
            "{:?}",
            &request.get(..4)
        );
    }
    let absent = make_credential::Request {
        user_presence: Some(false),
        ..create(b"ana")
    };
    assert_eq!(
        phone.status(&absent.encode(), &mut person),
        Status::INVALID_OPTION
    );
    assert!(person.asked.is_empty());
}

#[test]
fn names_from_outside_cannot_disturb_a_screen() {
    assert_eq!(printable("a\u{1b}[2J\nb\u{202e}c\u{200b}"), "a[2Jbc");
    assert_eq!(printable(&"x".repeat(500)).len(), 64);
}

#[test]
fn a_wrong_pin_is_a_refusal_to_other_devices_and_told_to_its_owner() {
    for (computer, told) in [
        (Computer::Unknown, Status::OPERATION_DENIED),
        (Computer::ThisDevice, Status::UV_INVALID),
    ] {
        let mut phone = Phone::new(true);
        let mut person = answering(|pin| {
            assert_eq!(pin.check("0000"), Ok(PinCheck::Wrong(7)));
            Answer::WrongPin
        });
        let mut session = phone.session(computer);
        let request = create(b"ana").encode();
        let authenticator = &mut phone.authenticator;
        let reply = authenticator.handle(&mut session, &request, &mut person, &mut OsRng, 100);
        assert_eq!(reply.bytes, [told.0]);
        let conclusion = session.conclude();
        assert_eq!(conclusion, Conclusion::Refused(Status::UV_INVALID));
    }
}

#[test]
fn a_pin_that_cannot_be_tried_is_a_fault_of_the_device() {
    let mut phone = Phone::new(true);
    let store = phone.folder.path().join("d/device.handfast");
    let mut person = answering(move |pin| {
        // As if the disk had been pulled out while the prompt was open.
        std::fs::remove_file(&store).unwrap();
        assert!(pin.check(PIN).is_err());
        Answer::Blocked
    });
    let status = phone.status(&create(b"ana").encode(), &mut person);
    assert_eq!(status, Status::OTHER);
}

#[test]
fn the_first_known_format_of_attestation_is_made() {
    let mut phone = Phone::new(true);
    for (formats, wanted) in [
        (&[][..], "none"),
        (&["packed"], "packed"),
        (&["none", "packed"], "none"),
        (&["tpm", "packed", "none"], "packed"),
        (&["tpm"], "none"),
    ] {
        for algorithm in [-7, -8] {
            let request = make_credential::Request {
                algorithms: vec![algorithm],
                attestation_formats: formats.iter().map(|&format| format.to_owned()).collect(),
                ..create(b"ana")
            };
            let reply = phone.ask(&request.encode(), &mut approving());
            let response = make_credential::Response::parse(split_reply(&reply).unwrap()).unwrap();
            assert_eq!(response.format, wanted, "{formats:?}");
            if wanted == "none" {
                assert!(response.statement.is_empty());
                continue;
            }
            let data = AuthenticatorData::parse(&response.auth_data).unwrap();
            let key = CoseKey::parse(&data.attested.as_ref().unwrap().public_key).unwrap();
            let statement = &response.statement;
            assert_eq!(statement.text("alg").unwrap().as_i64(), Some(algorithm));
            let signature = statement.text("sig").unwrap().as_bytes().unwrap();
            key.verify(&[data.as_bytes(), &HASH.0].concat(), signature)
                .unwrap();
            assert_eq!(statement.len(), 2);
        }
    }
}

#[test]
fn a_person_says_which_device_is_meant() {
    let mut phone = Phone::new(true);
    let mut person = approving();
    assert_eq!(phone.ask(&[0x0b], &mut person), [0]);
    assert_eq!(person.asked, ["Select"]);
    let mut refusing = answering(|_| Answer::Refused);
    assert_eq!(
        phone.status(&[0x0b], &mut refusing),
        Status::OPERATION_DENIED
    );
    let mut absent = answering(|_| Answer::NoAnswer);
    assert_eq!(
        phone.status(&[0x0b], &mut absent),
        Status::USER_ACTION_TIMEOUT
    );
}

#[test]
fn only_a_tool_for_tests_deletes_everything() {
    let mut phone = Phone::new(true);
    let made = id(&phone.create(&create(b"ana")));
    phone.create(&create(b"ben"));
    for computer in [Computer::Unknown, Computer::ThisDevice] {
        let reply = phone.ask_as(computer, &[0x07], &mut approving());
        assert_eq!(split_reply(&reply), Err(Status::INVALID_COMMAND));
    }
    assert_eq!(phone.authenticator.vault.passkeys().count(), 2);
    let reply = phone.ask_as(Computer::TestTool, &[0x07], &mut approving());
    assert_eq!(reply, [0]);
    assert_eq!(phone.authenticator.vault.passkeys().count(), 0);
    for request in [get(&[]), get(&[made])] {
        let status = phone.status(&request.encode(), &mut approving());
        assert_eq!(status, Status::NO_CREDENTIALS);
    }
    phone.create(&create(b"ana"));
}
