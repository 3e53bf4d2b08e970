//! What went wrong, what to do, and the exit code.

use handfast_authenticator::device::DeviceError;
use handfast_authenticator::group::GroupError;
use handfast_authenticator::vault::VaultError;
use handfast_proto::ctap2::{ResponseError, Status};
use handfast_proto::hybrid::{CeremonyError, ChannelFailure};
use handfast_proto::trust::join::JoinError;
use handfast_transport::radio::RadioError;
use handfast_transport::tls::TlsError;

use crate::ceremony::SessionError;
use crate::origin::OriginError;
use crate::qr::QrError;
use crate::site::SiteError;
use crate::webauthn::{OptionsError, ResponseJsonError};

/// A failure as a person gets it: one sentence of what happened, one of what to do.
#[derive(Debug)]
pub(super) struct Failure {
    what: String,
    hint: String,
    pub(super) code: u8,
}

const FAILURE: u8 = 1;
const USAGE: u8 = 2;
const REFUSED: u8 = 3;
const TIMED_OUT: u8 = 4;
const NO_BLUETOOTH: u8 = 5;
const NO_RELAY: u8 = 6;
const REJECTED: u8 = 7;

impl Failure {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            hint: "Try again.".to_owned(),
            code: FAILURE,
        }
    }

    pub(super) fn usage(what: impl Into<String>) -> Self {
        Self {
            hint: "See --help.".to_owned(),
            code: USAGE,
            ..Self::new(what)
        }
    }

    pub(super) fn rejected(what: impl Into<String>) -> Self {
        Self {
            code: REJECTED,
            ..Self::new(what)
        }
    }

    pub(super) fn refused(what: impl Into<String>) -> Self {
        Self {
            code: REFUSED,
            ..Self::new(what)
        }
    }

    pub(super) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: hint.into(),
            ..self
        }
    }

    fn with_code(self, code: u8) -> Self {
        Self { code, ..self }
    }

    pub(super) fn what(&self) -> String {
        let mut letters = self.what.chars();
        let first = letters
            .next()
            .map(|c| c.to_uppercase().to_string())
            .unwrap_or_default();
        format!("{first}{}.", letters.as_str())
    }

    pub(super) fn hint(&self) -> &str {
        &self.hint
    }
}

/// An authenticator's status that is not OK.
impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let (what, hint, code) = match status {
            Status::OPERATION_DENIED => ("It was refused", "Nothing was signed.", REFUSED),
            Status::USER_ACTION_TIMEOUT | Status::ACTION_TIMEOUT => (
                "Nobody answered on the phone",
                "Try again, and approve on the phone.",
                TIMED_OUT,
            ),
            Status::NO_CREDENTIALS => (
                "There is no passkey for this site there",
                "Register at the site first.",
                FAILURE,
            ),
            Status::CREDENTIAL_EXCLUDED => (
                "This account has a passkey there already",
                "Sign in with it.",
                FAILURE,
            ),
            Status::UNSUPPORTED_ALGORITHM => (
                "The site offers no algorithm that the authenticator knows",
                "The site has to offer ES256 (-7).",
                FAILURE,
            ),
            Status::INVALID_OPTION => (
                "The authenticator cannot verify its user, and the site wants that",
                "Set a PIN on that device.",
                FAILURE,
            ),
            Status::UV_BLOCKED => (
                "The PIN of that device is blocked",
                "Set a new one there with: handfast-authenticator pin",
                FAILURE,
            ),
            status => return Self::new(format!("The authenticator failed: {status}")),
        };
        Self::new(what).with_hint(hint).with_code(code)
    }
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Ceremony(error) => error.into(),
            SessionError::Radio(error) => error.into(),
            SessionError::Tls(error) => error.into(),
            SessionError::Relay(error) => Self::new(error.to_string())
                .with_hint(
                    "Check the network, --relay-map and, for a certificate of your own, --ca-file.",
                )
                .with_code(NO_RELAY),
            SessionError::Misuse(error) => Self::new(error.to_string()),
        }
    }
}

