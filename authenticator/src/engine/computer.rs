//! Who asks, and how a computer says so (`docs/introductions.md`).

use handfast_proto::trust::DeviceId;
use handfast_proto::trust::introduction::{IntroductionError, IntroductionKey, introduced};

use super::{Authenticator, Session, printable};
use crate::group::{self, InGroup};

/// Who asks.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Computer {
    /// A computer that can open the vault, and says it is a device that it cannot prove to be.
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

/// A computer that said which it is, and proved it.
#[derive(Clone, Debug, PartialEq)]
pub struct Introduced {
    /// What its owner calls it, made printable; nothing if this device has not heard of it yet.
    pub name: Option<String>,
    /// What it is to this device.
    pub standing: Standing,
}

/// What a computer is to the device that it asks.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Standing {
    /// It is in the same trust group.
    Linked {
        /// Since when both are in it, seconds since 1970.
        since: u64,
        /// Whether one of them came in by a simulated radio, which proves nothing.
        simulated: bool,
    },
    /// It was put out of the trust group.
    Removed,
    /// It can open the vault, for which it need not ever have been near.
    Vault {
        /// Since when the vault knows it, seconds since 1970; nothing if it does not, or not yet.
        since: Option<u64>,
    },
}

/// What came of a session's introduction; only the first one counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Introduction {
    None,
    /// By a device of another vault, or nothing that is one.
    Foreign,
    /// By who can open the vault, and is not the device that he names.
    Forged,
    Proved(DeviceId),
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
        let (Some(hash), Introduction::None) =
            (session.context.handshake_hash, session.introduction)
        else {
            return Err(IntroductionError::Foreign);
        };
        let mut read = Err(IntroductionError::Foreign);
        for vault_key in self.vault.keys() {
            let key = IntroductionKey::derive(vault_key);
            read = introduced(introduction, &hash, &key);
            if read != Err(IntroductionError::Foreign) {
                break;
            }
        }
        session.introduction = match read {
            Ok(device) => Introduction::Proved(device),
            Err(IntroductionError::Foreign) => Introduction::Foreign,
            Err(_) => Introduction::Forged,
        };
        read.map(|_| ())
    }

    /// Returns who asks in this session, as far as this device knows at this moment.
    pub(super) fn asker(&self, session: &Session) -> Computer {
        match session.introduction {
            Introduction::Proved(device) if device == self.device.id() => Computer::ThisDevice,
            Introduction::Proved(device) => Computer::Introduced(self.known(device)),
            Introduction::Forged => Computer::Impostor,
            Introduction::None | Introduction::Foreign => session.context.computer.clone(),
        }
    }

    fn known(&self, device: DeviceId) -> Introduced {
        let in_vault = self.vault.devices().find(|known| known.id == device);
        let (name, standing) = match group::looked_up(&self.device, device) {
            InGroup::Member {
                name,
                since,
                simulated,
            } => (Some(name), Standing::Linked { since, simulated }),
            InGroup::Removed => (in_vault.map(|known| known.name.clone()), Standing::Removed),
            InGroup::No => (
                in_vault.map(|known| known.name.clone()),
                Standing::Vault {
                    since: in_vault.map(|known| known.since),
                },
            ),
        };
        Introduced {
            name: name.map(|name| printable(name.as_str())),
            standing,
        }
    }
}
