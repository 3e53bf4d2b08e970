//! What this device keeps of its way to unlock: the vault key, sealed under the way's secret and bound to
//! vault and machine.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use handfast_proto::cbor::Map;
use handfast_proto::trust::VaultId;
use hkdf::Hkdf;
use rand_core::CryptoRngCore;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{SecretId, UnlockError, UnlockSecret, at};
use crate::device::MachineId;
use crate::disk::write_atomically;
use crate::format::{Unusable, read_ours};
use crate::locked::Locked;

const NAME: &str = "unlock.handfast";
const KIND: &str = "handfast-unlock";
const FORMAT: u64 = 1;
/// Paths have at most 4096 bytes; no record is longer.
const LONGEST: u64 = 8 * 1024;

/// Where the secret is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Way {
    /// In a file that the owner carries.
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Which one it must be.
        id: SecretId,
    },
    /// In the desktop's keyring.
    Keyring {
        /// By what it is found there.
        id: SecretId,
    },
}

impl SecretId {
    pub(crate) fn generate(rng: &mut dyn CryptoRngCore) -> Self {
        let mut id = [0; 16];
        rng.fill_bytes(&mut id);
        Self(id)
    }
}

impl UnlockSecret {
    pub(crate) fn generate(rng: &mut dyn CryptoRngCore) -> Self {
        let mut secret = Zeroizing::new([0; 32]);
        rng.fill_bytes(secret.as_mut());
        Self(Locked::copy_of(&secret))
    }
}

/// The record of a device.
pub(crate) struct Record {
    path: PathBuf,
    pub(crate) way: Way,
    salt: [u8; 32],
    machine: [u8; 16],
    vault: [u8; 16],
    nonce: [u8; 12],
    sealed: Vec<u8>,
}

impl Record {
    /// Returns where the record of a device is.
    pub(crate) fn path(device: &Path) -> PathBuf {
        device.join(NAME)
    }

    /// Seals a vault's key under a secret, and takes the place of the record before.
    pub(crate) fn write(
        device: &Path,
        way: Way,
        secret: &UnlockSecret,
        (vault, key): (VaultId, &[u8; 32]),
        machine: &MachineId,
        rng: &mut dyn CryptoRngCore,
    ) -> Result<(), UnlockError> {
        let path = Self::path(device);
        let (mut salt, mut nonce) = ([0; 32], [0; 12]);
        rng.fill_bytes(&mut salt);
        rng.fill_bytes(&mut nonce);
        let mut record = Self {
            machine: machine_tag(&salt, machine),
            vault: vault_tag(&salt, vault),
            path,
            way,
            salt,
            nonce,
            sealed: Vec::new(),
        };
        let payload = Payload {
            msg: key,
            aad: &record.public().encode(),
        };
        record.sealed = record
            .cipher(secret, machine)
            .encrypt(Nonce::from_slice(&nonce), payload)
            .map_err(|_| UnlockError::Damaged(record.path.clone()))?;
        let file = record.public().with(8, nonce).with(9, record.sealed);
        write_atomically(&record.path, &file.encode()).map_err(at(&record.path))
    }

    /// Reads the record of a device; nothing if only the pass phrase opens it.
    pub(crate) fn read(device: &Path) -> Result<Option<Self>, UnlockError> {
        let path = Self::path(device);
        let damaged = || UnlockError::Damaged(path.clone());
        let read = read_ours(&path, LONGEST, KIND, FORMAT).map_err(|unusable| match unusable {
            Unusable::Damaged => damaged(),
            Unusable::Io(error) => at(&path)(error),
            Unusable::Newer(format) => UnlockError::NewerFormat {
                path: path.clone(),
                format,
            },
        });
        let Some(map) = read? else {
            return Ok(None);
        };
        Self::parts(&map, &path).map(Some).ok_or_else(damaged)
    }

