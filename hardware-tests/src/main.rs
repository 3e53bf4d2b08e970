//! Ceremonies of the real programs over a real Bluetooth stack: one adapter of this machine is the
//! computer's, another the phone's. Called with the name of one of the programs as its first argument
//! it *is* that program, so that this one file is all that a virtual machine needs.

mod ble;
mod ceremonies;
mod faults;
mod rig;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use handfast_demo::cli::run_named;
use handfast_proto::hybrid::DataChannel;

use rig::{Fault, Rig};

/// Plays ceremonies between two Bluetooth adapters of this machine, and tells which of them passed.
#[derive(Debug, Parser)]
#[command(
    name = "handfast-hardware-tests",
    version,
    after_help = "Exit codes: 0 all passed, 1 some failed, 2 usage.\n\
                  Both adapters must be on, and no other program should use them."
)]
struct Arguments {
    /// The adapter that hears adverts.
    #[arg(long, value_name = "NAME", default_value = "hci0")]
    client_adapter: String,
    /// The adapter that sends them.
    #[arg(long, value_name = "NAME", default_value = "hci1")]
    phone_adapter: String,
    /// Only tests with this in their name.
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// The adapters send no extended adverts: what needs Bluetooth connections is skipped.
    #[arg(long)]
    legacy: bool,
    /// How many ceremonies are timed, of each kind.
    #[arg(long, value_name = "N", default_value = "20")]
    runs: usize,
    /// The shell command that kills the Bluetooth service the hard way and starts it again.
    #[arg(
        long,
        value_name = "COMMAND",
        default_value = "systemctl kill --signal=KILL bluetooth && systemctl restart bluetooth"
    )]
    restart: String,
}

/// A test, named by what it claims.
type Test = (&'static str, fn(&Rig) -> Result<(), Fault>);

/// Tests whose phone takes Bluetooth connections, which an extended advert tells.
const EXTENDED: &[Test] = &[
    (
        "by Bluetooth alone a passkey is made and used, without any relay",
        ble::alone,
    ),
    (
        "a Bluetooth connection that fails is replaced by the relay",
        ble::fallback,
    ),
    (
        "an adapter that goes off ends a Bluetooth connection on both sides",
        ble::power,
    ),
];

const TESTS: &[Test] = &[
    (
        "a passkey is made and used over the air",
        ceremonies::register_and_sign_in,
    ),
    (
        "a link over the air counts as real, and its group takes no simulated one",
        ceremonies::link,
    ),
    (
        "foreign adverts all around change nothing",
        ceremonies::foreign_adverts,
    ),
    (
        "an advert that was recorded and sent again is ignored",
        ceremonies::replayed_advert,
    ),
    (
        "two ceremonies at once do not disturb each other",
        ceremonies::two_at_once,
    ),
    (
        "the computer's adapter goes off and on again in the middle",
        faults::client_power,
    ),
    (
        "the phone's adapter goes off and on again in the middle",
        faults::phone_power,
    ),
    (
        "an adapter that stays off is told on both sides",
        faults::power_stays_off,
    ),
    (
        "an adapter that is off is switched on by both sides",
        faults::power_off_at_start,
    ),
    (
        "the Bluetooth service is killed and comes back in the middle",
        faults::service_restarts,
    ),
];

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    run_named(&arguments).unwrap_or_else(|| test(arguments))
}

fn test(arguments: Vec<OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let rig = match Rig::start(
        &arguments.client_adapter,
        &arguments.phone_adapter,
        &arguments.restart,
    ) {
        Ok(rig) => rig,
        Err(fault) => {
            tell(&format!("The tests cannot begin: {fault}."));
            return ExitCode::FAILURE;
        }
    };
    let (passed, failed) = test_all(&rig, &arguments);
    tell(&format!("{passed} passed, {failed} failed"));
    match failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// Runs the tests that are wanted, and returns how many passed and failed.
fn test_all(rig: &Rig, arguments: &Arguments) -> (u32, u32) {
    let (mut passed, mut failed) = (0, 0);
    let mut ended = |name: &str, ended: Result<Option<String>, Fault>, begin: Instant| {
        let seconds = begin.elapsed().as_secs_f32();
        match ended {
            Ok(None) => {
                passed += 1;
                tell(&format!("passed  {name} ({seconds:.1} s)"));
            }
            Ok(Some(figures)) => tell(&figures),
            Err(fault) => {
                failed += 1;
                tell(&format!("FAILED  {name} ({seconds:.1} s)\n        {fault}"));
            }
        }
    };
    for (name, test) in TESTS.iter().chain(EXTENDED) {
        if !name.contains(&arguments.only) {
            continue;
        }
        if arguments.legacy && EXTENDED.iter().any(|(extended, _)| extended == name) {
            tell(&format!("skipped {name}: no extended adverts here"));
            continue;
        }
        let begin = Instant::now();
        // A test that failed may have left them off.
        let tested = rig
            .power(&rig.client, true)
            .and_then(|()| rig.power(&rig.phone, true))
            .and_then(|()| test(rig));
        ended(name, tested.map(|()| None), begin);
    }
    if arguments.only.is_empty() && arguments.runs > 0 {
        for way in [DataChannel::WebSocket, DataChannel::Ble] {
            if way == DataChannel::Ble && arguments.legacy {
                continue;
            }
            let begin = Instant::now();
            let figures = ceremonies::measure(rig, arguments.runs, way);
            ended("the timed ceremonies", figures.map(Some), begin);
        }
    }
    (passed, failed)
}

fn tell(words: &str) {
    // Who closed our output does not want to hear it.
    let _ = writeln!(std::io::stdout(), "{words}");
}
