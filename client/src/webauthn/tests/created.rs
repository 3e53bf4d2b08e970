use handfast_proto::auth_data::{AttestedCredential, AuthDataError, AuthenticatorData};
use handfast_proto::cbor::{self, Map};
use handfast_proto::cose::CoseKey;
use handfast_proto::ctap2::{ResponseError, make_credential};
use handfast_proto::extension::cmtg_key::CmtgKeyError;

use super::*;

/// A phone's answer to creation options.
struct Made {
    format: &'static str,
    statement: Map,
    rp_hash: [u8; 32],
    attested: Option<AttestedCredential>,
    extensions: Option<Map>,
    unsigned: Map,
}

impl Default for Made {
    fn default() -> Self {
        Self {
            format: "none",
            statement: Map::new(),
            rp_hash: rp_hash(),
            attested: Some(attested(MODEL, cose_key())),
            extensions: None,
            unsigned: Map::new(),
        }
    }
}

impl Made {
    fn to_cbor(&self) -> Vec<u8> {
        let (attested, extensions) = (self.attested.clone(), self.extensions.clone());
        let auth_data = AuthenticatorData::build(self.rp_hash, flags(), 0, attested, extensions);
        make_credential::Response {
            format: self.format.to_owned(),
            auth_data: auth_data.as_bytes().to_vec(),
            statement: self.statement.clone(),
            unsigned_extensions: self.unsigned.clone(),
        }
        .encode()
    }

    fn answers(&self, options: &Json) -> Result<Json, ResponseJsonError> {
        let options = create(options).unwrap();
        created(&options, &info(), "cross-platform", &self.to_cbor())
    }
}

/// The members of an attestation object.
fn attestation_object(credential: &Json) -> Map {
    let object = bytes(&credential["response"]["attestationObject"]);
    cbor::decode(&object).unwrap().into_map().unwrap()
}

#[test]
fn a_new_passkey_has_the_members_that_a_browsers_has() {
    let made = Made::default();
    let credential = made.answers(&creation()).unwrap();
    assert_eq!(
        names(&credential),
        [
            "authenticatorAttachment",
            "clientExtensionResults",
            "id",
            "rawId",
            "response",
            "type"
        ]
    );
    assert_eq!(credential["id"], credential["rawId"]);
    assert_eq!(bytes(&credential["id"]), id(1).as_bytes());
    assert_eq!(credential["type"], "public-key");
    assert_eq!(credential["authenticatorAttachment"], "cross-platform");
    assert_eq!(credential["clientExtensionResults"], json!({}));
    let response = &credential["response"];
    assert_eq!(
        names(response),
        [
            "attestationObject",
            "authenticatorData",
            "clientDataJSON",
            "publicKey",
            "publicKeyAlgorithm",
            "transports"
        ]
    );
    assert_eq!(response["transports"], json!(["hybrid", "internal"]));
    let public_key = made.attested.clone().unwrap().public_key;
    let spki = CoseKey::parse(&public_key).unwrap().spki_der();
    assert_eq!(bytes(&response["publicKey"]), spki);
    assert_eq!(response["publicKeyAlgorithm"], -7);
    let client_data = create(&creation()).unwrap().client_data;
    assert_eq!(bytes(&response["clientDataJSON"]), client_data.as_bytes());
    let auth_data = bytes(&response["authenticatorData"]);
    assert!(
        AuthenticatorData::parse(&auth_data)
            .unwrap()
            .attested
            .is_some()
    );
    assert_eq!(
        attestation_object(&credential)
            .text("authData")
            .unwrap()
            .as_bytes(),
        Some(auth_data.as_slice())
    );
}

#[test]
fn a_key_that_cannot_be_converted_still_says_its_algorithm() {
    let rsa = Map::new()
        .with(1, 3)
        .with(3, -257)
        .with(-1, [1; 256])
        .with(-2, [1, 0, 1]);
    let made = Made {
        attested: Some(attested(MODEL, rsa.encode())),
        ..Made::default()
    };
    let response = &made.answers(&creation()).unwrap()["response"];
    assert_eq!(response["publicKeyAlgorithm"], -257);
    assert!(response.get("publicKey").is_none());
    for key in [Map::new().with(1, 3), Map::new().with(3, "ES256")] {
        let made = Made {
            attested: Some(attested(MODEL, key.encode())),
            ..Made::default()
        };
        assert_eq!(
            made.answers(&creation()),
            Err(ResponseJsonError::NoAlgorithm)
        );
    }
}

