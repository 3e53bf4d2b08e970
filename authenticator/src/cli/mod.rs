//! The command line of `handfast-authenticator`.

#[cfg(feature = "camera")]
mod camera;
mod clipboard;
mod codes;
mod compat;
mod doctor;
mod passkeys;
mod scan;
mod serve_ctap;
mod serving;
mod settings;
mod told;
mod unlock_with;
mod vault;

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use handfast_proto::hybrid::qr::ScannedInvitation;
use handfast_transport::radio::Role;
use handfast_transport::relay::RelayUrl;
use rand_core::OsRng;
use serde_json::json;
use tokio::runtime::Runtime;
use zeroize::Zeroizing;

use self::codes::Codes;
use crate::console::{self, Failure, Secrets, group_json, group_words};
use crate::engine::{Authenticator, Conclusion};
use crate::group;
use crate::home::Home;
use crate::phone::{Approval, Asking, Input, Phone, Typed, Voice, be_reader};
use crate::vault::Vault;
use serving::{Means, Serving};

/// The phone side of FIDO Cross-Device Authentication: it holds passkeys in an encrypted vault,
/// answers the QR codes of computers nearby, asks you, and signs.
#[derive(Debug, Parser)]
#[command(name = "handfast-authenticator", version, after_help = HELP)]
struct Arguments {
    /// The vault's folder [usually ~/.local/share/handfast/vault].
    #[arg(long, global = true, value_name = "DIR")]
    vault: Option<PathBuf>,
    /// Tell on standard error what goes on inside; -vv tells of every message.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

const HELP: &str = "\
The pass phrase is asked for, or read from the file that HANDFAST_PASSPHRASE_FILE names, or spared by \
what unlock-with sets up; a new one likewise from HANDFAST_NEW_PASSPHRASE_FILE, the PIN from \
HANDFAST_PIN_FILE, the pass phrase of a document from HANDFAST_EXPORT_PASSPHRASE_FILE, and that of a backup \
from HANDFAST_BACKUP_PASSPHRASE_FILE, if it is not the vault's. HANDFAST_HOME moves vault, device \
store and settings into one folder.

What run, scan and doctor are not told by options they look up in ~/.config/handfast/settings: lines of NAME = \
VALUE, with a name of adapter, ca-file, channel, radio, relay and tunnel-domain.

Exit codes: 0 ok, 1 failure, 2 usage, 3 refused by the user, 4 timed out, 5 Bluetooth unavailable, \
6 relay unreachable.";

/// How often it is looked whether somebody typed something.
const LOOK_EVERY: Duration = Duration::from_millis(200);

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
    Run {
        #[command(flatten)]
        serving: Serving,
        /// After how long without a code the vault is locked again; 0 is never.
        #[arg(long, value_name = "MINUTES", default_value = "15", value_parser = codes::parse_minutes)]
        lock_after: codes::Minutes,
    },
    /// Answer one QR code.
    Scan(scan::Scanning),
    /// Read a picture, as a process of its own.
    #[command(hide = true)]
    ReadPicture,
    /// Read a camera, as a process of its own.
    #[cfg(feature = "camera")]
    #[command(hide = true)]
    ReadCamera { device: Option<PathBuf> },
    /// The trust group of this device.
    Group {
        #[command(subcommand)]
        command: GroupCommand,
    },
    /// The passkeys in the vault.
    Passkeys {
        #[command(subcommand)]
        command: passkeys::PasskeysCommand,
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
        #[command(flatten)]
        compat: compat::Compat,
    },
    /// The vault itself: its pass phrase, its key, backups.
    Vault {
        #[command(subcommand)]
        command: vault::VaultCommand,
    },
    /// Set a new PIN for this device. The pass phrase is needed.
    Pin,
    /// Choose what unlocks the vault on this device besides the pass phrase, which is needed for it.
    UnlockWith {
        #[command(subcommand)]
        way: unlock_with::Way,
    },
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

/// The owner at standard input, asked for secrets.
struct AtTerminal<'a>(&'a Mutex<Input>, Voice);

impl Secrets for AtTerminal<'_> {
    fn ask(&mut self, question: &str) -> Option<Zeroizing<String>> {
        let mut input = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let _silence = input.silence();
        input.forget_typed();
        match self.1 {
            Voice::Json => self
                .1
                .say("", json!({"event": "asking", "question": question})),
            Voice::Words => console::put_question(question),
        }
        match input.secret(None, &AtomicBool::new(false)) {
            Typed::Line(line) => Some(line),
            _ => None,
        }
    }

    fn say(&mut self, words: &str) {
        self.1.say(words, json!({"event": "note", "text": words}));
    }

    fn propose(&mut self, words: &str) {
        console::tell(&format!("{}\n\n    {words}\n", console::PROPOSAL));
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
        Command::Run { serving, .. } => serving.voice(),
        Command::Scan(scanning) => scanning.serving.voice(),
        _ => Voice::Words,
    };
    console::start_log(arguments.verbose, voice == Voice::Json);
    console::keep_memory_private();
    let stays = matches!(&arguments.command, Command::Scan(scanning) if scanning.stay);
    let code = match run(arguments, &input) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            told::tell(&failure, voice);
            ExitCode::from(failure.code())
        }
    };
    if stays {
        scan::stay(&input);
    }
    code
}

