//! Keys with an attestation of their own, as the vectors do not have them.

use handfast_proto::auth_data::{AuthenticatorData, Flags};
use handfast_proto::cbor::{DecodeError, Map, Value};
use handfast_proto::cose::{Algorithm, CoseError, SignatureError, SigningKey};
use handfast_proto::extension::attested_key::{
    Attestation, AttestationError, AttestedKey, AttestedKeyError, Made, Scope,
};
use handfast_proto::extension::supplemental_pub_keys::{self, SupplementalPubKeysError};
use handfast_proto::extension::{device_pub_key, relationship_public_key};
use handfast_proto::ids::{Aaguid, ClientDataHash, RpId};
use handfast_relying_party::authentication::{self, Attempt};
use handfast_relying_party::cmtg::{self, CmtgFault, Mode};
use handfast_relying_party::compat::{
    AttestationFault, ClientOutputs, KeyError, KeyFault, KeyRecords, MAX_KEY_RECORDS, Outcome,
    Outcomes, Proof, Requested, Standing,
};
use handfast_relying_party::record::CredentialRecord;
use handfast_relying_party::{AuthenticationResponse, Expected, Rule};
use rand_core::OsRng;
use sha2::{Digest, Sha256};

pub(crate) const MODEL: Aaguid = Aaguid([5; 16]);
pub(crate) const ENTIRE: device_pub_key::Scope = device_pub_key::Scope::EntireDevice;
const DEVICE: supplemental_pub_keys::Scope = supplemental_pub_keys::Scope::Device;
const PROVIDER: supplemental_pub_keys::Scope = supplemental_pub_keys::Scope::Provider;

pub(crate) fn new_key() -> SigningKey {
    SigningKey::generate(Algorithm::Es256, &mut OsRng)
}

/// A passkey's sign-ins, with extensions as a test wants them.
pub(crate) struct World {
    passkey: SigningKey,
    record: CredentialRecord,
    expected: Expected,
    response: AuthenticationResponse,
    flags: Flags,
}

impl World {
    pub(crate) fn new() -> Self {
        let all = super::vectors("trust-group.json");
        let mut vectors = all["vectors"].as_array().unwrap().iter();
        let vector = vectors.find(|vector| vector["id"] == "dpk-get-known-none");
        let vector = vector.unwrap();
        let mut expected = super::expected(&vector["expectedInputs"]);
        expected.compat = Requested {
            device_pub_key: true,
            relationship_public_key: true,
            supplemental_pub_keys: true,
        };
        let mut record = super::record(&vector["recordBefore"]);
        record.compat = KeyRecords::default();
        let key = all["keys"]["credentialEs256"]["pkcs8"].as_str().unwrap();
        Self {
            passkey: SigningKey::from_pkcs8_der(&hex::decode(key).unwrap()).unwrap(),
            record,
            expected,
            response: AuthenticationResponse::from_json(&vector["credential"]).unwrap(),
            flags: Flags::UP | Flags::UV | Flags::BE,
        }
    }

    /// Signs in with these extensions in the authenticator data, and what `client` makes of the
    /// bytes that every key signs.
    fn sign_in(&self, extensions: Map, client: impl FnOnce(&[u8]) -> ClientOutputs) -> Outcomes {
        self.try_sign_in(extensions, client).unwrap()
    }

    fn try_sign_in(
        &self,
        extensions: Map,
        client: impl FnOnce(&[u8]) -> ClientOutputs,
    ) -> Result<Outcomes, Rule> {
        let hash = ClientDataHash(Sha256::digest(&self.response.client_data).into());
        let rp = RpId::parse("example.org").unwrap().hash();
        let extensions = (!extensions.is_empty()).then_some(extensions);
        let data = AuthenticatorData::build(rp, self.flags, 0, None, extensions);
        let signed = [data.as_bytes(), &hash.0].concat();
        let response = AuthenticationResponse {
            authenticator_data: data.as_bytes().to_vec(),
            signature: self.passkey.sign(&signed),
            compat: client(&signed),
            ..self.response.clone()
        };
        let attempt = Attempt {
            user: None,
            allowed: Vec::new(),
        };
        let mode = Mode::Strict;
        authentication::verify(&response, &self.expected, &attempt, &self.record, 1, mode)
            .map(|done| done.compat)
    }

    /// Signs in with a device key's output.
    pub(crate) fn device(
        &self,
        key: &SigningKey,
        output: Map,
    ) -> Outcome<Standing<device_pub_key::Scope>> {
        let extensions = Map::new().with(device_pub_key::NAME, output);
        let sign = |signed: &[u8]| device_signature(key.sign(signed));
        self.sign_in(extensions, sign).device_pub_key
    }

