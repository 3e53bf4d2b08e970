//! The encrypted channel, its padding, and the first message in it.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use handfast_proto::ctap2::get_info;
use handfast_proto::hybrid::channel::{ChannelError, SecureChannel};
use handfast_proto::hybrid::framing::{Framing as _, Sdus};
use handfast_proto::hybrid::message::{Message, MessageError, PostHandshake};

use crate::common::vectors::Node;

/// Decrypts by the cipher alone, beside the code that is tested.
pub(crate) fn decrypt(key: &[u8; 32], nonce: &[u8; 12], aad: &[u8], sealed: &[u8]) -> Vec<u8> {
    let payload = Payload { msg: sealed, aad };
    Aes256Gcm::new(key.into())
        .decrypt(Nonce::from_slice(nonce), payload)
        .unwrap()
}

pub(crate) fn counter(entry: &Node<'_>) -> u32 {
    u32::try_from(entry.number("counter")).unwrap()
}

pub(crate) fn transport_messages_are_sealed_and_opened_to_the_byte(all: &Node<'_>) {
    const LAST: u32 = (1 << 24) - 1;
    let mut last = 0;
    for entry in all.at("transport_cipher").list("vectors") {
        let (key, counter) = (entry.array("key"), counter(&entry));
        let (plain, sealed) = (entry.bytes("plaintext"), entry.bytes("ciphertext"));
        let padded = decrypt(&key, &entry.array("nonce"), &entry.bytes("aad"), &sealed);
        assert_eq!(padded, entry.bytes("padded"));
        let channel = || SecureChannel::from_keys_at(&key, &key, counter);
        assert_eq!(channel().seal(&plain).unwrap(), sealed);
        assert_eq!(channel().open(&sealed).unwrap(), plain);
        last = last.max(counter);
    }
    assert_eq!(last, LAST, "the last counter is among them");
    let mut channel = SecureChannel::from_keys_at(&[7; 32], &[7; 32], LAST);
    let sealed = channel.seal(b"the last").unwrap();
    assert_eq!(channel.seal(b"more"), Err(ChannelError::TooMany));
    channel.open(&sealed).unwrap();
    assert_eq!(channel.open(&sealed), Err(ChannelError::TooMany));
}

pub(crate) fn padding_is_read_generously_but_never_beyond_the_message(all: &Node<'_>) {
    let cipher = all.at("transport_cipher");
    let key: [u8; 32] = cipher.list("vectors")[0].array("key");
    let channel = || SecureChannel::from_keys(&key, &key);
    let seal = |padded: &[u8]| channel().seal_padded(padded).unwrap();
    for entry in cipher.list("padding_variants") {
        let sealed = seal(&entry.bytes("padded"));
        if entry.has("ciphertext") {
            assert_eq!(sealed, entry.bytes("ciphertext"));
        }
        assert!(entry.flag("must_accept"));
        let opened = channel().open(&sealed).unwrap();
        assert_eq!(opened, entry.bytes("plaintext"), "{}", entry.path());
    }
    for entry in cipher.list("invalid") {
        let mut channel = channel();
        let opened = channel.open(&seal(&entry.bytes("padded")));
        let result = entry.text("result");
        if result.contains("empty message") {
            assert_eq!(opened, Ok(Vec::new()), "{}", entry.path());
            assert_eq!(Message::parse(&[]), Err(MessageError::Empty));
            continue;
        }
        assert_eq!(result, "fatal");
        assert_eq!(opened, Err(ChannelError::Padding), "{}", entry.path());
        let next = channel.open(&seal(&[0]));
        assert_eq!(next, Err(ChannelError::Failed), "fatal");
    }
    // Repeated, skipped: fatal as well.
    let (mut sender, mut receiver) = (channel(), channel());
    let (first, second) = (sender.seal(b"1").unwrap(), sender.seal(b"2").unwrap());
    assert_eq!(channel().open(&second), Err(ChannelError::Forged));
    receiver.open(&first).unwrap();
    assert_eq!(receiver.open(&first), Err(ChannelError::Forged));
    assert_eq!(receiver.open(&second), Err(ChannelError::Failed));
}

