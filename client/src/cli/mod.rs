//! The command line of `handfast`.

mod commands;
mod doctor;
mod failure;
mod keyboard;
mod link;
mod picture;
mod unlock;
mod voice;

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use handfast_authenticator::console::{self, Failure};
use handfast_proto::hybrid::DataChannels;
use handfast_transport::radio::Radio;
use handfast_transport::relay::RelayUrl;
use tokio::runtime::Runtime;

use self::voice::Voice;
use crate::ceremony::Means;

/// Sign in with passkeys from any program: with those on a phone beside this computer, or with this
/// computer's own.
///
/// The phone is any device that runs handfast-authenticator. This computer shows a QR code; the phone
/// scans it, answers by Bluetooth, meets this computer at a relay on the internet, asks its owner, and
/// signs. The passkey never leaves it.
///
/// A vault is an encrypted folder of passkeys that your file sync carries between your devices. A
/// trust group is those of them that were once beside each other: a site can tell them from a device
/// that has only a copy of the vault.
#[derive(Debug, Parser)]
#[command(name = "handfast", version, after_help = HELP)]
struct Arguments {
    /// The vault's folder [usually ~/.local/share/handfast/vault].
    #[arg(long, global = true, value_name = "DIR", help_heading = EVERYWHERE)]
    vault: Option<PathBuf>,
    /// Speak to a program: the result as JSON on standard output, every step as a line of JSON on
    /// standard error.
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    json: bool,
    /// Tell on standard error what goes on inside; -vv tells of every advert and message.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = EVERYWHERE)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

const EVERYWHERE: &str = "Options of every command";
const NEARBY: &str = "Reaching the phone";

const HELP: &str = "\
First steps, with all on this machine: a relay (with a certificate for localhost), the demo site, a phone \
over simulated radio, each in a terminal of its own,
  handfast-relay serve --listen 127.0.0.1:8443 --tls-cert cert.pem --tls-key key.pem
  handfast-site
  HANDFAST_HOME=/tmp/phone handfast-authenticator init
  HANDFAST_HOME=/tmp/phone handfast-authenticator run --radio simulated \\
      --relay wss://localhost:8443 --tunnel-domain 300 --ca-file cert.pem
and then this program; what it prints as FIDO:/ is pasted into the phone's terminal:
  handfast register http://localhost:8080 --user me --qr-url --radio simulated \\
      --relay-map 300=wss://localhost:8443 --ca-file cert.pem
With a vault that your file sync brought here:
  handfast vault join
  handfast sign-in http://localhost:8080 --via local

Environment:
  HANDFAST_PASSPHRASE_FILE  a file with the vault's pass phrase, which else is asked for
  HANDFAST_PIN_FILE         a file with this computer's PIN, likewise; it then stands for you
  HANDFAST_HOME             one folder for vault and device store

Exit codes:
  0 ok, 1 failure, 2 usage, 3 refused by the user, 4 timed out, 5 Bluetooth unavailable,
  6 relay unreachable, 7 rejected by the site, 130 interrupted";

const CREATE: &str = "\
Example, with the options that a server made:
  handfast create --origin https://example.org < options.json > credential.json
Needed in the options are challenge, rp.name, user and pubKeyCredParams.";

const GET: &str = "\
Example, with the options that a server made:
  handfast get --origin https://example.org < options.json > credential.json
Needed in the options is challenge; rpId, if it is not the origin's whole host.";

const LINK: &str = "\
Phone and computer show the same six digits; confirm them on both. Before that this computer must be
in the phone's vault:
  handfast vault join";

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a passkey for a server of yours: WebAuthn JSON in and out.
    ///
    /// Reads WebAuthn creation options (PublicKeyCredentialCreationOptionsJSON) from standard input,
    /// has a passkey made, and prints the credential as a browser's toJSON() does, for the server to
    /// verify.
    #[command(after_long_help = CREATE)]
    Create(ForOrigin),
    /// Sign in at a server of yours: WebAuthn JSON in and out.
    ///
    /// Reads WebAuthn request options (PublicKeyCredentialRequestOptionsJSON) from standard input, has
    /// a passkey sign, and prints the credential as a browser's toJSON() does, for the server to
    /// verify.
    #[command(after_long_help = GET)]
    Get(ForOrigin),
    /// Make a passkey at a site that speaks as the demo site does.
    ///
    /// The site is asked for its options and gets the new passkey: it must serve
    /// /api/register/options and /api/register/verify, as handfast-site does.
    Register {
        /// The site's address: https://HOST[:PORT]; for trying out, http://localhost[:PORT] or
        /// http://NAME.localhost[:PORT].
        site: String,
        /// The account's name at the site.
        #[arg(long, value_name = "NAME")]
        user: String,
        #[command(flatten)]
        how: How,
    },
    /// Sign in at a site that speaks as the demo site does.
    ///
    /// The site is asked for its options and gets the signature: it must serve /api/sign-in/options
    /// and /api/sign-in/verify, as handfast-site does. If the site wants a one-time code besides, it
    /// is asked for.
    SignIn {
        /// The site's address: https://HOST[:PORT]; for trying out, http://localhost[:PORT] or
        /// http://NAME.localhost[:PORT].
        site: String,
        /// The account's name at the site; left out, the passkey tells.
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        #[command(flatten)]
        how: How,
    },
    /// Join the trust group of the phone beside this computer.
    ///
    /// From then on this computer presents itself to sites as one of your own devices when it signs
    /// in with passkeys of the vault that it shares with the phone.
    #[command(after_long_help = LINK)]
    Link {
        #[command(flatten)]
        hybrid: Hybrid,
    },
    /// The passkeys on this computer: make a vault, join one, see what is in it.
    Vault {
        #[command(subcommand)]
        command: VaultCommand,
    },
    /// Look what may be wrong with Bluetooth, relay and vault, and say what to do.
    Doctor(doctor::Checkup),
    /// The trust group of this computer.
    Group {
        #[command(subcommand)]
        command: GroupCommand,
    },
}

