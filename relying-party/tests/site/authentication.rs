//! `passkeys-and-ctap2.md` §4.2.

use std::collections::BTreeSet;

use handfast_proto::auth_data::Flags;
use handfast_proto::ids::{CredentialId, UserHandle};
use handfast_relying_party::authentication::{Attempt, Authenticated, verify};
use handfast_relying_party::cmtg::Mode;
use handfast_relying_party::record::CredentialRecord;
use handfast_relying_party::{
    AuthenticationResponse, Challenge, Expected, RegistrationResponse, Rule,
};
use serde_json::{Value, json};

use crate::device::{Device, alter, encoded};
use crate::registration::expected;
use crate::rules::{Case, asked, said, sent};

/// What the site asked for, and what it knows.
pub(crate) struct Asked {
    expected: Expected,
    attempt: Attempt,
    record: CredentialRecord,
}

/// A device whose passkey has signed `count` times, and its record.
fn registered(count: u32) -> (Device, CredentialRecord) {
    let expected = expected();
    let user = UserHandle::from_bytes(b"ada").unwrap();
    let options = json!({"publicKey": {
        "challenge": expected.challenge.to_base64url(),
        "user": {"id": encoded(user.as_bytes())},
    }});
    let mut device = Device::new();
    device.sign_count = count;
    let answer = device.create(&options).finish();
    let answer = RegistrationResponse::from_json(&answer).unwrap();
    let verify = handfast_relying_party::registration::verify;
    let done = verify(&answer, &expected, &[-7], &user, 1, Mode::Strict).unwrap();
    (device, done.record)
}

fn sign_in(case: &Case<Asked>, count: u32) -> Result<Authenticated, Rule> {
    let (mut device, record) = registered(count);
    device.sign_count = if count == 0 { 0 } else { count + 1 };
    let attempt = Attempt {
        user: None,
        allowed: Vec::new(),
    };
    let mut asked = Asked {
        expected: expected(),
        attempt,
        record,
    };
    let challenge = asked.expected.challenge.to_base64url();
    let mut draft = device.get(&json!({"publicKey": {"challenge": challenge}}));
    (case.asked)(&mut asked);
    (case.draft)(&mut draft);
    let mut answer = draft.finish();
    (case.answer)(&mut answer);
    let response = AuthenticationResponse::from_json(&answer)?;
    let Asked {
        expected,
        attempt,
        record,
    } = asked;
    verify(&response, &expected, &attempt, &record, 2, Mode::Strict)
}

fn other_id() -> CredentialId {
    CredentialId::from_bytes(b"another").unwrap()
}

fn other_user() -> UserHandle {
    UserHandle::from_bytes(b"bob").unwrap()
}

/// Steps 1 to 3.
fn about_the_request() -> Vec<Case<Asked>> {
    vec![
        asked(
            Rule::CredentialNotAllowed,
            "a passkey not listed",
            |asked: &mut Asked| {
                asked.attempt.allowed = vec![other_id()];
            },
        ),
        asked(
            Rule::CredentialIdMismatch,
            "another passkey's record",
            |asked: &mut Asked| {
                asked.record.id = other_id();
            },
        ),
        asked(
            Rule::UserHandle,
            "another account asked for",
            |asked: &mut Asked| {
                asked.attempt.user = Some(other_user());
            },
        ),
        asked(
            Rule::UserHandle,
            "another account's passkey",
            |asked: &mut Asked| {
                asked.record.user_handle = other_user();
            },
        ),
        sent(Rule::UserHandle, "no account named", |answer| {
            answer["response"]["userHandle"] = Value::Null;
        }),
        Case {
            asked: |asked: &mut Asked| asked.attempt.user = Some(asked.record.user_handle.clone()),
            ..sent(
                Rule::UserHandle,
                "another account named than asked for",
                |answer| {
                    answer["response"]["userHandle"] = encoded(b"bob");
                },
            )
        },
        sent(Rule::ClientData, "client data that are no JSON", |answer| {
            alter(&mut answer["response"]["clientDataJSON"], |json| {
                json.truncate(9)
            });
        }),
        said(Rule::ClientDataType, "a registration", |draft| {
            draft.client_data["type"] = json!("webauthn.created");
        }),
        asked(Rule::Challenge, "another challenge", |asked: &mut Asked| {
            asked.expected.challenge = Challenge::from_bytes(&[8; 32]).unwrap();
        }),
        said(Rule::Origin, "another site", |draft| {
            draft.client_data["origin"] = json!("https://example.org.evil.net");
        }),
        said(Rule::CrossOrigin, "crossOrigin", |draft| {
            draft.client_data["crossOrigin"] = json!(true);
        }),
        said(Rule::CrossOrigin, "topOrigin", |draft| {
            draft.client_data["topOrigin"] = json!("https://evil.net");
        }),
        sent(Rule::Malformed, "no signature", |answer| {
            answer["response"]["signature"] = Value::Null;
        }),
        sent(
            Rule::Malformed,
            "an account that can be nobody's",
            |answer| {
                answer["response"]["userHandle"] = encoded(&[1; 65]);
            },
        ),
    ]
}

