//! Member entries: who is in a group, signed by who let them in (`trust-group.md` §4.4). They form
//! a graph, because file sync writes concurrently.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};
use thiserror::Error;

use super::identity::{DeviceId, DeviceKeys, DeviceName, GroupId, Method, parse_mk};
use crate::cbor::{self, Map, Value};
use crate::cose::{Algorithm, CoseKey};

const FILE: &str = "tg-entry-file/v1";
const ENTRY: &str = "tg-entry/v1";

/// Why a file is no entry.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum EntryError {
    /// The file is not of this kind, or damaged.
    #[error("not a member entry")]
    Malformed,
    /// The device's name and key do not belong together.
    #[error("the entry's device is not the owner of its key")]
    OtherDevice,
}

/// What an entry does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// 2: a member lets a device in.
    Add,
    /// 1: a device makes the group, with itself in it.
    Create,
    /// 4: a new group secret begins.
    Epoch,
    /// 3: a member puts a device out.
    Remove,
}

impl Kind {
    fn number(self) -> u64 {
        match self {
            Self::Create => 1,
            Self::Add => 2,
            Self::Remove => 3,
            Self::Epoch => 4,
        }
    }

    fn from_number(number: u64) -> Option<Self> {
        [Self::Create, Self::Add, Self::Remove, Self::Epoch]
            .into_iter()
            .find(|kind| kind.number() == number)
    }
}

/// The hash by which entries name their parents.
pub type EntryHash = [u8; 32];

/// The content of an entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The group.
    pub group: GroupId,
    /// What the entry does.
    pub kind: Kind,
    /// To which device.
    pub subject: DeviceId,
    /// That device's signing key.
    pub dsk: CoseKey,
    /// That device's key for secrets, an uncompressed point.
    pub mk: [u8; 65],
    /// What its owner calls it.
    pub name: DeviceName,
    /// Who says so.
    pub actor: DeviceId,
    /// How the device came in; nothing for create and remove.
    pub method: Option<Method>,
    /// When, seconds since 1970.
    pub time: u64,
    /// The entries that the actor knew.
    pub parents: Vec<EntryHash>,
}

impl Entry {
    fn encode(&self) -> Vec<u8> {
        let parents: Vec<Value> = self.parents.iter().map(|hash| hash.into()).collect();
        Map::new()
            .with(1, ENTRY)
            .with(2, self.group.0)
            .with(3, self.kind.number())
            .with(4, self.subject.0)
            .with(5, self.dsk.as_bytes())
            .with(6, self.mk)
            .with(7, self.name.as_str())
            .with(8, self.actor.0)
            .with(9, self.method.map_or(0, Method::number))
            .with(10, self.time)
            .with(11, parents)
            .encode()
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let map = cbor::decode(bytes).ok()?.into_map()?;
        if map.len() != 11 || map.int(1)?.as_text()? != ENTRY {
            return None;
        }
        let device = |key| Some(DeviceId(map.int(key)?.as_bytes()?.try_into().ok()?));
        let parents = map.int(11)?.as_array()?.iter();
        let kind = Kind::from_number(map.int(3)?.as_u64()?)?;
        let method = match (kind, map.int(9)?.as_u64()?) {
            (Kind::Create | Kind::Remove | Kind::Epoch, 0) => None,
            (Kind::Add, number) => Some(Method::from_number(number)?),
            _ => return None,
        };
        Some(Self {
            group: GroupId(map.int(2)?.as_bytes()?.try_into().ok()?),
            kind,
            subject: device(4)?,
            dsk: parse_dsk(map.int(5)?.as_bytes()?)?,
            mk: parse_mk(map.int(6)?.as_bytes()?)?,
            name: DeviceName::parse(map.int(7)?.as_text()?).ok()?,
            actor: device(8)?,
            method,
            time: map.int(10)?.as_u64()?,
            parents: parents
                .map(|hash| hash.as_bytes()?.try_into().ok())
                .collect::<Option<_>>()?,
        })
    }
}

fn parse_dsk(bytes: &[u8]) -> Option<CoseKey> {
    let dsk = CoseKey::parse(bytes).ok()?;
    (dsk.algorithm() == Algorithm::Es256).then_some(dsk)
}

/// An entry with its signature, which is checked when its actor's key is known.
#[derive(Clone, Debug, PartialEq)]
pub struct SignedEntry {
    /// The content.
    pub entry: Entry,
    bytes: Vec<u8>,
    signature: Vec<u8>,
}

