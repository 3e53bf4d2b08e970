//! QR codes, digits, derived keys and relays.

use handfast_proto::cbor::{self, Map};
use handfast_proto::hybrid::keys::{Purpose, derive};
use handfast_proto::hybrid::qr::{Hint, QrError, ScannedInvitation, decode_digits, encode_digits};
use handfast_proto::hybrid::tunnel::TunnelDomain;
use p256::elliptic_curve::sec1::ToEncodedPoint as _;

use crate::common::vectors::Node;

pub(crate) fn tunnel_domains_have_their_hosts(all: &Node<'_>) {
    let domains = all.at("tunnel_domains");
    for entry in domains.list("vectors") {
        let id = u16::try_from(entry.number("id")).unwrap();
        assert_eq!(entry.bytes("le_bytes"), id.to_le_bytes(), "{id}");
        let domain = TunnelDomain(id);
        let wanted = entry.at("domain").value().as_str();
        assert_eq!(domain.host().as_deref(), wanted, "{id}");
        assert_eq!(domain.is_known(), wanted.is_some(), "{id}");
        if let Some(host) = wanted {
            let found = TunnelDomain::of_host(&host.to_ascii_uppercase());
            assert_eq!(found, Some(domain), "{id}");
        }
    }
    assert_eq!(TunnelDomain::of_host("cable.example.com"), None);
    let lengths = (256..=u16::MAX).map(|id| {
        let host = TunnelDomain(id).host().unwrap();
        host.split('.').nth(1).unwrap().len()
    });
    let range = lengths.fold((usize::MAX, 0), |(least, most), length| {
        (least.min(length), most.max(length))
    });
    let wanted = domains.at("label_length_range_over_all_hashed_ids");
    assert_eq!(*wanted.value(), serde_json::json!([range.0, range.1]));
}

pub(crate) fn digits_stand_for_bytes_both_ways(all: &Node<'_>) {
    let base10 = all.at("base10");
    for entry in base10.list("valid") {
        let (bytes, digits) = (entry.bytes("bytes"), entry.text("digits"));
        assert_eq!(encode_digits(&bytes), digits);
        assert_eq!(decode_digits(digits), Ok(bytes));
    }
    for entry in base10.list("invalid") {
        assert!(["length", "non-digit", "range"].contains(&entry.text("error")));
        let refused = decode_digits(entry.text("digits"));
        assert_eq!(refused, Err(QrError::Digits), "{}", entry.path());
    }
}

pub(crate) fn purposes_derive_their_keys(all: &Node<'_>) {
    let mut skipped = 0;
    for entry in all.list("hkdf") {
        let (purpose, info) = match entry.kind("purpose") {
            "EIDKey" => (Purpose::EidKey, [1, 0, 0, 0]),
            "TunnelID" => (Purpose::TunnelId, [2, 0, 0, 0]),
            "PSK" => (Purpose::Psk, [3, 0, 0, 0]),
            "PairedSecret" | "IdentityKeySeed" | "PerContactIDSecret" => {
                entry.skip("linking is not built yet");
                skipped += 1;
                continue;
            }
            other => panic!("{other} is neither checked nor named"),
        };
        let name = entry.text("purpose");
        assert_eq!(entry.array("info"), info, "{name}");
        let length = usize::try_from(entry.number("length")).unwrap();
        // Shorter outputs are prefixes of longer ones.
        let okm = derive::<64>(&entry.bytes("ikm"), &entry.bytes("salt"), purpose);
        assert_eq!(okm[..length], entry.bytes("okm"), "{}", entry.path());
    }
    assert_eq!(skipped, 4, "entries of linking");
}

pub(crate) fn qr_codes_of_others_are_read(all: &Node<'_>) {
    let qr = all.at("qr");
    for entry in qr.list("decoded") {
        let url = entry.text("url");
        let scanned = ScannedInvitation::parse(url)
            .unwrap_or_else(|error| panic!("{}: {error}", entry.path()));
        let digits = &url["FIDO:/".len()..];
        let bytes = entry.bytes("cbor");
        assert_eq!(decode_digits(digits).unwrap(), bytes);
        let again = cbor::decode(&bytes).unwrap().encode();
        assert_eq!(again == bytes, entry.flag("reencodes_identically"));
        let point = scanned.key().to_encoded_point(false);
        let whole = entry.bytes("public_key_uncompressed");
        assert_eq!(point.as_bytes(), whole);
        let fields = entry.at("fields");
        for (name, field) in fields.members() {
            assert_field(&scanned, name, field.value());
        }
        let map = cbor::decode(&bytes).unwrap().into_map().unwrap();
        assert_eq!(map.len(), fields.members().len(), "{}", entry.path());
        if !fields.has("state_assisted") {
            assert!(!scanned.supports_linking(), "absent is no");
        }
        if !fields.has("hint") {
            assert_eq!(scanned.hint(), Hint::GetAssertion);
        }
        if !fields.has("transports") {
            assert_eq!(scanned.channels().numbers(), [0]);
        }
    }
    assert!(qr.text("scheme_note").contains("case-insensitively"));
    let lower = qr.list("decoded")[0].text("url").to_ascii_lowercase();
    assert!(ScannedInvitation::parse(&lower).is_ok());
}

