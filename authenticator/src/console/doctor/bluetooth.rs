//! Whether Bluetooth works.

use std::cmp::Ordering;
use std::time::Duration;

use handfast_proto::hybrid::advert::ADVERT_LENGTH;
use handfast_transport::radio::{AdapterState, Heard, Radio, RadioError, Role, Scan};
use tokio::time::{Instant, timeout_at};

use super::{Examination, Finding, here};
use crate::console::Failure;

/// An advert of the old kind is no longer.
const LEGACY_ADVERT: u8 = 31;

pub(super) async fn examine(examination: &Examination, note: &mut dyn FnMut(Finding)) {
    let radio = &examination.radio;
    if radio.is_simulated() {
        note(match radio.check(examination.role).await {
            Ok(()) => Finding::good("radio", format!("{radio}; it proves nearness to nobody")),
            Err(error) => Finding::bad("radio", error),
        });
        return;
    }
    let adapters = match radio.adapters().await {
        Ok(adapters) => adapters,
        Err(error) => return note(service_or_adapter(error)),
    };
    note(Finding::good("Bluetooth service", here::bluez_version()));
    let names: Vec<_> = adapters.iter().map(|found| found.name.as_str()).collect();
    note(Finding::good("adapter", names.join(", ")));
    if here::is_blocked() {
        note(Finding::bad("switch", RadioError::Blocked));
    }
    let on: Vec<_> = adapters.iter().filter(|found| found.powered).collect();
    if on.is_empty() {
        return note(Finding::bad("power", RadioError::PoweredOff));
    }
    let names: Vec<_> = on.iter().map(|found| found.name.as_str()).collect();
    note(Finding::good("power", format!("{} on", names.join(", "))));
    advertising(&on, examination.role, note);
    note(connections(radio).await);
    scanning(radio, examination, note).await;
}

/// What stands in the way before there is an adapter to look at.
fn service_or_adapter(error: RadioError) -> Finding {
    match error {
        RadioError::NoAdapter | RadioError::UnknownAdapter { .. } => Finding::bad("adapter", error),
        error => {
            let failure = Failure::from(error);
            Finding::bad(
                "Bluetooth service",
                match here::sandbox_hint() {
                    Some(hint) => failure.with_hint(hint),
                    None => failure,
                },
            )
        }
    }
}

fn advertising(on: &[&AdapterState], role: Role, note: &mut dyn FnMut(Finding)) {
    let able = on.iter().find(|found| found.free_adverts > Some(0));
    note(match able {
        Some(adapter) => Finding::good("advertising", format!("{} can send adverts", adapter.name)),
        None if role == Role::Listen => Finding::unneeded(
            "advertising",
            "no adapter can send adverts; only phones have to",
        ),
        None => Finding::bad(
            "advertising",
            RadioError::CannotAdvertise("all its adverts are taken, or it has none".to_owned()),
        ),
    });
    let longest = on.iter().filter_map(|found| found.longest_advert).max();
    note(match longest {
        Some(longest) if longest > LEGACY_ADVERT => Finding::good(
            "extended advertising",
            format!("adverts of up to {longest} bytes"),
        ),
        _ => Finding::unneeded(
            "extended advertising",
            "none; phones that take Bluetooth connections use it where it is",
        ),
    });
}

/// What --channel ble and any need on both sides.
async fn connections(radio: &Radio) -> Finding {
    const CHECK: &str = "connections";
    match radio.listen().await {
        Ok(_) => Finding::good(CHECK, "they can be made and taken"),
        Err(error) => {
            let words = format!("{error}; the relay needs none");
            Finding::unneeded(CHECK, words)
        }
    }
}

async fn scanning(radio: &Radio, examination: &Examination, note: &mut dyn FnMut(Finding)) {
    let scan = match (radio.scan().await, examination.role) {
        (Ok(scan), _) => scan,
        (Err(error), Role::Listen) => return note(Finding::bad("scanning", error)),
        (Err(error), Role::Advertise) => {
            let words = format!("{error}; only computers have to");
            return note(Finding::unneeded("scanning", words));
        }
    };
    let seconds = examination.listen.as_secs();
    let words = format!("adverts can be heard; now listening for {seconds} s");
    note(Finding::good("scanning", words));
    note(heard(scan, examination.listen).await);
}

/// Listens for a while. Foreign adverts are counted and not kept.
async fn heard(mut scan: Scan, patience: Duration) -> Finding {
    const CHECK: &str = "on the air";
    let deadline = Instant::now() + patience;
    let (mut whole, mut longer, mut shorter) = (0, 0, 0);
    while let Ok(heard) = timeout_at(deadline, scan.next()).await {
        match heard {
            Ok(Heard::Advert { service_data, .. }) => {
                match service_data.len().cmp(&ADVERT_LENGTH) {
                    Ordering::Less => shorter += 1,
                    Ordering::Equal => whole += 1,
                    Ordering::Greater => longer += 1,
                }
            }
            Ok(Heard::Lost(error)) | Err(error) => return Finding::bad(CHECK, error),
            Ok(_) => {}
        }
    }
    let seconds = patience.as_secs();
    Finding::good(
        CHECK,
        match whole + longer + shorter {
            0 => format!("no phone answered any code within {seconds} s"),
            _ => format!(
                "in {seconds} s, adverts of phones: {whole} of the usual length, {longer} longer, \
                 {shorter} too short"
            ),
        },
    )
}