    fn parts(map: &Map, path: &Path) -> Option<Self> {
        let id = SecretId(map.int(3)?.as_bytes()?.try_into().ok()?);
        let way = match map.int(4) {
            Some(at) => Way::KeyFile {
                path: PathBuf::from(OsStr::from_bytes(at.as_bytes()?)),
                id,
            },
            None => Way::Keyring { id },
        };
        Some(Self {
            path: path.to_owned(),
            way,
            salt: map.int(5)?.as_bytes()?.try_into().ok()?,
            machine: map.int(6)?.as_bytes()?.try_into().ok()?,
            vault: map.int(7)?.as_bytes()?.try_into().ok()?,
            nonce: map.int(8)?.as_bytes()?.try_into().ok()?,
            sealed: map.int(9)?.as_bytes()?.to_vec(),
        })
    }

    /// Removes the record of a device, if there is one.
    pub(crate) fn remove(device: &Path) -> Result<(), UnlockError> {
        let path = Self::path(device);
        match fs::remove_file(&path).and_then(|()| File::open(device)?.sync_all()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(&path)(error)),
            _ => Ok(()),
        }
    }

    /// Returns an error unless the record was made on this machine.
    pub(crate) fn check_machine(&self, machine: &MachineId) -> Result<(), UnlockError> {
        match bool::from(machine_tag(&self.salt, machine).ct_eq(&self.machine)) {
            true => Ok(()),
            false => Err(UnlockError::OtherMachine(self.path.clone())),
        }
    }

    /// Returns an error unless the record is of this vault.
    pub(crate) fn check_vault(&self, vault: VaultId) -> Result<(), UnlockError> {
        match bool::from(vault_tag(&self.salt, vault).ct_eq(&self.vault)) {
            true => Ok(()),
            false => Err(UnlockError::OtherVault(self.path.clone())),
        }
    }

    /// Returns the vault key.
    pub(crate) fn open(
        &self,
        secret: &UnlockSecret,
        machine: &MachineId,
    ) -> Result<Zeroizing<[u8; 32]>, UnlockError> {
        let damaged = || UnlockError::Damaged(self.path.clone());
        let payload = Payload {
            msg: self.sealed.as_slice(),
            aad: &self.public().encode(),
        };
        let key = self
            .cipher(secret, machine)
            .decrypt(Nonce::from_slice(&self.nonce), payload)
            .map(Zeroizing::new)
            .map_err(|_| damaged())?;
        let key: &[u8; 32] = key.as_slice().try_into().map_err(|_| damaged())?;
        Ok(Zeroizing::new(*key))
    }

    fn public(&self) -> Map {
        let (id, path) = match &self.way {
            Way::KeyFile { path, id } => (id, Some(path.as_os_str().as_bytes())),
            Way::Keyring { id } => (id, None),
        };
        Map::new()
            .with(1, KIND)
            .with(2, FORMAT)
            .with(3, id.0)
            .with_some(4, path)
            .with(5, self.salt)
            .with(6, self.machine)
            .with(7, self.vault)
    }

    fn cipher(&self, secret: &UnlockSecret, machine: &MachineId) -> Aes256Gcm {
        let mut key = Zeroizing::new([0; 32]);
        let hkdf = Hkdf::<Sha256>::new(Some(&self.salt), secret.0.as_ref());
        // The only error is a length above 8160 bytes.
        let _ = hkdf.expand_multi_info(&[b"handfast-unlock/v1", machine.hash()], key.as_mut());
        Aes256Gcm::new((&*key).into())
    }
}

fn tag(salt: &[u8; 32], name: &[u8], purpose: &[u8]) -> [u8; 16] {
    let mut tag = [0; 16];
    // The only error is a length above 8160 bytes.
    let _ = Hkdf::<Sha256>::new(Some(salt), name).expand(purpose, &mut tag);
    tag
}

fn machine_tag(salt: &[u8; 32], machine: &MachineId) -> [u8; 16] {
    tag(salt, machine.hash(), b"handfast-unlock-machine/v1")
}

fn vault_tag(salt: &[u8; 32], vault: VaultId) -> [u8; 16] {
    tag(salt, &vault.0, b"handfast-unlock-vault/v1")
}

#[cfg(test)]
mod tests {
    use rand_core::OsRng;

    use super::*;
    use crate::unlocking::KeyFile;

    const VAULT: VaultId = VaultId([3; 16]);
    const KEY: [u8; 32] = [9; 32];

