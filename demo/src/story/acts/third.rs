//! Act 3: two computers are linked, and present K1.

use serde_json::{Value, json};

use super::conflict;
use super::link::link;
use crate::story::StoryError;
use crate::story::cast::{AT_HOME, Cast, members, one_group};
use crate::story::claims::Claims;

pub(super) fn play(cast: &mut Cast, claims: &mut Claims<'_>) -> Result<Value, StoryError> {
    let laptop = the_laptop(cast, claims)?;
    claims.pause();
    let workstation = the_workstation(cast, claims)?;
    cast.phone.close()?;
    claims.pause();
    let conflict = conflict::play(cast, claims)?;
    claims.pause();
    let group = the_group(cast, claims)?;
    Ok(json!({
        "codes": {"laptop": laptop, "workstation": workstation},
        "group": group,
        "conflict": conflict,
    }))
}

fn the_laptop(cast: &mut Cast, claims: &mut Claims<'_>) -> Result<String, StoryError> {
    let laptop = cast.laptop.clone();
    let code = link(cast, claims, &laptop)?;
    claims.tell("laptop", "signs in again with its copy of the passkey.");
    let (exit, decision) = cast.sign_in(&laptop, AT_HOME)?;
    claims.sign_in(
        "laptop, linked with the phone",
        &decision,
        format!(
            "The laptop presents K1 itself ({}), although the site trusts its K2 by now; no code \
             is asked for.",
            decision.key
        ),
        exit == 0 && decision.is_known() && decision.key_name == "K1",
    );
    Ok(code)
}

fn the_workstation(cast: &mut Cast, claims: &mut Claims<'_>) -> Result<String, StoryError> {
    let workstation = cast.workstation.clone();
    let code = link(cast, claims, &workstation)?;
    claims.tell(
        "workstation",
        "signs in for the first time ever; this site has never seen it.",
    );
    let (exit, decision) = cast.sign_in(&workstation, AT_HOME)?;
    claims.sign_in(
        "workstation, linked beforehand",
        &decision,
        format!(
            "Linked from the start, it presents K1 ({}) at once; no code is asked for.",
            decision.key
        ),
        exit == 0 && decision.is_known() && decision.key_name == "K1",
    );
    cast.settle()?;
    Ok(code)
}

/// Asks all three devices who is in their group.
fn the_group(cast: &mut Cast, claims: &mut Claims<'_>) -> Result<Value, StoryError> {
    claims.tell("Ana", "asks each of her devices: handfast group status.");
    let told = cast.ask_everywhere(&["group", "status"])?;
    cast.group = one_group(&told);
    let group = cast.group.clone().unwrap_or_default();
    claims.claim(
        "All three name the same three members: laptop and workstation are in one group, though \
         only the phone ever met either.",
        members(&group) == ["Ana's laptop", "Ana's phone", "Ana's workstation"],
    );
    let methods = group["members"].as_array().map(|members| {
        let methods = members
            .iter()
            .filter_map(|member| member["method"].as_str());
        let simulated = methods.filter(|method| *method == "simulated");
        simulated.count()
    });
    claims.claim(
        "Of both it is noted that they came in over a simulated radio.",
        methods == Some(2),
    );
    Ok(match cast.group {
        Some(_) => group,
        None => told.into(),
    })
}