impl From<CeremonyError> for Failure {
    fn from(error: CeremonyError) -> Self {
        let (hint, code) = match error {
            CeremonyError::Environment(ChannelFailure::NotFound) => (
                "Start again with a new code; the phone may have given up.",
                NO_RELAY,
            ),
            CeremonyError::Environment(_) => ("Check the network and the relay.", NO_RELAY),
            CeremonyError::TimedOut(_) => (
                "Start again, and scan the code with a phone that is beside this computer.",
                TIMED_OUT,
            ),
            CeremonyError::Cancelled => ("Start again when you are ready.", REFUSED),
            _ => ("Start again with a new code.", FAILURE),
        };
        Self::new(error.to_string()).with_hint(hint).with_code(code)
    }
}

impl From<RadioError> for Failure {
    fn from(error: RadioError) -> Self {
        let hint = match error {
            RadioError::Unknown(_) => return Self::usage(error.to_string()),
            RadioError::Air { .. } => "Give a folder that can be written to: --radio simulated=DIR",
            _ => "Try it with a simulated radio, which proves no nearness: --radio simulated",
        };
        Self::new(error.to_string())
            .with_hint(hint)
            .with_code(NO_BLUETOOTH)
    }
}

impl From<TlsError> for Failure {
    fn from(error: TlsError) -> Self {
        Self::usage(error.to_string()).with_hint("Give a PEM file of certificates with --ca-file.")
    }
}

impl From<OriginError> for Failure {
    fn from(error: OriginError) -> Self {
        Self::usage(error.to_string()).with_hint(
            "Give the origin that really asks; its RP ID is its domain or a suffix of it.",
        )
    }
}

impl From<OptionsError> for Failure {
    fn from(error: OptionsError) -> Self {
        match error {
            OptionsError::Origin(error) => error.into(),
            error => Self::usage(error.to_string())
                .with_hint("Give the options JSON of WebAuthn Level 3 on standard input."),
        }
    }
}

impl From<ResponseJsonError> for Failure {
    fn from(error: ResponseJsonError) -> Self {
        Self::new(error.to_string()).with_hint("Nothing was handed on; try again.")
    }
}

impl From<ResponseError> for Failure {
    fn from(error: ResponseError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<QrError> for Failure {
    fn from(error: QrError) -> Self {
        Self::new(error.to_string()).with_hint("Give a file that can be written to with --qr-file.")
    }
}

impl From<SiteError> for Failure {
    fn from(error: SiteError) -> Self {
        match error {
            SiteError::Origin(error) => error.into(),
            SiteError::Tls(error) => error.into(),
            SiteError::Rejected { .. } => {
                Self::rejected(error.to_string()).with_hint("Nothing was changed at the site.")
            }
            error => Self::new(error.to_string()).with_hint("Check the address and the network."),
        }
    }
}

impl From<VaultError> for Failure {
    fn from(error: VaultError) -> Self {
        let hint = match &error {
            VaultError::Exists(_) => "Join it with: handfast vault join",
            VaultError::Missing(_) => {
                "Let your file sync bring the folder here, then: handfast vault join. Or make one: handfast vault init"
            }
            VaultError::WrongPassphrase => "Try again; nothing was changed.",
            VaultError::NewerFormat(_) => "Install that version; nothing was changed.",
            VaultError::HeaderDamaged => {
                "Bring the file vault.handfast back from another device or a backup."
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
            DeviceError::Exists(_) => "Nothing is to be done.",
            DeviceError::Missing(_) => "Join the vault first: handfast vault join",
            DeviceError::OtherMachine(_) => {
                "Remove it here and join the vault; passkeys come with the vault, the trust group with: handfast link"
            }
            DeviceError::Damaged(_) => {
                "Bring it back from a backup of this machine, or remove it and join the vault anew."
            }
            DeviceError::NewerFormat(_) => "Install that version; nothing was changed.",
            DeviceError::Io { .. } => "Check the folder's permissions and the space on its disk.",
            _ => "Try again.",
        };
        Self::new(error.to_string()).with_hint(hint)
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

impl From<JoinError> for Failure {
    fn from(error: JoinError) -> Self {
        match error {
            JoinError::Refused(Status::OTHER) => {
                Self::new("The phone did not accept this computer")
                    .with_hint("Both must be in the same vault; the phone says what was wrong.")
            }
            JoinError::Refused(status) => status.into(),
            error => Self::new(error.to_string()).with_hint("Nothing was changed; try again."),
        }
    }
}
