//! What the vectors of `devicePubKey` and `supplementalPubKeys` expect.

use handfast_proto::cbor;
use handfast_proto::cose::SignatureError;
use handfast_proto::extension::attested_key::{AttestationError, AttestedKeyError, Scope};
use handfast_proto::extension::supplemental_pub_keys::{self, SupplementalPubKeysError};
use handfast_proto::ids::Aaguid;
use handfast_relying_party::compat::{
    AttestationFault, CertificateFault, KeyError, KeyFault, KeyRecord, KeyRecords, Outcome,
    Outcomes, Standing,
};
use serde_json::Value;

/// The keys that a vector's record has.
pub(crate) fn records(value: &Value) -> KeyRecords {
    KeyRecords {
        device: keys(&value["devicePubKeys"]),
        supplemental: keys(&value["supplementalPubKeys"]),
    }
}

fn keys<S: Scope>(list: &Value) -> Vec<KeyRecord<S>> {
    let bytes = |value: &Value| hex::decode(value.as_str().unwrap()).unwrap();
    let list = list.as_array().into_iter().flatten();
    list.map(|key| KeyRecord {
        aaguid: Aaguid(bytes(&key["aaguid"]).try_into().unwrap()),
        public_key: bytes(&key["key"]),
        scope: S::parse(&scope(&key["scope"])).unwrap(),
        format: key["fmt"].as_str().unwrap().to_owned(),
        statement: bytes(&key["attStmt"]),
    })
    .collect()
}

fn scope(value: &Value) -> cbor::Value {
    match value.as_u64() {
        Some(number) => number.into(),
        None => value.as_str().unwrap().into(),
    }
}

pub(crate) fn check(id: &str, found: &Outcomes, wanted: &Value) {
    let device = &wanted["devicePubKey"];
    let name = |standing: &Standing<_>| named(id, standing, device).to_owned();
    check_one(id, &found.device_pub_key, name, device);

    let supplemental = &wanted["supplementalPubKeys"];
    let name = |standings: &Vec<Standing<supplemental_pub_keys::Scope>>| {
        let named = standings.iter().map(|standing| {
            let (Standing::Known(key) | Standing::New(key)) = standing else {
                panic!("{id}: no vector has {standing:?}");
            };
            let scope = key.record.scope.name();
            format!("{scope}:{}", named(id, standing, supplemental))
        });
        named.collect::<Vec<String>>().join(",")
    };
    check_one(id, &found.supplemental_pub_keys, name, supplemental);
    assert_eq!(
        found.reject(),
        [device, supplemental]
            .iter()
            .any(|it| it["outcome"] == "invalid")
    );
}

fn named<S: Scope>(id: &str, standing: &Standing<S>, wanted: &Value) -> &'static str {
    match standing {
        Standing::Error(error) => {
            let reason = wanted["reason"].as_str().unwrap();
            let meant = match reason {
                "known key with other aaguid or scope" => KeyError::Moved,
                other => panic!("{id}: {other} is no error that is known here"),
            };
            assert_eq!(*error, meant, "{id}");
            "error"
        }
        Standing::Known(_) => "known",
        Standing::New(_) => "new",
    }
}

fn check_one<T: std::fmt::Debug>(
    id: &str,
    found: &Outcome<T>,
    name: impl Fn(&T) -> String,
    wanted: &Value,
) {
    let expected = wanted["outcome"].as_str().unwrap_or("not_requested");
    let told = match found {
        Outcome::Absent => "absent".to_owned(),
        Outcome::Invalid(found) => {
            let reason = wanted["reason"].as_str();
            assert_eq!(Some(*found), reason.map(|reason| fault(id, reason)), "{id}");
            "invalid".to_owned()
        }
        Outcome::NotRequested => "not_requested".to_owned(),
        Outcome::Presented(standing) => name(standing),
        Outcome::Unsolicited => "unsolicited".to_owned(),
        _ => panic!("{id}: {found:?}"),
    };
    assert_eq!(told, expected, "{id}: {found:?}");
}

/// The fault that a vector's words name.
fn fault(id: &str, reason: &str) -> KeyFault {
    let mismatch = SignatureError::Mismatch;
    match reason {
        "aaguid, nonce or scope" if id == "dpk-neg-long-nonce" => {
            KeyFault::Output(AttestedKeyError::Nonce)
        }
        "aaguid, nonce or scope" => KeyFault::Output(AttestedKeyError::Scope),
        "attestation signature" => {
            let error = AttestationError::Signature(mismatch);
            KeyFault::Attestation(AttestationFault::Signature(error))
        }
        "certificate aaguid" => {
            KeyFault::Attestation(AttestationFault::Certificate(CertificateFault::Model))
        }
        "none with a non-empty attStmt" => KeyFault::Output(AttestedKeyError::StatementNotEmpty),
        "number of signatures" => KeyFault::Count,
        "scope order or repetition" => KeyFault::List(SupplementalPubKeysError::Order),
        "signature" => KeyFault::Signature(mismatch),
        other => panic!("{id}: {other} is no fault that is known here"),
    }
}
