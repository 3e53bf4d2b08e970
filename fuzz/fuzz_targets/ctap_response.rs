//! What a phone answers is refused, or is what it says when it is written again; authenticator data
//! are their own bytes.
#![no_main]

use handfast_proto::auth_data::AuthenticatorData;
use handfast_proto::cbor::{self, AUTH_DATA_DEPTH, Value};
use handfast_proto::cose::CoseKey;
use handfast_proto::ctap2::{get_assertion, get_info, make_credential};
use handfast_proto::extension::attested_key::{AttestedKey, Scope};
use handfast_proto::extension::{device_pub_key, supplemental_pub_keys};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(value) = cbor::decode(bytes) {
        assert_eq!(value.encode(), bytes, "there is one form only");
    }
    if let Ok(made) = make_credential::Response::parse(bytes) {
        assert_eq!(make_credential::Response::parse(&made.encode()), Ok(made));
    }
    if let Ok(got) = get_assertion::Response::parse(bytes) {
        assert_eq!(get_assertion::Response::parse(&got.encode()), Ok(got));
    }
    if let Ok(info) = get_info::Response::parse(bytes) {
        assert_eq!(get_info::Response::parse(&info.encode()), Ok(info));
    }
    if let Ok(data) = AuthenticatorData::parse(bytes) {
        assert_eq!(data.as_bytes(), bytes);
        if let Some(attested) = &data.attested {
            assert!(attested.credential_id.as_bytes().len() <= 1023);
        }
    }
    if let Ok(key) = CoseKey::parse(bytes) {
        assert_eq!(key.as_bytes(), bytes);
    }
    if let Ok(value) = cbor::decode_with_depth(bytes, AUTH_DATA_DEPTH) {
        assert_rewritten::<device_pub_key::Scope>(&value);
        assert_rewritten::<supplemental_pub_keys::Scope>(&value);
    }
});

/// What is read of a key with an attestation is all that is written of it.
fn assert_rewritten<S: Scope>(value: &Value) {
    if let Ok(key) = AttestedKey::<S>::parse(value) {
        assert_eq!(AttestedKey::parse(&key.to_map().into()), Ok(key));
    }
}