    /// Signs in with supplemental keys' outputs.
    fn supplemental(
        &self,
        keys: &[(&SigningKey, supplemental_pub_keys::Scope)],
    ) -> Outcome<Vec<Standing<supplemental_pub_keys::Scope>>> {
        let outputs = keys.iter().map(|(key, scope)| {
            let output = AttestedKey::make(key, *scope, Made::PackedSelf, MODEL);
            output.to_map().into()
        });
        let outputs: Vec<Value> = outputs.collect();
        let sign = |signed: &[u8]| ClientOutputs {
            supplemental_pub_keys: Some(keys.iter().map(|(key, _)| key.sign(signed)).collect()),
            ..ClientOutputs::default()
        };
        let extensions = Map::new().with(supplemental_pub_keys::NAME, outputs);
        self.sign_in(extensions, sign).supplemental_pub_keys
    }
}

fn device_signature(signature: Vec<u8>) -> ClientOutputs {
    ClientOutputs {
        device_pub_key: Some(signature),
        ..ClientOutputs::default()
    }
}

fn output(key: &SigningKey, made: Made) -> Map {
    AttestedKey::make(key, ENTIRE, made, MODEL).to_map()
}

pub(crate) fn mismatch() -> AttestationFault {
    AttestationFault::Signature(AttestationError::Signature(SignatureError::Mismatch))
}

#[test]
fn no_bit_of_a_device_keys_signature_can_be_altered() {
    let (world, key) = (World::new(), new_key());
    let extensions = || Map::new().with(device_pub_key::NAME, output(&key, Made::None));
    let mut length = 0;
    let mut at = 0;
    while at <= length {
        let outcomes = world.sign_in(extensions(), |signed| {
            let mut signature = key.sign(signed);
            length = signature.len() - 1;
            signature[at] ^= 1 << (at % 8);
            device_signature(signature)
        });
        let invalid = Outcome::Invalid(KeyFault::Signature(SignatureError::Mismatch));
        let malformed = Outcome::Invalid(KeyFault::Signature(SignatureError::Malformed));
        assert!(
            outcomes.device_pub_key == invalid || outcomes.device_pub_key == malformed,
            "byte {at}: {outcomes:?}"
        );
        assert!(outcomes.reject());
        at += 1;
    }
    // What was signed cannot be altered without the passkey.
    let mut altered = World::new();
    altered.passkey = new_key();
    let sign = |signed: &[u8]| device_signature(key.sign(signed));
    assert_eq!(
        altered.try_sign_in(extensions(), sign),
        Err(Rule::Signature)
    );
}

#[test]
fn a_device_key_that_does_not_fit_its_passkey_is_invalid() {
    let invalid = |fault| Outcome::Invalid(fault);
    let world = World::new();
    let other = SigningKey::generate(Algorithm::EdDsa, &mut OsRng);
    let found = world.device(&other, output(&other, Made::PackedSelf));
    assert_eq!(found, invalid(KeyFault::Algorithm));
    let found = world.device(&world.passkey, output(&world.passkey, Made::None));
    assert_eq!(found, invalid(KeyFault::PasskeyItself));

    let mut single = World::new();
    single.flags = Flags::UP | Flags::UV;
    single.record.backup_eligible = false;
    let key = new_key();
    let found = single.device(&key, output(&key, Made::None));
    assert_eq!(found, invalid(KeyFault::NotBackupEligible));
}

#[test]
fn an_output_in_one_place_only_is_invalid_and_an_unasked_one_is_not_looked_at() {
    let (mut world, key) = (World::new(), new_key());
    let signed = || Map::new().with(device_pub_key::NAME, output(&key, Made::None));
    let nothing = |_: &[u8]| ClientOutputs::default();
    let unsigned = |signed: &[u8]| device_signature(key.sign(signed));
    let one_sided = Outcome::Invalid(KeyFault::OneSided);
    assert_eq!(world.sign_in(signed(), nothing).device_pub_key, one_sided);
    assert_eq!(
        world.sign_in(Map::new(), unsigned).device_pub_key,
        one_sided
    );
    let found = world.sign_in(Map::new(), nothing);
    assert_eq!(found.device_pub_key, Outcome::Absent);
    assert_eq!(found.supplemental_pub_keys, Outcome::Absent);
    assert!(!found.reject());
    world.expected.compat = Requested::default();
    let found = world.sign_in(signed(), unsigned);
    assert_eq!(found.device_pub_key, Outcome::Unsolicited);
    assert_eq!(found.supplemental_pub_keys, Outcome::NotRequested);
    let found = world.sign_in(Map::new(), nothing);
    assert_eq!(found.device_pub_key, Outcome::NotRequested);
}