/// Steps 4 to 6.
fn about_the_passkey() -> Vec<Case<Asked>> {
    vec![
        said(Rule::RpIdHash, "another RP ID", |draft| {
            draft.rp_id_hash[31] ^= 1
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
        said(
            Rule::BackupEligibilityChanged,
            "no longer eligible",
            |draft| {
                draft.flags = draft.flags.with(Flags::BE | Flags::BS, false);
            },
        ),
        asked(
            Rule::BackupEligibilityChanged,
            "eligible of late",
            |asked: &mut Asked| {
                asked.record.backup_eligible = false;
            },
        ),
        said(Rule::AuthenticatorData, "a byte too many", |draft| {
            draft.tail = vec![0]
        }),
        sent(Rule::AuthenticatorData, "an end too early", |answer| {
            alter(&mut answer["response"]["authenticatorData"], |data| {
                data.truncate(36)
            });
        }),
        sent(Rule::Signature, "another signature", |answer| {
            alter(&mut answer["response"]["signature"], |bytes| bytes[20] ^= 1);
        }),
        sent(Rule::Signature, "a signature of other data", |answer| {
            alter(&mut answer["response"]["authenticatorData"], |data| {
                data[36] ^= 1
            });
        }),
        sent(
            Rule::Signature,
            "a signature of other client data",
            |answer| {
                alter(&mut answer["response"]["clientDataJSON"], |json| {
                    json.push(b' ')
                });
            },
        ),
        asked(
            Rule::Signature,
            "another passkey's signature",
            |asked: &mut Asked| {
                asked.record.public_key = registered(0).1.public_key;
            },
        ),
        asked(
            Rule::SignatureCounter,
            "a counter that stands",
            |asked: &mut Asked| {
                asked.record.sign_count = 6;
            },
        ),
        asked(
            Rule::SignatureCounter,
            "a counter that went back",
            |asked: &mut Asked| {
                asked.record.sign_count = 7;
            },
        ),
        said(Rule::SignatureCounter, "a counter that is gone", |draft| {
            draft.sign_count = 0
        }),
    ]
}

pub(crate) fn each_case_is_rejected() -> BTreeSet<Rule> {
    let cases = about_the_request().into_iter().chain(about_the_passkey());
    let mut met = BTreeSet::new();
    for case in cases {
        let done = sign_in(&case, 5).map(|_| ());
        assert_eq!(done, Err(case.rule), "{}", case.what);
        met.insert(case.rule);
    }
    met
}

#[test]
fn a_sign_in_that_breaks_a_rule_is_rejected_by_its_name() {
    each_case_is_rejected();
}

#[test]
fn what_breaks_no_rule_signs_in_and_changes_what_a_use_changes() {
    // The rule is never met: nothing is wrong with these.
    let unbroken = Rule::Malformed;
    let done = sign_in(&said(unbroken, "a counter that grew", |_| {}), 5).unwrap();
    assert_eq!((done.record.sign_count, done.record.last_used), (6, 2));
    let moved = said(unbroken, "taken out of the backup", |draft| {
        draft.flags = draft.flags.with(Flags::BS, false);
    });
    assert!(!sign_in(&moved, 5).unwrap().record.backed_up);
    let done = sign_in(&said(unbroken, "no counter at all", |_| {}), 0).unwrap();
    assert_eq!(done.record.sign_count, 0);
    let named: Case<Asked> = Case {
        asked: |asked| {
            asked.attempt.user = Some(asked.record.user_handle.clone());
            asked.attempt.allowed = vec![other_id(), asked.record.id.clone()];
        },
        ..sent(
            unbroken,
            "a listed passkey that names no account",
            |answer| {
                answer["response"]["userHandle"] = Value::Null;
            },
        )
    };
    assert!(sign_in(&named, 5).is_ok());
}
