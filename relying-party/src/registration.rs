//! Registration, complete (`passkeys-and-ctap2.md` §4.1).

use handfast_proto::auth_data::AuthenticatorData;
use handfast_proto::cbor::{self, Map, Value};
use handfast_proto::cose::{CoseError, CoseKey};
use handfast_proto::ids::{ClientDataHash, UserHandle};

use crate::client_data::{Expected, check as check_client_data};
use crate::cmtg::{self, Ceremony, Mode, Outcome};
use crate::compat::{self, KeyRecords, Outcomes};
use crate::record::CredentialRecord;
use crate::response::RegistrationResponse;
use crate::rule::Rule;

/// The attestation object is a map of a map of a list; certificates nest no deeper.
const DEPTH: usize = 4;

/// A registration that was found good. Nothing is stored yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Registered {
    /// The record to store, without a trust-group key.
    pub record: CredentialRecord,
    /// What came of the trust-group key.
    pub cmtg: Outcome,
    /// What came of the extensions that WebAuthn has no more. Where it says so
    /// ([`Outcomes::reject`]), the registration must be rejected.
    pub compat: Outcomes,
}

/// Verifies a registration response. Whether the credential is registered already is the store's
/// to say: [`crate::store::Store::add_credential`].
///
/// # Errors
///
/// The [`Rule`] that was broken.
pub fn verify(
    response: &RegistrationResponse,
    expected: &Expected,
    algorithms: &[i64],
    user: &UserHandle,
    now: u64,
    mode: Mode,
) -> Result<Registered, Rule> {
    // Step 2.
    let hash = check_client_data(&response.client_data, "webauthn.create", expected)?;
    // Step 3.
    let object = cbor::decode_with_depth(&response.attestation_object, DEPTH);
    let object = object
        .ok()
        .and_then(Value::into_map)
        .ok_or(Rule::Malformed)?;
    let member = |name| object.text(name).ok_or(Rule::Malformed);
    let auth_data = member("authData")?.as_bytes().ok_or(Rule::Malformed)?;
    let auth_data = AuthenticatorData::parse(auth_data).map_err(|_| Rule::AuthenticatorData)?;
    // Step 4.
    check_auth_data(&auth_data, expected)?;
    let attested = auth_data.attested.as_ref().ok_or(Rule::AuthenticatorData)?;
    if attested.credential_id != response.id {
        return Err(Rule::CredentialIdMismatch);
    }
    // Step 5.
    let key = offered_key(&attested.public_key, algorithms)?;
    // Step 6.
    let format = member("fmt")?.as_text().ok_or(Rule::Malformed)?;
    let statement = member("attStmt")?.as_map().ok_or(Rule::Malformed)?;
    check_attestation(format, statement, &auth_data, &hash, &key)?;
    // Step 9, after all that the ceremony itself needs.
    let ceremony = Ceremony {
        requested: expected.cmtg_key,
        auth_data: &auth_data,
        hash: &hash,
        passkey: key.as_bytes(),
        algorithm: Some(key.algorithm()),
        records: &[],
    };
    let cmtg = cmtg::check(ceremony, response.cmtg.as_ref(), mode);
    let ceremony = compat::Ceremony {
        requested: expected.compat,
        auth_data: &auth_data,
        hash: &hash,
        passkey: &key,
        records: None,
        cmtg: &[],
    };
    let compat = ceremony.check(&response.compat, mode);
    // Step 8.
    let record = CredentialRecord {
        id: response.id.clone(),
        user_handle: user.clone(),
        sign_count: auth_data.sign_count,
        backup_eligible: auth_data.flags.backup_eligible(),
        backed_up: auth_data.flags.backed_up(),
        uv_initialized: auth_data.flags.user_verified(),
        transports: response.transports.clone(),
        created_at: now,
        last_used: now,
        cmtg: Vec::new(),
        compat: KeyRecords::default(),
        public_key: key,
    };
    Ok(Registered {
        record,
        cmtg,
        compat,
    })
}

fn offered_key(bytes: &[u8], algorithms: &[i64]) -> Result<CoseKey, Rule> {
    let key = CoseKey::parse(bytes).map_err(|error| match error {
        // What cannot be verified here was not offered either.
        CoseError::UnsupportedAlgorithm => Rule::AlgorithmNotOffered,
        _ => Rule::PublicKey,
    })?;
    match algorithms.contains(&key.algorithm().id()) {
        true => Ok(key),
        false => Err(Rule::AlgorithmNotOffered),
    }
}

/// The checks that both ceremonies share.
pub(crate) fn check_auth_data(data: &AuthenticatorData, expected: &Expected) -> Result<(), Rule> {
    if data.rp_id_hash != expected.rp_id.hash() {
        return Err(Rule::RpIdHash);
    }
    if !data.flags.user_present() {
        return Err(Rule::UserPresence);
    }
    if expected.user_verification && !data.flags.user_verified() {
        return Err(Rule::UserVerification);
    }
    if data.flags.backed_up() && !data.flags.backup_eligible() {
        return Err(Rule::BackupStateImpossible);
    }
    Ok(())
}

/// Accepts `none` and `packed` self attestation: this site has no list of manufacturers to trust,
/// so a certificate would prove nothing to it.
fn check_attestation(
    format: &str,
    statement: &Map,
    auth_data: &AuthenticatorData,
    hash: &ClientDataHash,
    key: &CoseKey,
) -> Result<(), Rule> {
    match format {
        "none" if statement.is_empty() => Ok(()),
        "none" => Err(Rule::AttestationInvalid),
        "packed" if statement.text("x5c").is_some() => Err(Rule::AttestationUnsupported),
        "packed" => {
            let algorithm = statement.text("alg").and_then(Value::as_i64);
            let signature = statement.text("sig").and_then(Value::as_bytes);
            let signature = signature.ok_or(Rule::AttestationInvalid)?;
            if algorithm != Some(key.algorithm().id()) || statement.len() != 2 {
                return Err(Rule::AttestationInvalid);
            }
            let message = [auth_data.as_bytes(), &hash.0].concat();
            key.verify(&message, signature)
                .map_err(|_| Rule::AttestationInvalid)
        }
        _ => Err(Rule::AttestationUnsupported),
    }
}
