//! A message bus of its own.

use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long the bus may take to listen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A bus. It ends with this.
pub(crate) struct Daemon {
    address: String,
    process: Child,
    _folder: TempDir,
}

impl Daemon {
    /// Starts one; nothing where there is no `dbus-daemon`, which is printed.
    ///
    /// # Panics
    ///
    /// If it cannot be started, or `HANDFAST_REQUIRE_DBUS` is set and there is none.
    pub(crate) fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("bus");
        let address = format!("unix:path={}", socket.display());
        let configuration = folder.path().join("bus.conf");
        std::fs::write(
            &configuration,
            format!(
                "<busconfig><type>session</type><listen>{address}</listen><policy context=\"default\">\
                 <allow send_destination=\"*\"/><allow eavesdrop=\"true\"/><allow own=\"*\"/>\
                 </policy></busconfig>"
            ),
        )
        .unwrap();
        let process = Command::new("dbus-daemon")
            .arg("--nofork")
            .arg(format!("--config-file={}", configuration.display()))
            .stderr(Stdio::null())
            .spawn();
        let process = match process {
            Ok(process) => process,
            Err(error) => {
                assert!(
                    std::env::var_os("HANDFAST_REQUIRE_DBUS").is_none(),
                    "no dbus-daemon: {error}"
                );
                eprintln!("skipped: there is no dbus-daemon ({error})");
                return None;
            }
        };
        let begin = Instant::now();
        // It is there before anybody listens on it.
        while UnixStream::connect(&socket).is_err() {
            assert!(begin.elapsed() < PATIENCE, "the bus does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        Some(Self {
            address,
            process,
            _folder: folder,
        })
    }

    /// Returns its address.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // A bus that is gone already cannot be ended, which is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
