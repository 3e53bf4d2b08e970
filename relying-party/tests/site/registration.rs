//! `passkeys-and-ctap2.md` §4.1.

use std::collections::BTreeSet;

use handfast_proto::auth_data::Flags;
use handfast_proto::cbor::{Map, Value as Cbor};
use handfast_proto::ids::{RpId, UserHandle};
use handfast_relying_party::cmtg::{Mode, Outcome};
use handfast_relying_party::compat::Requested;
use handfast_relying_party::registration::{Registered, verify};
use handfast_relying_party::{Challenge, Expected, RegistrationResponse, Rule};
use serde_json::{Value, json};

use crate::device::{Device, Draft, ORIGIN, RP_ID, alter, alter_object, encoded};
use crate::rules::{Case, asked, said, sent};

/// What the site asked for.
pub(crate) struct Asked {
    expected: Expected,
    algorithms: Vec<i64>,
}

pub(crate) fn expected() -> Expected {
    Expected {
        challenge: Challenge::from_bytes(&[7; 32]).unwrap(),
        rp_id: RpId::parse(RP_ID).unwrap(),
        origins: vec![ORIGIN.to_owned()],
        user_verification: true,
        cmtg_key: true,
        compat: Requested::default(),
    }
}

fn register(case: &Case<Asked>) -> Result<Registered, Rule> {
    let mut asked = Asked {
        expected: expected(),
        algorithms: vec![-7, -8],
    };
    let user = UserHandle::from_bytes(b"ada").unwrap();
    let options = json!({"publicKey": {
        "challenge": asked.expected.challenge.to_base64url(),
        "user": {"id": encoded(user.as_bytes())},
    }});
    (case.asked)(&mut asked);
    let mut draft = Device::new().create(&options);
    (case.draft)(&mut draft);
    let mut answer = draft.finish();
    (case.answer)(&mut answer);
    let response = RegistrationResponse::from_json(&answer)?;
    let Asked {
        expected,
        algorithms,
    } = asked;
    verify(&response, &expected, &algorithms, &user, 1, Mode::Strict)
}

fn key_with(draft: &mut Draft, change: impl FnOnce(Map) -> Map) {
    let attested = draft.attested.as_mut().unwrap();
    let key = handfast_proto::cbor::decode(&attested.public_key).unwrap();
    attested.public_key = change(key.into_map().unwrap()).encode();
}

fn bare(answer: &mut Value, member: &str) {
    let response = answer["response"].as_object_mut().unwrap();
    response.remove(member).unwrap();
}

fn statement(answer: &mut Value, statement: Map) {
    alter_object(answer, "attStmt", Some(statement.into()));
}

/// Steps 2 to 4.
fn about_the_request() -> Vec<Case<Asked>> {
    vec![
        sent(Rule::ClientData, "client data that are no JSON", |answer| {
            alter(&mut answer["response"]["clientDataJSON"], |json| {
                json.truncate(9)
            });
        }),
        said(Rule::ClientData, "no type", |draft| {
            draft.client_data["type"] = Value::Null
        }),
        said(Rule::ClientData, "no challenge", |draft| {
            draft.client_data["challenge"] = json!(7);
        }),
        said(Rule::ClientData, "no origin", |draft| {
            draft.client_data["origin"] = Value::Null;
        }),
        said(Rule::ClientData, "crossOrigin as text", |draft| {
            draft.client_data["crossOrigin"] = json!("false");
        }),
        said(Rule::ClientDataType, "a sign-in", |draft| {
            draft.client_data["type"] = json!("webauthn.get");
        }),
        asked(Rule::Challenge, "another challenge", |asked: &mut Asked| {
            asked.expected.challenge = Challenge::from_bytes(&[8; 32]).unwrap();
        }),
        said(Rule::Challenge, "the challenge padded", |draft| {
            let padded = format!("{}=", draft.client_data["challenge"].as_str().unwrap());
            draft.client_data["challenge"] = padded.into();
        }),
        said(Rule::Origin, "another site", |draft| {
            draft.client_data["origin"] = json!("https://example.org.evil.net");
        }),
        said(Rule::Origin, "another port", |draft| {
            draft.client_data["origin"] = json!("https://example.org:8443");
        }),
        said(Rule::Origin, "plain HTTP", |draft| {
            draft.client_data["origin"] = json!("http://example.org");
        }),
        said(Rule::CrossOrigin, "crossOrigin", |draft| {
            draft.client_data["crossOrigin"] = json!(true);
        }),
        said(Rule::CrossOrigin, "topOrigin", |draft| {
            draft.client_data["topOrigin"] = json!("https://evil.net");
        }),
        said(Rule::RpIdHash, "another RP ID", |draft| {
            draft.rp_id_hash[0] ^= 1
        }),
        said(Rule::UserPresence, "nobody present", |draft| {
            draft.flags = draft.flags.with(Flags::UP, false);
        }),
        said(Rule::UserVerification, "nobody verified", |draft| {
            draft.flags = draft.flags.with(Flags::UV, false);
        }),
        said(
            Rule::BackupStateImpossible,
            "backed up, but not eligible",
            |draft| {
                draft.flags = draft.flags.with(Flags::BE, false);
            },
        ),
    ]
}

