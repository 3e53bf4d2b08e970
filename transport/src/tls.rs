//! Whom a TLS connection to a relay trusts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use thiserror::Error;

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
        let mut roots = RootCertStore::empty();
        // The system's store may hold what no parser takes; an additional file may not.
        let (system, additional) = anchors(additional)?;
        roots.add_parsable_certificates(system);
        for (path, certificate) in additional {
            roots.add(certificate).map_err(|error| TlsError::CaFile {
                path,
                reason: error.to_string(),
            })?;
        }
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

type Additional = Vec<(PathBuf, CertificateDer<'static>)>;

/// Returns the system's trust anchors, and those of an additional file.
///
/// # Errors
///
/// [`TlsError::CaFile`].
pub fn anchors(
    additional: Option<&Path>,
) -> Result<(Vec<CertificateDer<'static>>, Additional), TlsError> {
    let system = rustls_native_certs::load_native_certs().certs;
    let Some(path) = additional else {
        return Ok((system, Vec::new()));
    };
    let fault = |reason: String| TlsError::CaFile {
        path: path.to_owned(),
        reason,
    };
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| fault(error.to_string()))?;
    if certificates.is_empty() {
        return Err(fault("it holds no certificate".to_owned()));
    }
    Ok((
        system,
        certificates
            .into_iter()
            .map(|found| (path.to_owned(), found))
            .collect(),
    ))
}
