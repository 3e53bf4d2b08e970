//! A document's passkeys in a vault, and what they sign there.

use std::convert::Infallible;
use std::path::Path;

use handfast_authenticator::device::{DeviceStore, MachineId};
use handfast_authenticator::engine::{
    Answer, Authenticator, Computer, Context, Person, PinPad, Prompt,
};
use handfast_authenticator::exchange::plan;
use handfast_authenticator::exchange::plan::{Choice, Fate, Question, Refusal, Tally};
use handfast_authenticator::passphrase::{Passphrase, Stretching};
use handfast_authenticator::vault::{InitOptions, Vault};
use handfast_proto::auth_data::AuthenticatorData;
use handfast_proto::cbor::Map;
use handfast_proto::ctap2::{get_assertion, split_reply};
use handfast_proto::extension::cmtg_key;
use handfast_proto::ids::ClientDataHash;
use handfast_proto::trust::DeviceName;

use super::*;

const HASH: ClientDataHash = ClientDataHash([7; 32]);
const DAY: u64 = 24 * 60 * 60;

fn vault(folder: &Path) -> Vault {
    let options = InitOptions {
        for_tests: true,
        stretching: Stretching::LEAST,
    };
    Vault::init(
        folder,
        &Passphrase::new("correct horse"),
        options,
        &mut OsRng,
    )
    .unwrap()
}

fn reopened(folder: &Path) -> Vault {
    Vault::open(folder, &Passphrase::new("correct horse")).unwrap()
}

/// Plans and carries out, with the same answer to every question; tells what was asked.
fn import(vault: &mut Vault, document: &Value, choice: Choice) -> (Tally, Vec<&'static str>) {
    let mut asked = Vec::new();
    let planned = plan(parse(document), vault, |question| {
        asked.push(match question {
            Question::Account { .. } => "account",
            Question::WithoutPrf { .. } => "prf",
        });
        Ok::<_, Infallible>(choice)
    });
    let planned = planned.unwrap();
    let tally = planned.tally();
    assert_eq!(planned.carry_out(vault, NOW).unwrap(), tally.imported);
    (tally, asked)
}

fn count(vault: &Vault) -> usize {
    vault.passkeys().count()
}

struct Approving;

impl Person for Approving {
    fn ask(&mut self, _: &Prompt<'_>, _: &Computer, _: &mut dyn PinPad) -> Answer {
        Answer::Approved {
            account: 0,
            verified: true,
        }
    }
}

/// Signs in with this passkey of the sample, through the engine.
fn sign_in(authenticator: &mut Authenticator, credential: &Value) -> AuthenticatorData {
    let id = CredentialId::from_bytes(&unbase64(&credential["credentialId"])).unwrap();
    let request = get_assertion::Request {
        rp_id: RpId::parse("example.org").unwrap(),
        client_data_hash: HASH,
        allow: vec![id.clone()],
        has_allow_list: true,
        extensions: Map::new().with("cmtgKey", true),
        user_presence: None,
        user_verification: Some(true),
        pin_uv_auth_param: None,
        pin_uv_auth_protocol: None,
    };
    let mut session = authenticator.session(Context {
        computer: Computer::TestTool,
        method: None,
        handshake_hash: None,
    });
    let reply = authenticator.handle(
        &mut session,
        &request.encode(),
        &mut Approving,
        &mut OsRng,
        NOW,
    );
    let response = get_assertion::Response::parse(split_reply(&reply.bytes).unwrap()).unwrap();
    assert_eq!(response.credential, Some(id));
    let user = response.user.unwrap();
    assert_eq!(user.id.as_bytes(), unbase64(&credential["userHandle"]));
    assert_eq!(user.name.as_deref(), Some("a@example.org"));
    // The public key is computed from the document itself.
    let key = SigningKey::from_pkcs8_der(&unbase64(&credential["key"]))
        .unwrap()
        .public_key();
    let signed = [response.auth_data.as_slice(), &HASH.0].concat();
    key.verify(&signed, &response.signature).unwrap();
    let data = AuthenticatorData::parse(&response.auth_data).unwrap();
    assert!(
        cmtg_key::client_output(&data, &response.unsigned_extensions)
            .unwrap()
            .is_some()
    );
    data
}

#[test]
fn both_passkeys_of_the_sample_sign_and_leave_as_they_came() {
    let folder = tempfile::tempdir().unwrap();
    let mut vault = vault(&folder.path().join("v"));
    let (tally, asked) = import(&mut vault, &sample(), Choice::Keep);
    assert_eq!((tally.imported, asked), (2, vec!["account"]));
    let (machine, name) = (
        MachineId::from_bytes(b"m"),
        DeviceName::parse("phone").unwrap(),
    );
    let device = DeviceStore::create(&folder.path().join("d"), &vault, &machine, name, &mut OsRng);
    let mut authenticator = Authenticator {
        vault,
        device: device.unwrap(),
    };
    let document = sample();
    let items = document["accounts"][0]["items"].as_array().unwrap();
    let group_keys: Vec<_> = items
        .iter()
        .map(|item| {
            let data = sign_in(&mut authenticator, &item["credentials"][0]);
            assert!(data.flags.backup_eligible() && data.flags.user_verified());
            assert_eq!(data.sign_count, 0);
            data.extensions
        })
        .collect();
    assert_ne!(
        group_keys[0], group_keys[1],
        "each begins with a trust-group key of its own"
    );

    let passkeys: Vec<_> = authenticator.vault.passkeys().collect();
    let left = written(&passkeys);
    let credentials = |document: &Value| {
        let items = document["accounts"][0]["items"].as_array().unwrap();
        let mut credentials: Vec<_> = items
            .iter()
            .map(|item| item["credentials"][0].to_string())
            .collect();
        credentials.sort();
        credentials
    };
    assert_eq!(credentials(&left), credentials(&sample()));
}

