//! Extensions that WebAuthn has no more, from the program that answers them to a site's verification.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use handfast_demo::stage::Program;
use handfast_proto::auth_data::AuthenticatorData;
use handfast_proto::cbor::{Map, Value};
use handfast_proto::ctap2::{RpEntity, UserEntity, get_assertion, make_credential, split_reply};
use handfast_proto::extension::{device_pub_key, supplemental_pub_keys};
use handfast_proto::ids::{ClientDataHash, CredentialId, RpId, UserHandle};
use handfast_relying_party::authentication::{self, Attempt};
use handfast_relying_party::cmtg::Mode;
use handfast_relying_party::compat::{
    ClientOutputs, Outcome, Outcomes, Proof, Requested, Standing,
};
use handfast_relying_party::record::CredentialRecord;
use handfast_relying_party::{
    AuthenticationResponse, Challenge, Expected, RegistrationResponse, registration,
};
use handfast_tests::{phone, stage};
use serde_json::json;
use sha2::{Digest, Sha256};

const ORIGIN: &str = "https://example.org";

fn rp_id() -> RpId {
    RpId::parse("example.org").unwrap()
}

fn user() -> UserHandle {
    UserHandle::from_bytes(b"ana").unwrap()
}

/// A site that asks for every key.
fn expected() -> Expected {
    Expected {
        challenge: Challenge::from_bytes(&[7; 32]).unwrap(),
        rp_id: rp_id(),
        origins: vec![ORIGIN.to_owned()],
        user_verification: true,
        cmtg_key: false,
        compat: Requested {
            device_pub_key: true,
            relationship_public_key: false,
            supplemental_pub_keys: true,
        },
    }
}

fn client_data(kind: &str) -> (Vec<u8>, ClientDataHash) {
    let challenge = expected().challenge.to_base64url();
    let data = json!({"type": kind, "challenge": challenge, "origin": ORIGIN});
    let data = data.to_string().into_bytes();
    let hash = Sha256::digest(&data);
    (data, ClientDataHash(hash.into()))
}

fn extensions() -> Map {
    let scopes = ["device", "provider"].map(Value::from).to_vec();
    Map::new()
        .with(
            device_pub_key::NAME,
            Map::new().with("attestation", "direct"),
        )
        .with(
            supplemental_pub_keys::NAME,
            Map::new().with("scopes", scopes),
        )
}

/// What a client hands over of an answer.
fn outputs(auth_data: &[u8], unsigned: &Map) -> ClientOutputs {
    let data = AuthenticatorData::parse(auth_data).unwrap();
    ClientOutputs {
        device_pub_key: device_pub_key::client_output(&data, unsigned).unwrap(),
        relationship_public_key: None,
        supplemental_pub_keys: supplemental_pub_keys::client_output(&data, unsigned).unwrap(),
    }
}

/// The program, as tools for tests reach it.
struct Engine(UnixStream);

impl Engine {
    fn ask(&mut self, request: &[u8]) -> Vec<u8> {
        let length = u32::try_from(request.len()).unwrap().to_be_bytes();
        self.0.write_all(&[&length, request].concat()).unwrap();
        let mut length = [0; 4];
        self.0.read_exact(&mut length).unwrap();
        let mut reply = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
        self.0.read_exact(&mut reply).unwrap();
        split_reply(&reply).unwrap().to_vec()
    }

