//! A group key as a file: its private half is sealed under the group secret, so that who has only
//! the folder and the pass phrase cannot use it (`trust-group.md` §4.4).

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use rand_core::CryptoRngCore;
use thiserror::Error;
use zeroize::Zeroizing;

use super::identity::{Epoch, GroupId, GroupSecret};
use super::key::{GroupKey, KeyTuple};
use crate::cbor::{self, Map, SecretMap, Value};
use crate::cose::{Algorithm, CoseError, KeyId, SigningKey};
use crate::ids::{CredentialId, UserHandle};

const FILE: &str = "tg-key-file/v1";
const KEY: &str = "tg-key/v1";

/// Why a key file cannot be used.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum WrapError {
    /// The private key cannot be read or written.
    #[error("the private key cannot be read: {0}")]
    Key(#[from] CoseError),
    /// The file is not of this kind, or damaged.
    #[error("not a key file")]
    Malformed,
    /// The private key is not the one that the file names.
    #[error("the file holds another key than it says")]
    OtherKey,
    /// It belongs to another group.
    #[error("the key belongs to another trust group")]
    OtherGroup,
    /// Another group secret sealed it, or it was altered.
    #[error("the key is sealed under a group secret that is not here")]
    Sealed,
}

/// What a key file says to everybody who has the vault's key.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyFileHeader {
    /// The group.
    pub group: GroupId,
    /// The epoch of the secret that sealed it.
    pub epoch: Epoch,
    /// The passkey.
    pub tuple: KeyTuple,
    /// The key's algorithm.
    pub algorithm: Algorithm,
    /// The key's short name.
    pub key_id: KeyId,
}

impl KeyFileHeader {
    fn encode(&self) -> Vec<u8> {
        Map::new()
            .with(1, KEY)
            .with(2, self.group.0)
            .with(3, self.epoch.0)
            .with(4, self.tuple.rp_id_hash)
            .with(5, self.tuple.credential_id.as_bytes())
            .with(6, self.tuple.user_handle.as_bytes())
            .with(7, self.algorithm.id())
            .with(8, self.key_id.0)
            .encode()
    }

    fn parse(aad: &[u8]) -> Option<Self> {
        let map = cbor::decode(aad).ok()?.into_map()?;
        if map.len() != 8 || map.int(1)?.as_text()? != KEY {
            return None;
        }
        Some(Self {
            group: GroupId(map.int(2)?.as_bytes()?.try_into().ok()?),
            epoch: Epoch::from_number(map.int(3)?.as_u64()?)?,
            tuple: KeyTuple {
                rp_id_hash: map.int(4)?.as_bytes()?.try_into().ok()?,
                credential_id: CredentialId::from_bytes(map.int(5)?.as_bytes()?).ok()?,
                user_handle: UserHandle::from_bytes(map.int(6)?.as_bytes()?).ok()?,
            },
            algorithm: Algorithm::from_id(map.int(7)?.as_i64()?)?,
            key_id: KeyId(map.int(8)?.as_bytes()?.try_into().ok()?),
        })
    }
}

/// Seals a key for its group, with a fresh nonce, and returns the file's content.
///
/// # Errors
///
/// [`WrapError::Key`].
pub fn seal_key(
    secret: &GroupSecret,
    group: GroupId,
    epoch: Epoch,
    key: &GroupKey,
    rng: &mut dyn CryptoRngCore,
) -> Result<Vec<u8>, WrapError> {
    let header = KeyFileHeader {
        group,
        epoch,
        tuple: key.tuple.clone(),
        algorithm: key.key.algorithm(),
        key_id: key.key_id(),
    };
    let aad = header.encode();
    let pkcs8 = key.key.to_pkcs8_der()?;
    let plaintext = Map::new()
        .with(1, pkcs8.as_slice())
        .with(2, key.created_at)
        .with(3, key.first_presented_at.map_or(Value::Null, Value::from))
        .with(4, key.retired);
    let plaintext = SecretMap::from(plaintext).encode();
    let mut nonce = [0; 12];
    rng.fill_bytes(&mut nonce);
    let wrap_key = secret.wrap_key(&group, epoch);
    let payload = Payload {
        msg: plaintext.as_slice(),
        aad: &aad,
    };
    let sealed = Aes256Gcm::new(wrap_key.as_ref().into())
        .encrypt(Nonce::from_slice(&nonce), payload)
        .map_err(|_| WrapError::Malformed)?;
    Ok(Map::new()
        .with(1, FILE)
        .with(2, aad)
        .with(3, nonce)
        .with(4, sealed)
        .encode())
}

/// The parts of a file: header, header bytes, nonce, ciphertext.
type Parts = (KeyFileHeader, Vec<u8>, [u8; 12], Vec<u8>);

fn parts(file: &[u8]) -> Option<Parts> {
    let map = cbor::decode(file).ok()?.into_map()?;
    if map.len() != 4 || map.int(1)?.as_text()? != FILE {
        return None;
    }
    let aad = map.int(2)?.as_bytes()?;
    let nonce = map.int(3)?.as_bytes()?.try_into().ok()?;
    Some((
        KeyFileHeader::parse(aad)?,
        aad.to_vec(),
        nonce,
        map.int(4)?.as_bytes()?.to_vec(),
    ))
}

/// Reads what a key file says without the group secret.
///
/// # Errors
///
/// [`WrapError::Malformed`].
pub fn key_file_header(file: &[u8]) -> Result<KeyFileHeader, WrapError> {
    parts(file)
        .map(|(header, ..)| header)
        .ok_or(WrapError::Malformed)
}

/// Opens a key file of this group.
///
/// # Errors
///
/// [`WrapError`].
pub fn open_key(secret: &GroupSecret, group: GroupId, file: &[u8]) -> Result<GroupKey, WrapError> {
    let (header, aad, nonce, sealed) = parts(file).ok_or(WrapError::Malformed)?;
    if header.group != group {
        return Err(WrapError::OtherGroup);
    }
    let wrap_key = secret.wrap_key(&group, header.epoch);
    let payload = Payload {
        msg: sealed.as_slice(),
        aad: &aad,
    };
    let plaintext = Aes256Gcm::new(wrap_key.as_ref().into())
        .decrypt(Nonce::from_slice(&nonce), payload)
        .map(Zeroizing::new)
        .map_err(|_| WrapError::Sealed)?;
    let key = parse_plaintext(&plaintext, header.tuple).ok_or(WrapError::Malformed)?;
    if key.key_id() != header.key_id || key.key.algorithm() != header.algorithm {
        return Err(WrapError::OtherKey);
    }
    Ok(key)
}

fn parse_plaintext(plaintext: &[u8], tuple: KeyTuple) -> Option<GroupKey> {
    let map = SecretMap::decode(plaintext).ok()??;
    Some(GroupKey {
        tuple,
        key: SigningKey::from_pkcs8_der(map.int(1)?.as_bytes()?).ok()?,
        created_at: map.int(2)?.as_u64()?,
        first_presented_at: presented(map.int(3)?)?,
        retired: map.int(4)?.as_bool()?,
    })
}

/// Reads a time or `null`.
pub(super) fn presented(value: &Value) -> Option<Option<u64>> {
    match value {
        Value::Null => Some(None),
        value => value.as_u64().map(Some),
    }
}
