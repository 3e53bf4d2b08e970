//! CTAP messages, the order of map keys, keys in all their forms, and the choice between keys.

use handfast_proto::auth_data::AuthenticatorData;
use handfast_proto::cbor::{self, DecodeError, Map, Value};
use handfast_proto::cose::{Algorithm, CoseKey, KeyId, SigningKey};
use handfast_proto::ctap2::{
    Command, Status, get_assertion, get_info, make_credential, split_reply,
};
use handfast_proto::extension::attested_key::Made;
use handfast_proto::extension::supplemental_pub_keys::{self, Scope};
use handfast_proto::extension::{cmtg_key, device_pub_key};
use handfast_proto::ids::ClientDataHash;
use handfast_proto::trust::{KeyMetadata, select};

use crate::common::vectors::Node;

pub(crate) fn ctap_messages_are_read_and_written_to_the_byte(all: &Node<'_>) {
    let (mut hash, mut checked) = (ClientDataHash([0; 32]), 0);
    for entry in all.list("ctap") {
        let (id, message) = (entry.text("id"), entry.bytes("hex"));
        let written = match id {
            "mc-request" | "ga-request" | "ga-request-depth-4" => {
                let (written, asked);
                (written, hash, asked) = read_request(&message);
                assert_eq!(asked, id != "ga-request-depth-4", "{id}");
                written
            }
            "mc-response" => {
                let reply = make_credential::Response::parse(split_reply(&message).unwrap());
                let reply = reply.unwrap();
                assert_answered(&reply.auth_data, &reply.unsigned_extensions, hash);
                [vec![0], reply.encode()].concat()
            }
            "ga-response" => {
                let reply = get_assertion::Response::parse(split_reply(&message).unwrap());
                let reply = reply.unwrap();
                assert_answered(&reply.auth_data, &reply.unsigned_extensions, hash);
                [vec![0], reply.encode()].concat()
            }
            "getinfo-response" => {
                assert_info_is_kept(split_reply(&message).unwrap());
                continue;
            }
            other => panic!("{other} is neither checked nor named"),
        };
        assert_eq!(written, message, "{id}");
        if id == "ga-request-depth-4" {
            assert_asks_for_keys_of_both_scopes(&message);
            assert_deeper_is_refused(&message);
        }
        checked += 1;
    }
    assert_eq!(checked, 5);
}

/// Reads a request: what is written of it, its hash, and whether it asks for a group key.
fn read_request(message: &[u8]) -> (Vec<u8>, ClientDataHash, bool) {
    match Command::parse(message).unwrap() {
        Command::MakeCredential(request) => (
            request.encode(),
            request.client_data_hash,
            cmtg_key::requested(&request.extensions),
        ),
        Command::GetAssertion(request) => (
            request.encode(),
            request.client_data_hash,
            cmtg_key::requested(&request.extensions),
        ),
        other => panic!("{other:?}"),
    }
}

/// The client's output is a good signature of the key in the authenticator data.
fn assert_answered(auth_data: &[u8], unsigned: &Map, hash: ClientDataHash) {
    let parsed = AuthenticatorData::parse(auth_data).unwrap();
    let output = cmtg_key::client_output(&parsed, unsigned).unwrap().unwrap();
    let key = CoseKey::parse(&output.public_key).unwrap();
    let signed = [auth_data, &hash.0].concat();
    key.verify(&signed, &output.signature).unwrap();
}

/// All members are kept but the list of algorithms, 10, which nobody here needs.
fn assert_info_is_kept(cbor: &[u8]) {
    let info = get_info::Response::parse(cbor).unwrap();
    for name in [
        cmtg_key::NAME,
        device_pub_key::NAME,
        supplemental_pub_keys::NAME,
    ] {
        assert!(info.has_extension(name), "{name}");
    }
    let told = cbor::decode(cbor).unwrap().into_map().unwrap();
    let needed = told.iter().filter(|(key, _)| key.as_u64() != Some(10));
    let needed = needed.fold(Map::new(), |map, (key, value)| {
        map.with(key.clone(), value.clone())
    });
    assert_eq!(needed.len() + 1, told.len());
    assert_eq!(info.encode(), needed.encode());
}

/// The list of scopes is as deep as a message goes.
fn assert_asks_for_keys_of_both_scopes(message: &[u8]) {
    let Command::GetAssertion(request) = Command::parse(message).unwrap() else {
        panic!("another command");
    };
    let asked = supplemental_pub_keys::Request::parse(&request.extensions).unwrap();
    assert!(asked.asks(Scope::Device) && asked.asks(Scope::Provider));
    assert_eq!(asked.made(), Made::None);
}

