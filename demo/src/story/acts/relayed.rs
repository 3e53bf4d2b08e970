//! The phisher shows Ana the QR code of its own `handfast link`, and Ana falls for it.

use serde_json::{Value, json};

use crate::stage::{Finished, PATIENCE, Process, Program, event_of};
use crate::story::StoryError;
use crate::story::cast::{AT_HOME, Cast, FAR_AWAY, PASSPHRASE, text};
use crate::story::claims::Claims;
use crate::story::thief;

/// What the phisher's computer heard, as its own log tells.
struct Heard {
    /// Whether it listened in its own air.
    listened: bool,
    /// Whether it heard an advert that was not for it.
    ignored: bool,
    /// Whether it heard the phone's advert.
    phone: bool,
    /// Whether it met the phone at the relay.
    connected: bool,
}

impl Heard {
    fn read(cast: &Cast, place: &str, finished: &Finished) -> Self {
        let lines: Vec<Value> = finished
            .err
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        let air = cast.stage.air(place).display().to_string();
        let logged = |message: &str, radio: &str| {
            lines.iter().any(|line| {
                let member = |name| line["fields"][name].as_str().unwrap_or_default();
                member("message").starts_with(message) && member("radio").contains(radio)
            })
        };
        let event = |name: &str| lines.iter().any(|line| line["event"] == name);
        Self {
            listened: logged("listening for adverts", &air),
            ignored: logged("adverts were ignored", ""),
            phone: event("phone-found"),
            connected: event("connected"),
        }
    }

    fn json(&self, finished: &Finished) -> Value {
        json!({
            "exit_code": finished.code,
            "listened": self.listened,
            "heard_other_adverts": self.ignored,
            "heard_the_phone": self.phone,
            "met_the_phone_at_the_relay": self.connected,
        })
    }
}

/// Starts the phisher's `handfast link` and lets Ana scan its code.
fn lure(cast: &mut Cast, place: &str, patience: &str) -> Result<(Process, String), StoryError> {
    let arguments = ["link", "--qr-url", "--timeout", patience, "-v"];
    let mut desktop = cast.desktop(&cast.phisher, place, &arguments)?;
    let url = text(Program::Desktop, &desktop.event("qr")?, "url")?;
    cast.phone.scan(&url)?;
    Ok((desktop, url))
}

/// The computer is in another air than the phone: it waits in vain, and the phone too.
pub(super) fn from_afar(cast: &mut Cast, claims: &mut Claims<'_>) -> Result<Value, StoryError> {
    claims.tell(
        "phisher",
        "runs handfast link too, and shows Ana its QR code on a website.",
    );
    // The phone's advert is on the air a moment after the code is shown: a second of listening is
    // plenty, if the phone is ready.
    cast.phone.unlocked()?;
    let (mut desktop, _) = lure(cast, FAR_AWAY, "1")?;
    cast.phone.event("advertising")?;
    let both_at_once = desktop.is_running();
    claims.tell(
        "Ana",
        "is fooled and scans it. Her phone does answer: with an advert, into her own room.",
    );
    // While that is on the air, and the computer listens.
    let tried = unwrap(cast, claims)?;
    desktop.close_input();
    let finished = desktop.finish(PATIENCE)?;
    let heard = Heard::read(cast, FAR_AWAY, &finished);
    quote_error(claims, "phisher", &finished.err);
    claims.claim(
        "The phisher's computer listened and heard no advert at all: it cannot even begin \
         (exit 4).",
        finished.code == 4 && heard.listened && both_at_once && !heard.ignored && !heard.phone,
    );
    // The phone would go on for a minute before it says so by itself.
    claims.tell(
        "Ana",
        "sees nothing happen, and closes her phone's program.",
    );
    let phone = cast.phone.swipe_away()?;
    let events: Vec<String> = phone
        .out
        .lines()
        .filter_map(|line| Some(event_of(line)?.0))
        .collect();
    claims.claim(
        "Nobody came to her phone, and it asked her for nothing.",
        events.ends_with(&["advertising".to_owned()]),
    );
    let mut facts = heard.json(&finished);
    facts["phone_events"] = events.into();
    facts["unwrap"] = tried;
    Ok(facts)
}