#[test]
fn what_was_decided_is_done_and_what_was_not_asked_is_not() {
    for (choice, imported, usable) in [
        (Choice::Skip, 1, 1),
        (Choice::Replace, 2, 1),
        (Choice::Keep, 2, 2),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut vault = vault(folder.path());
        let (tally, asked) = import(&mut vault, &sample(), choice);
        assert_eq!((tally.imported, tally.skipped), (imported, 2 - imported));
        assert_eq!(asked, ["account"], "{choice:?}");
        assert_eq!(count(&reopened(folder.path())), usable, "{choice:?}");
    }
}

#[test]
fn to_import_twice_is_no_harm_and_asks_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut vault = vault(folder.path());
    import(&mut vault, &sample(), Choice::Keep);
    let (tally, asked) = import(&mut vault, &sample(), Choice::Replace);
    assert_eq!(
        tally,
        Tally {
            present: 2,
            ..Tally::default()
        }
    );
    assert_eq!((asked, count(&vault)), (vec![], 2));
}

#[test]
fn the_same_passkey_twice_in_a_document_is_one_and_another_under_its_name_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let mut vault = vault(folder.path());
    let mut document = sample();
    let twice = document["accounts"][0]["items"][0].clone();
    let mut impostor = document["accounts"][0]["items"][1].clone();
    impostor["credentials"][0]["credentialId"] = twice["credentials"][0]["credentialId"].clone();
    document["accounts"][0]["items"] = json!([twice, twice, impostor]);
    let planned = plan(parse(&document), &vault, |_| {
        Ok::<_, Infallible>(Choice::Keep)
    })
    .unwrap();
    let fates: Vec<_> = planned.steps.iter().map(|step| &step.fate).collect();
    assert!(matches!(
        fates[..],
        [Fate::Add(_), Fate::Present, Fate::Refused(Refusal::Taken)]
    ));
    planned.carry_out(&mut vault, NOW).unwrap();
    // So it is if the first is in the vault already.
    document["accounts"][0]["items"]
        .as_array_mut()
        .unwrap()
        .remove(0);
    let (tally, _) = import(&mut vault, &document, Choice::Replace);
    assert_eq!((tally.present, tally.refused), (1, 1));
}

#[test]
fn an_old_passkey_that_replaces_a_new_one_does_not_delete_it_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut vault = vault(folder.path());
    let document = altered(|_| ());
    let user = unbase64(&document["accounts"][0]["items"][0]["credentials"][0]["userHandle"]);
    vault.store(passkey(1, &user)).unwrap();
    let (tally, _) = import(&mut vault, &document, Choice::Replace);
    assert_eq!((tally.imported, count(&vault)), (1, 1));
    let hidden = CredentialId::from_bytes(&[1; 32]).unwrap();
    assert_eq!(vault.bury(NOW + 29 * DAY).unwrap(), []);
    assert!(
        vault.named(&hidden).is_some(),
        "a site that names it is still answered"
    );
    assert_eq!(vault.bury(NOW + 31 * DAY).unwrap(), [hidden]);
}

#[test]
fn what_was_deleted_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut vault = vault(folder.path());
    let document = altered(|_| ());
    import(&mut vault, &document, Choice::Keep);
    let id = vault.passkeys().next().unwrap().credential_id.clone();
    vault.delete(&id, NOW).unwrap();
    let planned = plan(parse(&document), &vault, |_| {
        Ok::<_, Infallible>(Choice::Keep)
    })
    .unwrap();
    assert!(matches!(
        planned.steps[0].fate,
        Fate::Refused(Refusal::Deleted)
    ));
}

#[test]
fn a_passkey_without_its_secrets_is_imported_only_if_its_owner_says_so() {
    let lossy = altered(|passkey| passkey["fido2Extensions"] = json!({"hmacCredentials": 7}));
    for (choice, imported) in [(Choice::Skip, 0), (Choice::Keep, 1)] {
        let folder = tempfile::tempdir().unwrap();
        let mut vault = vault(folder.path());
        let (tally, asked) = import(&mut vault, &lossy, choice);
        assert_eq!((tally.imported, asked), (imported, vec!["prf"]));
        assert_eq!(count(&vault), imported);
    }
}

#[test]
fn a_failure_to_decide_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let vault = vault(folder.path());
    let planned = plan(parse(&sample()), &vault, |_| Err("nobody is here"));
    assert_eq!(planned.unwrap_err(), "nobody is here");
    assert_eq!(count(&reopened(folder.path())), 0);
}

#[test]
fn names_that_were_changed_last_count_also_after_a_copy_came_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut vault = vault(folder.path());
    vault.store(passkey(1, b"ana")).unwrap();
    let copy = std::fs::read_dir(folder.path().join("passkeys"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    std::fs::copy(&copy, copy.with_file_name("copy")).unwrap();
    let id = CredentialId::from_bytes(&[1; 32]).unwrap();
    // Also if the clock is wrong.
    vault.rename(&id, Some("Ana"), None, 0).unwrap();
    vault.rename(&id, None, Some("A."), 0).unwrap();
    let again = reopened(folder.path());
    let named = again.passkey(&id).unwrap();
    assert_eq!(
        (named.user_name.as_deref(), named.display_name.as_deref()),
        (Some("Ana"), Some("A."))
    );
    vault.rename(&id, Some(""), None, 0).unwrap();
    assert_eq!(vault.passkey(&id).unwrap().user_name, None);
}
