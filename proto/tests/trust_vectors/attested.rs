//! The vectors of `devicePubKey` and `supplementalPubKeys`, as far as the protocol goes. What a
//! relying party makes of them, and of certificates, is its own test.

use handfast_proto::auth_data::AuthenticatorData;
use handfast_proto::cbor::{self, Map};
use handfast_proto::cose::{Algorithm, CoseKey, SignatureError, SigningKey};
use handfast_proto::extension::attested_key::{
    Attestation, AttestationError, AttestedKey, AttestedKeyError, Made, Scope,
};
use handfast_proto::extension::supplemental_pub_keys::{self, SupplementalPubKeysError};
use handfast_proto::extension::{Answered, Prepared, device_pub_key};
use handfast_proto::ids::{Aaguid, ClientDataHash};
use sha2::{Digest, Sha256};

use crate::cmtg::base64url;
use crate::common::vectors::Node;

/// What the protocol says of a vector's keys.
#[derive(Debug, PartialEq)]
enum Verdict {
    /// They and their own attestations hold.
    Good,
    /// They cannot be read.
    Key(AttestedKeyError),
    List(SupplementalPubKeysError),
    /// There are other signatures than keys.
    Count,
    Signature(SignatureError),
    Attestation(AttestationError),
}

fn wanted(id: &str) -> Verdict {
    match id {
        "dpk-neg-attestation-prefix" => {
            Verdict::Attestation(AttestationError::Signature(SignatureError::Mismatch))
        }
        "dpk-neg-long-nonce" => Verdict::Key(AttestedKeyError::Nonce),
        "dpk-neg-none-with-attstmt" => Verdict::Key(AttestedKeyError::StatementNotEmpty),
        "dpk-neg-reserved-scope" => Verdict::Key(AttestedKeyError::Scope),
        "dpk-neg-signature" | "spk-neg-swapped-signatures" => {
            Verdict::Signature(SignatureError::Mismatch)
        }
        "spk-neg-count" => Verdict::Count,
        "spk-neg-order" => Verdict::List(SupplementalPubKeysError::Order),
        _ => Verdict::Good,
    }
}

pub(crate) fn device_keys_are_made_to_the_byte_and_read_or_not_for_their_reason(all: &Node<'_>) {
    let world = World::of(all);
    let (mut checked, mut reproduced) = (0, 0);
    for entry in section(all, device_pub_key::NAME) {
        let id = entry.text("id");
        let delivered = Delivered::of(&entry);
        let signature = delivered.outputs.at(device_pub_key::NAME);
        let signatures = vec![base64url(signature.text("signature"))];
        let extensions = delivered.parsed.extensions.as_ref().unwrap();
        let verdict = match device_pub_key::signed_output(extensions) {
            Err(error) => Verdict::Key(error),
            Ok(key) => delivered.verdict(&[key.unwrap()], &signatures),
        };
        assert_eq!(verdict, wanted(id), "{id}");
        let unsigned = Map::new().with(device_pub_key::NAME, signatures[0].clone());
        let output = device_pub_key::client_output(&delivered.parsed, &unsigned);
        assert_eq!(output, Ok(Some(signatures[0].clone())), "{id}");
        if verdict == Verdict::Good {
            let key = device_pub_key::signed_output(extensions).unwrap().unwrap();
            assert_eq!(
                Some(&key.to_map().into()),
                extensions.text(device_pub_key::NAME)
            );
            world.assert_attested(&entry, &key);
            // Keys of one program are not made here.
            if key.scope == device_pub_key::Scope::EntireDevice
                && let Some(request) = asked_for(&key)
            {
                let input = Map::new().with(device_pub_key::NAME, request);
                let request = device_pub_key::Request::parse(&input).unwrap();
                let mine = world.key(&key.key);
                let made = |be| {
                    let model = world.model(&key);
                    device_pub_key::prepare(&request, Algorithm::Es256, be, mine, model)
                };
                assert!(made(false).is_none());
                delivered.assert_made(made(true).unwrap());
                reproduced += 1;
            }
        }
        checked += 1;
    }
    assert_eq!((checked, reproduced), (15, 5));
}

