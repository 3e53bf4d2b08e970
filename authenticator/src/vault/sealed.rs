//! One encrypted file of a vault. Its name says nothing; its content says which file it is.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use handfast_proto::cbor::{self, Map, Value};
use handfast_proto::trust::VaultId;
use hkdf::Hkdf;
use rand_core::CryptoRngCore;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::keys::{Keys, VaultKey};
use crate::locked::Locked;

const FILE: &str = "handfast-file";
/// The only format so far.
const FORMAT: u64 = 1;

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

/// A file that was opened.
pub(super) struct Opened {
    pub(super) id: Vec<u8>,
    pub(super) content: Zeroizing<Vec<u8>>,
    /// Whether it is sealed under an earlier key of the vault.
    pub(super) is_stale: bool,
}

/// Seals and opens the files of one vault.
pub(super) struct Files {
    newest: FileKey,
    earlier: Vec<FileKey>,
}

impl Files {
    pub(super) fn new(vault: VaultId, keys: &Keys) -> Self {
        let mut all = keys.all().map(|key| FileKey::derive(vault, key));
        Self {
            newest: all
                .next()
                .unwrap_or_else(|| FileKey::derive(vault, keys.newest())),
            earlier: all.collect(),
        }
    }

    /// Seals a file under its identity: a credential ID, a device, or random bytes.
    pub(super) fn seal(
        &self,
        kind: Kind,
        id: &[u8],
        plaintext: &[u8],
        rng: &mut dyn CryptoRngCore,
    ) -> Option<Vec<u8>> {
        let mut nonce = [0; 12];
        rng.fill_bytes(&mut nonce);
        self.newest.seal(kind, id, plaintext, nonce)
    }

    /// Seals a file that was sealed under an earlier key. Every device makes the same bytes of it, so
    /// that no file sync sees two versions where several devices do it at once.
    pub(super) fn reseal(&self, kind: Kind, opened: &Opened) -> Option<Vec<u8>> {
        let nonce = self.newest.nonce_for(kind, &opened.id, &opened.content);
        self.newest.seal(kind, &opened.id, &opened.content, nonce)
    }

    /// Opens a file that must be of this kind, with the newest key or an earlier one.
    pub(super) fn open(&self, kind: Kind, file: &[u8]) -> Result<Opened, Fault> {
        let file = Sealed::parse(file)?;
        if let Some(content) = self.newest.open(kind, &file) {
            return Ok(file.opened(content, false));
        }
        let mut earlier = self.earlier.iter();
        let content = earlier.find_map(|key| key.open(kind, &file));
        content
            .map(|content| file.opened(content, true))
            .ok_or(Fault::Damaged)
    }
}

/// What one vault key makes of files.
struct FileKey {
    vault: VaultId,
    key: Locked<[u8; 32]>,
    nonces: Zeroizing<[u8; 32]>,
}

impl FileKey {
    fn derive(vault: VaultId, vault_key: &VaultKey) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        vault_key.derive(vault, b"handfast-file/v1", key.as_mut());
        let mut nonces = Zeroizing::new([0; 32]);
        vault_key.derive(vault, b"handfast-reseal/v1", nonces.as_mut());
        Self {
            vault,
            key: Locked::copy_of(&key),
            nonces,
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

    /// A nonce that follows from what is sealed: it repeats only with everything else.
    fn nonce_for(&self, kind: Kind, id: &[u8], plaintext: &[u8]) -> [u8; 12] {
        let mut nonce = [0; 12];
        let hkdf = Hkdf::<Sha256>::new(Some(self.nonces.as_ref()), plaintext);
        // The only error is a length above 8160 bytes.
        let _ = hkdf.expand(&self.aad(kind, id), &mut nonce);
        nonce
    }

    fn seal(&self, kind: Kind, id: &[u8], plaintext: &[u8], nonce: [u8; 12]) -> Option<Vec<u8>> {
        let payload = Payload {
            msg: plaintext,
            aad: &self.aad(kind, id),
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

    fn open(&self, kind: Kind, file: &Sealed) -> Option<Zeroizing<Vec<u8>>> {
        let payload = Payload {
            msg: file.sealed.as_slice(),
            aad: &self.aad(kind, &file.id),
        };
        self.cipher()
            .decrypt(Nonce::from_slice(&file.nonce), payload)
            .map(Zeroizing::new)
            .ok()
    }
}

/// A file as it lies in the folder.
struct Sealed {
    id: Vec<u8>,
    nonce: [u8; 12],
    sealed: Vec<u8>,
}

impl Sealed {
    fn parse(file: &[u8]) -> Result<Self, Fault> {
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
        Self::parts(&map).ok_or(Fault::Damaged)
    }

    fn parts(map: &Map) -> Option<Self> {
        Some(Self {
            id: map.int(3)?.as_bytes()?.to_vec(),
            nonce: map.int(4)?.as_bytes()?.try_into().ok()?,
            sealed: map.int(5)?.as_bytes()?.to_vec(),
        })
    }

    fn opened(self, content: Zeroizing<Vec<u8>>, is_stale: bool) -> Opened {
        Opened {
            id: self.id,
            content,
            is_stale,
        }
    }
}
