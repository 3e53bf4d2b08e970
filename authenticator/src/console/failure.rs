//! What went wrong, what to do, and the exit code.

use handfast_proto::ctap2::ResponseError;
use handfast_proto::hybrid::qr::QrError;
use handfast_proto::hybrid::{CeremonyError, ChannelFailure};
use handfast_transport::radio::{LinkError, RadioError};
use handfast_transport::relay::OpenError;
use handfast_transport::tls::TlsError;

use crate::device::{DeviceError, NoTry, PinError};
use crate::group::GroupError;
use crate::unlocking::UnlockError;
use crate::vault::VaultError;

/// The exit codes, the same for every program.
pub mod code {
    /// It did not work.
    pub const FAILURE: u8 = 1;
    /// It was asked for in a way that cannot work.
    pub const USAGE: u8 = 2;
    /// A person refused.
    pub const REFUSED: u8 = 3;
    /// Nobody did what was waited for.
    pub const TIMED_OUT: u8 = 4;
    /// There is no Bluetooth.
    pub const NO_BLUETOOTH: u8 = 5;
    /// The relay cannot be reached, or not trusted.
    pub const NO_RELAY: u8 = 6;
    /// The relying party rejected it.
    pub const REJECTED: u8 = 7;
}

/// A failure as a person gets it: one sentence of what happened, one of what to do.
#[derive(Clone, Debug)]
pub struct Failure {
    what: String,
    hint: String,
    code: u8,
}

impl Failure {
    /// Something did not work.
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            hint: "Try again.".to_owned(),
            code: code::FAILURE,
        }
    }

    /// It was asked for in a way that cannot work.
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(what)
            .with_hint("See --help.")
            .with_code(code::USAGE)
    }

    /// Says what to do.
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: hint.into(),
            ..self
        }
    }

    /// Sets the exit code.
    pub fn with_code(self, code: u8) -> Self {
        Self { code, ..self }
    }

    /// Returns what happened, as a sentence.
    pub fn what(&self) -> String {
        // Others' words may be a sentence already, and an address or a file's name has no capital.
        let what = self.what.trim_end_matches('.');
        let word = what.split(' ').next().unwrap_or_default();
        if word.contains(['/', '.']) || word.ends_with(':') {
            return format!("{what}.");
        }
        let mut letters = what.chars();
        let first = letters.next().into_iter().flat_map(char::to_uppercase);
        first.chain(letters).chain(['.']).collect()
    }

    /// Returns what to do.
    pub fn hint(&self) -> &str {
        &self.hint
    }

    /// Returns the exit code.
    pub fn code(&self) -> u8 {
        self.code
    }
}

impl From<QrError> for Failure {
    fn from(error: QrError) -> Self {
        Self::usage(format!("this is no code that a computer made: {error}"))
            .with_hint("Show a new QR code on the computer and scan that.")
    }
}

impl From<RadioError> for Failure {
    fn from(error: RadioError) -> Self {
        let hint = match error {
            RadioError::Unknown(_) | RadioError::AdapterName(_) => {
                return Self::usage(error.to_string());
            }
            RadioError::NoAdapterHere => {
                return Self::usage(error.to_string()).with_hint("Leave --adapter out.");
            }
            RadioError::Air { .. } => "Give a folder of your own: --radio simulated=DIR",
            RadioError::Blocked => {
                "Leave flight mode, or unblock it with: rfkill unblock bluetooth"
            }
            RadioError::CannotAdvertise(_) => {
                "Try another adapter with --adapter, or end other programs that advertise."
            }
            RadioError::Denied => {
                "Ask whoever runs this computer for the right to use Bluetooth; in a container or sandbox, \
                 let the program talk to org.bluez on the system bus."
            }
            RadioError::NoAdapter => {
                "Plug one in, or wait until it is recognized: bluetoothctl list shows those that are there."
            }
            RadioError::NoBluez | RadioError::Silent => {
                "Start it with: systemctl start bluetooth (the package is called bluez)."
            }
            RadioError::NoBus(_) => {
                "Bluetooth needs D-Bus; in a container or sandbox, let the program see the system bus."
            }
            RadioError::PoweredOff => "Switch it on, for example with: bluetoothctl power on",
            RadioError::UnknownAdapter { .. } => "Give another --adapter, or none.",
            RadioError::WouldNotPowerOn => "Look at what bluetoothctl show says of the adapter.",
            _ => "Try again, or restart it with: systemctl restart bluetooth",
        };
        Self::new(error.to_string())
            .with_hint(hint)
            .with_code(code::NO_BLUETOOTH)
    }
}

