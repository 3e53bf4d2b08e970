//! Authenticator data: what a passkey signs beside the client data (WebAuthn §6.1).

use core::ops::BitOr;

use thiserror::Error;

use crate::cbor::{self, AUTH_DATA_DEPTH, DecodeError, Map};
use crate::ids::{Aaguid, CredentialId, IdError};

/// Why bytes are no authenticator data.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum AuthDataError {
    /// The credential ID is empty or too long.
    #[error("the credential ID is not valid: {0}")]
    CredentialId(IdError),
    /// The extensions are not a canonical map.
    #[error("the extensions are not canonical CBOR: {0}")]
    Extensions(DecodeError),
    /// The extensions are CBOR, but no map.
    #[error("the extensions are no map")]
    ExtensionsNotMap,
    /// The public key is not canonical CBOR.
    #[error("the public key is not canonical CBOR: {0}")]
    PublicKey(DecodeError),
    /// Something follows what the flags announce.
    #[error("bytes follow the authenticator data")]
    TrailingBytes,
    /// The bytes end before what the flags announce.
    #[error("the authenticator data end too early")]
    Truncated,
}

/// The flags byte.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Flags(u8);

impl Flags {
    /// A person was present.
    pub const UP: Self = Self(0x01);
    /// The person was verified.
    pub const UV: Self = Self(0x04);
    /// The credential may be on several devices.
    pub const BE: Self = Self(0x08);
    /// The credential is on several devices, or backed up.
    pub const BS: Self = Self(0x10);
    /// Attested credential data follow.
    pub const AT: Self = Self(0x40);
    /// Extensions follow.
    pub const ED: Self = Self(0x80);

    /// Takes the byte; reserved bits are kept.
    pub fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// Returns the byte.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// Returns whether all of these are set.
    pub fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Returns these flags, and those too if `set`.
    #[must_use]
    pub fn with(self, flags: Self, set: bool) -> Self {
        if set {
            Self(self.0 | flags.0)
        } else {
            Self(self.0 & !flags.0)
        }
    }

    /// Returns UP.
    pub fn user_present(self) -> bool {
        self.contains(Self::UP)
    }

    /// Returns UV.
    pub fn user_verified(self) -> bool {
        self.contains(Self::UV)
    }

    /// Returns BE.
    pub fn backup_eligible(self) -> bool {
        self.contains(Self::BE)
    }

    /// Returns BS.
    pub fn backed_up(self) -> bool {
        self.contains(Self::BS)
    }

    /// Returns AT.
    pub fn has_attested_credential(self) -> bool {
        self.contains(Self::AT)
    }

    /// Returns ED.
    pub fn has_extensions(self) -> bool {
        self.contains(Self::ED)
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The new credential in the authenticator data of a registration.
#[derive(Clone, Debug, PartialEq)]
pub struct AttestedCredential {
    /// The authenticator's model.
    pub aaguid: Aaguid,
    /// The credential's name.
    pub credential_id: CredentialId,
    /// The credential's COSE_Key, as received: its algorithm may be one that we do not know.
    pub public_key: Vec<u8>,
}

/// Authenticator data, parsed, with the bytes that signatures cover.
#[derive(Clone, Debug, PartialEq)]
pub struct AuthenticatorData {
    /// SHA-256 of the RP ID.
    pub rp_id_hash: [u8; 32],
    /// The flags.
    pub flags: Flags,
    /// The signature counter.
    pub sign_count: u32,
    /// The new credential, if AT is set.
    pub attested: Option<AttestedCredential>,
    /// The extension outputs, if ED is set.
    pub extensions: Option<Map>,
    bytes: Vec<u8>,
}

impl AuthenticatorData {
    /// Reads authenticator data that must be all there is.
    ///
    /// # Errors
    ///
    /// [`AuthDataError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, AuthDataError> {
        let mut rest = bytes;
        let rp_id_hash = take_array(&mut rest)?;
        let [flags] = take_array(&mut rest)?;
        let flags = Flags::from_bits(flags);
        let sign_count = u32::from_be_bytes(take_array(&mut rest)?);
        let attested = match flags.has_attested_credential() {
            true => Some(take_attested(&mut rest)?),
            false => None,
        };
        let extensions = match flags.has_extensions() {
            true => Some(take_extensions(&mut rest)?),
            false => None,
        };
        if !rest.is_empty() {
            return Err(AuthDataError::TrailingBytes);
        }
        let bytes = bytes.to_vec();
        Ok(Self {
            rp_id_hash,
            flags,
            sign_count,
            attested,
            extensions,
            bytes,
        })
    }

    /// Puts authenticator data together; AT and ED are set by what is there.
    pub fn build(
        rp_id_hash: [u8; 32],
        flags: Flags,
        sign_count: u32,
        attested: Option<AttestedCredential>,
        extensions: Option<Map>,
    ) -> Self {
        let flags = flags
            .with(Flags::AT, attested.is_some())
            .with(Flags::ED, extensions.is_some());
        let mut bytes = rp_id_hash.to_vec();
        bytes.push(flags.bits());
        bytes.extend_from_slice(&sign_count.to_be_bytes());
        if let Some(attested) = &attested {
            let id = attested.credential_id.as_bytes();
            bytes.extend_from_slice(&attested.aaguid.0);
            // An ID has at most 1023 bytes.
            bytes.extend_from_slice(&u16::try_from(id.len()).unwrap_or(u16::MAX).to_be_bytes());
            bytes.extend_from_slice(id);
            bytes.extend_from_slice(&attested.public_key);
        }
        if let Some(extensions) = &extensions {
            bytes.extend_from_slice(&extensions.encode());
        }
        Self {
            rp_id_hash,
            flags,
            sign_count,
            attested,
            extensions,
            bytes,
        }
    }

    /// Returns the bytes that signatures cover.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], AuthDataError> {
    let (taken, left) = rest
        .split_at_checked(length)
        .ok_or(AuthDataError::Truncated)?;
    *rest = left;
    Ok(taken)
}

fn take_array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], AuthDataError> {
    let (taken, left) = rest.split_first_chunk().ok_or(AuthDataError::Truncated)?;
    *rest = left;
    Ok(*taken)
}

fn take_attested(rest: &mut &[u8]) -> Result<AttestedCredential, AuthDataError> {
    let aaguid = Aaguid(take_array(rest)?);
    let length = usize::from(u16::from_be_bytes(take_array(rest)?));
    let credential_id =
        CredentialId::from_bytes(take(rest, length)?).map_err(AuthDataError::CredentialId)?;
    let (_, length) =
        cbor::decode_prefix(rest, AUTH_DATA_DEPTH).map_err(AuthDataError::PublicKey)?;
    let public_key = take(rest, length)?.to_vec();
    Ok(AttestedCredential {
        aaguid,
        credential_id,
        public_key,
    })
}

fn take_extensions(rest: &mut &[u8]) -> Result<Map, AuthDataError> {
    let (value, length) =
        cbor::decode_prefix(rest, AUTH_DATA_DEPTH).map_err(AuthDataError::Extensions)?;
    take(rest, length)?;
    value.into_map().ok_or(AuthDataError::ExtensionsNotMap)
}
