//! `create`, `get`, `register`, `sign-in`.

use std::io::{Read, stderr, stdin};
use std::path::PathBuf;

use handfast_authenticator::console::{self, Failure, Width};
use handfast_proto::ctap2::{get_info, split_reply};
use handfast_proto::hybrid::qr::Hint;
use handfast_proto::trust::introduction::Introducer;
use handfast_transport::radio::Role;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::failure::{answered, rejected};
use super::keyboard::{Terminal, may_power_on};
use super::picture::Picture;
use super::unlock;
use super::voice::{Voice, is_seen};
use super::{How, Hybrid, Via, runtime};
use crate::ceremony::{Means, Session};
use crate::local;
use crate::origin::Origin;
use crate::qr::Symbol;
use crate::site::{Site, SiteError};
use crate::webauthn::{Create, Get, created, signed};

/// Options that are longer are no options.
const LONGEST_OPTIONS: u64 = 1024 * 1024;

/// Which of the two ceremonies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Create,
    Get,
}

/// What is asked of an authenticator, wherever it is.
enum Asked {
    Create(Create),
    Get(Get),
}

impl Asked {
    fn parse(kind: Kind, json: &str, origin: &Origin) -> Result<Self, Failure> {
        Ok(match kind {
            Kind::Create => Self::Create(Create::parse(json, origin)?),
            Kind::Get => Self::Get(Get::parse(json, origin)?),
        })
    }

    fn hint(&self) -> Hint {
        match self {
            Self::Create(_) => Hint::MakeCredential,
            Self::Get(_) => Hint::GetAssertion,
        }
    }

    fn request(&self, info: &get_info::Response) -> Vec<u8> {
        match self {
            Self::Create(create) => create.request(info).encode(),
            Self::Get(get) => get.request(info).encode(),
        }
    }

    fn credential(
        &self,
        info: &get_info::Response,
        attachment: &str,
        reply: &[u8],
    ) -> Result<Value, Failure> {
        let cbor = split_reply(reply).map_err(answered)?;
        Ok(match self {
            Self::Create(create) => created(create, info, attachment, cbor)?,
            Self::Get(get) => signed(get, info, attachment, cbor)?,
        })
    }
}

/// How a phone is reached, checked as far as that goes without one.
pub(super) struct Nearby {
    runtime: Runtime,
    means: Means,
}

impl Nearby {
    /// Prepares a session. All that can fail without the phone fails before a code is shown: this
    /// much of it before the site or the vault is troubled.
    pub(super) fn prepare(hybrid: &Hybrid, voice: Voice) -> Result<Self, Failure> {
        let means = hybrid.means()?;
        if !is_drawn(voice) && !hybrid.qr_url && hybrid.qr_file.is_none() {
            return Err(
                Failure::usage("There is no terminal to draw the QR code on")
                    .with_hint("Give --qr-file PNG or --qr-url."),
            );
        }
        let runtime = runtime()?;
        means.check()?;
        let may_power_on = || may_power_on(voice);
        runtime.block_on(console::radio_ready(
            &means.radio,
            Role::Listen,
            may_power_on,
        ))?;
        Ok(Self { runtime, means })
    }

    /// Returns whether what is heard proves nothing.
    pub(super) fn is_simulated(&self) -> bool {
        self.means.radio.is_simulated()
    }

    /// Shows a code, does with the session what is to be done, and only then takes its leave.
    pub(super) fn with_phone<T>(
        self,
        hint: Hint,
        hybrid: &Hybrid,
        voice: Voice,
        act: impl AsyncFnOnce(&mut Session) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let is_simulated = self.is_simulated();
        self.runtime.block_on(async {
            let mut session = Session::start(self.means, hint).await?;
            let _picture = show_qr(&session, is_simulated, hybrid, voice)?;
            let acted = act(&mut session).await;
            session.close().await;
            acted
        })
    }
}

/// A code in a pipe or a log would be one for whoever reads that.
fn is_drawn(voice: Voice) -> bool {
    voice == Voice::Words && is_seen()
}

