//! A computer says to its owner's phone which of his computers it is, in the session in which it asks
//! for something else (`docs/introductions.md`).
//!
//! The device's own signing key is sealed, and nobody gives a pass phrase only to be recognized. So the
//! device signs once for a second key, which can do nothing else and lies open on the computer: an
//! [`Introducer`]. What that says is sealed under a key of the vault, so that a stranger's phone learns
//! nothing by which it would know the computer again.

use core::fmt;

use aes_gcm::aead::{Aead, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use rand_core::CryptoRngCore;
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::identity::{DeviceId, DeviceKeys, hkdf_32};
use crate::cbor::{self, Map, SecretMap, Value};
use crate::cose::{Algorithm, CoseKey, SigningKey};

const CERTIFICATE: &str = "tg-introducer/v1";
const INTRODUCTION: &str = "tg-introduction/v1";

/// Bytes of an introduction before it is sealed: signatures are not all of one length, and one that never
/// changes would tell a computer from others.
const LENGTH: usize = 364;

/// Why an introduction introduces nobody.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum IntroductionError {
    /// The device's signature for the introducer's key does not hold.
    #[error("the device did not sign for the key that introduces it")]
    Certificate,
    /// It is of another vault or of another session, or was altered.
    #[error("the introduction is not of this vault and session")]
    Foreign,
    /// It opens, and is none that this version knows.
    #[error("the introduction cannot be read")]
    Malformed,
    /// It came after another one.
    #[error("the computer introduced itself more than once")]
    Repeated,
    /// The introducer's signature over this session does not hold.
    #[error("the introduction is signed for another session, or by another key")]
    Signature,
}

/// Seals introductions to the devices of one vault.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct IntroductionKey([u8; 32]);

impl IntroductionKey {
    /// Derives it from the vault key.
    pub fn derive(vault_key: &[u8; 32]) -> Self {
        Self(*hkdf_32(&[], vault_key, b"tg-introduction-key/v1"))
    }

    /// Returns the cipher of one session. Its key seals one message, and so needs no nonce.
    fn cipher(&self, session: &[u8; 32]) -> Aes256Gcm {
        let key = hkdf_32(session, &self.0, INTRODUCTION.as_bytes());
        Aes256Gcm::new(key.as_ref().into())
    }
}

impl fmt::Debug for IntroductionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IntroductionKey")
    }
}

/// What a computer introduces itself with.
///
/// # Security
///
/// Whoever has this can pass for that computer before its owner's phones, for a device of the vault that
/// nobody knows, and for a phone that reads introductions. He signs nothing else, joins no group, and
/// opens no vault.
pub struct Introducer {
    key: SigningKey,
    certificate: Certificate,
    sealing: IntroductionKey,
}

/// A device's word for the key that introduces it.
struct Certificate {
    dsk: CoseKey,
    key: CoseKey,
    bytes: Vec<u8>,
    signature: Vec<u8>,
}

impl Certificate {
    fn issue(keys: &DeviceKeys, key: CoseKey) -> Self {
        let dsk = keys.dsk().public_key();
        let bytes = Map::new()
            .with(1, CERTIFICATE)
            .with(2, dsk.as_bytes())
            .with(3, key.as_bytes())
            .encode();
        Self {
            signature: keys.dsk().sign(&bytes),
            dsk,
            key,
            bytes,
        }
    }

    /// Reads one, with its signature, that is still to be checked.
    fn parse(bytes: &[u8], signature: &[u8]) -> Option<Self> {
        let map = cbor::decode(bytes).ok()?.into_map()?;
        if map.len() != 3 || map.int(1)?.as_text()? != CERTIFICATE {
            return None;
        }
        let key = |member| {
            let key = CoseKey::parse(map.int(member)?.as_bytes()?).ok()?;
            (key.algorithm() == Algorithm::Es256).then_some(key)
        };
        Some(Self {
            dsk: key(2)?,
            key: key(3)?,
            bytes: bytes.to_vec(),
            signature: signature.to_vec(),
        })
    }

    fn holds(&self) -> bool {
        self.dsk.verify(&self.bytes, &self.signature).is_ok()
    }
}

