//! Where a key stands that has an attestation of its own: the table of `trust-group.md` §2.

use handfast_proto::cose::SignatureError;
use handfast_proto::extension::attested_key::{
    Attestation, AttestationError, AttestedKey, AttestedKeyError, Scope,
};
use handfast_proto::extension::supplemental_pub_keys::SupplementalPubKeysError;
use handfast_proto::ids::Aaguid;
use thiserror::Error;

use super::Ceremony;
use super::certificate::{CertificateFault, Leaf};

/// What a site keeps of a key.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyRecord<S> {
    /// The model of what holds it; zero if it is not told.
    pub aaguid: Aaguid,
    /// The key, byte for byte.
    pub public_key: Vec<u8>,
    /// Where it stays.
    pub scope: S,
    /// The attestation's format.
    pub format: String,
    /// The attestation statement, byte for byte.
    pub statement: Vec<u8>,
}

impl<S: Scope> KeyRecord<S> {
    fn of(key: &AttestedKey<S>) -> Self {
        Self {
            aaguid: key.aaguid,
            public_key: key.key.as_bytes().to_vec(),
            scope: key.scope,
            format: key.attestation.format().to_owned(),
            statement: key.attestation.statement().encode(),
        }
    }

    fn is_place_of(&self, other: &Self) -> bool {
        let this = (self.aaguid, &self.public_key, self.scope);
        this == (other.aaguid, &other.public_key, other.scope)
    }
}

/// Why an attestation does not hold.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum AttestationFault {
    /// The certificate of who vouches.
    #[error("the attestation's certificate does not hold: {0}")]
    Certificate(#[from] CertificateFault),
    /// A format that is not verified here.
    #[error("the attestation has a format that is not verified here")]
    Format,
    /// Its signature.
    #[error(transparent)]
    Signature(#[from] AttestationError),
}

/// Why an output is not valid.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum KeyFault {
    /// Another algorithm than the passkey's.
    #[error("the key has another algorithm than the passkey")]
    Algorithm,
    /// The attestation, at a registration.
    #[error(transparent)]
    Attestation(#[from] AttestationFault),
    /// The client has other signatures than there are keys: the whole ceremony must fail.
    #[error("there are other signatures than keys")]
    Count,
    /// The list of keys.
    #[error(transparent)]
    List(SupplementalPubKeysError),
    /// A passkey that cannot be on several devices has no such key.
    #[error("the passkey cannot be on several devices")]
    NotBackupEligible,
    /// The authenticator data have keys and the client has no signature, or the reverse.
    #[error("the output is in only one of its two places")]
    OneSided,
    /// What was signed is no key.
    #[error(transparent)]
    Output(AttestedKeyError),
    /// The passkey's own key.
    #[error("the key is the passkey's own")]
    PasskeyItself,
    /// The signature.
    #[error("the key's signature does not hold: {0}")]
    Signature(SignatureError),
}

/// Why nothing can be said of a device, though its key's signature holds.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum KeyError {
    /// Several records are of this key.
    #[error("there are several records of this key")]
    Ambiguous,
    /// The attestation, at a sign-in.
    #[error(transparent)]
    Attestation(#[from] AttestationFault),
    /// The key is known with another model or another scope.
    #[error("the key is known with another model or scope")]
    Moved,
}

/// Who vouches for a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Proof {
    /// Whoever has these certificates, X.509 in DER. The first one's key signed, and is of the form
    /// that it must have; who stands behind it is for [`super::Roots`] to tell.
    Certificates(Vec<Vec<u8>>),
    /// The key itself.
    Itself,
    /// Nobody.
    Nobody,
}

/// A key whose signature holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Presented<S> {
    /// What a site keeps of it.
    pub record: KeyRecord<S>,
    /// Who vouches for it.
    pub proof: Proof,
}

/// Where a key stands whose signature holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing<S> {
    /// Nothing can be said of the device.
    Error(KeyError),
    /// The device was seen before with this passkey.
    Known(Presented<S>),
    /// It was not.
    New(Presented<S>),
}

