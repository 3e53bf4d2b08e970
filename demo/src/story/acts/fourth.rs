//! Act 4: the phisher.

use serde_json::{Value, json};

use super::relayed;
use crate::copier::copy_folder;
use crate::stage::{PATIENCE, Program};
use crate::story::StoryError;
use crate::story::cast::{AT_HOME, Cast, FAR_AWAY, missing, one_group};
use crate::story::claims::Claims;

pub(super) fn play(cast: &mut Cast, claims: &mut Claims<'_>) -> Result<Value, StoryError> {
    cast.phone.open(&cast.stage)?;
    steal(cast, claims)?;
    let exit = sign_in(cast, claims)?;
    claims.pause();
    let far = relayed::from_afar(cast, claims)?;
    claims.pause();
    let faked = relayed::with_a_faked_advert(cast, claims)?;
    claims.pause();
    let near = relayed::from_nearby(cast, claims)?;
    claims.pause();
    let after = aftermath(cast, claims)?;
    Ok(json!({
        "sign_in_exit_code": exit,
        "relayed_qr": {
            "from_afar": far,
            "with_a_faked_advert": faked,
            "from_nearby": near,
            "control": "Act 3: the same command, phone and relay in one air reach the phone's prompt.",
        },
        "group_afterwards": after,
    }))
}

fn steal(cast: &Cast, claims: &mut Claims<'_>) -> Result<(), StoryError> {
    claims.tell(
        "phisher",
        "is far away, but has a copy of the whole vault folder and its pass phrase.",
    );
    copy_folder(&cast.phone.home.vault(), &cast.phisher.home.vault())?;
    let joined = cast.begin_vault_join(&cast.phisher)?.finish(PATIENCE)?;
    claims.claim(
        "The stolen pass phrase does open the stolen vault.",
        joined.code == 0,
    );
    match joined.code {
        0 => Ok(()),
        _ => Err(missing(Program::Desktop, "a joined vault", joined.err)),
    }
}

fn sign_in(cast: &mut Cast, claims: &mut Claims<'_>) -> Result<i32, StoryError> {
    claims.tell(
        "phisher",
        "signs in with the stolen passkey. The one-time code goes to Ana, not here.",
    );
    let phisher = cast.phisher.clone();
    let (exit, decision) = cast.sign_in(&phisher, FAR_AWAY)?;
    claims.sign_in(
        "phisher, with all that travels",
        &decision,
        format!(
            "The passkey is good, but the key that comes with it is new, {} ({}): a step-up, and \
             no way past it.",
            decision.key_name, decision.key
        ),
        exit == 7 && decision.is_unknown() && decision.key_name == "K3",
    );
    Ok(exit)
}

/// Nothing of all that has changed anything for Ana.
fn aftermath(cast: &mut Cast, claims: &mut Claims<'_>) -> Result<Value, StoryError> {
    claims.tell("laptop", "signs in once more, as on any other day.");
    let laptop = cast.laptop.clone();
    let (exit, decision) = cast.sign_in(&laptop, AT_HOME)?;
    claims.sign_in(
        "laptop, after all of that",
        &decision,
        format!(
            "Nothing has changed for Ana: K1 ({}) is trusted.",
            decision.key
        ),
        exit == 0 && decision.is_known() && decision.key_name == "K1",
    );
    cast.settle()?;
    let told = cast.ask_everywhere(&["group", "status"])?;
    let group = one_group(&told);
    claims.claim(
        "Her trust group still has exactly its three members.",
        group.is_some() && group == cast.group,
    );
    Ok(group.unwrap_or_else(|| told.into()))
}
