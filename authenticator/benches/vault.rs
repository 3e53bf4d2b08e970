//! A vault of 10,000 passkeys, each with its trust-group key: opening it, a sign-in, a new passkey, a new
//! vault key; and stretching a pass phrase, which is once for each unlocking.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

use std::path::Path;
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use handfast_authenticator::device::{DeviceStore, MachineId};
use handfast_authenticator::engine::{
    Answer, Authenticator, Computer, Context, Person, PinPad, Prompt,
};
use handfast_authenticator::group;
use handfast_authenticator::passphrase::{Passphrase, Stretching};
use handfast_authenticator::vault::{InitOptions, Passkey, Vault};
use handfast_proto::cbor::{Map, Value};
use handfast_proto::cose::{Algorithm, SigningKey};
use handfast_proto::ctap2::get_assertion;
use handfast_proto::ids::{ClientDataHash, CredentialId, RpId, UserHandle};
use handfast_proto::trust::wrap::seal_key;
use handfast_proto::trust::{DeviceName, Epoch, GroupKey, GroupSecret, KeyTuple};
use rand_core::OsRng;

const PASSKEYS: u32 = 10_000;

struct Willing;

impl Person for Willing {
    fn ask(&mut self, _: &Prompt<'_>, _: &Computer, _: &mut dyn PinPad) -> Answer {
        Answer::Approved {
            account: 0,
            verified: true,
        }
    }
}

fn site(number: u32) -> RpId {
    RpId::parse(&format!("site-{number}.example")).unwrap()
}

fn tuple(number: u32) -> KeyTuple {
    KeyTuple {
        rp_id_hash: site(number).hash(),
        credential_id: CredentialId::from_bytes(&number.to_be_bytes()).unwrap(),
        user_handle: UserHandle::from_bytes(b"user").unwrap(),
    }
}

fn full(folder: &Path) -> Authenticator {
    let options = InitOptions {
        for_tests: true,
        stretching: Stretching::LEAST,
    };
    let phrase = Passphrase::new("correct horse");
    let mut vault = Vault::init(&folder.join("v"), &phrase, options, &mut OsRng).unwrap();
    let (machine, name) = (
        MachineId::from_bytes(b"m"),
        DeviceName::parse("phone").unwrap(),
    );
    let device = folder.join("d");
    let mut device = DeviceStore::create(&device, &vault, &machine, name, &mut OsRng).unwrap();
    let algorithm = Algorithm::Es256;
    // The first key makes the group; the others come as if the file sync had brought them.
    group::key_for(&mut vault, &mut device, &tuple(0), algorithm, 1, &mut OsRng).unwrap();
    let group = group::status(&device).group.unwrap();
    let secret = GroupSecret::from_bytes(group::danger_group_secret(&device).unwrap());
    let key = SigningKey::generate(algorithm, &mut OsRng);
    for number in 0..PASSKEYS {
        let KeyTuple {
            credential_id,
            user_handle,
            ..
        } = tuple(number);
        let passkey = Passkey::new(credential_id, site(number), user_handle, &key, 1).unwrap();
        vault.store(passkey).unwrap();
        let group_key = GroupKey {
            tuple: tuple(number),
            key: SigningKey::generate(algorithm, &mut OsRng),
            created_at: 1,
            first_presented_at: Some(1),
            retired: false,
        };
        let file = seal_key(&secret, group, Epoch(1), &group_key, &mut OsRng).unwrap();
        vault.publish(&file).unwrap();
    }
    group::refresh(&mut vault, &mut device, &mut OsRng).unwrap();
    assert!(group::status(&device).keys > 9_999);
    Authenticator { vault, device }
}

fn sign_in(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let mut authenticator = full(folder.path());
    let request = |extensions: Map| {
        get_assertion::Request {
            rp_id: site(5000),
            client_data_hash: ClientDataHash([7; 32]),
            allow: Vec::new(),
            has_allow_list: false,
            extensions,
            user_presence: None,
            user_verification: None,
            pin_uv_auth_param: None,
            pin_uv_auth_protocol: None,
        }
        .encode()
    };
    let context = Context {
        computer: Computer::Unknown,
        method: None,
        handshake_hash: None,
    };
    let mut group = criterion.benchmark_group("getAssertion, one of 10,000 passkeys");
    for (name, request) in [
        ("alone", request(Map::new())),
        (
            "with its trust-group key",
            request(Map::new().with("cmtgKey", Value::Bool(true))),
        ),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut session = authenticator.session(context.clone());
                let reply =
                    authenticator.handle(&mut session, &request, &mut Willing, &mut OsRng, 2);
                assert_eq!(reply.bytes[0], 0);
            });
        });
    }
    group.finish();
    keep(criterion, authenticator);
}

/// What is done with the folder.
fn keep(criterion: &mut Criterion, authenticator: Authenticator) {
    let Authenticator { mut vault, device } = authenticator;
    drop(device);
    let (folder, key) = (vault.folder().to_owned(), vault.danger_vault_key());
    let mut group = criterion.benchmark_group("a vault of 10,000 passkeys");
    group.sample_size(10);
    group.bench_function("opened, without stretching", |bencher| {
        bencher.iter(|| Vault::open_with_key(&folder, &key).unwrap());
    });
    let signing = SigningKey::generate(Algorithm::Es256, &mut OsRng);
    let mut number = PASSKEYS;
    group.bench_function("one more is stored", |bencher| {
        bencher.iter(|| {
            number += 1;
            let id = tuple(number).credential_id;
            let user = UserHandle::from_bytes(b"user").unwrap();
            let passkey = Passkey::new(id, site(number), user, &signing, 1).unwrap();
            vault.store(passkey).unwrap();
        });
    });
    group.finish();
    // Ten times would take minutes and say no more.
    let begin = Instant::now();
    let phrase = Passphrase::new("a new pass phrase");
    let files = vault.rekey(&phrase, Stretching::LEAST, &mut OsRng).unwrap();
    println!("a new vault key: {files} files in {:?}", begin.elapsed());
}

fn unlock(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("a pass phrase is stretched");
    group.sample_size(10);
    group.bench_function("64 MiB, three passes", |bencher| {
        bencher.iter(|| {
            Stretching::DEFAULT
                .stretch(b"correct horse", &[7; 16])
                .unwrap()
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = unlock, sign_in
}
criterion_main!(benches);
