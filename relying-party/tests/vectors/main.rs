//! The vectors of all extensions: registrations and authentications of an outside generator, and those
//! of `cmtgKey` that a real Chromium made.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use handfast_proto::cbor::DecodeError;
use handfast_proto::cose::{CoseError, CoseKey, SignatureError};
use handfast_proto::ids::{CredentialId, RpId, UserHandle};
use handfast_relying_party::authentication::{self, Attempt};
use handfast_relying_party::cmtg::{CmtgFault, Mode, Outcome};
use handfast_relying_party::compat::{Outcomes, Requested};
use handfast_relying_party::record::{CmtgRecord, CredentialRecord, Trust};
use handfast_relying_party::{
    AuthenticationResponse, Challenge, Expected, RegistrationResponse, Rule, registration,
};
use serde_json::Value;

mod certificates;
mod compat;
mod keys;

fn vectors(name: &str) -> Value {
    let path = format!("{}/../vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn decoded(value: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(value.as_str().unwrap()).unwrap()
}

fn expected(inputs: &Value) -> Expected {
    let requested = inputs["requestedExtensions"].as_array().unwrap();
    let requested = |name: &str| requested.iter().any(|asked| asked == name);
    Expected {
        challenge: Challenge::from_bytes(&decoded(&inputs["challenge"])).unwrap(),
        rp_id: RpId::parse(inputs["rpId"].as_str().unwrap()).unwrap(),
        origins: vec![inputs["origin"].as_str().unwrap().to_owned()],
        user_verification: inputs["requireUserVerification"].as_bool().unwrap(),
        cmtg_key: requested("cmtgKey"),
        compat: Requested {
            device_pub_key: requested("devicePubKey"),
            relationship_public_key: requested("relationshipPublicKey"),
            supplemental_pub_keys: requested("supplementalPubKeys"),
        },
    }
}

fn record(value: &Value) -> CredentialRecord {
    let key = |hex: &Value| CoseKey::parse(&hex::decode(hex.as_str().unwrap()).unwrap()).unwrap();
    let cmtg = value["cmtgKeyRecords"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|known| {
            let key = key(&known["publicKey"]);
            CmtgRecord {
                public_key: key.as_bytes().to_vec(),
                key_id: key.key_id(),
                created_at: 0,
                last_used: known["lastUsed"].as_u64().unwrap(),
                trust: Trust::Trusted,
                evidence: String::new(),
            }
        });
    CredentialRecord {
        id: CredentialId::from_bytes(&decoded(&value["credentialId"])).unwrap(),
        user_handle: UserHandle::from_bytes(&decoded(&value["userHandle"])).unwrap(),
        public_key: key(&value["publicKey"]),
        sign_count: 0,
        backup_eligible: value["backupEligible"].as_bool().unwrap(),
        backed_up: false,
        uv_initialized: true,
        transports: Vec::new(),
        created_at: 0,
        last_used: 0,
        cmtg: cmtg.collect(),
        compat: compat::records(value),
    }
}

fn play(vector: &Value, mode: Mode) -> Result<(Outcome, Outcomes), Rule> {
    let inputs = &vector["expectedInputs"];
    let expected = expected(inputs);
    if vector["ceremony"] == "create" {
        let response = RegistrationResponse::from_json(&vector["credential"])?;
        let algorithms: Vec<i64> = inputs["algs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|alg| alg.as_i64().unwrap())
            .collect();
        let user = UserHandle::from_bytes(b"somebody").unwrap();
        let done = registration::verify(&response, &expected, &algorithms, &user, 1, mode)?;
        return Ok((done.cmtg, done.compat));
    }
    let response = AuthenticationResponse::from_json(&vector["credential"])?;
    let attempt = Attempt {
        user: None,
        allowed: Vec::new(),
    };
    let before = record(&vector["recordBefore"]);
    let done = authentication::verify(&response, &expected, &attempt, &before, 1, mode)?;
    Ok((done.cmtg, done.compat))
}

/// The rule that a vector's words name.
fn rule(reason: &str) -> Rule {
    match reason {
        "assertion signature" => Rule::Signature,
        "challenge" => Rule::Challenge,
        "malformed: map keys out of canonical order" | "malformed: trailing bytes in authData" => {
            Rule::AuthenticatorData
        }
        other => panic!("{other} is no rule that is known here"),
    }
}

/// The fault that a vector's words name; of a signature they do not tell more.
fn fault(id: &str, reason: &str) -> CmtgFault {
    use CmtgFault::{Algorithm, ClientDiffers, Key, NotBackupEligible, OneSided, PasskeyItself};
    let cbor = |error| Key(CoseError::Cbor(error));
    match reason.strip_prefix("COSE_Key: ").unwrap_or(reason) {
        "algorithm differs from the credential key" => Algorithm,
        "client output differs from the signed output" => ClientDiffers,
        "COSE_Key has no alg"
        | "compressed or missing coordinates"
        | "unexpected COSE_Key parameter" => Key(CoseError::Members),
        "credential is not backup eligible" => NotBackupEligible,
        "duplicate map key" => cbor(DecodeError::DuplicateKey),
        "indefinite length" => cbor(DecodeError::IndefiniteLength),
        "Invalid EC key. Point is not on the curve specified." => Key(CoseError::NotOnCurve),
        "map keys out of canonical order" => cbor(DecodeError::KeyOrder),
        "non-minimal integer or length" => cbor(DecodeError::NonMinimalHead),
        "required output member missing" | "signed and unsigned outputs disagree on presence" => {
            OneSided
        }
        "signature" => CmtgFault::Signature(match id {
            "neg-signature-raw-rs" | "neg-signature-der-trailing" => SignatureError::Malformed,
            _ => SignatureError::Mismatch,
        }),
        "trailing bytes" => cbor(DecodeError::TrailingBytes),
        "trust-group key equals the credential key" => PasskeyItself,
        "unsupported alg" => Key(CoseError::UnsupportedAlgorithm),
        other => panic!("{id}: {other} is no fault that is known here"),
    }
}

/// What a vector expects something of.
const NAMES: [&str; 5] = [
    "ceremony",
    "cmtgKey",
    "devicePubKey",
    "relationshipPublicKey",
    "supplementalPubKeys",
];

fn check_cmtg(id: &str, outcome: &Outcome, wanted: &Value) {
    let name = outcome.name().replace('-', "_");
    let expected = wanted["outcome"].as_str().unwrap_or("not_requested");
    assert_eq!(name, expected, "{id}: {outcome:?}");
    if let Outcome::Invalid(found) = outcome {
        let reason = wanted["reason"].as_str().unwrap();
        assert_eq!(*found, fault(id, reason), "{id}");
    }
}

fn check(vector: &Value, wanted: &Value, mode: Mode) {
    let id = vector["id"].as_str().unwrap();
    let reason = |value: &Value| value["reason"].as_str().unwrap().to_owned();
    match (play(vector, mode), wanted["ceremony"].as_str().unwrap()) {
        (Ok((outcome, compat)), "ok") => {
            check_cmtg(id, &outcome, &wanted["cmtgKey"]);
            let older = &compat.relationship_public_key;
            check_cmtg(id, older, &wanted["relationshipPublicKey"]);
            compat::check(id, &compat, wanted);
            let mut named = wanted.as_object().unwrap().keys();
            let unknown = named.find(|name| !NAMES.contains(&name.as_str()));
            assert_eq!(unknown, None, "{id} expects something that is not checked");
        }
        (Err(found), "fail") => assert_eq!(found, rule(&reason(wanted)), "{id}"),
        (played, wanted) => panic!("{id}: {played:?} instead of {wanted}"),
    }
}

#[test]
fn every_vector_comes_out_as_it_must() {
    let mut sections: BTreeMap<&str, usize> = BTreeMap::new();
    let mut draft = 0;
    let all = vectors("trust-group.json");
    for vector in all["vectors"].as_array().unwrap() {
        check(vector, &vector["expected"], Mode::Strict);
        *sections
            .entry(vector["section"].as_str().unwrap())
            .or_default() += 1;
        if let Some(wanted) = vector.get("expectedByDraftText") {
            check(vector, wanted, Mode::DangerDraft);
            draft += 1;
        }
    }
    let known = [
        ("cmtg-create", 6),
        ("cmtg-get", 12),
        ("cmtg-negative", 32),
        ("devicePubKey", 15),
        ("supplementalPubKeys", 7),
    ];
    assert_eq!(sections.into_iter().collect::<Vec<_>>(), known);
    assert_eq!(draft, 15);
}

#[test]
fn what_a_real_chromium_made_is_accepted_and_known_again() {
    let all = vectors("chromium-cmtg.json");
    let expected = Expected {
        challenge: Challenge::from_bytes(&[0; 32]).unwrap(),
        rp_id: RpId::parse("localhost").unwrap(),
        origins: vec!["http://localhost:8933".to_owned()],
        user_verification: false,
        cmtg_key: true,
        compat: Requested::default(),
    };
    let response = RegistrationResponse::from_json(&all["create"]).unwrap();
    let signed = AuthenticationResponse::from_json(&all["get"]).unwrap();
    let user = signed
        .user_handle
        .clone()
        .unwrap_or_else(|| UserHandle::from_bytes(b"u").unwrap());
    let registered =
        registration::verify(&response, &expected, &[-7], &user, 1, Mode::Strict).unwrap();
    let Outcome::NewGroup(key) = registered.cmtg else {
        panic!("{:?}", registered.cmtg);
    };
    let mut record = registered.record;
    record.see_cmtg_key(&key, Trust::Trusted, "registration", 1);
    let attempt = Attempt {
        user: Some(user),
        allowed: vec![record.id.clone()],
    };
    let done = authentication::verify(&signed, &expected, &attempt, &record, 2, Mode::Strict);
    assert_eq!(done.unwrap().cmtg, Outcome::Known(key));
}

/// Each alteration of a good response breaks the rule that is named.
#[test]
fn altered_responses_are_rejected_with_the_rules_name() {
    let all = vectors("trust-group.json");
    let vectors = all["vectors"].as_array().unwrap();
    let good = vectors
        .iter()
        .find(|vector| vector["id"] == "cmtg-get-device-a")
        .unwrap();
    let inputs = expected(&good["expectedInputs"]);
    let before = record(&good["recordBefore"]);
    let response = AuthenticationResponse::from_json(&good["credential"]).unwrap();
    let attempt = Attempt {
        user: None,
        allowed: Vec::new(),
    };
    let verify = |response: &AuthenticationResponse, inputs: &Expected, attempt: &Attempt| {
        authentication::verify(response, inputs, attempt, &before, 1, Mode::Strict).map(|_| ())
    };
    assert_eq!(verify(&response, &inputs, &attempt), Ok(()));

    let mut replayed = inputs.clone();
    replayed.challenge = Challenge::from_bytes(&[1; 32]).unwrap();
    assert_eq!(verify(&response, &replayed, &attempt), Err(Rule::Challenge));
    let mut elsewhere = inputs.clone();
    elsewhere.origins = vec!["https://example.org.evil.net".to_owned()];
    assert_eq!(verify(&response, &elsewhere, &attempt), Err(Rule::Origin));
    let mut other_site = inputs.clone();
    other_site.rp_id = RpId::parse("example.com").unwrap();
    assert_eq!(
        verify(&response, &other_site, &attempt),
        Err(Rule::RpIdHash)
    );
    let other = CredentialId::from_bytes(&[9]).unwrap();
    let unlisted = Attempt {
        user: None,
        allowed: vec![other],
    };
    assert_eq!(
        verify(&response, &inputs, &unlisted),
        Err(Rule::CredentialNotAllowed)
    );
    let stranger = Attempt {
        user: UserHandle::from_bytes(b"x").ok(),
        allowed: Vec::new(),
    };
    assert_eq!(verify(&response, &inputs, &stranger), Err(Rule::UserHandle));
    let mut anonymous = response.clone();
    anonymous.user_handle = None;
    assert_eq!(verify(&anonymous, &inputs, &attempt), Err(Rule::UserHandle));

    for byte in 0..response.authenticator_data.len() {
        let mut altered = response.clone();
        altered.authenticator_data[byte] ^= 1;
        assert!(
            verify(&altered, &inputs, &attempt).is_err(),
            "authenticator data, byte {byte}"
        );
    }
    for byte in 0..response.signature.len() {
        let mut altered = response.clone();
        altered.signature[byte] ^= 1;
        assert_eq!(
            verify(&altered, &inputs, &attempt),
            Err(Rule::Signature),
            "byte {byte}"
        );
    }
    for byte in 0..response.client_data.len() {
        let mut altered = response.clone();
        altered.client_data[byte] ^= 1;
        assert!(
            verify(&altered, &inputs, &attempt).is_err(),
            "client data, byte {byte}"
        );
    }
    let mut backed_up = before.clone();
    backed_up.backup_eligible = false;
    let changed = authentication::verify(&response, &inputs, &attempt, &backed_up, 1, Mode::Strict);
    assert_eq!(changed.err(), Some(Rule::BackupEligibilityChanged));
    let mut counted = before.clone();
    counted.sign_count = 5;
    let back = authentication::verify(&response, &inputs, &attempt, &counted, 1, Mode::Strict);
    assert_eq!(back.err(), Some(Rule::SignatureCounter));
}