impl SignedEntry {
    /// Signs an entry; the actor becomes the owner of these keys.
    pub fn sign(mut entry: Entry, keys: &DeviceKeys) -> Self {
        entry.actor = keys.device_id();
        let bytes = entry.encode();
        let signature = keys.dsk().sign(&bytes);
        Self {
            entry,
            bytes,
            signature,
        }
    }

    /// Reads a file's content.
    ///
    /// # Errors
    ///
    /// [`EntryError`].
    pub fn parse(file: &[u8]) -> Result<Self, EntryError> {
        let signed = Self::parts(file).ok_or(EntryError::Malformed)?;
        if DeviceId::of(&signed.entry.dsk) != signed.entry.subject {
            return Err(EntryError::OtherDevice);
        }
        Ok(signed)
    }

    fn parts(file: &[u8]) -> Option<Self> {
        let map = cbor::decode(file).ok()?.into_map()?;
        if map.len() != 3 || map.int(1)?.as_text()? != FILE {
            return None;
        }
        let bytes = map.int(2)?.as_bytes()?.to_vec();
        Some(Self {
            entry: Entry::parse(&bytes)?,
            signature: map.int(3)?.as_bytes()?.to_vec(),
            bytes,
        })
    }

    /// Returns the file's content.
    pub fn encode(&self) -> Vec<u8> {
        Map::new()
            .with(1, FILE)
            .with(2, self.bytes.as_slice())
            .with(3, self.signature.as_slice())
            .encode()
    }

    /// Returns the hash by which later entries name this one.
    pub fn hash(&self) -> EntryHash {
        Sha256::digest(&self.bytes).into()
    }
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// The device.
    pub device: DeviceId,
    /// Its signing key.
    pub dsk: CoseKey,
    /// Its key for secrets.
    pub mk: [u8; 65],
    /// What its owner calls it.
    pub name: DeviceName,
    /// How it came in; nothing for the group's founder.
    pub method: Option<Method>,
    /// When, seconds since 1970.
    pub since: u64,
    /// Whether it came in by a simulated radio, or by a member of whom that is true: then nothing proves
    /// that it was ever near the founder.
    pub simulated: bool,
}

/// By what a device knows its own group: the entry that made it a member, and whose signature that
/// entry must have.
#[derive(Clone, Debug, PartialEq)]
pub struct Anchor {
    /// The device that reads.
    pub device: DeviceId,
    /// The key of who let it in; its own, if it made the group.
    pub signer: CoseKey,
}

impl Anchor {
    fn is(&self, signed: &SignedEntry) -> bool {
        matches!(signed.entry.kind, Kind::Create | Kind::Add)
            && signed.entry.subject == self.device
            && signed.entry.actor == DeviceId::of(&self.signer)
            && self.signer.verify(&signed.bytes, &signed.signature).is_ok()
    }
}

/// The members of a group, as its valid entries tell.
#[derive(Clone, Debug, Default)]
pub struct Members {
    members: BTreeMap<DeviceId, Member>,
    /// With what the member who put it out called it.
    removed: BTreeMap<DeviceId, DeviceName>,
    heads: BTreeSet<EntryHash>,
    valid: BTreeSet<EntryHash>,
}

impl Members {
    /// Reads a group's entries. An entry counts if its actor is a member by the entries before it
    /// and its signature holds. The group is the one that leads from its founder to `anchor`:
    /// whoever has the vault can write founders of his own, but not an entry of a key that the
    /// reader met in person.
    pub fn read(entries: &[SignedEntry], group: GroupId, anchor: &Anchor) -> Self {
        let entries: BTreeMap<EntryHash, &SignedEntry> = entries
            .iter()
            .filter(|signed| signed.entry.group == group)
            .map(|signed| (signed.hash(), signed))
            .collect();
        entries
            .iter()
            .filter(|(_, signed)| founds(signed))
            .map(|(founder, _)| Self::grow(&entries, *founder, anchor))
            .find_map(|(members, anchored)| anchored.then_some(members))
            .unwrap_or_default()
    }

