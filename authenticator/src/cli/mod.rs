//! The command line of `handfast-authenticator`.

mod doctor;
mod serve_ctap;
mod told;
mod vault;

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write, stderr, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use handfast_proto::hybrid::qr::ScannedInvitation;
use handfast_proto::hybrid::tunnel::TunnelDomain;
use handfast_proto::hybrid::{DataChannel, DataChannels};
use handfast_transport::radio::{Radio, Role};
use handfast_transport::relay::RelayUrl;
use handfast_transport::tls::TlsTrust;
use rand_core::OsRng;
use serde_json::json;
use tokio::runtime::Runtime;
use zeroize::Zeroizing;

use crate::console::{self, Failure, Secrets, group_json, group_words};
use crate::engine::{Authenticator, Conclusion};
use crate::group;
use crate::home::Home;
use crate::phone::{Approval, Asking, Input, Phone, Relay, Typed, Voice, read_picture};
use crate::vault::Vault;

/// The phone side of FIDO Cross-Device Authentication: it holds passkeys in an encrypted vault,
/// answers the QR codes of computers nearby, asks you, and signs.
#[derive(Debug, Parser)]
#[command(name = "handfast-authenticator", version, after_help = HELP)]
struct Arguments {
    /// The vault's folder, instead of the usual one.
    #[arg(long, global = true, value_name = "DIR")]
    vault: Option<PathBuf>,
    /// Tell on standard error what goes on inside; -vv tells of every message.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

const HELP: &str = "\
The pass phrase is asked for, or read from the file that HANDFAST_PASSPHRASE_FILE names; the PIN \
likewise from HANDFAST_PIN_FILE, and a new pass phrase from HANDFAST_NEW_PASSPHRASE_FILE. HANDFAST_HOME moves vault and device store into one folder.

Exit codes: 0 ok, 1 failure, 2 usage, 3 refused by the user, 4 timed out, 5 Bluetooth unavailable, \
6 relay unreachable.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a vault and set up this device.
    Init {
        /// What this device is called in lists; its host name if left out.
        #[arg(long)]
        name: Option<String>,
        /// Make a vault for tests only: it allows --approve always, and stretches its pass phrase
        /// less.
        #[arg(long)]
        for_tests: bool,
    },
    /// Answer QR codes, one after another: FIDO:/ addresses or paths of pictures, a line each.
    Run(Serving),
    /// Answer one QR code.
    Scan {
        /// The code's FIDO:/ address, or - to read it from standard input.
        #[arg(required_unless_present = "image", conflicts_with = "image")]
        address: Option<String>,
        /// A picture with the code in it.
        #[arg(long, value_name = "FILE")]
        image: Option<PathBuf>,
        #[command(flatten)]
        serving: Serving,
    },
    /// The trust group of this device.
    Group {
        #[command(subcommand)]
        command: GroupCommand,
    },
    /// The passkeys in the vault.
    Passkeys {
        #[command(subcommand)]
        command: PasskeysCommand,
    },
    /// Answer CTAP2 requests of a test tool on a Unix socket, with a vault made for tests. Everything
    /// is granted without asking.
    ///
    /// Both ways a message is its length in four bytes, the most significant first, then the bytes:
    /// command and CBOR, status and CBOR. authenticatorReset deletes all passkeys.
    ServeCtap {
        /// The socket; one that nobody listens to any more is replaced.
        #[arg(value_name = "unix:PATH", value_parser = serve_ctap::parse_socket)]
        socket: PathBuf,
    },
    /// The vault itself: its pass phrase, its key, backups.
    Vault {
        #[command(subcommand)]
        command: vault::VaultCommand,
    },
    /// Set a new PIN for this device. The pass phrase is needed.
    Pin,
    /// Look what may be wrong with Bluetooth, relay and vault, and say what to do.
    Doctor(doctor::Checkup),
}

#[derive(Debug, Subcommand)]
enum GroupCommand {
    /// Who is in it, and how they came in.
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
enum PasskeysCommand {
    /// List them.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args, Debug)]
struct Serving {
    /// The relay through which computers are met: wss://HOST[:PORT]. Needed but for --channel ble.
    #[arg(long, value_name = "URL", requires = "tunnel_domain")]
    relay: Option<String>,
    /// The number by which computers know that relay.
    #[arg(long, value_name = "N", requires = "relay", value_parser = clap::value_parser!(u16).range(256..))]
    tunnel_domain: Option<u16>,
    /// On which ways computers are talked to: relay, ble (Bluetooth itself, without any network), or
    /// any, which is what the computer offers of both.
    #[arg(long, value_name = "WAY", default_value = "any", value_parser = console::channels)]
    channel: DataChannels,
    /// bluez, simulated, or simulated=DIR.
    #[arg(long, default_value = "bluez")]
    radio: String,
    /// The Bluetooth adapter to advertise with, such as hci0 [usually the first that is on].
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,
    /// An additional trust anchor for the relay's certificate.
    #[arg(long, value_name = "PEM")]
    ca_file: Option<PathBuf>,
    /// Whether you are asked. 'always' works only with a vault made for tests.
    #[arg(long, value_enum, default_value = "ask")]
    approve: Approval,
    /// How long a computer may take to hear this device and to say what it wants, and you to answer
    /// a question.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout: u64,
    /// Speak JSON, a line an event, on standard output.
    #[arg(long)]
    json: bool,
}

impl Serving {
    /// Returns the relay, if it is used.
    fn relay(&self) -> Result<Option<Relay>, Failure> {
        if !self.channel.contain(DataChannel::WebSocket) {
            return Ok(None);
        }
        let (Some(url), Some(domain)) = (&self.relay, self.tunnel_domain) else {
            return Err(Failure::usage("there is no relay to meet computers at")
                .with_hint("Give --relay and --tunnel-domain, or --channel ble."));
        };
        Ok(Some(Relay {
            url: relay_url(url)?,
            domain: TunnelDomain(domain),
            trust: TlsTrust::new(self.ca_file.as_deref())?,
        }))
    }

