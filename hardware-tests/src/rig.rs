//! Two adapters of one machine, and the programs between them.

use std::process::Command;
use std::time::{Duration, Instant};

use handfast_demo::stage::{
    Finished, Home, PATIENCE, Process, Program, Programs, Stage, StageError,
};
use handfast_transport::radio::{AdapterName, Radio, RadioError};
use thiserror::Error;
use tokio::runtime::Runtime;

const PASSPHRASE: &str = "copper lantern orbit velvet thistle harbor";
const PIN: &str = "271828";

/// Why a test did not pass.
#[derive(Debug, Error)]
pub(crate) enum Fault {
    #[error("Bluetooth: {0}")]
    Bluez(#[from] bluer::Error),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Not(String),
    #[error("radio: {0}")]
    Radio(#[from] RadioError),
    #[error("{0}")]
    Stage(#[from] StageError),
}

/// A claim that has to hold.
pub(crate) fn claim(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), Fault> {
    match holds {
        true => Ok(()),
        false => Err(Fault::Not(otherwise())),
    }
}

/// Relay, site, and the two adapters.
pub(crate) struct Rig {
    pub(crate) stage: Stage,
    pub(crate) runtime: Runtime,
    pub(crate) client: AdapterName,
    pub(crate) phone: AdapterName,
    restart: String,
}

impl Rig {
    pub(crate) fn start(client: &str, phone: &str, restart: &str) -> Result<Self, Fault> {
        let executable = std::env::current_exe()?;
        Ok(Self {
            stage: Stage::start(Programs::MultiCall(executable))?,
            runtime: Runtime::new()?,
            client: AdapterName::parse(client)?,
            phone: AdapterName::parse(phone)?,
            restart: restart.to_owned(),
        })
    }

    /// Makes a phone with a vault for tests, which needs no approval.
    pub(crate) fn phone(&self, name: &str) -> Result<Home, Fault> {
        let home = self.stage.home(name, PASSPHRASE, PIN)?;
        let init = ["init", "--for-tests", "--name", name];
        let made = self.stage.run(Program::Phone, &home, &init)?;
        claim(made.code == 0, || format!("init: {}", made.err))?;
        Ok(home)
    }

    pub(crate) fn computer(&self, name: &str) -> Result<Home, Fault> {
        Ok(self.stage.home(name, PASSPHRASE, PIN)?)
    }

    /// Starts a command of `handfast` that listens with the client's adapter, and returns its code.
    pub(crate) fn desktop(
        &self,
        home: &Home,
        arguments: &[&str],
    ) -> Result<(Process, String), Fault> {
        let relay = self.stage.desktop_relay();
        let relay = relay.iter().map(String::as_str);
        let arguments: Vec<_> = arguments.iter().copied().chain(relay).collect();
        self.desktop_without_relay(home, &arguments)
    }

    /// The same for a computer that does not know where the relay is.
    pub(crate) fn desktop_without_relay(
        &self,
        home: &Home,
        arguments: &[&str],
    ) -> Result<(Process, String), Fault> {
        let adapter = self.client.to_string();
        let mut arguments = arguments.to_vec();
        arguments.extend(["--radio", "bluez", "--adapter", &adapter]);
        arguments.extend(["--qr-url", "--json", "-v"]);
        let mut desktop = self.stage.spawn(Program::Desktop, home, &arguments)?;
        let url = desktop.event("qr")?["url"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        Ok((desktop, url))
    }

    /// Starts the phone with a code, to advertise with its adapter.
    pub(crate) fn scan(&self, home: &Home, url: &str, more: &[&str]) -> Result<Process, Fault> {
        let relay = self.stage.phone_relay();
        let relay = relay.iter().map(String::as_str);
        let always = ["--approve", "always"];
        let more: Vec<_> = more.iter().copied().chain(always).chain(relay).collect();
        self.scan_with(home, url, &more)
    }

    /// The same for a phone that has no relay.
    pub(crate) fn scan_without_relay(&self, home: &Home, url: &str) -> Result<Process, Fault> {
        let more = ["--channel", "ble", "-v", "--approve", "always"];
        self.scan_with(home, url, &more)
    }

    /// The same for a phone whose owner is asked.
    pub(crate) fn scan_and_ask(&self, home: &Home, url: &str) -> Result<Process, Fault> {
        self.scan_with(home, url, &["--channel", "ble", "-v"])
    }

    fn scan_with(&self, home: &Home, url: &str, more: &[&str]) -> Result<Process, Fault> {
        let adapter = self.phone.to_string();
        let mut arguments = vec!["scan", url, "--json"];
        arguments.extend(["--radio", "bluez", "--adapter", &adapter]);
        arguments.extend(more);
        Ok(self.stage.spawn(Program::Phone, home, &arguments)?)
    }

    /// Starts to register a passkey.
    pub(crate) fn register(&self, home: &Home, user: &str) -> Result<(Process, String), Fault> {
        let site = self.stage.site_url().to_owned();
        self.desktop(home, &["register", &site, "--user", user])
    }

    pub(crate) fn sign_in(&self, home: &Home, user: &str) -> Result<(Process, String), Fault> {
        let site = self.stage.site_url().to_owned();
        self.desktop(home, &["sign-in", &site, "--user", user])
    }

    pub(crate) fn client_radio(&self) -> Radio {
        Radio::Bluez(Some(self.client.clone()))
    }

    pub(crate) fn phone_radio(&self) -> Radio {
        Radio::Bluez(Some(self.phone.clone()))
    }

    /// Switches an adapter on or off, and waits until it is. One that is not there may come yet: emulated
    /// ones crash, and the Bluetooth service is killed here.
    pub(crate) fn power(&self, name: &AdapterName, on: bool) -> Result<(), Fault> {
        let begin = Instant::now();
        loop {
            match self.runtime.block_on(power(name, on)) {
                Ok(true) => return Ok(()),
                Err(error) if begin.elapsed() > PATIENCE => return Err(error.into()),
                _ => {}
            }
            claim(begin.elapsed() < PATIENCE, || {
                format!("{name} does not change its power")
            })?;
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Kills the Bluetooth service, starts it again, and waits until both adapters are on.
    pub(crate) fn restart_service(&self) -> Result<(), Fault> {
        let status = Command::new("sh").args(["-c", &self.restart]).status()?;
        claim(status.success(), || format!("“{}” failed", self.restart))?;
        self.power(&self.client, true)?;
        self.power(&self.phone, true)
    }
}

/// Tells an adapter to be on or off, and returns whether it is.
async fn power(name: &AdapterName, on: bool) -> bluer::Result<bool> {
    let session = bluer::Session::new().await?;
    let adapter = session.adapter(&name.to_string())?;
    adapter.set_powered(on).await?;
    Ok(adapter.is_powered().await? == on)
}

/// Waits for a program's end, and checks its exit code.
pub(crate) fn ends_with(process: Process, code: i32) -> Result<Finished, Fault> {
    let finished = process.finish(PATIENCE * 3)?;
    claim(finished.code == code, || {
        format!(
            "exit code {} instead of {code}: {} {}",
            finished.code, finished.out, finished.err
        )
    })?;
    Ok(finished)
}
