use handfast_proto::ctap2::{get_info, make_credential};
use handfast_proto::ids::Aaguid;

use super::*;
use crate::origin::OriginError;

/// A phone with these options and extensions.
fn phone(options: &[(&str, bool)], extensions: &[&str]) -> get_info::Response {
    let text = |text: &&str| (*text).to_owned();
    get_info::Response {
        versions: vec!["FIDO_2_1".to_owned()],
        extensions: extensions.iter().map(text).collect(),
        aaguid: Aaguid([7; 16]),
        options: options
            .iter()
            .map(|(name, on)| ((*name).to_owned(), *on))
            .collect(),
        transports: Vec::new(),
        pin_uv_protocols: Vec::new(),
        max_cred_blob_length: None,
        max_msg_size: None,
        attestation_formats: Vec::new(),
    }
}

fn able() -> get_info::Response {
    phone(&[("rk", true), ("uv", true)], &["cmtgKey", "prf"])
}

fn asked(options: &Json) -> make_credential::Request {
    create(options).unwrap().request(&able())
}

#[test]
fn members_that_must_be_there_are_missed_by_name() {
    for path in [
        "challenge",
        "rp",
        "rp.name",
        "user",
        "user.id",
        "user.name",
        "user.displayName",
        "pubKeyCredParams",
    ] {
        for options in [
            without(creation(), path),
            with(creation(), path, Json::Null),
        ] {
            let refused = create(&options).unwrap_err();
            assert_eq!(refused.to_string(), format!("the options lack {path}"));
        }
    }
    let refused = get(&without(request(), "challenge")).unwrap_err();
    assert_eq!(refused, OptionsError::Missing("challenge"));
}

#[test]
fn members_of_a_wrong_kind_are_refused_by_name() {
    let descriptor = |kind: Json, id: Json| json!([{"type": kind, "id": id}]);
    for (path, value) in [
        ("challenge", json!(7)),
        ("challenge", json!("AAAA")),
        ("rp.id", json!(["example.org"])),
        ("rp.name", json!(1)),
        ("user.id", json!("")),
        ("user.id", json!("A".repeat(88))),
        ("user.name", json!({})),
        ("user.displayName", json!(false)),
        ("pubKeyCredParams", json!({})),
        (
            "pubKeyCredParams",
            json!([{"type": "public-key", "alg": "ES256"}]),
        ),
        ("pubKeyCredParams", json!([{"type": "public-key"}])),
        ("pubKeyCredParams", json!([{"type": "other", "alg": -7}])),
        ("excludeCredentials", json!("AAAA")),
        ("excludeCredentials", json!([{"id": "AAAA"}])),
        (
            "excludeCredentials",
            descriptor(json!("public-key"), json!("")),
        ),
        (
            "excludeCredentials",
            descriptor(json!("public-key"), json!(7)),
        ),
        ("attestation", json!(true)),
    ] {
        let refused = create(&with(creation(), path, value.clone())).unwrap_err();
        assert!(
            matches!(refused, OptionsError::Wrong(wrong, _) if wrong == path),
            "{path} {value}"
        );
    }
    for (path, value) in [
        ("rpId", json!(1)),
        ("allowCredentials", json!({})),
        ("userVerification", json!(1)),
    ] {
        let refused = get(&with(request(), path, value)).unwrap_err();
        assert!(
            matches!(refused, OptionsError::Wrong(wrong, _) if wrong == path),
            "{path}"
        );
    }
}

#[test]
fn base64url_has_no_padding_no_other_alphabet_and_no_stray_bits() {
    for id in [
        "dXNlcg==", "dXNlcg=", "dX+/", "dXNl cg", "dXNlcg\n", "dXNlch", "dXNlc", "ü",
    ] {
        let refused = create(&with(creation(), "user.id", id)).unwrap_err();
        assert!(matches!(refused, OptionsError::Wrong("user.id", _)), "{id}");
    }
    let id = asked(&with(creation(), "user.id", "-_-_")).user.id;
    assert_eq!(id.as_bytes(), [0xfb, 0xff, 0xbf]);
}

#[test]
fn what_is_no_object_is_no_options() {
    for text in ["", "7", "[]", "null", "\"{}\"", "{", r#"{"publicKey": 7}"#] {
        let refused = Create::parse(text, &origin()).unwrap_err();
        assert!(matches!(refused, OptionsError::Json(_)), "{text}");
    }
    // The whole argument of navigator.credentials will do.
    assert!(create(&json!({"publicKey": creation(), "mediation": "optional"})).is_ok());
}

#[test]
fn the_rp_id_is_held_to_the_origin_also_when_it_is_the_default() {
    assert_eq!(create(&creation()).unwrap().rp_id().as_str(), "example.org");
    let default = without(creation(), "rp.id");
    assert_eq!(
        create(&default).unwrap().rp_id().as_str(),
        "login.example.org"
    );
    let default = without(request(), "rpId");
    assert_eq!(get(&default).unwrap().rp_id().as_str(), "login.example.org");
    let suffix = Origin::parse("https://github.io").unwrap();
    for parsed in [
        Create::parse(&without(creation(), "rp.id").to_string(), &suffix).map(|_| ()),
        Get::parse(&default.to_string(), &suffix).map(|_| ()),
    ] {
        assert!(matches!(
            parsed,
            Err(OptionsError::Origin(OriginError::PublicSuffix(_)))
        ));
    }
}

#[test]
fn names_may_be_empty_and_are_sent() {
    let options = with(creation(), "user.displayName", "");
    let options = with(options, "rp.name", "");
    let request = asked(&options);
    assert_eq!(request.user.display_name.as_deref(), Some(""));
    assert_eq!(request.user.name.as_deref(), Some("ana"));
    assert_eq!(request.rp.name.as_deref(), Some(""));
}

