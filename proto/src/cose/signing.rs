//! Private keys.

use core::fmt;
use std::sync::OnceLock;

use ecdsa::hazmat::SignPrimitive as _;
use ed25519_dalek::Signer as _;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, KeypairBytes};
use p256::NistP256;
use p256::ecdsa::VerifyingKey;
use p256::elliptic_curve::ALGORITHM_OID;
use p256::pkcs8::spki::AlgorithmIdentifierRef;
use p256::pkcs8::{AssociatedOid as _, PrivateKeyInfo, SecretDocument};
use rand_core::CryptoRngCore;
use sec1::EcPrivateKey;
use sec1::der::{Decode as _, Encode as _};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{Algorithm, CoseError, CoseKey};

/// A private key. It is wiped from memory when it is dropped, and prints nothing of itself.
pub struct SigningKey(PrivateKey);

enum PrivateKey {
    EdDsa(Box<ed25519_dalek::SigningKey>),
    Es256(Es256Key),
}

/// A key whose public half is made when it is needed: to make it takes as long as to sign.
struct Es256Key {
    private: p256::SecretKey,
    public: OnceLock<VerifyingKey>,
}

impl Es256Key {
    fn new(private: p256::SecretKey) -> Self {
        Self {
            private,
            public: OnceLock::new(),
        }
    }

    fn public(&self) -> &VerifyingKey {
        self.public.get_or_init(|| self.private.public_key().into())
    }

    /// Signs as RFC 6979 says. No message is known for which that fails.
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let scalar = self.private.to_nonzero_scalar();
        let hash = Sha256::digest(message);
        scalar
            .try_sign_prehashed_rfc6979::<Sha256>(&hash, &[])
            .map(|(signature, _)| signature.to_der().as_bytes().to_vec())
            .unwrap_or_default()
    }

    fn to_pkcs8_der(&self) -> Option<SecretDocument> {
        let scalar = Zeroizing::new(self.private.to_bytes());
        let public = self.public().to_encoded_point(false);
        let key = EcPrivateKey {
            private_key: &scalar,
            parameters: None,
            public_key: Some(public.as_bytes()),
        };
        let key = Zeroizing::new(key.to_der().ok()?);
        let algorithm = AlgorithmIdentifierRef {
            oid: ALGORITHM_OID,
            parameters: Some((&NistP256::OID).into()),
        };
        SecretDocument::encode_msg(&PrivateKeyInfo::new(algorithm, &key)).ok()
    }

    /// Reads a key whose public half, if there is one, is not looked at.
    fn unchecked(der: &[u8]) -> Option<Self> {
        let info = PrivateKeyInfo::try_from(der).ok()?;
        info.algorithm
            .assert_oids(ALGORITHM_OID, NistP256::OID)
            .ok()?;
        let key = EcPrivateKey::from_der(info.private_key).ok()?;
        p256::SecretKey::from_slice(key.private_key)
            .ok()
            .map(Self::new)
    }
}

impl SigningKey {
    /// Makes a new key.
    pub fn generate(algorithm: Algorithm, mut rng: &mut dyn CryptoRngCore) -> Self {
        Self(match algorithm {
            Algorithm::Es256 => PrivateKey::Es256(Es256Key::new(p256::SecretKey::random(&mut rng))),
            Algorithm::EdDsa => {
                let mut seed = Zeroizing::new([0; 32]);
                rng.fill_bytes(seed.as_mut());
                PrivateKey::EdDsa(Box::new(ed25519_dalek::SigningKey::from_bytes(&seed)))
            }
        })
    }

    /// Reads an unencrypted PKCS#8 key, DER (RFC 5958); the algorithm is the key's own.
    ///
    /// # Errors
    ///
    /// [`CoseError::Pkcs8`].
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, CoseError> {
        match p256::SecretKey::from_pkcs8_der(der) {
            Ok(key) => Ok(Self(PrivateKey::Es256(Es256Key::new(key)))),
            Err(_) => Self::ed_dsa(der),
        }
    }

    /// Reads what [`Self::to_pkcs8_der`] made, without the time that it takes to see whether its two
    /// halves belong together.
    ///
    /// # Errors
    ///
    /// [`CoseError::Pkcs8`].
    ///
    /// # Security
    ///
    /// For ES256 a public half that does not belong to the private one is not noticed, and not
    /// used: [`Self::public_key`] makes it anew. Whatever comes from outside should be read by
    /// [`Self::from_pkcs8_der`], which refuses it.
    pub fn danger_from_own_pkcs8_der(der: &[u8]) -> Result<Self, CoseError> {
        match Es256Key::unchecked(der) {
            Some(key) => Ok(Self(PrivateKey::Es256(key))),
            None => Self::ed_dsa(der),
        }
    }