/// Shows the QR code in all ways that were asked for.
fn show_qr(
    session: &Session,
    is_simulated: bool,
    hybrid: &Hybrid,
    voice: Voice,
) -> Result<Option<Picture>, Failure> {
    let url = session.url().unwrap_or_default();
    let symbol = Symbol::new(&url)?;
    let picture = match &hybrid.qr_file {
        Some(path) => Some(Picture::write(&symbol, path, voice)?),
        None => None,
    };
    if is_drawn(voice) {
        voice.draw(&symbol.to_terminal());
    }
    // Below the code, which is too high for both.
    if hybrid.qr_url {
        voice.say(&url, &json!({"event": "qr", "url": url}));
    }
    if is_drawn(voice) {
        let words = match is_simulated {
            true => "Give this code to the phone; the radio is simulated.",
            false => "Scan this code with your phone, with Bluetooth on at both.",
        };
        voice.say(words, &Value::Null);
        tell_if_cut_off(&symbol, &url, hybrid, voice);
    }
    Ok(picture)
}

/// Half a code is none.
fn tell_if_cut_off(symbol: &Symbol, url: &str, hybrid: &Hybrid, voice: Voice) {
    // The words below it, and the line where the cursor stands.
    let address = match hybrid.qr_url {
        true => match Width::of(stderr()) {
            Width::Columns(columns) => url.len().div_ceil(columns),
            Width::Unbounded => 1,
        },
        false => 0,
    };
    let below = 3 + address;
    let needed = symbol.to_terminal().lines().count() + below;
    if let Some(rows) = console::rows(stderr()).filter(|rows| *rows < needed) {
        let words = format!(
            "This window has {rows} lines, and the code needs {needed}: make it higher, or give --qr-file PNG."
        );
        voice.say(&words, &Value::Null);
    }
}

/// Where the passkey is, and how it is reached.
enum Way {
    Local,
    Phone(Box<Nearby>),
}

impl Way {
    fn prepare(how: &How, voice: Voice) -> Result<Self, Failure> {
        Ok(match how.via {
            Via::Local => Self::Local,
            Via::Qr => Self::Phone(Box::new(Nearby::prepare(&how.hybrid, voice)?)),
        })
    }

    /// Asks the authenticator, hands the credential to `done`, and only then takes leave.
    fn perform<T>(
        self,
        asked: &Asked,
        how: &How,
        vault: Option<PathBuf>,
        voice: Voice,
        done: impl FnOnce(Value) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let nearby = match self {
            Self::Phone(nearby) => nearby,
            Self::Local => {
                let mut authenticator = unlock::open(vault, voice)?;
                let info = local::info(&authenticator)?;
                let mut keyboard = Terminal::new(voice)?;
                let reply = local::answer(&mut authenticator, &asked.request(&info), &mut keyboard);
                return done(asked.credential(&info, "platform", &reply?)?);
            }
        };
        let introducer = introducer(vault, voice);
        nearby.with_phone(asked.hint(), &how.hybrid, voice, async |session| {
            let mut tell = |progress| voice.progress(progress);
            let ready = session.ready(&mut tell).await?;
            session.introduce(introducer.as_ref(), &ready)?;
            let reply = session.ask(asked.request(&ready.info), &mut tell).await?;
            done(asked.credential(&ready.info, "cross-platform", &reply)?)
        })
    }
}

/// What this computer introduces itself with, if it has a vault. Without it all goes on as well.
fn introducer(vault: Option<PathBuf>, voice: Voice) -> Option<Introducer> {
    let found = console::introducer(&console::home(vault).ok()?);
    found.unwrap_or_else(|failure| {
        let (what, hint) = (failure.what(), failure.hint());
        let event = json!({"event": "not-introduced", "message": what, "hint": hint});
        voice.say(&format!("{what} {hint}"), &event);
        None
    })
}