/// What came of an extension.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Outcome<T> {
    /// It was asked for, and nothing came.
    Absent,
    /// It came, and is not valid.
    Invalid(KeyFault),
    /// It was not asked for, and nothing came.
    NotRequested,
    /// It came, with signatures that hold.
    Presented(T),
    /// It was not asked for, and something came. Nothing is stored or checked.
    Unsolicited,
}

impl<T> Outcome<T> {
    /// Judges by what was asked for and what came: signed, and from the client.
    pub(super) fn of<A, B>(
        requested: bool,
        signed: Option<A>,
        client: Option<B>,
        judge: impl FnOnce(A, B) -> Result<T, KeyFault>,
    ) -> Self {
        match (requested, signed, client) {
            (false, None, None) => Self::NotRequested,
            (false, _, _) => Self::Unsolicited,
            (true, None, None) => Self::Absent,
            (true, Some(signed), Some(client)) => {
                judge(signed, client).map_or_else(Self::Invalid, Self::Presented)
            }
            (true, _, _) => Self::Invalid(KeyFault::OneSided),
        }
    }
}

impl Ceremony<'_> {
    /// Checks a key's signature, and where it stands among those that were seen before.
    pub(super) fn judge<S: Scope>(
        &self,
        key: &AttestedKey<S>,
        signature: &[u8],
        records: &[KeyRecord<S>],
    ) -> Result<Standing<S>, KeyFault> {
        if key.key.algorithm() != self.passkey.algorithm() {
            return Err(KeyFault::Algorithm);
        }
        if key.key == *self.passkey {
            return Err(KeyFault::PasskeyItself);
        }
        let message = [self.auth_data.as_bytes(), &self.hash.0].concat();
        let signed = key.key.verify(&message, signature);
        signed.map_err(KeyFault::Signature)?;
        match (standing(key, records), self.records) {
            // The table is that of sign-ins.
            (Standing::Error(KeyError::Attestation(fault)), None) => {
                Err(KeyFault::Attestation(fault))
            }
            (standing, _) => Ok(standing),
        }
    }
}

fn standing<S: Scope>(key: &AttestedKey<S>, records: &[KeyRecord<S>]) -> Standing<S> {
    let record = KeyRecord::of(key);
    let mut matching = records.iter().filter(|known| known.is_place_of(&record));
    let known = match (matching.next(), matching.next()) {
        (Some(_), Some(_)) => return Standing::Error(KeyError::Ambiguous),
        (known, _) => known,
    };
    let Some(known) = known else {
        let mut records = records.iter();
        if records.any(|known| known.public_key == record.public_key) {
            return Standing::Error(KeyError::Moved);
        }
        return match vouched(key) {
            Ok(proof) => Standing::New(Presented { record, proof }),
            Err(fault) => Standing::Error(fault.into()),
        };
    };
    // What was verified when it was stored is not verified again.
    let proof = match known.format == record.format && known.statement == record.statement {
        true => Ok(claimed(key)),
        false => vouched(key),
    };
    match proof {
        Ok(proof) => Standing::Known(Presented { record, proof }),
        Err(fault) => Standing::Error(fault.into()),
    }
}

fn claimed<S: Scope>(key: &AttestedKey<S>) -> Proof {
    match &key.attestation {
        Attestation::PackedCertified { certificates, .. } => {
            Proof::Certificates(certificates.clone())
        }
        Attestation::PackedSelf { .. } => Proof::Itself,
        Attestation::None | Attestation::Other { .. } => Proof::Nobody,
    }
}

/// Checks the attestation, and returns who vouches by it.
fn vouched<S: Scope>(key: &AttestedKey<S>) -> Result<Proof, AttestationFault> {
    match &key.attestation {
        Attestation::None => {}
        Attestation::Other { .. } => return Err(AttestationFault::Format),
        Attestation::PackedCertified {
            algorithm,
            signature,
            certificates,
        } => {
            let leaf = Leaf::of(certificates)?;
            leaf.check_model(key.aaguid)?;
            key.verify_attestation(&leaf.key, *algorithm, signature)?;
        }
        Attestation::PackedSelf {
            algorithm,
            signature,
        } => key.verify_attestation(&key.key, *algorithm, signature)?,
    }
    Ok(claimed(key))
}
