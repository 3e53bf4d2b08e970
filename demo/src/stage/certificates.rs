use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use super::StageError;

/// A certificate authority of one stage, and a server certificate for `localhost` signed by it.
#[derive(Debug)]
pub struct Certificates {
    authority: PathBuf,
    chain: PathBuf,
    key: PathBuf,
}

impl Certificates {
    /// Makes both and writes them into `folder`.
    ///
    /// # Errors
    ///
    /// [`StageError::Certificate`] and [`StageError::Io`].
    pub fn make(folder: &Path) -> Result<Self, StageError> {
        let authority_key = KeyPair::generate()?;
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        authority
            .distinguished_name
            .push(DnType::CommonName, "Handfast stage authority");
        let authority_certificate = authority.self_signed(&authority_key)?;
        let issuer = Issuer::new(authority, authority_key);

        let key = KeyPair::generate()?;
        let mut server = CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()])?;
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        server
            .distinguished_name
            .push(DnType::CommonName, "localhost");
        let chain = server.signed_by(&key, &issuer)?;

        let write = |name: &str, text: String| {
            let path = folder.join(name);
            std::fs::write(&path, text)
                .map_err(StageError::io(format!("writing {}", path.display())))?;
            Ok::<_, StageError>(path)
        };
        Ok(Self {
            authority: write("authority.pem", authority_certificate.pem())?,
            chain: write("relay.pem", chain.pem())?,
            key: write("relay-key.pem", key.serialize_pem())?,
        })
    }

    /// Returns the authority's certificate, for `--ca-file`.
    pub fn authority(&self) -> &Path {
        &self.authority
    }

    /// Returns the server's certificate, for `--tls-cert`.
    pub fn chain(&self) -> &Path {
        &self.chain
    }

    /// Returns the server's key, for `--tls-key`.
    pub fn key(&self) -> &Path {
        &self.key
    }
}
