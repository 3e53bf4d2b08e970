//! What went wrong, what to do, and the exit code.

use std::io::{Write, stderr};

use handfast_proto::ctap2::Status;
use handfast_proto::hybrid::qr::QrError;
use handfast_proto::hybrid::{CeremonyError, ChannelFailure};
use handfast_transport::radio::RadioError;
use handfast_transport::tls::TlsError;
use serde_json::json;

use crate::device::DeviceError;
use crate::phone::{PictureError, ServeError, Voice};
use crate::vault::VaultError;

/// A failure as a person gets it: one sentence of what happened, one of what to do.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    hint: String,
    pub(crate) code: u8,
}

const FAILURE: u8 = 1;
const USAGE: u8 = 2;
const REFUSED: u8 = 3;
const TIMED_OUT: u8 = 4;
const NO_BLUETOOTH: u8 = 5;
const NO_RELAY: u8 = 6;

impl Failure {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            hint: "Try again.".to_owned(),
            code: FAILURE,
        }
    }

    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self {
            hint: "See --help.".to_owned(),
            code: USAGE,
            ..Self::new(what)
        }
    }

    pub(crate) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: hint.into(),
            ..self
        }
    }

    fn with_code(self, code: u8) -> Self {
        Self { code, ..self }
    }

    /// The computer got an answer that was not OK.
    pub(crate) fn refused(status: Status) -> Self {
        let (what, hint, code) = match status {
            Status::OPERATION_DENIED => (
                "You refused; the computer was told so",
                "Nothing was signed.",
                REFUSED,
            ),
            Status::USER_ACTION_TIMEOUT => (
                "Nobody answered the prompt",
                "Scan a new code to try again.",
                TIMED_OUT,
            ),
            Status::NO_CREDENTIALS => (
                "There is no passkey here for this site",
                "Register at the site first.",
                FAILURE,
            ),
            Status::CREDENTIAL_EXCLUDED => (
                "This account has a passkey here already",
                "Sign in with it.",
                FAILURE,
            ),
            Status::UV_BLOCKED => (
                "The PIN is blocked",
                "Set a new one with: handfast-authenticator pin",
                FAILURE,
            ),
            status => return Self::new(format!("The request could not be answered: {status}")),
        };
        Self::new(what).with_hint(hint).with_code(code)
    }

    /// Says it.
    pub(crate) fn tell(&self, voice: Voice) {
        let mut letters = self.what.chars();
        let first = letters
            .next()
            .map(|c| c.to_uppercase().to_string())
            .unwrap_or_default();
        let what = format!("{first}{}.", letters.as_str());
        let hint = &self.hint;
        match voice {
            Voice::Words => {
                let _ = writeln!(stderr(), "{what}\n{hint}");
            }
            Voice::Json => voice.say("", json!({"event": "error", "message": what, "hint": hint})),
        }
    }
}

impl From<QrError> for Failure {
    fn from(error: QrError) -> Self {
        Self::usage(format!("this is no code that a computer made: {error}"))
            .with_hint("Show a new QR code on the computer and scan that.")
    }
}

impl From<PictureError> for Failure {
    fn from(error: PictureError) -> Self {
        Self::usage(error.to_string())
            .with_hint("Take a picture in which the whole QR code is sharp, as PNG or JPEG.")
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

impl From<VaultError> for Failure {
    fn from(error: VaultError) -> Self {
        let hint = match &error {
            VaultError::Exists(_) => "Use it, or give another folder with --vault.",
            VaultError::Missing(_) => "Make one with: handfast-authenticator init",
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
            DeviceError::Missing(_) => "Set it up with: handfast-authenticator init",
            DeviceError::OtherMachine(_) => {
                "Remove it here and set up this device; passkeys come with the vault, the trust group by linking."
            }
            DeviceError::Damaged(_) => {
                "Bring it back from a backup of this machine, or remove it and set up this device anew."
            }
            DeviceError::NewerFormat(_) => "Install that version; nothing was changed.",
            DeviceError::Io { .. } => "Check the folder's permissions and the space on its disk.",
            _ => "Try again.",
        };
        Self::new(error.to_string()).with_hint(hint)
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        match error {
            ServeError::Ceremony(error) => error.into(),
            ServeError::Radio(error) => error.into(),
            ServeError::Relay(error) => Self::new(error.to_string())
                .with_hint(
                    "Check --relay, the network and, for a certificate of your own, --ca-file.",
                )
                .with_code(NO_RELAY),
            ServeError::Stopped => Self::new(error.to_string()),
        }
    }
}

impl From<CeremonyError> for Failure {
    fn from(error: CeremonyError) -> Self {
        let (hint, code) = match error {
            CeremonyError::Environment(ChannelFailure::Conflict) => {
                ("Scan a new code with one device only.", FAILURE)
            }
            CeremonyError::Environment(_) => ("Check the relay and the network.", NO_RELAY),
            CeremonyError::TimedOut(_) => (
                "Bring the two devices together, and show a new code.",
                TIMED_OUT,
            ),
            CeremonyError::PeerGone => ("Show a new code on the computer and scan that.", FAILURE),
            _ => ("Show a new code on the computer and scan that.", FAILURE),
        };
        Self::new(error.to_string()).with_hint(hint).with_code(code)
    }
}
