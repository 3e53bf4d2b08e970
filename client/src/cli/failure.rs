//! What went wrong, what to do, and the exit code: what only this program meets.

use handfast_authenticator::console::{Failure, code};
use handfast_proto::ctap2::Status;
use handfast_proto::hybrid::{CeremonyError, ChannelFailure};
use handfast_proto::trust::join::JoinError;

use crate::ceremony::SessionError;
use crate::local::LocalError;
use crate::origin::OriginError;
use crate::qr::QrError;
use crate::site::SiteError;
use crate::webauthn::{OptionsError, ResponseJsonError};

/// The relying party does not accept it.
pub(super) fn rejected(what: impl Into<String>) -> Failure {
    Failure::new(what).with_code(code::REJECTED)
}

/// An authenticator's status that is not OK.
pub(super) fn answered(status: Status) -> Failure {
    let (what, hint, code) = match status {
        Status::OPERATION_DENIED => (
            "It was refused",
            "Nothing was signed. If nobody meant that, the phone says why.",
            code::REFUSED,
        ),
        Status::USER_ACTION_TIMEOUT | Status::ACTION_TIMEOUT => (
            "Nobody answered on the phone",
            "Try again, and approve on the phone.",
            code::TIMED_OUT,
        ),
        Status::NO_CREDENTIALS => (
            "There is no passkey for this site there",
            "Register at the site first.",
            code::FAILURE,
        ),
        Status::CREDENTIAL_EXCLUDED => (
            "This account has a passkey there already",
            "Sign in with it.",
            code::FAILURE,
        ),
        Status::UNSUPPORTED_ALGORITHM => (
            "The site offers no algorithm that the authenticator knows",
            "The site has to offer ES256 (-7).",
            code::FAILURE,
        ),
        Status::INVALID_OPTION => (
            "The authenticator cannot verify its user, and the site wants that",
            "Set a PIN on that device.",
            code::FAILURE,
        ),
        Status::UV_INVALID => (
            "The PIN was wrong",
            "Try again, with the PIN of that device.",
            code::FAILURE,
        ),
        Status::UV_BLOCKED => (
            "The PIN of that device is blocked",
            "Set a new one there with: handfast-authenticator pin",
            code::FAILURE,
        ),
        status => return Failure::new(format!("The authenticator failed: {status}")),
    };
    Failure::new(what).with_hint(hint).with_code(code)
}

/// The phone did not let this computer into its trust group.
pub(super) fn not_joined(error: JoinError) -> Failure {
    match error {
        JoinError::Refused(Status::OTHER) => Failure::new("The phone did not accept this computer")
            .with_hint(
                "The phone says what was wrong. Both must have the same vault: if that got a new key, bring its newest \
                 folder here and open it once, with: handfast vault status",
            ),
        JoinError::Refused(status) => answered(status),
        error => Failure::new(error.to_string()).with_hint("Nothing was changed; try again."),
    }
}

/// What helps where the relay that the phone named is not there.
const RELAY_OF_THE_PHONE: &str = "Check the network; if the phone's relay is somewhere else, say where: \
     --relay-map N=URL, with the number and address that handfast-authenticator was given.";

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        let is_away = match &error {
            SessionError::Relay(error) => error.failure() == ChannelFailure::Unreachable,
            SessionError::Ceremony(error) => {
                *error == CeremonyError::Environment(ChannelFailure::Unreachable)
            }
            _ => false,
        };
        let failure: Self = match error {
            SessionError::Ceremony(error) => error.into(),
            SessionError::Radio(error) => error.into(),
            SessionError::Tls(error) => error.into(),
            SessionError::Relay(error) => error.into(),
            SessionError::Link(error) => error.into(),
            SessionError::Misuse(error) => Self::new(error.to_string()),
        };
        match is_away {
            true => failure.with_hint(RELAY_OF_THE_PHONE),
            false => failure,
        }
    }
}

impl From<LocalError> for Failure {
    fn from(error: LocalError) -> Self {
        let failure = Self::new(error.to_string());
        match error {
            LocalError::NoTerminal => failure.with_code(code::REFUSED).with_hint(
                "Run it in a terminal, or set a PIN and name a file with it in HANDFAST_PIN_FILE.",
            ),
            _ => failure.with_hint("Nothing was signed; try again with the PIN of this device."),
        }
    }
}

impl From<OriginError> for Failure {
    fn from(error: OriginError) -> Self {
        let hint = match error {
            OriginError::Malformed(_) | OriginError::Insecure(_) => {
                "Write it whole: https://HOST, or for trying out http://localhost:PORT"
            }
            _ => "Give the origin that really asks; its RP ID is its domain or a suffix of it.",
        };
        Self::usage(error.to_string()).with_hint(hint)
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
            SiteError::Distrusted { .. } => Self::new(error.to_string())
                .with_hint("For a certificate of your own, give --ca-file."),
            SiteError::Rejected { .. } => {
                rejected(error.to_string()).with_hint("Nothing was changed at the site.")
            }
            SiteError::Failed {
                status: 300..=405, ..
            } => Self::new(error.to_string()).with_hint(
                "Check the address: it must be of a site that serves options, as the demo site does.",
            ),
            SiteError::Failed { .. } => Self::new(error.to_string())
                .with_hint("What it did with the request is not known; try again later."),
            error => Self::new(error.to_string()).with_hint("Check the address and the network."),
        }
    }
}
