//! The device's trust group: its secret, and the device's own copies of the group's files.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use handfast_proto::cbor::{Map, Value};
use handfast_proto::cose::{CoseKey, KeyId};
use handfast_proto::trust::entry::{Anchor, EntryHash, Members, SignedEntry};
use handfast_proto::trust::wrap::{open_key, seal_key};
use handfast_proto::trust::{DeviceId, Epoch, GroupId, GroupKey, GroupSecret, KeyMetadata};
use rand_core::CryptoRngCore;

use crate::locked::Locked;

/// What a device has taken in of the files of its group in the vault's folder.
#[derive(Default)]
pub(crate) struct Seen {
    /// The folder's version that was taken in as a whole, with nothing left to publish.
    version: Option<u64>,
    /// What each file was, by its own version.
    pub(crate) files: HashMap<PathBuf, (u64, File)>,
}

/// What a file of the folder is to this device.
#[derive(Clone)]
pub(crate) enum File {
    /// A member entry of its group.
    Entry(Box<SignedEntry>),
    /// Nothing of its group.
    Foreign,
    /// A key of its group, as far as it was published.
    Key(KeyId, KeyMetadata),
}

impl Seen {
    pub(crate) fn is_at(&self, version: u64) -> bool {
        self.version == Some(version)
    }

    pub(crate) fn set_version(&mut self, version: u64) {
        self.version = Some(version);
    }

    pub(crate) fn forget_version(&mut self) {
        self.version = None;
    }
}

pub(crate) struct Group {
    pub(crate) id: GroupId,
    pub(crate) epoch: Epoch,
    pub(crate) secret: Locked<GroupSecret>,
    /// The signing key of who let this device in; its own, if it made the group.
    pub(crate) signer: CoseKey,
    pub(crate) keys: BTreeMap<KeyId, GroupKey>,
    pub(crate) entries: BTreeMap<EntryHash, SignedEntry>,
}

impl Group {
    pub(crate) fn new(id: GroupId, epoch: Epoch, secret: GroupSecret, signer: CoseKey) -> Self {
        Self {
            id,
            epoch,
            secret: Locked::new(secret),
            signer,
            keys: BTreeMap::new(),
            entries: BTreeMap::new(),
        }
    }

    /// Returns the members as this device knows them.
    pub(crate) fn members(&self, this: DeviceId) -> Members {
        self.members_among(&self.entries, this)
    }

    /// Returns the members as these entries tell.
    pub(crate) fn members_among(
        &self,
        entries: &BTreeMap<EntryHash, SignedEntry>,
        this: DeviceId,
    ) -> Members {
        let entries: Vec<SignedEntry> = entries.values().cloned().collect();
        Members::read(
            &entries,
            self.id,
            &Anchor {
                device: this,
                signer: self.signer.clone(),
            },
        )
    }

    /// Takes in a key, or what it knows more of a key that is here. Tells whether that changed
    /// anything.
    pub(crate) fn take_key(&mut self, key: GroupKey) -> bool {
        match self.keys.get_mut(&key.key_id()) {
            Some(known) => known.merge(key.created_at, key.first_presented_at, key.retired),
            None => {
                self.keys.insert(key.key_id(), key);
                true
            }
        }
    }

    pub(crate) fn take_entry(&mut self, entry: SignedEntry) -> bool {
        self.entries.insert(entry.hash(), entry).is_none()
    }

    /// Returns the group as the store keeps it; nothing if a key cannot be written, which would
    /// lose it.
    pub(super) fn to_map(&self, rng: &mut dyn CryptoRngCore) -> Option<Map> {
        let mut keys = Vec::new();
        for key in self.keys.values() {
            let file = seal_key(&self.secret, self.id, self.epoch, key, rng).ok()?;
            keys.push(Value::from(file));
        }
        let entries: Vec<Value> = self
            .entries
            .values()
            .map(|entry| entry.encode().into())
            .collect();
        let map = Map::new()
            .with(1, self.id.0)
            .with(2, self.epoch.0)
            .with(3, self.secret.expose())
            .with(4, self.signer.as_bytes())
            .with(5, keys)
            .with(6, entries);
        Some(map)
    }

    pub(super) fn parse(map: &Map) -> Option<Self> {
        let id = GroupId(map.int(1)?.as_bytes()?.try_into().ok()?);
        let epoch = Epoch::from_number(map.int(2)?.as_u64()?)?;
        let secret = GroupSecret::from_bytes(map.int(3)?.as_bytes()?.try_into().ok()?);
        let signer = CoseKey::parse(map.int(4)?.as_bytes()?).ok()?;
        let mut group = Self::new(id, epoch, secret, signer);
        for file in map.int(5)?.as_array()? {
            let key = open_key(&group.secret, id, file.as_bytes()?).ok()?;
            group.take_key(key);
        }
        for file in map.int(6)?.as_array()? {
            group.take_entry(SignedEntry::parse(file.as_bytes()?).ok()?);
        }
        Some(group)
    }
}