    fn way() -> Way {
        Way::KeyFile {
            path: PathBuf::from("/stick/key"),
            id: SecretId([1; 16]),
        }
    }

    fn machine() -> MachineId {
        MachineId::from_bytes(b"here")
    }

    fn written(device: &Path) -> UnlockSecret {
        let secret = UnlockSecret::generate(&mut OsRng);
        let vault = (VAULT, &KEY);
        Record::write(device, way(), &secret, vault, &machine(), &mut OsRng).unwrap();
        secret
    }

    #[test]
    fn a_record_opens_only_with_its_secret_here_and_for_its_vault() {
        let device = tempfile::tempdir().unwrap();
        assert!(Record::read(device.path()).unwrap().is_none());
        let secret = written(device.path());
        let record = Record::read(device.path()).unwrap().unwrap();
        let other = UnlockSecret::generate(&mut OsRng);
        assert!(record.open(&other, &machine()).is_err());
        let elsewhere = MachineId::from_bytes(b"elsewhere");
        assert!(record.open(&secret, &elsewhere).is_err());
        assert!(matches!(
            record.check_machine(&elsewhere),
            Err(UnlockError::OtherMachine(_))
        ));
        assert!(matches!(
            record.check_vault(VaultId([4; 16])),
            Err(UnlockError::OtherVault(_))
        ));
        record.check_machine(&machine()).unwrap();
        record.check_vault(VAULT).unwrap();
        assert_eq!(record.way, way());
        assert_eq!(*record.open(&secret, &machine()).unwrap(), KEY);
        Record::remove(device.path()).unwrap();
        Record::remove(device.path()).unwrap();
        assert!(Record::read(device.path()).unwrap().is_none());
    }

    #[test]
    fn no_altered_bit_of_a_record_gives_a_key() {
        let device = tempfile::tempdir().unwrap();
        let secret = written(device.path());
        let path = Record::path(device.path());
        let whole = fs::read(&path).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut altered = whole.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, &altered).unwrap();
            let key = Record::read(device.path())
                .and_then(|record| record.unwrap().open(&secret, &machine()));
            assert!(key.is_err(), "bit {bit}");
        }
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let read = Record::read(device.path());
            assert!(matches!(read, Err(UnlockError::Damaged(_))), "{length}");
        }
        fs::write(&path, vec![0x81; 100_000]).unwrap();
        assert!(Record::read(device.path()).is_err());
    }

    #[test]
    fn key_file_and_records_are_as_documented() {
        let vectors = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/unlock.json");
        let vectors: serde_json::Value =
            serde_json::from_slice(&fs::read(vectors).unwrap()).unwrap();
        let bytes = |value: &serde_json::Value| hex::decode(value.as_str().unwrap()).unwrap();
        let id = SecretId(bytes(&vectors["secret_id"]).try_into().unwrap());
        let machine = MachineId::from_bytes(vectors["machine_id"].as_str().unwrap().as_bytes());
        let device = tempfile::tempdir().unwrap();
        let key_file = device.path().join("key");
        fs::write(&key_file, bytes(&vectors["key_file"])).unwrap();
        let KeyFile { id: read, secret } = KeyFile::read(&key_file).unwrap();
        assert_eq!(read, id);
        assert_eq!(secret.0.to_vec(), bytes(&vectors["secret"]));
        for vector in vectors["records"].as_array().unwrap() {
            fs::write(Record::path(device.path()), bytes(&vector["file"])).unwrap();
            let record = Record::read(device.path()).unwrap().unwrap();
            let way = match vector["path"].as_str() {
                Some(path) => Way::KeyFile {
                    path: path.into(),
                    id,
                },
                None => Way::Keyring { id },
            };
            assert_eq!(record.way, way);
            record.check_machine(&machine).unwrap();
            let vault = bytes(&vectors["vault_id"]).try_into().unwrap();
            record.check_vault(VaultId(vault)).unwrap();
            let key = record.open(&secret, &machine).unwrap();
            assert_eq!(key.to_vec(), bytes(&vectors["vault_key"]));
        }
    }
}
