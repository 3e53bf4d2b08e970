//! Documents that strangers made.

use handfast_authenticator::exchange::{DocumentError, KeyFault, LARGEST, Lost};
use handfast_proto::ids::IdError;
use proptest::prelude::*;

use super::*;

fn refused(bytes: &[u8]) -> DocumentError {
    Document::parse(bytes, NOW).unwrap_err()
}

#[test]
fn what_is_no_document_is_told_apart() {
    for (bytes, error) in [
        (&b""[..], DocumentError::CutOff),
        (b"\xff\xfe{}", DocumentError::NotText),
        (b"PK\x03\x04", DocumentError::NotJson { line: 1, column: 1 }),
        (
            b"{\"a\":\n tru}",
            DocumentError::NotJson { line: 2, column: 5 },
        ),
        (b"{}", DocumentError::NotCxf { line: 1 }),
        (b"[]", DocumentError::NotCxf { line: 1 }),
        (
            b"{\"version\":{\"major\":1},\"accounts\":{}}",
            DocumentError::NotCxf { line: 1 },
        ),
        (
            b"{\"version\":{\"major\":1},\"accounts\":[7]}",
            DocumentError::NotCxf { line: 1 },
        ),
        (
            b"{\"version\":\"1\",\"accounts\":[]}",
            DocumentError::NotCxf { line: 1 },
        ),
        (
            b"{\"version\":{\"major\":2,\"minor\":0},\"accounts\":[]}",
            DocumentError::Version(2),
        ),
        (
            b"{\"version\":0,\"accounts\":[]}",
            DocumentError::Version(0),
        ),
        (
            b"{\"version\":{\"major\":1},\"accounts\":[],\"accounts\":[]}",
            DocumentError::NotCxf { line: 1 },
        ),
    ] {
        assert_eq!(refused(bytes), error, "{}", String::from_utf8_lossy(bytes));
    }
    let whole = sample().to_string();
    assert_eq!(refused(&vec![b' '; LARGEST + 1]), DocumentError::TooLarge);
    for length in (0..whole.len()).step_by(31) {
        assert_eq!(refused(&whole.as_bytes()[..length]), DocumentError::CutOff);
    }
    let marked = format!("\u{feff}{whole}");
    assert_eq!(
        Document::parse(marked.as_bytes(), NOW)
            .unwrap()
            .entries
            .len(),
        2
    );
}

#[test]
fn what_lies_too_deep_is_refused_and_does_no_harm() {
    for open in ["[", "{\"a\":"] {
        let deep = open.repeat(1_000_000);
        assert_eq!(refused(deep.as_bytes()), DocumentError::TooDeep);
    }
    // Brackets in a text lie nowhere.
    let brackets = "[\\\"".repeat(1000);
    let document = altered(|passkey| passkey["note"] = json!(brackets));
    only(&document);
    let collections = |deep: usize| {
        let mut document = sample();
        let nested = (0..deep).fold(json!([]), |inner, _| json!([{"subCollections": inner}]));
        document["accounts"][0]["collections"] = nested;
        document.to_string()
    };
    assert!(Document::parse(collections(20).as_bytes(), NOW).is_ok());
    assert_eq!(refused(collections(40).as_bytes()), DocumentError::TooDeep);
}

