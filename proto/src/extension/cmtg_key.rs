//! `cmtgKey`: a second key beside the passkey, which never left the owner's trust group
//! (`trust-group.md` §1).

use thiserror::Error;

use super::Prepared;
use crate::auth_data::AuthenticatorData;
use crate::cbor::{Map, Value};
use crate::cose::{Algorithm, SigningKey};
use crate::ids::ClientDataHash;

/// The extension's identifier.
pub const NAME: &str = "cmtgKey";

/// A name that one draft had for the input alone (`trust-group.md` §1.8).
pub const FORMER_INPUT: &str = "credentialManagerTrustGroupKey";

/// Why a phone's outputs make no client output.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum CmtgKeyError {
    /// An output is no byte string.
    #[error("a cmtgKey output is not a byte string")]
    NotBytes,
    /// There is a signature for a key that the authenticator data do not have.
    #[error("there is a cmtgKey signature without a key")]
    SignatureWithoutKey,
}

/// Both halves of the output, as a page gets them.
#[derive(Clone, Debug, PartialEq)]
pub struct CmtgKeyOutput {
    /// The COSE_Key, byte for byte.
    pub public_key: Vec<u8>,
    /// The signature over authenticator data and client data hash.
    pub signature: Vec<u8>,
}

/// Returns whether a request's extensions ask for the key: `"cmtgKey": true`.
pub fn requested(extensions: &Map) -> bool {
    requested_as(NAME, extensions)
}

/// Returns whether they ask for it by the name that one draft had.
pub fn requested_by_former_name(extensions: &Map) -> bool {
    requested_as(FORMER_INPUT, extensions)
}

pub(super) fn requested_as(name: &str, extensions: &Map) -> bool {
    extensions.text(name).and_then(Value::as_bool) == Some(true)
}

/// The extension with its key in hand.
#[derive(Debug)]
pub struct PreparedCmtgKey<'k> {
    name: &'static str,
    key: &'k SigningKey,
}

/// Prepares the output for a passkey, if it can have one: only a passkey that may be on several
/// devices has, and only a key of its own algorithm fits.
pub fn prepare(
    passkey: Algorithm,
    backup_eligible: bool,
    key: &SigningKey,
) -> Option<PreparedCmtgKey<'_>> {
    prepare_as(NAME, passkey, backup_eligible, key)
}

pub(super) fn prepare_as<'k>(
    name: &'static str,
    passkey: Algorithm,
    backup_eligible: bool,
    key: &'k SigningKey,
) -> Option<PreparedCmtgKey<'k>> {
    let fits = backup_eligible && key.algorithm() == passkey;
    fits.then_some(PreparedCmtgKey { name, key })
}

impl Prepared for PreparedCmtgKey<'_> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn signed_output(&self) -> Option<Value> {
        Some(self.key.public_key().as_bytes().into())
    }

    fn finish(self: Box<Self>, auth_data: &[u8], hash: &ClientDataHash) -> Option<Value> {
        Some(self.key.sign(&[auth_data, &hash.0].concat()).into())
    }
}

/// Makes the client output from a response. A key without signature is no output.
///
/// # Errors
///
/// [`CmtgKeyError`], which fails the request.
pub fn client_output(
    auth_data: &AuthenticatorData,
    unsigned: &Map,
) -> Result<Option<CmtgKeyOutput>, CmtgKeyError> {
    client_output_as(NAME, auth_data, unsigned)
}

pub(super) fn client_output_as(
    name: &str,
    auth_data: &AuthenticatorData,
    unsigned: &Map,
) -> Result<Option<CmtgKeyOutput>, CmtgKeyError> {
    let bytes = |value: &Value| {
        value
            .as_bytes()
            .map(<[u8]>::to_vec)
            .ok_or(CmtgKeyError::NotBytes)
    };
    let signed = auth_data
        .extensions
        .as_ref()
        .and_then(|extensions| extensions.text(name));
    match (signed, unsigned.text(name)) {
        (Some(key), Some(signature)) => Ok(Some(CmtgKeyOutput {
            public_key: bytes(key)?,
            signature: bytes(signature)?,
        })),
        (Some(key), None) => bytes(key).map(|_| None),
        (None, Some(_)) => Err(CmtgKeyError::SignatureWithoutKey),
        (None, None) => Ok(None),
    }
}
