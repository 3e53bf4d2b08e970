//! What is written is read back, whatever it is; what is altered is not.
#![cfg(all(feature = "hybrid", feature = "trust"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod common;

use common::Known;
use handfast_proto::cbor::{Map, Value};
use handfast_proto::cose::{Algorithm, SigningKey};
use handfast_proto::hybrid::DataChannels;
use handfast_proto::hybrid::advert::{self, AdvertError, EidPlaintext};
use handfast_proto::hybrid::channel::{ChannelError, SecureChannel};
use handfast_proto::hybrid::keys::QrSecret;
use handfast_proto::hybrid::message::{Message, PostHandshake};
use handfast_proto::hybrid::qr::{
    Hint, QrError, QrInvitation, ScannedInvitation, decode_digits, encode_digits,
};
use handfast_proto::hybrid::tunnel::{RoutingId, TunnelDomain, TunnelId};
use handfast_proto::ids::{CredentialId, UserHandle};
use handfast_proto::trust::entry::{Anchor, Entry, Kind, Members, SignedEntry};
use handfast_proto::trust::wrap::{WrapError, key_file_header, open_key, seal_key};
use handfast_proto::trust::{
    DeviceKeys, DeviceName, Epoch, GroupId, GroupKey, GroupSecret, KeyTuple, Method,
};
use p256::elliptic_curve::sec1::ToEncodedPoint as _;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..=most)
}

fn flipped(bytes: &[u8], bit: Index) -> (usize, Vec<u8>) {
    let bit = bit.index(bytes.len() * 8);
    let mut bad = bytes.to_vec();
    bad[bit / 8] ^= 1 << (bit % 8);
    (bit, bad)
}

/// A client's key: nearly every number is one.
fn client_key() -> impl Strategy<Value = p256::SecretKey> {
    any::<[u8; 32]>().prop_filter_map("out of range", |scalar| {
        p256::SecretKey::from_slice(&scalar).ok()
    })
}

/// Members that nobody knows: other numbers, and names.
fn unknown() -> impl Strategy<Value = Vec<(Value, Value)>> {
    let key = prop_oneof![
        (7..=u64::MAX).prop_map(Value::Unsigned),
        any::<u64>().prop_map(Value::Negative),
        ".{0,8}".prop_map(Value::Text),
    ];
    let value = prop_oneof![
        any::<u64>().prop_map(Value::Unsigned),
        bytes(8).prop_map(Value::Bytes),
        Just(Value::Null),
        Just(Value::Map(Map::new())),
    ];
    prop::collection::vec((key, value), 0..4)
}

fn hint(text: &str) -> Hint {
    match text {
        "mc" => Hint::MakeCredential,
        "dcp" => Hint::DigitalPresentation,
        "dci" => Hint::DigitalIssuance,
        _ => Hint::GetAssertion,
    }
}

