//! A whole ceremony, from the QR code to the verified assertion, and beside it the P-256 operations
//! that no implementation can do without.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a bench that cannot go on has failed"
)]

use std::rc::Rc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use handfast_proto::auth_data::{AuthenticatorData, Flags};
use handfast_proto::cbor::Map;
use handfast_proto::cose::{Algorithm, CoseKey, SigningKey};
use handfast_proto::ctap2::{Command, Status, get_assertion, get_info, split_reply};
use handfast_proto::hybrid::DataChannels;
use handfast_proto::ids::{Aaguid, ClientDataHash, CredentialId, RpId};
use handfast_testkit::{Faults, Pair, Script};
use p256::ecdh::diffie_hellman;
use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::ecdsa::{Signature, SigningKey as EcdsaKey};
use p256::elliptic_curve::sec1::{FromEncodedPoint, ToEncodedPoint};
use p256::{PublicKey, SecretKey};
use rand_core::OsRng;

const HASH: ClientDataHash = ClientDataHash([7; 32]);

fn rp_id() -> RpId {
    RpId::parse("example.org").unwrap()
}

fn get_info() -> Vec<u8> {
    let text = |text: &str| text.to_owned();
    get_info::Response {
        versions: vec![text("FIDO_2_0"), text("FIDO_2_1")],
        extensions: vec![text("cmtgKey")],
        aaguid: Aaguid([0; 16]),
        options: vec![(text("rk"), true), (text("uv"), true)],
        transports: vec![text("hybrid"), text("internal")],
        pin_uv_protocols: Vec::new(),
        max_cred_blob_length: None,
        max_msg_size: None,
        attestation_formats: Vec::new(),
    }
    .encode()
}

fn request() -> Vec<u8> {
    get_assertion::Request {
        rp_id: rp_id(),
        client_data_hash: HASH,
        allow: Vec::new(),
        has_allow_list: false,
        extensions: Map::new(),
        user_presence: None,
        user_verification: Some(true),
        pin_uv_auth_param: None,
        pin_uv_auth_protocol: None,
    }
    .encode()
}

/// What a phone with one passkey answers.
fn assertion(passkey: &SigningKey, request: &[u8]) -> Vec<u8> {
    let Ok(Command::GetAssertion(request)) = Command::parse(request) else {
        panic!("the phone was asked something else");
    };
    let flags = Flags::UP | Flags::UV | Flags::BE;
    let auth_data = AuthenticatorData::build(request.rp_id.hash(), flags, 0, None, None);
    let signed = [auth_data.as_bytes(), &request.client_data_hash.0].concat();
    let response = get_assertion::Response {
        credential: CredentialId::from_bytes(&[1; 32]).ok(),
        auth_data: auth_data.as_bytes().to_vec(),
        signature: passkey.sign(&signed),
        user: None,
        number_of_credentials: None,
        user_selected: Some(true),
        unsigned_extensions: Map::new(),
    };
    [vec![Status::OK.0], response.encode()].concat()
}

/// What a client and its relying party check.
fn verify(public: &CoseKey, reply: &[u8]) {
    let response = get_assertion::Response::parse(split_reply(reply).unwrap()).unwrap();
    let auth_data = AuthenticatorData::parse(&response.auth_data).unwrap();
    assert_eq!(auth_data.rp_id_hash, rp_id().hash());
    assert!(auth_data.flags.user_verified());
    let signed = [response.auth_data.as_slice(), &HASH.0].concat();
    public.verify(&signed, &response.signature).unwrap();
}

fn whole(criterion: &mut Criterion) {
    let passkey = Rc::new(SigningKey::generate(Algorithm::Es256, &mut OsRng));
    let public = passkey.public_key();
    let mut group = criterion.benchmark_group("ceremony");
    let mut seed = 0;
    group.bench_function("QR to verified assertion", |bencher| {
        bencher.iter(|| {
            seed += 1;
            let signer = Rc::clone(&passkey);
            let script = Script {
                get_info: get_info(),
                introduce: None,
                requests: vec![request()],
                answer: Box::new(move |asked| Some(assertion(&signer, asked))),
                client_channels: DataChannels::WebSocket,
                phone_channels: DataChannels::WebSocket,
                rival: None,
            };
            let mut pair = Pair::new(seed, script, Faults::default()).unwrap();
            assert!(pair.drive());
            verify(&public, &pair.outcome.responses[0]);
        });
    });
    group.bench_function("its P-256 operations alone", |bencher| {
        let signer = EcdsaKey::random(&mut OsRng);
        bencher.iter(|| {
            // The QR code's key, and one ephemeral key a side.
            let keys = [(); 3].map(|()| SecretKey::random(&mut OsRng));
            let publics = keys.each_ref().map(SecretKey::public_key);
            let compressed = publics[0].to_encoded_point(true);
            let scanned = PublicKey::from_encoded_point(&compressed).unwrap();
            // ee and se, on each side.
            let ee = diffie_hellman(keys[1].to_nonzero_scalar(), publics[2].as_affine());
            let se = diffie_hellman(keys[0].to_nonzero_scalar(), publics[2].as_affine());
            let ee_phone = diffie_hellman(keys[2].to_nonzero_scalar(), publics[1].as_affine());
            let se_phone = diffie_hellman(keys[2].to_nonzero_scalar(), scanned.as_affine());
            assert_eq!(ee.raw_secret_bytes(), ee_phone.raw_secret_bytes());
            assert_eq!(se.raw_secret_bytes(), se_phone.raw_secret_bytes());
            let signature: Signature = signer.sign(&HASH.0);
            signer.verifying_key().verify(&HASH.0, &signature).unwrap();
        });
    });
    group.finish();
}

/// The same operations one by one, to see what the sum is made of.
fn single(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("P-256");
    let key = SecretKey::random(&mut OsRng);
    let compressed = key.public_key().to_encoded_point(true);
    let other = SecretKey::random(&mut OsRng).public_key();
    let signer = EcdsaKey::from(&key);
    let signature: Signature = signer.sign(&HASH.0);
    group.bench_function("key generation", |bencher| {
        bencher.iter(|| SecretKey::random(&mut OsRng).public_key());
    });
    group.bench_function("decompression", |bencher| {
        bencher.iter(|| PublicKey::from_encoded_point(&compressed).unwrap());
    });
    group.bench_function("ECDH", |bencher| {
        bencher.iter_batched(
            || key.to_nonzero_scalar(),
            |scalar| diffie_hellman(scalar, other.as_affine()),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("sign", |bencher| {
        bencher.iter(|| -> Signature { signer.sign(&HASH.0) });
    });
    group.bench_function("verify", |bencher| {
        bencher.iter(|| signer.verifying_key().verify(&HASH.0, &signature).unwrap());
    });
    group.finish();
}

criterion_group!(benches, whole, single);
criterion_main!(benches);
