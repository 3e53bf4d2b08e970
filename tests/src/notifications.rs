//! A desktop's notification service on a message bus of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use dbus::Message;
use dbus::arg::{PropMap, prop_cast};
use dbus::channel::Channel;
use dbus::message::MessageType;

use crate::daemon::Daemon;

const NAME: &str = "org.freedesktop.Notifications";
/// How long a program may take to do what is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a call is waited for before it is looked whether the service should end.
const TURN: Duration = Duration::from_millis(5);

/// What the service was asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    /// What it can do; an answer came only if it does not hang.
    Capabilities,
    /// To show something.
    Shown {
        /// The headline.
        summary: String,
        /// The text below it.
        body: String,
        /// Whether it is to be forgotten afterwards.
        is_transient: bool,
    },
    /// To withdraw it.
    Withdrawn,
}

/// A bus and a notification service on it. Both end with this.
pub struct Notifications {
    daemon: Daemon,
    asked: Receiver<Asked>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Notifications {
    /// Starts both; nothing where there is no `dbus-daemon`, which is printed. A service that hangs
    /// answers nothing.
    ///
    /// # Panics
    ///
    /// If they cannot be started, or `HANDFAST_REQUIRE_DBUS` is set and there is none.
    pub fn start(hangs: bool) -> Option<Self> {
        let daemon = Daemon::start()?;
        let mut bus = Channel::open_private(daemon.address()).unwrap();
        bus.register().unwrap();
        let (path, owner) = ("/org/freedesktop/DBus", "org.freedesktop.DBus");
        let request = Message::call_with_args(owner, path, owner, "RequestName", (NAME, 0_u32));
        bus.send_with_reply_and_block(request, PATIENCE).unwrap();
        let (heard, asked) = channel();
        let ends = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&ends);
        let thread = std::thread::spawn(move || serve(&bus, hangs, &heard, &until));
        Some(Self {
            daemon,
            asked,
            ends,
            thread: Some(thread),
        })
    }

    /// Returns the value of `DBUS_SESSION_BUS_ADDRESS` for programs of this desktop.
    pub fn address(&self) -> &str {
        self.daemon.address()
    }

    /// Waits for what the service is asked for next.
    ///
    /// # Panics
    ///
    /// If it is asked for nothing.
    pub fn next(&self) -> Asked {
        self.asked.recv_timeout(PATIENCE).unwrap()
    }

    /// Returns whether the service was asked for nothing that was not waited for.
    pub fn is_quiet(&self) -> bool {
        self.asked.try_recv().is_err()
    }
}

impl Drop for Notifications {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(bus: &Channel, hangs: bool, heard: &Sender<Asked>, ends: &AtomicBool) {
    while !ends.load(Ordering::Relaxed) && bus.read_write(Some(TURN)).is_ok() {
        while let Some(message) = bus.pop_message() {
            if message.msg_type() != MessageType::MethodCall {
                continue;
            }
            let (asked, answer) = answer(&message);
            // The test may have seen enough.
            let _ = heard.send(asked);
            if !hangs {
                let _ = bus.send(answer);
            }
        }
    }
}

fn answer(call: &Message) -> (Asked, Message) {
    match call.member().as_deref() {
        Some("GetCapabilities") => {
            let can: &[&str] = &["body", "body-markup"];
            (Asked::Capabilities, call.return_with_args((can,)))
        }
        Some("Notify") => {
            let mut parts = call.iter_init();
            let _: (String, u32, String) = (
                parts.read().unwrap(),
                parts.read().unwrap(),
                parts.read().unwrap(),
            );
            let (summary, body) = (parts.read().unwrap(), parts.read().unwrap());
            let _: Vec<String> = parts.read().unwrap();
            let hints: PropMap = parts.read().unwrap();
            let shown = Asked::Shown {
                summary,
                body,
                is_transient: prop_cast(&hints, "transient") == Some(&true),
            };
            (shown, call.return_with_args((7_u32,)))
        }
        Some("CloseNotification") => {
            assert_eq!(call.read1::<u32>().unwrap(), 7);
            (Asked::Withdrawn, call.return_with_args(()))
        }
        other => panic!("the service was asked for {other:?}"),
    }
}
