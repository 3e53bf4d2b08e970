//! Private keys as documents have them: PKCS#8 in DER (RFC 5958).

use handfast_proto::cose::SigningKey;
use pkcs8::{ObjectIdentifier, PrivateKeyInfo};
use thiserror::Error;

/// Why a private key cannot be used.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum KeyFault {
    /// It names an algorithm that is used here, but is no key of it; or its public part is that of
    /// another key.
    #[error("its key contradicts itself")]
    Broken,
    /// It is not an unencrypted PKCS#8 key.
    #[error("its key is not PKCS#8")]
    NotPkcs8,
    /// It is of an algorithm that is not used here.
    #[error("its key is of {0}; only P-256 and Ed25519 are supported")]
    Unsupported(&'static str),
}

const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

const OTHER_CURVES: [(&str, &str); 4] = [
    ("1.2.840.10045.3.1.1", "curve P-192"),
    ("1.3.132.0.10", "curve secp256k1"),
    ("1.3.132.0.34", "curve P-384"),
    ("1.3.132.0.35", "curve P-521"),
];

const OTHER_ALGORITHMS: [(&str, &str); 7] = [
    ("1.2.840.113549.1.1.1", "RSA"),
    ("1.2.840.113549.1.1.10", "RSA (PSS)"),
    ("1.3.101.110", "X25519"),
    ("1.3.101.113", "Ed448"),
    ("2.16.840.1.101.3.4.3.17", "ML-DSA-44"),
    ("2.16.840.1.101.3.4.3.18", "ML-DSA-65"),
    ("2.16.840.1.101.3.4.3.19", "ML-DSA-87"),
];

/// Reads a private key, with its public part if that is there.
pub(super) fn read(der: &[u8]) -> Result<SigningKey, KeyFault> {
    let info = PrivateKeyInfo::try_from(der).map_err(|_| KeyFault::NotPkcs8)?;
    let named = |others: &[(&str, &'static str)], oid: ObjectIdentifier, otherwise| {
        let oid = oid.to_string();
        let name = others.iter().find(|(other, _)| *other == oid);
        KeyFault::Unsupported(name.map_or(otherwise, |(_, name)| name))
    };
    match info.algorithm.oid {
        EC => match info.algorithm.parameters_oid() {
            Ok(P256) => {}
            Ok(curve) => return Err(named(&OTHER_CURVES, curve, "another curve")),
            Err(_) => return Err(KeyFault::Unsupported("a curve without a name")),
        },
        ED25519 => {}
        other => return Err(named(&OTHER_ALGORITHMS, other, "another algorithm")),
    }
    SigningKey::from_pkcs8_der(der).map_err(|_| KeyFault::Broken)
}
