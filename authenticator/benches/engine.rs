//! What the engine adds to the signature itself: makeCredential and getAssertion, beside bare P-256 of
//! the same run. No disk stands behind the vault; what is left of storage, looking at the folder and
//! storing one passkey, is measured by itself, to be taken off.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

use std::hint::black_box;
use std::path::Path;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use handfast_authenticator::device::{DeviceStore, MachineId};
use handfast_authenticator::engine::{
    Answer, Authenticator, Computer, Context, Person, PinPad, Prompt,
};
use handfast_authenticator::passphrase::{Passphrase, Stretching};
use handfast_authenticator::vault::{InitOptions, Passkey, Vault};
use handfast_proto::cbor::Map;
use handfast_proto::cose;
use handfast_proto::ctap2::{RpEntity, UserEntity, get_assertion, make_credential};
use handfast_proto::ids::{ClientDataHash, CredentialId, RpId, UserHandle};
use handfast_proto::trust::DeviceName;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use rand_core::{OsRng, RngCore as _};
use tempfile::TempDir;

struct Willing;

impl Person for Willing {
    fn ask(&mut self, _: &Prompt<'_>, _: &Computer, _: &mut dyn PinPad) -> Answer {
        Answer::Approved {
            account: 0,
            verified: true,
        }
    }
}

/// A folder that no disk stands behind.
fn in_memory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap()
}

fn authenticator(folder: &Path) -> Authenticator {
    let options = InitOptions {
        for_tests: true,
        stretching: Stretching::LEAST,
    };
    let phrase = Passphrase::new("correct horse");
    let vault = Vault::init(&folder.join("v"), &phrase, options, &mut OsRng).unwrap();
    let (machine, name) = (
        MachineId::from_bytes(b"m"),
        DeviceName::parse("phone").unwrap(),
    );
    let device = folder.join("d");
    let device = DeviceStore::create(&device, &vault, &machine, name, &mut OsRng).unwrap();
    Authenticator { vault, device }
}

fn ask(authenticator: &mut Authenticator, request: &[u8]) {
    let context = Context {
        computer: Computer::Unknown,
        method: None,
        handshake_hash: None,
    };
    let mut session = authenticator.session(context);
    let reply = authenticator.handle(&mut session, request, &mut Willing, &mut OsRng, 2);
    assert_eq!(reply.bytes[0], 0);
}

fn create(user: &[u8]) -> Vec<u8> {
    make_credential::Request {
        client_data_hash: ClientDataHash([7; 32]),
        rp: RpEntity {
            id: RpId::parse("example.org").unwrap(),
            name: Some("Example".to_owned()),
        },
        user: UserEntity {
            id: UserHandle::from_bytes(user).unwrap(),
            name: Some("ana".to_owned()),
            display_name: Some("Ana".to_owned()),
        },
        algorithms: vec![-7],
        exclude: Vec::new(),
        extensions: Map::new(),
        resident_key: Some(true),
        user_verification: None,
        user_presence: None,
        enterprise_attestation: None,
        attestation_formats: Vec::new(),
        pin_uv_auth_param: None,
        pin_uv_auth_protocol: None,
    }
    .encode()
}

fn get() -> Vec<u8> {
    get_assertion::Request {
        rp_id: RpId::parse("example.org").unwrap(),
        client_data_hash: ClientDataHash([7; 32]),
        allow: Vec::new(),
        has_allow_list: false,
        extensions: Map::new(),
        user_presence: None,
        user_verification: None,
        pin_uv_auth_param: None,
        pin_uv_auth_protocol: None,
    }
    .encode()
}

fn sign(criterion: &mut Criterion) {
    let folder = in_memory();
    let mut phone = authenticator(folder.path());
    ask(&mut phone, &create(b"ana"));
    let request = get();
    let key = SigningKey::random(&mut OsRng);
    let mut group = criterion.benchmark_group("getAssertion, ES256");
    group.bench_function("the engine", |bencher| {
        bencher.iter(|| ask(&mut phone, &request));
    });
    group.bench_function("bare P-256: sign", |bencher| {
        bencher.iter(|| -> DerSignature { key.sign(black_box(&[7; 69])) });
    });
    group.finish();
}

/// A passkey that was made already.
fn made() -> Passkey {
    let mut id = [0; 32];
    OsRng.fill_bytes(&mut id);
    let site = RpId::parse("example.org").unwrap();
    let user = UserHandle::from_bytes(&id[..16]).unwrap();
    let key = cose::SigningKey::generate(cose::Algorithm::Es256, &mut OsRng);
    let id = CredentialId::from_bytes(&id).unwrap();
    Passkey::new(id, site, user, &key, 2).unwrap()
}

fn make(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("makeCredential, ES256");
    // Each account gets its own, in a vault that stays small.
    group.bench_function("the engine", |bencher| {
        let folder = in_memory();
        bencher.iter_batched(
            || {
                let mut user = [0; 16];
                OsRng.fill_bytes(&mut user);
                let folder = tempfile::tempdir_in(folder.path()).unwrap();
                let mut phone = authenticator(folder.path());
                ask(&mut phone, &create(b"the first"));
                (phone, create(&user), folder)
            },
            |(mut phone, request, folder)| {
                ask(&mut phone, &request);
                (phone, folder)
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function("the vault alone: look at the folder, store", |bencher| {
        let folder = in_memory();
        bencher.iter_batched(
            || {
                let folder = tempfile::tempdir_in(folder.path()).unwrap();
                let mut phone = authenticator(folder.path());
                ask(&mut phone, &create(b"the first"));
                (phone.vault, made(), folder)
            },
            |(mut vault, passkey, folder)| {
                vault.refresh().unwrap();
                vault.store(passkey).unwrap();
                (vault, folder)
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function("bare P-256: make a key", |bencher| {
        bencher.iter(|| {
            let key = SigningKey::random(&mut OsRng);
            black_box(*key.verifying_key())
        });
    });
    group.finish();
}

/// The pass phrase of a vault, as it is usually stretched.
fn unlock(criterion: &mut Criterion) {
    let folder = in_memory();
    let folder = folder.path().join("v");
    let phrase = Passphrase::new("correct horse");
    let options = InitOptions::default();
    Vault::init(&folder, &phrase, options, &mut OsRng).unwrap();
    let mut group = criterion.benchmark_group("unlock");
    group.sample_size(10);
    group.bench_function("an empty vault, Argon2id 64 MiB, 3 passes", |bencher| {
        bencher.iter(|| Vault::open(&folder, &phrase).unwrap());
    });
    group.finish();
}

criterion_group!(benches, sign, make, unlock);
criterion_main!(benches);
