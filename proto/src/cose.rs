//! COSE keys of the two algorithms that passkeys use here: ES256 and EdDSA (RFC 9053, WebAuthn
//! §5.8.5). A public key keeps the bytes that it came in.

mod signing;

use core::fmt;

use p256::ecdsa::signature::Verifier as _;
use sha2::{Digest, Sha256};
use thiserror::Error;

pub use signing::SigningKey;

use crate::cbor::{self, DecodeError, Map};

/// Why bytes are no key.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum CoseError {
    /// The bytes are not canonical CBOR.
    #[error("the key is not canonical CBOR: {0}")]
    Cbor(#[from] DecodeError),
    /// A member is missing, of the wrong type or size, or too many.
    #[error("the key does not have exactly the members of its algorithm")]
    Members,
    /// The point is not on the curve, or the private key is not in its range.
    #[error("the key is not a point of its curve")]
    NotOnCurve,
    /// A private key that is not PKCS#8 of a known algorithm.
    #[error("the private key is not PKCS#8 of a supported algorithm")]
    Pkcs8,
    /// Another algorithm than ES256 and EdDSA.
    #[error("the algorithm is not supported")]
    UnsupportedAlgorithm,
}

/// Why a signature does not hold.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum SignatureError {
    /// It is not of the algorithm's form; for ES256 that is minimal DER without trailing bytes.
    #[error("the signature is malformed")]
    Malformed,
    /// It is not of this key and message.
    #[error("the signature does not match")]
    Mismatch,
}

/// A signature algorithm, by its COSE number.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Algorithm {
    /// −8: Ed25519, 64 bytes.
    EdDsa,
    /// −7: ECDSA with P-256 and SHA-256, DER.
    Es256,
}

impl Algorithm {
    /// Returns the COSE number.
    pub fn id(self) -> i64 {
        match self {
            Self::EdDsa => -8,
            Self::Es256 => -7,
        }
    }

    /// Returns the algorithm of a COSE number, if it is one of ours.
    pub fn from_id(id: i64) -> Option<Self> {
        match id {
            -8 => Some(Self::EdDsa),
            -7 => Some(Self::Es256),
            _ => None,
        }
    }
}

