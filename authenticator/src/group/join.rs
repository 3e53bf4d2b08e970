//! Joining a group, and letting a device in (`trust-group.md` §4.3, §4.5).

use handfast_proto::trust::entry::{Entry, Kind, Members, SignedEntry};
use handfast_proto::trust::identity::IdentityError;
use handfast_proto::trust::join::{Granted, JoinConfig, Peer};
use handfast_proto::trust::{Epoch, GroupId, GroupKey, MemberKey, Method};
use rand_core::CryptoRngCore;

use super::{GroupError, ensure, refresh_held, status};
use crate::device::{DeviceStore, Group, Seen};
use crate::vault::Vault;

/// What this device says of itself in a join.
pub fn join_config<'a>(
    vault: &Vault,
    device: &'a DeviceStore,
    member: &'a MemberKey,
    method: Method,
) -> JoinConfig<'a> {
    JoinConfig {
        keys: device.keys(),
        member,
        vault: vault.id(),
        name: device.name().clone(),
        method,
    }
}

/// Tells whether this device may join another group: its own must have no other member, whether or
/// not the file sync has brought the entries that say so.
///
/// # Errors
///
/// [`GroupError::HasMembers`].
pub fn may_join(device: &DeviceStore) -> Result<(), GroupError> {
    let let_in_by_another = device
        .group
        .as_ref()
        .is_some_and(|group| group.signer != device.keys().dsk().public_key());
    match status(device).members.len() {
        0 | 1 if !let_in_by_another => Ok(()),
        _ => Err(GroupError::HasMembers),
    }
}

/// Returns this device's own keys, to be taken along into another group.
pub fn own_keys(device: &DeviceStore) -> Vec<&GroupKey> {
    device
        .group
        .iter()
        .flat_map(|group| group.keys.values())
        .collect()
}

/// Goes over into the group that was granted, with all own keys. Called after the granter's
/// acknowledgement.
///
/// # Errors
///
/// [`GroupError`].
pub fn commit_join(
    vault: &mut Vault,
    device: &mut DeviceStore,
    granted: Granted,
    rng: &mut dyn CryptoRngCore,
) -> Result<(), GroupError> {
    let Granted {
        granter,
        group,
        secret,
        keys,
        ..
    } = granted;
    let mut held = device.hold()?;
    // Another program may have changed the group while the two persons compared the digits.
    may_join(&held)?;
    let mut joined = Group::new(group.id, group.epoch, secret, granter.dsk);
    let own = held.group.take().map(|own| own.keys).unwrap_or_default();
    for key in own.into_values().chain(keys) {
        joined.take_key(key);
    }
    held.group = Some(joined);
    held.seen = Seen::default();
    held.save(rng)?;
    vault.refresh()?;
    refresh_held(vault, &mut held, rng)
}

/// The group to offer, made if there is none yet.
///
/// # Errors
///
/// [`GroupError`].
pub(crate) fn offer(
    vault: &mut Vault,
    device: &mut DeviceStore,
    now: u64,
    rng: &mut dyn CryptoRngCore,
) -> Result<(GroupId, Epoch, Members), GroupError> {
    let mut held = device.hold()?;
    ensure(vault, &mut held, now, rng)?;
    // Who is let in has to find the group's files, and nobody is put on a list that cannot be written.
    refresh_held(vault, &mut held, rng)?;
    let this = held.id();
    let group = held.group.as_ref().ok_or(IdentityError::Key)?;
    let members = group.members(this);
    // Who is on no list himself would let in somebody who is on none.
    if !members.contains(this) {
        return Err(GroupError::NotListed);
    }
    Ok((group.id, group.epoch, members))
}

/// Lets a device in: signs its entry. If that cannot be published, it is not let in.
///
/// # Errors
///
/// [`GroupError`].
pub(crate) fn let_in(
    vault: &mut Vault,
    device: &mut DeviceStore,
    joiner: &Peer,
    now: u64,
    rng: &mut dyn CryptoRngCore,
) -> Result<(), GroupError> {
    let mut held = device.hold()?;
    let this = held.id();
    let group = held.group.as_ref().ok_or(IdentityError::Key)?;
    let entry = Entry {
        group: group.id,
        kind: Kind::Add,
        subject: joiner.device,
        dsk: joiner.dsk.clone(),
        mk: joiner.mk,
        name: joiner.name.clone(),
        actor: this,
        method: Some(joiner.method),
        time: now,
        parents: group.members(this).heads(),
    };
    let entry = SignedEntry::sign(entry, held.keys());
    let hash = entry.hash();
    if let Some(group) = &mut held.group {
        group.take_entry(entry);
    }
    let let_in = held.save(rng).map_err(GroupError::from);
    let let_in = let_in.and_then(|()| refresh_held(vault, &mut held, rng));
    if let_in.is_err()
        && let Some(group) = &mut held.group
    {
        group.entries.remove(&hash);
        held.save(rng)?;
    }
    let_in
}

/// Takes in the keys that a device brought along.
///
/// # Errors
///
/// [`GroupError`].
pub(crate) fn take_keys(
    vault: &mut Vault,
    device: &mut DeviceStore,
    keys: Vec<GroupKey>,
    rng: &mut dyn CryptoRngCore,
) -> Result<(), GroupError> {
    let mut held = device.hold()?;
    if let Some(group) = &mut held.group {
        for key in keys {
            group.take_key(key);
        }
    }
    held.save(rng)?;
    refresh_held(vault, &mut held, rng)
}
