//! The roots that a site believes, and whether certificates lead to one of them (RFC 5280 §6).

use handfast_proto::cose::CoseKey;
use rustls_pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm,
    TrustAnchor, UnixTime, alg_id,
};
use std::time::Duration;
use thiserror::Error;
use webpki::{EndEntityCert, Error, KeyUsage, anchor_from_trusted_cert};

use super::certificate::{eddsa_key, es256_key};

/// Why certificates lead to no root that is believed.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum PathFault {
    /// One of them is not what it must be, or its signature does not hold.
    #[error("a certificate on the way to a root does not hold")]
    Invalid,
    /// One of them is not valid at this time.
    #[error("a certificate on the way to a root is not valid at this time")]
    NotNow,
    /// They end at somebody who is not believed.
    #[error("the certificates lead to no root that is believed")]
    Unknown,
}

/// A certificate that cannot be a root.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[error("the root is not an X.509 certificate in DER")]
pub struct NotARoot;

/// Roots that a site believes.
#[derive(Clone, Debug, Default)]
pub struct Roots(Vec<TrustAnchor<'static>>);

impl Roots {
    /// Takes the certificates of authorities, X.509 in DER.
    ///
    /// # Errors
    ///
    /// [`NotARoot`].
    pub fn new(certificates: &[Vec<u8>]) -> Result<Self, NotARoot> {
        let roots = certificates.iter().map(|der| {
            let certificate = CertificateDer::from(der.as_slice());
            anchor_from_trusted_cert(&certificate).map(|root| root.to_owned())
        });
        let roots: Result<Vec<_>, _> = roots.collect();
        roots.map(Self).map_err(|_| NotARoot)
    }

    /// Checks that certificates, as [`super::Proof::Certificates`] has them, lead to one of these
    /// roots at this time (seconds since 1970). Whether one was revoked is not asked.
    ///
    /// # Errors
    ///
    /// [`PathFault`].
    pub fn vouch(&self, certificates: &[Vec<u8>], now: u64) -> Result<(), PathFault> {
        let certificates = certificates.iter();
        let certificates: Vec<CertificateDer<'_>> = certificates
            .map(|der| CertificateDer::from(der.as_slice()))
            .collect();
        let (leaf, others) = certificates.split_first().ok_or(PathFault::Invalid)?;
        let leaf = EndEntityCert::try_from(leaf).map_err(fault)?;
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
        // Certificates for attestations name no use; one that does must name this.
        let usage = KeyUsage::client_auth();
        leaf.verify_for_usage(ALGORITHMS, &self.0, others, now, usage, None, None)
            .map(|_| ())
            .map_err(fault)
    }
}

fn fault(error: Error) -> PathFault {
    match error {
        Error::CertExpired { .. } | Error::CertNotValidYet { .. } => PathFault::NotNow,
        Error::UnknownIssuer => PathFault::Unknown,
        _ => PathFault::Invalid,
    }
}

const ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[&Signing::Es256, &Signing::EdDsa];

/// How certificates are signed, as far as that is verified here.
#[derive(Debug)]
enum Signing {
    EdDsa,
    Es256,
}

impl SignatureVerificationAlgorithm for Signing {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let key: Option<CoseKey> = match self {
            Self::EdDsa => eddsa_key(public_key),
            Self::Es256 => es256_key(public_key),
        };
        key.and_then(|key| key.verify(message, signature).ok())
            .ok_or(InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        match self {
            Self::EdDsa => alg_id::ED25519,
            Self::Es256 => alg_id::ECDSA_P256,
        }
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        match self {
            Self::EdDsa => alg_id::ED25519,
            Self::Es256 => alg_id::ECDSA_SHA256,
        }
    }
}
