//! Whole sessions: advert, handshake, and every message after it.

use handfast_proto::ctap2::get_info;
use handfast_proto::hybrid::advert::{self, EidPlaintext};
use handfast_proto::hybrid::channel::{ChannelError, SecureChannel};
use handfast_proto::hybrid::handshake::{HandshakeError, Initiator, respond};
use handfast_proto::hybrid::keys::{EidKey, Psk, QrSecret};
use handfast_proto::hybrid::message::PostHandshake;
use handfast_proto::hybrid::tunnel::{connect_path, new_path};
use p256::elliptic_curve::sec1::ToEncodedPoint as _;

use crate::channel::{assert_info, counter, decrypt};
use crate::common::Known;
use crate::common::vectors::Node;

fn session<'v>(all: &Node<'v>) -> Node<'v> {
    all.list("sessions")[0].clone()
}

fn secret_key(session: &Node<'_>) -> p256::SecretKey {
    p256::SecretKey::from_slice(&session.bytes("static_private")).unwrap()
}

fn psk(session: &Node<'_>) -> Psk {
    Psk::from_bytes(session.array("psk"))
}

fn opened(session: &Node<'_>) -> EidPlaintext {
    let secret = QrSecret::from_bytes(session.array("qr_secret"));
    let opened = advert::open(&secret.eid_key(), &session.bytes("advert")).unwrap();
    assert_eq!(opened.to_bytes(), session.array("advert_plaintext"));
    let psk = secret.psk(&opened.to_bytes());
    assert_eq!(psk.expose(), &session.array("psk"));
    opened
}

fn initiator(session: &Node<'_>) -> (Initiator, Vec<u8>) {
    let mut ephemeral = Known(session.bytes("initiator_ephemeral_private"));
    Initiator::start(&secret_key(session), &psk(session), &mut ephemeral).unwrap()
}

/// Answers message 1 as the recorded phone did.
fn responder(
    session: &Node<'_>,
    message1: &[u8],
) -> Result<(Vec<u8>, SecureChannel), HandshakeError> {
    let mut ephemeral = Known(session.bytes("responder_ephemeral_private"));
    let client = secret_key(session).public_key();
    let (message2, phone) = respond(&client, &psk(session), message1, &mut ephemeral)?;
    assert_eq!(phone.hash.0, session.array("handshake_hash"));
    Ok((message2, phone.channel))
}

pub(crate) fn the_qr_session_is_reproduced_to_the_byte(all: &Node<'_>) {
    let session = session(all);
    let secret = QrSecret::from_bytes(session.array("qr_secret"));
    let plaintext = opened(&session);
    let sealed = advert::seal(&secret.eid_key(), &plaintext);
    assert_eq!(sealed, session.array("advert"));
    let listed = EidKey::from_bytes(&session.array("eid_key"));
    assert_eq!(advert::open(&listed, &sealed), Ok(plaintext));
    let tunnel = secret.tunnel_id();
    assert_eq!(tunnel.0.to_vec(), session.bytes("tunnel_id"));
    let base = format!("wss://{}", plaintext.domain.host().unwrap());
    let same = |path: String, name| {
        let url = format!("{base}{path}");
        assert!(url.eq_ignore_ascii_case(session.text(name)), "{name}");
    };
    same(new_path(&tunnel), "new_url");
    same(connect_path(&plaintext.routing, &tunnel), "connect_url");

    let point = secret_key(&session).public_key().to_encoded_point(false);
    assert_eq!(point.as_bytes(), session.bytes("static_public"));
    let (client, message1) = initiator(&session);
    assert_eq!(message1, session.bytes("message1"));
    let (message2, phone) = responder(&session, &message1).unwrap();
    assert_eq!(message2, session.bytes("message2"));
    let client = client.finish(&message2).unwrap();
    assert_eq!(client.hash.0, session.array("handshake_hash"));
    replay(&session, client.channel, Some(phone));
    let by_keys =
        |send, receive| SecureChannel::from_keys(&session.array(send), &session.array(receive));
    let (out, back) = ("key_client_to_phone", "key_phone_to_client");
    replay(&session, by_keys(out, back), Some(by_keys(back, out)));

    let inside = "inside the Noise library; what follows from it is checked";
    for name in [
        "protocol",
        "protocol_name_padded",
        "prologue",
        "static_owner",
        "trace",
    ] {
        session.at(name).skip(inside);
    }
}

