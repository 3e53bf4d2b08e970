//! Whom a TLS connection to a relay trusts.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::{CertificateError, ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use thiserror::Error;
use tracing::info;

/// Why the trust anchors cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The file with an additional anchor cannot be read.
    #[error("the certificate file {} cannot be used: {reason}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// TLS itself could not be set up.
    #[error("TLS could not be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// The system's trust anchors and perhaps one more file of them.
#[derive(Clone, Debug)]
pub struct TlsTrust(Arc<ClientConfig>);

impl TlsTrust {
    /// Reads the anchors. A system without any is no error: then only `additional` counts.
    ///
    /// # Errors
    ///
    /// [`TlsError`].
    pub fn new(additional: Option<&Path>) -> Result<Self, TlsError> {
        let mut roots = match additional {
            Some(path) => anchor_store(path)?,
            None => RootCertStore::empty(),
        };
        // The system's store may hold what no parser takes; an additional file may not.
        roots.add_parsable_certificates(system_anchors());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    /// Returns the configuration for `rustls`.
    pub fn client_config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0)
    }
}

/// Returns the system's trust anchors, as many as can be read.
pub fn system_anchors() -> Vec<CertificateDer<'static>> {
    rustls_native_certs::load_native_certs().certs
}

/// Returns the trust anchors of a file, each one that a certificate can be checked with. Those of the
/// system, which take much longer, are not read.
///
/// # Errors
///
/// [`TlsError::CaFile`].
pub fn file_anchors(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable(path, error))?;
    if certificates.is_empty() {
        return Err(unusable(path, "it holds no certificate"));
    }
    store(path, &certificates).map(|_| certificates)
}

fn anchor_store(path: &Path) -> Result<RootCertStore, TlsError> {
    store(path, &file_anchors(path)?)
}

/// Returns why the other side's certificate is not accepted, if it is that by which TLS failed.
pub fn distrusted(error: &io::Error) -> Option<&'static str> {
    let tls = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    match tls {
        rustls::Error::InvalidCertificate(fault) => Some(distrust(fault)),
        _ => None,
    }
}

/// Says it in words.
fn distrust(fault: &CertificateError) -> &'static str {
    use CertificateError as Fault;
    match fault {
        Fault::BadSignature => "its signature is wrong",
        Fault::Expired | Fault::ExpiredContext { .. } => "it has expired",
        Fault::NotValidYet | Fault::NotValidYetContext { .. } => {
            "it is not valid yet; is the clock right?"
        }
        Fault::NotValidForName | Fault::NotValidForNameContext { .. } => "it is for another name",
        // By the name of its issuer another is known here.
        Fault::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "it is signed in a way that cannot be checked here, or by another of its issuer's name"
        }
        Fault::UnknownIssuer => "nobody here knows who issued it",
        Fault::InvalidPurpose | Fault::InvalidPurposeContext { .. } | Fault::Other(_) => {
            "it is not one that a server may have"
        }
        other => {
            info!("the certificate: {other:?}");
            "it is not valid"
        }
    }
}

fn store(path: &Path, certificates: &[CertificateDer<'static>]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots
            .add(certificate.clone())
            .map_err(|error| unusable(path, error))?;
    }
    Ok(roots)
}

fn unusable(path: &Path, reason: impl ToString) -> TlsError {
    TlsError::CaFile {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}