#[test]
fn a_signed_output_of_another_shape_is_invalid() {
    let (world, key) = (World::new(), new_key());
    let good = || output(&key, Made::PackedSelf);
    let trailing = [key.public_key().as_bytes(), &[0]].concat();
    let statement = Map::new().with("alg", -7).with("sig", [1]);
    let cbor = CoseError::Cbor(DecodeError::TrailingBytes);
    for (bad, fault) in [
        (good().with("dpk", trailing), AttestedKeyError::Key(cbor)),
        (good().with("dpk", "text"), AttestedKeyError::Members),
        (good().with("aaguid", [0; 15]), AttestedKeyError::Aaguid),
        (good().with("nonce", [0; 33]), AttestedKeyError::Nonce),
        (good().with("scope", 2), AttestedKeyError::Scope),
        (good().with("scope", -1), AttestedKeyError::Scope),
        (good().with("scope", "device"), AttestedKeyError::Scope),
        (good().with("epAtt", 1), AttestedKeyError::Enterprise),
        (
            good().with("attStmt", statement.clone().with("x", 1)),
            AttestedKeyError::Statement,
        ),
        (
            good().with(
                "attStmt",
                statement.clone().with("x5c", Vec::<Value>::new()),
            ),
            AttestedKeyError::Statement,
        ),
        (
            good().with("attStmt", Map::new()),
            AttestedKeyError::Statement,
        ),
        (
            good().with("fmt", "none"),
            AttestedKeyError::StatementNotEmpty,
        ),
        (good().with("fmt", 1), AttestedKeyError::Members),
        (Map::new(), AttestedKeyError::Members),
    ] {
        let found = world.device(&key, bad);
        assert_eq!(found, Outcome::Invalid(KeyFault::Output(fault)));
    }
}

#[test]
fn the_table_of_sign_ins_holds_row_by_row() {
    let (mut world, key) = (World::new(), new_key());
    let bare = || output(&key, Made::None);
    let attested = || output(&key, Made::PackedSelf);
    let new = |outcome| match outcome {
        Outcome::Presented(Standing::New(key)) => key,
        other => panic!("{other:?}"),
    };
    let known = |outcome| match outcome {
        Outcome::Presented(Standing::Known(key)) => key,
        other => panic!("{other:?}"),
    };
    let error = |outcome| match outcome {
        Outcome::Presented(Standing::Error(error)) => error,
        other => panic!("{other:?}"),
    };
    // None, and the key is not known.
    assert_eq!(new(world.device(&key, bare())).proof, Proof::Nobody);
    let first = new(world.device(&key, attested()));
    assert_eq!(first.proof, Proof::Itself);
    let wrong = AttestedKey::make(&key, DEVICE, Made::PackedSelf, MODEL);
    let wrong = attested().with("attStmt", wrong.attestation.statement());
    let bad = error(world.device(&key, wrong.clone()));
    assert_eq!(bad, KeyError::Attestation(mismatch()), "the other prefix");
    let tpm = || {
        attested()
            .with("fmt", "tpm")
            .with("attStmt", Map::new().with("ver", "2.0"))
    };
    let unknown = error(world.device(&key, tpm()));
    assert_eq!(unknown, KeyError::Attestation(AttestationFault::Format));

    // One, with the same statement, with another that is good, and with one that is not.
    world.record.compat.device = vec![first.record.clone()];
    assert_eq!(known(world.device(&key, attested())), first);
    let mut fresh = AttestedKey::make(&key, ENTIRE, Made::PackedSelf, MODEL);
    fresh.nonce = vec![1; 32];
    fresh.attestation = Attestation::PackedSelf {
        algorithm: -7,
        signature: key.sign(&fresh.attested_bytes()),
    };
    assert_eq!(
        known(world.device(&key, fresh.to_map())).proof,
        Proof::Itself
    );
    let stale = fresh.to_map().with("nonce", [2; 32]);
    assert_eq!(
        error(world.device(&key, stale)),
        KeyError::Attestation(mismatch())
    );
    let claims = Map::new()
        .with("alg", -8)
        .with("sig", key.sign(&fresh.attested_bytes()));
    let claims = fresh.to_map().with("attStmt", claims);
    let algorithm = AttestationFault::Signature(AttestationError::Algorithm);
    assert_eq!(
        error(world.device(&key, claims)),
        KeyError::Attestation(algorithm)
    );
    // A statement that was stored is compared as bytes, whatever it says.
    let mut stored = first.record.clone();
    stored.format = "tpm".to_owned();
    stored.statement = Map::new().with("ver", "2.0").encode();
    world.record.compat.device = vec![stored];
    assert_eq!(known(world.device(&key, tpm())).proof, Proof::Nobody);

    // None, but the key is known elsewhere: with another model, and with another scope.
    world.record.compat.device = vec![first.record.clone()];
    assert_eq!(error(world.device(&key, bare())), KeyError::Moved);
    let moved = AttestedKey::make(&key, device_pub_key::Scope::PerApp, Made::PackedSelf, MODEL);
    assert_eq!(error(world.device(&key, moved.to_map())), KeyError::Moved);
    // More than one.
    world.record.compat.device = vec![first.record.clone(), first.record];
    assert_eq!(error(world.device(&key, attested())), KeyError::Ambiguous);
}

