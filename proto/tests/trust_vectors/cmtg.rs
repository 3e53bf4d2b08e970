//! The vectors of `cmtgKey`, as far as the protocol goes: what an authenticator makes, and which
//! part of it cannot be read or does not hold. What a relying party makes of it is its own test.

use handfast_proto::auth_data::{AuthDataError, AuthenticatorData};
use handfast_proto::cbor::{self, DecodeError, Map};
use handfast_proto::cose::{Algorithm, CoseError, CoseKey, SignatureError, SigningKey};
use handfast_proto::extension::cmtg_key::CmtgKeyOutput;
use handfast_proto::extension::{Answered, cmtg_key, relationship_public_key};
use handfast_proto::ids::{Aaguid, ClientDataHash, RpId};
use sha2::{Digest, Sha256};

use crate::common::vectors::Node;

/// The client of this vector alters the authenticator data itself.
const ZEROED_AAGUID: &str = "neg-create-client-zeroed-aaguid";

/// What the protocol says of a vector's group key.
#[derive(Debug, PartialEq)]
enum Verdict {
    /// There is none.
    Absent,
    AuthData(AuthDataError),
    /// It holds.
    Good,
    Key(CoseError),
    Signature(SignatureError),
}

/// The verdict that each vector must have. A negative one that is good here breaks a rule that only
/// a relying party knows.
fn wanted(id: &str) -> Verdict {
    let key = |error| Verdict::Key(CoseError::Cbor(error));
    match id {
        "cmtg-create-not-backup-eligible" | "cmtg-get-absent" | "neg-client-injects-output" => {
            Verdict::Absent
        }
        "neg-alg-label" => Verdict::Key(CoseError::UnsupportedAlgorithm),
        "neg-authdata-extension-order" => {
            Verdict::AuthData(AuthDataError::Extensions(DecodeError::KeyOrder))
        }
        "neg-authdata-trailing-byte" | "neg-ed-flag-clear" => {
            Verdict::AuthData(AuthDataError::TrailingBytes)
        }
        "neg-cose-compressed-point" | "neg-cose-extra-parameter" | "neg-cose-no-alg" => {
            Verdict::Key(CoseError::Members)
        }
        "neg-cose-duplicate-key" => key(DecodeError::DuplicateKey),
        "neg-cose-indefinite-map" => key(DecodeError::IndefiniteLength),
        "neg-cose-key-order" => key(DecodeError::KeyOrder),
        "neg-cose-non-minimal-int" => key(DecodeError::NonMinimalHead),
        "neg-cose-off-curve" => Verdict::Key(CoseError::NotOnCurve),
        "neg-cose-trailing-byte" => key(DecodeError::TrailingBytes),
        "neg-signature-der-trailing" | "neg-signature-raw-rs" => {
            Verdict::Signature(SignatureError::Malformed)
        }
        ZEROED_AAGUID
        | "neg-create-signature-flipped"
        | "neg-eddsa-signature-flipped"
        | "neg-signature-flipped"
        | "neg-signature-other-key"
        | "neg-signs-authdata-only" => Verdict::Signature(SignatureError::Mismatch),
        _ => Verdict::Good,
    }
}

pub(crate) fn group_keys_are_read_and_their_signatures_hold_or_not_for_their_reason(
    all: &Node<'_>,
) {
    let keys = all.at("keys").members().into_iter();
    let keys = keys.map(|(_, key)| SigningKey::from_pkcs8_der(&key.bytes("pkcs8")).unwrap());
    let keys: Vec<SigningKey> = keys.collect();
    let meta = all.at("meta");
    let mut checked = 0;
    for entry in all.list("vectors") {
        match entry.kind("section") {
            // Checked beside this.
            "devicePubKey" | "supplementalPubKeys" => continue,
            section => assert!(section.starts_with("cmtg-"), "{section} is not named"),
        }
        let delivered = Delivered::of(&entry);
        check(&entry, &delivered, &keys);
        if let Ok(parsed) = AuthenticatorData::parse(&delivered.auth_data) {
            let rp_id = RpId::parse(meta.text("rpId")).unwrap();
            assert_eq!(parsed.rp_id_hash, rp_id.hash(), "{}", entry.path());
            let model = parsed.attested.map(|attested| attested.aaguid);
            let listed = Aaguid(meta.array("aaguid"));
            let altered = entry.text("id") == ZEROED_AAGUID;
            assert_eq!(model.is_some_and(|model| model != listed), altered);
        }
        checked += 1;
    }
    assert_eq!(checked, 50);
}