fn assert_deeper_is_refused(message: &[u8]) {
    let map = cbor::decode(&message[1..]).unwrap().into_map().unwrap();
    let deep = map.int(4).unwrap().as_map().unwrap().clone();
    let (name, input) = deep.iter().next().unwrap();
    let deeper = Map::new().with(name.clone(), vec![input.clone()]);
    let deeper = [&message[..1], &map.with(4, deeper).encode()].concat();
    assert_eq!(Command::parse(&deeper), Err(Status::INVALID_CBOR));
}

pub(crate) fn map_keys_stand_in_the_order_of_ctap2(all: &Node<'_>) {
    const ORDERS: [&str; 3] = ["ctap2_three_step", "rfc7049_two_step", "rfc8949_one_step"];
    let (mut checked, mut tagged, mut refused) = (0, 0, 0);
    for case in all.list("cborKeyOrder") {
        let id = case.text("id");
        let keys = case.at("keys");
        let encoded = keys.members().into_iter();
        let encoded: Vec<Vec<u8>> = encoded.map(|(name, _)| keys.bytes(name)).collect();
        let [right, older, newer] = ORDERS.map(|order| -> Vec<Vec<u8>> {
            let names = case.texts(order).into_iter();
            names.map(|name| keys.bytes(name)).collect()
        });
        let written = |order: &[Vec<u8>]| {
            let mut bytes = vec![0xa0 | u8::try_from(order.len()).unwrap()];
            for key in order {
                bytes.extend(key.iter().chain(&[0xf5]));
            }
            cbor::decode(&bytes)
        };
        // Major type 6.
        if encoded.iter().any(|key| key[0] >> 5 == 6) {
            for order in [&right, &older, &newer] {
                assert_eq!(written(order), Err(DecodeError::Tag), "{id}");
            }
            tagged += 1;
            continue;
        }
        // Put in backwards, they must come out sorted.
        let mut map = Map::new();
        for key in right.iter().rev() {
            map.insert(cbor::decode(key).unwrap(), true);
        }
        let sorted: Vec<Vec<u8>> = map.iter().map(|(key, _)| key.encode()).collect();
        assert_eq!(sorted, right, "{id}");
        assert_eq!(cbor::decode(&map.encode()).unwrap(), Value::Map(map));
        // Only lists as keys, which no message has, stand elsewhere in the newer order.
        let lists = encoded.iter().any(|key| key[0] >> 5 == 4);
        assert_eq!(newer == right, !lists, "{id}");
        for other in [&older, &newer] {
            match *other == right {
                true => assert!(written(other).is_ok(), "{id}"),
                false => {
                    assert_eq!(written(other), Err(DecodeError::KeyOrder), "{id}");
                    refused += 1;
                }
            }
        }
        checked += 1;
    }
    assert_eq!((checked, tagged, refused), (7, 1, 5));
}

pub(crate) fn keys_have_their_forms(all: &Node<'_>) {
    for (_, entry) in all.at("keys").members() {
        assert_key(&entry);
    }
}

/// Checks all forms of a key, and returns it.
pub(crate) fn assert_key(entry: &Node<'_>) -> SigningKey {
    let name = entry.path();
    let pkcs8 = entry.bytes("pkcs8");
    let key = SigningKey::from_pkcs8_der(&pkcs8).unwrap();
    assert_eq!(key.algorithm().id(), entry.integer("alg"), "{name}");
    assert_eq!(key.to_pkcs8_der().unwrap().to_vec(), pkcs8, "{name}");
    let public = key.public_key();
    assert_eq!(public.as_bytes(), entry.bytes("coseKey"), "{name}");
    assert_eq!(CoseKey::parse(&entry.bytes("coseKey")).unwrap(), public);
    assert_eq!(public.spki_der(), entry.bytes("spki"), "{name}");
    assert_eq!(public.key_id(), KeyId(entry.array("keyId")), "{name}");
    key
}

pub(crate) fn the_oldest_presented_key_is_selected(all: &Node<'_>) {
    for case in all.list("selection") {
        let id = case.text("id");
        let keys = case.list("keys").into_iter().map(|key| KeyMetadata {
            key_id: KeyId(key.array("keyId")),
            algorithm: Algorithm::from_id(key.integer("alg")).unwrap(),
            created_at: key.number("createdAt"),
            first_presented_at: key.at("firstPresentedAt").value().as_u64(),
            retired: key.flag("retired"),
        });
        let keys: Vec<KeyMetadata> = keys.collect();
        let selected = |keys: Vec<KeyMetadata>| {
            let selected = select(keys, Algorithm::Es256);
            selected.map(|key| key.key_id.to_string())
        };
        let wanted = Some(case.text("selected").to_owned());
        assert_eq!(selected(keys.clone()), wanted, "{id}");
        let backwards = keys.into_iter().rev().collect();
        assert_eq!(selected(backwards), wanted, "{id}");
    }
}