#[derive(Debug, Subcommand)]
enum VaultCommand {
    /// Make a new vault, and set this computer up in it.
    ///
    /// Asks for a pass phrase (six words are proposed) and for a PIN. The pass phrase opens the vault
    /// on every device; the PIN is of this computer only, and proves to sites that it is you.
    Init {
        /// What this computer is called in lists [usually its host name].
        #[arg(long)]
        name: Option<String>,
    },
    /// Set this computer up in a vault that your file sync brought here.
    ///
    /// Asks for the vault's pass phrase, and for a PIN of this computer. This computer can sign in
    /// then, but is in no trust group yet: for that, bring it beside the phone and use handfast link.
    Join {
        /// What this computer is called in lists [usually its host name].
        #[arg(long)]
        name: Option<String>,
    },
    /// Choose what unlocks the vault on this computer besides the pass phrase, which is needed for it.
    UnlockWith {
        #[command(subcommand)]
        way: unlock::Way,
    },
    /// How many passkeys are in the vault, which devices opened it, which files are damaged.
    Status,
}

#[derive(Debug, Subcommand)]
enum GroupCommand {
    /// Who is in it, and how they came in.
    Status,
}

#[derive(Args, Debug)]
struct ForOrigin {
    /// The origin that asks: https://HOST[:PORT]; for trying out, http://localhost[:PORT] or
    /// http://NAME.localhost[:PORT]. Passkeys are bound to its host or to a parent domain of that, so give
    /// the one that really asks.
    #[arg(long)]
    origin: String,
    #[command(flatten)]
    how: How,
}