#[test]
fn what_nobody_knows_is_passed_over() {
    let more = json!({
        "attestation": "unheard-of",
        "attestationFormats": ["packed"],
        "authenticatorSelection": {
            "residentKey": "unheard-of", "userVerification": "unheard-of", "more": 1,
            "authenticatorAttachment": "cross-platform",
        },
        "hints": ["hybrid", "unheard-of"],
        "timeout": 60_000,
        "extensions": {"unheard-of": {"a": 1}, "credProps": "yes", "cmtgKey": 1},
        "excludeCredentials": [{"type": "unheard-of", "id": "AAAA"}],
        "unheard-of": null,
    });
    let mut options = creation();
    for (name, value) in more.as_object().unwrap() {
        options[name] = value.clone();
    }
    let (plain, request) = (asked(&creation()), asked(&options));
    assert_eq!(plain, request);
    assert!(request.extensions.is_empty());
    assert!(!create(&options).unwrap().attestation);
}

#[test]
fn algorithms_keep_their_order_and_an_empty_list_stands_for_two() {
    let list = json!([
        {"type": "public-key", "alg": -8}, {"type": "unheard-of", "alg": -1},
        {"type": "public-key", "alg": -257}, {"type": "public-key", "alg": -7},
    ]);
    assert_eq!(
        asked(&with(creation(), "pubKeyCredParams", list)).algorithms,
        [-8, -257, -7]
    );
    let empty = with(creation(), "pubKeyCredParams", json!([]));
    assert_eq!(asked(&empty).algorithms, [-7, -257]);
}

#[test]
fn a_discoverable_passkey_is_asked_for_as_the_site_and_the_phone_have_it() {
    let with_key = phone(&[("rk", true)], &[]);
    let without_key = phone(&[], &[]);
    for (selection, on_one_that_can, on_one_that_cannot) in [
        (json!({}), None, None),
        (
            json!({"residentKey": "discouraged", "requireResidentKey": true}),
            None,
            None,
        ),
        (json!({"residentKey": "preferred"}), Some(true), None),
        (json!({"residentKey": "required"}), Some(true), Some(true)),
        (json!({"requireResidentKey": true}), Some(true), Some(true)),
        (json!({"requireResidentKey": false}), None, None),
    ] {
        let options = create(&with(
            creation(),
            "authenticatorSelection",
            selection.clone(),
        ));
        let options = options.unwrap();
        for (phone, expected) in [
            (&with_key, on_one_that_can),
            (&without_key, on_one_that_cannot),
        ] {
            assert_eq!(options.request(phone).resident_key, expected, "{selection}");
            assert_eq!(options.asks_resident_key(phone), expected == Some(true));
        }
    }
}

#[test]
fn verification_is_asked_for_where_it_is_wanted_and_possible() {
    let (able, unable) = (phone(&[("uv", true)], &[]), phone(&[], &[]));
    for (wanted, on_one_that_can, on_one_that_cannot) in [
        (Json::Null, Some(true), None),
        (json!("preferred"), Some(true), None),
        (json!("required"), Some(true), Some(true)),
        (json!("discouraged"), None, None),
    ] {
        let selection = json!({"userVerification": wanted});
        let create = create(&with(creation(), "authenticatorSelection", selection)).unwrap();
        let listed = json!([{"type": "public-key", "id": "AAAA"}]);
        let get_listed = with(request(), "allowCredentials", listed);
        let get_listed = get(&with(get_listed, "userVerification", wanted.clone())).unwrap();
        for (phone, expected) in [(&able, on_one_that_can), (&unable, on_one_that_cannot)] {
            assert_eq!(
                create.request(phone).user_verification,
                expected,
                "{wanted}"
            );
            assert_eq!(
                get_listed.request(phone).user_verification,
                expected,
                "{wanted}"
            );
        }
    }
    // Without a list the person is always verified, where that is possible.
    let any = get(&with(request(), "userVerification", "discouraged")).unwrap();
    assert_eq!(any.request(&able).user_verification, Some(true));
    assert_eq!(any.request(&unable).user_verification, None);
}

#[test]
fn a_list_of_which_nothing_is_left_does_not_allow_every_passkey() {
    let none = get(&with(request(), "allowCredentials", json!([]))).unwrap();
    assert!(!none.request(&able()).has_allow_list);
    let foreign = json!([{"type": "unheard-of", "id": "AAAA"}]);
    let refused = get(&with(request(), "allowCredentials", foreign)).unwrap_err();
    assert!(matches!(
        refused,
        OptionsError::Wrong("allowCredentials", _)
    ));
    let mixed = json!([{"type": "unheard-of", "id": "AAAA"}, {"type": "public-key", "id": "AQID"}]);
    let mixed = get(&with(request(), "allowCredentials", mixed)).unwrap();
    let request = mixed.request(&able());
    assert!(request.has_allow_list);
    assert_eq!(request.allow[0].as_bytes(), [1, 2, 3]);
    assert_eq!(request.allow.len(), 1);
}

#[test]
fn extensions_go_to_phones_that_have_them() {
    let extensions = json!({"cmtgKey": true, "credProps": true, "prf": {}});
    let create = create(&with(creation(), "extensions", extensions.clone())).unwrap();
    let get = get(&with(request(), "extensions", extensions)).unwrap();
    for sent in [
        create.request(&able()).extensions,
        get.request(&able()).extensions,
    ] {
        assert_eq!(sent.len(), 1, "{sent:?}");
        assert_eq!(sent.text("cmtgKey").unwrap().as_bool(), Some(true));
    }
    let unable = phone(&[("rk", true)], &["prf"]);
    assert!(create.request(&unable).extensions.is_empty());
    assert!(get.request(&unable).extensions.is_empty());
}