pub(crate) fn old_constructions_are_refused(all: &Node<'_>) {
    let legacy = all.at("transport_cipher").at("legacy_construction");
    let (key, sealed) = (legacy.array("key"), legacy.bytes("ciphertext"));
    let padded = decrypt(&key, &legacy.array("nonce"), &legacy.bytes("aad"), &sealed);
    assert!(padded.starts_with(&legacy.bytes("plaintext")), "it is good");
    for counter in [0, counter(&legacy)] {
        let mut channel = SecureChannel::from_keys_at(&key, &key, counter);
        assert_eq!(channel.open(&sealed), Err(ChannelError::Forged));
    }
    let revision0 = all.at("transport_cipher").at("revision0_post_handshake");
    let old = PostHandshake::parse(&revision0.bytes("padded"));
    assert_eq!(old, Err(MessageError::Revision0));
}

pub(crate) fn post_handshake_messages_of_others_are_read(all: &Node<'_>) {
    for entry in all.list("post_handshake") {
        let message = PostHandshake::parse(&entry.bytes("message")).unwrap();
        let features = entry.at("features").value().as_array().map_or_else(
            || vec!["ctap"],
            |features| features.iter().filter_map(|text| text.as_str()).collect(),
        );
        assert_eq!(message.features, features);
        let info = get_info::Response::parse(&message.get_info).unwrap();
        match entry.get("getinfo") {
            Some(wanted) => assert_info(&info, &wanted),
            None => assert!(info.has_version("FIDO_2_1")),
        }
    }
}

/// Compares what a phone says of itself, member by member.
pub(crate) fn assert_info(info: &get_info::Response, wanted: &Node<'_>) {
    let texts = |name| -> Vec<&str> {
        let texts = wanted.at(name).value().as_array().into_iter().flatten();
        texts.map(|text| text.as_str().unwrap()).collect()
    };
    assert_eq!(info.versions, texts("versions"));
    assert_eq!(info.extensions, texts("extensions"));
    assert_eq!(info.transports, texts("transports"));
    assert_eq!(info.aaguid.0, wanted.array("aaguid"));
    let options = wanted.at("options").members();
    assert_eq!(info.options.len(), options.len());
    for (name, on) in options {
        assert_eq!(info.option(name), on.value().as_bool(), "{name}");
    }
}

/// The stream in which who cuts at the first terminator loses its way: its messages come out as they were
/// meant, because only they are accepted.
pub(crate) fn messages_in_one_stream_are_told_apart_by_what_they_are(all: &Node<'_>) {
    let framing = all.at("l2cap_framing");
    let stream = framing.bytes("crlf_stream");
    let list = |name| -> Vec<Vec<u8>> {
        let entries = framing.list(name).into_iter();
        entries
            .map(|entry| hex::decode(entry.value().as_str().unwrap()).unwrap())
            .collect()
    };
    let (meant, cut) = (
        list("intended_messages"),
        list("messages_as_seen_by_first_crlf_splitter"),
    );
    let naive = stream.windows(2).filter(|two| two == b"\r\n").count();
    assert_eq!(cut.len(), naive, "where a naive reader cuts");
    assert_ne!(meant, cut);
    let mut sdus = Sdus::default();
    sdus.push(&stream);
    // No message of the protocol is empty.
    for message in meant.iter().filter(|message| !message.is_empty()) {
        let is_message = |candidate: &[u8]| candidate == message;
        assert_eq!(sdus.cut(16, &is_message), Ok(Some(message.clone())));
    }
    let rates = framing.at("expected_loss_rate");
    for (length, rate) in rates.members() {
        let places: i32 = length.parse::<i32>().unwrap() - 1;
        let expected = 1.0 - (1.0 - 1.0 / 65536.0_f64).powi(places);
        let rate = rate.value().as_f64().unwrap();
        assert!(
            (rate - expected).abs() < 5e-5,
            "{length}: {rate} {expected}"
        );
    }
}
