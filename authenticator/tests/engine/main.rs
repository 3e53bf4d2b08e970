//! The engine: what it answers, and what it asks a person before.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use handfast_authenticator::device::{DeviceStore, MachineId, Pin, PinCheck};
use handfast_authenticator::engine::{
    Answer, Authenticator, Computer, Context, Person, PinPad, Prompt, printable,
};
use handfast_authenticator::group;
use handfast_authenticator::passphrase::{Passphrase, Stretching};
use handfast_authenticator::vault::{InitOptions, Vault, VaultDevice};
use handfast_proto::auth_data::AuthenticatorData;
use handfast_proto::cbor::Map;
use handfast_proto::cose::CoseKey;
use handfast_proto::ctap2::{
    RpEntity, Status, UserEntity, get_assertion, make_credential, split_reply,
};
use handfast_proto::extension::cmtg_key;
use handfast_proto::ids::{ClientDataHash, CredentialId, RpId, UserHandle};
use handfast_proto::trust::{DeviceId, DeviceName};
use rand_core::OsRng;
use tempfile::TempDir;

const HASH: ClientDataHash = ClientDataHash([7; 32]);
const PIN: &str = "1234";

type Answering = Box<dyn FnMut(&mut dyn PinPad) -> Answer>;

/// Answers as told, and remembers what it was asked.
struct Scripted {
    answer: Answering,
    asked: Vec<String>,
}

impl Person for Scripted {
    fn ask(&mut self, prompt: &Prompt<'_>, _: Computer, pin: &mut dyn PinPad) -> Answer {
        self.asked.push(format!("{prompt:?}"));
        (self.answer)(pin)
    }
}

fn approving() -> Scripted {
    answering(|pin| {
        assert_eq!(pin.check(PIN), Ok(PinCheck::Right));
        Answer::Approved {
            account: 0,
            verified: true,
        }
    })
}

fn answering(answer: impl FnMut(&mut dyn PinPad) -> Answer + 'static) -> Scripted {
    Scripted {
        answer: Box::new(answer),
        asked: Vec::new(),
    }
}

struct Phone {
    authenticator: Authenticator,
    _folder: TempDir,
    now: u64,
}

impl Phone {
    fn new(with_pin: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = InitOptions {
            for_tests: true,
            stretching: Stretching::LEAST,
        };
        let phrase = Passphrase::new("correct horse");
        let vault = Vault::init(&folder.path().join("v"), &phrase, options, &mut OsRng).unwrap();
        let (machine, name) = (
            MachineId::from_bytes(b"m"),
            DeviceName::parse("phone").unwrap(),
        );
        let device = folder.path().join("d");
        let mut device = DeviceStore::create(&device, &vault, &machine, name, &mut OsRng).unwrap();
        if with_pin {
            device
                .set_pin(&Pin::parse(PIN).unwrap(), Stretching::LEAST, &mut OsRng)
                .unwrap();
        }
        Self {
            authenticator: Authenticator { vault, device },
            _folder: folder,
            now: 1000,
        }
    }

    fn ask(&mut self, request: &[u8], person: &mut Scripted) -> Vec<u8> {
        self.ask_as(Computer::Unknown, request, person)
    }

    fn ask_as(&mut self, computer: Computer, request: &[u8], person: &mut Scripted) -> Vec<u8> {
        let context = Context {
            computer,
            method: None,
            handshake_hash: None,
        };
        let mut session = self.authenticator.session(context);
        self.now += 1;
        self.authenticator
            .handle(&mut session, request, person, &mut OsRng, self.now)
            .bytes
    }

    fn create(&mut self, request: &make_credential::Request) -> AuthenticatorData {
        let reply = self.ask(&request.encode(), &mut approving());
        let response = make_credential::Response::parse(split_reply(&reply).unwrap()).unwrap();
        assert_eq!(response.format, "none");
        let data = AuthenticatorData::parse(&response.auth_data).unwrap();
        if let Some(output) = cmtg_key::client_output(&data, &response.unsigned_extensions).unwrap()
        {
            let key = CoseKey::parse(&output.public_key).unwrap();
            key.verify(&[data.as_bytes(), &HASH.0].concat(), &output.signature)
                .unwrap();
        }
        data
    }

    fn status(&mut self, request: &[u8], person: &mut Scripted) -> Status {
        split_reply(&self.ask(request, person)).unwrap_err()
    }
}

fn create(user: &[u8]) -> make_credential::Request {
    make_credential::Request {
        client_data_hash: HASH,
        rp: RpEntity {
            id: RpId::parse("example.org").unwrap(),
            name: None,
        },
        user: UserEntity {
            id: UserHandle::from_bytes(user).unwrap(),
            name: Some(String::from_utf8_lossy(user).into_owned()),
            display_name: Some(String::new()),
        },
        algorithms: vec![-7],
        exclude: Vec::new(),
        extensions: Map::new().with("cmtgKey", true).with("unknown", 1),
        resident_key: Some(true),
        user_verification: Some(true),
        user_presence: None,
        enterprise_attestation: None,
        attestation_formats: Vec::new(),
        pin_uv_auth_param: None,
    }
}

fn get(allow: &[CredentialId]) -> get_assertion::Request {
    get_assertion::Request {
        rp_id: RpId::parse("example.org").unwrap(),
        client_data_hash: HASH,
        allow: allow.to_vec(),
        has_allow_list: !allow.is_empty(),
        extensions: Map::new().with("cmtgKey", true),
        user_presence: None,
        user_verification: Some(true),
        pin_uv_auth_param: None,
    }
}

fn id(data: &AuthenticatorData) -> CredentialId {
    data.attested.as_ref().unwrap().credential_id.clone()
}

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
        (Answer::Blocked, Status::UV_BLOCKED),
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
        (vec![0x06], Status::INVALID_COMMAND),
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
fn a_wrong_pin_is_no_refusal() {
    let mut phone = Phone::new(true);
    let mut person = answering(|pin| {
        assert_eq!(pin.check("0000"), Ok(PinCheck::Wrong(7)));
        Answer::WrongPin
    });
    let status = phone.status(&create(b"ana").encode(), &mut person);
    assert_eq!(status, Status::UV_INVALID);
}

#[test]
fn a_pin_that_cannot_be_tried_is_a_fault_of_the_device() {
    let mut phone = Phone::new(true);
    let store = phone._folder.path().join("d/device.handfast");
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

impl Phone {
    fn create_with(&mut self, extensions: Map, person: &mut Scripted) -> make_credential::Response {
        let request = make_credential::Request {
            extensions,
            user_verification: None,
            ..create(b"ana")
        };
        let reply = self.ask(&request.encode(), person);
        make_credential::Response::parse(split_reply(&reply).unwrap()).unwrap()
    }

    fn get_with(
        &mut self,
        allow: &[CredentialId],
        extensions: Map,
        person: &mut Scripted,
    ) -> get_assertion::Response {
        let request = get_assertion::Request {
            extensions,
            user_verification: None,
            ..get(allow)
        };
        let reply = self.ask(&request.encode(), person);
        get_assertion::Response::parse(split_reply(&reply).unwrap()).unwrap()
    }
}

fn unverified() -> Scripted {
    answering(|_| Answer::Approved {
        account: 0,
        verified: false,
    })
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
    assert!(
        person.asked[0].contains("shares_secret: true"),
        "{:?}",
        person.asked
    );
}
