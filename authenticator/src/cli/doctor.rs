//! `doctor`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use handfast_transport::radio::{Radio, Role};

use super::serving::DEFAULT_RADIO;
use super::settings::Settings;
use super::{relay_url, runtime};
use crate::console::doctor::{Examination, report};
use crate::console::{self, Failure};
use crate::home::Home;

#[derive(Args, Debug)]
pub(super) struct Checkup {
    /// The radio to examine: bluez, simulated, or simulated=DIR [default: bluez].
    #[arg(long)]
    radio: Option<String>,
    /// The Bluetooth adapter to examine, such as hci0 [usually all].
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,
    /// A relay to try: wss://HOST[:PORT] [usually that of the settings].
    #[arg(long, value_name = "URL")]
    relay: Option<String>,
    /// An additional trust anchor for the relay's certificate.
    #[arg(long, value_name = "PEM")]
    ca_file: Option<PathBuf>,
    /// How long to listen to what is on the air.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = clap::value_parser!(u64).range(0..=600))]
    listen: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn doctor(home: Home, checkup: Checkup) -> Result<(), Failure> {
    let settings = Settings::read(|name| std::env::var_os(name))?;
    let relay = checkup.relay.or(settings.relay);
    let relay = relay.as_deref().map(relay_url).transpose()?;
    let radio = checkup.radio.or(settings.radio);
    let radio = radio.as_deref().unwrap_or(DEFAULT_RADIO);
    let adapter = checkup.adapter.or(settings.adapter);
    let examination = Examination {
        radio: Radio::parse(radio, adapter.as_deref(), console::default_air)?,
        role: Role::Advertise,
        relays: relay.into_iter().collect(),
        ca_file: checkup.ca_file.or(settings.ca_file),
        home,
        listen: Duration::from_secs(checkup.listen),
    };
    runtime()?.block_on(report(&examination, checkup.json))
}