/// What comes to the relying party.
struct Delivered {
    auth_data: Vec<u8>,
    hash: ClientDataHash,
    /// The client's output.
    key: Option<Vec<u8>>,
    signature: Option<Vec<u8>>,
    /// The client's output under the extension's older name.
    older: Option<CmtgKeyOutput>,
}

impl Delivered {
    fn of(entry: &Node<'_>) -> Self {
        let credential = entry.at("credential");
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
        let outputs = credential.at("clientExtensionResults");
        let member = |extension, name| {
            let output = outputs.get(extension)?.get(name)?;
            Some(base64url(output.value().as_str().unwrap()))
        };
        let rpk = relationship_public_key::NAME;
        Self {
            auth_data,
            hash: ClientDataHash(hash.into()),
            key: member(cmtg_key::NAME, "cmtgKey"),
            signature: member(cmtg_key::NAME, "signature"),
            older: member(rpk, rpk).map(|public_key| CmtgKeyOutput {
                public_key,
                signature: member(rpk, "signature").unwrap(),
            }),
        }
    }

    fn signed(&self) -> Vec<u8> {
        [self.auth_data.as_slice(), &self.hash.0].concat()
    }

    /// Without a signature, or with another key than the signed one, a relying party has its own
    /// rules; those are good here.
    fn verdict(&self) -> Verdict {
        let parsed = match AuthenticatorData::parse(&self.auth_data) {
            Ok(parsed) => parsed,
            Err(error) => return Verdict::AuthData(error),
        };
        let extensions = parsed.extensions.unwrap_or_default();
        let Some(key) = extensions.text(cmtg_key::NAME) else {
            return Verdict::Absent;
        };
        let key = match CoseKey::parse(key.as_bytes().unwrap()) {
            Ok(key) => key,
            Err(error) => return Verdict::Key(error),
        };
        match &self.signature {
            Some(signature) if self.key.as_deref() == Some(key.as_bytes()) => {
                match key.verify(&self.signed(), signature) {
                    Ok(()) => Verdict::Good,
                    Err(error) => Verdict::Signature(error),
                }
            }
            _ => Verdict::Good,
        }
    }
}

fn check(entry: &Node<'_>, delivered: &Delivered, keys: &[SigningKey]) {
    const LYING_CLIENTS: [&str; 3] = [
        "neg-missing-signature",
        "neg-client-substitutes-key",
        "neg-client-drops-output",
    ];
    let (id, _) = (entry.text("id"), entry.text("section"));
    let made = entry.at("intermediate");
    let (auth_data, hash) = (made.bytes("authData"), made.array("clientDataHash"));
    assert_eq!(
        [auth_data.as_slice(), &hash].concat(),
        made.bytes("signedBytes")
    );
    assert_eq!(hash, delivered.hash.0, "{id}");
    assert_eq!(
        auth_data != delivered.auth_data,
        id == ZEROED_AAGUID,
        "{id}"
    );
    if made.has("cmtgSignature") {
        let passed_on = delivered.signature == Some(made.bytes("cmtgSignature"));
        assert_eq!(passed_on, !LYING_CLIENTS.contains(&id), "{id}");
    }
    let verdict = delivered.verdict();
    assert_eq!(verdict, wanted(id), "{id}");
    if verdict == Verdict::Good && !id.starts_with("neg-") {
        assert_reproduced(id, &made, delivered, keys);
    }
    assert_never_made(id, delivered);
    assert_passkey_signature(entry, delivered);
    name_what_only_relying_parties_look_at(entry);
}

