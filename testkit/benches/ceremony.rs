//! A whole ceremony, from the QR code to the verified assertion, and beside it the P-256 operations
//! that no implementation can do without.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use handfast_proto::cose::{Algorithm, SigningKey};
use handfast_proto::ctap2::get_info;
use handfast_proto::ids::Aaguid;
use handfast_testkit::{Faults, Pair, Script};
use p256::ecdh::diffie_hellman;
use p256::elliptic_curve::sec1::{FromEncodedPoint, ToEncodedPoint};
use p256::{PublicKey, SecretKey};
use rand_core::OsRng;

fn whole(criterion: &mut Criterion) {
    let get_info = get_info::Response {
        versions: vec!["FIDO_2_1".to_owned()],
        extensions: Vec::new(),
        aaguid: Aaguid([0; 16]),
        options: vec![("uv".to_owned(), true)],
        transports: vec!["hybrid".to_owned()],
    }
    .encode();
    let passkey = Arc::new(SigningKey::generate(Algorithm::Es256, &mut OsRng));
    let public = passkey.public_key();
    let request = vec![2; 200];
    let mut group = criterion.benchmark_group("ceremony");
    let mut seed = 0;
    group.bench_function("QR to verified assertion", |bencher| {
        bencher.iter(|| {
            seed += 1;
            let signer = Arc::clone(&passkey);
            let script = Script {
                get_info: get_info.clone(),
                requests: vec![request.clone()],
                answer: Box::new(move |asked| Some(signer.sign(asked))),
            };
            let mut pair = Pair::new(seed, script, Faults::default()).unwrap();
            assert!(pair.drive());
            public.verify(&request, &pair.outcome.responses[0]).unwrap();
        });
    });
    group.bench_function("its P-256 operations alone", |bencher| {
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
            public.verify(&request, &passkey.sign(&request)).unwrap();
        });
    });
    group.finish();
}

criterion_group!(benches, whole);
criterion_main!(benches);
