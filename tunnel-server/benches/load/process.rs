//! The programs under load, and what the operating system says of them.

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::floor::FLOOR_ARGUMENT;
use crate::tls::Certificate;
use crate::{Outcome, PATIENCE};

/// Clock ticks in a second of `/proc/PID/stat`. It is `sysconf(_SC_CLK_TCK)`, which Linux has fixed
/// at 100 for all the architectures that it still supports.
const TICKS: f64 = 100.0;

/// A program that listens. It is killed when this is dropped.
pub(crate) struct Program {
    child: Child,
    address: std::net::SocketAddr,
    /// Kept open, so that the program could still write.
    _output: BufReader<ChildStdout>,
}

impl Program {
    /// Starts a relay with its usual limits and logs.
    pub(crate) async fn relay(path: &Path, tls: Option<&Certificate>) -> Outcome<Self> {
        let mut command = Command::new(path);
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        if let Some(certificate) = tls {
            command.arg("--tls-cert").arg(certificate.chain());
            command.arg("--tls-key").arg(certificate.key());
        }
        let started = Self::start(command).await;
        started.map_err(|error| format!("{}: {error}", path.display()).into())
    }

    /// Starts the forwarder of this very program.
    pub(crate) async fn floor() -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(FLOOR_ARGUMENT).stdin(Stdio::piped());
        Self::start(command).await
    }

    async fn start(mut command: Command) -> Outcome<Self> {
        let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let output = child.stdout.take().ok_or("it has no standard output")?;
        let mut output = BufReader::new(output);
        let mut line = String::new();
        timeout(PATIENCE, output.read_line(&mut line)).await??;
        let address = line.trim().split_once("://").map(|(_, address)| address);
        Ok(Self {
            child,
            address: address.unwrap_or_default().parse().map_err(|_| {
                format!("it should have said where it listens, but said {line:?} first")
            })?,
            _output: output,
        })
    }

    /// Returns where it listens.
    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.address
    }

    /// Returns the seconds of CPU time that all its threads have used, in user and kernel mode.
    pub(crate) fn cpu(&self) -> Outcome<f64> {
        let stat = self.proc("stat")?;
        // The second field is the program's name, in parentheses and with whatever it likes in it.
        let fields: Vec<_> = stat
            .rsplit_once(')')
            .map(|(_, rest)| rest.split_whitespace().collect())
            .unwrap_or_default();
        let ticks = |number: usize| -> Outcome<u32> {
            let field = fields.get(number - 3).ok_or("/proc/PID/stat is short")?;
            Ok(field.parse()?)
        };
        Ok(f64::from(ticks(14)? + ticks(15)?) / TICKS)
    }

    /// Returns the KiB that it has in memory.
    pub(crate) fn resident(&self) -> Outcome<u32> {
        // VmRSS is off by up to some dozens of pages for each CPU, which is a lot of a small relay.
        match self.proc("smaps_rollup") {
            Ok(exact) => kib(&exact, "Rss:"),
            Err(_) => kib(&self.proc("status")?, "VmRSS:"),
        }
    }

    /// Returns the KiB that it has ever had in memory at the same time.
    pub(crate) fn peak(&self) -> Outcome<u32> {
        kib(&self.proc("status")?, "VmHWM:")
    }

    fn proc(&self, file: &str) -> Outcome<String> {
        let process = self.child.id().ok_or("the program has ended")?;
        let text = std::fs::read_to_string(format!("/proc/{process}/{file}"));
        text.map_err(|error| format!("nothing is known of the program any more: {error}").into())
    }
}

fn kib(text: &str, name: &str) -> Outcome<u32> {
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    let value = value.and_then(|value| value.trim().strip_suffix(" kB"));
    Ok(value
        .ok_or_else(|| format!("no {name} in /proc"))?
        .trim()
        .parse()?)
}

/// Returns how many descriptors this process, and so each that it starts, may have.
pub(crate) fn descriptors() -> Outcome<u32> {
    let limits = std::fs::read_to_string("/proc/self/limits")?;
    let soft = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .and_then(|values| values.split_whitespace().next());
    // "unlimited" is as good as very many.
    Ok(soft
        .ok_or("no open files in /proc/self/limits")?
        .parse()
        .unwrap_or(u32::MAX))
}
