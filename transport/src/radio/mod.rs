//! Adverts on the air: hearing them and sending them.

mod bluez;
mod error;
mod simulated;

use std::path::PathBuf;
use std::{fmt, io};

use handfast_proto::hybrid::Psm;
use handfast_proto::hybrid::advert::Advertisement;

pub use bluez::{AdapterName, AdapterState};
pub use error::{LinkError, RadioError};

use crate::channel::Channel;

/// Which radio to use.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Radio {
    /// BlueZ, the Bluetooth of Linux: the adapter of this name; if none is given, all that are switched
    /// on listen, and the first of them advertises.
    Bluez(Option<AdapterName>),
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

/// What a radio is used for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Role {
    /// To send an advert, as a phone does.
    Advertise,
    /// To hear adverts, as a client does.
    Listen,
}

impl Radio {
    /// Reads `bluez`, `simulated=DIR` or `simulated`, which is `default_air`, and the name of a Bluetooth
    /// adapter.
    ///
    /// # Errors
    ///
    /// [`RadioError::Unknown`], [`RadioError::AdapterName`] and [`RadioError::NoAdapterHere`].
    pub fn parse(
        text: &str,
        adapter: Option<&str>,
        default_air: impl FnOnce() -> PathBuf,
    ) -> Result<Self, RadioError> {
        let radio = match text.split_once('=') {
            None if text == "bluez" => {
                return Ok(Self::Bluez(adapter.map(AdapterName::parse).transpose()?));
            }
            None if text == "simulated" => Self::SimulatedOwn(default_air()),
            Some(("simulated", folder)) if !folder.is_empty() => Self::Simulated(folder.into()),
            _ => return Err(RadioError::Unknown(text.to_owned())),
        };
        match adapter {
            Some(_) => Err(RadioError::NoAdapterHere),
            None => Ok(radio),
        }
    }

    /// Returns whether what is heard proves nothing.
    pub fn is_simulated(&self) -> bool {
        matches!(self, Self::Simulated(_) | Self::SimulatedOwn(_))
    }

    /// Checks that the radio can be used, without using it. To be called in a runtime, as all that
    /// follows.
    ///
    /// # Errors
    ///
    /// [`RadioError`]; [`RadioError::PoweredOff`] can be mended with [`Radio::power_on`].
    pub async fn check(&self, role: Role) -> Result<(), RadioError> {
        match self {
            Self::Bluez(adapter) => {
                let bluez = bluez::Bluez::connect(adapter.clone()).await?;
                bluez.check(role).await
            }
            _ => self.air().map(|_| ()),
        }
    }

    /// Returns the Bluetooth adapters that may be used, and what they can do; a simulated radio has none.
    ///
    /// # Errors
    ///
    /// [`RadioError`].
    pub async fn adapters(&self) -> Result<Vec<AdapterState>, RadioError> {
        match self {
            Self::Bluez(adapter) => {
                let bluez = bluez::Bluez::connect(adapter.clone()).await?;
                bluez.states().await
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Switches Bluetooth on, and waits until it is.
    ///
    /// # Errors
    ///
    /// [`RadioError`].
    pub async fn power_on(&self) -> Result<(), RadioError> {
        match self {
            Self::Bluez(adapter) => {
                let bluez = bluez::Bluez::connect(adapter.clone()).await?;
                bluez.power_on().await
            }
            _ => Ok(()),
        }
    }

    /// Starts to listen.
    ///
    /// # Errors
    ///
    /// [`RadioError`].
    pub async fn scan(&self) -> Result<Scan, RadioError> {
        Ok(Scan(match self {
            Self::Bluez(adapter) => {
                let bluez = bluez::Bluez::connect(adapter.clone()).await?;
                Scanner::Bluez(bluez::Scanner::start(bluez).await?)
            }
            _ => Scanner::Simulated(simulated::Scanner::new(self.air()?)),
        }))
    }

    /// Sends an advert until the returned value is dropped.
    ///
    /// # Errors
    ///
    /// [`RadioError`].
    pub async fn advertise(&self, advert: &Advertisement) -> Result<Advertising, RadioError> {
        Ok(Advertising(match self {
            Self::Bluez(adapter) => {
                let bluez = bluez::Bluez::connect(adapter.clone()).await?;
                Broadcast::Bluez(bluez::Broadcast::start(bluez, advert).await?)
            }
            _ => Broadcast::Simulated {
                _file: simulated::Broadcast::start(&self.air()?, &advert.service_data())?,
            },
        }))
    }

    /// Gets ready for connections, of which an advert with the [`Listener::psm`] tells.
    ///
    /// # Errors
    ///
    /// [`LinkError`].
    pub async fn listen(&self) -> Result<Listener, LinkError> {
        Ok(Listener(match self {
            Self::Bluez(_) => Listening::Bluez(bluez::Listener::start()?),
            _ => {
                let air = self.air().map_err(io::Error::other)?;
                Listening::Simulated(simulated::Listener::start(air.folder())?)
            }
        }))
    }

    fn air(&self) -> Result<simulated::Air, RadioError> {
        match self {
            Self::Bluez(_) => Err(RadioError::Unknown(self.to_string())),
            Self::Simulated(folder) => simulated::Air::open(folder, false),
            Self::SimulatedOwn(folder) => simulated::Air::open(folder, true),
        }
    }
}

impl fmt::Display for Radio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bluez(None) => f.write_str("Bluetooth"),
            Self::Bluez(Some(adapter)) => write!(f, "Bluetooth adapter {adapter}"),
            Self::Simulated(folder) | Self::SimulatedOwn(folder) => {
                write!(f, "simulated radio in {}", folder.display())
            }
        }
    }
}

