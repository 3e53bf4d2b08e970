//! What `devicePubKey` and `supplementalPubKeys` share: a further key of a passkey, with an
//! attestation of its own (`trust-group.md` §2, §3).

use core::fmt;

use thiserror::Error;

use crate::cbor::{Map, Value};
use crate::cose::{CoseError, CoseKey, SignatureError, SigningKey};
use crate::ids::Aaguid;

/// The most bytes that a nonce may have.
const MAX_NONCE: usize = 32;

/// Why a signed output is none.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum AttestedKeyError {
    /// The model is not 16 bytes.
    #[error("the model is not 16 bytes")]
    Aaguid,
    /// The mark of an enterprise attestation is no truth value.
    #[error("the mark of an enterprise attestation is no truth value")]
    Enterprise,
    /// The key.
    #[error("the key is not valid: {0}")]
    Key(CoseError),
    /// A member is missing, or of another type.
    #[error("a member is missing or of another type")]
    Members,
    /// The nonce is longer than 32 bytes.
    #[error("the nonce is longer than 32 bytes")]
    Nonce,
    /// A scope that no text defines.
    #[error("the scope is not defined")]
    Scope,
    /// The attestation statement does not have exactly the members of its format.
    #[error("the attestation statement does not have exactly the members of its format")]
    Statement,
    /// The format is `none`, and yet there is a statement.
    #[error("there is an attestation statement where there should be none")]
    StatementNotEmpty,
}

/// Why the signature of a key over itself does not hold.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum AttestationError {
    /// The statement names another algorithm than that of the key that signed.
    #[error("the attestation names another algorithm than its key has")]
    Algorithm,
    /// The signature.
    #[error("the attestation's signature does not hold: {0}")]
    Signature(#[from] SignatureError),
}

/// Why a phone's outputs make no client output.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum AttestedOutputError {
    /// An output is of another type.
    #[error("an output of the extension is of another type")]
    Type,
    /// There is a signature for a key that the authenticator data do not have.
    #[error("there is a signature of the extension without a key")]
    WithoutKey,
}

/// Where a key stays, and by which of the two extensions: these differ in the scopes that they know,
/// in the name of the key, and in what its attestation begins with.
pub trait Scope: Copy + fmt::Debug + PartialEq {
    /// The name of the member that holds the key.
    const KEY: &'static str;
    /// What stands in an attestation where authenticator data begin. The flags in it are zero, which
    /// they are in nothing else that is signed.
    const PREFIX: &'static [u8; 37];

    /// Returns the scope as the output has it.
    fn to_value(self) -> Value;

    /// Reads a scope; nothing if it is not defined.
    fn parse(value: &Value) -> Option<Self>;
}

/// How much of an attestation a site would like (WebAuthn §5.4.7).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Conveyance {
    /// As it comes.
    Direct,
    /// One that may name the single device.
    Enterprise,
    /// As the client likes.
    Indirect,
    /// None.
    None,
}

/// What of an attestation a request asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Preference {
    /// How much of it.
    pub conveyance: Conveyance,
    /// Formats, the one wanted most first.
    pub formats: Vec<String>,
}

impl Preference {
    /// Reads it from an input. A conveyance that is not known is as none at all, and then `usual`
    /// holds; a member of another type makes the input malformed.
    pub(super) fn parse(input: &Map, usual: Conveyance) -> Option<Self> {
        let conveyance = match input.text("attestation") {
            Some(text) => match text.as_text()? {
                "direct" => Conveyance::Direct,
                "enterprise" => Conveyance::Enterprise,
                "indirect" => Conveyance::Indirect,
                "none" => Conveyance::None,
                _ => usual,
            },
            None => usual,
        };
        let formats = match input.text("attestationFormats") {
            Some(list) => list.as_array()?,
            None => &[],
        };
        let formats = formats.iter().map(|name| name.as_text().map(str::to_owned));
        Some(Self {
            conveyance,
            formats: formats.collect::<Option<_>>()?,
        })
    }