/// Checks each recorded message: what one side seals, and what the other opens. Of a phone that is
/// not at hand the messages are only opened.
fn replay(session: &Node<'_>, mut client: SecureChannel, mut phone: Option<SecureChannel>) {
    for message in session.list("transport_messages") {
        let (sealed, plain) = (message.bytes("ciphertext"), message.bytes("plaintext"));
        let key = match message.text("direction") {
            "phone->client" => {
                if let Some(phone) = &mut phone {
                    assert_eq!(phone.seal(&plain).unwrap(), sealed, "{}", message.path());
                }
                assert_eq!(client.open(&sealed).unwrap(), plain, "{}", message.path());
                session.array("key_phone_to_client")
            }
            "client->phone" => {
                assert_eq!(client.seal(&plain).unwrap(), sealed, "{}", message.path());
                if let Some(phone) = &mut phone {
                    assert_eq!(phone.open(&sealed).unwrap(), plain, "{}", message.path());
                }
                session.array("key_client_to_phone")
            }
            other => panic!("{other} is not checked"),
        };
        let mut nonce = [0; 12];
        nonce[8..].copy_from_slice(&counter(&message).to_be_bytes());
        if message.has("nonce") {
            assert_eq!(message.array("nonce"), nonce);
        }
        let padded = decrypt(&key, &nonce, &[], &sealed);
        if message.has("padded") {
            assert_eq!(padded, message.bytes("padded"));
        }
    }
}

pub(crate) fn a_recorded_session_of_a_real_iphone_is_understood(all: &Node<'_>) {
    let session = all.at("real_ios_session");
    let plaintext = opened(&session);
    let tunnel = QrSecret::from_bytes(session.array("qr_secret")).tunnel_id();
    let path = connect_path(&plaintext.routing, &tunnel);
    let url = format!("wss://{}{path}", plaintext.domain.host().unwrap());
    assert!(url.eq_ignore_ascii_case(session.text("connect_url")));

    let (client, message1) = initiator(&session);
    assert_eq!(message1, session.bytes("message1"));
    // Who published the session printed all but one byte of the tag.
    let printed = session.bytes("message1_tag_as_printed");
    let tag = &message1[65..];
    let lost = (0..tag.len()).any(|at| [&tag[..at], &tag[at + 1..]].concat() == printed);
    assert_eq!(lost, session.flag("message1_tag_matches_printed"));
    let client = client.finish(&session.bytes("message2")).unwrap();
    assert_eq!(client.hash.0, session.array("handshake_hash"));
    replay(&session, client.channel, None);

    let first = &session.list("transport_messages")[0];
    let message = PostHandshake::parse(&first.bytes("plaintext")).unwrap();
    let info = get_info::Response::parse(&message.get_info).unwrap();
    assert_info(&info, &session.at("getinfo"));
    assert_eq!(message.features, session.texts("features"));
}

/// Both handshake messages, and each message after them, as the side that receives it does.
pub(crate) fn any_flipped_bit_of_any_frame_of_a_session_is_rejected(all: &Node<'_>) {
    let session = session(all);
    let (message1, message2) = (session.bytes("message1"), session.bytes("message2"));
    for bit in 0..message1.len() * 8 {
        let flipped = |message: &[u8]| {
            let mut bad = message.to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            bad
        };
        let rejected = Some(HandshakeError::Rejected);
        let answered = responder(&session, &flipped(&message1));
        assert_eq!(answered.err(), rejected, "message 1, bit {bit}");
        let finished = initiator(&session).0.finish(&flipped(&message2));
        assert_eq!(finished.err(), rejected, "message 2, bit {bit}");
    }
    for length in [0, 1, 64, 65, 80, 82, 112] {
        let bad = vec![4; length];
        let wrong = Some(HandshakeError::Length);
        assert_eq!(initiator(&session).0.finish(&bad).err(), wrong);
        assert_eq!(responder(&session, &bad).err(), wrong);
    }
    let messages = session.list("transport_messages");
    assert_eq!(messages.len(), 6, "of every kind, the shutdown among them");
    for message in messages {
        let key = match message.text("direction") {
            "phone->client" => session.array("key_phone_to_client"),
            _ => session.array("key_client_to_phone"),
        };
        let (sealed, counter) = (message.bytes("ciphertext"), counter(&message));
        let receiver = || SecureChannel::from_keys_at(&key, &key, counter);
        receiver().open(&sealed).unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut bad = sealed.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let opened = receiver().open(&bad);
            let which = format!("{}, bit {bit}", message.path());
            assert_eq!(opened, Err(ChannelError::Forged), "{which}");
        }
        for length in 0..sealed.len() {
            assert!(
                receiver().open(&sealed[..length]).is_err(),
                "{length} bytes"
            );
        }
    }
}
