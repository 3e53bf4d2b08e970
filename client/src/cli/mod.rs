//! The command line of `handfast`.

mod commands;
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
use handfast_transport::radio::Radio;
use handfast_transport::relay::RelayUrl;
use tokio::runtime::Runtime;

use self::voice::Voice;
use crate::ceremony::Means;

/// Sign in with the passkeys of a phone beside this computer, or with this computer's own, from any
/// program.
#[derive(Debug, Parser)]
#[command(name = "handfast", version, after_help = HELP)]
struct Arguments {
    /// The vault's folder, instead of the usual one.
    #[arg(long, global = true, value_name = "DIR")]
    vault: Option<PathBuf>,
    /// Print the result as JSON on standard output and every step as a line of JSON on standard
    /// error.
    #[arg(long, global = true)]
    json: bool,
    /// Tell on standard error what goes on inside; -vv tells of every advert and message.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

const HELP: &str = "\
The vault's pass phrase is asked for, or read from the file that HANDFAST_PASSPHRASE_FILE names; the \
PIN of this device likewise from HANDFAST_PIN_FILE. HANDFAST_HOME moves vault and device store into \
one folder.

Exit codes: 0 ok, 1 failure, 2 usage, 3 refused by the user, 4 timed out, 5 Bluetooth unavailable, \
6 relay unreachable, 7 rejected by the relying party.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a passkey: WebAuthn creation options (JSON) on standard input, the credential on
    /// standard output.
    Create(ForOrigin),
    /// Sign in: WebAuthn request options (JSON) on standard input, the credential on standard
    /// output.
    Get(ForOrigin),
    /// Register at a site that serves options, as the demo site does.
    Register {
        /// The site: https://HOST, or http://localhost:PORT.
        site: String,
        /// The account's name.
        #[arg(long)]
        user: String,
        #[command(flatten)]
        how: How,
    },
    /// Sign in at such a site.
    SignIn {
        /// The site: https://HOST, or http://localhost:PORT.
        site: String,
        /// The account's name; left out, the passkey tells.
        #[arg(long)]
        user: Option<String>,
        #[command(flatten)]
        how: How,
    },
    /// Join the trust group of the phone beside this computer. This computer must be in the vault.
    Link {
        #[command(flatten)]
        hybrid: Hybrid,
    },
    /// This computer's own passkeys.
    Vault {
        #[command(subcommand)]
        command: VaultCommand,
    },
    /// The trust group of this computer.
    Group {
        #[command(subcommand)]
        command: GroupCommand,
    },
}

#[derive(Debug, Subcommand)]
enum VaultCommand {
    /// Make a vault, and set this computer up in it.
    Init {
        /// What this computer is called in lists; its host name if left out.
        #[arg(long)]
        name: Option<String>,
    },
    /// Set this computer up in a vault whose folder is here already, by its pass phrase.
    Join {
        /// What this computer is called in lists; its host name if left out.
        #[arg(long)]
        name: Option<String>,
    },
    /// What is in it, which devices opened it, and which files are damaged.
    Status,
}

#[derive(Debug, Subcommand)]
enum GroupCommand {
    /// Who is in it, and how they came in.
    Status,
}

#[derive(Args, Debug)]
struct ForOrigin {
    /// For which origin: https://HOST[:PORT], or http://localhost[:PORT].
    #[arg(long)]
    origin: String,
    #[command(flatten)]
    how: How,
}

#[derive(Args, Debug)]
struct How {
    /// Where the passkey is: on a phone beside this computer, or in this computer's vault.
    #[arg(long, value_enum, default_value = "qr")]
    via: Via,
    #[command(flatten)]
    hybrid: Hybrid,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Via {
    /// A phone beside this computer, by a QR code.
    Qr,
    /// This computer's own vault.
    Local,
}

#[derive(Args, Debug)]
struct Hybrid {
    /// bluez, simulated, or simulated=DIR.
    #[arg(long, default_value = "bluez")]
    radio: String,
    /// Reach the relay of number N at URL; for a relay without a name that the number gives.
    #[arg(long, value_name = "N=URL")]
    relay_map: Vec<String>,
    /// An additional trust anchor, for the relay and the site.
    #[arg(long, value_name = "PEM")]
    ca_file: Option<PathBuf>,
    /// Write the QR code as a picture.
    #[arg(long, value_name = "PNG")]
    qr_file: Option<PathBuf>,
    /// Print the code's FIDO:/ address as its own line on standard error.
    #[arg(long)]
    qr_url: bool,
    /// Wait at most this long for a phone, and as long again for its owner.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: Option<u64>,
}

impl Hybrid {
    fn means(&self) -> Result<Means, Failure> {
        let mut relays = HashMap::new();
        for mapping in &self.relay_map {
            let parsed = mapping.split_once('=').and_then(|(number, url)| {
                Some((number.parse::<u16>().ok()?, RelayUrl::parse(url)))
            });
            let usage = |why: &str| {
                Failure::usage(format!("--relay-map {mapping}: {why}"))
                    .with_hint("Give a number and an address: --relay-map 300=wss://HOST:PORT")
            };
            let (number, url) = parsed.ok_or_else(|| usage("this is not N=URL"))?;
            relays.insert(number, url.map_err(|error| usage(&error.to_string()))?);
        }
        Ok(Means {
            radio: Radio::parse(&self.radio, console::default_air)?,
            relays,
            ca_file: self.ca_file.clone(),
            patience: self.patience(),
        })
    }

    fn patience(&self) -> Option<Duration> {
        self.timeout.map(Duration::from_secs)
    }
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
        Command::Link { hybrid } => link::link(&hybrid, vault, voice),
        Command::Vault {
            command: VaultCommand::Init { name },
        } => unlock::init(vault, name, voice),
        Command::Vault {
            command: VaultCommand::Join { name },
        } => unlock::join(vault, name, voice),
        Command::Vault {
            command: VaultCommand::Status,
        } => unlock::vault_status(vault, voice),
        Command::Group {
            command: GroupCommand::Status,
        } => unlock::group_status(vault, voice),
    }
}