/// What a radio that is in use tells.
#[derive(Debug)]
#[non_exhaustive]
pub enum Heard {
    /// An advert. Each distinct one is told once.
    Advert {
        /// Its service data.
        service_data: Vec<u8>,
        /// Who sent it.
        sender: Sender,
    },
    /// The radio works again.
    Back,
    /// The radio is gone or off, for now: it is used again as soon as it is back.
    Lost(RadioError),
}

/// A radio that listens.
#[derive(Debug)]
pub struct Scan(Scanner);

#[derive(Debug)]
enum Scanner {
    Bluez(bluez::Scanner),
    Simulated(simulated::Scanner),
}

impl Scan {
    /// Waits for the next thing to tell. May be dropped while it waits without losing anything.
    ///
    /// # Errors
    ///
    /// [`RadioError`], if the radio is gone for good.
    pub async fn next(&mut self) -> Result<Heard, RadioError> {
        match &mut self.0 {
            Scanner::Bluez(scanner) => scanner.next().await,
            Scanner::Simulated(scanner) => Ok(Heard::Advert {
                service_data: scanner.next().await?,
                sender: Sender(Place::Air(scanner.folder().to_owned())),
            }),
        }
    }
}

/// Who sent an advert.
#[derive(Clone, Debug)]
pub struct Sender(Place);

#[derive(Clone, Debug)]
enum Place {
    Air(PathBuf),
    Bluez(bluez::Sender),
}

impl Sender {
    fn of_bluez(sender: bluez::Sender) -> Self {
        Self(Place::Bluez(sender))
    }

    /// Connects to the sender, where its advert says that it takes connections. Whom that takes too long
    /// gives it up by dropping it.
    ///
    /// # Errors
    ///
    /// [`LinkError`].
    pub async fn connect(self, psm: Psm) -> Result<Channel, LinkError> {
        Ok(match self.0 {
            Place::Air(folder) => simulated::connect_to(&folder, psm).await?,
            Place::Bluez(sender) => sender.connect(psm).await?,
        })
    }
}

/// A radio that takes connections, until this is dropped.
#[derive(Debug)]
pub struct Listener(Listening);

#[derive(Debug)]
enum Listening {
    Bluez(bluez::Listener),
    Simulated(simulated::Listener),
}

impl Listener {
    /// Returns where it takes them.
    pub fn psm(&self) -> Psm {
        match &self.0 {
            Listening::Bluez(listener) => listener.psm(),
            Listening::Simulated(listener) => listener.psm(),
        }
    }

    /// Waits for the next connection. May be dropped while it waits without losing one.
    ///
    /// # Errors
    ///
    /// [`LinkError`], if none will come.
    pub async fn accept(&self) -> Result<Channel, LinkError> {
        Ok(match &self.0 {
            Listening::Bluez(listener) => listener.accept().await?,
            Listening::Simulated(listener) => listener.accept().await?,
        })
    }
}

/// An advert on the air. It ends when this is dropped.
#[derive(Debug)]
pub struct Advertising(Broadcast);

#[derive(Debug)]
enum Broadcast {
    Bluez(bluez::Broadcast),
    Simulated { _file: simulated::Broadcast },
}

impl Advertising {
    /// Waits for news of the radio, which are [`Heard::Lost`] and [`Heard::Back`]. May be dropped while
    /// it waits.
    pub async fn next(&mut self) -> Heard {
        match &mut self.0 {
            Broadcast::Bluez(broadcast) => broadcast.next().await,
            Broadcast::Simulated { .. } => std::future::pending().await,
        }
    }
}
