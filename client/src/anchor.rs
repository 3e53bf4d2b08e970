//! The one trust anchor that a person may add to the system's own.

use std::path::Path;

use handfast_transport::tls::TlsError;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Checks a file of trust anchors without reading those of the system, which takes much longer.
///
/// # Errors
///
/// [`TlsError::CaFile`], as when the file is used.
pub(crate) fn check(path: &Path) -> Result<(), TlsError> {
    let fault = |reason: String| TlsError::CaFile {
        path: path.to_owned(),
        reason,
    };
    let mut roots = RootCertStore::empty();
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|error| fault(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| fault(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| fault(error.to_string()))?;
    }
    match roots.is_empty() {
        true => Err(fault("it holds no certificate".to_owned())),
        false => Ok(()),
    }
}
