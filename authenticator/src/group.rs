//! The trust group over vault and device store: making one, joining one, letting a device in, and
//! keeping the folder and the device's own copies together (`trust-group.md` §4).

mod join;

use std::collections::{BTreeMap, HashMap, HashSet};

use handfast_proto::cose::{Algorithm, KeyId, SigningKey};
use handfast_proto::trust::entry::{Entry, Kind, SignedEntry};
use handfast_proto::trust::identity::IdentityError;
use handfast_proto::trust::wrap::{WrapError, key_file_header, open_key, seal_key};
use handfast_proto::trust::{
    DeviceId, DeviceName, Epoch, GroupId, GroupKey, GroupSecret, KeyMetadata, KeyTuple, Method,
    select,
};
use rand_core::CryptoRngCore;
use thiserror::Error;

pub use self::join::{commit_join, join_config, may_join, own_keys};
pub(crate) use self::join::{let_in, offer, take_keys};

use crate::device::{DeviceError, DeviceStore, File, Group, Held, Seen};
use crate::vault::{Vault, VaultError};

/// Why something with the group is not possible.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GroupError {
    /// The device store.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// This device's group has other members, who would be left behind.
    #[error("this device is in a trust group with other devices already")]
    HasMembers,
    /// A device key is not valid.
    #[error(transparent)]
    Key(#[from] IdentityError),
    /// This device was let in by another, whose word for it the file sync has not brought yet.
    #[error("that this device is in its trust group has not arrived here by the file sync yet")]
    NotListed,
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A key cannot be wrapped.
    #[error(transparent)]
    Wrap(#[from] WrapError),
}

/// One line of [`Status`].
#[derive(Clone, Debug, PartialEq)]
pub struct MemberStatus {
    /// The device.
    pub device: DeviceId,
    /// What its owner calls it.
    pub name: DeviceName,
    /// How it came in; nothing for the group's founder.
    pub method: Option<Method>,
    /// When, seconds since 1970.
    pub since: u64,
    /// Whether it is this device.
    pub is_this: bool,
}

/// Who is in this device's group.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// The group, if this device is in one.
    pub group: Option<GroupId>,
    /// Its members, as far as their entries have arrived here.
    pub members: Vec<MemberStatus>,
    /// How many trust-group keys this device holds.
    pub keys: usize,
}

/// Tells who is in this device's group.
pub fn status(device: &DeviceStore) -> Status {
    let Some(group) = &device.group else {
        return Status {
            group: None,
            members: Vec::new(),
            keys: 0,
        };
    };
    let members = group.members(device.id());
    let line = |member: &handfast_proto::trust::entry::Member| MemberStatus {
        device: member.device,
        name: member.name.clone(),
        method: member.method,
        since: member.since,
        is_this: member.device == device.id(),
    };
    Status {
        group: Some(group.id),
        members: members.iter().map(line).collect(),
        keys: group.keys.len(),
    }
}

/// What a device is to the group of another.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum InGroup {
    /// Both are in it.
    Member {
        /// What its owner calls it.
        name: DeviceName,
        /// Since when, seconds since 1970: the later of them is in.
        since: u64,
        /// Whether a simulated radio is among what brought them together.
        simulated: bool,
    },
    /// It is in none of this group's entries that have arrived here, or this device itself is not.
    No,
    /// It was put out.
    Removed {
        /// What the member who did so called it.
        name: DeviceName,
    },
}

/// Tells what a device is to this device's group.
pub(crate) fn looked_up(this: &DeviceStore, device: DeviceId) -> InGroup {
    let Some(group) = &this.group else {
        return InGroup::No;
    };
    let members = group.members(this.id());
    let removed = members.removed_name(device).cloned();
    match (members.member(device), members.member(this.id()), removed) {
        (Some(other), Some(own), _) => InGroup::Member {
            name: other.name.clone(),
            since: other.since.max(own.since),
            simulated: other.simulated || own.simulated,
        },
        (_, _, Some(name)) => InGroup::Removed { name },
        (_, _, None) => InGroup::No,
    }
}

/// Takes in what the folder has of this device's group, and publishes what the folder lacks, as far as that
/// can be written to now: what is missing there is in the device store. Files of other groups are left alone.
///
/// # Errors
///
/// [`GroupError`].
pub fn refresh(
    vault: &mut Vault,
    device: &mut DeviceStore,
    rng: &mut dyn CryptoRngCore,
) -> Result<(), GroupError> {
    refresh_as_far_as_it_goes(vault, &mut device.hold()?, rng)
}