pub(crate) fn supplemental_keys_are_made_to_the_byte_and_read_or_not_for_their_reason(
    all: &Node<'_>,
) {
    use supplemental_pub_keys::{Keys, NAME, Request, Scope, client_output, signed_output};
    let world = World::of(all);
    let (mut checked, mut made) = (0, 0);
    for entry in section(all, NAME) {
        let id = entry.text("id");
        let delivered = Delivered::of(&entry);
        let signatures = delivered.outputs.at(NAME).texts("signatures");
        let signatures: Vec<Vec<u8>> = signatures.into_iter().map(base64url).collect();
        let extensions = delivered.parsed.extensions.as_ref().unwrap();
        let verdict = match signed_output(extensions) {
            Err(error) => Verdict::List(error),
            Ok(keys) => delivered.verdict(&keys.unwrap(), &signatures),
        };
        assert_eq!(verdict, wanted(id), "{id}");
        let listed = signatures.iter().map(|one| one.clone().into());
        let unsigned = Map::new().with(NAME, listed.collect::<Vec<cbor::Value>>());
        let output = client_output(&delivered.parsed, &unsigned);
        assert_eq!(output, Ok(Some(signatures)), "{id}");
        if verdict == Verdict::Good {
            let keys = signed_output(extensions).unwrap().unwrap();
            for key in &keys {
                world.assert_attested(&entry, key);
            }
            let scopes = keys.iter().map(|key| key.scope.to_value());
            let scopes: Vec<cbor::Value> = scopes.collect();
            let mine = |scope| {
                let key = keys.iter().find(|key| key.scope == scope)?;
                Some(world.key(&key.key))
            };
            let mine = Keys {
                device: mine(Scope::Device),
                provider: mine(Scope::Provider),
            };
            // Vectors with several keys attest each in another way, which a request cannot ask for.
            if let [key] = keys.as_slice()
                && let Some(request) = asked_for(key)
            {
                let input = Map::new().with(NAME, request.with("scopes", scopes));
                let request = Request::parse(&input).unwrap();
                let prepare = |algorithm| {
                    supplemental_pub_keys::prepare(&request, algorithm, mine, world.model(key))
                };
                assert!(prepare(Algorithm::EdDsa).is_none());
                delivered.assert_made(prepare(Algorithm::Es256).unwrap());
                made += 1;
            }
        }
        checked += 1;
    }
    assert_eq!(
        (checked, made),
        (7, 0),
        "the only single key has a certificate"
    );
}

fn section<'v>(all: &Node<'v>, name: &str) -> Vec<Node<'v>> {
    let entries = all.list("vectors").into_iter();
    let entries = entries.filter(|entry| entry.kind("section") == name);
    let entries: Vec<Node<'v>> = entries.collect();
    for entry in &entries {
        assert_eq!(entry.text("section"), name);
    }
    entries
}

/// A request for what a key has, if it is something that is made here.
fn asked_for<S>(key: &AttestedKey<S>) -> Option<Map> {
    let conveyance = match key.attestation {
        Attestation::None => "none",
        Attestation::PackedSelf { .. } => "direct",
        _ => return None,
    };
    key.nonce
        .is_empty()
        .then(|| Map::new().with("attestation", conveyance))
}

/// What all vectors share.
struct World {
    keys: Vec<SigningKey>,
    device: Aaguid,
}

impl World {
    fn of(all: &Node<'_>) -> Self {
        let keys = all.at("keys").members().into_iter();
        let keys = keys.map(|(_, key)| SigningKey::from_pkcs8_der(&key.bytes("pkcs8")).unwrap());
        Self {
            keys: keys.collect(),
            device: Aaguid(all.at("meta").array("deviceAaguid")),
        }
    }

    fn key(&self, public: &CoseKey) -> &SigningKey {
        let mut keys = self.keys.iter();
        keys.find(|key| key.public_key() == *public).unwrap()
    }

    /// The model that the vector's authenticator told with an attestation.
    fn model<S>(&self, key: &AttestedKey<S>) -> Aaguid {
        match key.attestation {
            Attestation::None => self.device,
            _ => key.aaguid,
        }
    }

    fn assert_attested<S: Scope>(&self, entry: &Node<'_>, key: &AttestedKey<S>) {
        let id = entry.text("id");
        let certified = matches!(key.attestation, Attestation::PackedCertified { .. });
        let told = if certified {
            self.device
        } else {
            Aaguid([0; 16])
        };
        let same = key.aaguid == told;
        assert_eq!(same, id != "dpk-neg-x5c-aaguid", "{id}");
        if let Some(bytes) = entry.at("intermediate").get("attestationSignedBytes") {
            let bytes = hex::decode(bytes.value().as_str().unwrap()).unwrap();
            assert_eq!(key.attested_bytes(), bytes, "{id}");
        }
        if let Attestation::PackedSelf {
            algorithm,
            signature,
        } = &key.attestation
        {
            let signer = self.key(&key.key);
            assert_eq!(signer.sign(&key.attested_bytes()), *signature, "{id}");
            assert_eq!(signer.algorithm().id(), *algorithm, "{id}");
        }
    }
}

/// What comes to the relying party.
struct Delivered<'v> {
    parsed: AuthenticatorData,
    hash: ClientDataHash,
    outputs: Node<'v>,
    /// What an authenticator's own signatures are.
    signed: Vec<u8>,
}