impl From<LinkError> for Failure {
    fn from(error: LinkError) -> Self {
        Self::new(error.to_string())
            .with_hint(WITHOUT_BLE)
            .with_code(code::NO_BLUETOOTH)
    }
}

/// What helps where Bluetooth hears but does not connect.
const WITHOUT_BLE: &str =
    "Bring the devices closer together, or let them meet at a relay: --channel any on both.";

impl From<TlsError> for Failure {
    fn from(error: TlsError) -> Self {
        Self::usage(error.to_string()).with_hint("Give a PEM file of certificates with --ca-file.")
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let hint = match error {
            OpenError::Tls { .. } => "For a certificate of your own, give --ca-file.",
            OpenError::Status { status: 404, .. } => {
                "Start again with a new code; the other device may have given up."
            }
            OpenError::Status { status: 409, .. } => "Scan a new code with one device only.",
            _ => "Check the relay's address and the network.",
        };
        let code = match error {
            // The relay is well; another phone was faster.
            OpenError::Status { status: 409, .. } => code::FAILURE,
            _ => code::NO_RELAY,
        };
        Self::new(error.to_string()).with_hint(hint).with_code(code)
    }
}

impl From<CeremonyError> for Failure {
    fn from(error: CeremonyError) -> Self {
        let (hint, code) = match error {
            CeremonyError::Environment(ChannelFailure::Conflict) => {
                ("Scan a new code with one device only.", code::FAILURE)
            }
            CeremonyError::Environment(ChannelFailure::Limit | ChannelFailure::TooLarge) => {
                ("Start again with a new code.", code::FAILURE)
            }
            CeremonyError::Environment(
                ChannelFailure::BleFailed | ChannelFailure::BleLost | ChannelFailure::BleNotOffered,
            ) => (WITHOUT_BLE, code::NO_BLUETOOTH),
            CeremonyError::Environment(_) => ("Check the relay and the network.", code::NO_RELAY),
            CeremonyError::TimedOut(_) => (
                "Start again with a new code, with both devices side by side.",
                code::TIMED_OUT,
            ),
            CeremonyError::Cancelled => ("Start again when you are ready.", code::REFUSED),
            _ => ("Start again with a new code.", code::FAILURE),
        };
        Self::new(error.to_string()).with_hint(hint).with_code(code)
    }
}

