//! One encrypted file of a vault. Its name says nothing; its content says which file it is.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use handfast_proto::cbor::{self, Map, Value};
use handfast_proto::trust::VaultId;
use hkdf::Hkdf;
use rand_core::{OsRng, RngCore};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::header::FORMAT;
use crate::locked::Locked;

const FILE: &str = "handfast-file";

/// What a file is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Kind {
    Passkey,
    Device,
    Group,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Passkey, Self::Device, Self::Group];

    fn number(self) -> u64 {
        match self {
            Self::Passkey => 1,
            Self::Device => 2,
            Self::Group => 3,
        }
    }

    /// The folder that files of this kind are in.
    pub(super) fn folder(self) -> &'static str {
        match self {
            Self::Passkey => "passkeys",
            Self::Device => "devices",
            Self::Group => "group",
        }
    }
}

/// Why a file cannot be read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fault {
    /// Cut off, altered, or sealed under another key.
    Damaged,
    /// Of a format that this version does not know.
    Newer,
    /// No file of a vault at all.
    Foreign,
}

/// Seals and opens the files of one vault.
pub(super) struct FileKey {
    vault: VaultId,
    key: Locked<[u8; 32]>,
}

impl FileKey {
    pub(super) fn derive(vault: VaultId, vault_key: &[u8; 32]) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        // The only error is a length above 8160 bytes.
        let _ = Hkdf::<Sha256>::new(Some(&vault.0), vault_key)
            .expand(b"handfast-file/v1", key.as_mut());
        Self {
            vault,
            key: Locked::copy_of(&key),
        }
    }

    /// The expanded key is not locked, and so lives only as long as it is used.
    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new((&*self.key).into())
    }

    fn aad(&self, kind: Kind, id: &[u8]) -> Vec<u8> {
        Map::new()
            .with(1, self.vault.0)
            .with(2, FORMAT)
            .with(3, kind.number())
            .with(4, id)
            .encode()
    }

    /// Seals a file under its identity: a credential ID, a device, or random bytes.
    pub(super) fn seal(&self, kind: Kind, id: &[u8], plaintext: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; 12];
        OsRng.fill_bytes(&mut nonce);
        let aad = self.aad(kind, id);
        let payload = Payload {
            msg: plaintext,
            aad: &aad,
        };
        let sealed = self
            .cipher()
            .encrypt(Nonce::from_slice(&nonce), payload)
            .ok()?;
        let file = Map::new()
            .with(1, FILE)
            .with(2, FORMAT)
            .with(3, id)
            .with(4, nonce)
            .with(5, sealed);
        Some(file.encode())
    }

    /// Opens a file that must be of this kind; returns its identity and its content.
    pub(super) fn open(
        &self,
        kind: Kind,
        file: &[u8],
    ) -> Result<(Vec<u8>, Zeroizing<Vec<u8>>), Fault> {
        let map = match cbor::decode(file) {
            Ok(value) => value.into_map().ok_or(Fault::Foreign)?,
            // A file of ours begins with its kind, also when its end is missing.
            Err(_)
                if file
                    .windows(FILE.len())
                    .take(8)
                    .any(|w| w == FILE.as_bytes()) =>
            {
                return Err(Fault::Damaged);
            }
            Err(_) => return Err(Fault::Foreign),
        };
        if map.int(1).and_then(Value::as_text) != Some(FILE) {
            return Err(Fault::Foreign);
        }
        if map
            .int(2)
            .and_then(Value::as_u64)
            .is_some_and(|format| format > FORMAT)
        {
            return Err(Fault::Newer);
        }
        let parts = || {
            let nonce: [u8; 12] = map.int(4)?.as_bytes()?.try_into().ok()?;
            Some((
                map.int(3)?.as_bytes()?.to_vec(),
                nonce,
                map.int(5)?.as_bytes()?,
            ))
        };
        let (id, nonce, sealed) = parts().ok_or(Fault::Damaged)?;
        let aad = self.aad(kind, &id);
        let plaintext = self
            .cipher()
            .decrypt(
                Nonce::from_slice(&nonce),
                Payload {
                    msg: sealed,
                    aad: &aad,
                },
            )
            .map_err(|_| Fault::Damaged)?;
        Ok((id, Zeroizing::new(plaintext)))
    }
}
