//! Programs, homes, certificates and an air of their own, in a temporary folder.

mod certificates;
mod home;
mod process;
mod programs;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use thiserror::Error;

pub use certificates::Certificates;
pub use home::Home;
pub use process::{Finished, Line, Process, Source, event_of};
pub use programs::{Program, Programs};

/// The tunnel domain number that the phones of a stage advertise; desktops map it to its relay.
pub const DOMAIN: u16 = 300;

/// How long a program may take for its next word before the stage gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Why a program did not do its part.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StageError {
    /// No certificate could be made.
    #[error("no certificate could be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The operating system refused something.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A program ended before it said what was waited for.
    #[error("{program} ended without {awaited}; its last words: {last}")]
    Ended {
        /// The program.
        program: String,
        /// What was waited for.
        awaited: String,
        /// The end of what it said.
        last: String,
    },
    /// A program said nothing that was waited for in time.
    #[error("{program} did not come to {awaited} in time; its last words: {last}")]
    Silent {
        /// The program.
        program: String,
        /// What was waited for.
        awaited: String,
        /// The end of what it said.
        last: String,
    },
    /// A program's answer is not what the stage can read.
    #[error("{program} gave an answer that cannot be read: {text}")]
    Unreadable {
        /// The program.
        program: String,
        /// What it said.
        text: String,
    },
}

impl StageError {
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

/// A relay over TLS, a site, an air, and the folder that holds it all. Everything ends with it.
pub struct Stage {
    folder: TempDir,
    programs: Programs,
    certificates: Certificates,
    /// The relay.
    pub relay: Process,
    relay_url: String,
    /// The site.
    pub site: Process,
    site_url: String,
}

impl Stage {
    /// Starts relay and site.
    ///
    /// # Errors
    ///
    /// [`StageError`] names the program that did not start.
    pub fn start(programs: Programs) -> Result<Self, StageError> {
        let folder = tempfile::Builder::new()
            .prefix("handfast-stage-")
            .tempdir()
            .map_err(StageError::io("making a temporary folder"))?;
        let certificates = Certificates::make(folder.path())?;
        let (relay, relay_url) = start_relay(&programs, &certificates)?;
        let (site, site_url) = start_site(&programs, &folder.path().join("site.sqlite"))?;
        Ok(Self {
            folder,
            programs,
            certificates,
            relay,
            relay_url,
            site,
            site_url,
        })
    }

    /// Returns the stage's folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the certificates of the stage's relay.
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// Returns the relay's address, `wss://localhost:PORT`.
    pub fn relay_url(&self) -> &str {
        &self.relay_url
    }

    /// Returns the site's address, `http://localhost:PORT`.
    pub fn site_url(&self) -> &str {
        &self.site_url
    }

    /// Returns the programs that play here.
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// Returns the folder that is the air of a place: adverts cross from one air to no other.
    pub fn air(&self, place: &str) -> PathBuf {
        self.folder.path().join(format!("air-{place}"))
    }

    /// Makes a home for a device, with its pass phrase and PIN in files.
    ///
    /// # Errors
    ///
    /// [`StageError::Io`].
    pub fn home(&self, name: &str, passphrase: &str, pin: &str) -> Result<Home, StageError> {
        Home::make(
            &self.folder.path().join("homes").join(name),
            passphrase,
            pin,
        )
    }

    /// Prepares one of `handfast`'s or the phone's commands in a home.
    pub fn command(
        &self,
        program: Program,
        home: &Home,
        arguments: &[&str],
    ) -> std::process::Command {
        let mut command = self.programs.command(program);
        command.args(arguments);
        home.apply(&mut command);
        command
    }

    /// Returns the options by which a desktop finds the phone through this air and this relay.
    pub fn desktop_options(&self, place: &str) -> Vec<String> {
        let mut options = self.simulated(place);
        options.extend(self.desktop_relay());
        options
    }

    /// Returns the options by which a desktop finds this relay.
    pub fn desktop_relay(&self) -> [String; 4] {
        [
            "--relay-map".into(),
            format!("{DOMAIN}={}", self.relay_url),
            "--ca-file".into(),
            self.certificates.authority().display().to_string(),
        ]
    }

    fn simulated(&self, place: &str) -> Vec<String> {
        let air = self.air(place);
        vec!["--radio".into(), format!("simulated={}", air.display())]
    }

    /// Returns the options by which a phone uses this air and this relay.
    pub fn phone_options(&self, place: &str) -> Vec<String> {
        let mut options = self.simulated(place);
        options.extend(self.phone_relay());
        options
    }

    /// Returns the options by which a phone uses this relay.
    pub fn phone_relay(&self) -> [String; 6] {
        [
            "--relay".into(),
            self.relay_url.clone(),
            "--tunnel-domain".into(),
            DOMAIN.to_string(),
            "--ca-file".into(),
            self.certificates.authority().display().to_string(),
        ]
    }

    /// Runs a command to its end, with nothing on its standard input.
    ///
    /// # Errors
    ///
    /// [`StageError::Silent`] if it does not end.
    pub fn run(
        &self,
        program: Program,
        home: &Home,
        arguments: &[&str],
    ) -> Result<Finished, StageError> {
        let mut process = self.spawn(program, home, arguments)?;
        process.close_input();
        process.finish(PATIENCE)
    }

    /// Starts a command to speak with.
    ///
    /// # Errors
    ///
    /// [`StageError::Io`] if it cannot be started.
    pub fn spawn(
        &self,
        program: Program,
        home: &Home,
        arguments: &[&str],
    ) -> Result<Process, StageError> {
        Process::spawn(program.name(), &mut self.command(program, home, arguments))
    }
}

/// Starts a relay of its own over TLS on a free port.
///
/// # Errors
///
/// [`StageError`] if it does not say its address.
pub fn start_relay(
    programs: &Programs,
    certificates: &Certificates,
) -> Result<(Process, String), StageError> {
    let mut command = programs.command(Program::Relay);
    command.args(["serve", "--listen", "127.0.0.1:0", "--tls-cert"]);
    command
        .arg(certificates.chain())
        .arg("--tls-key")
        .arg(certificates.key());
    let mut relay = Process::spawn(Program::Relay.name(), &mut command)?;
    let url = relay.address()?.replace("127.0.0.1", "localhost");
    Ok((relay, url))
}

/// Starts a site on a free port with its records in `database`.
///
/// # Errors
///
/// [`StageError`] if it does not say its address.
pub fn start_site(programs: &Programs, database: &Path) -> Result<(Process, String), StageError> {
    let mut command = programs.command(Program::Site);
    command
        .args(["--listen", "127.0.0.1:0", "--json", "--data"])
        .arg(database);
    let mut site = Process::spawn(Program::Site.name(), &mut command)?;
    let url = site.address()?;
    Ok((site, url))
}
