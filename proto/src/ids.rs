//! Identifiers of the standard, each a type of its own so that none can stand in for another.

use core::fmt;

use sha2::{Digest, Sha256};
use thiserror::Error;

/// Why bytes or text are no identifier.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum IdError {
    /// Nothing where at least one byte is required.
    #[error("the identifier is empty")]
    Empty,
    /// A character that no domain name has.
    #[error("the RP ID has a character that no domain name has")]
    IllegalCharacter,
    /// More bytes than the standard allows.
    #[error("the identifier is too long")]
    TooLong,
}

fn bounded(bytes: &[u8], longest: usize) -> Result<Vec<u8>, IdError> {
    match bytes.len() {
        0 => Err(IdError::Empty),
        length if length > longest => Err(IdError::TooLong),
        _ => Ok(bytes.to_vec()),
    }
}

fn hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

macro_rules! byte_string_id {
    ($(#[$doc:meta])* $name:ident, $longest:expr) => {
        $(#[$doc])*
        #[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(Vec<u8>);

        impl $name {
            /// The most bytes that one may have.
            pub const MAX: usize = $longest;

            /// Takes the bytes, if they are neither none nor too many.
            ///
            /// # Errors
            ///
            /// [`IdError::Empty`] and [`IdError::TooLong`].
            pub fn from_bytes(bytes: &[u8]) -> Result<Self, IdError> {
                bounded(bytes, Self::MAX).map(Self)
            }

            /// Returns the bytes.
            pub fn as_bytes(&self) -> &[u8] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "("))?;
                hex(f, &self.0)?;
                f.write_str(")")
            }
        }
    };
}

byte_string_id! {
    /// Names a credential: 1 to 1023 bytes, chosen by the authenticator (WebAuthn §4, *Credential ID*).
    CredentialId, 1023
}

byte_string_id! {
    /// Names an account at a relying party: 1 to 64 bytes, chosen by it (WebAuthn §4, *User Handle*).
    UserHandle, 64
}

/// Names a model of authenticator, 16 bytes; zero if it does not tell.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Aaguid(pub [u8; 16]);

impl fmt::Debug for Aaguid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Aaguid(")?;
        hex(f, &self.0)?;
        f.write_str(")")
    }
}

/// SHA-256 of the client data JSON, as it was received.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ClientDataHash(pub [u8; 32]);

impl fmt::Debug for ClientDataHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientDataHash(")?;
        hex(f, &self.0)?;
        f.write_str(")")
    }
}

/// Names a relying party: a domain without scheme and port, at most 253 bytes, in lower case.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RpId(String);

/// This computer, whoever asks.
const LOCALHOST: &str = "localhost";

impl RpId {
    /// The most bytes that one may have.
    pub const MAX: usize = 253;

    /// Takes a domain name; capital letters become small ones.
    ///
    /// Whether an origin may use it is the client's question, not this type's.
    ///
    /// # Errors
    ///
    /// [`IdError`] if it is empty, too long or has a character that no domain name has.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        if text.is_empty() {
            return Err(IdError::Empty);
        }
        if text.len() > Self::MAX {
            return Err(IdError::TooLong);
        }
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if !text.chars().all(legal) {
            return Err(IdError::IllegalCharacter);
        }
        Ok(Self(text.to_ascii_lowercase()))
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether a host is this domain, or one below it.
    pub fn covers(&self, host: &str) -> bool {
        is_at_or_below(host, self.as_str())
    }

    /// Returns whether the name is always that of the computer itself: `localhost`, or one below it
    /// (RFC 6761 §6.3).
    pub fn is_local(&self) -> bool {
        is_at_or_below(self.as_str(), LOCALHOST)
    }

    /// Returns SHA-256 of the name: the first 32 bytes of authenticator data.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }
}

fn is_at_or_below(host: &str, domain: &str) -> bool {
    let before = host.strip_suffix(domain);
    before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

impl fmt::Display for RpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
