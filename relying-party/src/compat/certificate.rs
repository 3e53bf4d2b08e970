//! The certificate whose key signed an attestation of format `packed` (WebAuthn §8.2.1).

use handfast_proto::cbor::Map;
use handfast_proto::cose::CoseKey;
use handfast_proto::ids::Aaguid;
use thiserror::Error;
use x509_cert::der::asn1::{ObjectIdentifier, OctetString};
use x509_cert::der::{Decode as _, Tag, Tagged as _};
use x509_cert::ext::pkix::BasicConstraints;
use x509_cert::name::Name;
use x509_cert::spki::SubjectPublicKeyInfoOwned;
use x509_cert::{Certificate, TbsCertificate, Version};

const COUNTRY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.6");
const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
const UNIT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.11");
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
/// `id-fido-gen-ce-aaguid`: the model.
const MODEL: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.45724.1.1.4");
const EC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// Why a certificate cannot vouch.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum CertificateFault {
    /// It is of an authority, or does not say that it is not.
    #[error("it does not say that it is no authority's")]
    Authority,
    /// Its key is of no algorithm that is verified here.
    #[error("its key is not of a supported algorithm")]
    Key,
    /// It is no X.509 certificate in DER, or one of its extensions cannot be read.
    #[error("it is not X.509 in DER")]
    Malformed,
    /// It is for another model.
    #[error("it is for another model of authenticator")]
    Model,
    /// The extension with the model is marked as critical, which it must not be.
    #[error("its model is marked as critical")]
    ModelCritical,
    /// Its subject lacks country, organization, name, or the unit of attestations.
    #[error("its subject is not that of an attestation certificate")]
    Subject,
    /// It is not of version 3.
    #[error("it is not of version 3")]
    Version,
}

/// A certificate that has the form of one for attestations.
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) key: CoseKey,
    model: Option<Aaguid>,
}

impl Leaf {
    /// Reads the first of these, which all must be certificates.
    pub(super) fn of(certificates: &[Vec<u8>]) -> Result<Self, CertificateFault> {
        let read = |der: &Vec<u8>| Certificate::from_der(der);
        let all: Result<Vec<Certificate>, _> = certificates.iter().map(read).collect();
        let all = all.map_err(|_| CertificateFault::Malformed)?;
        let leaf = all.first().ok_or(CertificateFault::Malformed)?;
        Self::read(&leaf.tbs_certificate)
    }

    fn read(certificate: &TbsCertificate) -> Result<Self, CertificateFault> {
        if certificate.version != Version::V3 {
            return Err(CertificateFault::Version);
        }
        if !names_attestation(&certificate.subject) {
            return Err(CertificateFault::Subject);
        }
        let constraints = certificate.get::<BasicConstraints>();
        let constraints = constraints.map_err(|_| CertificateFault::Malformed)?;
        if constraints.is_none_or(|(_, constraints)| constraints.ca) {
            return Err(CertificateFault::Authority);
        }
        Ok(Self {
            key: key(&certificate.subject_public_key_info).ok_or(CertificateFault::Key)?,
            model: model(certificate)?,
        })
    }

    /// Checks that it is for this model, if it names one.
    pub(super) fn check_model(&self, model: Aaguid) -> Result<(), CertificateFault> {
        match self.model {
            Some(named) if named != model => Err(CertificateFault::Model),
            _ => Ok(()),
        }
    }
}

fn names_attestation(subject: &Name) -> bool {
    let attributes = || subject.0.iter().flat_map(|name| name.0.iter());
    let has = |oid, fits: fn(&[u8]) -> bool| {
        attributes().any(|attribute| {
            let tag = attribute.value.tag();
            let text = matches!(tag, Tag::PrintableString | Tag::Utf8String);
            attribute.oid == oid && text && fits(attribute.value.value())
        })
    };
    has(COUNTRY, |text| text.len() == 2)
        && has(ORGANIZATION, |text| !text.is_empty())
        && has(UNIT, |text| text == b"Authenticator Attestation")
        && has(COMMON_NAME, |text| !text.is_empty())
}

/// The extension's value is a byte string of 16 bytes, in the byte string that every extension is.
fn model(certificate: &TbsCertificate) -> Result<Option<Aaguid>, CertificateFault> {
    let extensions = certificate.extensions.iter().flatten();
    let mut found = extensions.filter(|extension| extension.extn_id == MODEL);
    let Some(extension) = found.next() else {
        return Ok(None);
    };
    if found.next().is_some() {
        return Err(CertificateFault::Malformed);
    }
    if extension.critical {
        return Err(CertificateFault::ModelCritical);
    }
    let inner = OctetString::from_der(extension.extn_value.as_bytes());
    let inner = inner.map_err(|_| CertificateFault::Malformed)?;
    let model = inner.as_bytes().try_into();
    let model = model.map_err(|_| CertificateFault::Malformed)?;
    Ok(Some(Aaguid(model)))
}

/// Returns the key in the form of all other keys here, which checks it too.
fn key(info: &SubjectPublicKeyInfoOwned) -> Option<CoseKey> {
    let bits = info.subject_public_key.as_bytes()?;
    let parameters = info.algorithm.parameters.as_ref();
    match info.algorithm.oid {
        EC_KEY => {
            let curve: ObjectIdentifier = parameters?.decode_as().ok()?;
            (curve == P256).then(|| es256_key(bits))?
        }
        ED25519 if parameters.is_none() => eddsa_key(bits),
        _ => None,
    }
}

/// Returns the key of an uncompressed point of P-256.
pub(super) fn es256_key(point: &[u8]) -> Option<CoseKey> {
    let (x, y) = point.strip_prefix(&[0x04])?.split_at_checked(32)?;
    let key = Map::new().with(1, 2).with(3, -7).with(-1, 1);
    CoseKey::parse(&key.with(-2, x).with(-3, y).encode()).ok()
}

/// Returns the key of a point of Ed25519.
pub(super) fn eddsa_key(point: &[u8]) -> Option<CoseKey> {
    let key = Map::new().with(1, 1).with(3, -8).with(-1, 6);
    CoseKey::parse(&key.with(-2, point).encode()).ok()
}