    fn voice(&self) -> Voice {
        match self.json {
            true => Voice::Json,
            false => Voice::Words,
        }
    }
}

/// The owner at standard input, asked for secrets.
struct AtTerminal<'a>(&'a Mutex<Input>);

impl Secrets for AtTerminal<'_> {
    fn ask(&mut self, question: &str) -> Option<Zeroizing<String>> {
        let _silence = console::Silence::begin(std::io::stdin());
        let _ = write!(stderr(), "{question}").and_then(|()| stderr().flush());
        let mut input = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match input.secret(None, &AtomicBool::new(false)) {
            Typed::Line(line) => Some(line),
            _ => None,
        }
    }

    fn propose(&mut self, words: &str) {
        let _ = writeln!(stderr(), "{}\n\n    {words}\n", console::PROPOSAL);
    }
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
    let input = Arc::new(Mutex::new(Input::default()));
    let voice = match &arguments.command {
        Command::Run(serving) | Command::Scan { serving, .. } => serving.voice(),
        _ => Voice::Words,
    };
    console::start_log(arguments.verbose, voice == Voice::Json);
    match run(arguments, &input) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            told::tell(&failure, voice);
            ExitCode::from(failure.code())
        }
    }
}

fn run(arguments: Arguments, input: &Arc<Mutex<Input>>) -> Result<(), Failure> {
    let home = console::home(arguments.vault)?;
    let mut secrets = AtTerminal(input);
    match arguments.command {
        Command::Init { name, for_tests } => init(&home, name, for_tests, &mut secrets),
        Command::Run(serving) => serve(&home, &serving, None, input),
        Command::Scan {
            address,
            image,
            serving,
        } => {
            let code = match (address, image) {
                (_, Some(image)) => read_picture(&image)?,
                (Some(address), None) if address == "-" => match next_line(input) {
                    Some(line) => line,
                    None => return Err(Failure::usage("Nothing came on standard input")),
                },
                (address, None) => address.unwrap_or_default(),
            };
            serve(&home, &serving, Some(code), input)
        }
        Command::Group {
            command: GroupCommand::Status { json },
        } => {
            let authenticator = console::open(&home, &mut secrets)?;
            let status = group::status(&authenticator.device);
            print(&if json {
                group_json(&status).to_string()
            } else {
                group_words(
                    &status,
                    "This device is in no trust group yet: it makes one with its first passkey.",
                )
            });
            Ok(())
        }
        Command::Passkeys {
            command: PasskeysCommand::List { json },
        } => {
            let authenticator = console::open(&home, &mut secrets)?;
            print(&told::passkeys(&authenticator.vault, json));
            Ok(())
        }
        Command::Vault { command } => vault::vault(&home, command, &mut secrets),
        Command::Doctor(checkup) => doctor::doctor(home, checkup),
        Command::ServeCtap { socket } => serve_ctap::serve_ctap(&home, &socket, &mut secrets),
        Command::Pin => {
            let mut authenticator = console::open(&home, &mut secrets)?;
            let pin = console::new_pin(&mut secrets)?
                .ok_or_else(|| Failure::usage("No PIN was given"))?;
            let stretching = console::stretching(authenticator.vault.is_for_tests());
            authenticator.device.set_pin(&pin, stretching, &mut OsRng)?;
            print("The PIN is set.");
            Ok(())
        }
    }
}

/// Makes a vault, or takes up one that is here already.
fn init(
    home: &Home,
    name: Option<String>,
    for_tests: bool,
    secrets: &mut AtTerminal<'_>,
) -> Result<(), Failure> {
    let authenticator = match Vault::exists(&home.vault) {
        true => console::join(home, name, secrets)?,
        false => console::init(home, name, for_tests, secrets)?,
    };
    if !authenticator.device.has_pin() {
        let _ = writeln!(stderr(), "{}", console::NO_PIN);
    }
    let _ = writeln!(stderr(), "The vault is in {}.", home.vault.display());
    Ok(())
}

fn print(text: &str) {
    let _ = writeln!(stdout(), "{text}");
}

