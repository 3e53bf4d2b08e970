//! Every entry of `hybrid.json`: checked here, or named with the reason why not.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]
#![cfg(feature = "hybrid")]

mod common;

use aes_gcm::aead::{Aead, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use common::{Known, array, bytes, list, text, vectors};
use handfast_proto::cbor::{Map, Value as Cbor};
use handfast_proto::ctap2::get_info;
use handfast_proto::hybrid::advert::{self, AdvertError, EidPlaintext};
use handfast_proto::hybrid::channel::{ChannelError, SecureChannel};
use handfast_proto::hybrid::handshake::{HandshakeError, Initiator, respond};
use handfast_proto::hybrid::keys::{EidKey, Psk, Purpose, QrSecret, derive};
use handfast_proto::hybrid::message::{Message, MessageError, PostHandshake};
use handfast_proto::hybrid::qr::{Hint, ScannedInvitation, decode_digits, encode_digits};
use handfast_proto::hybrid::tunnel::{TunnelDomain, connect_path, new_path};
use serde_json::Value;

/// Sections and entries that belong to parts of the standard that are not built yet.
const SKIPPED: [(&str, &str); 7] = [
    (
        "eid.ble_ad_structures",
        "what BlueZ makes of an advert; there is no real radio yet",
    ),
    (
        "eid.ctap23_suffix: psm",
        "the Bluetooth data channel is not built yet",
    ),
    (
        "hkdf: PairedSecret, IdentityKeySeed, PerContactIDSecret",
        "linking is not built yet",
    ),
    (
        "sessions: NKpsk0, state-assisted",
        "linking is not built yet",
    ),
    ("sessions: linking", "linking is not built yet"),
    ("phone_identity_key", "linking is not built yet"),
    (
        "l2cap_framing",
        "the Bluetooth data channel is not built yet",
    ),
];

/// Where each entry is checked: by its section, and by its name where a section has several lists.
const CHECKED: [&str; 21] = [
    "about",
    "base10.invalid",
    "base10.valid",
    "eid.ctap23_suffix",
    "eid.invalid",
    "eid.valid",
    "generator",
    "hkdf",
    "post_handshake",
    "qr.chromium_parse_rules",
    "qr.decoded",
    "qr.scheme_note",
    "qr.url_errors",
    "real_ios_session",
    "sessions",
    "transport_cipher.invalid",
    "transport_cipher.legacy_construction",
    "transport_cipher.padding_variants",
    "transport_cipher.revision0_post_handshake",
    "transport_cipher.vectors",
    "tunnel_domains",
];

#[test]
fn every_entry_is_checked_or_named() {
    for (entry, reason) in SKIPPED {
        println!("skipped: {entry}: {reason}");
    }
    let known =
        |name: &str| CHECKED.contains(&name) || SKIPPED.iter().any(|(skipped, _)| *skipped == name);
    for (section, content) in vectors("hybrid.json").as_object().unwrap() {
        if known(section) {
            continue;
        }
        let entries = content.as_object();
        let entries = entries.unwrap_or_else(|| panic!("{section} is neither checked nor named"));
        for name in entries.keys() {
            let entry = format!("{section}.{name}");
            assert!(known(&entry), "{entry} is neither checked nor named");
        }
    }
}

#[test]
fn tunnel_domains_have_their_hosts() {
    for entry in list(&vectors("hybrid.json")["tunnel_domains"], "vectors") {
        let id = u16::try_from(entry["id"].as_u64().unwrap()).unwrap();
        let domain = TunnelDomain(id);
        assert_eq!(domain.host().as_deref(), entry["domain"].as_str(), "{id}");
        assert_eq!(domain.is_known(), entry["domain"].is_string(), "{id}");
    }
}

#[test]
fn digits_stand_for_bytes_both_ways() {
    let all = vectors("hybrid.json");
    for entry in list(&all["base10"], "valid") {
        assert_eq!(encode_digits(&bytes(entry, "bytes")), text(entry, "digits"));
        assert_eq!(
            decode_digits(text(entry, "digits")),
            Ok(bytes(entry, "bytes"))
        );
    }
    for entry in list(&all["base10"], "invalid") {
        assert!(decode_digits(text(entry, "digits")).is_err(), "{entry}");
    }
}

#[test]
fn purposes_derive_their_keys() {
    let mut skipped = 0;
    for entry in list(&vectors("hybrid.json"), "hkdf") {
        let purpose = match text(entry, "purpose") {
            "EIDKey" => Purpose::EidKey,
            "TunnelID" => Purpose::TunnelId,
            "PSK" => Purpose::Psk,
            "PairedSecret" | "IdentityKeySeed" | "PerContactIDSecret" => {
                skipped += 1;
                continue;
            }
            other => panic!("{other} is neither checked nor skipped"),
        };
        // Shorter outputs are prefixes of longer ones.
        let okm = derive::<64>(&bytes(entry, "ikm"), &bytes(entry, "salt"), purpose);
        let expected = bytes(entry, "okm");
        assert_eq!(okm[..expected.len()], expected, "{entry}");
    }
    assert_eq!(skipped, 4, "entries of linking");
}

#[test]
fn adverts_open_and_seal_to_the_byte() {
    let all = vectors("hybrid.json");
    for entry in list(&all["eid"], "valid") {
        let key = EidKey::from_bytes(&array(entry, "eid_key"));
        let opened: EidPlaintext = advert::open(&key, &bytes(entry, "advert")).unwrap();
        assert_eq!(opened.to_bytes().to_vec(), bytes(entry, "plaintext"));
        assert_eq!(opened.nonce.to_vec(), bytes(entry, "nonce"));
        assert_eq!(opened.routing.0.to_vec(), bytes(entry, "routing_id"));
        assert_eq!(
            u64::from(opened.domain.0),
            entry["tunnel_domain"].as_u64().unwrap()
        );
        assert_eq!(advert::seal(&key, &opened).to_vec(), bytes(entry, "advert"));
    }
    let real = &list(&all["eid"], "valid")[1];
    let key = EidKey::from_bytes(&array(real, "eid_key"));
    for entry in list(&all["eid"], "ctap23_suffix") {
        let opened = advert::open(&key, &bytes(entry, "service_data")).unwrap();
        assert_eq!(
            opened.to_bytes().to_vec(),
            bytes(real, "plaintext"),
            "{entry}"
        );
    }
}

#[test]
fn bad_adverts_are_ignored() {
    for entry in list(&vectors("hybrid.json")["eid"], "invalid") {
        let key = EidKey::from_bytes(&array(entry, "eid_key"));
        assert!(
            advert::open(&key, &bytes(entry, "advert")).is_err(),
            "{entry}"
        );
    }
}

#[test]
fn any_flipped_bit_of_an_advert_is_ignored() {
    let all = vectors("hybrid.json");
    let entry = &list(&all["eid"], "valid")[0];
    let (key, good) = (
        EidKey::from_bytes(&array(entry, "eid_key")),
        bytes(entry, "advert"),
    );
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(advert::open(&key, &bad), Err(AdvertError::Tag), "bit {bit}");
    }
    for length in 0..20 {
        assert_eq!(
            advert::open(&key, &good[..length]),
            Err(AdvertError::Length)
        );
    }
}