/// Both phases of the extension give what the vector has, and the client its output of them.
fn assert_reproduced(id: &str, made: &Node<'_>, delivered: &Delivered, keys: &[SigningKey]) {
    let parsed = AuthenticatorData::parse(&delivered.auth_data).unwrap();
    let public = delivered.key.clone().unwrap();
    let mut keys = keys.iter();
    let key = keys.find(|key| key.public_key().as_bytes() == public);
    let key = key.unwrap();
    let prepared = cmtg_key::prepare(key.algorithm(), parsed.flags.backup_eligible(), key).unwrap();
    let mut answered = Answered::default();
    answered.push(prepared);
    let mut signed = Map::new().with(cmtg_key::NAME, public.clone());
    if delivered.older.is_some() {
        let older = relationship_public_key::prepare(key.algorithm(), true, key);
        answered.push(older.unwrap());
        signed = signed.with(relationship_public_key::NAME, public);
    }
    assert_eq!(answered.signed_outputs(), Some(signed.clone()));
    let extensions = parsed.extensions.as_ref().unwrap();
    for (name, value) in signed.iter() {
        assert_eq!(extensions.get(name), Some(value), "{id}");
    }
    let unsigned = answered.finish(&delivered.auth_data, &delivered.hash);
    let signature = unsigned.text(cmtg_key::NAME).unwrap();
    let same = signature.as_bytes().map(<[u8]>::to_vec) == Some(made.bytes("cmtgSignature"));
    // Both values of S are good, and one vector has the other.
    assert_eq!(same, id != "cmtg-get-high-s", "{id}");
    let older = relationship_public_key::client_output(&parsed, &unsigned);
    assert_eq!(
        older.unwrap(),
        delivered.older,
        "{id}: one signature for both names"
    );
    let unsigned = Map::new().with(cmtg_key::NAME, made.bytes("cmtgSignature"));
    let output = cmtg_key::client_output(&parsed, &unsigned)
        .unwrap()
        .unwrap();
    assert_eq!(Some(output.public_key), delivered.key);
    assert_eq!(Some(output.signature), delivered.signature);
}

/// Some outputs no authenticator of ours would make.
fn assert_never_made(id: &str, delivered: &Delivered) {
    let (algorithm, backup_eligible) = match id {
        "neg-not-backup-eligible-output" | "cmtg-create-not-backup-eligible" => {
            let parsed = AuthenticatorData::parse(&delivered.auth_data).unwrap();
            assert!(!parsed.flags.backup_eligible());
            (Algorithm::Es256, false)
        }
        "neg-wrong-alg" => (Algorithm::EdDsa, true),
        _ => return,
    };
    let key = SigningKey::generate(algorithm, &mut rand_core::OsRng);
    assert!(cmtg_key::prepare(Algorithm::Es256, backup_eligible, &key).is_none());
}

fn assert_passkey_signature(entry: &Node<'_>, delivered: &Delivered) {
    let Some(before) = entry.get("recordBefore") else {
        return;
    };
    let passkey = CoseKey::parse(&before.bytes("publicKey")).unwrap();
    assert_eq!(passkey.algorithm().id(), before.integer("alg"));
    let signature = base64url(entry.at("credential").at("response").text("signature"));
    let good = entry.text("id") != "neg-passkey-signature-bad";
    let verified = passkey.verify(&delivered.signed(), &signature);
    assert_eq!(verified.is_ok(), good, "{}: {verified:?}", entry.path());
}

fn name_what_only_relying_parties_look_at(entry: &Node<'_>) {
    let skip = |from: &Node<'_>, names: &[&str]| {
        for value in names.iter().filter_map(|name| from.get(name)) {
            value.skip("checked in the relying party's tests");
        }
    };
    skip(
        entry,
        &["expected", "expectedByDraftText", "expectedInputs"],
    );
    if let Some(before) = entry.get("recordBefore") {
        let names = [
            "backupEligible",
            "cmtgKeyRecords",
            "credentialId",
            "userHandle",
        ];
        skip(&before, &names);
    }
    let credential = entry.at("credential");
    let names = ["authenticatorAttachment", "id", "rawId", "type"];
    skip(&credential, &names);
    skip(&credential.at("response"), &["transports", "userHandle"]);
    for (name, result) in credential.at("clientExtensionResults").members() {
        for (member, value) in result.members() {
            if ![name, "signature"].contains(&member) {
                value.skip("checked in the relying party's tests");
            }
        }
    }
}

/// Base64 with the alphabet for URLs, without padding (RFC 4648 §5).
pub(crate) fn base64url(text: &str) -> Vec<u8> {
    let value = |letter: u8| match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        _ => panic!("{text} is not base64url"),
    };
    let mut bytes = Vec::new();
    for chunk in text.as_bytes().chunks(4) {
        let letters = chunk.iter();
        let bits = letters.fold(0_u32, |bits, letter| {
            (bits << 6) | u32::from(value(*letter))
        });
        let bits = bits << (6 * (4 - chunk.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..chunk.len()]);
    }
    bytes
}