fn next_line(input: &Mutex<Input>) -> Option<String> {
    let mut input = input.lock().unwrap_or_else(PoisonError::into_inner);
    match input.line(None, &AtomicBool::new(false)) {
        Typed::Line(line) => Some(line.trim().to_owned()),
        _ => None,
    }
}

/// Whether Bluetooth may be switched on: asked where somebody can be, else said.
fn may_power_on(voice: Voice, input: &Mutex<Input>) -> bool {
    if voice == Voice::Json || !std::io::stdin().is_terminal() {
        voice.say(console::POWERING_ON, json!({"event": "powering-on"}));
        return true;
    }
    let _ = write!(stderr(), "{}", console::POWER_ON).and_then(|()| stderr().flush());
    let mut input = input.lock().unwrap_or_else(PoisonError::into_inner);
    match input.line(None, &AtomicBool::new(false)) {
        Typed::Line(line) => {
            let line = line.trim().to_ascii_lowercase();
            matches!(line.as_str(), "" | "y" | "yes")
        }
        _ => false,
    }
}

fn relay_url(url: &str) -> Result<RelayUrl, Failure> {
    RelayUrl::parse(url).map_err(|error| Failure::usage(format!("--relay {url}: {error}")))
}

fn runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("The program could not start: {error}")))
}

/// Answers one code, or all that come.
fn serve(
    home: &Home,
    serving: &Serving,
    code: Option<String>,
    input: &Arc<Mutex<Input>>,
) -> Result<(), Failure> {
    let voice = serving.voice();
    let adapter = serving.adapter.as_deref();
    let radio = Radio::parse(&serving.radio, adapter, console::default_air)?;
    let relay = serving.relay()?;
    let invitation = code.as_deref().map(ScannedInvitation::parse).transpose()?;
    let runtime = runtime()?;
    // Said at once: nobody should unlock the vault to learn that Bluetooth is not there.
    let may_power_on = || may_power_on(voice, input);
    runtime.block_on(console::radio_ready(&radio, Role::Advertise, may_power_on))?;
    let pin = console::pin_file()?;
    let authenticator = console::open(home, &mut AtTerminal(input))?;
    told::name_damaged(&authenticator.vault, voice);
    allow(serving.approve, &authenticator)?;
    let mut phone = Phone {
        authenticator: Some(authenticator),
        radio,
        relay,
        ble: serving.channel.contain(DataChannel::Ble),
        patience: Duration::from_secs(serving.timeout),
    };
    let ask = |withdrawn| Asking {
        voice,
        approval: serving.approve,
        input: Arc::clone(input),
        pin: pin.clone(),
        patience: Duration::from_secs(serving.timeout),
        withdrawn,
    };
    if let Some(invitation) = invitation {
        return runtime.block_on(answer(&mut phone, invitation, voice, &ask));
    }
    voice.say(
        "Ready. Paste a FIDO:/ address or the path of a picture of a QR code (Ctrl-D ends).",
        json!({"event": "ready"}),
    );
    while let Some(line) = next_line(input) {
        if line.is_empty() {
            continue;
        }
        let answered = read_code(&line).and_then(|invitation| {
            // It may have been switched off since the last code.
            runtime.block_on(async {
                console::radio_ready(&phone.radio, Role::Advertise, may_power_on).await?;
                answer(&mut phone, invitation, voice, &ask).await
            })
        });
        if let Err(failure) = answered {
            told::tell(&failure, voice);
        }
    }
    Ok(())
}

/// Approval without a person is only for vaults that were made for it.
fn allow(approval: Approval, authenticator: &Authenticator) -> Result<(), Failure> {
    if approval == Approval::Ask {
        return Ok(());
    }
    if !authenticator.vault.is_for_tests() {
        return Err(
            Failure::usage("--approve always works only with a vault made for tests").with_hint(
                "Leave it out, or make a vault with: handfast-authenticator init --for-tests",
            ),
        );
    }
    let _ = writeln!(
        stderr(),
        "Everything is approved without asking: this is a vault for tests."
    );
    Ok(())
}

/// Reads a line of `run`: a code's address, or the path of its picture.
fn read_code(line: &str) -> Result<ScannedInvitation, Failure> {
    let path = PathBuf::from(line);
    if path.is_file() {
        return Ok(ScannedInvitation::parse(&read_picture(&path)?)?);
    }
    Ok(ScannedInvitation::parse(line)?)
}

async fn answer(
    phone: &mut Phone,
    invitation: ScannedInvitation,
    voice: Voice,
    ask: &impl Fn(Arc<AtomicBool>) -> Asking,
) -> Result<(), Failure> {
    match phone.serve(invitation, voice, ask).await? {
        Conclusion::Done => {
            voice.say("Done.", json!({"event": "done", "outcome": "approved"}));
            Ok(())
        }
        Conclusion::Nothing { .. } => {
            voice.say("", json!({"event": "done", "outcome": "nothing"}));
            Err(Failure::new("The computer left before anything was done")
                .with_hint("Nothing was signed; show a new code to try again."))
        }
        Conclusion::Refused(status) => {
            voice.say(
                "",
                json!({"event": "done", "outcome": "refused", "status": status.0}),
            );
            Err(told::refused(status))
        }
    }
}