fn refresh_as_far_as_it_goes(
    vault: &mut Vault,
    held: &mut Held<'_>,
    rng: &mut dyn CryptoRngCore,
) -> Result<(), GroupError> {
    match refresh_held(vault, held, rng) {
        Err(GroupError::Vault(_)) => Ok(()),
        refreshed => refreshed,
    }
}

fn refresh_held(
    vault: &mut Vault,
    held: &mut Held<'_>,
    rng: &mut dyn CryptoRngCore,
) -> Result<(), GroupError> {
    if held.seen.is_at(vault.group_version()) {
        return Ok(());
    }
    let this = held.id();
    let DeviceStore { group, seen, .. } = &mut **held;
    let Some(group) = group else {
        return Ok(());
    };
    let mut changed = look(vault, group, seen);
    changed |= take_entries(group, seen, this);
    if changed {
        held.save(rng)?;
    }
    if let DeviceStore {
        group: Some(group),
        seen,
        ..
    } = &**held
    {
        publish_missing(vault, group, seen, rng)?;
    }
    held.seen.set_version(vault.group_version());
    Ok(())
}

/// Takes in the keys of files that are new or changed, and notes what each file is. Tells whether
/// the group has changed.
fn look(vault: &Vault, group: &mut Group, seen: &mut Seen) -> bool {
    let mut changed = false;
    let mut files = HashMap::new();
    for (path, version, content) in vault.group_versions() {
        let known = seen.files.remove(path).filter(|(at, _)| *at == version);
        let (_, file) = known.unwrap_or_else(|| {
            let file = match SignedEntry::parse(content) {
                Ok(entry) if entry.entry.group == group.id => File::Entry(Box::new(entry)),
                Ok(_) => File::Foreign,
                Err(_) => match open_key(&group.secret, group.id, content) {
                    Ok(key) => {
                        let file = File::Key(key.key_id(), key.metadata());
                        changed |= group.take_key(key);
                        file
                    }
                    Err(_) => File::Foreign,
                },
            };
            (version, file)
        });
        files.insert(path.to_owned(), (version, file));
    }
    seen.files = files;
    changed
}

/// Keeps those entries that count. Whoever has the vault can write others, as many as he likes.
fn take_entries(group: &mut Group, seen: &Seen, this: DeviceId) -> bool {
    let mut new = BTreeMap::new();
    for (_, file) in seen.files.values() {
        if let File::Entry(entry) = file
            && !group.entries.contains_key(&entry.hash())
        {
            new.insert(entry.hash(), (**entry).clone());
        }
    }
    if new.is_empty() {
        return false;
    }
    let mut all = group.entries.clone();
    all.extend(new.clone());
    let members = group.members_among(&all, this);
    new.retain(|hash, _| members.counts(hash));
    let changed = !new.is_empty();
    group.entries.extend(new);
    changed
}

fn publish_missing(
    vault: &mut Vault,
    group: &Group,
    seen: &Seen,
    rng: &mut dyn CryptoRngCore,
) -> Result<(), GroupError> {
    let mut entries = HashSet::new();
    let mut keys: HashMap<KeyId, Vec<KeyMetadata>> = HashMap::new();
    for (_, file) in seen.files.values() {
        match file {
            File::Entry(entry) => drop(entries.insert(entry.hash())),
            File::Key(id, metadata) => keys.entry(*id).or_default().push(*metadata),
            File::Foreign => {}
        }
    }
    for (hash, entry) in &group.entries {
        if !entries.contains(hash) {
            vault.publish(&entry.encode())?;
        }
    }
    for (id, key) in &group.keys {
        let metadata = key.metadata();
        // Conflict copies say older things beside the newest; they are no reason to write again.
        if !keys.get(id).is_some_and(|seen| seen.contains(&metadata)) {
            publish_key(vault, group, key, rng)?;
        }
    }
    Ok(())
}

fn publish_key(
    vault: &mut Vault,
    group: &Group,
    key: &GroupKey,
    rng: &mut dyn CryptoRngCore,
) -> Result<(), GroupError> {
    let file = seal_key(&group.secret, group.id, group.epoch, key, rng)?;
    let (group, id) = (group.id, key.key_id());
    vault.publish_instead(&file, |content| {
        key_file_header(content).is_ok_and(|header| header.group == group && header.key_id == id)
    })?;
    Ok(())
}

