//! The keyring of a desktop: GNOME Keyring itself, on a message bus and in a home of its own.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dbus::channel::Channel;
use dbus::{Message, arg, strings};
use tempfile::TempDir;

use crate::daemon::Daemon;

const SERVICE: &str = "org.freedesktop.secrets";
const ROOT: &str = "/org/freedesktop/secrets";
const MEMBERS: &str = "org.freedesktop.Secret.Service";
const PASSWORD: &str = "the desktop's own";
/// How long a program may take to do what is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A message bus with a keyring on it. Both end with this.
pub struct Desktop {
    bus: Daemon,
    keyring: Option<Child>,
    folder: TempDir,
}

impl Desktop {
    /// Starts both, with the keyring unlocked; nothing where one of them is not installed, which is printed.
    ///
    /// # Panics
    ///
    /// If they cannot be started, or `HANDFAST_REQUIRE_DBUS` is set and one is not there.
    pub fn start() -> Option<Self> {
        let mut desktop = Self {
            bus: Daemon::start()?,
            keyring: None,
            folder: tempfile::tempdir().unwrap(),
        };
        desktop.log_in().then_some(desktop)
    }

    /// Returns the value of `DBUS_SESSION_BUS_ADDRESS` for programs on this desktop.
    pub fn address(&self) -> &str {
        self.bus.address()
    }

    /// Starts the keyring and unlocks it with its password, as logging in does.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn log_in(&mut self) -> bool {
        let home = self.folder.path();
        let mut command = Command::new("gnome-keyring-daemon");
        command
            .args(["--foreground", "--components=secrets", "--unlock"])
            .env("DBUS_SESSION_BUS_ADDRESS", self.bus.address())
            .env("HOME", home)
            .env("XDG_DATA_HOME", home.join("data"))
            .env("XDG_RUNTIME_DIR", home)
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let Some(mut keyring) = installed(command) else {
            return false;
        };
        let mut input = keyring.stdin.take().unwrap();
        input.write_all(PASSWORD.as_bytes()).unwrap();
        drop(input);
        self.keyring = Some(keyring);
        wait_until("the keyring answers", || self.is_unlocked());
        true
    }

    /// Ends the keyring, as logging out does.
    pub fn log_out(&mut self) {
        if let Some(mut keyring) = self.keyring.take() {
            let _ = keyring.kill();
            let _ = keyring.wait();
        }
    }

    /// Locks the keyring, as its owner may at any time.
    ///
    /// # Panics
    ///
    /// If it cannot be locked.
    pub fn lock(&self) {
        let collection = self.collection().unwrap();
        self.ask(ROOT, MEMBERS, "Lock", (vec![collection],))
            .unwrap();
        assert!(!self.is_unlocked());
    }

    /// Returns how many secrets of Handfast are in the keyring.
    ///
    /// # Panics
    ///
    /// If it does not answer.
    pub fn count(&self) -> usize {
        let wanted = HashMap::from([("application", "handfast")]);
        let found = self.ask(ROOT, MEMBERS, "SearchItems", (wanted,)).unwrap();
        let (open, locked): (Vec<strings::Path<'_>>, Vec<strings::Path<'_>>) =
            found.read2().unwrap();
        open.len() + locked.len()
    }

    fn collection(&self) -> Option<strings::Path<'static>> {
        let alias = self.ask(ROOT, MEMBERS, "ReadAlias", ("default",))?;
        let path: strings::Path<'_> = alias.read1().ok()?;
        (&*path != "/").then(|| path.into_static())
    }

    fn is_unlocked(&self) -> bool {
        let Some(collection) = self.collection() else {
            return false;
        };
        let of = ("org.freedesktop.Secret.Collection", "Locked");
        let properties = "org.freedesktop.DBus.Properties";
        let answer = self.ask(&collection, properties, "Get", of);
        let locked = answer.and_then(|answer| answer.read1::<arg::Variant<bool>>().ok());
        locked.is_some_and(|locked| !locked.0)
    }

    fn ask(
        &self,
        path: &str,
        interface: &str,
        member: &str,
        arguments: impl arg::AppendAll,
    ) -> Option<Message> {
        let mut channel = Channel::open_private(self.bus.address()).unwrap();
        channel.register().unwrap();
        let call = Message::call_with_args(SERVICE, path, interface, member, arguments);
        channel.send_with_reply_and_block(call, PATIENCE).ok()
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        self.log_out();
    }
}

/// Starts what may not be installed.
fn installed(mut command: Command) -> Option<Child> {
    match command.spawn() {
        Ok(child) => Some(child),
        Err(error) => {
            let name = Path::new(command.get_program()).display();
            assert!(
                std::env::var_os("HANDFAST_REQUIRE_DBUS").is_none(),
                "no {name}: {error}"
            );
            eprintln!("skipped: there is no {name} ({error})");
            None
        }
    }
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "it did not come to: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
