//! Authentication, complete (`passkeys-and-ctap2.md` §4.2).

use handfast_proto::auth_data::AuthenticatorData;
use handfast_proto::ids::{CredentialId, UserHandle};

use crate::client_data::{Expected, check as check_client_data};
use crate::cmtg::{self, Ceremony, Mode, Outcome};
use crate::compat::{self, Outcomes};
use crate::record::CredentialRecord;
use crate::registration::check_auth_data;
use crate::response::AuthenticationResponse;
use crate::rule::Rule;

/// For whom the attempt is.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// The account, if it was known beforehand.
    pub user: Option<UserHandle>,
    /// The passkeys that were listed; none means any.
    pub allowed: Vec<CredentialId>,
}

/// An authentication that was found good. Nothing is stored yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Authenticated {
    /// The record with what this use changes, but for trust-group keys.
    pub record: CredentialRecord,
    /// What came of the trust-group key.
    pub cmtg: Outcome,
    /// What came of the extensions that WebAuthn has no more. Where it says so
    /// ([`Outcomes::reject`]), the sign-in must be rejected.
    pub compat: Outcomes,
    /// Whether another device was used than the one with the browser.
    pub cross_platform: bool,
}

/// Verifies an authentication response against the record that its ID names.
///
/// # Errors
///
/// The [`Rule`] that was broken.
pub fn verify(
    response: &AuthenticationResponse,
    expected: &Expected,
    attempt: &Attempt,
    record: &CredentialRecord,
    now: u64,
    mode: Mode,
) -> Result<Authenticated, Rule> {
    // Step 1.
    if !attempt.allowed.is_empty() && !attempt.allowed.contains(&response.id) {
        return Err(Rule::CredentialNotAllowed);
    }
    // Step 2.
    if record.id != response.id {
        return Err(Rule::CredentialIdMismatch);
    }
    check_user(response, attempt, record)?;
    // Step 3.
    let hash = check_client_data(&response.client_data, "webauthn.get", expected)?;
    // Step 4.
    let auth_data = AuthenticatorData::parse(&response.authenticator_data)
        .map_err(|_| Rule::AuthenticatorData)?;
    if auth_data.attested.is_some() {
        return Err(Rule::AuthenticatorData);
    }
    check_auth_data(&auth_data, expected)?;
    if auth_data.flags.backup_eligible() != record.backup_eligible {
        return Err(Rule::BackupEligibilityChanged);
    }
    // Step 5.
    let message = [auth_data.as_bytes(), &hash.0].concat();
    record
        .public_key
        .verify(&message, &response.signature)
        .map_err(|_| Rule::Signature)?;
    // Step 6.
    let counts = auth_data.sign_count != 0 || record.sign_count != 0;
    if counts && auth_data.sign_count <= record.sign_count {
        return Err(Rule::SignatureCounter);
    }
    // Step 7.
    let ceremony = Ceremony {
        requested: expected.cmtg_key,
        auth_data: &auth_data,
        hash: &hash,
        passkey: record.public_key.as_bytes(),
        algorithm: Some(record.public_key.algorithm()),
        records: &record.cmtg,
    };
    let cmtg = cmtg::check(ceremony, response.cmtg.as_ref(), mode);
    let ceremony = compat::Ceremony {
        requested: expected.compat,
        auth_data: &auth_data,
        hash: &hash,
        passkey: &record.public_key,
        records: Some(&record.compat),
        cmtg: &record.cmtg,
    };
    let compat = ceremony.check(&response.compat, mode);
    // Step 8.
    let mut record = record.clone();
    record.sign_count = auth_data.sign_count;
    record.backed_up = auth_data.flags.backed_up();
    record.last_used = now;
    Ok(Authenticated {
        record,
        cmtg,
        compat,
        cross_platform: response.cross_platform,
    })
}

fn check_user(
    response: &AuthenticationResponse,
    attempt: &Attempt,
    record: &CredentialRecord,
) -> Result<(), Rule> {
    let named = response.user_handle.as_ref();
    let consistent = match &attempt.user {
        Some(user) => *user == record.user_handle && named.is_none_or(|named| named == user),
        None => named == Some(&record.user_handle),
    };
    if consistent {
        Ok(())
    } else {
        Err(Rule::UserHandle)
    }
}