/// Makes a group of one, if this device is in none.
fn ensure(
    vault: &mut Vault,
    held: &mut Held<'_>,
    now: u64,
    rng: &mut dyn CryptoRngCore,
) -> Result<(), GroupError> {
    if held.group.is_some() {
        return Ok(());
    }
    let id = GroupId::generate(rng);
    let entry = Entry {
        group: id,
        kind: Kind::Create,
        subject: held.id(),
        dsk: held.keys().dsk().public_key(),
        mk: held.keys().mk_public(),
        name: held.name().clone(),
        actor: held.id(),
        method: None,
        time: now,
        parents: Vec::new(),
    };
    let signer = held.keys().dsk().public_key();
    let mut group = Group::new(id, Epoch(1), GroupSecret::generate(rng), signer);
    group.take_entry(SignedEntry::sign(entry, held.keys()));
    held.group = Some(group);
    held.save(rng)?;
    refresh_held(vault, held, rng)
}

/// Finds the key to present for a passkey, or makes one. It is durable and published when this returns: one
/// that the group's other devices may never hear of is not presented.
///
/// # Errors
///
/// [`GroupError`].
pub fn key_for(
    vault: &mut Vault,
    device: &mut DeviceStore,
    tuple: &KeyTuple,
    algorithm: Algorithm,
    now: u64,
    rng: &mut dyn CryptoRngCore,
) -> Result<KeyId, GroupError> {
    let mut held = device.hold()?;
    ensure(vault, &mut held, now, rng)?;
    if let Some(found) = selected(&held, tuple, algorithm) {
        refresh_held(vault, &mut held, rng)?;
        return Ok(found);
    }
    let key = GroupKey {
        tuple: tuple.clone(),
        key: SigningKey::generate(algorithm, rng),
        created_at: now,
        first_presented_at: None,
        retired: false,
    };
    let id = key.key_id();
    if let Some(group) = &mut held.group {
        group.take_key(key);
    }
    held.save(rng)?;
    refresh_held(vault, &mut held, rng)?;
    Ok(id)
}

fn selected(device: &DeviceStore, tuple: &KeyTuple, algorithm: Algorithm) -> Option<KeyId> {
    let group = device.group.as_ref()?;
    let keys = group.keys.values().filter(|key| key.tuple == *tuple);
    select(keys.map(GroupKey::metadata), algorithm).map(|key| key.key_id)
}

/// Returns a key of this device's group.
pub fn key(device: &DeviceStore, id: KeyId) -> Option<&SigningKey> {
    device.group.as_ref()?.keys.get(&id).map(|key| &key.key)
}

/// Notes that a relying party gets to see a key. To be called when the answer is released.
///
/// # Errors
///
/// [`GroupError`].
pub fn presented(
    vault: &mut Vault,
    device: &mut DeviceStore,
    id: KeyId,
    now: u64,
    rng: &mut dyn CryptoRngCore,
) -> Result<(), GroupError> {
    let mut held = device.hold()?;
    let group = held.group.as_mut();
    let Some(key) = group.and_then(|group| group.keys.get_mut(&id)) else {
        return Ok(());
    };
    if key.merge(key.created_at, Some(now), key.retired) {
        held.save(rng)?;
        refresh_as_far_as_it_goes(vault, &mut held, rng)?;
    }
    Ok(())
}

/// Retires the keys of passkeys that are gone for good.
///
/// # Errors
///
/// [`GroupError`].
pub fn retire(
    vault: &mut Vault,
    device: &mut DeviceStore,
    gone: &[KeyTuple],
    rng: &mut dyn CryptoRngCore,
) -> Result<(), GroupError> {
    let mut held = device.hold()?;
    let mut changed = false;
    for key in held
        .group
        .iter_mut()
        .flat_map(|group| group.keys.values_mut())
    {
        if gone.contains(&key.tuple) {
            changed |= key.merge(key.created_at, key.first_presented_at, true);
        }
    }
    if changed {
        held.save(rng)?;
        refresh_as_far_as_it_goes(vault, &mut held, rng)?;
    }
    Ok(())
}

/// Shows this device's own group secret to who plays a thief with a device of his own.
///
/// # Security
///
/// Whoever has this can use every key of this device's group. Only the demo and tests have a use
/// for it.
pub fn danger_group_secret(device: &DeviceStore) -> Option<[u8; 32]> {
    device.group.as_ref().map(|group| *group.secret.expose())
}