impl Introducer {
    /// Makes one for a device of the vault with this key.
    pub fn issue(keys: &DeviceKeys, vault_key: &[u8; 32], rng: &mut dyn CryptoRngCore) -> Self {
        let key = SigningKey::generate(Algorithm::Es256, rng);
        Self {
            certificate: Certificate::issue(keys, key.public_key()),
            key,
            sealing: IntroductionKey::derive(vault_key),
        }
    }

    /// Returns whether it still introduces this device to those of the vault with this key.
    pub fn is_of(&self, device: DeviceId, vault_key: &[u8; 32]) -> bool {
        let sealing = IntroductionKey::derive(vault_key);
        self.device() == device && bool::from(self.sealing.0.ct_eq(&sealing.0))
    }

    /// Returns the device that it introduces.
    pub fn device(&self) -> DeviceId {
        DeviceId::of(&self.certificate.dsk)
    }

    /// Returns what is to be stored of it, which is secret; nothing if its key cannot be written, which
    /// none is known for.
    pub fn to_map(&self) -> Option<SecretMap> {
        let map = Map::new()
            .with(1, self.key.to_pkcs8_der().ok()?.as_slice())
            .with(2, self.certificate.bytes.as_slice())
            .with(3, self.certificate.signature.as_slice())
            .with(4, self.sealing.0);
        Some(map.into())
    }

    /// Takes what [`Self::to_map`] gave; nothing if that does not fit together.
    pub fn parse(map: &SecretMap) -> Option<Self> {
        let bytes = |member| map.int(member)?.as_bytes();
        let key = SigningKey::from_pkcs8_der(bytes(1)?).ok()?;
        let certificate = Certificate::parse(bytes(2)?, bytes(3)?)?;
        (certificate.key == key.public_key() && certificate.holds()).then_some(())?;
        Some(Self {
            key,
            certificate,
            sealing: IntroductionKey(bytes(4)?.try_into().ok()?),
        })
    }

    /// Introduces the device in a session, by its handshake hash. To be said once in a session.
    pub fn introduce(&self, session: &[u8; 32]) -> Vec<u8> {
        let content = Map::new()
            .with(1, self.certificate.bytes.as_slice())
            .with(2, self.certificate.signature.as_slice())
            .with(3, self.key.sign(&signed(session)));
        let padded = |zeros| content.clone().with(4, vec![0; zeros]).encode();
        // However long the signatures are, the head of the zeros has a byte more than that of none.
        let plaintext = padded(LENGTH.saturating_sub(padded(0).len() + 1));
        let cipher = self.sealing.cipher(session);
        // Only gigabytes are too much for it.
        cipher
            .encrypt(Nonce::from_slice(&[0; 12]), plaintext.as_slice())
            .unwrap_or_default()
    }
}

impl fmt::Debug for Introducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Introducer({})", self.device())
    }
}

/// What an introducer signs.
fn signed(session: &[u8; 32]) -> Vec<u8> {
    Map::new().with(1, INTRODUCTION).with(2, session).encode()
}

/// Reads an introduction that came in this session, and returns the device that it names. Whether that is
/// one of a trust group, only the group's entries tell.
///
/// # Errors
///
/// [`IntroductionError`].
pub fn introduced(
    introduction: &[u8],
    session: &[u8; 32],
    key: &IntroductionKey,
) -> Result<DeviceId, IntroductionError> {
    let plaintext = key
        .cipher(session)
        .decrypt(Nonce::from_slice(&[0; 12]), introduction)
        .map(Zeroizing::new)
        .map_err(|_| IntroductionError::Foreign)?;
    let (certificate, signature) = parts(&plaintext).ok_or(IntroductionError::Malformed)?;
    if !certificate.holds() {
        return Err(IntroductionError::Certificate);
    }
    let verified = certificate.key.verify(&signed(session), &signature);
    verified.map_err(|_| IntroductionError::Signature)?;
    Ok(DeviceId::of(&certificate.dsk))
}

fn parts(plaintext: &[u8]) -> Option<(Certificate, Vec<u8>)> {
    let map = cbor::decode(plaintext).ok().and_then(Value::into_map)?;
    let bytes = |member| map.int(member)?.as_bytes();
    (map.len() == 4 && bytes(4).is_some()).then_some(())?;
    Some((
        Certificate::parse(bytes(1)?, bytes(2)?)?,
        bytes(3)?.to_vec(),
    ))
}
