//! TLS 1.2 and 1.3 from PEM files, which may be replaced while the relay runs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedCipherSuite};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;

/// Why the certificate or its key cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The certificate file is missing, empty or not PEM.
    #[error("the certificate file {} cannot be used: {reason}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// Whether it is there and may not be read.
        is_denied: bool,
    },
    /// The key file is missing, empty or not PEM.
    #[error("the key file {} cannot be used: {reason}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// Whether it is there and may not be read.
        is_denied: bool,
    },
    /// Key and certificate do not belong together, or are of an unsupported kind.
    #[error("the certificate and the key cannot be used together: {}", why(.0))]
    Pair(#[source] rustls::Error),
}

impl TlsError {
    /// Whether a file may not be read.
    pub fn is_for_want_of_permission(&self) -> bool {
        match self {
            Self::Certificate { is_denied, .. } | Self::Key { is_denied, .. } => *is_denied,
            Self::Pair(_) => false,
        }
    }
}

/// Says in words why a pair is none.
fn why(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InconsistentKeys(_) => "the key is not that of the certificate".to_owned(),
        rustls::Error::InvalidCertificate(_) => "the certificate is damaged".to_owned(),
        other => other.to_string(),
    }
}

/// Says in words why a file holds nothing that can be used.
fn unusable(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => "it holds none".to_owned(),
        other => other.to_string(),
    }
}

fn is_denied(error: &pem::Error) -> bool {
    matches!(error, pem::Error::Io(error) if error.kind() == std::io::ErrorKind::PermissionDenied)
}

/// A certificate chain and its key, as they are in their files now.
#[derive(Debug)]
pub struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    used: RwLock<Used>,
}

#[derive(Debug)]
struct Used {
    key: Arc<CertifiedKey>,
    /// The files that it was read from, and those that could not be used after it.
    seen: Seen,
}

/// By what a replaced file is known: time and length of both.
type Seen = [Option<(SystemTime, u64)>; 2];

impl Certificate {
    /// Reads both files.
    ///
    /// # Errors
    ///
    /// [`TlsError`] names the file that is at fault.
    pub fn read(chain: &Path, key: &Path) -> Result<Arc<Self>, TlsError> {
        let provider = Arc::new(provider());
        let seen = seen(chain, key);
        let used = Used {
            key: Arc::new(read(chain, key, &provider)?),
            seen,
        };
        Ok(Arc::new(Self {
            chain: chain.to_owned(),
            key: key.to_owned(),
            provider,
            used: RwLock::new(used),
        }))
    }

    /// Reads both files again, for the connections to come.
    ///
    /// # Errors
    ///
    /// [`TlsError`]; then what was used before is used on.
    pub fn read_again(&self) -> Result<(), TlsError> {
        // Looked at first: what is written meanwhile is another change.
        let seen = seen(&self.chain, &self.key);
        let read = read(&self.chain, &self.key, &self.provider);
        // A key is put there whole, so a poisoned lock is usable.
        let mut used = self.used.write().unwrap_or_else(PoisonError::into_inner);
        used.seen = seen;
        used.key = Arc::new(read?);
        Ok(())
    }

    /// Whether the files are others than those that were read last.
    pub fn has_changed(&self) -> bool {
        let used = self.used.read().unwrap_or_else(PoisonError::into_inner);
        used.seen != seen(&self.chain, &self.key)
    }

    /// Makes the TLS configuration of a relay that shows this certificate. Who was here before
    /// may come back with a ticket, without a whole handshake.
    ///
    /// # Errors
    ///
    /// [`TlsError::Pair`].
    pub fn server_config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, TlsError> {
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Self>::clone(self);
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Pair)?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.ignore_client_order = true;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.ticketer = rustls::crypto::ring::Ticketer::new().map_err(TlsError::Pair)?;
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let used = self.used.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&used.key))
    }
}

/// What is passed on is encrypted already, and it is little: what a connection costs is its
/// handshake, in which SHA-256 is the cheaper hash.
fn provider() -> CryptoProvider {
    let mut provider = rustls::crypto::ring::default_provider();
    let has_longer_hash = |suite: &SupportedCipherSuite| match suite {
        SupportedCipherSuite::Tls12(suite) => suite.common.hash_provider.output_len() > 32,
        SupportedCipherSuite::Tls13(suite) => suite.common.hash_provider.output_len() > 32,
    };
    // The version is chosen before the suite, so its order among them does not matter.
    provider.cipher_suites.sort_by_key(has_longer_hash);
    provider
}

fn seen(chain: &Path, key: &Path) -> Seen {
    [chain, key].map(|path| {
        let file = std::fs::metadata(path).ok()?;
        Some((file.modified().ok()?, file.len()))
    })
}

fn read(chain: &Path, key: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let certificate_error = |error: &pem::Error| TlsError::Certificate {
        path: chain.to_owned(),
        reason: unusable(error),
        is_denied: is_denied(error),
    };
    let certificates = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| certificate_error(&error))?;
    if certificates.is_empty() {
        return Err(certificate_error(&pem::Error::NoItemsFound));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| TlsError::Key {
        path: key.to_owned(),
        reason: unusable(&error),
        is_denied: is_denied(&error),
    })?;
    CertifiedKey::from_der(certificates, private, provider).map_err(TlsError::Pair)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path) -> rcgen::CertifiedKey<rcgen::KeyPair> {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        made
    }

    #[test]
    fn a_file_that_cannot_be_used_leaves_the_old_certificate_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let (chain, key) = (
            folder.path().join("cert.pem"),
            folder.path().join("key.pem"),
        );
        let first = write(folder.path());
        assert!(
            Certificate::read(&key, &chain).is_err(),
            "the wrong way round"
        );
        let certificate = Certificate::read(&chain, &key).unwrap();
        let shown = |certificate: &Certificate| {
            let used = certificate.used.read().unwrap();
            used.key.cert.first().unwrap().clone()
        };
        assert!(!certificate.has_changed());
        std::fs::write(&chain, "half a file").unwrap();
        assert!(certificate.has_changed());
        assert!(certificate.read_again().is_err());
        assert_eq!(&shown(&certificate), first.cert.der());
        // It is not read, and complained of, over and over.
        assert!(!certificate.has_changed());
        let other = tempfile::tempdir().unwrap();
        let foreign = write(other.path());
        std::fs::write(&chain, foreign.cert.pem()).unwrap();
        let error = certificate.read_again().unwrap_err();
        assert!(matches!(error, TlsError::Pair(_)), "{error}");
        let second = write(folder.path());
        assert!(certificate.has_changed());
        certificate.read_again().unwrap();
        assert_eq!(&shown(&certificate), second.cert.der());
    }
}