    /// Follows the entries from a founder, and tells whether the anchor is among them.
    fn grow(
        entries: &BTreeMap<EntryHash, &SignedEntry>,
        founder: EntryHash,
        anchor: &Anchor,
    ) -> (Self, bool) {
        let mut waiting = entries.clone();
        let mut known = Self::default();
        let mut anchored = false;
        // Each round takes all entries whose parents are there, so that order does not matter.
        loop {
            let next: Vec<EntryHash> = waiting
                .iter()
                .filter(|(hash, signed)| {
                    let parents = &signed.entry.parents;
                    let rooted =
                        !parents.is_empty() && parents.iter().all(|p| known.valid.contains(p));
                    **hash == founder
                        || (rooted && stands_on_actor(entries, signed) && known.allows(signed))
                })
                .map(|(hash, _)| *hash)
                .collect();
            if next.is_empty() {
                return (known, anchored);
            }
            for signed in next.iter().filter_map(|hash| waiting.remove(hash)) {
                known.apply(signed);
                anchored |= anchor.is(signed);
                for parent in &signed.entry.parents {
                    known.heads.remove(parent);
                }
                known.heads.insert(signed.hash());
                known.valid.insert(signed.hash());
            }
        }
    }

    fn allows(&self, signed: &SignedEntry) -> bool {
        signed.entry.kind != Kind::Create
            && self
                .members
                .get(&signed.entry.actor)
                .is_some_and(|actor| actor.dsk.verify(&signed.bytes, &signed.signature).is_ok())
    }

    fn apply(&mut self, signed: &SignedEntry) {
        let entry = &signed.entry;
        match entry.kind {
            Kind::Create | Kind::Add if !self.removed.contains_key(&entry.subject) => {
                let actor = self.members.get(&entry.actor);
                let simulated = entry.method == Some(Method::Simulated)
                    || actor.is_some_and(|actor| actor.simulated);
                self.members.entry(entry.subject).or_insert_with(|| Member {
                    device: entry.subject,
                    dsk: entry.dsk.clone(),
                    mk: entry.mk,
                    name: entry.name.clone(),
                    method: entry.method,
                    since: entry.time,
                    simulated,
                });
            }
            Kind::Remove => {
                self.members.remove(&entry.subject);
                self.removed.insert(entry.subject, entry.name.clone());
            }
            Kind::Create | Kind::Add | Kind::Epoch => {}
        }
    }

    /// Returns the members by their device.
    pub fn iter(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// Returns a member.
    pub fn member(&self, device: DeviceId) -> Option<&Member> {
        self.members.get(&device)
    }

    /// Returns the number of members.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Returns whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Returns whether a device is in.
    pub fn contains(&self, device: DeviceId) -> bool {
        self.members.contains_key(&device)
    }

    /// Returns what a device was called when it was put out, if it was.
    pub fn removed_name(&self, device: DeviceId) -> Option<&DeviceName> {
        self.removed.get(&device)
    }

    /// Returns the devices that were put out.
    pub fn removed(&self) -> Vec<DeviceId> {
        self.removed.keys().copied().collect()
    }

    /// Returns whether an entry is one of those that made these members.
    pub fn counts(&self, entry: &EntryHash) -> bool {
        self.valid.contains(entry)
    }

    /// Returns the entries that no other valid entry names: the parents of the next.
    pub fn heads(&self) -> Vec<EntryHash> {
        self.heads.iter().copied().collect()
    }

    /// Returns whether the group may let a device in by this method: one with a member who came by
    /// a real radio takes nobody by a simulated one.
    pub fn admits(&self, method: Method) -> bool {
        let real = |member: &Member| member.method.is_some_and(|m| m != Method::Simulated);
        method != Method::Simulated || !self.members.values().any(real)
    }
}

/// Returns whether the entry by which its actor came in is among those that an entry stands on: one
/// beside it is not before it.
fn stands_on_actor(entries: &BTreeMap<EntryHash, &SignedEntry>, signed: &SignedEntry) -> bool {
    let mut open = signed.entry.parents.clone();
    let mut seen = BTreeSet::new();
    while let Some(hash) = open.pop() {
        let Some(before) = entries.get(&hash).filter(|_| seen.insert(hash)) else {
            continue;
        };
        let Entry { kind, subject, .. } = &before.entry;
        if matches!(kind, Kind::Create | Kind::Add) && *subject == signed.entry.actor {
            return true;
        }
        open.extend(&before.entry.parents);
    }
    false
}

fn founds(signed: &SignedEntry) -> bool {
    let entry = &signed.entry;
    entry.kind == Kind::Create
        && entry.parents.is_empty()
        && entry.actor == entry.subject
        && entry.dsk.verify(&signed.bytes, &signed.signature).is_ok()
}