    fn ed_dsa(der: &[u8]) -> Result<Self, CoseError> {
        let key = ed25519_dalek::SigningKey::from_pkcs8_der(der).map_err(|_| CoseError::Pkcs8)?;
        Ok(Self(PrivateKey::EdDsa(Box::new(key))))
    }

    /// Returns the key as unencrypted PKCS#8, DER.
    ///
    /// # Errors
    ///
    /// [`CoseError::Pkcs8`] if it cannot be written, which no key that was made here is known for.
    pub fn to_pkcs8_der(&self) -> Result<Zeroizing<Vec<u8>>, CoseError> {
        let document = match &self.0 {
            PrivateKey::Es256(key) => key.to_pkcs8_der(),
            // RFC 8410's first version, without the public key, is what the vectors and most
            // importers have.
            PrivateKey::EdDsa(key) => KeypairBytes {
                secret_key: key.to_bytes(),
                public_key: None,
            }
            .to_pkcs8_der()
            .ok(),
        };
        document
            .map(|document| document.to_bytes())
            .ok_or(CoseError::Pkcs8)
    }

    /// Returns the key's algorithm.
    pub fn algorithm(&self) -> Algorithm {
        match self.0 {
            PrivateKey::EdDsa(_) => Algorithm::EdDsa,
            PrivateKey::Es256(_) => Algorithm::Es256,
        }
    }

    /// Returns the public key.
    pub fn public_key(&self) -> CoseKey {
        match &self.0 {
            PrivateKey::Es256(key) => CoseKey::from_es256(*key.public()),
            PrivateKey::EdDsa(key) => CoseKey::from_eddsa(key.verifying_key()),
        }
    }

    /// Signs a message. The signature is the same each time (RFC 6979, RFC 8032).
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.0 {
            PrivateKey::Es256(key) => key.sign(message),
            PrivateKey::EdDsa(key) => key.sign(message).to_bytes().to_vec(),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}

#[cfg(test)]
mod tests {
    use p256::ecdsa::signature::Signer as _;
    use rand_core::OsRng;

    use super::*;

    #[test]
    fn a_key_that_is_read_without_a_look_signs_as_one_that_was_looked_at() {
        for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
            let key = SigningKey::generate(algorithm, &mut OsRng);
            let der = key.to_pkcs8_der().unwrap();
            let looked = SigningKey::from_pkcs8_der(&der).unwrap();
            let own = SigningKey::danger_from_own_pkcs8_der(&der).unwrap();
            for read in [looked, own] {
                assert_eq!(read.algorithm(), algorithm);
                assert_eq!(read.sign(b"message"), key.sign(b"message"));
                assert_eq!(read.public_key(), key.public_key());
                assert_eq!(read.to_pkcs8_der().unwrap(), der);
            }
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_library_itself() {
        let key = SigningKey::generate(Algorithm::Es256, &mut OsRng);
        let der = key.to_pkcs8_der().unwrap();
        let theirs = p256::ecdsa::SigningKey::from_pkcs8_der(&der).unwrap();
        let document = p256::SecretKey::from(&theirs).to_pkcs8_der().unwrap();
        assert_eq!(document.as_bytes(), der.as_slice());
        let signature: p256::ecdsa::DerSignature = theirs.sign(b"message");
        assert_eq!(key.sign(b"message"), signature.as_bytes());
    }

    #[test]
    fn halves_that_do_not_belong_together_are_refused_where_they_are_looked_at() {
        let key = SigningKey::generate(Algorithm::Es256, &mut OsRng);
        let other = SigningKey::generate(Algorithm::Es256, &mut OsRng);
        let mut der = key.to_pkcs8_der().unwrap().to_vec();
        let end = der.len() - 65;
        let others = other.to_pkcs8_der().unwrap();
        der[end..].copy_from_slice(&others[end..]);
        assert_eq!(
            SigningKey::from_pkcs8_der(&der).unwrap_err(),
            CoseError::Pkcs8
        );
        let read = SigningKey::danger_from_own_pkcs8_der(&der).unwrap();
        assert_eq!(read.public_key(), key.public_key());
    }

    #[test]
    fn what_is_no_key_is_refused_however_it_is_read() {
        let key = SigningKey::generate(Algorithm::Es256, &mut OsRng);
        let der = key.to_pkcs8_der().unwrap();
        let mut zero = der.to_vec();
        zero[36..68].fill(0);
        for wrong in [
            &der[..der.len() - 1],
            &[&der[..], &[0]].concat(),
            &[],
            &zero,
        ] {
            assert!(SigningKey::from_pkcs8_der(wrong).is_err());
            assert!(SigningKey::danger_from_own_pkcs8_der(wrong).is_err());
        }
    }
}