    fn register(&mut self) -> (CredentialRecord, Outcomes) {
        let (client_data, client_data_hash) = client_data("webauthn.create");
        let request = make_credential::Request {
            client_data_hash,
            rp: RpEntity {
                id: rp_id(),
                name: None,
            },
            user: UserEntity {
                id: user(),
                name: None,
                display_name: None,
            },
            algorithms: vec![-7],
            exclude: Vec::new(),
            extensions: extensions(),
            resident_key: Some(true),
            user_verification: Some(true),
            user_presence: None,
            enterprise_attestation: None,
            attestation_formats: Vec::new(),
            pin_uv_auth_param: None,
            pin_uv_auth_protocol: None,
        };
        let made = make_credential::Response::parse(&self.ask(&request.encode())).unwrap();
        let data = AuthenticatorData::parse(&made.auth_data).unwrap();
        let response = RegistrationResponse {
            id: data.attested.unwrap().credential_id,
            client_data,
            attestation_object: Map::new()
                .with("fmt", made.format.as_str())
                .with("attStmt", made.statement)
                .with("authData", made.auth_data.as_slice())
                .encode(),
            transports: Vec::new(),
            cmtg: None,
            compat: outputs(&made.auth_data, &made.unsigned_extensions),
        };
        let mode = Mode::Strict;
        let done = registration::verify(&response, &expected(), &[-7], &user(), 1, mode);
        let done = done.unwrap();
        (done.record, done.compat)
    }

    fn sign_in(&mut self, record: &CredentialRecord) -> Outcomes {
        let (client_data, client_data_hash) = client_data("webauthn.get");
        let allow: Vec<CredentialId> = vec![record.id.clone()];
        let request = get_assertion::Request {
            rp_id: rp_id(),
            client_data_hash,
            allow: allow.clone(),
            has_allow_list: true,
            extensions: extensions(),
            user_presence: None,
            user_verification: Some(true),
            pin_uv_auth_param: None,
            pin_uv_auth_protocol: None,
        };
        let got = get_assertion::Response::parse(&self.ask(&request.encode())).unwrap();
        let response = AuthenticationResponse {
            id: record.id.clone(),
            client_data,
            compat: outputs(&got.auth_data, &got.unsigned_extensions),
            authenticator_data: got.auth_data,
            signature: got.signature,
            user_handle: got.user.map(|user| user.id),
            cross_platform: true,
            cmtg: None,
        };
        let attempt = Attempt {
            user: Some(user()),
            allowed: allow,
        };
        let mode = Mode::Strict;
        authentication::verify(&response, &expected(), &attempt, record, 2, mode)
            .unwrap()
            .compat
    }
}

#[test]
fn a_site_knows_a_device_again_by_the_keys_that_the_program_shows() {
    let stage = stage();
    let path = stage.folder().join("ctap");
    let socket = format!("unix:{}", path.display());
    let names = "devicePubKey,supplementalPubKeys";
    let arguments = ["serve-ctap", &socket, "--compat-extensions", names];
    let home = phone(&stage, "phone");
    let mut program = stage.spawn(Program::Phone, &home, &arguments).unwrap();
    assert_eq!(program.address().unwrap(), socket);
    let stream = UnixStream::connect(&path).unwrap();
    let patience = Some(Duration::from_secs(20));
    stream.set_read_timeout(patience).unwrap();
    let mut engine = Engine(stream);

    let (mut record, first) = engine.register();
    let Outcome::Presented(Standing::New(device)) = &first.device_pub_key else {
        panic!("{first:?}");
    };
    assert_eq!(device.proof, Proof::Itself);
    let Outcome::Presented(supplemental) = &first.supplemental_pub_keys else {
        panic!("{first:?}");
    };
    assert!(
        matches!(
            supplemental.as_slice(),
            [Standing::New(_), Standing::New(_)]
        ),
        "{supplemental:?}"
    );
    record.compat.learn(&first);

    let again = engine.sign_in(&record);
    let known = Outcome::Presented(Standing::Known(device.clone()));
    assert_eq!(again.device_pub_key, known);
    let Outcome::Presented(supplemental) = &again.supplemental_pub_keys else {
        panic!("{again:?}");
    };
    assert!(
        matches!(
            supplemental.as_slice(),
            [Standing::Known(_), Standing::Known(_)]
        ),
        "{supplemental:?}"
    );
    // To a site that forgot the device it is a new one.
    record.compat.device.clear();
    let forgotten = engine.sign_in(&record);
    let new = Outcome::Presented(Standing::New(device.clone()));
    assert_eq!(forgotten.device_pub_key, new);
}
