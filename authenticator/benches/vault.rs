//! A sign-in with a vault of 10,000 passkeys, after unlocking.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

use criterion::{Criterion, criterion_group, criterion_main};
use handfast_authenticator::device::{DeviceStore, MachineId};
use handfast_authenticator::engine::{
    Answer, Authenticator, Computer, Context, Person, PinPad, Prompt,
};
use handfast_authenticator::passphrase::{Passphrase, Stretching};
use handfast_authenticator::vault::{InitOptions, Passkey, Vault};
use handfast_proto::cbor::Map;
use handfast_proto::cose::{Algorithm, SigningKey};
use handfast_proto::ctap2::get_assertion;
use handfast_proto::ids::{ClientDataHash, CredentialId, RpId, UserHandle};
use handfast_proto::trust::DeviceName;
use rand_core::OsRng;

const PASSKEYS: u32 = 10_000;

struct Willing;

impl Person for Willing {
    fn ask(&mut self, _: &Prompt<'_>, _: Computer, _: &mut dyn PinPad) -> Answer {
        Answer::Approved {
            account: 0,
            verified: true,
        }
    }
}

fn sign_in(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let options = InitOptions {
        for_tests: true,
        stretching: Stretching::LEAST,
    };
    let phrase = Passphrase::new("correct horse");
    let mut vault = Vault::init(&folder.path().join("v"), &phrase, options, &mut OsRng).unwrap();
    let key = SigningKey::generate(Algorithm::Es256, &mut OsRng);
    for number in 0..PASSKEYS {
        let id = CredentialId::from_bytes(&number.to_be_bytes()).unwrap();
        let rp_id = RpId::parse(&format!("site-{number}.example")).unwrap();
        let user = UserHandle::from_bytes(b"user").unwrap();
        vault
            .store(Passkey::new(id, rp_id, user, &key, 1).unwrap())
            .unwrap();
    }
    let (machine, name) = (
        MachineId::from_bytes(b"m"),
        DeviceName::parse("phone").unwrap(),
    );
    let device = folder.path().join("d");
    let device = DeviceStore::create(&device, &vault, &machine, name, &mut OsRng).unwrap();
    let mut authenticator = Authenticator { vault, device };
    let request = get_assertion::Request {
        rp_id: RpId::parse("site-5000.example").unwrap(),
        client_data_hash: ClientDataHash([7; 32]),
        allow: Vec::new(),
        has_allow_list: false,
        extensions: Map::new(),
        user_presence: None,
        user_verification: None,
        pin_uv_auth_param: None,
    }
    .encode();
    let context = Context {
        computer: Computer::Unknown,
        method: None,
        handshake_hash: None,
    };
    criterion.bench_function("getAssertion, one of 10,000 passkeys", |bencher| {
        bencher.iter(|| {
            let mut session = authenticator.session(context);
            let reply = authenticator.handle(&mut session, &request, &mut Willing, &mut OsRng, 2);
            assert_eq!(reply.bytes[0], 0);
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = sign_in
}
criterion_main!(benches);
