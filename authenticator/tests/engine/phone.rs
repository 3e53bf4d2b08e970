//! A phone without radio and relay, persons who answer as told, and requests.

use handfast_authenticator::device::{DeviceStore, MachineId, Pin, PinCheck};
use handfast_authenticator::engine::{
    Answer, Authenticator, Computer, Context, Person, PinPad, Prompt, Session,
};
use handfast_authenticator::passphrase::{Passphrase, Stretching};
use handfast_authenticator::vault::{InitOptions, Vault};
use handfast_proto::auth_data::AuthenticatorData;
use handfast_proto::cbor::{self, Map, Value};
use handfast_proto::cose::CoseKey;
use handfast_proto::ctap2::{
    RpEntity, Status, UserEntity, get_assertion, make_credential, split_reply,
};
use handfast_proto::extension::cmtg_key;
use handfast_proto::ids::{ClientDataHash, CredentialId, RpId, UserHandle};
use handfast_proto::trust::DeviceName;
use rand_core::OsRng;
use tempfile::TempDir;

pub(crate) const HASH: ClientDataHash = ClientDataHash([7; 32]);
pub(crate) const PIN: &str = "1234";
/// What every phone answers.
pub(crate) const EXTENSIONS: [&str; 7] = [
    "cmtgKey",
    "credBlob",
    "credProtect",
    "hmac-secret",
    "hmac-secret-mc",
    "largeBlob",
    "prf",
];

pub(crate) type Answering = Box<dyn FnMut(&mut dyn PinPad) -> Answer>;

/// Answers as told, and remembers what it was asked.
pub(crate) struct Scripted {
    answer: Answering,
    pub(crate) asked: Vec<String>,
}

impl Person for Scripted {
    fn ask(&mut self, prompt: &Prompt<'_>, _: &Computer, pin: &mut dyn PinPad) -> Answer {
        self.asked.push(format!("{prompt:?}"));
        (self.answer)(pin)
    }
}

pub(crate) fn approving() -> Scripted {
    answering(|pin| {
        assert_eq!(pin.check(PIN), Ok(PinCheck::Right));
        Answer::Approved {
            account: 0,
            verified: true,
        }
    })
}

pub(crate) fn answering(answer: impl FnMut(&mut dyn PinPad) -> Answer + 'static) -> Scripted {
    Scripted {
        answer: Box::new(answer),
        asked: Vec::new(),
    }
}

pub(crate) struct Phone {
    pub(crate) authenticator: Authenticator,
    pub(crate) folder: TempDir,
    pub(crate) now: u64,
}

impl Phone {
    pub(crate) fn new(with_pin: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = InitOptions {
            for_tests: true,
            stretching: Stretching::LEAST,
        };
        let phrase = Passphrase::new("correct horse");
        let vault = Vault::init(&folder.path().join("v"), &phrase, options, &mut OsRng).unwrap();
        let (machine, name) = (
            MachineId::from_bytes(b"m"),
            DeviceName::parse("phone").unwrap(),
        );
        let device = folder.path().join("d");
        let mut device = DeviceStore::create(&device, &vault, &machine, name, &mut OsRng).unwrap();
        if with_pin {
            device
                .set_pin(&Pin::parse(PIN).unwrap(), Stretching::LEAST, &mut OsRng)
                .unwrap();
        }
        Self {
            authenticator: Authenticator { vault, device },
            folder,
            now: 1000,
        }
    }

    pub(crate) fn ask(&mut self, request: &[u8], person: &mut Scripted) -> Vec<u8> {
        self.ask_as(Computer::Unknown, request, person)
    }

    pub(crate) fn ask_as(
        &mut self,
        computer: Computer,
        request: &[u8],
        person: &mut Scripted,
    ) -> Vec<u8> {
        let mut session = self.session(computer);
        self.now += 1;
        self.ask_in(&mut session, request, person)
    }

    pub(crate) fn session(&self, computer: Computer) -> Session {
        self.authenticator.session(Context {
            computer,
            method: None,
            handshake_hash: None,
        })
    }

