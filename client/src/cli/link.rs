//! `link`: join the trust group of the phone beside this computer (`trust-group.md` §4.3).

use std::path::PathBuf;
use std::time::Duration;

use handfast_authenticator::console::{Failure, code};
use handfast_authenticator::engine::{Authenticator, printable};
use handfast_authenticator::group;
use handfast_proto::hybrid::qr::Hint;
use handfast_proto::trust::join::Joiner;
use handfast_proto::trust::{Method, SUPPORT_VERSION};
use rand_core::OsRng;
use serde_json::json;
use tokio::time::timeout;

use super::Hybrid;
use super::commands::Nearby;
use super::failure::not_joined;
use super::unlock;
use super::voice::Voice;
use crate::ceremony::Session;

/// How long the person at this computer has. The phone gives a minute (`trust-group.md` §4.3), and ours
/// must be over before, or a person who was slow would be told that the phone left.
const PATIENCE: Duration = Duration::from_secs(55);

pub(super) fn link(hybrid: &Hybrid, vault: Option<PathBuf>, voice: Voice) -> Result<(), Failure> {
    let nearby = Nearby::prepare(hybrid, voice)?;
    let mut authenticator = unlock::open(vault, voice)?;
    group::may_join(&authenticator.device)?;
    let method = match nearby.is_simulated() {
        true => Method::Simulated,
        false => Method::HybridQr,
    };
    let patience = hybrid.patience().map_or(PATIENCE, |p| p.min(PATIENCE));
    nearby.with_phone(Hint::GetAssertion, hybrid, voice, async |session| {
        let phone = join(session, &mut authenticator, method, patience, voice).await?;
        let words = format!("This computer and “{phone}” are in one trust group now.");
        let value = json!({"linked": true, "phone": phone, "method": method.name()});
        voice.result(&words, &value)?;
        voice.say("Done.", &json!({"event": "done"}));
        Ok(())
    })
}

/// Lets the person at this computer confirm the number, as long as the phone stays.
async fn confirm(
    session: &mut Session,
    number: &str,
    phone: &str,
    patience: Duration,
    voice: Voice,
) -> Result<(), Failure> {
    let question = format!("Your phone “{phone}” will show {number}. Go on? [y/N] ");
    let event = json!({"event": "confirm-code", "code": number, "device": phone});
    let asked = timeout(patience, voice.ask_aside(question, event));
    let answer = match session.meanwhile(asked).await {
        Ok(Ok(answer)) => answer.unwrap_or_default(),
        Ok(Err(_)) => {
            voice.end_line();
            let seconds = patience.as_secs();
            return Err(Failure::new(format!(
                "Nobody confirmed the number here within {seconds} seconds"
            ))
            .with_hint("Nothing was changed. Link again, and answer when the number is shown.")
            .with_code(code::TIMED_OUT));
        }
        Err(error) => {
            voice.end_line();
            return Err(error.into());
        }
    };
    if matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(Failure::new("You did not confirm the number")
        .with_hint("Nothing was changed.")
        .with_code(code::REFUSED))
}

async fn join(
    session: &mut Session,
    authenticator: &mut Authenticator,
    method: Method,
    patience: Duration,
    voice: Voice,
) -> Result<String, Failure> {
    let ready = session
        .ready(&mut |progress| voice.progress(progress))
        .await?;
    if !ready.info.has_version(SUPPORT_VERSION) {
        return Err(Failure::new("This phone has no trust groups")
            .with_hint("Link with a phone that runs handfast-authenticator."));
    }
    let Authenticator { vault, device } = &*authenticator;
    let member = vault.member_key();
    let config = group::join_config(vault, device, &member, method);
    let (joiner, request) = Joiner::start(&config, ready.handshake_hash.0, &mut OsRng);
    // The phone answers this by itself, and the last step too.
    let offer = session.ask(request, &mut |_| {}).await?;
    let offered = joiner.handle_offer(&offer, &config).map_err(not_joined)?;
    let (number, phone) = (
        offered.code().to_string(),
        printable(offered.granter().name.as_str()),
    );
    confirm(session, &number, &phone, patience, voice).await?;
    let (awaiting, request) = offered.confirm();
    let mut tell = |progress| voice.progress(progress);
    let sealed = session.ask(request, &mut tell).await?;
    let granted = awaiting
        .handle_sealed(&sealed, device.keys())
        .map_err(not_joined)?;
    let request = granted
        .merge(&group::own_keys(device), &mut OsRng)
        .map_err(not_joined)?;
    let ack = session.ask(request, &mut |_| {}).await?;
    granted.handle_ack(&ack).map_err(not_joined)?;
    let Authenticator { vault, device } = authenticator;
    group::commit_join(vault, device, granted, &mut OsRng)?;
    Ok(phone)
}