    /// Returns the first format that is made here of those that the site would like, and the key's
    /// own signature if it likes none of them.
    pub(super) fn made(&self) -> Made {
        let known = self.formats.iter().find_map(|name| match name.as_str() {
            "none" => Some(Made::None),
            "packed" => Some(Made::PackedSelf),
            _ => None,
        });
        known.unwrap_or(Made::PackedSelf)
    }
}

/// The attestations that are made here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Made {
    /// `none`, which tells no model either.
    None,
    /// `packed`, signed by the key itself.
    PackedSelf,
}

/// What vouches for a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Attestation {
    /// `none`: nothing.
    None,
    /// Another format than those that are known here.
    Other {
        /// The format.
        format: String,
        /// The statement.
        statement: Map,
    },
    /// `packed` with certificates: the key of the first one signed.
    PackedCertified {
        /// The COSE number of the signature's algorithm.
        algorithm: i64,
        /// The signature.
        signature: Vec<u8>,
        /// X.509, DER: whose key signed, then who vouches for it.
        certificates: Vec<Vec<u8>>,
    },
    /// `packed` without: the key itself signed.
    PackedSelf {
        /// The COSE number of the signature's algorithm.
        algorithm: i64,
        /// The signature.
        signature: Vec<u8>,
    },
}

impl Attestation {
    /// Reads a statement of this format.
    ///
    /// # Errors
    ///
    /// [`AttestedKeyError::Statement`] and [`AttestedKeyError::StatementNotEmpty`].
    pub fn parse(format: &str, statement: &Map) -> Result<Self, AttestedKeyError> {
        match format {
            "none" if statement.is_empty() => Ok(Self::None),
            "none" => Err(AttestedKeyError::StatementNotEmpty),
            "packed" => Self::packed(statement).ok_or(AttestedKeyError::Statement),
            _ => Ok(Self::Other {
                format: format.to_owned(),
                statement: statement.clone(),
            }),
        }
    }

    fn packed(statement: &Map) -> Option<Self> {
        let algorithm = statement.text("alg")?.as_i64()?;
        let signature = statement.text("sig")?.as_bytes()?.to_vec();
        let Some(list) = statement.text("x5c") else {
            let whole = Self::PackedSelf {
                algorithm,
                signature,
            };
            return (statement.len() == 2).then_some(whole);
        };
        let list = list.as_array()?.iter();
        let certificates = list.map(|one| one.as_bytes().map(<[u8]>::to_vec));
        let certificates: Vec<Vec<u8>> = certificates.collect::<Option<_>>()?;
        let whole = statement.len() == 3 && !certificates.is_empty();
        whole.then_some(Self::PackedCertified {
            algorithm,
            signature,
            certificates,
        })
    }

    /// Returns the format's name.
    pub fn format(&self) -> &str {
        match self {
            Self::None => "none",
            Self::Other { format, .. } => format,
            Self::PackedCertified { .. } | Self::PackedSelf { .. } => "packed",
        }
    }

    /// Returns the statement. Its encoding is that in which it came, as CTAP2 has only one.
    pub fn statement(&self) -> Map {
        match self {
            Self::None => Map::new(),
            Self::Other { statement, .. } => statement.clone(),
            Self::PackedCertified {
                algorithm,
                signature,
                certificates,
            } => {
                let certificates = certificates.iter().map(|one| one.as_slice().into());
                Map::new()
                    .with("alg", *algorithm)
                    .with("sig", signature.as_slice())
                    .with("x5c", certificates.collect::<Vec<Value>>())
            }
            Self::PackedSelf {
                algorithm,
                signature,
            } => Map::new()
                .with("alg", *algorithm)
                .with("sig", signature.as_slice()),
        }
    }
}