    /// Asks in a session that goes on, at the time that it is.
    pub(crate) fn ask_in(
        &mut self,
        session: &mut Session,
        request: &[u8],
        person: &mut Scripted,
    ) -> Vec<u8> {
        self.authenticator
            .handle(session, request, person, &mut OsRng, self.now)
            .bytes
    }

    pub(crate) fn create(&mut self, request: &make_credential::Request) -> AuthenticatorData {
        let reply = self.ask(&request.encode(), &mut approving());
        let response = make_credential::Response::parse(split_reply(&reply).unwrap()).unwrap();
        assert_eq!(response.format, "none");
        let data = AuthenticatorData::parse(&response.auth_data).unwrap();
        if let Some(output) = cmtg_key::client_output(&data, &response.unsigned_extensions).unwrap()
        {
            let key = CoseKey::parse(&output.public_key).unwrap();
            key.verify(&[data.as_bytes(), &HASH.0].concat(), &output.signature)
                .unwrap();
        }
        data
    }

    pub(crate) fn status(&mut self, request: &[u8], person: &mut Scripted) -> Status {
        split_reply(&self.ask(request, person)).unwrap_err()
    }
}

pub(crate) fn create(user: &[u8]) -> make_credential::Request {
    make_credential::Request {
        client_data_hash: HASH,
        rp: RpEntity {
            id: RpId::parse("example.org").unwrap(),
            name: None,
        },
        user: UserEntity {
            id: UserHandle::from_bytes(user).unwrap(),
            name: Some(String::from_utf8_lossy(user).into_owned()),
            display_name: Some(String::new()),
        },
        algorithms: vec![-7],
        exclude: Vec::new(),
        extensions: Map::new().with("cmtgKey", true).with("unknown", 1),
        resident_key: Some(true),
        user_verification: Some(true),
        user_presence: None,
        enterprise_attestation: None,
        attestation_formats: Vec::new(),
        pin_uv_auth_param: None,
        pin_uv_auth_protocol: None,
    }
}

pub(crate) fn get(allow: &[CredentialId]) -> get_assertion::Request {
    get_assertion::Request {
        rp_id: RpId::parse("example.org").unwrap(),
        client_data_hash: HASH,
        allow: allow.to_vec(),
        has_allow_list: !allow.is_empty(),
        extensions: Map::new().with("cmtgKey", true),
        user_presence: None,
        user_verification: Some(true),
        pin_uv_auth_param: None,
        pin_uv_auth_protocol: None,
    }
}

pub(crate) fn id(data: &AuthenticatorData) -> CredentialId {
    data.attested.as_ref().unwrap().credential_id.clone()
}

impl Phone {
    pub(crate) fn create_with(
        &mut self,
        extensions: Map,
        person: &mut Scripted,
    ) -> make_credential::Response {
        let request = make_credential::Request {
            extensions,
            user_verification: None,
            ..create(b"ana")
        };
        let reply = self.ask(&request.encode(), person);
        make_credential::Response::parse(split_reply(&reply).unwrap()).unwrap()
    }

    pub(crate) fn get_with(
        &mut self,
        allow: &[CredentialId],
        extensions: Map,
        person: &mut Scripted,
    ) -> get_assertion::Response {
        let request = get_assertion::Request {
            extensions,
            user_verification: None,
            ..get(allow)
        };
        let reply = self.ask(&request.encode(), person);
        get_assertion::Response::parse(split_reply(&reply).unwrap()).unwrap()
    }
}

pub(crate) fn unverified() -> Scripted {
    answering(|_| Answer::Approved {
        account: 0,
        verified: false,
    })
}

/// The members of a request.
pub(crate) fn members(request: &[u8]) -> Map {
    cbor::decode(&request[1..]).unwrap().into_map().unwrap()
}

/// The same request with another value of a member, or with one more.
pub(crate) fn changed(request: &[u8], key: i64, value: impl Into<Value>) -> Vec<u8> {
    let map = members(request).with(key, value);
    [&request[..1], map.encode().as_slice()].concat()
}