fn unwrap(cast: &Cast, claims: &mut Claims<'_>) -> Result<Value, StoryError> {
    claims.tell(
        "phisher",
        "meanwhile tries everything it has on every trust-group key in the folder.",
    );
    let tried = thief::unwrap_all(&cast.phisher.home, PASSPHRASE)?;
    claims.claim(
        format!(
            "{} files hold Ana's keys K1 and K2; {} secrets tried on each, {} opened: the group's \
             secret is not in the folder.",
            tried.files, tried.secrets, tried.opened
        ),
        tried.opened == 0
            && tried.secrets > 0
            && tried.all_failed_at_the_seal
            && tried.is_all_of(cast.keys.first(2)),
    );
    Ok(tried.json())
}

/// The phisher, who made the QR code, can make adverts for it, but not the one that was sent.
pub(super) fn with_a_faked_advert(
    cast: &mut Cast,
    claims: &mut Claims<'_>,
) -> Result<Value, StoryError> {
    claims.tell(
        "phisher",
        "shows another code, and fakes in its own air the advert that it cannot hear.",
    );
    cast.phone.open(&cast.stage)?;
    let (mut desktop, url) = lure(cast, FAR_AWAY, "20")?;
    desktop.close_input();
    cast.phone.event("advertising")?;
    thief::fake_advert(
        &url,
        &cast.stage.air(AT_HOME),
        &cast.stage.air(FAR_AWAY).join("faked.advert"),
    )?;
    claims.tell("Ana", "opens the program again, and is fooled again.");
    let (events, end) = cast.phone.end()?;
    let finished = desktop.finish(PATIENCE)?;
    let heard = Heard::read(cast, FAR_AWAY, &finished);
    let words = end["message"].as_str().unwrap_or_default();
    claims.quote("phone", words);
    claims.claim(
        "They meet at the relay, but the handshake fails: its key covers every byte of the advert.",
        finished.code == 1 && heard.phone && heard.connected && events == ["error"],
    );
    let mut facts = heard.json(&finished);
    facts["phone_said"] = words.into();
    facts["phone_events"] = events.into();
    Ok(facts)
}

/// With a radio beside the phone only the person can stop the phisher: the risk that remains. Ana
/// does here what the prompt is for.
pub(super) fn from_nearby(cast: &mut Cast, claims: &mut Claims<'_>) -> Result<Value, StoryError> {
    claims.tell(
        "phisher",
        "comes back with a radio in Ana's very room. That risk remains.",
    );
    let (mut desktop, _) = lure(cast, AT_HOME, "20")?;
    let shown = desktop.event("confirm-code")?;
    desktop.say("y")?;
    let prompt = cast.phone.prompt()?;
    let (device, code) = (
        text(Program::Phone, &prompt, "device")?,
        text(Program::Phone, &prompt, "code")?,
    );
    claims.tell(
        "phone",
        &format!("asks: let “{device}” into your group? Number {code}."),
    );
    claims.claim(
        "Even so the phone asks first, with the computer's name and its six digits.",
        prompt["kind"] == "join"
            && device == cast.phisher.name
            && code == text(Program::Desktop, &shown, "code")?,
    );
    claims.tell("Ana", "has no such computer, and says no.");
    cast.phone.refuse()?;
    let done = cast.phone.event("done")?;
    let error = cast.phone.event("error")?;
    let words = text(Program::Phone, &error, "message")?;
    claims.quote("phone", &words);
    let finished = desktop.finish(PATIENCE)?;
    let heard = Heard::read(cast, AT_HOME, &finished);
    claims.claim(
        "Her no ends it; the phisher's computer is told so (exit 3).",
        finished.code == 3 && heard.phone && done["outcome"] == "refused",
    );
    cast.phone.close()?;
    let mut facts = heard.json(&finished);
    facts["prompt"] = prompt;
    facts["phone_said"] = words.into();
    Ok(facts)
}

/// Tells the sentence with which a program of `--json` gave up.
fn quote_error(claims: &mut Claims<'_>, who: &str, err: &str) {
    let mut events = err.lines().filter_map(event_of);
    let error = events.find(|(name, _)| name == "error");
    if let Some(words) = error
        .as_ref()
        .and_then(|(_, value)| value["message"].as_str())
    {
        claims.quote(who, words);
    }
}