#[test]
fn supplemental_keys_stand_each_for_itself_and_are_sorted() {
    let (mut world, one, two) = (World::new(), new_key(), new_key());
    let found = world.supplemental(&[(&two, PROVIDER), (&one, DEVICE)]);
    let order = Outcome::Invalid(KeyFault::List(SupplementalPubKeysError::Order));
    assert_eq!(found, order);
    assert_eq!(world.supplemental(&[(&one, DEVICE), (&two, DEVICE)]), order);
    let empty = Outcome::Invalid(KeyFault::List(SupplementalPubKeysError::Empty));
    assert_eq!(world.supplemental(&[]), empty);
    let foreign = SigningKey::generate(Algorithm::EdDsa, &mut OsRng);
    let found = world.supplemental(&[(&one, DEVICE), (&foreign, PROVIDER)]);
    assert_eq!(found, Outcome::Invalid(KeyFault::Algorithm));

    let keys = [(&one, DEVICE), (&two, PROVIDER)];
    let Outcome::Presented(standings) = world.supplemental(&keys) else {
        panic!("they hold");
    };
    let [Standing::New(device), Standing::New(_)] = standings.as_slice() else {
        panic!("{standings:?}");
    };
    world.record.compat.supplemental = vec![device.record.clone(), device.record.clone()];
    let Outcome::Presented(standings) = world.supplemental(&keys) else {
        panic!("they hold");
    };
    assert_eq!(standings[0], Standing::Error(KeyError::Ambiguous));
    assert!(matches!(standings[1], Standing::New(_)), "{standings:?}");
    // Scope `provider` belongs to one extension, scope 0 to the other.
    let wrong = output(&one, Made::None).with("scope", PROVIDER.to_value());
    let found = world.device(&one, wrong);
    assert_eq!(
        found,
        Outcome::Invalid(KeyFault::Output(AttestedKeyError::Scope))
    );
}

#[test]
fn the_older_name_of_the_trust_groups_key_follows_the_same_rules() {
    let (world, key, other) = (World::new(), new_key(), new_key());
    let name = relationship_public_key::NAME;
    let signed = Map::new().with(name, key.public_key().as_bytes());
    let client = |public: &SigningKey| {
        let public_key = public.public_key().as_bytes().to_vec();
        let signature = |bytes: &[u8]| key.sign(bytes);
        move |bytes: &[u8]| ClientOutputs {
            relationship_public_key: Some(handfast_relying_party::CmtgOutput {
                public_key,
                signature: signature(bytes),
            }),
            ..ClientOutputs::default()
        }
    };
    let found = world.sign_in(signed.clone(), client(&key));
    let new = cmtg::Outcome::NewGroup(key.public_key());
    assert_eq!(found.relationship_public_key, new);
    let found = world.sign_in(signed, client(&other));
    let differs = cmtg::Outcome::Invalid(CmtgFault::ClientDiffers);
    assert_eq!(found.relationship_public_key, differs);
    assert!(found.reject());
}

#[test]
fn what_is_learned_is_known_and_the_oldest_gives_way() {
    let (mut world, first) = (World::new(), new_key());
    let extensions =
        |key: &SigningKey| Map::new().with(device_pub_key::NAME, output(key, Made::None));
    let learn = |world: &mut World, key: &SigningKey| {
        let sign = |signed: &[u8]| device_signature(key.sign(signed));
        let outcomes = world.sign_in(extensions(key), sign);
        world.record.compat.learn(&outcomes);
        outcomes.device_pub_key
    };
    let found = learn(&mut world, &first);
    assert!(matches!(found, Outcome::Presented(Standing::New(_))));
    let found = learn(&mut world, &first);
    assert!(matches!(found, Outcome::Presented(Standing::Known(_))));
    assert_eq!(world.record.compat.device.len(), 1, "it is kept once");
    for _ in 0..MAX_KEY_RECORDS {
        learn(&mut world, &new_key());
    }
    assert_eq!(world.record.compat.device.len(), MAX_KEY_RECORDS);
    let found = learn(&mut world, &first);
    assert!(matches!(found, Outcome::Presented(Standing::New(_))));
}