/// `create` and `get`.
pub(super) fn ceremony(
    origin: &str,
    how: &How,
    kind: Kind,
    vault: Option<PathBuf>,
    voice: Voice,
) -> Result<(), Failure> {
    let origin = Origin::parse(origin)?;
    let way = Way::prepare(how, voice)?;
    let mut json = String::new();
    stdin()
        .lock()
        .take(LONGEST_OPTIONS)
        .read_to_string(&mut json)
        .map_err(|error| Failure::usage(format!("standard input cannot be read: {error}")))?;
    let asked = Asked::parse(kind, &json, &origin)?;
    way.perform(&asked, how, vault, voice, |credential| {
        // It is for a program, whoever looks at it.
        Voice::Json.result("", &credential)?;
        voice.say("Done.", &json!({"event": "done"}));
        Ok(())
    })
}

/// `register`.
pub(super) fn register(
    site: &str,
    user: &str,
    how: &How,
    vault: Option<PathBuf>,
    voice: Voice,
) -> Result<(), Failure> {
    let mut site = Site::new(site, how.hybrid.ca_file.as_deref())?;
    let way = Way::prepare(how, voice)?;
    let options = site.register_options(user)?;
    let asked = Asked::parse(Kind::Create, &options, &site.origin().clone())?;
    let decision = way.perform(&asked, how, vault, voice, |credential| {
        let decision = site.register(&credential)?;
        if !flag(&decision, "step_up_required") {
            conclude(&decision, None, &credential, voice)?;
        }
        Ok((decision, credential))
    });
    step_up(&mut site, decision?, voice)
}

/// `sign-in`.
pub(super) fn sign_in(
    site: &str,
    user: Option<&str>,
    how: &How,
    vault: Option<PathBuf>,
    voice: Voice,
) -> Result<(), Failure> {
    let mut site = Site::new(site, how.hybrid.ca_file.as_deref())?;
    let way = Way::prepare(how, voice)?;
    let options = site.sign_in_options(user)?;
    let asked = Asked::parse(Kind::Get, &options, &site.origin().clone())?;
    let decision = way.perform(&asked, how, vault, voice, |credential| {
        let decision = site.sign_in(&credential)?;
        if !flag(&decision, "step_up_required") {
            conclude(&decision, None, &credential, voice)?;
        }
        Ok((decision, credential))
    });
    step_up(&mut site, decision?, voice)
}

fn flag(decision: &Value, name: &str) -> bool {
    decision.get(name).and_then(Value::as_bool).unwrap_or(false)
}

fn why(decision: &Value) -> String {
    let why = decision
        .get("why")
        .and_then(Value::as_str)
        .unwrap_or_default();
    handfast_authenticator::engine::printable_text(why)
}

fn conclude(
    decision: &Value,
    step_up: Option<&Value>,
    credential: &Value,
    voice: Voice,
) -> Result<(), Failure> {
    let mut value = json!({"decision": decision, "credential": credential});
    if let Some(step_up) = step_up {
        value["step_up"] = step_up.clone();
    }
    voice.result(&why(step_up.unwrap_or(decision)), &value)?;
    if flag(step_up.unwrap_or(decision), "signed_in") {
        voice.say("Done.", &json!({"event": "done"}));
    }
    Ok(())
}

/// Goes through the site's step-up, if it asks for one.
fn step_up(
    site: &mut Site,
    (decision, credential): (Value, Value),
    voice: Voice,
) -> Result<(), Failure> {
    if !flag(&decision, "step_up_required") {
        return Ok(());
    }
    voice.say(&why(&decision), &Value::Null);
    let mut last = rejected("The site wants a one-time code, and none was given")
        .with_hint("Sign in again and type the code that the site sent you.");
    loop {
        let code = voice.ask("The site's one-time code: ", &json!({"event": "step-up"}));
        let Some(code) = code.filter(|code| !code.is_empty()) else {
            conclude(&decision, None, &credential, voice)?;
            return Err(last);
        };
        match site.step_up(&code) {
            Ok(after) => return conclude(&decision, Some(&after), &credential, voice),
            // It was mistyped; the site says when that was often enough.
            Err(error @ SiteError::Rejected { status: 400, .. }) => {
                let event = json!({"event": "wrong-code", "why": error.to_string()});
                voice.say(&format!("{error} Once more, or Enter to stop."), &event);
                last = error.into();
            }
            Err(error) => {
                conclude(&decision, None, &credential, voice)?;
                return Err(error.into());
            }
        }
    }
}
