//! Sending an advert with one adapter.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bluer::adv::{Advertisement, AdvertisementHandle, Type};
use bluer::{Adapter, Uuid, UuidExt};
use handfast_proto::hybrid::advert::Advertisement as Advert;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::debug;

use super::{Bluez, FIDO, LOOK_EVERY, answer};
use crate::radio::{Heard, RadioError};

/// How often the advert is sent: often, as it is short-lived and a person waits for it.
const INTERVAL: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(200));

/// An advert that is kept on the air, also over a restart of BlueZ, until this is dropped.
#[derive(Debug)]
pub(in crate::radio) struct Broadcast {
    news: mpsc::Receiver<Heard>,
    /// Ends with this.
    _task: JoinSet<()>,
}

impl Broadcast {
    /// Sends an advert; it is registered when this returns.
    pub(in crate::radio) async fn start(bluez: Bluez, advert: &Advert) -> Result<Self, RadioError> {
        let on_air = register(&bluez, advert).await?;
        let (tell, news) = mpsc::channel(8);
        let mut task = JoinSet::new();
        task.spawn(keep(bluez, *advert, on_air, tell));
        Ok(Self { news, _task: task })
    }

    pub(in crate::radio) async fn next(&mut self) -> Heard {
        match self.news.recv().await {
            Some(news) => news,
            None => std::future::pending().await,
        }
    }
}

/// The most bytes of an advert of the old kind.
const LEGACY: u8 = 31;

/// Service data and the list of services, which together with the flags are 31 bytes: all that an
/// advert of the old kind, which every scanner hears, can hold (`hybrid-transport.md` §3.1). With a suffix
/// it is an extended advert; where the adapter has none, the list is left out, which no scanner needs.
fn advertisement(advert: &Advert, is_short: bool) -> Advertisement {
    let service = Uuid::from_u16(FIDO);
    let (advertisement_type, service_uuids) = match advert.psm {
        None => (Type::Broadcast, BTreeSet::from([service])),
        Some(_) if is_short => (Type::Peripheral, BTreeSet::new()),
        Some(_) => (Type::Peripheral, BTreeSet::from([service])),
    };
    Advertisement {
        advertisement_type,
        service_uuids,
        service_data: BTreeMap::from([(service, advert.service_data())]),
        min_interval: Some(INTERVAL.0),
        max_interval: Some(INTERVAL.1),
        ..Advertisement::default()
    }
}

type OnAir = (Adapter, AdvertisementHandle);

/// Registers the advert with the first adapter that takes it.
async fn register(bluez: &Bluez, advert: &Advert) -> Result<OnAir, RadioError> {
    let mut failure = RadioError::PoweredOff;
    for adapter in bluez.powered().await? {
        let can = answer(adapter.supported_advertising_capabilities()).await;
        let longest = can.ok().flatten().map(|can| can.max_advertisement_length);
        let is_short = longest.is_none_or(|longest| longest <= LEGACY);
        match answer(adapter.advertise(advertisement(advert, is_short))).await {
            Ok(handle) => {
                debug!(adapter = adapter.name(), "an advert is on the air");
                return Ok((adapter, handle));
            }
            Err(RadioError::Failed(why)) => failure = RadioError::CannotAdvertise(why),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Looks after the advert: what BlueZ forgot is registered again.
async fn keep(mut bluez: Bluez, advert: Advert, on_air: OnAir, tell: mpsc::Sender<Heard>) {
    let mut on_air = Some(on_air);
    let mut lost = false;
    loop {
        sleep(LOOK_EVERY).await;
        if lost && on_air.is_none() {
            bluez.reconnect().await;
        }
        let failure = match &on_air {
            Some((adapter, _)) if is_sent(adapter).await => None,
            // The old registration ends before the next look.
            Some(_) => {
                on_air = None;
                bluez.powered().await.err()
            }
            None => match register(&bluez, &advert).await {
                Ok(again) => {
                    on_air = Some(again);
                    None
                }
                Err(error) => Some(error),
            },
        };
        let news = match (failure, lost) {
            (Some(error), false) => Heard::Lost(error),
            (None, true) if on_air.is_some() => Heard::Back,
            _ => continue,
        };
        lost = !lost;
        if tell.send(news).await.is_err() {
            return;
        }
    }
}

async fn is_sent(adapter: &Adapter) -> bool {
    let is_on = answer(adapter.is_powered()).await;
    // BlueZ that was started anew knows of no advert. That it knows another program's alone is not seen.
    let adverts = answer(adapter.active_advertising_instances()).await;
    matches!((is_on, adverts), (Ok(true), Ok(1..)))
}

#[cfg(test)]
mod tests {
    use handfast_proto::hybrid::Psm;

    use super::*;

    /// Bytes of the advert as BlueZ makes it: flags, list of services, service data.
    fn length(advert: &Advertisement) -> usize {
        let data = advert.service_data.values().map(|data| 4 + data.len());
        3 + 4 * advert.service_uuids.len() + data.sum::<usize>()
    }

    #[test]
    fn an_advert_is_as_long_and_of_the_kind_that_its_adapter_can_send() {
        let advert = |psm| Advert {
            eid: [7; 20],
            psm: Psm::new(psm),
        };
        for is_short in [true, false] {
            let plain = advertisement(&advert(0), is_short);
            assert_eq!(plain.advertisement_type, Type::Broadcast);
            assert_eq!(length(&plain), usize::from(LEGACY));
        }
        let extended = advertisement(&advert(0x80), false);
        let short = advertisement(&advert(0x80), true);
        for told in [&extended, &short] {
            // Who is to be connected to has to say so.
            assert_eq!(told.advertisement_type, Type::Peripheral);
            let data = told.service_data.values().next();
            assert_eq!(data.map(Vec::len), Some(24));
        }
        assert_eq!(length(&extended), 35);
        assert_eq!(length(&short), usize::from(LEGACY));
    }
}
