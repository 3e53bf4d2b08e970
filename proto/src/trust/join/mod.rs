//! Joining a trust group over a hybrid session (`trust-group.md` §4.3): JOIN and OFFER, CONFIRM and
//! SEALED, MERGE and its acknowledgement.
//!
//! The joiner's steps begin with [`Joiner`], the granter's with [`Granter`]; each step consumes the
//! one before it, so that none can be done twice or out of order.

mod granter;
mod hpke_seal;
mod joiner;
mod message;

use core::fmt;

use thiserror::Error;

pub use granter::{AwaitingMerge, ConfirmedGrant, Granter, PendingGrant};
pub use joiner::{AwaitingSealed, Granted, Joiner, Offered};

use super::identity::{
    DeviceId, DeviceKeys, DeviceName, Epoch, GroupId, MemberKey, Method, VaultId,
};
use crate::cose::CoseKey;
use crate::ctap2::Status;

/// Why a join fails. The phone answers every mismatch with the same status.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum JoinError {
    /// A private key could not be written into the message.
    #[error("a private key could not be prepared")]
    Key,
    /// The two radios are not of the same kind.
    #[error("one side's radio is simulated and the other's is not")]
    Method,
    /// The member tag is not of this vault.
    #[error(
        "the other device is not in this vault, or has not opened it since it has its present key"
    )]
    NotInVault,
    /// The device's name is not that of its key.
    #[error("the other device's name does not fit its key")]
    OtherDevice,
    /// The message names another offer, group or request.
    #[error("the message belongs to another join")]
    OtherJoin,
    /// The message names another vault.
    #[error("the other device is in another vault")]
    OtherVault,
    /// The message names another connection.
    #[error("the message belongs to another connection")]
    OtherSession,
    /// The phone answered with a status.
    #[error("the phone refused: {0}")]
    Refused(Status),
    /// The device was put out of the group.
    #[error("the device was removed from this group")]
    Removed,
    /// The ciphertext is not for this device or was altered.
    #[error("the sealed message is not for this device")]
    Sealed,
    /// The signature does not hold.
    #[error("the signature does not hold")]
    Signature,
    /// The message cannot be read.
    #[error("the message cannot be read")]
    Malformed,
    /// The message is of another step.
    #[error("the message is of another step")]
    Step,
}

/// What one side knows and says of itself.
#[derive(Debug)]
pub struct JoinConfig<'a> {
    /// The device's keys.
    pub keys: &'a DeviceKeys,
    /// The proof of being in the vault.
    pub member: &'a MemberKey,
    /// The vault.
    pub vault: VaultId,
    /// The device's name.
    pub name: DeviceName,
    /// The radio that this session used, as this side knows it.
    pub method: Method,
}

/// The other side, as its signed message tells.
#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    /// The device.
    pub device: DeviceId,
    /// Its signing key.
    pub dsk: CoseKey,
    /// Its key for secrets, an uncompressed point.
    pub mk: [u8; 65],
    /// What its owner calls it.
    pub name: DeviceName,
    /// The radio, as it says; the same as this side's.
    pub method: Method,
}

/// The group that is offered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OfferedGroup {
    /// The group.
    pub id: GroupId,
    /// The number of its present secret.
    pub epoch: Epoch,
}

/// Six digits that both sides show.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Code(u32);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:06}", self.0)
    }
}
