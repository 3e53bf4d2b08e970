//! A device of a vault, and what it answers when it is asked for keys.

use std::path::Path;

use handfast_authenticator::compat::CompatExtension;
use handfast_authenticator::device::{DeviceStore, MachineId};
use handfast_authenticator::engine::{
    Answer, Authenticator, Computer, Context, Person, PinPad, Prompt,
};
use handfast_authenticator::passphrase::{Passphrase, Stretching};
use handfast_authenticator::vault::{InitOptions, Vault};
use handfast_proto::auth_data::AuthenticatorData;
use handfast_proto::cbor::{Map, Value};
use handfast_proto::cose::CoseKey;
use handfast_proto::ctap2::{
    RpEntity, UserEntity, get_assertion, get_info, make_credential, split_reply,
};
use handfast_proto::extension::attested_key::{Attestation, AttestedKey};
use handfast_proto::extension::supplemental_pub_keys::Scope;
use handfast_proto::extension::{
    cmtg_key, device_pub_key, relationship_public_key, supplemental_pub_keys,
};
use handfast_proto::ids::{ClientDataHash, CredentialId, RpId, UserHandle};
use handfast_proto::trust::DeviceName;
use rand_core::OsRng;

pub(crate) const HASH: ClientDataHash = ClientDataHash([7; 32]);
pub(crate) const ALL: [&str; 3] = [
    "devicePubKey",
    "supplementalPubKeys",
    "relationshipPublicKey",
];

/// Says yes, after `before` was done.
pub(crate) struct Approving<F>(F);

pub(crate) fn approving<F: FnMut(&Prompt<'_>)>(before: F) -> Approving<F> {
    Approving(before)
}

impl<F: FnMut(&Prompt<'_>)> Person for Approving<F> {
    fn ask(&mut self, prompt: &Prompt<'_>, _: &Computer, _: &mut dyn PinPad) -> Answer {
        (self.0)(prompt);
        Answer::Approved {
            account: 0,
            verified: true,
        }
    }
}

/// A device of a vault, and what it is asked.
pub(crate) struct Phone {
    pub(crate) authenticator: Authenticator,
    pub(crate) now: u64,
}

/// What a request was answered with.
pub(crate) struct Answered {
    pub(crate) data: AuthenticatorData,
    pub(crate) unsigned: Map,
}

pub(crate) fn machine() -> MachineId {
    MachineId::from_bytes(b"m")
}

impl Phone {
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        let options = InitOptions {
            for_tests: true,
            stretching: Stretching::LEAST,
        };
        let path = folder.join("vault");
        let vault = match Vault::exists(&path) {
            true => Vault::open(&path, &Passphrase::new("correct horse")).unwrap(),
            false => Vault::init(
                &path,
                &Passphrase::new("correct horse"),
                options,
                &mut OsRng,
            )
            .unwrap(),
        };
        let (path, name) = (folder.join(name), DeviceName::parse(name).unwrap());
        let device = DeviceStore::create(&path, &vault, &machine(), name, &mut OsRng).unwrap();
        Self::with(vault, device)
    }

    /// The same device, in another program.
    pub(crate) fn again(folder: &Path, name: &str) -> Self {
        let vault = Vault::open(&folder.join("vault"), &Passphrase::new("correct horse")).unwrap();
        let device = DeviceStore::open(&folder.join(name), &vault, &machine()).unwrap();
        Self::with(vault, device)
    }

    fn with(vault: Vault, device: DeviceStore) -> Self {
        let authenticator = Authenticator { vault, device };
        Self {
            authenticator,
            now: 1000,
        }
    }

    pub(crate) fn answering(mut self, names: &[&str]) -> Self {
        let names = names.iter().map(|name| CompatExtension::parse(name));
        self.authenticator.device.compat = names.collect::<Result<_, _>>().unwrap();
        self
    }

    pub(crate) fn ask(&mut self, request: &[u8], person: &mut dyn Person) -> Vec<u8> {
        let context = Context {
            computer: Computer::TestTool,
            method: None,
            handshake_hash: None,
        };
        let mut session = self.authenticator.session(context);
        self.now += 1;
        let engine = &mut self.authenticator;
        let reply = engine.handle(&mut session, request, person, &mut OsRng, self.now);
        split_reply(&reply.bytes).unwrap().to_vec()
    }

    pub(crate) fn create(&mut self, user: &[u8], extensions: Map) -> Answered {
        self.create_with(user, -7, extensions, &mut approving(|_| {}))
    }

    pub(crate) fn create_with(
        &mut self,
        user: &[u8],
        algorithm: i64,
        extensions: Map,
        person: &mut dyn Person,
    ) -> Answered {
        let request = make_credential::Request {
            client_data_hash: HASH,
            rp: RpEntity {
                id: RpId::parse("example.org").unwrap(),
                name: None,
            },
            user: UserEntity {
                id: UserHandle::from_bytes(user).unwrap(),
                name: None,
                display_name: None,
            },
            algorithms: vec![algorithm],
            exclude: Vec::new(),
            extensions,
            resident_key: Some(true),
            user_verification: None,
            user_presence: None,
            enterprise_attestation: None,
            attestation_formats: Vec::new(),
            pin_uv_auth_param: None,
            pin_uv_auth_protocol: None,
        };
        let reply = self.ask(&request.encode(), person);
        let response = make_credential::Response::parse(&reply).unwrap();
        Answered {
            data: AuthenticatorData::parse(&response.auth_data).unwrap(),
            unsigned: response.unsigned_extensions,
        }
    }

    pub(crate) fn sign_in(&mut self, id: &CredentialId, extensions: Map) -> Answered {
        let request = get(id, extensions);
        let reply = self.ask(&request.encode(), &mut approving(|_| {}));
        let response = get_assertion::Response::parse(&reply).unwrap();
        Answered {
            data: AuthenticatorData::parse(&response.auth_data).unwrap(),
            unsigned: response.unsigned_extensions,
        }
    }

    pub(crate) fn listed(&self) -> Vec<String> {
        let info = self.authenticator.get_info(&Computer::TestTool);
        get_info::Response::parse(&info).unwrap().extensions
    }
}