/// Steps 4 to 7.
fn about_the_passkey() -> Vec<Case<Asked>> {
    vec![
        asked(
            Rule::AlgorithmNotOffered,
            "ES256, not offered",
            |asked: &mut Asked| {
                asked.algorithms = vec![-8];
            },
        ),
        said(
            Rule::AlgorithmNotOffered,
            "an algorithm nobody knows",
            |draft| {
                key_with(draft, |key| key.with(3, -257));
            },
        ),
        said(Rule::PublicKey, "a point off the curve", |draft| {
            let key = &mut draft.attested.as_mut().unwrap().public_key;
            *key.last_mut().unwrap() ^= 1;
        }),
        said(Rule::PublicKey, "a member too many", |draft| {
            key_with(draft, |key| key.with(2, b"kid"));
        }),
        said(Rule::AuthenticatorData, "no credential", |draft| {
            draft.attested = None
        }),
        said(Rule::AuthenticatorData, "a byte too many", |draft| {
            draft.tail = vec![0]
        }),
        sent(Rule::AuthenticatorData, "an end too early", |answer| {
            alter_object(answer, "authData", Some([0; 36].into()));
        }),
        sent(
            Rule::CredentialIdMismatch,
            "another ID beside the data",
            |answer| {
                answer["id"] = encoded(b"another");
                answer["rawId"] = encoded(b"another");
            },
        ),
        sent(Rule::AttestationUnsupported, "another format", |answer| {
            alter_object(answer, "fmt", Some("tpm".into()));
        }),
        sent(Rule::AttestationUnsupported, "a certificate", |answer| {
            alter_object(answer, "fmt", Some("packed".into()));
            let chain = Map::new()
                .with("x5c", Cbor::Array(Vec::new()))
                .with("sig", [0; 8]);
            statement(answer, chain.with("alg", -7));
        }),
        sent(
            Rule::AttestationInvalid,
            "none, with a statement",
            |answer| {
                statement(answer, Map::new().with("alg", -7));
            },
        ),
        Case {
            answer: |answer| statement(answer, Map::new().with("alg", -7).with("sig", [0; 70])),
            ..said(Rule::AttestationInvalid, "packed, not signed", |draft| {
                draft.packed = true
            })
        },
        Case {
            answer: |answer| statement(answer, Map::new().with("alg", -7)),
            ..said(Rule::AttestationInvalid, "packed, no signature", |draft| {
                draft.packed = true
            })
        },
        Case {
            answer: |answer| {
                alter(&mut answer["response"]["clientDataJSON"], |json| {
                    *json.last_mut().unwrap() = b',';
                    json.extend(b"\"more\":1}");
                });
            },
            ..said(
                Rule::AttestationInvalid,
                "packed, for other data",
                |draft| draft.packed = true,
            )
        },
    ]
}

/// That the whole can be read at all.
fn about_the_form() -> Vec<Case<Asked>> {
    vec![
        sent(Rule::Malformed, "an object that is no CBOR", |answer| {
            answer["response"]["attestationObject"] = encoded(b"\xff");
        }),
        sent(Rule::Malformed, "no format", |answer| {
            alter_object(answer, "fmt", None)
        }),
        sent(Rule::Malformed, "no statement", |answer| {
            alter_object(answer, "attStmt", None)
        }),
        sent(Rule::Malformed, "data as text", |answer| {
            alter_object(answer, "authData", Some("data".into()));
        }),
        sent(Rule::Malformed, "no object", |answer| {
            bare(answer, "attestationObject")
        }),
        sent(Rule::Malformed, "no client data", |answer| {
            bare(answer, "clientDataJSON")
        }),
        sent(Rule::Malformed, "an ID that is not its raw ID", |answer| {
            answer["rawId"] = encoded(b"another");
        }),
        sent(Rule::Malformed, "an ID that is too long", |answer| {
            answer["id"] = encoded(&[1; 1024]);
            answer["rawId"] = encoded(&[1; 1024]);
        }),
        sent(Rule::Malformed, "another type", |answer| {
            answer["type"] = json!("password")
        }),
        sent(Rule::Malformed, "an ID in other letters", |answer| {
            answer["id"] = json!("+/+/");
            answer["rawId"] = json!("+/+/");
        }),
    ]
}

pub(crate) fn each_case_is_rejected() -> BTreeSet<Rule> {
    let cases = [about_the_request(), about_the_passkey(), about_the_form()];
    let mut met = BTreeSet::new();
    for case in cases.into_iter().flatten() {
        let done = register(&case).map(|_| ());
        assert_eq!(done, Err(case.rule), "{}", case.what);
        met.insert(case.rule);
    }
    met
}

#[test]
fn a_registration_that_breaks_a_rule_is_rejected_by_its_name() {
    each_case_is_rejected();
}

#[test]
fn what_breaks_no_rule_is_registered_with_what_it_says_of_itself() {
    // The rule is never met: nothing is wrong with these.
    let unbroken = Rule::Malformed;
    let done = register(&said(unbroken, "nothing attested", |_| {})).unwrap();
    let record = &done.record;
    assert!(record.backup_eligible && record.backed_up && record.uv_initialized);
    assert_eq!(record.transports, ["internal", "hybrid"]);
    assert!(record.cmtg.is_empty(), "its trust is the site's to say");
    assert!(matches!(done.cmtg, Outcome::NewGroup(_)));

    let good: [Case<Asked>; 4] = [
        said(unbroken, "attested by itself", |draft| draft.packed = true),
        said(unbroken, "no word on embedding", |draft| {
            draft
                .client_data
                .as_object_mut()
                .unwrap()
                .remove("crossOrigin");
        }),
        said(unbroken, "members nobody knows", |draft| {
            draft.client_data["other_keys_can_be_added_here"] = json!("and so they are");
        }),
        Case {
            asked: |asked| asked.expected.user_verification = false,
            ..said(unbroken, "nobody verified, where nobody must be", |draft| {
                draft.flags = draft.flags.with(Flags::UV, false);
            })
        },
    ];
    for case in good {
        assert!(register(&case).is_ok(), "{}", case.what);
    }
}
