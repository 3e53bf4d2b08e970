//! Documents under a pass phrase or for the holders of keys, in the file format of age (C2SP, age v1),
//! which programs of others read too.

use core::fmt;
use core::str::FromStr;
use std::io::{self, BufReader, Read, Write};

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::secrecy::SecretString;
use age::{DecryptError, Decryptor, EncryptError, Encryptor, scrypt, x25519};
use thiserror::Error;
use zeroize::Zeroizing;

use super::LARGEST;
use crate::passphrase::Passphrase;

/// What a sealed document begins with.
const MAGIC: &[u8] = b"age-encryption.org/v1\n";
/// The same in letters only.
const ARMOR: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";
/// The most that a pass phrase is stretched for a document of others: 2²⁰ is 1 GiB, as for vaults.
const HEAVIEST: u8 = 20;

/// How much a pass phrase is stretched: scrypt with N two to the power of this, and 1 KiB for each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Work(u8);

impl Work {
    /// 256 MiB, about a second; what other programs choose too.
    pub const DEFAULT: Self = Self(18);

    /// 1 MiB. For tests.
    pub const LEAST: Self = Self(10);
}

/// Why a document could not be sealed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SealError {
    /// Age's own reason.
    #[error("the document could not be sealed: {0}")]
    Age(#[from] EncryptError),
    /// What was written could not be kept.
    #[error("the document could not be sealed: {0}")]
    Io(#[from] io::Error),
    /// It would be for nobody.
    #[error("the document is for nobody")]
    NoRecipient,
}

/// Why a document could not be opened.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum OpenError {
    /// Altered or cut off, or not of this format.
    #[error("it is damaged")]
    Damaged,
    /// Its pass phrase is to be stretched more than anybody should.
    #[error("its pass phrase needs more than 1 GiB to be tried")]
    ExcessiveWork,
    /// It is for the holders of other keys.
    #[error("none of the keys opens it")]
    NoMatchingKey,
    /// More than 64 MiB.
    #[error("it is larger than 64 MiB")]
    TooLarge,
    /// The pass phrase is wrong.
    #[error("the pass phrase is wrong")]
    WrongPassphrase,
}

/// Whom a document is sealed for, `age1…`: an X25519 key.
#[derive(Clone)]
pub struct Recipient(x25519::Recipient);

impl Recipient {
    fn inner(&self) -> &dyn age::Recipient {
        &self.0
    }
}

impl FromStr for Recipient {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse()
            .map(Self)
            .map_err(|_| "a recipient is a public key of age: age1 and 58 letters and digits")
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({})", self.0)
    }
}

/// Private keys that open documents, as `age-keygen` makes them.
pub struct Identities(Vec<x25519::Identity>);

impl Identities {
    /// Reads a file of keys: a line each; `#` begins a comment. Nothing if a line is none, or there is
    /// no key at all.
    pub fn parse(text: &str) -> Option<Self> {
        let lines = text.lines().map(str::trim);
        let keys = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let keys = keys
            .map(|line| line.parse().ok())
            .collect::<Option<Vec<_>>>()?;
        (!keys.is_empty()).then_some(Self(keys))
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identities")
    }
}

/// Seals a document under a pass phrase; `armored` makes it of letters only.
///
/// # Errors
///
/// [`SealError`].
pub fn seal_under(
    document: &[u8],
    passphrase: &Passphrase,
    work: Work,
    armored: bool,
) -> Result<Vec<u8>, SealError> {
    let mut recipient = scrypt::Recipient::new(secret(passphrase));
    recipient.set_work_factor(work.0);
    let recipient: &dyn age::Recipient = &recipient;
    seal(document, [recipient], armored)
}

/// Seals a document for these.
///
/// # Errors
///
/// [`SealError`].
pub fn seal_for(
    document: &[u8],
    recipients: &[Recipient],
    armored: bool,
) -> Result<Vec<u8>, SealError> {
    if recipients.is_empty() {
        return Err(SealError::NoRecipient);
    }
    seal(document, recipients.iter().map(Recipient::inner), armored)
}

fn seal<'a>(
    document: &[u8],
    recipients: impl IntoIterator<Item = &'a dyn age::Recipient>,
    armored: bool,
) -> Result<Vec<u8>, SealError> {
    let format = match armored {
        true => Format::AsciiArmor,
        false => Format::Binary,
    };
    let encryptor = Encryptor::with_recipients(recipients.into_iter())?;
    let armor = ArmoredWriter::wrap_output(Vec::new(), format)?;
    let mut writer = encryptor.wrap_output(armor)?;
    writer.write_all(document)?;
    Ok(writer.finish()?.finish()?)
}

fn secret(passphrase: &Passphrase) -> SecretString {
    SecretString::from(passphrase.as_str().to_owned())
}

/// A sealed document.
pub struct Sealed<'a> {
    bytes: &'a [u8],
    by_passphrase: bool,
}

impl<'a> Sealed<'a> {
    /// Takes bytes that begin as sealed documents do; nothing if they do not.
    ///
    /// # Errors
    ///
    /// [`OpenError::Damaged`] if they do not go on as such.
    pub fn parse(bytes: &'a [u8]) -> Result<Option<Self>, OpenError> {
        let bytes = bytes.trim_ascii_start();
        if !bytes.starts_with(MAGIC) && !bytes.starts_with(ARMOR) {
            return Ok(None);
        }
        let by_passphrase = decryptor(bytes)?.is_scrypt();
        Ok(Some(Self {
            bytes,
            by_passphrase,
        }))
    }

    /// Whether a pass phrase opens it; else a key does.
    pub fn needs_passphrase(&self) -> bool {
        self.by_passphrase
    }

    /// Opens it with its pass phrase.
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub fn open_with(&self, passphrase: &Passphrase) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let mut identity = scrypt::Identity::new(secret(passphrase));
        identity.set_max_work_factor(HEAVIEST);
        self.open([opener(&identity)])
    }

    /// Opens it with one of these keys.
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub fn open_by(&self, identities: &Identities) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        self.open(identities.0.iter().map(opener))
    }

    fn open<'b>(
        &self,
        identities: impl IntoIterator<Item = &'b dyn age::Identity>,
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let reader = decryptor(self.bytes)?.decrypt(identities.into_iter());
        let reader = reader.map_err(|error| match error {
            // A header that was altered where the key is looks the same.
            DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed
                if self.by_passphrase =>
            {
                OpenError::WrongPassphrase
            }
            DecryptError::NoMatchingKeys => OpenError::NoMatchingKey,
            DecryptError::ExcessiveWork { .. } => OpenError::ExcessiveWork,
            _ => OpenError::Damaged,
        })?;
        // As large as it can get: a vector that grows leaves secrets behind where it was.
        let room = self.bytes.len().min(LARGEST + 1);
        let mut document = Zeroizing::new(Vec::with_capacity(room));
        let most = u64::try_from(LARGEST + 1).unwrap_or(u64::MAX);
        let read = reader.take(most).read_to_end(&mut document);
        read.map_err(|_| OpenError::Damaged)?;
        match document.len() > LARGEST {
            true => Err(OpenError::TooLarge),
            false => Ok(document),
        }
    }
}

impl fmt::Debug for Sealed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed")
    }
}

fn opener(identity: &impl age::Identity) -> &dyn age::Identity {
    identity
}

fn decryptor(bytes: &[u8]) -> Result<Decryptor<ArmoredReader<BufReader<&[u8]>>>, OpenError> {
    Decryptor::new_buffered(ArmoredReader::new(bytes)).map_err(|_| OpenError::Damaged)
}
