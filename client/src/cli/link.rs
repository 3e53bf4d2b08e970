//! `link`: join the trust group of the phone beside this computer (`trust-group.md` §4.3).

use std::path::PathBuf;

use handfast_authenticator::console::{Failure, code};
use handfast_authenticator::engine::{Authenticator, printable};
use handfast_authenticator::group;
use handfast_proto::hybrid::qr::Hint;
use handfast_proto::trust::join::Joiner;
use handfast_proto::trust::{Method, SUPPORT_VERSION};
use rand_core::OsRng;
use serde_json::json;

use super::Hybrid;
use super::commands::{runtime, show_qr};
use super::failure::not_joined;
use super::unlock;
use super::voice::Voice;
use crate::ceremony::Session;

pub(super) fn link(hybrid: &Hybrid, vault: Option<PathBuf>, voice: Voice) -> Result<(), Failure> {
    let means = hybrid.means()?;
    // All that can fail without the phone fails before a code is shown.
    let mut authenticator = unlock::open(vault, voice)?;
    group::may_join(&authenticator.device)?;
    let method = if means.radio.is_simulated() {
        Method::Simulated
    } else {
        Method::HybridQr
    };
    let mut session = Session::start(means, Hint::GetAssertion);
    show_qr(&session, hybrid, voice)?;
    runtime()?.block_on(async {
        let joined = join(&mut session, &mut authenticator, method, voice).await;
        let told = joined.as_ref().map_or(Ok(()), |phone| {
            let words = format!("This computer and “{phone}” are in one trust group now.");
            voice.result(
                &words,
                &json!({"linked": true, "phone": phone, "method": method.name()}),
            )?;
            voice.say("Done.", &json!({"event": "done"}));
            Ok(())
        });
        session.close().await;
        joined.and(told)
    })
}

async fn join(
    session: &mut Session,
    authenticator: &mut Authenticator,
    method: Method,
    voice: Voice,
) -> Result<String, Failure> {
    let mut tell = |progress| voice.progress(progress);
    let ready = session.ready(&mut tell).await?;
    if !ready.info.has_version(SUPPORT_VERSION) {
        return Err(Failure::new("This phone has no trust groups")
            .with_hint("Link with a phone that runs handfast-authenticator."));
    }
    let Authenticator { vault, device } = &*authenticator;
    let member = vault.member_key();
    let config = group::join_config(vault, device, &member, method);
    let (joiner, request) = Joiner::start(&config, ready.handshake_hash.0, &mut OsRng);
    let offer = session.ask(request, &mut tell).await?;
    let offered = joiner.handle_offer(&offer, &config).map_err(not_joined)?;
    let (number, phone) = (
        offered.code().to_string(),
        printable(offered.granter().name.as_str()),
    );

    let question = format!("Your phone “{phone}” will show {number}. Go on? [y/N] ");
    let event = json!({"event": "confirm-code", "code": number, "device": phone});
    // The session waits meanwhile; its phone gives a minute.
    let answer = tokio::task::spawn_blocking(move || voice.ask(&question, &event)).await;
    let answer = answer
        .ok()
        .flatten()
        .unwrap_or_default()
        .to_ascii_lowercase();
    if !matches!(answer.as_str(), "y" | "yes") {
        return Err(Failure::new("You did not confirm the number")
            .with_hint("Nothing was changed.")
            .with_code(code::REFUSED));
    }
    let (awaiting, request) = offered.confirm();
    let sealed = session.ask(request, &mut tell).await?;
    let granted = awaiting
        .handle_sealed(&sealed, device.keys())
        .map_err(not_joined)?;
    let request = granted
        .merge(&group::own_keys(device), &mut OsRng)
        .map_err(not_joined)?;
    let ack = session.ask(request, &mut tell).await?;
    granted.handle_ack(&ack).map_err(not_joined)?;
    let Authenticator { vault, device } = authenticator;
    group::commit_join(vault, device, granted, &mut OsRng)?;
    Ok(phone)
}