fn run(arguments: Arguments, input: &Arc<Mutex<Input>>) -> Result<(), Failure> {
    let home = console::home(arguments.vault)?;
    let mut secrets = AtTerminal(input, Voice::Words);
    match arguments.command {
        Command::Init { name, for_tests } => init(&home, name, for_tests, &mut secrets),
        Command::Run {
            serving,
            lock_after,
        } => serve(&home, &serving, Codes::Many { lock_after }, input),
        Command::Scan(scanning) => {
            let code = scanning.code(input)?;
            serve(&home, &scanning.serving, Codes::One(code), input)
        }
        Command::ReadPicture => be_reader().map_err(|error| Failure::new(error.to_string())),
        #[cfg(feature = "camera")]
        Command::ReadCamera { device } => {
            crate::phone::be_watcher(device).map_err(|error| Failure::new(error.to_string()))
        }
        Command::Group {
            command: GroupCommand::Status { json },
        } => {
            let authenticator = console::open(&home, &mut secrets)?;
            let status = group::status(&authenticator.device);
            let none = "This device is in no trust group yet: it makes one with its first passkey.";
            match json {
                true => print(&group_json(&status).to_string()),
                false => print_words(&group_words(&status, none)),
            }
            Ok(())
        }
        Command::Passkeys { command } => passkeys::passkeys(&home, command, input),
        Command::UnlockWith { way } => unlock_with::run(&home, way, &mut secrets),
        Command::Vault { command } => vault::vault(&home, command, &mut secrets),
        Command::Doctor(checkup) => doctor::doctor(home, checkup),
        Command::ServeCtap { socket, compat } => {
            serve_ctap::serve_ctap(&home, &socket, &compat, &mut secrets)
        }
        Command::Pin => {
            let mut authenticator = console::open(&home, &mut secrets)?;
            let pin = console::new_pin(&mut secrets)?
                .ok_or_else(|| Failure::usage("No PIN was given"))?;
            let stretching = console::stretching(authenticator.vault.is_for_tests());
            authenticator.device.set_pin(&pin, stretching, &mut OsRng)?;
            print_words("The PIN is set.");
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
        console::tell(console::NO_PIN);
    }
    console::tell(&format!(
        "The vault is in {}. Answer codes with: handfast-authenticator run",
        home.vault.display()
    ));
    Ok(())
}

/// Prints what a program may read, as it is.
fn print(text: &str) {
    // Who closed our output does not want to have it.
    let _ = writeln!(stdout(), "{text}");
}

/// Prints sentences.
fn print_words(words: &str) {
    let _ = console::print(words);
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
    let mut input = input.lock().unwrap_or_else(PoisonError::into_inner);
    input.forget_typed();
    console::put_question(console::POWER_ON);
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
    codes: Codes<String>,
    input: &Arc<Mutex<Input>>,
) -> Result<(), Failure> {
    let voice = serving.voice();
    let Means { radio, relay, ble } = serving.means()?;
    let codes = match codes {
        Codes::One(code) => Codes::One(ScannedInvitation::parse(&code)?),
        Codes::Many { lock_after } => Codes::Many { lock_after },
    };
    let runtime = runtime()?;
    // Said at once: nobody should unlock the vault to learn that Bluetooth is not there.
    let may_power_on = || may_power_on(voice, input);
    runtime.block_on(console::radio_ready(&radio, Role::Advertise, may_power_on))?;
    let pin = console::pin_file()?;
    let open = || {
        let mut authenticator = console::open(home, &mut AtTerminal(input, voice))?;
        serving.compat.set(&mut authenticator);
        Ok::<_, Failure>(authenticator)
    };
    let authenticator = open()?;
    told::name_damaged(&authenticator.vault, voice);
    allow(serving.approve, &authenticator)?;
    let mut phone = Phone {
        authenticator: Some(authenticator),
        radio,
        relay,
        ble,
        patience: serving.patience(),
    };
    let desktop = serving.desktop();
    let ask = |withdrawn| Asking {
        voice,
        approval: serving.approve,
        input: Arc::clone(input),
        pin: pin.clone(),
        patience: serving.patience(),
        desktop: desktop.clone(),
        withdrawn,
    };
    let lock_after = match codes {
        Codes::Many { lock_after } => lock_after,
        Codes::One(invitation) => {
            let enough = something_else(Arc::clone(input));
            return runtime.block_on(answer(&mut phone, invitation, voice, &ask, enough));
        }
    };
    voice.say(
        "Ready. Paste a FIDO:/ address or the path of a picture of a QR code (Ctrl-D ends).",
        json!({"event": "ready"}),
    );
    let desk = codes::Desk {
        voice,
        lock_after,
        next: &mut |patience| {
            let mut input = input.lock().unwrap_or_else(PoisonError::into_inner);
            input.code(patience)
        },
        unlock: &mut { open },
        answer: &mut |phone, line| {
            let invitation = scan::read_code(line)?;
            // It may have been switched off since the last code.
            runtime.block_on(async {
                console::radio_ready(&phone.radio, Role::Advertise, may_power_on).await?;
                let enough = something_else(Arc::clone(input));
                answer(phone, invitation, voice, &ask, enough).await
            })
        },
    };
    codes::answer_all(&mut phone, desk);
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
    console::tell("Everything is approved without asking: this is a vault for tests.");
    Ok(())
}

/// Waits until the person at the terminal wants something else than the code that is being answered.
async fn something_else(input: Arc<Mutex<Input>>) {
    let begin = Instant::now();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        // Who reads it is about to answer a question.
        let input = input.try_lock();
        if input.is_ok_and(|mut input| input.wants_something_else(begin.elapsed())) {
            return;
        }
    }
}

async fn answer(
    phone: &mut Phone,
    invitation: ScannedInvitation,
    voice: Voice,
    ask: &impl Fn(Arc<AtomicBool>) -> Asking,
    enough: impl Future<Output = ()> + 'static,
) -> Result<(), Failure> {
    match phone.serve(invitation, voice, ask, enough).await? {
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
            voice.say("", told::refusal(status));
            Err(told::refused(status))
        }
    }
}
