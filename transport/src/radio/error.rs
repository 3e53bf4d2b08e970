//! Why there is no radio.

use std::path::PathBuf;

use thiserror::Error;

use super::AdapterName;

/// Why there is no Bluetooth connection with the other device.
#[derive(Debug, Error)]
#[error("no Bluetooth connection could be made: {0}")]
pub struct LinkError(#[from] std::io::Error);

/// Why there is no radio.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RadioError {
    /// The text names no adapter.
    #[error("“{0}” is no name of a Bluetooth adapter: they are called hci0, hci1 and so on")]
    AdapterName(String),
    /// The folder that is the air cannot be used.
    #[error("the folder {} cannot be used as simulated air: {source}", folder.display())]
    Air {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The adapter is blocked by a switch (rfkill), of software or hardware.
    #[error("Bluetooth is blocked by a switch (rfkill)")]
    Blocked,
    /// The adapter cannot send adverts.
    #[error("the Bluetooth adapter cannot send an advert: {0}")]
    CannotAdvertise(String),
    /// BlueZ does not let this user in.
    #[error("the Bluetooth service does not let you in")]
    Denied,
    /// BlueZ reports something else.
    #[error("Bluetooth does not work: {0}")]
    Failed(String),
    /// There is no adapter at all.
    #[error("this computer has no Bluetooth adapter")]
    NoAdapter,
    /// An adapter was named for a radio that has none.
    #[error("only the radio bluez has adapters")]
    NoAdapterHere,
    /// BlueZ does not run.
    #[error("the Bluetooth service (bluetoothd of BlueZ) is not running")]
    NoBluez,
    /// The message bus through which BlueZ is reached does not run, or not here.
    #[error("the system's message bus (D-Bus) cannot be reached: {0}")]
    NoBus(String),
    /// All adapters that may be used are off.
    #[error("Bluetooth is off")]
    PoweredOff,
    /// BlueZ takes too long to answer.
    #[error("the Bluetooth service does not answer")]
    Silent,
    /// The text names no radio.
    #[error("“{0}” is no radio: give bluez, simulated or simulated=DIR")]
    Unknown(String),
    /// The named adapter is not there.
    #[error("there is no Bluetooth adapter {name}; there is {}", list(known))]
    UnknownAdapter {
        /// The name that was given.
        name: AdapterName,
        /// Those that are there.
        known: Vec<String>,
    },
    /// The adapter stays off though it was told to be on.
    #[error("Bluetooth could not be switched on")]
    WouldNotPowerOn,
}

fn list(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.join(", "),
    }
}

impl RadioError {
    /// Reads what BlueZ, or the bus before it, answered.
    pub(super) fn of_bluez(error: &bluer::Error) -> Self {
        use bluer::{ErrorKind, InternalErrorKind};

        match &error.kind {
            ErrorKind::NotAuthorized => Self::Denied,
            ErrorKind::NotReady => Self::PoweredOff,
            ErrorKind::NotFound | ErrorKind::DoesNotExist => Self::NoAdapter,
            ErrorKind::Internal(InternalErrorKind::DBus(name)) => Self::of_bus(name)
                .unwrap_or_else(|| Self::Failed(format!("{name}: {}", error.message))),
            _ => Self::Failed(error.to_string()),
        }
    }

    fn of_bus(name: &str) -> Option<Self> {
        if name == "org.bluez.Error.Blocked" {
            return Some(Self::Blocked);
        }
        // What systemd says when it may or can not start the service.
        if name.starts_with("org.freedesktop.systemd1.") {
            return Some(Self::NoBluez);
        }
        let name = name.strip_prefix("org.freedesktop.DBus.Error.")?;
        Some(match name {
            "AccessDenied" | "AuthFailed" | "InteractiveAuthorizationRequired" => Self::Denied,
            "ServiceUnknown" | "NameHasNoOwner" => Self::NoBluez,
            "NoReply" | "Timeout" | "TimedOut" => Self::Silent,
            "Disconnected" | "NoServer" | "FileNotFound" => Self::NoBus(name.to_owned()),
            _ if name.starts_with("Spawn.") => Self::NoBluez,
            _ => return None,
        })
    }
}