fn assert_field(scanned: &ScannedInvitation, name: &str, value: &serde_json::Value) {
    match name {
        "public_key" => {
            let point = scanned.key().to_encoded_point(true);
            assert_eq!(hex::encode(point), value.as_str().unwrap());
        }
        "qr_secret" => {
            let secret = hex::encode(scanned.secret().expose());
            assert_eq!(secret, value.as_str().unwrap());
        }
        "known_domains" => assert_eq!(Some(scanned.assigned_domains()), value.as_u64()),
        "timestamp" => assert_eq!(scanned.unix(), value.as_u64()),
        "state_assisted" => assert_eq!(Some(scanned.supports_linking()), value.as_bool()),
        "hint" => assert_eq!(scanned.hint(), hint(value.as_str())),
        "transports" => assert_eq!(serde_json::json!(scanned.channels().numbers()), *value),
        // A member that nobody knows.
        "65535" => assert_eq!(value.as_u64(), Some(0)),
        other => panic!("{other} is not checked"),
    }
}

fn hint(text: Option<&str>) -> Hint {
    match text {
        Some("mc") => Hint::MakeCredential,
        Some("dcp") => Hint::DigitalPresentation,
        Some("dci") => Hint::DigitalIssuance,
        _ => Hint::GetAssertion,
    }
}

pub(crate) fn qr_maps_follow_chromiums_rules(all: &Node<'_>) {
    let rules = all.at("qr").at("chromium_parse_rules");
    for case in rules.list("cases") {
        let point = match case.has("point") {
            true => case.bytes("point"),
            false => rules.bytes("point"),
        };
        let map = Map::new().with(1, rules.bytes("secret"));
        let map = match case.text("map") {
            "{0: point, 1: secret}" | "{0: point^3, 1: secret}" => map.with(0, point),
            "{0: 42, 1: secret}" => map.with(0, 42),
            "{.., 2: 4567}" => map.with(0, point).with(2, 4567),
            "{.., 2: 'foo'}" => map.with(0, point).with(2, "foo"),
            "{.., 4: true}" => map.with(0, point).with(4, true),
            "{.., 4: 'foo'}" => map.with(0, point).with(4, "foo"),
            "{.., 5: 'mc'}" => map.with(0, point).with(5, "mc"),
            "{.., 5: 'XX'}" => map.with(0, point).with(5, "XX"),
            "{.., 5: 42}" => map.with(0, point).with(5, 42),
            "{.., 1000: 42}" => map.with(0, point).with(1000, 42),
            other => panic!("{other} is not checked"),
        };
        let parsed = ScannedInvitation::parse_cbor(&map.encode());
        assert_eq!(parsed.is_ok(), case.flag("valid"), "{}", case.path());
        let Ok(parsed) = parsed else {
            continue;
        };
        if let Some(wanted) = case.get("hint") {
            assert_eq!(parsed.hint(), hint(wanted.value().as_str()));
        }
        if case.has("known_domains") {
            assert_eq!(parsed.assigned_domains(), case.number("known_domains"));
        }
        if let Some(wanted) = case.get("linking") {
            let linking = wanted.value().as_bool().unwrap_or(false);
            assert_eq!(parsed.supports_linking(), linking);
        }
    }
}

pub(crate) fn what_is_no_code_is_refused_for_its_reason(all: &Node<'_>) {
    for entry in all.at("qr").list("url_errors") {
        let error = ScannedInvitation::parse(entry.text("url")).unwrap_err();
        let fits = match entry.text("error") {
            "empty" => matches!(error, QrError::Cbor(_)),
            "length" | "non-digit" | "range" => error == QrError::Digits,
            "not a CBOR map" => error == QrError::NotMap,
            "scheme" => error == QrError::Scheme,
            other => panic!("{other} is not checked"),
        };
        assert!(fits, "{}: {error:?}", entry.path());
    }
}
