//! Act 2: the vault travels, K1 does not.

use serde_json::{Value, json};

use crate::stage::{PATIENCE, Process, Program};
use crate::story::StoryError;
use crate::story::cast::{AT_HOME, Cast, missing, wait_for_a_later_second};
use crate::story::claims::Claims;
use crate::story::decision::Decision;

pub(super) fn play(cast: &mut Cast, claims: &mut Claims<'_>) -> Result<Value, StoryError> {
    claims.tell(
        "file sync",
        "a little later brings the encrypted vault to Ana's laptop and her workstation.",
    );
    cast.start_sync();
    cast.settle()?;
    join_the_vault(cast, claims)?;
    cast.settle()?;

    claims.pause();
    wait_for_a_later_second(cast.first_presented);
    claims.tell("laptop", "signs in with its own copy of the passkey.");
    let mut desktop = cast.begin_sign_in(&cast.laptop, AT_HOME)?;
    // A site that asks for no code is a claim that fails.
    if desktop.event("step-up").is_ok() {
        let code = cast.step_up_code()?;
        desktop.say(&code)?;
    }
    let result = desktop.finish(PATIENCE)?.json()?;
    let decision = Decision::read(&result, "decision", &mut cast.keys)?;
    claims.sign_in(
        "laptop, by pass phrase alone",
        &decision,
        format!(
            "The site sees a key that it does not know, {} ({}), and lets nobody in yet.",
            decision.key_name, decision.key
        ),
        decision.is_unknown() && decision.key_name == "K2",
    );
    claims.tell("Ana", "types the one-time code that the site sent her.");
    let after = match result.get("step_up") {
        Some(_) => Some(Decision::read(&result, "step_up", &mut cast.keys)?),
        None => None,
    };
    claims.quote("site", after.as_ref().map_or("", Decision::why));
    claims.claim(
        "Ana is signed in, and from now on the site trusts K2 as well.",
        after
            .as_ref()
            .is_some_and(|after| after.signed_in() && after.trusted() && after.key == decision.key),
    );
    cast.settle()?;
    Ok(json!({"K2": decision.key, "step_up": after.map(|after| after.value)}))
}

/// Both computers join at once, wherever they are.
fn join_the_vault(cast: &Cast, claims: &mut Claims<'_>) -> Result<(), StoryError> {
    claims.tell(
        "Ana",
        "gives both the pass phrase: they join the vault, as they could from anywhere.",
    );
    let joining = [&cast.laptop, &cast.workstation].map(|computer| cast.begin_vault_join(computer));
    let mut joined = Vec::new();
    for process in joining {
        joined.push(process.and_then(|process: Process| Ok(process.finish(PATIENCE)?))?);
    }
    let failed = joined.iter().find(|finished| finished.code != 0);
    claims.claim(
        "The pass phrase alone opens the vault on both.",
        failed.is_none(),
    );
    match failed {
        Some(failed) => Err(missing(
            Program::Desktop,
            "a joined vault",
            failed.err.clone(),
        )),
        None => Ok(()),
    }
}