impl<'v> Delivered<'v> {
    fn of(entry: &Node<'v>) -> Self {
        let (id, credential) = (entry.text("id"), entry.at("credential"));
        let response = credential.at("response");
        let auth_data = match entry.text("ceremony") {
            "create" => {
                let object = base64url(response.text("attestationObject"));
                let map = cbor::decode(&object).unwrap().into_map().unwrap();
                map.text("authData").unwrap().as_bytes().unwrap().to_vec()
            }
            _ => base64url(response.text("authenticatorData")),
        };
        let hash = Sha256::digest(base64url(response.text("clientDataJSON")));
        let hash = ClientDataHash(hash.into());
        let made = entry.at("intermediate");
        assert_eq!(made.bytes("authData"), auth_data, "{id}");
        assert_eq!(made.array("clientDataHash"), hash.0, "{id}");
        let signed = made.bytes("signedBytes");
        assert_eq!([auth_data.as_slice(), &hash.0].concat(), signed, "{id}");
        if let Some(before) = entry.get("recordBefore") {
            let passkey = CoseKey::parse(&before.bytes("publicKey")).unwrap();
            assert_eq!(passkey.algorithm().id(), before.integer("alg"));
            let signature = base64url(response.text("signature"));
            passkey.verify(&signed, &signature).unwrap();
        }
        if wanted(id) != Verdict::Good
            && let Some(bytes) = made.get("attestationSignedBytes")
        {
            bytes.skip("what the vector's authenticator signed instead");
        }
        name_what_only_relying_parties_look_at(entry);
        Self {
            parsed: AuthenticatorData::parse(&auth_data).unwrap(),
            hash,
            outputs: credential.at("clientExtensionResults"),
            signed,
        }
    }

    fn verdict<S: Scope>(&self, keys: &[AttestedKey<S>], signatures: &[Vec<u8>]) -> Verdict {
        if keys.len() != signatures.len() {
            return Verdict::Count;
        }
        for (key, signature) in keys.iter().zip(signatures) {
            if let Err(error) = key.key.verify(&self.signed, signature) {
                return Verdict::Signature(error);
            }
            if let Attestation::PackedSelf {
                algorithm,
                signature,
            } = &key.attestation
                && let Err(error) = key.verify_attestation(&key.key, *algorithm, signature)
            {
                return Verdict::Attestation(error);
            }
        }
        Verdict::Good
    }

    /// Both phases give what the vector has.
    fn assert_made(&self, prepared: impl Prepared) {
        let name = prepared.name();
        let mut answered = Answered::default();
        answered.push(prepared);
        assert_eq!(answered.signed_outputs(), self.parsed.extensions);
        let unsigned = answered.finish(self.parsed.as_bytes(), &self.hash);
        let made = unsigned.text(name).unwrap().as_bytes().unwrap();
        let outputs = self.outputs.at(name);
        assert_eq!(made, base64url(outputs.text("signature")));
    }
}

fn name_what_only_relying_parties_look_at(entry: &Node<'_>) {
    let skip = |from: &Node<'_>, names: &[&str]| {
        for value in names.iter().filter_map(|name| from.get(name)) {
            value.skip("checked in the relying party's tests");
        }
    };
    skip(entry, &["expected", "expectedInputs"]);
    if let Some(before) = entry.get("recordBefore") {
        let names = [
            "backupEligible",
            "cmtgKeyRecords",
            "credentialId",
            "devicePubKeys",
            "supplementalPubKeys",
            "userHandle",
        ];
        skip(&before, &names);
    }
    let credential = entry.at("credential");
    skip(
        &credential,
        &["authenticatorAttachment", "id", "rawId", "type"],
    );
    skip(&credential.at("response"), &["transports", "userHandle"]);
}

/// Whatever is altered in a key that holds, it is read as another, or not at all, and neither its
/// attestation nor its place in the authenticator data holds any more.
#[test]
fn no_bit_of_an_attested_key_can_be_altered() {
    let key = SigningKey::generate(Algorithm::Es256, &mut rand_core::OsRng);
    let good = AttestedKey::make(
        &key,
        device_pub_key::Scope::EntireDevice,
        Made::PackedSelf,
        Aaguid([7; 16]),
    );
    let bytes = good.to_map().encode();
    let mut read = 0;
    for (at, altered) in crate::common::trust::altered(&bytes) {
        let Ok(value) = cbor::decode(&altered) else {
            continue;
        };
        let Ok(altered) = AttestedKey::<device_pub_key::Scope>::parse(&value) else {
            continue;
        };
        read += 1;
        assert_ne!(altered, good, "byte {at}");
        let Attestation::PackedSelf {
            algorithm,
            signature,
        } = &altered.attestation
        else {
            continue;
        };
        let attested = altered.verify_attestation(&altered.key, *algorithm, signature);
        // The scope alone is not under the attestation; the authenticator data have it signed.
        assert_eq!(attested.is_ok(), altered.scope != good.scope, "byte {at}");
    }
    assert!(read > 80, "{read} of {} were read", bytes.len());
}
