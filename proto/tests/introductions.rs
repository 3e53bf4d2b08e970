//! A computer that says which it is: what introduces it, what must not, and how that travels.
#![cfg(all(feature = "hybrid", feature = "trust"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod common;

use aes_gcm::aead::{Aead, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use common::Known;
use common::pair::{ANSWER, ASK, good, info, play_pair, script};
use common::trust::{Device, SESSION, VAULT_KEY, altered};
use common::vectors::Vectors;
use handfast_proto::cbor::{Map, SecretMap, Value};
use handfast_proto::cose::{Algorithm, SigningKey};
use handfast_proto::hybrid::message::Message;
use handfast_proto::hybrid::{
    ApiMisuse, DataChannel, DataChannels, PhoneConfig, PhoneEvent, PhoneLimits,
};
use handfast_proto::trust::DeviceKeys;
use handfast_proto::trust::introduction::{
    Introducer, IntroductionError, IntroductionKey, introduced,
};
use handfast_testkit::{DOMAIN, Faults, Pair, Script, ScriptedClient, Side, Step};
use hkdf::Hkdf;
use rand_core::OsRng;
use sha2::Sha256;

fn key() -> IntroductionKey {
    IntroductionKey::derive(&VAULT_KEY)
}

fn introducer(device: &Device) -> Introducer {
    Introducer::issue(&device.keys, &VAULT_KEY, &mut OsRng)
}

fn hkdf(salt: &[u8], secret: &[u8], purpose: &[u8]) -> [u8; 32] {
    let mut key = [0; 32];
    let hkdf = Hkdf::<Sha256>::new(Some(salt), secret);
    hkdf.expand(purpose, &mut key).unwrap();
    key
}

/// What who knows the vault's key can say, by the standards' primitives alone.
fn sealed(plaintext: &[u8]) -> Vec<u8> {
    let key = hkdf(&[], &VAULT_KEY, b"tg-introduction-key/v1");
    let key = hkdf(&SESSION, &key, b"tg-introduction/v1");
    let cipher = Aes256Gcm::new(&key.into());
    cipher
        .encrypt(Nonce::from_slice(&[0; 12]), plaintext)
        .unwrap()
}

/// The parts of an introduction, each to be put together wrongly.
struct Parts {
    dsk: SigningKey,
    key: SigningKey,
    certificate: Map,
    signed: Map,
}

impl Parts {
    fn new() -> Self {
        let [dsk, key] = [0, 1].map(|_| SigningKey::generate(Algorithm::Es256, &mut OsRng));
        Self {
            certificate: Map::new()
                .with(1, "tg-introducer/v1")
                .with(2, dsk.public_key().as_bytes())
                .with(3, key.public_key().as_bytes()),
            signed: Map::new().with(1, "tg-introduction/v1").with(2, SESSION),
            dsk,
            key,
        }
    }

    fn plaintext(&self) -> Map {
        let certificate = self.certificate.encode();
        Map::new()
            .with(1, certificate.as_slice())
            .with(2, self.dsk.sign(&certificate))
            .with(3, self.key.sign(&self.signed.encode()))
            .with(4, [0; 30])
    }

    fn read(&self) -> Option<IntroductionError> {
        read(&self.plaintext().encode())
    }
}

fn read(plaintext: &[u8]) -> Option<IntroductionError> {
    introduced(&sealed(plaintext), &SESSION, &key()).err()
}

#[test]
fn a_device_is_known_by_its_introduction() {
    let laptop = Device::new("laptop");
    let introduction = introducer(&laptop).introduce(&SESSION);
    assert_eq!(introduced(&introduction, &SESSION, &key()), Ok(laptop.id()));
}

#[test]
fn an_introduction_says_nothing_in_another_session_or_vault() {
    let introduction = introducer(&Device::new("laptop")).introduce(&SESSION);
    let foreign = Err(IntroductionError::Foreign);
    assert_eq!(introduced(&introduction, &[0; 32], &key()), foreign);
    let other = IntroductionKey::derive(&[1; 32]);
    assert_eq!(introduced(&introduction, &SESSION, &other), foreign);
}

#[test]
fn no_bit_of_an_introduction_can_be_altered() {
    let introduction = introducer(&Device::new("laptop")).introduce(&SESSION);
    let foreign = Err(IntroductionError::Foreign);
    for (byte, bad) in altered(&introduction) {
        assert_eq!(introduced(&bad, &SESSION, &key()), foreign, "byte {byte}");
    }
    for length in 0..introduction.len() {
        let cut = &introduction[..length];
        assert_eq!(introduced(cut, &SESSION, &key()), foreign, "{length} bytes");
    }
}

#[test]
fn nothing_that_a_stranger_sees_is_the_same_twice() {
    let introducer = introducer(&Device::new("laptop"));
    let mut said = (0..50).map(|session| introducer.introduce(&[session; 32]));
    assert!(said.all(|said| said.len() == 380), "nor of another length");
    let [one, two] = [SESSION, [7; 32]].map(|session| introducer.introduce(&session));
    let same = one
        .windows(8)
        .filter(|part| two.windows(8).any(|w| w == *part));
    assert_eq!(same.count(), 0);
}

#[test]
fn who_knows_the_vault_and_not_the_device_is_not_believed() {
    let honest = Parts::new();
    assert_eq!(honest.read(), None);
    // A certificate that the device did not sign.
    let thief = Parts {
        dsk: SigningKey::generate(Algorithm::Es256, &mut OsRng),
        ..Parts::new()
    };
    assert_eq!(thief.read(), Some(IntroductionError::Certificate));
    // A good certificate, as it was heard, for a key that the thief does not have.
    let thief = Parts {
        key: SigningKey::generate(Algorithm::Es256, &mut OsRng),
        ..Parts::new()
    };
    assert_eq!(thief.read(), Some(IntroductionError::Signature));
    // All as it was heard, in another session.
    let replayed = Parts {
        signed: Map::new().with(1, "tg-introduction/v1").with(2, [0; 32]),
        ..Parts::new()
    };
    assert_eq!(replayed.read(), Some(IntroductionError::Signature));
    // What was signed for another purpose.
    let other = Parts {
        signed: Map::new().with(1, "tg-join/v1").with(2, SESSION),
        ..Parts::new()
    };
    assert_eq!(other.read(), Some(IntroductionError::Signature));
}

#[test]
fn what_is_no_introduction_is_not_read() {
    let malformed = Some(IntroductionError::Malformed);
    let honest = Parts::new();
    let plaintext = honest.plaintext();
    for member in 1..=4 {
        let without = common::trust::without(&plaintext, member);
        assert_eq!(read(&without.encode()), malformed, "without {member}");
        let typed = plaintext.clone().with(member, "text");
        assert_eq!(read(&typed.encode()), malformed, "{member} is text");
    }
    for member in 1..=3 {
        let mut shorter = Parts::new();
        shorter.certificate = common::trust::without(&shorter.certificate, member);
        assert_eq!(shorter.read(), malformed, "certificate without {member}");
        let mut typed = Parts::new();
        typed.certificate.insert(member, false);
        assert_eq!(typed.read(), malformed, "certificate with {member} false");
    }
    let mut more = Parts::new();
    more.certificate.insert(4, 1);
    assert_eq!(more.read(), malformed);
    assert_eq!(read(&plaintext.clone().with(5, 1).encode()), malformed);
    let mut other = Parts::new();
    other.certificate.insert(1, "tg-join/v1");
    assert_eq!(other.read(), malformed);
    let eddsa = SigningKey::generate(Algorithm::EdDsa, &mut OsRng);
    for member in [2, 3] {
        let mut other = Parts::new();
        other
            .certificate
            .insert(member, eddsa.public_key().as_bytes());
        assert_eq!(
            other.read(),
            malformed,
            "member {member} is of another algorithm"
        );
    }
    for wrong in [
        &[][..],
        &[0xa0],
        &[0x80],
        &[&plaintext.encode()[..], &[0]].concat(),
    ] {
        assert_eq!(read(wrong), malformed, "{wrong:02x?}");
    }
}

#[test]
fn an_introducer_is_kept_and_is_of_one_device_and_vault() {
    let [laptop, other] = ["laptop", "other"].map(Device::new);
    let kept = introducer(&laptop).to_map().unwrap();
    let introducer = Introducer::parse(&kept).unwrap();
    assert_eq!(introducer.device(), laptop.id());
    assert!(introducer.is_of(laptop.id(), &VAULT_KEY));
    assert!(!introducer.is_of(other.id(), &VAULT_KEY));
    assert!(!introducer.is_of(laptop.id(), &[1; 32]));
    let introduction = introducer.introduce(&SESSION);
    assert_eq!(introduced(&introduction, &SESSION, &key()), Ok(laptop.id()));
    assert_eq!(
        format!("{introducer:?}"),
        format!("Introducer({})", laptop.id())
    );
    assert_eq!(format!("{:?}", key()), "IntroductionKey");
}

#[test]
fn an_introducer_whose_parts_do_not_belong_together_is_none() {
    let maps = ["one", "two"].map(|name| introducer(&Device::new(name)).to_map().unwrap());
    let [one, two] = &maps;
    for member in 1..=4 {
        let swapped = Map::clone(one).with(member, two.int(member).unwrap().clone());
        let parsed = Introducer::parse(&SecretMap::from(swapped));
        // The last is the vault's, and so the same in both.
        assert_eq!(parsed.is_some(), member == 4, "member {member}");
        let without = common::trust::without(one, member);
        assert!(Introducer::parse(&SecretMap::from(without)).is_none());
        let null = Map::clone(one).with(member, Value::Null);
        assert!(Introducer::parse(&SecretMap::from(null)).is_none());
    }
}

#[test]
fn an_independent_implementation_says_the_same_to_the_byte() {
    let vectors = Vectors::read("introduction.json");
    let root = vectors.root();
    let vault_key: [u8; 32] = root.bytes("vault_key").try_into().unwrap();
    let session: [u8; 32] = root.bytes("session").try_into().unwrap();
    let keys = DeviceKeys::from_parts(&root.bytes("dsk_pkcs8"), &[1; 32]).unwrap();
    assert_eq!(keys.device_id().0.to_vec(), root.bytes("device_id"));
    let pkcs8 = root.bytes("introducer_pkcs8");
    let scalar = pkcs8[36..68].to_vec();
    let made = Introducer::issue(&keys, &vault_key, &mut Known(scalar));
    let kept = made.to_map().unwrap();
    let kept = |member| kept.int(member).unwrap().as_bytes().unwrap().to_vec();
    assert_eq!(kept(1), pkcs8);
    assert_eq!(kept(2), root.bytes("certificate"));
    assert_eq!(kept(3), root.bytes("certificate_signature"));
    assert_eq!(kept(4), root.bytes("sealing_key"));
    let introduction = root.bytes("introduction");
    assert_eq!(made.introduce(&session), introduction);
    let update = Message::introduction(&introduction).unwrap();
    assert_eq!(update, Message::Update(root.bytes("update")));
    let key = IntroductionKey::derive(&vault_key);
    assert_eq!(
        introduced(&introduction, &session, &key),
        Ok(keys.device_id())
    );
    for steps in ["signed", "signature", "session_key"] {
        root.at(steps).skip("a step on the way to what is checked");
    }
    root.at("file").skip("checked in the authenticator's tests");
    vectors.assert_all_seen();
}

/// A pair whose client introduces itself, or says as much of nothing.
fn introducing(channels: DataChannels, introducer: Option<Introducer>) -> Pair {
    let introduce = move |session: &handfast_proto::hybrid::handshake::HandshakeHash| {
        introducer
            .as_ref()
            .map(|introducer| introducer.introduce(&session.0))
    };
    let script = Script {
        introduce: Some(Box::new(introduce)),
        client_channels: channels,
        ..script()
    };
    play_pair(1, script, Faults::default())
}

#[test]
fn an_introduction_comes_before_what_is_asked() {
    for (channels, channel) in [
        (DataChannels::WebSocket, DataChannel::WebSocket),
        (DataChannels::Ble, DataChannel::Ble),
    ] {
        let laptop = Device::new("laptop");
        let mut pair = introducing(channels, Some(introducer(&laptop)));
        let heard = std::mem::take(&mut pair.outcome.introductions);
        let [(session, introduction)] = heard.as_slice() else {
            panic!("{heard:?}");
        };
        assert_eq!(
            introduced(introduction, &session.0, &key()),
            Ok(laptop.id())
        );
        assert_eq!(pair.outcome.channel, Some(channel));
        assert_eq!(pair.outcome.responses, [ANSWER]);
    }
}

#[test]
fn a_relay_cannot_see_whether_a_computer_introduces_itself() {
    let lengths = |introducer| {
        let pair = introducing(DataChannels::WebSocket, introducer);
        let frames = pair.frames().iter();
        let lengths: Vec<_> = frames.map(|(side, frame)| (*side, frame.len())).collect();
        (lengths, pair.outcome.introductions.len())
    };
    let (with, heard) = lengths(Some(introducer(&Device::new("laptop"))));
    let (without, silence) = lengths(None);
    assert_eq!((heard, silence), (1, 0));
    assert_eq!(with, without);
    let client: Vec<_> = with
        .iter()
        .filter(|(side, _)| *side == Side::Client)
        .collect();
    assert_eq!(client[1].1, 528, "512 bytes and a tag");
}

#[test]
fn a_client_introduces_itself_only_before_it_asks_and_not_at_any_length() {
    let mut pair = Pair::new(1, script(), Faults::default()).unwrap();
    assert_eq!(pair.client.introduce(None), Err(ApiMisuse::NotReady));
    let longest = |length: usize| Message::introduction(&vec![1; length]).is_some();
    assert!(longest(480) && !longest(500));
    pair.drive();
    assert_eq!(pair.outcome, good());
    assert_eq!(pair.client.introduce(None), Err(ApiMisuse::NotReady));
    let too_long = Script {
        introduce: Some(Box::new(|_| Some(vec![1; 500]))),
        ..script()
    };
    // It is refused here, and nothing of it goes out.
    assert_eq!(play_pair(1, too_long, Faults::default()).outcome, good());
}

/// What a phone hears of a client that goes through these steps: introductions, and requests.
fn heard(steps: Vec<Step>) -> Vec<(&'static str, Vec<u8>)> {
    let config = PhoneConfig {
        domain: DOMAIN,
        channels: DataChannels::WebSocket,
        get_info: info(),
        limits: PhoneLimits::default(),
    };
    let mut client = ScriptedClient::new(1, config, |map| map).unwrap();
    let met = [Step::Open, Step::Handshake, Step::Expect, Step::Expect];
    client.play(met.into_iter().chain(steps)).unwrap();
    let events = client.record().events.iter();
    let heard = events.filter_map(|event| match event {
        PhoneEvent::Introduction(words) => Some(("introduction", words.clone())),
        PhoneEvent::Request(words) => Some(("request", words.clone())),
        _ => None,
    });
    heard.collect()
}

fn says(words: &[u8]) -> Step {
    Step::Send(Message::introduction(words).unwrap())
}

#[test]
fn what_comes_with_or_after_the_question_is_not_heard() {
    let ask = || Step::Send(Message::Ctap(ASK.to_vec()));
    let late = || {
        [
            ask(),
            says(b"while it is asked"),
            Step::Answer(ANSWER.to_vec()),
            Step::Expect,
            says(b"afterwards"),
            ask(),
        ]
    };
    let requests = [("request", ASK.to_vec()), ("request", ASK.to_vec())];
    assert_eq!(heard(late().to_vec()), requests);
    // Of two, only the first.
    let both = [says(b"first"), says(b"second")];
    let both = heard(both.into_iter().chain(late()).collect());
    assert_eq!(both[0], ("introduction", b"first".to_vec()));
    assert_eq!(both[1..], requests);
}

#[test]
fn an_update_with_anything_else_introduces_nobody() {
    let name = "HANDFAST_ID_1";
    let other = |map: Map| Step::Send(Message::Update(map.encode()));
    let mut trailing = Map::new().with(name, b"bytes".to_vec()).encode();
    trailing.push(0);
    let nothing = heard(vec![
        other(Map::new()),
        other(Map::new().with(name, "text")),
        other(Map::new().with(0, b"bytes".to_vec())),
        other(Map::new().with("HANDFAST_ID_2", b"bytes".to_vec())),
        Step::Send(Message::Update(trailing)),
        Step::Send(Message::Update(vec![0xff])),
        Step::Send(Message::Update(Vec::new())),
    ]);
    assert_eq!(nothing, []);
    // Members that a later version adds are passed over.
    let more = Map::new().with(name, b"it".to_vec()).with(7, 1);
    assert_eq!(heard(vec![other(more)]), [("introduction", b"it".to_vec())]);
}