/// A further key of a passkey, as authenticator data have it.
#[derive(Clone, Debug, PartialEq)]
pub struct AttestedKey<S> {
    /// The model of what holds the key; zero if it is not told.
    pub aaguid: Aaguid,
    /// The key.
    pub key: CoseKey,
    /// Where it stays.
    pub scope: S,
    /// What the authenticator made the attestation fresh with: at most 32 bytes, perhaps none.
    pub nonce: Vec<u8>,
    /// Whether the attestation is one for the site's own devices.
    pub enterprise: bool,
    /// What vouches for it.
    pub attestation: Attestation,
}

impl<S: Scope> AttestedKey<S> {
    /// Makes the output for a key. Without a nonce it is the same each time, so that a site knows the
    /// statement again by its bytes.
    pub fn make(key: &SigningKey, scope: S, made: Made, model: Aaguid) -> Self {
        let mut output = Self {
            aaguid: Aaguid([0; 16]),
            key: key.public_key(),
            scope,
            nonce: Vec::new(),
            enterprise: false,
            attestation: Attestation::None,
        };
        if made == Made::PackedSelf {
            output.aaguid = model;
            output.attestation = Attestation::PackedSelf {
                algorithm: key.algorithm().id(),
                signature: key.sign(&output.attested_bytes()),
            };
        }
        output
    }

    /// Reads the output for one key. Members that are not known are passed over.
    ///
    /// # Errors
    ///
    /// [`AttestedKeyError`].
    pub fn parse(output: &Value) -> Result<Self, AttestedKeyError> {
        use AttestedKeyError::{Aaguid as Model, Enterprise, Key, Members, Nonce};
        let map = output.as_map().ok_or(Members)?;
        let member = |name| map.text(name).ok_or(Members);
        let bytes = |name| member(name)?.as_bytes().ok_or(Members);
        let aaguid = bytes("aaguid")?.try_into().map_err(|_| Model)?;
        let nonce = bytes("nonce")?.to_vec();
        if nonce.len() > MAX_NONCE {
            return Err(Nonce);
        }
        let format = member("fmt")?.as_text().ok_or(Members)?;
        let statement = member("attStmt")?.as_map().ok_or(Members)?;
        let enterprise = map
            .text("epAtt")
            .map(|mark| mark.as_bool().ok_or(Enterprise));
        Ok(Self {
            aaguid: Aaguid(aaguid),
            key: CoseKey::parse(bytes(S::KEY)?).map_err(Key)?,
            scope: S::parse(member("scope")?).ok_or(AttestedKeyError::Scope)?,
            nonce,
            enterprise: enterprise.transpose()?.unwrap_or(false),
            attestation: Attestation::parse(format, statement)?,
        })
    }

    /// Returns the output.
    pub fn to_map(&self) -> Map {
        Map::new()
            .with("aaguid", self.aaguid.0)
            .with(S::KEY, self.key.as_bytes())
            .with("scope", self.scope.to_value())
            .with("nonce", self.nonce.as_slice())
            .with("fmt", self.attestation.format())
            .with("attStmt", self.attestation.statement())
            .with_some("epAtt", self.enterprise.then_some(true))
    }

    /// Returns what an attestation signs: the prefix and the model in the place of authenticator
    /// data, key and nonce in that of the hash. No challenge of a site is in it.
    pub fn attested_bytes(&self) -> Vec<u8> {
        [
            S::PREFIX.as_slice(),
            &self.aaguid.0,
            self.key.as_bytes(),
            &self.nonce,
        ]
        .concat()
    }

    /// Checks an attestation's signature by this key, be it the output's own or a certificate's.
    ///
    /// # Errors
    ///
    /// [`AttestationError`].
    pub fn verify_attestation(
        &self,
        by: &CoseKey,
        algorithm: i64,
        signature: &[u8],
    ) -> Result<(), AttestationError> {
        if algorithm != by.algorithm().id() {
            return Err(AttestationError::Algorithm);
        }
        Ok(by.verify(&self.attested_bytes(), signature)?)
    }
}
