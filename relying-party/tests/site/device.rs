//! Devices in software: they answer as a browser would hand it over, or as somebody would who
//! changes the one thing that a test is about.

use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use handfast_proto::auth_data::{AttestedCredential, AuthenticatorData, Flags};
use handfast_proto::cbor::{self, Map, Value as Cbor};
use handfast_proto::cose::{Algorithm, SigningKey};
use handfast_proto::ids::{Aaguid, CredentialId, RpId};
use rand_core::{OsRng, RngCore};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub(crate) const ORIGIN: &str = "https://example.org";
pub(crate) const RP_ID: &str = "example.org";

/// A device with one passkey.
pub(crate) struct Device {
    id: Vec<u8>,
    handle: Vec<u8>,
    passkey: Rc<SigningKey>,
    /// The trust-group key that it presents, if any.
    pub(crate) group: Option<Rc<SigningKey>>,
    pub(crate) sign_count: u32,
}

impl Device {
    pub(crate) fn new() -> Self {
        let mut id = vec![0; 16];
        OsRng.fill_bytes(&mut id);
        Self {
            id,
            handle: b"nobody".to_vec(),
            passkey: new_key(),
            group: Some(new_key()),
            sign_count: 0,
        }
    }

    /// Another device that came by the passkey, and was never beside this one.
    pub(crate) fn copy(&self) -> Self {
        Self {
            id: self.id.clone(),
            handle: self.handle.clone(),
            passkey: Rc::clone(&self.passkey),
            group: Some(new_key()),
            sign_count: self.sign_count,
        }
    }

    /// The first eight characters of its trust-group key's name, as sites show it.
    pub(crate) fn key(&self) -> String {
        let key = self.group.as_ref().unwrap().public_key().key_id();
        key.to_string().chars().take(8).collect()
    }

    pub(crate) fn id(&self) -> CredentialId {
        CredentialId::from_bytes(&self.id).unwrap()
    }

    pub(crate) fn create(&mut self, options: &Value) -> Draft {
        self.handle = decoded(&options["publicKey"]["user"]["id"]);
        let attested = AttestedCredential {
            aaguid: Aaguid([0; 16]),
            credential_id: self.id(),
            public_key: self.passkey.public_key().as_bytes().to_vec(),
        };
        self.draft("webauthn.create", options, Some(attested))
    }

    pub(crate) fn get(&self, options: &Value) -> Draft {
        self.draft("webauthn.get", options, None)
    }

    fn draft(&self, kind: &str, options: &Value, attested: Option<AttestedCredential>) -> Draft {
        let challenge = &options["publicKey"]["challenge"];
        Draft {
            client_data: json!({
                "type": kind, "challenge": challenge, "origin": ORIGIN, "crossOrigin": false,
            }),
            rp_id_hash: RpId::parse(RP_ID).unwrap().hash(),
            flags: Flags::UP | Flags::UV | Flags::BE | Flags::BS,
            sign_count: self.sign_count,
            attested,
            tail: Vec::new(),
            packed: false,
            id: self.id.clone(),
            handle: self.handle.clone(),
            passkey: Rc::clone(&self.passkey),
            group: self.group.clone(),
        }
    }
}

fn new_key() -> Rc<SigningKey> {
    Rc::new(SigningKey::generate(Algorithm::Es256, &mut OsRng))
}

/// A response that is not signed yet.
pub(crate) struct Draft {
    pub(crate) client_data: Value,
    pub(crate) rp_id_hash: [u8; 32],
    pub(crate) flags: Flags,
    pub(crate) sign_count: u32,
    pub(crate) attested: Option<AttestedCredential>,
    /// What follows the authenticator data.
    pub(crate) tail: Vec<u8>,
    /// Whether the passkey attests itself; otherwise nobody does.
    pub(crate) packed: bool,
    id: Vec<u8>,
    handle: Vec<u8>,
    passkey: Rc<SigningKey>,
    group: Option<Rc<SigningKey>>,
}

impl Draft {
    /// Signs it, and returns it as the page sends it.
    pub(crate) fn finish(self) -> Value {
        let group = self.group.as_ref();
        let extensions = group.map(|key| Map::new().with("cmtgKey", key.public_key().as_bytes()));
        let creation = self.client_data["type"] == "webauthn.create" || self.attested.is_some();
        let data = AuthenticatorData::build(
            self.rp_id_hash,
            self.flags,
            self.sign_count,
            self.attested,
            extensions,
        );
        let data = [data.as_bytes(), &self.tail].concat();
        let client_data = serde_json::to_vec(&self.client_data).unwrap();
        let signed = [&data[..], &Sha256::digest(&client_data)].concat();
        let signature = self.passkey.sign(&signed);
        let mut response = json!({"clientDataJSON": encoded(&client_data)});
        if creation {
            let (format, statement) = match self.packed {
                true => ("packed", Map::new().with("alg", -7).with("sig", signature)),
                false => ("none", Map::new()),
            };
            let object = Map::new()
                .with("fmt", format)
                .with("attStmt", statement)
                .with("authData", data);
            response["attestationObject"] = encoded(&object.encode());
            response["transports"] = json!(["internal", "hybrid"]);
        } else {
            response["authenticatorData"] = encoded(&data);
            response["signature"] = encoded(&signature);
            response["userHandle"] = encoded(&self.handle);
        }
        let results = group.map_or_else(
            || json!({}),
            |key| {
                json!({"cmtgKey": {
                    "cmtgKey": encoded(key.public_key().as_bytes()),
                    "signature": encoded(&key.sign(&signed)),
                }})
            },
        );
        json!({
            "id": encoded(&self.id),
            "rawId": encoded(&self.id),
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": results,
            "response": response,
        })
    }
}

pub(crate) fn encoded(bytes: &[u8]) -> Value {
    URL_SAFE_NO_PAD.encode(bytes).into()
}

pub(crate) fn decoded(value: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(value.as_str().unwrap()).unwrap()
}

/// Changes bytes on their way.
pub(crate) fn alter(value: &mut Value, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = decoded(value);
    change(&mut bytes);
    *value = encoded(&bytes);
}

/// Replaces a member of the attestation object, or takes it out.
pub(crate) fn alter_object(answer: &mut Value, member: &str, with: Option<Cbor>) {
    alter(&mut answer["response"]["attestationObject"], |bytes| {
        let object = cbor::decode(bytes).unwrap().into_map().unwrap();
        let others = object
            .iter()
            .filter(|(name, _)| name.as_text() != Some(member));
        let others = others.fold(Map::new(), |map, (name, value)| {
            map.with(name.clone(), value.clone())
        });
        *bytes = others.with_some(member, with).encode();
    });
}