#[test]
fn qr_codes_of_others_are_read() {
    for entry in list(&vectors("hybrid.json")["qr"], "decoded") {
        let scanned = ScannedInvitation::parse(text(entry, "url"))
            .unwrap_or_else(|error| panic!("{}: {error}", text(entry, "name")));
        let digits = &text(entry, "url")["FIDO:/".len()..];
        assert_eq!(decode_digits(digits).unwrap(), bytes(entry, "cbor"));
        let fields = &entry["fields"];
        let domains = fields["known_domains"].as_u64().unwrap_or(0);
        assert_eq!(scanned.assigned_domains(), domains, "{entry}");
        let linking = fields["state_assisted"].as_bool().unwrap_or(false);
        assert_eq!(scanned.supports_linking(), linking, "{entry}");
        assert_eq!(scanned.hint(), hint(fields["hint"].as_str()), "{entry}");
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

#[test]
fn qr_maps_follow_chromiums_rules() {
    let all = vectors("hybrid.json");
    let rules = &all["qr"]["chromium_parse_rules"];
    for case in list(rules, "cases") {
        let point = case
            .get("point")
            .map_or_else(|| bytes(rules, "point"), |_| bytes(case, "point"));
        let map = Map::new().with(1, bytes(rules, "secret"));
        let map = match text(case, "map") {
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
        assert_eq!(parsed.is_ok(), case["valid"].as_bool().unwrap(), "{case}");
        if let (Ok(parsed), Some(wanted)) = (&parsed, case.get("hint")) {
            assert_eq!(parsed.hint(), hint(wanted.as_str()), "{case}");
        }
    }
    for entry in list(&all["qr"], "url_errors") {
        assert!(
            ScannedInvitation::parse(text(entry, "url")).is_err(),
            "{entry}"
        );
    }
}

fn secret_key(value: &Value, name: &str) -> p256::SecretKey {
    p256::SecretKey::from_slice(&bytes(value, name)).unwrap()
}

fn initiator(session: &Value) -> (Initiator, Vec<u8>) {
    let mut ephemeral = Known(bytes(session, "initiator_ephemeral_private"));
    let psk = Psk::from_bytes(array(session, "psk"));
    Initiator::start(&secret_key(session, "static_private"), &psk, &mut ephemeral).unwrap()
}

#[test]
fn the_qr_session_is_reproduced_to_the_byte() {
    let all = vectors("hybrid.json");
    let session = &list(&all, "sessions")[0];
    let secret = QrSecret::from_bytes(array(session, "qr_secret"));
    let eid_key = EidKey::from_bytes(&array(session, "eid_key"));
    assert_eq!(
        advert::seal(&secret.eid_key(), &opened(session)),
        array(session, "advert")
    );
    assert_eq!(
        advert::open(&eid_key, &bytes(session, "advert")),
        Ok(opened(session))
    );
    assert_eq!(
        secret.psk(&array(session, "advert_plaintext")).expose(),
        &array(session, "psk")
    );
    let tunnel = secret.tunnel_id();
    assert_eq!(tunnel.0.to_vec(), bytes(session, "tunnel_id"));
    let (routing, domain) = (opened(session).routing, opened(session).domain);
    let base = format!("wss://{}", domain.host().unwrap());
    let same = |path: String, name| {
        assert!(
            format!("{base}{path}").eq_ignore_ascii_case(text(session, name)),
            "{name}"
        );
    };
    same(new_path(&tunnel), "new_url");
    same(connect_path(&routing, &tunnel), "connect_url");

    let (client, message1) = initiator(session);
    assert_eq!(message1, bytes(session, "message1"));
    let psk = Psk::from_bytes(array(session, "psk"));
    let client_key = secret_key(session, "static_private").public_key();
    let mut ephemeral = Known(bytes(session, "responder_ephemeral_private"));
    let (message2, phone) = respond(&client_key, &psk, &message1, &mut ephemeral).unwrap();
    assert_eq!(message2, bytes(session, "message2"));
    let client = client.finish(&message2).unwrap();
    assert_eq!(client.hash.0, array(session, "handshake_hash"));
    assert_eq!(phone.hash, client.hash);
    replay(session, client.channel, phone.channel);
}

fn opened(session: &Value) -> EidPlaintext {
    let secret = QrSecret::from_bytes(array(session, "qr_secret"));
    advert::open(&secret.eid_key(), &bytes(session, "advert")).unwrap()
}

/// Checks each recorded message: what one side seals, and what the other opens.
fn replay(session: &Value, mut client: SecureChannel, mut phone: SecureChannel) {
    for message in list(session, "transport_messages") {
        let (sealed, plain) = (bytes(message, "ciphertext"), bytes(message, "plaintext"));
        let (from, to) = match text(message, "direction") {
            "phone->client" => (&mut phone, &mut client),
            _ => (&mut client, &mut phone),
        };
        assert_eq!(
            from.seal(&plain).unwrap(),
            sealed,
            "{}",
            text(message, "what")
        );
        assert_eq!(
            to.open(&sealed).unwrap(),
            plain,
            "{}",
            text(message, "what")
        );
    }
}

#[test]
fn a_recorded_session_of_a_real_iphone_is_understood() {
    let all = vectors("hybrid.json");
    let session = &all["real_ios_session"];
    assert_eq!(
        opened(session).to_bytes(),
        array(session, "advert_plaintext")
    );
    let (client, message1) = initiator(session);
    assert_eq!(message1, bytes(session, "message1"));
    let mut client = client.finish(&bytes(session, "message2")).unwrap();
    assert_eq!(client.hash.0, array(session, "handshake_hash"));
    for message in list(session, "transport_messages") {
        let sealed = bytes(message, "ciphertext");
        let plain = match text(message, "direction") {
            "phone->client" => client.channel.open(&sealed).unwrap(),
            _ => {
                assert_eq!(
                    client.channel.seal(&bytes(message, "plaintext")).unwrap(),
                    sealed
                );
                continue;
            }
        };
        assert_eq!(
            plain,
            bytes(message, "plaintext"),
            "{}",
            text(message, "what")
        );
    }
    let first = &list(session, "transport_messages")[0];
    let post_handshake = PostHandshake::parse(&bytes(first, "plaintext")).unwrap();
    let info = get_info::Response::parse(&post_handshake.get_info).unwrap();
    assert_eq!(info.option("jsonMessages"), Some(true));
    assert_eq!(post_handshake.features, ["ctap", "dc"]);
}

#[test]
fn any_flipped_bit_of_a_handshake_message_is_rejected() {
    let all = vectors("hybrid.json");
    let session = &list(&all, "sessions")[0];
    let psk = Psk::from_bytes(array(session, "psk"));
    let client_key = secret_key(session, "static_private").public_key();
    let (message1, message2) = (bytes(session, "message1"), bytes(session, "message2"));
    for bit in 0..message1.len() * 8 {
        let mut bad = message1.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let mut ephemeral = Known(bytes(session, "responder_ephemeral_private"));
        let answered = respond(&client_key, &psk, &bad, &mut ephemeral);
        assert_eq!(
            answered.err(),
            Some(HandshakeError::Rejected),
            "message 1, bit {bit}"
        );
        let mut bad = message2.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let finished = initiator(session).0.finish(&bad);
        assert_eq!(
            finished.err(),
            Some(HandshakeError::Rejected),
            "message 2, bit {bit}"
        );
    }
    for length in [0, 65, 80, 82] {
        let bad = vec![4; length];
        assert_eq!(
            initiator(session).0.finish(&bad).err(),
            Some(HandshakeError::Length)
        );
    }
}

#[test]
fn transport_messages_are_sealed_and_opened_to_the_byte() {
    let all = vectors("hybrid.json");
    for entry in list(&all["transport_cipher"], "vectors") {
        let (key, counter) = (array(entry, "key"), entry["counter"].as_u64().unwrap());
        let counter = u32::try_from(counter).unwrap();
        let mut channel = SecureChannel::from_keys_at(&key, &key, counter);
        assert_eq!(
            channel.seal(&bytes(entry, "plaintext")).unwrap(),
            bytes(entry, "ciphertext")
        );
        assert_eq!(
            channel.open(&bytes(entry, "ciphertext")).unwrap(),
            bytes(entry, "plaintext")
        );
    }
}

#[test]
fn the_last_counter_is_the_last() {
    const LAST: u32 = (1 << 24) - 1;
    let mut channel = SecureChannel::from_keys_at(&[1; 32], &[2; 32], LAST);
    let mut other = SecureChannel::from_keys_at(&[2; 32], &[1; 32], LAST);
    let sealed = channel.seal(b"last").unwrap();
    assert_eq!(other.open(&sealed).unwrap(), b"last");
    assert_eq!(channel.seal(b"more"), Err(ChannelError::TooMany));
    assert_eq!(other.open(&sealed), Err(ChannelError::TooMany));
}

#[test]
fn the_obsolete_construction_is_not_read() {
    let all = vectors("hybrid.json");
    let entry = &all["transport_cipher"]["legacy_construction"];
    let (key, counter) = (array(entry, "key"), entry["counter"].as_u64().unwrap());
    let mut channel = SecureChannel::from_keys_at(&key, &key, counter.try_into().unwrap());
    let opened = channel.open(&bytes(entry, "ciphertext"));
    assert_eq!(opened, Err(ChannelError::Forged));
}

#[test]
fn padding_is_read_generously_but_never_beyond_the_message() {
    let all = vectors("hybrid.json");
    let cipher = &all["transport_cipher"];
    let key: [u8; 32] = array(&list(cipher, "vectors")[0], "key");
    let seal = |padded: &[u8]| {
        Aes256Gcm::new(&key.into())
            .encrypt(Nonce::from_slice(&[0; 12]), padded)
            .unwrap()
    };
    for entry in list(cipher, "padding_variants") {
        let opened = SecureChannel::from_keys(&key, &key).open(&seal(&bytes(entry, "padded")));
        let wanted = entry["must_accept"].as_bool().unwrap_or(true);
        assert_eq!(opened.is_ok(), wanted, "{entry}");
        if let Ok(opened) = opened {
            assert_eq!(opened, bytes(entry, "plaintext"), "{entry}");
        }
    }
    for entry in list(cipher, "invalid")
        .iter()
        .filter(|entry| entry.get("padded").is_some())
    {
        let mut channel = SecureChannel::from_keys(&key, &key);
        let opened = channel.open(&seal(&bytes(entry, "padded")));
        if text(entry, "result").contains("empty message") {
            assert_eq!(opened, Ok(Vec::new()), "{entry}");
            assert_eq!(Message::parse(&[]), Err(MessageError::Empty));
            continue;
        }
        assert_eq!(opened, Err(ChannelError::Padding), "{entry}");
        assert_eq!(
            channel.open(&seal(&[0])),
            Err(ChannelError::Failed),
            "fatal: {entry}"
        );
    }
}

#[test]
fn altered_repeated_and_skipped_messages_end_the_channel() {
    let key = [7; 32];
    let mut sender = SecureChannel::from_keys(&key, &key);
    let (first, second) = (
        sender.seal(b"first").unwrap(),
        sender.seal(b"second").unwrap(),
    );
    let fresh = || SecureChannel::from_keys(&key, &key);
    for bit in 0..first.len() * 8 {
        let mut bad = first.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(fresh().open(&bad), Err(ChannelError::Forged), "bit {bit}");
    }
    for length in 0..first.len() {
        assert!(fresh().open(&first[..length]).is_err(), "cut at {length}");
    }
    assert_eq!(fresh().open(&second), Err(ChannelError::Forged), "skipped");
    let mut receiver = fresh();
    receiver.open(&first).unwrap();
    assert_eq!(receiver.open(&first), Err(ChannelError::Forged), "repeated");
    assert_eq!(
        receiver.open(&second),
        Err(ChannelError::Failed),
        "no way back"
    );
}

#[test]
fn post_handshake_messages_of_others_are_read() {
    let all = vectors("hybrid.json");
    for entry in list(&all, "post_handshake") {
        let message = PostHandshake::parse(&bytes(entry, "message")).unwrap();
        let info = get_info::Response::parse(&message.get_info).unwrap();
        if entry["getinfo"].is_null() {
            assert_eq!(message.features, ["ctap"]);
            assert!(info.has_version("FIDO_2_1"));
            continue;
        }
        let wanted = |name| -> Vec<String> {
            let texts = entry["getinfo"][name].as_array().into_iter().flatten();
            texts
                .map(|text| text.as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(info.versions, wanted("versions"));
        assert_eq!(info.extensions, wanted("extensions"));
        assert_eq!(info.transports, wanted("transports"));
        assert_eq!(
            hex::encode(info.aaguid.0),
            text(&entry["getinfo"], "aaguid")
        );
    }
    let old = bytes(
        &all["transport_cipher"]["revision0_post_handshake"],
        "padded",
    );
    assert_eq!(PostHandshake::parse(&old), Err(MessageError::Revision0));
    for (bad, error) in [
        (Map::new(), MessageError::NoGetInfo),
        (
            Map::new().with(3, vec![Cbor::from("dc")]).with(1, [0]),
            MessageError::NoCtap,
        ),
        (Map::new().with(1, 1), MessageError::WrongType),
    ] {
        assert_eq!(PostHandshake::parse(&bad.encode()), Err(error));
    }
}
