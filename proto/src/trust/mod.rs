//! Trust groups: who belongs together because they were near each other (`trust-group.md` §4).
//!
//! | module | is |
//! |---|---|
//! | [`identity`] | devices, groups, vaults and their names; the keys of a device |
//! | [`key`] | the trust-group key of one passkey, and which one is presented |
//! | [`wrap`] | such a key as a file that only members can open |
//! | [`entry`] | who is a member, signed by who let them in |
//! | [`join`] | joining a group over a hybrid session, in three steps |
//! | [`introduction`] | a computer that says to its owner's phone which of his it is |

pub mod entry;
pub mod identity;
pub mod introduction;
pub mod join;
pub mod key;
pub mod wrap;

pub use identity::{
    DeviceId, DeviceKeys, DeviceName, Epoch, GroupId, GroupSecret, MemberKey, Method, VaultId,
};
pub use key::{GroupKey, KeyMetadata, KeyTuple, select};

/// The version that a phone announces if it can let a computer into its trust group.
pub const SUPPORT_VERSION: &str = "HANDFAST_TG_1";
