//! The options of `run` and `scan`, and what settings say where they are not given.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use handfast_proto::hybrid::tunnel::TunnelDomain;
use handfast_proto::hybrid::{DataChannel, DataChannels};
use handfast_transport::radio::Radio;
use handfast_transport::tls::TlsTrust;

use super::compat::Compat;
use super::relay_url;
use super::settings::Settings;
use crate::console::{self, Failure};
use crate::phone::{Approval, Desktop, Relay, Voice};

/// The radio where none is named.
pub(super) const DEFAULT_RADIO: &str = "bluez";

#[derive(Args, Debug)]
pub(super) struct Serving {
    /// The relay through which computers are met: wss://HOST[:PORT]. Needed but for --channel ble.
    #[arg(long, value_name = "URL")]
    relay: Option<String>,
    /// The number by which computers know that relay.
    #[arg(long, value_name = "N", requires = "relay", value_parser = clap::value_parser!(u16).range(256..))]
    tunnel_domain: Option<u16>,
    /// On which ways computers are talked to: relay, ble (Bluetooth itself, without any network), or
    /// any, which is what the computer offers of both [default: any].
    #[arg(long, value_name = "WAY", value_parser = console::channels)]
    channel: Option<DataChannels>,
    /// bluez, simulated, or simulated=DIR [default: bluez].
    #[arg(long)]
    radio: Option<String>,
    /// The Bluetooth adapter to advertise with, such as hci0 [usually the first that is on].
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,
    /// An additional trust anchor for the relay's certificate.
    #[arg(long, value_name = "PEM")]
    ca_file: Option<PathBuf>,
    /// Whether you are asked. 'always' works only with a vault made for tests.
    #[arg(long, value_enum, default_value = "ask")]
    pub(super) approve: Approval,
    /// How long a computer may take to hear this device and to say what it wants, and you to answer
    /// a question.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout: u64,
    /// Do not show on the desktop that a question waits.
    #[arg(long)]
    no_notify: bool,
    /// Speak JSON, a line an event, on standard output.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub(super) compat: Compat,
}

/// How computers are met.
pub(super) struct Means {
    pub(super) radio: Radio,
    pub(super) relay: Option<Relay>,
    /// Whether Bluetooth connections are taken.
    pub(super) ble: bool,
}

impl Serving {
    /// Returns how computers are met; what no option says, settings do.
    pub(super) fn means(&self) -> Result<Means, Failure> {
        let settings = Settings::read(|name| std::env::var_os(name))?;
        // A number belongs to its relay, and so does an authority: they are not mixed.
        let (relay, domain, ca_file) = match &self.relay {
            Some(_) => (&self.relay, self.tunnel_domain, &self.ca_file),
            None => (
                &settings.relay,
                settings.tunnel_domain,
                if self.ca_file.is_some() {
                    &self.ca_file
                } else {
                    &settings.ca_file
                },
            ),
        };
        let channel = self.channel.or(settings.channel);
        let channel = channel.unwrap_or(DataChannels::Both);
        let relay = match (channel.contain(DataChannel::WebSocket), relay, domain) {
            (false, _, _) => None,
            (true, Some(url), Some(domain)) => Some(Relay {
                url: relay_url(url)?,
                domain: TunnelDomain(domain),
                trust: TlsTrust::new(ca_file.as_deref())?,
            }),
            (true, Some(_), None) if self.relay.is_some() => {
                return Err(Failure::usage("the relay has no number").with_hint(
                        "Give its --tunnel-domain as well; that of the settings belongs to their relay.",
                    ));
            }
            (true, _, _) => {
                return Err(
                    Failure::usage("there is no relay to meet computers at").with_hint(
                        "Give --relay and --tunnel-domain or write both into the settings, or give \
                     --channel ble.",
                    ),
                );
            }
        };
        let radio = self.radio.as_ref().or(settings.radio.as_ref());
        let radio = radio.map_or(DEFAULT_RADIO, String::as_str);
        let adapter = self.adapter.as_ref().or(settings.adapter.as_ref());
        Ok(Means {
            radio: Radio::parse(radio, adapter.map(String::as_str), console::default_air)?,
            relay,
            ble: channel.contain(DataChannel::Ble),
        })
    }

    pub(super) fn voice(&self) -> Voice {
        match self.json {
            true => Voice::Json,
            false => Voice::Words,
        }
    }

    /// Returns how long a person or a computer is waited for.
    pub(super) fn patience(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }

    /// Returns the desktop on which it is shown that a question waits: where there is one, and a
    /// person is asked.
    pub(super) fn desktop(&self) -> Option<Arc<Desktop>> {
        let asks = self.approve == Approval::Ask && self.voice() == Voice::Words;
        let address = (asks && !self.no_notify).then(session_bus)??;
        Some(Arc::new(Desktop::at(address)))
    }
}

/// Returns the address of the session's message bus. None is started for this.
fn session_bus() -> Option<String> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    if let Some(address) = variable("DBUS_SESSION_BUS_ADDRESS") {
        return Some(address);
    }
    let socket = PathBuf::from(variable("XDG_RUNTIME_DIR")?).join("bus");
    let address = format!("unix:path={}", socket.to_str()?);
    socket.exists().then_some(address)
}
