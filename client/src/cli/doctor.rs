//! `doctor`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use handfast_authenticator::console::doctor::{Examination, report};
use handfast_authenticator::console::{self, Failure};
use handfast_transport::radio::{Radio, Role};
use handfast_transport::relay::RelayUrl;

use super::voice::Voice;
use super::{relays, runtime};

#[derive(Args, Debug)]
pub(super) struct Checkup {
    /// The radio to examine: bluez, simulated, or simulated=DIR.
    #[arg(long, default_value = "bluez")]
    radio: String,
    /// The Bluetooth adapter to examine, such as hci0 [usually all].
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,
    /// A relay to try: wss://HOST[:PORT]. May be given several times.
    #[arg(long, value_name = "URL")]
    relay: Vec<String>,
    /// The same, as for the other commands: 300=wss://HOST:PORT. May be given several times.
    #[arg(long, value_name = "N=URL")]
    relay_map: Vec<String>,
    /// A file with a certificate to trust besides the system's, for the relay.
    #[arg(long, value_name = "PEM")]
    ca_file: Option<PathBuf>,
    /// How long to listen to what is on the air.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = clap::value_parser!(u64).range(0..=600))]
    listen: u64,
}

pub(super) fn doctor(
    checkup: Checkup,
    vault: Option<PathBuf>,
    voice: Voice,
) -> Result<(), Failure> {
    let adapter = checkup.adapter.as_deref();
    let mut relays: Vec<_> = relays(&checkup.relay_map)?.into_iter().collect();
    relays.sort_by_key(|(number, _)| *number);
    let named = checkup.relay.iter().map(|url| {
        RelayUrl::parse(url).map_err(|error| {
            Failure::usage(format!("--relay {url}: {error}"))
                .with_hint("Give an address: --relay wss://HOST:PORT")
        })
    });
    let named: Vec<_> = named.collect::<Result<_, _>>()?;
    let examination = Examination {
        radio: Radio::parse(&checkup.radio, adapter, console::default_air)?,
        role: Role::Listen,
        relays: named
            .into_iter()
            .chain(relays.into_iter().map(|(_, relay)| relay))
            .collect(),
        ca_file: checkup.ca_file,
        home: console::home(vault)?,
        listen: Duration::from_secs(checkup.listen),
    };
    runtime()?.block_on(report(&examination, voice == Voice::Json))
}
