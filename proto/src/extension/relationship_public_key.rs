//! `relationshipPublicKey`: the older name of `cmtgKey`, with the same key and the same signature
//! (`trust-group.md` §1.9). It is answered only where that is wanted.

use super::cmtg_key::{self, CmtgKeyError, CmtgKeyOutput, PreparedCmtgKey};
use crate::auth_data::AuthenticatorData;
use crate::cbor::Map;
use crate::cose::{Algorithm, SigningKey};

/// The extension's identifier.
pub const NAME: &str = "relationshipPublicKey";

/// Returns whether a request's extensions ask for the key: `"relationshipPublicKey": true`.
pub fn requested(extensions: &Map) -> bool {
    cmtg_key::requested_as(NAME, extensions)
}

/// Prepares the output for a passkey as [`cmtg_key::prepare`] does, under this name.
pub fn prepare(
    passkey: Algorithm,
    backup_eligible: bool,
    key: &SigningKey,
) -> Option<PreparedCmtgKey<'_>> {
    cmtg_key::prepare_as(NAME, passkey, backup_eligible, key)
}

/// Makes the client output from a response as [`cmtg_key::client_output`] does, of this name.
///
/// # Errors
///
/// [`CmtgKeyError`], which fails the request.
pub fn client_output(
    auth_data: &AuthenticatorData,
    unsigned: &Map,
) -> Result<Option<CmtgKeyOutput>, CmtgKeyError> {
    cmtg_key::client_output_as(NAME, auth_data, unsigned)
}
