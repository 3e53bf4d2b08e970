//! A notification on the desktop while a question waits (Desktop Notifications Specification 1.3).
//!
//! All talk with the notification service is on a thread of its own: one that hangs, or is missing,
//! keeps nobody waiting.

use std::convert::Infallible;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;
use std::time::Duration;

use dbus::arg::{PropMap, Variant};
use dbus::blocking::{Connection, Proxy};
use dbus::channel::Channel;
use tracing::{debug, info};

use crate::engine::{Account, Prompt};

const SERVICE: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";
/// What the notification says it comes from; the name of the desktop file, too.
const PROGRAM: &str = "handfast-authenticator";
/// How long the service may take for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the program stays for notifications that are still to be withdrawn.
const FAREWELL: Duration = Duration::from_millis(500);

/// The desktop of this session. When it is dropped, it waits a moment for what is still shown.
#[derive(Debug)]
pub(crate) struct Desktop {
    address: String,
    /// Held by every thread that shows something.
    shown: Option<Sender<Infallible>>,
    settled: Mutex<Receiver<Infallible>>,
}

/// A notification. It is withdrawn when this is dropped.
pub(crate) struct Notice {
    /// Its end is what is waited for.
    _shown: Sender<()>,
}

/// What a notification says.
#[derive(Clone, Debug, PartialEq)]
struct Words {
    summary: String,
    body: String,
}

impl Desktop {
    /// Takes the desktop whose message bus has this address.
    pub(crate) fn at(address: String) -> Self {
        let (shown, settled) = channel();
        Self {
            address,
            shown: Some(shown),
            settled: Mutex::new(settled),
        }
    }

    /// Shows that a question waits, for as long at most; nothing if that is not possible.
    pub(crate) fn notify(&self, prompt: &Prompt<'_>, longest: Duration) -> Option<Notice> {
        let words = words(prompt);
        let shown = self.shown.clone()?;
        let address = self.address.clone();
        let (notice, withdrawn) = channel();
        let show = move || {
            match show(&address, &words, longest, &withdrawn) {
                Ok(()) => debug!("the notification is withdrawn"),
                Err(error) => info!("no notification is shown: {error}"),
            }
            drop(shown);
        };
        // Without one there is the terminal still.
        thread::Builder::new().spawn(show).ok()?;
        Some(Notice { _shown: notice })
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        self.shown = None;
        // Either way there is nothing more to do.
        if let Ok(settled) = self.settled.get_mut() {
            let _ = settled.recv_timeout(FAREWELL);
        }
    }
}

fn show(
    address: &str,
    words: &Words,
    longest: Duration,
    withdrawn: &Receiver<()>,
) -> Result<(), dbus::Error> {
    let mut channel = Channel::open_private(address)?;
    channel.register()?;
    let bus = Connection::from(channel);
    let service = bus.with_proxy(SERVICE, PATH, PATIENCE);
    let (capabilities,): (Vec<String>,) = service.method_call(SERVICE, "GetCapabilities", ())?;
    if withdrawn.try_recv() == Err(TryRecvError::Disconnected) {
        return Ok(());
    }
    let marks_up = capabilities.iter().any(|can| can == "body-markup");
    let id = begin(&service, words, longest, marks_up)?;
    // Only the end of it is ever heard.
    let _ = withdrawn.recv();
    service.method_call(SERVICE, "CloseNotification", (id,))
}

fn begin(
    service: &Proxy<'_, &Connection>,
    words: &Words,
    longest: Duration,
    marks_up: bool,
) -> Result<u32, dbus::Error> {
    let body = match marks_up {
        true => escaped(&words.body),
        false => words.body.clone(),
    };
    let mut hints = PropMap::new();
    hints.insert("category".into(), Variant(Box::new("device".to_owned())));
    hints.insert(
        "desktop-entry".into(),
        Variant(Box::new(PROGRAM.to_owned())),
    );
    // What was asked is nobody's business later.
    hints.insert("transient".into(), Variant(Box::new(true)));
    hints.insert("urgency".into(), Variant(Box::new(1_u8)));
    let (actions, icon) = (Vec::<String>::new(), "dialog-password");
    let expires = i32::try_from(longest.as_millis()).unwrap_or(i32::MAX);
    let arguments = (
        PROGRAM,
        0_u32,
        icon,
        &words.summary,
        body,
        actions,
        hints,
        expires,
    );
    let (id,): (u32,) = service.method_call(SERVICE, "Notify", arguments)?;
    Ok(id)
}

/// Text as markup that says the same.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// What is said of a question that waits. Names of sites are as they are on the wire: how they look in
/// other letters is for the terminal, where there is room to say so.
fn words(prompt: &Prompt<'_>) -> Words {
    let named = |accounts: &[Account]| match accounts {
        [account] if account.name.is_empty() => account.display_name.clone(),
        [account] => account.name.clone(),
        accounts => format!("{} accounts to choose from", accounts.len()),
    };
    let (summary, about) = match prompt {
        Prompt::Create { rp_id, account, .. } => (
            format!("Make a passkey for {rp_id}?"),
            named(std::slice::from_ref(account)),
        ),
        Prompt::SignIn {
            rp_id, accounts, ..
        } => (format!("Sign in to {rp_id}?"), named(accounts)),
        Prompt::Excluded { rp_id, .. } => (
            format!("{rp_id} asks for a passkey"),
            "This account has one here already.".to_owned(),
        ),
        Prompt::Join { device, .. } => ("Let a computer in?".to_owned(), device.clone()),
        Prompt::Select => ("Is this the device?".to_owned(), String::new()),
        Prompt::NoPasskey { rp_id } => (
            format!("No passkey for {rp_id}"),
            "The computer is told so once you agree.".to_owned(),
        ),
    };
    let body = format!("{about}\nThe answer is waited for where {PROGRAM} runs.");
    Words {
        summary,
        body: body.trim_start().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_outside_are_no_markup() {
        let text = "<a href=\"x\">ana</a> & 'b'";
        let safe = "&lt;a href=&quot;x&quot;&gt;ana&lt;/a&gt; &amp; &#39;b&#39;";
        assert_eq!(escaped(text), safe);
    }

    #[test]
    fn a_desktop_that_is_not_there_keeps_nobody_waiting() {
        let begin = std::time::Instant::now();
        let desktop = Desktop::at("unix:path=/nonexistent/bus".to_owned());
        drop(desktop.notify(&Prompt::Select, Duration::from_secs(60)));
        drop(desktop);
        assert!(begin.elapsed() < FAREWELL);
    }
}