impl Answered {
    pub(crate) fn id(&self) -> CredentialId {
        self.data.attested.as_ref().unwrap().credential_id.clone()
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        let signed = self.data.extensions.iter().flat_map(Map::iter);
        signed.map(|(name, _)| name.as_text().unwrap()).collect()
    }

    fn signed(&self) -> Vec<u8> {
        [self.data.as_bytes(), &HASH.0].concat()
    }

    /// The device key, whose signature and attestation hold.
    pub(crate) fn device_key(&self) -> AttestedKey<device_pub_key::Scope> {
        let extensions = self.data.extensions.as_ref().unwrap();
        let key = device_pub_key::signed_output(extensions).unwrap().unwrap();
        let signature = device_pub_key::client_output(&self.data, &self.unsigned);
        let signature = signature.unwrap().unwrap();
        key.key.verify(&self.signed(), &signature).unwrap();
        if let Attestation::PackedSelf {
            algorithm,
            signature,
        } = &key.attestation
        {
            key.verify_attestation(&key.key, *algorithm, signature)
                .unwrap();
        }
        key
    }

    /// The supplemental keys, whose signatures hold.
    pub(crate) fn supplemental(&self) -> Vec<AttestedKey<Scope>> {
        let extensions = self.data.extensions.as_ref().unwrap();
        let keys = supplemental_pub_keys::signed_output(extensions);
        let keys = keys.unwrap().unwrap();
        let signatures = supplemental_pub_keys::client_output(&self.data, &self.unsigned);
        let signatures = signatures.unwrap().unwrap();
        assert_eq!(keys.len(), signatures.len());
        for (key, signature) in keys.iter().zip(&signatures) {
            key.key.verify(&self.signed(), signature).unwrap();
        }
        keys
    }

    pub(crate) fn group_key(&self) -> CoseKey {
        let output = cmtg_key::client_output(&self.data, &self.unsigned);
        let output = output.unwrap().unwrap();
        let key = CoseKey::parse(&output.public_key).unwrap();
        key.verify(&self.signed(), &output.signature).unwrap();
        key
    }
}

pub(crate) fn get(id: &CredentialId, extensions: Map) -> get_assertion::Request {
    get_assertion::Request {
        rp_id: RpId::parse("example.org").unwrap(),
        client_data_hash: HASH,
        allow: vec![id.clone()],
        has_allow_list: true,
        extensions,
        user_presence: None,
        user_verification: None,
        pin_uv_auth_param: None,
        pin_uv_auth_protocol: None,
    }
}

pub(crate) fn device() -> Map {
    Map::new().with(device_pub_key::NAME, Map::new())
}

pub(crate) fn scopes(names: &[&str]) -> Map {
    let names = names.iter().map(|name| Value::from(*name));
    Map::new().with("scopes", names.collect::<Vec<Value>>())
}

pub(crate) fn supplemental(names: &[&str]) -> Map {
    Map::new().with(supplemental_pub_keys::NAME, scopes(names))
}

/// Everything that can be asked for.
pub(crate) fn everything() -> Map {
    Map::new()
        .with(cmtg_key::NAME, true)
        .with(device_pub_key::NAME, Map::new())
        .with(supplemental_pub_keys::NAME, scopes(&["device", "provider"]))
        .with(relationship_public_key::NAME, true)
}