impl From<ResponseError> for Failure {
    fn from(error: ResponseError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<VaultError> for Failure {
    fn from(error: VaultError) -> Self {
        let hint = match &error {
            VaultError::Exists(_) => {
                "Set this device up in it (handfast vault join), or give another folder with --vault."
            }
            VaultError::Missing(_) => {
                "Let your file sync bring the folder here, bring it back from a backup (handfast-authenticator vault restore), \
                 or make one: handfast vault init, or handfast-authenticator init"
            }
            VaultError::WrongPassphrase => "Try again; nothing was changed.",
            VaultError::Superseded(_) => {
                "Give the new pass phrase; if nobody changed it, somebody put that file there: remove it."
            }
            VaultError::FileExists(_) => "Name another file, or give --force to replace it.",
            VaultError::BackupDamaged => "Name another backup; nothing was changed.",
            VaultError::BackupOfOther => {
                "Restore it into a folder of its own with --vault; nothing was changed."
            }
            VaultError::NewerBackup(_) => "Install that version; nothing was changed.",
            VaultError::ManyHeaders(_) => {
                "Remove those files *.handfast from its folder that you do not know; nothing was changed."
            }
            VaultError::WrongKey => "Unlock it with its pass phrase; nothing was changed.",
            VaultError::OldHeaderStays { .. } => {
                "What you asked for is done; remove that file, for the old pass phrase opens it."
            }
            VaultError::NewerFormat(_) => "Install that version; nothing was changed.",
            VaultError::HeaderDamaged => {
                "Bring the file vault.handfast back from another device, or from a backup: handfast-authenticator vault restore"
            }
            VaultError::Io { .. } => "Check the folder's permissions and the space on its disk.",
            _ => "Try again.",
        };
        Self::new(error.to_string()).with_hint(hint)
    }
}

impl From<DeviceError> for Failure {
    fn from(error: DeviceError) -> Self {
        let hint = match &error {
            DeviceError::Exists(_) => "It is ready: nothing is to be done.",
            DeviceError::Missing(_) => {
                "Set this device up: handfast vault join, or handfast-authenticator init"
            }
            DeviceError::OtherVault(_) => {
                "Give the vault that this device was set up in with --vault; nothing was changed."
            }
            DeviceError::OtherKey(_) => {
                "Bring them together with: handfast-authenticator vault rekey; nothing is lost."
            }
            DeviceError::Rekeyed => "Start it again, with the new pass phrase; nothing is lost.",
            DeviceError::RolledBack(_) => {
                "Let your file sync bring the newer vault.handfast; if there is none any more, because a backup was restored, remove the device store and set this device up anew."
            }
            DeviceError::OtherMachine(_) => {
                "Remove it here and set this device up; passkeys come with the vault, the trust group with: handfast link"
            }
            DeviceError::Damaged(_) => {
                "Bring it back from a backup of this machine, or remove it and set this device up anew."
            }
            DeviceError::NewerFormat(_) => "Install that version; nothing was changed.",
            DeviceError::Io { .. } => "Check the folder's permissions and the space on its disk.",
            _ => "Try again.",
        };
        Self::new(error.to_string()).with_hint(hint)
    }
}

impl From<UnlockError> for Failure {
    fn from(error: UnlockError) -> Self {
        let hint = match &error {
            UnlockError::Damaged(_) | UnlockError::KeyFileOther(_) | UnlockError::KeyringEmpty => {
                "The pass phrase opens the vault; set this way up again with unlock-with."
            }
            UnlockError::KeyFileForeign(_) => {
                "Give a path where nothing is yet, or the key file of another device of yours."
            }
            UnlockError::KeyFileGone(_) => {
                "Bring it, as by plugging its stick in, or use the pass phrase."
            }
            UnlockError::KeyringLocked => "Unlock your keyring, or use the pass phrase.",
            UnlockError::NoKeyring(_) | UnlockError::Keyring(_) => {
                "Log in to a desktop with a keyring (GNOME Keyring, KWallet, KeePassXC), or choose another way."
            }
            UnlockError::NewerFormat { .. } => "Install that version, or set this way up again.",
            UnlockError::Io { .. } => "Check the permissions there, and the space on its disk.",
            _ => "Use the pass phrase.",
        };
        Self::new(error.to_string()).with_hint(hint)
    }
}

impl From<NoTry> for Failure {
    fn from(error: NoTry) -> Self {
        match error {
            NoTry::TooSoon(_) => {
                Self::new(error.to_string()).with_hint("Wait that long, and try again.")
            }
            NoTry::NotCounted(error) => error.into(),
        }
    }
}

impl From<PinError> for Failure {
    fn from(error: PinError) -> Self {
        Self::usage(error.to_string()).with_hint("Choose another PIN; nothing was changed.")
    }
}

impl From<GroupError> for Failure {
    fn from(error: GroupError) -> Self {
        match error {
            GroupError::Vault(error) => error.into(),
            GroupError::Device(error) => error.into(),
            GroupError::HasMembers => Self::new(error.to_string()).with_hint(
                "Link from a computer that is in no group yet; see: handfast group status",
            ),
            error => Self::new(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_a_sentence() {
        let failure = Failure::new("été was too short");
        assert_eq!(failure.what(), "Été was too short.");
        assert_eq!(failure.code(), code::FAILURE);
        for (words, sentence) in [
            ("The name is taken.", "The name is taken."),
            (
                "http://localhost rejected it",
                "http://localhost rejected it.",
            ),
            ("pk.age cannot be read", "pk.age cannot be read."),
        ] {
            assert_eq!(Failure::new(words).what(), sentence);
        }
    }

    #[test]
    fn what_a_person_did_is_not_blamed_on_the_relay() {
        let conflict = CeremonyError::Environment(ChannelFailure::Conflict);
        assert_eq!(Failure::from(conflict).code(), code::FAILURE);
        let taken = OpenError::Status {
            relay: "wss://r".to_owned(),
            status: 409,
        };
        assert_eq!(Failure::from(taken).code(), code::FAILURE);
        let down = CeremonyError::Environment(ChannelFailure::Unreachable);
        assert_eq!(Failure::from(down).code(), code::NO_RELAY);
    }
}
