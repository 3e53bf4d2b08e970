//! Who asks, and how a computer says so (`docs/introductions.md`).

use handfast_proto::ctap2::Status;
use handfast_proto::trust::DeviceId;
use handfast_proto::trust::introduction::{IntroductionError, IntroductionKey, introduced};

use super::{Authenticator, Session, printable};
use crate::group::{self, InGroup};

/// Who asks.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Computer {
    /// A computer that names a device of the vault's and cannot prove to be that. It knows a secret that only
    /// the vault's devices should have.
    Impostor,
    /// A computer that said which it is, and proved it.
    Introduced(Introduced),
    /// A tool that tests this very program, with a vault made for that.
    TestTool,
    /// This device itself.
    ThisDevice,
    /// A computer that showed a QR code, and is new here or does not say who it is.
    Unknown,
}

impl Computer {
    /// Returns what it is told where a request comes to this status: that a PIN was wrong or is blocked is
    /// its owner's business, and other devices' software knows those statuses from PIN protocols alone.
    pub(crate) fn told(&self, status: Status) -> Status {
        match (self, status) {
            (Self::ThisDevice, status) => status,
            (_, Status::UV_INVALID | Status::UV_BLOCKED) => Status::OPERATION_DENIED,
            (_, status) => status,
        }
    }
}

/// A computer that said which device it is, and proved it.
#[derive(Clone, Debug, PartialEq)]
pub struct Introduced {
    /// What it is called, made printable: by the trust group's members if they know it, else by itself;
    /// nothing if this device has not heard of it yet.
    pub name: Option<String>,
    /// What it is to this device.
    pub standing: Standing,
    /// Whether it spoke under an earlier key of the vault. Who has stolen what introduces a computer
    /// cannot do better once the vault has a new key; a computer that has not opened its vault since neither.
    pub outdated: bool,
}

/// What a computer is to the device that it asks.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Standing {
    /// It is in the same trust group.
    Linked {
        /// Since when both are in it, seconds since 1970.
        since: u64,
        /// Whether a simulated radio is among what brought them there, which proves nothing.
        simulated: bool,
    },
    /// It has this device's own keys: it runs on this device, or was copied from it.
    Own,
    /// It was put out of the trust group.
    Removed,
    /// It has a secret of the vault, and is not in the trust group as far as this device knows.
    Vault {
        /// Since when, by its own account, the vault knows it, seconds since 1970; nothing if it does not, or
        /// not yet.
        since: Option<u64>,
    },
}

/// What came of a session's introduction; only the first one counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Introduction {
    None,
    /// By a device of another vault, or nothing that is one.
    Foreign,
    /// By who has a secret of the vault, and is not the device that he names.
    Forged,
    Proved {
        device: DeviceId,
        outdated: bool,
    },
}

impl Introduction {
    /// Returns whether a device may be the one that spoke.
    pub(super) fn fits(self, joiner: DeviceId) -> bool {
        match self {
            Self::None | Self::Foreign => true,
            Self::Forged => false,
            Self::Proved { device, .. } => device == joiner,
        }
    }
}

impl Authenticator {
    /// Takes in how the computer of a hybrid session introduces itself, for the prompts of this session.
    ///
    /// # Errors
    ///
    /// [`IntroductionError`]: why it introduces nobody here, for who looks for a fault. The session goes on.
    pub fn introduce(
        &self,
        session: &mut Session,
        introduction: &[u8],
    ) -> Result<(), IntroductionError> {
        let hash = session.context.handshake_hash;
        let hash = hash.ok_or(IntroductionError::Foreign)?;
        if session.introduction != Introduction::None {
            return Err(IntroductionError::Repeated);
        }
        let read = self.read(introduction, &hash);
        session.introduction = match read {
            Ok((device, outdated)) => Introduction::Proved { device, outdated },
            Err(IntroductionError::Certificate | IntroductionError::Signature) => {
                Introduction::Forged
            }
            Err(_) => Introduction::Foreign,
        };
        read.map(|_| ())
    }

    /// Returns the device that is proved, and whether that is under an earlier key of the vault. What was
    /// forged under an earlier key says nothing: those who had it were locked out with a new one.
    fn read(
        &self,
        introduction: &[u8],
        hash: &[u8; 32],
    ) -> Result<(DeviceId, bool), IntroductionError> {
        let mut keys = self.vault.keys().map(IntroductionKey::derive);
        let newest = keys.next().ok_or(IntroductionError::Foreign)?;
        match introduced(introduction, hash, &newest) {
            Err(IntroductionError::Foreign) => {
                let earlier = keys.find_map(|key| introduced(introduction, hash, &key).ok());
                let earlier = earlier.map(|device| (device, true));
                earlier.ok_or(IntroductionError::Foreign)
            }
            read => read.map(|device| (device, false)),
        }
    }

    /// Returns who asks in this session, as far as this device knows at this moment.
    pub(super) fn asker(&self, session: &Session) -> Computer {
        match session.introduction {
            Introduction::Proved { device, outdated } => {
                Computer::Introduced(self.known(device, outdated))
            }
            Introduction::Forged => Computer::Impostor,
            Introduction::None | Introduction::Foreign => session.context.computer.clone(),
        }
    }

    fn known(&self, device: DeviceId, outdated: bool) -> Introduced {
        let in_vault = self.vault.device(device);
        let (name, standing) = match group::looked_up(&self.device, device) {
            _ if device == self.device.id() => (Some(self.device.name().clone()), Standing::Own),
            InGroup::Member {
                name,
                since,
                simulated,
            } => (Some(name), Standing::Linked { since, simulated }),
            InGroup::Removed { name } => (Some(name), Standing::Removed),
            InGroup::No => (
                in_vault.map(|known| known.name.clone()),
                Standing::Vault {
                    since: in_vault.map(|known| known.since),
                },
            ),
        };
        let name = name.map(|name| printable(name.as_str()));
        Introduced {
            name: name.filter(|name| !name.is_empty()),
            standing,
            outdated,
        }
    }
}
