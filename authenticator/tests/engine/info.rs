//! What the device says of itself, member by member.

use handfast_authenticator::engine::Computer;
use handfast_proto::cbor::{self, Map, Value};
use handfast_proto::ctap2::{Status, command, split_reply};

use crate::phone::{EXTENSIONS, Phone, approving, create, get, unverified};

fn told(phone: &mut Phone) -> Map {
    let reply = phone.ask_as(Computer::Unknown, &[command::GET_INFO], &mut approving());
    let value = cbor::decode(split_reply(&reply).unwrap()).unwrap();
    value.into_map().unwrap()
}

fn texts(texts: &[&str]) -> Vec<Value> {
    texts.iter().map(|&text| text.into()).collect()
}

#[test]
fn a_stranger_is_told_this_and_no_more() {
    for with_pin in [true, false] {
        let aaguid = [
            0x6e, 0x2f, 0x1c, 0x3b, 0x9d, 0x44, 0x4f, 0x0a, 0xb7, 0x51, 0x08, 0xc6, 0x5a, 0xe2,
            0x93, 0x7d,
        ];
        let versions = ["FIDO_2_0", "FIDO_2_1", "HANDFAST_TG_1", "HANDFAST_ID_1"];
        // No clientPin, makeCredUvNotRqd or plat, and that a person is there is as usual.
        let options = Map::new().with("rk", true).with("uv", with_pin);
        let all = Map::new()
            .with(0x01, texts(&versions))
            .with(0x02, texts(&EXTENSIONS))
            .with(0x03, aaguid)
            .with(0x04, options)
            .with(0x06, vec![Value::from(2)])
            .with(0x09, texts(&["hybrid", "internal"]))
            .with(0x0f, 32)
            .with(0x16, texts(&["none", "packed"]));
        assert_eq!(told(&mut Phone::new(with_pin)), all);
    }
}

#[test]
fn a_passkey_is_of_the_model_that_the_device_says_it_is() {
    let mut phone = Phone::new(true);
    let made = phone.create(&create(b"ana")).attested.unwrap();
    let told = told(&mut phone);
    let aaguid = told.int(0x03).unwrap().as_bytes();
    assert_eq!(aaguid, Some(&made.aaguid.0[..]));
}

#[test]
fn without_a_pin_nobody_is_verified_to_sign_in_and_the_device_says_so() {
    let mut phone = Phone::new(false);
    phone.create_with(Map::new(), &mut unverified());
    let told = told(&mut phone);
    let options = told.int(0x04).unwrap().as_map().unwrap();
    assert_eq!(options.text("uv"), Some(&Value::Bool(false)));
    let mut person = unverified();
    let status = phone.status(&get(&[]).encode(), &mut person);
    assert_eq!(status, Status::INVALID_OPTION);
    assert!(person.asked.is_empty());
    // It is no matter of the passkey, which is there.
    phone.get_with(&[], Map::new(), &mut unverified());
}
