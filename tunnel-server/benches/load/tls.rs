//! A certificate for the relay, and clients that trust it.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use tempfile::TempDir;
use tokio_rustls::TlsConnector;

use crate::Outcome;

const NAME: &str = "relay.example";

/// A certificate and its key in files that are gone when this is dropped.
pub(crate) struct Certificate {
    directory: TempDir,
    certificate: CertificateDer<'static>,
}

impl Certificate {
    /// Makes a certificate of the kind that most sites have: ECDSA with P-256.
    pub(crate) fn new() -> Outcome<Self> {
        let made = rcgen::generate_simple_self_signed(vec![NAME.to_owned()])?;
        let certificate = Self {
            directory: tempfile::tempdir()?,
            certificate: made.cert.der().clone(),
        };
        std::fs::write(certificate.chain(), made.cert.pem())?;
        std::fs::write(certificate.key(), made.signing_key.serialize_pem())?;
        Ok(certificate)
    }

    /// Returns the file of the certificate.
    pub(crate) fn chain(&self) -> PathBuf {
        self.directory.path().join("chain.pem")
    }

    /// Returns the file of the key.
    pub(crate) fn key(&self) -> PathBuf {
        self.directory.path().join("key.pem")
    }

    /// Makes clients that do a whole handshake each, or that resume sessions when they can.
    pub(crate) fn client(&self, resume: bool) -> Outcome<Client> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        if !resume {
            config.resumption = Resumption::disabled();
        }
        Ok(Client {
            connector: TlsConnector::from(Arc::new(config)),
            name: ServerName::try_from(NAME)?,
        })
    }
}

/// What a TLS connection is made with.
#[derive(Clone)]
pub(crate) struct Client {
    /// Makes the connections.
    pub(crate) connector: TlsConnector,
    /// The name that the relay must prove.
    pub(crate) name: ServerName<'static>,
}