/// The first 16 bytes of SHA-256 over a COSE key (`trust-group.md` §1.5).
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct KeyId(pub [u8; 16]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// A public key with the bytes that it came in; two are equal if their bytes are.
#[derive(Clone)]
pub struct CoseKey {
    bytes: Vec<u8>,
    key: PublicKey,
}

#[derive(Clone)]
enum PublicKey {
    EdDsa(ed25519_dalek::VerifyingKey),
    Es256(p256::ecdsa::VerifyingKey),
}

impl CoseKey {
    /// Reads a COSE_Key: canonical, with exactly the members of its algorithm, on its curve, and
    /// nothing after it.
    ///
    /// # Errors
    ///
    /// [`CoseError`] tells which of these it is not.
    pub fn parse(bytes: &[u8]) -> Result<Self, CoseError> {
        let value = cbor::decode(bytes)?;
        let map = value.as_map().ok_or(CoseError::Members)?;
        let number = |label| map.int(label).and_then(|value| value.as_i64());
        let algorithm = number(3).ok_or(CoseError::Members)?;
        let key = match Algorithm::from_id(algorithm) {
            Some(Algorithm::Es256) => {
                if map.len() != 5 || number(1) != Some(2) || number(-1) != Some(1) {
                    return Err(CoseError::Members);
                }
                let point = [&[0x04], coordinate(map, -2)?, coordinate(map, -3)?].concat();
                let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&point);
                PublicKey::Es256(key.map_err(|_| CoseError::NotOnCurve)?)
            }
            Some(Algorithm::EdDsa) => {
                if map.len() != 4 || number(1) != Some(1) || number(-1) != Some(6) {
                    return Err(CoseError::Members);
                }
                let x = coordinate(map, -2)?
                    .try_into()
                    .map_err(|_| CoseError::Members)?;
                let key = ed25519_dalek::VerifyingKey::from_bytes(&x);
                PublicKey::EdDsa(key.map_err(|_| CoseError::NotOnCurve)?)
            }
            None => return Err(CoseError::UnsupportedAlgorithm),
        };
        Ok(Self {
            bytes: bytes.to_vec(),
            key,
        })
    }

    /// Returns the COSE_Key, byte for byte as it came.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the key's algorithm.
    pub fn algorithm(&self) -> Algorithm {
        match self.key {
            PublicKey::EdDsa(_) => Algorithm::EdDsa,
            PublicKey::Es256(_) => Algorithm::Es256,
        }
    }

    /// Checks a signature. For ES256 it must be minimal DER; a high S is accepted.
    ///
    /// # Errors
    ///
    /// [`SignatureError`].
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        match &self.key {
            PublicKey::Es256(key) => {
                let parsed = p256::ecdsa::DerSignature::from_bytes(signature)
                    .ok()
                    .filter(|parsed| parsed.as_bytes() == signature)
                    .and_then(|parsed| p256::ecdsa::Signature::try_from(parsed).ok());
                let parsed = parsed.ok_or(SignatureError::Malformed)?;
                // DER parsing is lenient here and there; writing it again shows any slack.
                if parsed.to_der().as_bytes() != signature {
                    return Err(SignatureError::Malformed);
                }
                key.verify(message, &parsed)
                    .map_err(|_| SignatureError::Mismatch)
            }
            PublicKey::EdDsa(key) => {
                let parsed = ed25519_dalek::Signature::from_slice(signature)
                    .map_err(|_| SignatureError::Malformed)?;
                key.verify_strict(message, &parsed)
                    .map_err(|_| SignatureError::Mismatch)
            }
        }
    }

    /// Returns the key as SubjectPublicKeyInfo, DER (RFC 5280 §4.1.2.7).
    pub fn spki_der(&self) -> Vec<u8> {
        // Both forms have a fixed head, so no ASN.1 writer is needed for two constants.
        const ES256: &[u8] = &[
            0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
            0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
        ];
        const EDDSA: &[u8] = &[
            0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
        ];
        match &self.key {
            PublicKey::Es256(key) => [ES256, key.to_encoded_point(false).as_bytes()].concat(),
            PublicKey::EdDsa(key) => [EDDSA, key.as_bytes()].concat(),
        }
    }

    /// Returns the key's short name.
    pub fn key_id(&self) -> KeyId {
        let hash: [u8; 32] = Sha256::digest(&self.bytes).into();
        let mut id = [0; 16];
        id.copy_from_slice(hash.split_at(16).0);
        KeyId(id)
    }

    fn from_es256(key: p256::ecdsa::VerifyingKey) -> Self {
        let point = key.to_encoded_point(false);
        let (_, x_y) = point.as_bytes().split_at(1);
        let (x, y) = x_y.split_at(32);
        let map = Map::new()
            .with(1, 2)
            .with(3, -7)
            .with(-1, 1)
            .with(-2, x)
            .with(-3, y);
        Self {
            bytes: map.encode(),
            key: PublicKey::Es256(key),
        }
    }

    fn from_eddsa(key: ed25519_dalek::VerifyingKey) -> Self {
        let map = Map::new()
            .with(1, 1)
            .with(3, -8)
            .with(-1, 6)
            .with(-2, key.as_bytes());
        Self {
            bytes: map.encode(),
            key: PublicKey::EdDsa(key),
        }
    }
}

fn coordinate(map: &Map, label: i64) -> Result<&[u8], CoseError> {
    map.int(label)
        .and_then(|value| value.as_bytes())
        .filter(|bytes| bytes.len() == 32)
        .ok_or(CoseError::Members)
}

impl PartialEq for CoseKey {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for CoseKey {}

impl fmt::Debug for CoseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CoseKey({:?}, {})", self.algorithm(), self.key_id())
    }
}
