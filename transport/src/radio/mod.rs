//! Adverts on the air: hearing them and sending them.

mod simulated;

use std::fmt;
use std::path::PathBuf;

use handfast_proto::hybrid::advert::ADVERT_LENGTH;
use thiserror::Error;

/// Why there is no radio.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RadioError {
    /// The folder that is the air cannot be used.
    #[error("the folder {} cannot be used as simulated air: {source}", folder.display())]
    Air {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// This version has no Bluetooth.
    #[error("this version cannot use Bluetooth yet, only a simulated radio")]
    NoBluetooth,
    /// The text names no radio.
    #[error("“{0}” is no radio: give bluez, simulated or simulated=DIR")]
    Unknown(String),
}

/// Which radio to use.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Radio {
    /// BlueZ, the Bluetooth of Linux.
    Bluez,
    /// A folder that everybody who can write to it shares. It proves nearness to nobody.
    ///
    /// A folder that does not exist is made, for this user alone. One that exists may belong to
    /// anybody and be open to anybody: it was named so that devices meet there, and who wants to
    /// meet other users' devices makes it first. Whoever can write there can send adverts, and can
    /// take away or replace those of others; nothing outside of the folder is in their reach,
    /// because an advert is always a new file of a random name. A symbolic link is refused: it
    /// would leave to its owner where the air is.
    Simulated(PathBuf),
    /// The same in a folder that nobody named, and that therefore has to belong to this user: who
    /// else would make one where others look by default wants something of them.
    SimulatedOwn(PathBuf),
}

impl Radio {
    /// Reads `bluez`, `simulated=DIR` or `simulated`, which is `default_air`.
    ///
    /// # Errors
    ///
    /// [`RadioError::Unknown`].
    pub fn parse(text: &str, default_air: impl FnOnce() -> PathBuf) -> Result<Self, RadioError> {
        match text.split_once('=') {
            None if text == "bluez" => Ok(Self::Bluez),
            None if text == "simulated" => Ok(Self::SimulatedOwn(default_air())),
            Some(("simulated", folder)) if !folder.is_empty() => Ok(Self::Simulated(folder.into())),
            _ => Err(RadioError::Unknown(text.to_owned())),
        }
    }

    /// Returns whether what is heard proves nothing.
    pub fn is_simulated(&self) -> bool {
        matches!(self, Self::Simulated(_) | Self::SimulatedOwn(_))
    }

    /// Starts to listen.
    ///
    /// # Errors
    ///
    /// [`RadioError`].
    pub fn scan(&self) -> Result<Scan, RadioError> {
        Ok(Scan(simulated::Scanner::new(self.air()?)))
    }

    /// Sends an advert until the returned value is dropped.
    ///
    /// # Errors
    ///
    /// [`RadioError`].
    pub fn advertise(&self, advert: &[u8; ADVERT_LENGTH]) -> Result<Advertising, RadioError> {
        let broadcast = simulated::Broadcast::start(&self.air()?, advert)?;
        Ok(Advertising {
            _broadcast: broadcast,
        })
    }

    fn air(&self) -> Result<simulated::Air, RadioError> {
        match self {
            Self::Bluez => Err(RadioError::NoBluetooth),
            Self::Simulated(folder) => simulated::Air::open(folder, false),
            Self::SimulatedOwn(folder) => simulated::Air::open(folder, true),
        }
    }
}

impl fmt::Display for Radio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bluez => f.write_str("Bluetooth"),
            Self::Simulated(folder) | Self::SimulatedOwn(folder) => {
                write!(f, "simulated radio in {}", folder.display())
            }
        }
    }
}

/// A radio that listens.
#[derive(Debug)]
pub struct Scan(simulated::Scanner);

impl Scan {
    /// Waits for the next advert's service data; each distinct one is told once. May be dropped
    /// while it waits without losing anything.
    ///
    /// # Errors
    ///
    /// [`RadioError`].
    pub async fn next(&mut self) -> Result<Vec<u8>, RadioError> {
        self.0.next().await
    }
}

/// An advert on the air. It ends when this is dropped.
#[derive(Debug)]
pub struct Advertising {
    _broadcast: simulated::Broadcast,
}
