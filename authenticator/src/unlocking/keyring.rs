//! The desktop's keyring (Secret Service): GNOME Keyring, KWallet, KeePassXC.

use std::collections::HashMap;

use dbus_secret_service::{EncryptionType, Error, Item, SecretService};
use zeroize::Zeroizing;

use super::{SecretId, UnlockError, UnlockSecret};
use crate::locked::Locked;

/// What the keyring shows to its owner.
const LABEL: &str = "Handfast: opens the vault on this device";
const CONTENT_TYPE: &str = "application/octet-stream";
/// How long the keyring may ask its owner for its password where there is a screen to do so, in seconds.
const PATIENCE: u64 = 60;

/// Fetches a secret.
pub(super) fn fetch(id: SecretId, may_ask: bool) -> Result<UnlockSecret, UnlockError> {
    let service = connect(may_ask)?;
    let id = hex::encode(id.0);
    let secret = Zeroizing::new(find(&service, &id)?.get_secret().map_err(told)?);
    let secret: &[u8; 32] = secret
        .as_slice()
        .try_into()
        .map_err(|_| UnlockError::KeyringEmpty)?;
    Ok(UnlockSecret(Locked::copy_of(secret)))
}

/// Stores a secret in the default keyring.
pub(super) fn store(id: SecretId, secret: &UnlockSecret) -> Result<(), UnlockError> {
    let service = connect(true)?;
    let keyring = service
        .get_default_collection()
        .map_err(|error| match error {
            Error::NoResult => UnlockError::NoKeyring("there is no default keyring".to_owned()),
            error => told(error),
        })?;
    keyring.ensure_unlocked().map_err(told)?;
    let id = hex::encode(id.0);
    keyring
        .create_item(
            LABEL,
            attributes(&id),
            secret.0.as_ref(),
            true,
            CONTENT_TYPE,
        )
        .map_err(told)?;
    Ok(())
}

/// Removes a secret, if it is there.
pub(super) fn remove(id: SecretId) -> Result<(), UnlockError> {
    let service = connect(true)?;
    match find(&service, &hex::encode(id.0)) {
        Ok(item) => item.delete().map_err(told),
        Err(UnlockError::KeyringEmpty) => Ok(()),
        Err(error) => Err(error),
    }
}

fn connect(may_ask: bool) -> Result<SecretService, UnlockError> {
    // Without a screen nobody could answer the keyring's own question.
    let screen = ["WAYLAND_DISPLAY", "DISPLAY"];
    let has_screen = screen.iter().any(|name| std::env::var_os(name).is_some());
    let patience = if may_ask && has_screen { PATIENCE } else { 0 };
    SecretService::connect_with_max_prompt_timeout(EncryptionType::Plain, patience).map_err(
        |error| match error {
            Error::Dbus(error) => UnlockError::NoKeyring(
                error
                    .message()
                    .unwrap_or("the session bus does not answer")
                    .trim_end_matches('.')
                    .to_owned(),
            ),
            Error::Unavailable => UnlockError::NoKeyring("none is running".to_owned()),
            error => told(error),
        },
    )
}

fn attributes(id: &str) -> HashMap<&str, &str> {
    HashMap::from([("application", "handfast"), ("handfast-unlock", id)])
}

fn find<'a>(service: &'a SecretService, id: &str) -> Result<Item<'a>, UnlockError> {
    let found = service.search_items(attributes(id)).map_err(told)?;
    if let Some(item) = found.unlocked.into_iter().next() {
        return Ok(item);
    }
    let item = found.locked.into_iter().next();
    let item = item.ok_or(UnlockError::KeyringEmpty)?;
    item.unlock().map_err(told)?;
    Ok(item)
}

fn told(error: Error) -> UnlockError {
    match error {
        Error::Locked | Error::Prompt => UnlockError::KeyringLocked,
        Error::Dbus(error) => UnlockError::Keyring(
            error
                .message()
                .unwrap_or("it does not answer")
                .trim_end_matches('.')
                .to_owned(),
        ),
        _ => UnlockError::Keyring("its answer is not understood".to_owned()),
    }
}
