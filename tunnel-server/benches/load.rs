//! Load on a relay: what it costs in CPU time and memory.
//!
//! `cargo bench -p handfast-relay --bench load -- [SCENARIO] [OPTIONS]` starts the relay's binary,
//! lets tunnels pass through it, and prints what Linux says of the process. It is CPU time and not
//! wall time, because other programs of the machine, and this one too, spoil the latter. The floor
//! is a bare TCP forwarder in the same runtime, measured by turns with the relay.
//!
//! All peers have addresses of their own in 127.0.0.0/16.
//!
//! Nothing is asserted: figures stand beside what they should reach. A tunnel that fails ends the
//! run. As part of `cargo test` every scenario is run with little load.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench says what it measured"
)]

#[path = "load/abuse.rs"]
mod abuse;
#[path = "load/churn.rs"]
mod churn;
#[path = "load/floor.rs"]
mod floor;
#[path = "load/memory.rs"]
mod memory;
#[path = "load/pairs.rs"]
mod pairs;
#[path = "load/process.rs"]
mod process;
#[path = "load/report.rs"]
mod report;
#[path = "load/socket.rs"]
mod socket;
#[path = "load/tls.rs"]
mod tls;
#[path = "load/tunnel.rs"]
mod tunnel;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::report::Figure;

/// What is returned where an error only ends the run.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// How long a step of one tunnel may take before it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Measures what load costs a relay.
#[derive(Debug, Parser)]
#[command(name = "load")]
struct Arguments {
    /// What to measure.
    #[arg(value_enum, default_value = "all")]
    scenario: Scenario,
    /// Another relay's binary instead of this workspace's, by its whole path, because cargo runs
    /// this elsewhere. Given several times, they are compared.
    #[arg(long, value_name = "PATH")]
    relay: Vec<PathBuf>,
    /// Messages to pass [pairs].
    #[arg(long, default_value_t = 1_000_000)]
    messages: u32,
    /// Tunnels to open [churn, tls: 5000; idle: 10000; leak: 100000].
    #[arg(long)]
    tunnels: Option<u32>,
    /// Threads that make the load. With one, what a message costs the relay differs by a fifth from
    /// run to run.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Print JSON and not a table.
    #[arg(long)]
    json: bool,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Scenario {
    /// Many tunnels in which messages go to and fro.
    Pairs,
    /// Tunnels that come and go.
    Churn,
    /// Tunnels in which nothing happens.
    Idle,
    /// Very many tunnels one after the other.
    Leak,
    /// A healthy tunnel while others abuse the relay.
    Abuse,
    /// Tunnels that come and go, with TLS.
    Tls,
    /// All of these.
    All,
}

/// How much load to make, and on what.
pub(crate) struct Plan {
    relays: Vec<PathBuf>,
    /// Messages in `pairs`, and the tunnels that they pass through.
    messages: u32,
    pairs: u32,
    /// Tunnels in the other scenarios.
    churn: u32,
    idle: u32,
    leak: u32,
    tls: u32,
    /// Who abuses, and how long in each way.
    abusers: u32,
    phase: Duration,
    /// Time between two looks at memory that may still change.
    look: Duration,
    /// How long it must not have changed to count as settled, while tunnels are open and when they
    /// are closed: an allocator gives memory back some time after it is free.
    rest: Duration,
    long_rest: Duration,
    /// Whether to say how far it is.
    quiet: bool,
}

impl Plan {
    fn new(arguments: &Arguments) -> Self {
        let tunnels = |usual| arguments.tunnels.unwrap_or(usual);
        Self {
            messages: arguments.messages,
            pairs: 64,
            churn: tunnels(5_000),
            idle: tunnels(10_000),
            leak: tunnels(100_000),
            tls: tunnels(5_000),
            abusers: 500,
            phase: Duration::from_secs(5),
            look: Duration::from_millis(250),
            rest: Duration::from_secs(1),
            long_rest: Duration::from_secs(6),
            quiet: false,
            relays: if arguments.relay.is_empty() {
                vec![own_relay()]
            } else {
                arguments.relay.clone()
            },
        }
    }

    /// So little that it only shows that everything works.
    fn smoke() -> Self {
        Self {
            relays: vec![own_relay()],
            messages: 64,
            pairs: 4,
            churn: 8,
            idle: 8,
            leak: 20,
            tls: 4,
            abusers: 20,
            phase: Duration::from_millis(100),
            look: Duration::from_millis(5),
            rest: Duration::from_millis(20),
            long_rest: Duration::from_millis(20),
            quiet: true,
        }
    }

    /// Says on standard error how far it is.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }
}

fn own_relay() -> PathBuf {
    env!("CARGO_BIN_EXE_handfast-relay").into()
}

fn main() -> ExitCode {
    let given = |wanted: &str| std::env::args().any(|argument| argument == wanted);
    let outcome = if given(floor::FLOOR_ARGUMENT) {
        floor::forward()
    } else if !given("--bench") {
        // `cargo test` runs benches without that, and with arguments that are for tests.
        smoke(given("--list"))
    } else {
        measure(&Arguments::parse())
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("The run failed: {error}.");
            ExitCode::FAILURE
        }
    }
}

fn smoke(only_list: bool) -> Outcome<()> {
    if only_list || !cfg!(target_os = "linux") {
        return Ok(());
    }
    runtime(1)?.block_on(run(Scenario::All, &Plan::smoke(), |_| {}))
}

fn measure(arguments: &Arguments) -> Outcome<()> {
    if !cfg!(target_os = "linux") {
        return Err("what a process uses is read from /proc, which only Linux has".into());
    }
    let plan = Plan::new(arguments);
    let relays: Vec<_> = match arguments.relay.as_slice() {
        [] => vec!["relay".to_owned()],
        given => given
            .iter()
            .map(|path| path.display().to_string())
            .collect(),
    };
    let mut all = Vec::new();
    runtime(arguments.threads)?.block_on(run(arguments.scenario, &plan, |figures| {
        if arguments.json {
            all.extend(figures);
        } else {
            println!("\n{}", report::table(&relays, &figures));
        }
    }))?;
    if arguments.json {
        println!("{}", report::json(&relays, &all));
    }
    Ok(())
}

fn runtime(threads: usize) -> Outcome<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads.max(1))
        .enable_all()
        .build()?)
}

async fn run(scenario: Scenario, plan: &Plan, mut show: impl FnMut(Vec<Figure>)) -> Outcome<()> {
    let wanted = |one| scenario == one || scenario == Scenario::All;
    if wanted(Scenario::Pairs) {
        show(pairs::measure(plan).await?);
    }
    if wanted(Scenario::Churn) {
        show(churn::measure(plan).await?);
    }
    if wanted(Scenario::Idle) {
        show(memory::measure_idle(plan).await?);
    }
    if wanted(Scenario::Leak) {
        show(memory::measure_leak(plan).await?);
    }
    if wanted(Scenario::Abuse) {
        show(abuse::measure(plan).await?);
    }
    if wanted(Scenario::Tls) {
        show(churn::measure_tls(plan).await?);
    }
    Ok(())
}
