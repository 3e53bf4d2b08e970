//! BlueZ, the Bluetooth of Linux, over the system's message bus.

mod broadcast;
mod link;
mod scanner;

use std::fmt;
use std::time::Duration;

use bluer::{Adapter, Session};
use tokio::time::{Instant, sleep, timeout};

use super::{RadioError, Role};

pub(super) use broadcast::Broadcast;
pub(super) use link::{Listener, Sender};
pub(super) use scanner::Scanner;

/// How long BlueZ may take for an answer; starting it may be part of that.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long an adapter may take to be on.
const POWERING: Duration = Duration::from_secs(5);
/// How often it is looked at whether the adapters are still there. BlueZ that dies says nothing.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The name of a Bluetooth adapter, such as `hci0`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AdapterName(String);

impl AdapterName {
    /// Reads a name.
    ///
    /// # Errors
    ///
    /// [`RadioError::AdapterName`] if it is not letters and digits.
    pub fn parse(text: &str) -> Result<Self, RadioError> {
        match !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric()) {
            true => Ok(Self(text.to_owned())),
            false => Err(RadioError::AdapterName(text.to_owned())),
        }
    }
}

impl fmt::Display for AdapterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An adapter, and what it can do.
#[derive(Clone, Debug)]
pub struct AdapterState {
    /// Its name, such as `hci0`.
    pub name: String,
    /// Whether it is on.
    pub powered: bool,
    /// How many more adverts it can send at once, if it can send any.
    pub free_adverts: Option<u8>,
    /// The longest advert that it can send, in bytes, as far as it tells. More than 31 are an extended
    /// advert.
    pub longest_advert: Option<u8>,
}

/// The FIDO Alliance's service (`hybrid-transport.md` §3.1).
const FIDO: u16 = 0xfff9;
/// Google's, which old phones send.
const GOOGLE: u16 = 0xfde2;

/// A connection with BlueZ, and which of its adapters may be used.
#[derive(Clone, Debug)]
pub(super) struct Bluez {
    session: Session,
    only: Option<AdapterName>,
}

/// Waits for an answer of BlueZ, but not for ever.
async fn answer<T>(call: impl Future<Output = bluer::Result<T>>) -> Result<T, RadioError> {
    match timeout(PATIENCE, call).await {
        Ok(answered) => answered.map_err(|error| RadioError::of_bluez(&error)),
        Err(_) => Err(RadioError::Silent),
    }
}

impl Bluez {
    pub(super) async fn connect(only: Option<AdapterName>) -> Result<Self, RadioError> {
        match timeout(PATIENCE, Session::new()).await {
            Ok(Ok(session)) => Ok(Self { session, only }),
            Ok(Err(error)) => Err(RadioError::NoBus(match error.message.as_str() {
                "" => error.to_string(),
                message => message.to_owned(),
            })),
            Err(_) => Err(RadioError::NoBus("no answer".to_owned())),
        }
    }

    /// Connects anew where the old connection is of no more use: it may be broken, and what was asked for
    /// through it and could not be taken back ends with it.
    async fn reconnect(&mut self) {
        if let Ok(bluez) = Self::connect(self.only.clone()).await {
            *self = bluez;
        }
    }

    /// Checks that an adapter is on, and able to do its part.
    pub(super) async fn check(&self, role: Role) -> Result<(), RadioError> {
        let powered = self.powered().await?;
        if role == Role::Listen {
            return Ok(());
        }
        let mut failure = RadioError::PoweredOff;
        for adapter in powered {
            match answer(adapter.supported_advertising_instances()).await {
                Ok(_) => return Ok(()),
                Err(error) => failure = RadioError::CannotAdvertise(error.to_string()),
            }
        }
        Err(failure)
    }

    /// Returns the adapters that may be used, in the order of their names.
    async fn adapters(&self) -> Result<Vec<Adapter>, RadioError> {
        let mut known = answer(self.session.adapter_names()).await?;
        known.sort();
        let names: Vec<_> = known
            .iter()
            .filter(|known| self.only.as_ref().is_none_or(|only| only.0 == **known))
            .collect();
        match (&self.only, names.is_empty()) {
            (_, false) => {}
            (Some(name), _) if !known.is_empty() => {
                return Err(RadioError::UnknownAdapter {
                    name: name.clone(),
                    known,
                });
            }
            _ => return Err(RadioError::NoAdapter),
        }
        let adapters = names.into_iter().map(|name| self.session.adapter(name));
        adapters
            .collect::<bluer::Result<_>>()
            .map_err(|error| RadioError::of_bluez(&error))
    }

    /// Returns those that are on.
    async fn powered(&self) -> Result<Vec<Adapter>, RadioError> {
        let mut powered = Vec::new();
        let mut failure = RadioError::PoweredOff;
        for adapter in self.adapters().await? {
            match answer(adapter.is_powered()).await {
                Ok(true) => powered.push(adapter),
                Ok(false) => {}
                // It may have been pulled out a moment ago.
                Err(error) => failure = error,
            }
        }
        match powered.is_empty() {
            true => Err(failure),
            false => Ok(powered),
        }
    }

    /// Returns all adapters that may be used.
    pub(super) async fn states(&self) -> Result<Vec<AdapterState>, RadioError> {
        let mut states = Vec::new();
        for adapter in self.adapters().await? {
            let capabilities = answer(adapter.supported_advertising_capabilities()).await;
            states.push(AdapterState {
                name: adapter.name().to_owned(),
                powered: answer(adapter.is_powered()).await?,
                free_adverts: answer(adapter.supported_advertising_instances()).await.ok(),
                longest_advert: capabilities
                    .ok()
                    .flatten()
                    .map(|found| found.max_advertisement_length),
            });
        }
        Ok(states)
    }

    /// Switches the first adapter on that takes it, and waits until it is.
    pub(super) async fn power_on(&self) -> Result<(), RadioError> {
        let mut failure = RadioError::WouldNotPowerOn;
        for adapter in self.adapters().await? {
            match power_on(&adapter).await {
                Ok(()) => return Ok(()),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

async fn power_on(adapter: &Adapter) -> Result<(), RadioError> {
    answer(adapter.set_powered(true)).await?;
    let begin = Instant::now();
    while !answer(adapter.is_powered()).await? {
        if begin.elapsed() >= POWERING {
            return Err(RadioError::WouldNotPowerOn);
        }
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
