//! Secrets that passkeys need on their way in and out.

use rand_core::OsRng;

use super::*;
use crate::device::PinCheck;
use crate::engine::Authenticator;

const EXPORT_PASSPHRASE_FILE: &str = "HANDFAST_EXPORT_PASSPHRASE_FILE";

/// Makes sure that it is the owner who is there: a vault that is unlocked may be so since long ago. He
/// types the PIN, or the pass phrase where no PIN can be tried; files that hold them do as well.
///
/// # Errors
///
/// [`Failure`] if neither comes.
pub(crate) fn confirm_owner(
    home: &Home,
    authenticator: &mut Authenticator,
    secrets: &mut dyn Secrets,
) -> Result<(), Failure> {
    match authenticator.device.pin_tries() {
        None | Some(0) => confirm_by_passphrase(home, secrets),
        Some(_) => confirm_by_pin(authenticator, secrets),
    }
}

fn confirm_by_pin(
    authenticator: &mut Authenticator,
    secrets: &mut dyn Secrets,
) -> Result<(), Failure> {
    let mut check = |pin: &str| -> Result<Typed<()>, Failure> {
        Ok(match authenticator.device.check_pin(pin, &mut OsRng)? {
            PinCheck::Right => Typed::Right(()),
            PinCheck::Wrong(left) => Typed::Wrong(
                Failure::new(format!(
                    "The PIN is wrong; it can be tried {left} times more"
                ))
                .with_hint("Try again; nothing was exported."),
            ),
            PinCheck::Blocked | PinCheck::NotSet => {
                return Err(Failure::new("The PIN is blocked")
                    .with_hint("Set a new one with: handfast-authenticator pin"));
            }
        })
    };
    let confirmed = match secret_file(PIN_FILE)? {
        Some(pin) => match check(&pin)? {
            Typed::Right(()) => Some(()),
            Typed::Wrong(failure) => return Err(failure),
            Typed::Nobody => None,
        },
        None => until_right(|wrong| {
            let question = format!("{wrong}PIN of this device: ");
            match secrets.ask(&question).filter(|typed| !typed.is_empty()) {
                Some(typed) => check(&typed),
                None => Ok(Typed::Nobody),
            }
        })?,
    };
    confirmed.ok_or_else(|| {
        Failure::usage("No PIN was given, and without it nothing leaves the vault")
            .with_hint(format!("Type it, or name a file with it in {PIN_FILE}."))
    })
}

fn confirm_by_passphrase(home: &Home, secrets: &mut dyn Secrets) -> Result<(), Failure> {
    let confirmed = match secret_file(PASSPHRASE_FILE)? {
        Some(given) => Some(counted(home, &Passphrase::new(given.as_str()))?),
        None => typed_vault(home, "Pass phrase of the vault, once more: ", secrets)?,
    };
    confirmed.map(drop).ok_or_else(|| {
        Failure::usage("No pass phrase was given, and without it nothing leaves the vault")
            .with_hint(format!(
                "Type it, or name a file with it in {PASSPHRASE_FILE}."
            ))
    })
}

/// The pass phrase of a new document: from the file, or typed twice.
///
/// # Errors
///
/// [`Failure`] if it is too short, was not repeated, or nobody types it.
pub(crate) fn new_document_passphrase(secrets: &mut dyn Secrets) -> Result<Passphrase, Failure> {
    if let Some(given) = secret_file(EXPORT_PASSPHRASE_FILE)? {
        return long_enough(&given);
    }
    let question = format!(
        "Choose a pass phrase for the document (at least {SHORTEST_PASSPHRASE} characters): "
    );
    chosen_passphrase(secrets, &question, None)?.ok_or_else(no_document_passphrase)
}

/// Opens a document with its pass phrase: from the file, or asked for until it is right. `open` fails
/// with nothing if the pass phrase is wrong.
///
/// # Errors
///
/// [`Failure`] if nobody types the right one, and what `open` fails with.
pub(crate) fn document_passphrase<T>(
    secrets: &mut dyn Secrets,
    mut open: impl FnMut(&Passphrase) -> Result<Option<T>, Failure>,
) -> Result<T, Failure> {
    let wrong = || {
        Failure::new("The pass phrase of the document is wrong")
            .with_hint("Try again; nothing was imported.")
    };
    if let Some(given) = secret_file(EXPORT_PASSPHRASE_FILE)? {
        return open(&Passphrase::new(given.as_str()))?.ok_or_else(wrong);
    }
    let opened = passphrase_until_right(secrets, "Pass phrase of the document: ", |typed| {
        Ok(open(typed)?.map_or_else(|| Typed::Wrong(wrong()), Typed::Right))
    })?;
    opened.ok_or_else(no_document_passphrase)
}

fn no_document_passphrase() -> Failure {
    Failure::usage("No pass phrase was given for the document").with_hint(format!(
        "Type it, or name a file with it in {EXPORT_PASSPHRASE_FILE}."
    ))
}
