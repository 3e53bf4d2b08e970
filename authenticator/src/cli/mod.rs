//! The command line of `handfast-authenticator`.

mod failure;
mod setup;

use std::ffi::OsString;
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use clap::{Args, Parser, Subcommand};
use handfast_proto::hybrid::qr::ScannedInvitation;
use handfast_proto::hybrid::tunnel::TunnelDomain;
use handfast_transport::radio::Radio;
use handfast_transport::relay::RelayUrl;
use handfast_transport::tls::TlsTrust;
use rand_core::OsRng;
use serde_json::json;

pub(crate) use failure::Failure;

use crate::group;
use crate::passphrase::Stretching;
use crate::phone::{Approval, Asking, Input, Outcome, Phone, Relay, Typed, Voice, read_picture};

/// The phone side of FIDO Cross-Device Authentication: it holds passkeys in an encrypted vault,
/// answers the QR codes of computers nearby, asks you, and signs.
#[derive(Debug, Parser)]
#[command(name = "handfast-authenticator", version, after_help = HELP)]
struct Arguments {
    /// The vault's folder, instead of the usual one.
    #[arg(long, global = true, value_name = "DIR")]
    vault: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

const HELP: &str = "\
The pass phrase is asked for, or read from the file that HANDFAST_PASSPHRASE_FILE names; the PIN \
likewise from HANDFAST_PIN_FILE. HANDFAST_HOME moves vault and device store into one folder.

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
    /// Set a new PIN for this device. The pass phrase is needed.
    Pin,
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
    /// The relay through which computers are met: wss://HOST[:PORT].
    #[arg(long, value_name = "URL")]
    relay: String,
    /// The number by which computers know that relay.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(256..))]
    tunnel_domain: u16,
    /// bluez, simulated, or simulated=DIR.
    #[arg(long, default_value = "bluez")]
    radio: String,
    /// An additional trust anchor for the relay's certificate.
    #[arg(long, value_name = "PEM")]
    ca_file: Option<PathBuf>,
    /// Whether you are asked. 'always' works only with a vault made for tests.
    #[arg(long, value_enum, default_value = "ask")]
    approve: Approval,
    /// Speak JSON, a line an event, on standard output.
    #[arg(long)]
    json: bool,
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
        Command::Run(serving) | Command::Scan { serving, .. } if serving.json => Voice::Json,
        _ => Voice::Words,
    };
    match run(arguments, &input) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell(voice);
            ExitCode::from(failure.code)
        }
    }
}

fn run(arguments: Arguments, input: &Arc<Mutex<Input>>) -> Result<(), Failure> {
    let home = setup::home(arguments.vault)?;
    match arguments.command {
        Command::Init { name, for_tests } => setup::init(&home, name, for_tests, input),
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
            let authenticator = setup::open(&home, input)?;
            let status = group::status(&authenticator.device);
            print(&if json {
                group_json(&status).to_string()
            } else {
                group_words(&status)
            });
            Ok(())
        }
        Command::Passkeys {
            command: PasskeysCommand::List { json },
        } => {
            let authenticator = setup::open(&home, input)?;
            print(&setup::passkeys(&authenticator.vault, json));
            Ok(())
        }
        Command::Pin => {
            let mut authenticator = setup::open(&home, input)?;
            let pin = setup::new_pin(input)?.ok_or_else(|| Failure::usage("No PIN was given"))?;
            let stretching = match authenticator.vault.is_for_tests() {
                true => Stretching::LEAST,
                false => Stretching::DEFAULT,
            };
            authenticator.device.set_pin(&pin, stretching, &mut OsRng)?;
            print("The PIN is set.");
            Ok(())
        }
    }
}

fn print(text: &str) {
    let _ = writeln!(stdout(), "{text}");
}

fn next_line(input: &Mutex<Input>) -> Option<String> {
    let mut input = input.lock().unwrap_or_else(PoisonError::into_inner);
    match input.line(None, &AtomicBool::new(false)) {
        Typed::Line(line) => Some(line),
        _ => None,
    }
}

/// Answers one code, or all that come.
fn serve(
    home: &crate::home::Home,
    serving: &Serving,
    code: Option<String>,
    input: &Arc<Mutex<Input>>,
) -> Result<(), Failure> {
    let voice = if serving.json {
        Voice::Json
    } else {
        Voice::Words
    };
    let radio = Radio::parse(&serving.radio, setup::default_air)?;
    if radio == Radio::Bluez {
        // Said at once: nobody should unlock the vault to learn this.
        return Err(handfast_transport::radio::RadioError::NoBluetooth.into());
    }
    let url = RelayUrl::parse(&serving.relay)
        .map_err(|error| Failure::usage(format!("--relay {}: {error}", serving.relay)))?;
    let invitation = code.as_deref().map(ScannedInvitation::parse).transpose()?;
    let trust = TlsTrust::new(serving.ca_file.as_deref())?;
    let authenticator = setup::open(home, input)?;
    setup::name_damaged(&authenticator.vault, voice);
    if serving.approve == Approval::Always {
        if !authenticator.vault.is_for_tests() {
            return Err(Failure::usage("--approve always works only with a vault made for tests")
                .with_hint("Leave it out, or make a vault with: handfast-authenticator init --for-tests"));
        }
        let _ = writeln!(
            std::io::stderr(),
            "Everything is approved without asking: this is a vault for tests."
        );
    }
    let mut phone = Phone {
        authenticator: Some(authenticator),
        radio,
        relay: Relay {
            url,
            domain: TunnelDomain(serving.tunnel_domain),
        },
        trust,
    };
    let pin = setup::pin_file()?;
    let ask = |withdrawn| Asking {
        voice,
        approval: serving.approve,
        input: Arc::clone(input),
        pin: pin.clone(),
        withdrawn,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("The program could not start: {error}")))?;
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
        let answered = read_code(&line)
            .and_then(|invitation| runtime.block_on(answer(&mut phone, invitation, voice, &ask)));
        if let Err(failure) = answered {
            failure.tell(voice);
        }
    }
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
        Outcome::Approved => {
            voice.say("Done.", json!({"event": "done", "outcome": "approved"}));
            Ok(())
        }
        Outcome::Refused(status) => {
            let status = handfast_proto::ctap2::Status(status);
            voice.say(
                "",
                json!({"event": "done", "outcome": "refused", "status": status.0}),
            );
            Err(Failure::refused(status))
        }
    }
}

fn group_json(status: &group::Status) -> serde_json::Value {
    let members: Vec<_> = status
        .members
        .iter()
        .map(|member| {
            json!({
                "device": member.device.to_string(),
                "name": member.name.as_str(),
                "method": member.method.map_or("create", |method| method.name()),
                "since": member.since,
                "this": member.is_this,
            })
        })
        .collect();
    json!({
        "group": status.group.map(|group| group.to_string()),
        "members": members,
        "keys": status.keys,
    })
}

fn group_words(status: &group::Status) -> String {
    let Some(group) = status.group else {
        return "This device is in no trust group yet: it makes one with its first passkey.".into();
    };
    let mut text = format!("Trust group {group}, {} keys", status.keys);
    for member in &status.members {
        let how = match member.method {
            None => "made the group",
            Some(handfast_proto::trust::Method::Simulated) => {
                "joined over SIMULATED radio, which proves nothing"
            }
            Some(_) => "joined nearby",
        };
        let this = if member.is_this { " (this device)" } else { "" };
        text.push_str(&format!("\n  {}{this}: {how}", member.name));
    }
    text
}