#[derive(Args, Debug)]
struct How {
    /// Where the passkey is.
    #[arg(long, value_enum, value_name = "WHERE", default_value = "qr")]
    via: Via,
    #[command(flatten)]
    hybrid: Hybrid,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Via {
    /// On a phone beside this computer, which scans a QR code.
    Qr,
    /// In this computer's own vault.
    Local,
}

#[derive(Args, Debug)]
#[command(next_help_heading = NEARBY)]
struct Hybrid {
    /// How to hear the phone: bluez is this computer's Bluetooth; simulated=DIR is a folder that both
    /// can write to, for trying out; simulated alone is the usual such folder.
    #[arg(long, default_value = "bluez")]
    radio: String,
    /// The Bluetooth adapter to listen with, such as hci0 [usually all that are on].
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,
    /// On which way to talk to the phone: relay, ble (Bluetooth itself, without any network; the phone
    /// must be able to), or any, which tries Bluetooth first. Some older phones understand codes with ble
    /// or any not at all.
    #[arg(long, value_name = "WAY", default_value = "relay", value_parser = console::channels)]
    channel: DataChannels,
    /// Where the phone's relay is, if its number N (handfast-authenticator --tunnel-domain) does not
    /// tell: 300=wss://HOST:PORT. May be given several times.
    #[arg(long, value_name = "N=URL")]
    relay_map: Vec<String>,
    /// A file with a certificate to trust besides the system's, for the relay and the site.
    #[arg(long, value_name = "PEM")]
    ca_file: Option<PathBuf>,
    /// Write the QR code as a picture; it is removed when the code is of no more use.
    #[arg(long, value_name = "PNG")]
    qr_file: Option<PathBuf>,
    /// Print the QR code's text, FIDO:/ and digits, as a line on standard error. Whoever reads it can
    /// answer in the phone's place.
    #[arg(long)]
    qr_url: bool,
    /// Wait at most this long for a phone, as long again for its owner, and for you to confirm
    /// [usually 180, 300 and 55].
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: Option<u64>,
}

impl Hybrid {
    fn means(&self) -> Result<Means, Failure> {
        Ok(Means {
            radio: Radio::parse(&self.radio, self.adapter.as_deref(), console::default_air)?,
            channels: self.channel,
            relays: relays(&self.relay_map)?,
            ca_file: self.ca_file.clone(),
            patience: self.patience(),
        })
    }

    fn patience(&self) -> Option<Duration> {
        self.timeout.map(Duration::from_secs)
    }
}

/// Reads where relays are.
fn relays(mappings: &[String]) -> Result<HashMap<u16, RelayUrl>, Failure> {
    let mut relays = HashMap::new();
    for mapping in mappings {
        let parsed = mapping
            .split_once('=')
            .and_then(|(number, url)| Some((number.parse::<u16>().ok()?, RelayUrl::parse(url))));
        let usage = |why: &str| {
            Failure::usage(format!("--relay-map {mapping}: {why}"))
                .with_hint("Give a number and an address: --relay-map 300=wss://HOST:PORT")
        };
        let (number, url) = parsed.ok_or_else(|| usage("this is not N=URL"))?;
        relays.insert(number, url.map_err(|error| usage(&error.to_string()))?);
    }
    Ok(relays)
}

fn runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("The program could not start: {error}")))
}

/// Runs the program with these arguments (the first is its name) and returns its exit code.
pub fn main_from(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let voice = if arguments.json {
        Voice::Json
    } else {
        Voice::Words
    };
    console::start_log(arguments.verbose, arguments.json);
    console::keep_memory_private();
    match run(arguments, voice) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            voice.fail(&failure);
            ExitCode::from(failure.code())
        }
    }
}

fn run(arguments: Arguments, voice: Voice) -> Result<(), Failure> {
    let vault = arguments.vault;
    match arguments.command {
        Command::Create(ForOrigin { origin, how }) => {
            commands::ceremony(&origin, &how, commands::Kind::Create, vault, voice)
        }
        Command::Get(ForOrigin { origin, how }) => {
            commands::ceremony(&origin, &how, commands::Kind::Get, vault, voice)
        }
        Command::Register { site, user, how } => {
            commands::register(&site, &user, &how, vault, voice)
        }
        Command::SignIn { site, user, how } => {
            commands::sign_in(&site, user.as_deref(), &how, vault, voice)
        }
        Command::Doctor(checkup) => doctor::doctor(checkup, vault, voice),
        Command::Link { hybrid } => link::link(&hybrid, vault, voice),
        Command::Vault {
            command: VaultCommand::Init { name },
        } => unlock::init(vault, name, voice),
        Command::Vault {
            command: VaultCommand::Join { name },
        } => unlock::join(vault, name, voice),
        Command::Vault {
            command: VaultCommand::UnlockWith { way },
        } => unlock::unlock_with(vault, way, voice),
        Command::Vault {
            command: VaultCommand::Status,
        } => unlock::vault_status(vault, voice),
        Command::Group {
            command: GroupCommand::Status,
        } => unlock::group_status(vault, voice),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_every_option_says_what_it_does() {
        let mut command = Arguments::command();
        command.build();
        command.clone().debug_assert();
        let mut commands = vec![&command];
        while let Some(command) = commands.pop() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments() {
                let help = argument.get_help().map(ToString::to_string);
                assert!(help.is_some_and(|help| !help.is_empty()), "{argument}");
            }
            commands.extend(command.get_subcommands());
        }
    }
}