#[test]
fn a_site_gets_an_attestation_only_if_it_asks_for_one() {
    let signed = Map::new().with("alg", -7).with("sig", [1; 70]);
    let by_model = signed
        .clone()
        .with("x5c", vec![cbor::Value::from([2; 300])]);
    let wanted = [Some("indirect"), Some("direct"), Some("enterprise")];
    let unwanted = [None, Some("none"), Some("unheard-of")];
    for (format, statement, aaguid, kept) in [
        ("packed", &by_model, MODEL, false),
        ("packed", &by_model, NO_MODEL, false),
        // Signed by the passkey itself: that tells nothing, unless the model is named.
        ("packed", &signed, MODEL, false),
        ("packed", &signed, NO_MODEL, true),
        ("tpm", &signed, NO_MODEL, false),
        ("none", &Map::new(), MODEL, true),
    ] {
        let made = Made {
            format,
            statement: statement.clone(),
            attested: Some(attested(aaguid, cose_key())),
            ..Made::default()
        };
        let sent = make_credential::Response::parse(&made.to_cbor()).unwrap();
        for (conveyance, kept) in unwanted
            .map(|c| (c, kept))
            .into_iter()
            .chain(wanted.map(|c| (c, true)))
        {
            let credential = made
                .answers(&with(creation(), "attestation", conveyance))
                .unwrap();
            let object = attestation_object(&credential);
            let case = format!("{format} {aaguid:?} {conveyance:?}");
            let format = if kept { sent.format.as_str() } else { "none" };
            assert_eq!(
                object.text("fmt").unwrap().as_text(),
                Some(format),
                "{case}"
            );
            let statement = if kept { &sent.statement } else { &Map::new() };
            assert_eq!(
                object.text("attStmt").unwrap().as_map(),
                Some(statement),
                "{case}"
            );
            // What is signed is never touched, not even the model's name.
            let auth_data = object.text("authData").unwrap().as_bytes();
            assert_eq!(auth_data, Some(sent.auth_data.as_slice()), "{case}");
            assert_eq!(object.len(), 3);
        }
    }
}

#[test]
fn cred_props_tell_what_was_asked_of_the_phone_and_only_if_asked() {
    for (residence, rk) in [
        ("required", true),
        ("preferred", true),
        ("discouraged", false),
    ] {
        let options = with(creation(), "extensions", json!({"credProps": true}));
        let options = with(
            options,
            "authenticatorSelection",
            json!({"residentKey": residence}),
        );
        let credential = Made::default().answers(&options).unwrap();
        assert_eq!(
            credential["clientExtensionResults"],
            json!({"credProps": {"rk": rk}})
        );
    }
}

#[test]
fn the_group_key_needs_both_of_its_halves() {
    let options = with(creation(), "extensions", json!({"cmtgKey": true}));
    let key = || Some(Map::new().with("cmtgKey", [1, 2, 3]));
    let signature = || Map::new().with("cmtgKey", [4, 5, 6]);
    let answered = |extensions: Option<Map>, unsigned: Map| {
        let made = Made {
            extensions,
            unsigned,
            ..Made::default()
        };
        made.answers(&options)
            .map(|credential| credential["clientExtensionResults"].clone())
    };
    let both = answered(key(), signature()).unwrap();
    assert_eq!(
        both,
        json!({"cmtgKey": {"cmtgKey": "AQID", "signature": "BAUG"}})
    );
    assert_eq!(answered(key(), Map::new()), Ok(json!({})));
    assert_eq!(answered(None, Map::new()), Ok(json!({})));
    assert_eq!(
        answered(None, signature()),
        Err(CmtgKeyError::SignatureWithoutKey.into())
    );
    assert_eq!(
        answered(Some(Map::new().with("cmtgKey", true)), signature()),
        Err(CmtgKeyError::NotBytes.into())
    );
}

#[test]
fn outputs_that_nobody_asked_for_are_refused_if_signed_and_passed_over_if_not() {
    let made = |extensions, unsigned| Made {
        extensions,
        unsigned,
        ..Made::default()
    };
    let signature = Map::new()
        .with("cmtgKey", [4, 5, 6])
        .with("prf", Map::new());
    let credential = made(None, signature).answers(&creation()).unwrap();
    assert_eq!(credential["clientExtensionResults"], json!({}));
    for name in ["cmtgKey", "credProtect", "unheard-of"] {
        let signed = made(Some(Map::new().with(name, [1, 2, 3])), Map::new());
        assert_eq!(
            signed.answers(&creation()),
            Err(ResponseJsonError::UnaskedExtension),
            "{name}"
        );
    }
}

#[test]
fn an_answer_that_makes_no_passkey_is_refused() {
    let elsewhere = Made {
        rp_hash: [0; 32],
        ..Made::default()
    };
    assert_eq!(
        elsewhere.answers(&creation()),
        Err(ResponseJsonError::OtherSite)
    );
    let nothing = Made {
        attested: None,
        ..Made::default()
    };
    assert_eq!(
        nothing.answers(&creation()),
        Err(ResponseJsonError::NoCredential)
    );
    let options = create(&creation()).unwrap();
    let refused = |cbor: &[u8]| created(&options, &info(), "platform", cbor).unwrap_err();
    assert_eq!(
        refused(&Map::new().encode()),
        ResponseError::Missing(1).into()
    );
    assert!(matches!(
        refused(b""),
        ResponseJsonError::Ctap(ResponseError::Cbor(_))
    ));
    let made = Made::default().to_cbor();
    let mut response = make_credential::Response::parse(&made).unwrap();
    response.auth_data.pop();
    assert!(matches!(
        refused(&response.encode()),
        ResponseJsonError::AuthData(AuthDataError::PublicKey(_) | AuthDataError::Truncated)
    ));
}