// Each case costs a key, so there are fewer.
proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_code_says_what_its_members_say_and_nothing_else_matters(
        key in client_key(),
        secret in any::<[u8; 16]>(),
        known_domains in any::<Option<u64>>(),
        unix in any::<Option<u64>>(),
        linking in any::<Option<bool>>(),
        what_for in prop::option::of(select(vec!["ga", "mc", "dcp", "dci", "XX", ""])),
        channels in prop::option::of(prop::collection::vec(0..5_u64, 0..4)),
        unknown in unknown(),
    ) {
        let point = key.public_key().to_encoded_point(true);
        let listed = channels.clone().map(|numbers| -> Vec<Value> {
            numbers.into_iter().map(Value::from).collect()
        });
        let map = Map::new()
            .with(0, point.as_bytes())
            .with(1, secret)
            .with_some(2, known_domains)
            .with_some(3, unix)
            .with_some(4, linking)
            .with_some(5, what_for)
            .with_some(6, listed);
        let map = unknown.into_iter().fold(map, |map, (key, value)| map.with(key, value));
        let url = format!("fIdO:/{}", encode_digits(&map.encode()));
        let scanned = ScannedInvitation::parse(&url).unwrap();
        prop_assert_eq!(scanned.key(), &key.public_key());
        prop_assert_eq!(scanned.secret().expose(), &secret);
        prop_assert_eq!(scanned.assigned_domains(), known_domains.unwrap_or(0));
        prop_assert_eq!(scanned.unix(), unix);
        prop_assert_eq!(scanned.supports_linking(), linking.unwrap_or(false));
        prop_assert_eq!(scanned.hint(), hint(what_for.unwrap_or("ga")));
        let mut known: Vec<u64> = channels.into_iter().flatten().filter(|&number| number < 2).collect();
        known.sort_unstable();
        known.dedup();
        let known = if known.is_empty() { vec![0] } else { known };
        prop_assert_eq!(scanned.channels().numbers(), known);
    }

    #[test]
    fn a_code_of_ours_is_read_as_it_was_made(
        randomness in prop::collection::vec(any::<u8>(), 256),
        unix in any::<u64>(),
        what_for in select(vec!["ga", "mc", "dcp", "dci"]),
        channels in select(vec![DataChannels::WebSocket, DataChannels::Ble, DataChannels::Both]),
    ) {
        let made = QrInvitation::generate(hint(what_for), channels, unix, &mut Known(randomness));
        let scanned = ScannedInvitation::parse(&made.url()).unwrap();
        prop_assert_eq!(scanned.hint(), hint(what_for));
        prop_assert_eq!(scanned.unix(), Some(unix));
        prop_assert_eq!(scanned.channels(), channels);
        prop_assert_eq!(scanned.assigned_domains(), 2);
        prop_assert!(!scanned.supports_linking());
    }

    #[test]
    fn a_code_that_is_cut_or_has_a_wrong_digit_is_never_the_same_code(
        key in client_key(),
        secret in any::<[u8; 16]>(),
        at in any::<Index>(),
        by in 1..10_u8,
    ) {
        let point = key.public_key().to_encoded_point(true);
        let map = Map::new().with(0, point.as_bytes()).with(1, secret);
        let digits = encode_digits(&map.encode());
        let cut = format!("FIDO:/{}", &digits[..at.index(digits.len())]);
        prop_assert!(ScannedInvitation::parse(&cut).is_err());
        let mut wrong = digits.into_bytes();
        let place = at.index(wrong.len());
        wrong[place] = b'0' + (wrong[place] - b'0' + by) % 10;
        let wrong = String::from_utf8(wrong).unwrap();
        if let Ok(other) = ScannedInvitation::parse(&format!("FIDO:/{wrong}")) {
            let same = other.key() == &key.public_key() && other.secret().expose() == &secret;
            prop_assert!(!same);
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_stand_in_digits_and_back(bytes in bytes(100)) {
        let digits = encode_digits(&bytes);
        prop_assert!(digits.bytes().all(|digit| digit.is_ascii_digit()));
        prop_assert_eq!(decode_digits(&digits), Ok(bytes));
    }

    #[test]
    fn any_digits_stand_for_bytes_that_give_the_same_digits_or_for_nothing(
        digits in "[0-9]{0,80}",
    ) {
        match decode_digits(&digits) {
            Ok(bytes) => prop_assert_eq!(encode_digits(&bytes), digits),
            Err(error) => prop_assert_eq!(error, QrError::Digits),
        }
    }

    /// Most random digits are too large for their bytes; here each group fits.
    #[test]
    fn digits_that_fit_stand_for_bytes(groups in prop::collection::vec(0..1_u64 << 56, 0..5)) {
        let digits: String = groups.iter().map(|group| format!("{group:017}")).collect();
        let bytes = decode_digits(&digits).unwrap();
        prop_assert_eq!(bytes.len(), 7 * groups.len());
        prop_assert_eq!(encode_digits(&bytes), digits);
    }

    #[test]
    fn what_is_not_all_digits_stands_for_nothing(
        before in "[0-9]{0,20}",
        odd in "[^0-9]",
        after in "[0-9]{0,20}",
    ) {
        let text = format!("{before}{odd}{after}");
        prop_assert_eq!(decode_digits(&text), Err(QrError::Digits));
    }

    #[test]
    fn no_text_makes_a_reader_of_codes_panic(text in ".{0,60}", digits in "[0-9]{0,200}") {
        let _ = ScannedInvitation::parse(&text);
        let _ = ScannedInvitation::parse(&format!("FIDO:/{digits}"));
    }

    #[test]
    fn identifiers_are_read_in_either_case(tunnel in any::<[u8; 16]>()) {
        let id = TunnelId(tunnel);
        prop_assert_eq!(TunnelId::parse_hex(&id.to_hex()), Ok(id));
        prop_assert_eq!(TunnelId::parse_hex(&id.to_hex().to_lowercase()), Ok(id));
        prop_assert!(TunnelId::parse_hex(&id.to_hex()[1..]).is_err());
    }

    #[test]
    fn an_advert_opens_for_its_code_alone_whatever_follows_it(
        secret in any::<[u8; 16]>(),
        other in any::<[u8; 16]>(),
        nonce in any::<[u8; 10]>(),
        routing in any::<[u8; 3]>(),
        domain in prop_oneof![0..4_u16, any::<u16>()],
        suffix in bytes(40),
        bit in any::<Index>(),
        cut in 0..20_usize,
    ) {
        prop_assume!(secret != other);
        let key = QrSecret::from_bytes(secret).eid_key();
        let domain = TunnelDomain(domain);
        let plaintext = EidPlaintext { nonce, routing: RoutingId(routing), domain };
        let sealed = advert::seal(&key, &plaintext);
        let wanted = match domain.is_known() {
            true => Ok(plaintext),
            false => Err(AdvertError::UnknownDomain),
        };
        prop_assert_eq!(advert::open(&key, &sealed), wanted);
        let longer = [&sealed[..], &suffix].concat();
        prop_assert_eq!(advert::open(&key, &longer), wanted);
        prop_assert_eq!(advert::open(&key, &sealed[..cut]), Err(AdvertError::Length));
        let (_, bad) = flipped(&sealed, bit);
        let bad = [bad, suffix].concat();
        prop_assert_eq!(advert::open(&key, &bad), Err(AdvertError::Tag));
        let stranger = QrSecret::from_bytes(other).eid_key();
        prop_assert_eq!(advert::open(&stranger, &sealed), Err(AdvertError::Tag));
    }

    #[test]
    fn a_message_of_any_length_comes_through_in_a_frame_that_32_divides(
        key in any::<[u8; 32]>(),
        messages in prop::collection::vec(bytes(200), 1..4),
        bit in any::<Index>(),
    ) {
        let channel = |counter| SecureChannel::from_keys_at(&key, &key, counter);
        let (mut sender, mut receiver) = (channel(0), channel(0));
        for (number, message) in (0..).zip(&messages) {
            let sealed = sender.seal(message).unwrap();
            let padded = sealed.len() - 16;
            prop_assert_eq!(padded % 32, 0);
            prop_assert!(padded > message.len() && padded <= message.len() + 32);
            prop_assert_eq!(&receiver.open(&sealed).unwrap(), message);
            let (_, bad) = flipped(&sealed, bit);
            prop_assert_eq!(channel(number).open(&bad), Err(ChannelError::Forged));
            prop_assert_eq!(channel(number + 1).open(&sealed), Err(ChannelError::Forged));
        }
    }

    #[test]
    fn any_padding_is_read_by_its_last_byte_or_refused(padded in bytes(300)) {
        let channel = || SecureChannel::from_keys(&[7; 32], &[7; 32]);
        let opened = channel().open(&channel().seal_padded(&padded).unwrap());
        let kept = padded.last().and_then(|zeros| {
            padded.len().checked_sub(usize::from(*zeros) + 1)
        });
        match kept {
            Some(kept) => prop_assert_eq!(opened, Ok(padded[..kept].to_vec())),
            None => prop_assert_eq!(opened, Err(ChannelError::Padding)),
        }
    }

    #[test]
    fn messages_are_read_back(
        content in bytes(100),
        features in prop::collection::vec("[a-z]{1,6}", 0..4),
    ) {
        for message in [
            Message::Ctap(content.clone()),
            Message::Json(content.clone()),
            Message::Update(content.clone()),
        ] {
            prop_assert_eq!(Message::parse(&message.encode()), Ok(message));
        }
        let mut features = [features, vec!["ctap".to_owned()]].concat();
        features.sort();
        let hello = PostHandshake { get_info: content.clone(), features };
        prop_assert_eq!(PostHandshake::parse(&hello.encode()), Ok(hello));
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in bytes(200)) {
        let mut channel = SecureChannel::from_keys(&[7; 32], &[7; 32]);
        prop_assert_eq!(channel.open(&bytes), Err(ChannelError::Forged));
        prop_assert_eq!(channel.open(&bytes), Err(ChannelError::Failed));
        let _ = Message::parse(&bytes);
        let _ = PostHandshake::parse(&bytes);
        let _ = SignedEntry::parse(&bytes);
        let _ = key_file_header(&bytes);
    }
}

fn device(seed: u64) -> DeviceKeys {
    DeviceKeys::generate(&mut ChaCha20Rng::seed_from_u64(seed))
}

fn name() -> impl Strategy<Value = DeviceName> {
    "[a-zA-Zäöü .-]{1,32}".prop_map(|name| DeviceName::parse(&name).unwrap())
}

fn tuple() -> impl Strategy<Value = KeyTuple> {
    let credential = prop::collection::vec(any::<u8>(), 1..=1023);
    let user = prop::collection::vec(any::<u8>(), 1..=64);
    (any::<[u8; 32]>(), credential, user).prop_map(|(rp_id_hash, credential, user)| KeyTuple {
        rp_id_hash,
        credential_id: CredentialId::from_bytes(&credential).unwrap(),
        user_handle: UserHandle::from_bytes(&user).unwrap(),
    })
}

/// An entry of this device's own, to be made another.
fn create(founder: &DeviceKeys, group: GroupId, name: DeviceName, time: u64) -> Entry {
    Entry {
        group,
        kind: Kind::Create,
        subject: founder.device_id(),
        dsk: founder.dsk().public_key(),
        mk: founder.mk_public(),
        name,
        actor: founder.device_id(),
        method: None,
        time,
        parents: Vec::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]

    #[test]
    fn an_entry_is_read_back_and_an_altered_one_counts_for_nothing(
        (founder, other) in (0..1000_u64, 1000..2000_u64),
        group in any::<[u8; 16]>().prop_map(GroupId),
        kind in select(vec![Kind::Add, Kind::Remove, Kind::Epoch]),
        method in select(vec![
            Method::HybridQr, Method::UsbNfc, Method::SecurityKey, Method::Simulated,
        ]),
        name in name(),
        time in any::<u64>(),
        parents in prop::collection::vec(any::<[u8; 32]>(), 0..4),
        bit in any::<Index>(),
    ) {
        let (founder, other) = (device(founder), device(other));
        let create = SignedEntry::sign(create(&founder, group, name, time), &founder);
        let entry = Entry {
            kind,
            subject: other.device_id(),
            dsk: other.dsk().public_key(),
            mk: other.mk_public(),
            method: (kind == Kind::Add).then_some(method),
            parents,
            ..create.entry.clone()
        };
        let signed = SignedEntry::sign(entry.clone(), &founder);
        prop_assert_eq!(SignedEntry::parse(&signed.encode()), Ok(signed));

        // On the founder's own entry it counts, and altered it does not.
        let entry = Entry { parents: vec![create.hash()], ..entry };
        let signed = SignedEntry::sign(entry, &founder);
        let anchor = Anchor { device: founder.device_id(), signer: founder.dsk().public_key() };
        let count = |entries: &[SignedEntry]| {
            let members = Members::read(entries, group, &anchor);
            entries.iter().filter(|entry| members.counts(&entry.hash())).count()
        };
        prop_assert_eq!(count(&[create.clone(), signed.clone()]), 2);
        let (bit, bad) = flipped(&signed.encode(), bit);
        if let Ok(bad) = SignedEntry::parse(&bad) {
            prop_assert!(count(&[create, bad]) < 2, "bit {}", bit);
        }
    }

    #[test]
    fn a_key_file_is_read_back_and_an_altered_one_is_refused(
        secret in any::<[u8; 32]>().prop_map(GroupSecret::from_bytes),
        group in any::<[u8; 16]>().prop_map(GroupId),
        epoch in (1..=u32::MAX).prop_map(Epoch),
        tuple in tuple(),
        algorithm in select(vec![Algorithm::Es256, Algorithm::EdDsa]),
        seed in any::<u64>(),
        created_at in any::<u64>(),
        first_presented_at in any::<Option<u64>>(),
        retired in any::<bool>(),
        nonce in any::<[u8; 12]>(),
        bit in any::<Index>(),
    ) {
        let key = GroupKey {
            tuple,
            key: SigningKey::generate(algorithm, &mut ChaCha20Rng::seed_from_u64(seed)),
            created_at,
            first_presented_at,
            retired,
        };
        let file = seal_key(&secret, group, epoch, &key, &mut Known(nonce.to_vec())).unwrap();
        let header = key_file_header(&file).unwrap();
        prop_assert_eq!(&header.tuple, &key.tuple);
        prop_assert_eq!((header.group, header.epoch), (group, epoch));
        prop_assert_eq!((header.algorithm, header.key_id), (algorithm, key.key_id()));
        let opened = open_key(&secret, group, &file).unwrap();
        prop_assert_eq!(opened.metadata(), key.metadata());
        prop_assert_eq!(opened.tuple, key.tuple);

        let cut = open_key(&secret, group, &file[..bit.index(file.len())]);
        prop_assert_eq!(cut.err(), Some(WrapError::Malformed));
        let (bit, bad) = flipped(&file, bit);
        prop_assert!(open_key(&secret, group, &bad).is_err(), "bit {}", bit);
    }
}
