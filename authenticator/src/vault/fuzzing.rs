//! Doors for fuzzing: what is read of a vault's files once they are opened, and before.

use handfast_proto::cbor::SecretMap;
use handfast_proto::trust::VaultId;

use super::backup::Backup;
use super::devices::VaultDevice;
use super::header::Header;
use super::keys::{Keys, VaultKey};
use super::passkey::Passkey;
use super::sealed::{Files, Kind};

/// A vault's header, or a backup.
pub(crate) fn header(bytes: &[u8]) {
    if let Ok((header, wrapped)) = Header::parse(bytes) {
        let key = VaultKey::from_slice(&[7; 32]);
        let opened = key.and_then(|key| header.with_key(&wrapped, key));
        assert!(
            opened.is_none() || header.revision() == 0,
            "sealed by nobody"
        );
    }
    let _ = Backup::parse(bytes);
}

/// A file under a key that never sealed it.
pub(crate) fn file(bytes: &[u8]) {
    let Some(key) = VaultKey::from_slice(&[7; 32]) else {
        return;
    };
    let files = Files::new(VaultId([1; 16]), &Keys::new(key));
    for kind in Kind::ALL {
        assert!(files.open(kind, bytes).is_err(), "sealed by nobody");
    }
}

/// What is in a passkey's file, or in a device's.
pub(crate) fn content(bytes: &[u8]) {
    let _ = VaultDevice::parse(bytes);
    let id = SecretMap::decode(bytes).ok().flatten();
    let id = id.and_then(|map| map.int(1)?.as_bytes().map(<[u8]>::to_vec));
    let Some(id) = id else { return };
    let Some(passkey) = Passkey::parse(&id, bytes) else {
        return;
    };
    let _ = passkey.key();
    let written = passkey.encode();
    let read = Passkey::parse(&id, &written).map(|passkey| passkey.encode());
    assert_eq!(read.as_deref(), Some(&*written), "it is what was written");
}