#[test]
fn ten_thousand_items_are_read_and_a_flood_is_not() {
    let mut document = sample();
    let mut item = document["accounts"][0]["items"][1].take();
    let items = (0..10_000_u32).map(|index| {
        item["credentials"][0]["credentialId"] =
            base64(&[&[9; 12][..], &index.to_be_bytes()].concat());
        item.clone()
    });
    document["accounts"][0]["items"] = items.collect();
    assert_eq!(parse(&document).passkeys().count(), 10_000);

    let flood = |part: &str, count: usize| {
        let list = format!("[{}]", vec![part; count].join(","));
        for flood in [
            format!(r#"{{"version":{{"major":1}},"accounts":{list}}}"#),
            format!(r#"{{"version":{{"major":1}},"accounts":[{{"items":{list}}}]}}"#),
            format!(
                r#"{{"version":{{"major":1}},"accounts":[{{"items":[{{"credentials":{list}}}]}}]}}"#
            ),
        ] {
            assert_eq!(refused(flood.as_bytes()), DocumentError::TooMany);
        }
    };
    flood("0", 100_001);
    // Also if no list alone is too long.
    let item = format!(r#"{{"credentials":[{}]}}"#, vec!["0"; 1000].join(","));
    let flood = format!(
        r#"{{"version":{{"major":1}},"accounts":[{{"items":[{}]}}]}}"#,
        vec![item.as_str(); 101].join(",")
    );
    assert_eq!(refused(flood.as_bytes()), DocumentError::TooMany);
}

#[test]
fn a_bad_passkey_is_named_and_the_others_are_read() {
    let mut document = sample();
    document["accounts"][0]["items"][0]["credentials"][0]["key"] = json!("!");
    let extra = json!([7, {"credentials": {}}, {"credentials": [{"type": 7}, {}, null, {"type": "passkey"}]}]);
    let extra = extra.as_array().unwrap().clone();
    document["accounts"][0]["items"]
        .as_array_mut()
        .unwrap()
        .extend(extra);
    let read = parse(&document);
    assert_eq!(read.passkeys().count(), 1);
    let faults: Vec<_> = read
        .entries
        .iter()
        .filter_map(|entry| {
            Some((
                entry.place.to_string(),
                entry.found.as_ref().err().copied()?,
            ))
        })
        .collect();
    let malformed = |place: &str| (place.to_owned(), Fault::Malformed);
    assert_eq!(
        faults,
        [
            (
                "account 1, item 1, credential 1".to_owned(),
                Fault::NotBase64("key")
            ),
            malformed("account 1, item 3"),
            malformed("account 1, item 4"),
            malformed("account 1, item 5, credential 1"),
            malformed("account 1, item 5, credential 2"),
            malformed("account 1, item 5, credential 3"),
            (
                "account 1, item 5, credential 4".to_owned(),
                Fault::Missing("rpId")
            ),
        ]
    );
    assert_eq!(read.entries[0].site.as_deref(), Some("example.org"));
}

#[test]
fn members_that_cannot_be_are_refused_by_name() {
    let long = "A".repeat(1400);
    for (member, value, expected) in [
        (
            "rpId",
            json!("exa\0mple.org"),
            Fault::RpId(IdError::IllegalCharacter),
        ),
        (
            "rpId",
            json!("https://example.org"),
            Fault::RpId(IdError::IllegalCharacter),
        ),
        ("rpId", json!(""), Fault::RpId(IdError::Empty)),
        (
            "rpId",
            json!("a".repeat(254)),
            Fault::RpId(IdError::TooLong),
        ),
        ("rpId", json!(7), Fault::NotText("rpId")),
        ("rpId", Value::Null, Fault::Missing("rpId")),
        (
            "credentialId",
            json!(""),
            Fault::CredentialId(IdError::Empty),
        ),
        (
            "credentialId",
            json!(long),
            Fault::CredentialId(IdError::TooLong),
        ),
        (
            "credentialId",
            json!("AA+A"),
            Fault::NotBase64("credentialId"),
        ),
        (
            "credentialId",
            json!([1, 2]),
            Fault::NotBase64("credentialId"),
        ),
        ("userHandle", json!(""), Fault::UserHandle(IdError::Empty)),
        (
            "userHandle",
            base64(&[1; 65]),
            Fault::UserHandle(IdError::TooLong),
        ),
        // Bits that say nothing, and padding of the wrong length.
        ("userHandle", json!("AB"), Fault::NotBase64("userHandle")),
        ("userHandle", json!("AAAA="), Fault::NotBase64("userHandle")),
        ("username", json!(["ana"]), Fault::NotText("username")),
        (
            "userDisplayName",
            json!(1e300),
            Fault::NotText("userDisplayName"),
        ),
        ("key", json!(""), Fault::Key(KeyFault::NotPkcs8)),
        ("key", Value::Null, Fault::Missing("key")),
    ] {
        let document = altered(|passkey| passkey[member] = value.clone());
        assert_eq!(fault(&document), expected, "{member} {value}");
    }
    // A member that is there twice may mean either.
    let once = r#""rpId":"example.org""#;
    let twice = altered(|_| ())
        .to_string()
        .replace(once, &format!("{once},{once}"));
    let read = Document::parse(twice.as_bytes(), NOW).unwrap();
    assert_eq!(
        read.entries[0].found.as_ref().unwrap_err(),
        &Fault::Malformed
    );
}

/// PKCS#8 of an algorithm identifier and a private key.
fn pkcs8(algorithm: &[u8], key: &[u8]) -> Value {
    let tagged =
        |tag: u8, content: &[u8]| [&[tag, content.len().try_into().unwrap()], content].concat();
    let key = [&[2, 1, 0][..], algorithm, &tagged(4, key)].concat();
    base64(&tagged(0x30, &key))
}

#[test]
fn keys_that_are_not_used_here_are_refused_by_name() {
    let hex = |text: &str| hex::decode(text).unwrap();
    let key = |algorithm: &str, key: &[u8]| {
        let key = pkcs8(&hex(algorithm), key);
        fault(&altered(|passkey| passkey["key"] = key))
    };
    let unsupported = |name| Fault::Key(KeyFault::Unsupported(name));
    for (algorithm, name) in [
        ("300d06092a864886f70d0101010500", "RSA"),
        ("301006072a8648ce3d020106052b81040022", "curve P-384"),
        ("301006072a8648ce3d020106052b8104000a", "curve secp256k1"),
        ("301006072a8648ce3d020106052b81040001", "another curve"),
        ("300906072a8648ce3d0201", "a curve without a name"),
        ("300506032b6571", "Ed448"),
        ("300506032b656e", "X25519"),
        ("300b0609608648016503040312", "ML-DSA-65"),
        ("300506032b6572", "another algorithm"),
    ] {
        assert_eq!(key(algorithm, &[1; 32]), unsupported(name));
    }
    let broken = Fault::Key(KeyFault::Broken);
    let (p256, ed25519) = (
        "301306072a8648ce3d020106082a8648ce3d030107",
        "300506032b6570",
    );
    assert_eq!(key(p256, &[1; 32]), broken);
    assert_eq!(key(ed25519, &[1; 32]), broken);
    let zero = [
        &hex("3025020101 0420".replace(' ', "").as_str())[..],
        &[0; 32],
    ]
    .concat();
    assert_eq!(key(p256, &zero), broken);
    let encrypted = json!("MBUwDQYJKoZIhvcNAQUNMAAEBAAAAAA");
    let not_pkcs8 = fault(&altered(|passkey| passkey["key"] = encrypted));
    assert_eq!(not_pkcs8, Fault::Key(KeyFault::NotPkcs8));
}

#[test]
fn a_key_whose_public_part_is_anothers_is_refused() {
    let other = SigningKey::generate(Algorithm::Es256, &mut OsRng)
        .to_pkcs8_der()
        .unwrap();
    let document = altered(|passkey| {
        let mut key = unbase64(&passkey["key"]);
        let at = key.len() - 64;
        key[at..].copy_from_slice(&other[other.len() - 64..]);
        passkey["key"] = base64(&key);
    });
    assert_eq!(fault(&document), Fault::Key(KeyFault::Broken));
    // RFC 5958, version 2: an Ed25519 key with a public part.
    let v2 = [
        &hex::decode("3051020101300506032b657004220420").unwrap()[..],
        &[1; 32],
        &hex::decode("812100").unwrap(),
        &[2; 32],
    ]
    .concat();
    let document = altered(|passkey| passkey["key"] = base64(&v2));
    assert_eq!(fault(&document), Fault::Key(KeyFault::Broken));
    // After its end, and cut off.
    let der = unbase64(&sample()["accounts"][0]["items"][1]["credentials"][0]["key"]);
    for bad in [[&der[..], &[0]].concat(), der[..der.len() - 1].to_vec()] {
        let document = altered(|passkey| passkey["key"] = base64(&bad));
        assert_eq!(fault(&document), Fault::Key(KeyFault::NotPkcs8));
    }
}

#[test]
fn secrets_that_cannot_be_read_are_not_left_out_silently() {
    let good = json!({"algorithm": "hmac-sha256", "credWithUV": base64(&[1; 32]), "credWithoutUV": base64(&[2; 32])});
    let with = |hmac: Value| {
        altered(|passkey| passkey["fido2Extensions"] = json!({"hmacCredentials": hmac, "new": [1]}))
    };
    assert_eq!(
        only(&with(good.clone())).prf.unwrap().as_bytes(),
        [[1; 32], [2; 32]].concat()
    );
    let lost = |document: &Value| {
        let found = parse(document).entries.remove(0).found.unwrap();
        assert!(found.passkey.prf.is_none());
        found.lost
    };
    for (member, value) in [
        ("algorithm", json!("hmac-sha512")),
        ("algorithm", Value::Null),
        ("credWithUV", base64(&[1; 31])),
        ("credWithUV", json!("*")),
        ("credWithoutUV", Value::Null),
    ] {
        let mut bad = good.clone();
        bad[member] = value;
        assert_eq!(lost(&with(bad)), [Lost::Prf], "{member}");
    }
    assert_eq!(lost(&with(json!("secret"))), [Lost::Prf]);
    let draft =
        altered(|passkey| passkey["fido2Extensions"] = json!({"hmacSecret": {"secret": "AA"}}));
    assert_eq!(lost(&draft), [Lost::Prf]);
    let nothing = altered(|passkey| passkey["fido2Extensions"] = json!([]));
    assert_eq!(lost(&nothing), [Lost::Prf, Lost::CredBlob, Lost::LargeBlob]);
    let none = altered(|passkey| passkey["fido2Extensions"] = json!({"payments": true}));
    assert!(only(&none).prf.is_none());
}

#[test]
fn what_a_site_left_is_kept_or_told_to_be_lost() {
    let lost = |extensions: Value| {
        let document = altered(|passkey| passkey["fido2Extensions"] = extensions);
        let found = parse(&document).entries.remove(0).found.unwrap();
        assert!(found.passkey.cred_blob.is_none() && found.passkey.large_blob.is_none());
        found.lost
    };
    assert_eq!(
        lost(json!({"credBlob": base64(&[1; 33])})),
        [Lost::CredBlob]
    );
    assert_eq!(lost(json!({"credBlob": {}})), [Lost::CredBlob]);
    let large = |size: Value, bytes: usize| json!({"largeBlob": {"uncompressedSize": size, "data": base64(&vec![1; bytes])}});
    for bad in [
        large(json!(-1), 1),
        large(json!(1.5), 1),
        large(Value::Null, 1),
        large(json!(9), 16 * 1024 + 1),
        json!({"largeBlob": [9, "AA"]}),
    ] {
        assert_eq!(lost(bad), [Lost::LargeBlob]);
    }
    let document = altered(|passkey| passkey["fido2Extensions"] = large(json!(9), 16 * 1024));
    let (blob, at) = only(&document).large_blob.unwrap();
    assert_eq!(
        (blob.deflated().len(), blob.original_size(), at),
        (16 * 1024, 9, 1_752_000_000)
    );
}

#[test]
fn what_is_harmless_is_forgiven() {
    let draft = altered(|passkey| {
        let name = passkey["username"].take();
        passkey["userName"] = name;
        passkey["credentialId"] = json!("AAECAwQFBgcICQoLDA0ODw==");
        passkey["rpId"] = json!("Example.ORG");
        passkey["userDisplayName"] = json!("A\0B");
        passkey["supplementalKeys"] = json!({"unknown": [1e300, -0.0]});
    });
    let read = only(&draft);
    assert_eq!(read.user_name.as_deref(), Some("a@example.org"));
    assert_eq!(read.credential_id.as_bytes(), (0..16).collect::<Vec<u8>>());
    assert_eq!(read.rp_id.as_str(), "example.org");
    assert_eq!(read.display_name.as_deref(), Some("A\0B"));
    let long = altered(|passkey| passkey["username"] = json!("é".repeat(5000)));
    assert_eq!(only(&long).user_name.unwrap(), "é".repeat(32));
    let unnamed = altered(|passkey| passkey["username"] = json!(""));
    assert_eq!(only(&unnamed).user_name, None);
}

#[test]
fn times_that_make_no_sense_are_now() {
    for time in [
        "1e400",
        "-1",
        "99999999999999999999999999",
        "\"yesterday\"",
        "null",
        "1800000001",
        "1.5",
    ] {
        let json = altered(|_| ()).to_string().replace("1752000000", time);
        let mut read = Document::parse(json.as_bytes(), NOW).unwrap();
        let found = read.entries.remove(0).found.unwrap();
        assert_eq!(
            (found.passkey.created_at, found.passkey.changed_at),
            (NOW, NOW),
            "{time}"
        );
    }
}

#[test]
fn credentials_of_other_kinds_are_counted() {
    let mut document = sample();
    let others = json!([{"type": "basic-auth"}, {"type": "passkey-of-the-future"}, {"type": ""}]);
    document["accounts"][0]["items"][1]["credentials"] = others;
    let read = parse(&document);
    assert_eq!((read.entries.len(), read.others), (1, 3));
}

#[test]
fn errors_and_debug_hold_no_secret() {
    let secret = "SECRETsecretSECRET";
    let documents = [
        format!(r#"{{"version":{{"major":1}},"accounts":"{secret}"}}"#),
        format!(r#"{{"version":"{secret}","accounts":[]}}"#),
        format!(r#"{{"{secret}" {secret}}}"#),
    ];
    for document in &documents {
        let error = refused(document.as_bytes());
        assert!(!format!("{error} {error:?}").contains(secret));
    }
    let shown = format!("{:?}", parse(&sample()));
    let key = unbase64(&sample()["accounts"][0]["items"][0]["credentials"][0]["key"]);
    let scalar = &key[36..68];
    for form in [
        format!("{scalar:?}"),
        hex::encode(scalar),
        URL_SAFE_NO_PAD.encode(&key),
    ] {
        let form = form.trim_matches(['[', ']']);
        assert!(!shown.contains(form));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is done to a document, reading it ends, and what is read can be written and read again.
    #[test]
    fn altered_documents_do_no_harm(at in any::<proptest::sample::Index>(), with in any::<u8>(), length in 0..6_usize) {
        let mut bytes = sample().to_string().into_bytes();
        let at = at.index(bytes.len());
        let end = bytes.len().min(at + length);
        bytes.splice(at..end, [with]);
        if let Ok(document) = Document::parse(&bytes, NOW) {
            let passkeys: Vec<_> = document.passkeys().collect();
            let again = parse(&written(&passkeys));
            prop_assert_eq!(again.passkeys().count(), passkeys.len());
        }
    }

    #[test]
    fn noise_is_no_document(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Document::parse(&bytes, NOW).is_err());
    }
}
