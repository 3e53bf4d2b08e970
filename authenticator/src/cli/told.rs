//! What the owner of this device is told.

use handfast_proto::ctap2::Status;
use handfast_proto::hybrid::Unanswerable;
use serde_json::{Value, json};

use crate::console::{self, Failure, code};
use crate::engine::Computer;
use crate::phone::ServeError;
use crate::phone::{PictureError, Voice};
use crate::vault::Vault;

/// Says why it did not work.
pub(super) fn tell(failure: &Failure, voice: Voice) {
    let (what, hint) = (failure.what(), failure.hint());
    match voice {
        Voice::Words => console::tell(&format!("{what}\n{hint}")),
        Voice::Json => voice.say("", json!({"event": "error", "message": what, "hint": hint})),
    }
}

/// Tells a program what the computer was told, and what it was not.
pub(super) fn refusal(status: Status) -> Value {
    let pin = match status {
        Status::UV_BLOCKED => Some("blocked"),
        Status::UV_INVALID => Some("wrong"),
        _ => None,
    };
    let told = Computer::Unknown.told(status);
    json!({"event": "done", "outcome": "refused", "status": told.0, "pin": pin})
}

/// The computer got an answer that was not OK.
pub(super) fn refused(status: Status) -> Failure {
    let (what, hint, code) = match status {
        Status::OPERATION_DENIED => (
            "You refused; the computer was told so",
            "Nothing was signed, and nothing changed.",
            code::REFUSED,
        ),
        Status::USER_ACTION_TIMEOUT => (
            "Nobody answered the prompt",
            "Scan a new code to try again.",
            code::TIMED_OUT,
        ),
        Status::NO_CREDENTIALS => (
            "There is no passkey here for this site",
            "Register at the site first.",
            code::FAILURE,
        ),
        Status::CREDENTIAL_EXCLUDED => (
            "This account has a passkey here already",
            "Sign in with it.",
            code::FAILURE,
        ),
        Status::UV_INVALID => (
            "The PIN was wrong",
            "Nothing was signed; scan a new code to try again.",
            code::FAILURE,
        ),
        Status::UV_BLOCKED => (
            "The PIN is blocked",
            "Type the pass phrase when it is asked for, or set a new PIN with: handfast-authenticator pin",
            code::FAILURE,
        ),
        Status::OTHER => (
            "The request could not be answered",
            "What was wrong is said above.",
            code::FAILURE,
        ),
        status => return Failure::new(format!("The request could not be answered: {status}")),
    };
    Failure::new(what).with_hint(hint).with_code(code)
}

/// Names the files of the vault that cannot be read.
pub(super) fn name_damaged(vault: &Vault, voice: Voice) {
    for (path, why) in vault.damaged() {
        voice.say(
            &console::left_out(path, why),
            json!({"event": "damaged", "file": path.display().to_string(), "why": why}),
        );
    }
}

impl From<PictureError> for Failure {
    fn from(error: PictureError) -> Self {
        let hint = match &error {
            PictureError::Several { .. } => "Take a picture with only the code that you mean.",
            _ => "Take a picture in which the whole QR code is sharp, as PNG, JPEG or WebP.",
        };
        Self::usage(error.to_string()).with_hint(hint)
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        match error {
            ServeError::Ceremony(error) => error.into(),
            ServeError::Radio(error) => error.into(),
            ServeError::Relay(error) => error.into(),
            ServeError::Link(error) => error.into(),
            ServeError::Unanswerable(error @ Unanswerable::NoCommonChannel) => {
                Self::new(error.to_string()).with_hint(
                    "Give the same --channel on both devices, or any; any and relay need a --relay here.",
                )
            }
            ServeError::Unanswerable(error) => Self::new(error.to_string())
                .with_hint("Use the computer's other ways to sign in, or another device."),
            ServeError::Ended => Self::new(error.to_string()).with_hint("Nothing was signed."),
            ServeError::Stopped => Self::new(error.to_string()),
        }
    }
}
