//! Passkeys in and out: what is read of strangers' documents and what is not, and that nothing is lost
//! on the way.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod hostile;
mod into_vault;
mod round_trip;
mod sealed;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use handfast_authenticator::exchange::{Document, Fault, write};
use handfast_authenticator::vault::Passkey;
use handfast_proto::cose::{Algorithm, SigningKey};
use handfast_proto::extension::prf::Seeds;
use handfast_proto::ids::{CredentialId, RpId, UserHandle};
use handfast_proto::trust::VaultId;
use rand_core::OsRng;
use serde_json::{Value, json};

/// When everything here is read.
const NOW: u64 = 1_800_000_000;

/// The document of the vectors: two passkeys of one account, P-256 and Ed25519.
fn sample() -> Value {
    let vectors = include_str!("../../../vectors/trust-group.json");
    let vectors: Value = serde_json::from_str(vectors).unwrap();
    vectors["cxfSample"].clone()
}

/// The sample with one passkey, changed.
fn altered(change: impl FnOnce(&mut Value)) -> Value {
    let mut document = sample();
    let items = document["accounts"][0]["items"].as_array_mut().unwrap();
    items.truncate(1);
    change(&mut items[0]["credentials"][0]);
    document
}

fn parse(document: &Value) -> Document {
    Document::parse(document.to_string().as_bytes(), NOW).unwrap()
}

/// Why the only passkey of a document cannot be used.
fn fault(document: &Value) -> Fault {
    let mut entries = parse(document).entries;
    assert_eq!(entries.len(), 1);
    entries.remove(0).found.unwrap_err()
}

/// The only passkey of a document.
fn only(document: &Value) -> Passkey {
    let mut entries = parse(document).entries;
    assert_eq!(entries.len(), 1);
    let found = entries.remove(0).found.unwrap();
    assert_eq!(found.lost, []);
    found.passkey
}

fn written(passkeys: &[&Passkey]) -> Value {
    let bytes = write(VaultId([3; 16]), passkeys, NOW).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

fn passkey(id: u8, user: &[u8]) -> Passkey {
    let mut passkey = Passkey::new(
        CredentialId::from_bytes(&[id; 32]).unwrap(),
        RpId::parse("example.org").unwrap(),
        UserHandle::from_bytes(user).unwrap(),
        &SigningKey::generate(Algorithm::Es256, &mut OsRng),
        1000,
    )
    .unwrap();
    passkey.prf = Some(Seeds::generate(&mut OsRng));
    passkey
}

fn base64(bytes: &[u8]) -> Value {
    json!(URL_SAFE_NO_PAD.encode(bytes))
}

fn unbase64(value: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(value.as_str().unwrap()).unwrap()
}
