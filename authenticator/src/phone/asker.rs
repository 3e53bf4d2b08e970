//! What the owner is told of the computer that asks.

use serde_json::Value;

use crate::console::{day, steady};
use crate::engine::{Computer, Introduced, Standing};

/// What he should look at, where nothing that is known of the computer speaks for it.
const CAREFUL: &str = "go on only if it is the one in front of you.";

/// Says who asks, in a sentence or two. What speaks against the computer stands before any words of its own.
pub(super) fn words(computer: &Computer) -> String {
    match computer {
        Computer::ThisDevice => "Asked by this device itself.".to_owned(),
        Computer::TestTool => "Asked by a tool for tests.".to_owned(),
        Computer::Introduced(introduced) => of_introduced(introduced),
        Computer::Impostor => {
            "REFUSE: asked by a computer that passes for one of yours and CANNOT PROVE IT. It knows a secret \
             that only your devices should have; a new key of the vault shuts it out: handfast-authenticator \
             vault rekey"
                .to_owned()
        }
        Computer::Unknown => format!(
            "Asked by a computer that is new to this device, or does not say who it is: {CAREFUL}"
        ),
    }
}

fn of_introduced(introduced: &Introduced) -> String {
    let name = introduced.name.as_deref().map(quoted);
    let named = match &name {
        Some(name) => format!("calls itself {name}"),
        None => "its name has not arrived here yet".to_owned(),
    };
    let name = name.as_deref().unwrap_or("a computer without a name");
    match introduced.standing {
        Standing::Linked { since, simulated } => {
            let by = match simulated {
                true => ", over a SIMULATED radio: nothing proved that it was near",
                false => "",
            };
            let outdated = match introduced.outdated {
                true => format!(
                    " It has NOT OPENED your vault since you gave that a new key, as it should once (there: handfast \
                     vault status): {CAREFUL}"
                ),
                false => String::new(),
            };
            let since = day(since);
            format!("Asked by {name}, linked with your devices since {since}{by}.{outdated}")
        }
        Standing::Own => {
            "Asked by this very device, or by a COPY of it: go on only if you asked for this here."
                .to_owned()
        }
        Standing::Removed => format!(
            "REFUSE, unless you know why: asked by a computer that was PUT OUT of your trust group, {name}."
        ),
        Standing::Vault { .. } => format!(
            "Asked by a computer that is NOT LINKED with this device, as far as that has heard. It knows {}, and \
             {named}: {CAREFUL}",
            match introduced.outdated {
                true => "only an EARLIER key of your vault",
                false => "your vault",
            }
        ),
    }
}

/// Says the same to a program, as members of an event.
pub(super) fn tell(computer: &Computer, event: &mut Value) {
    let kind = match computer {
        Computer::ThisDevice => "this-device",
        Computer::TestTool => "test-tool",
        Computer::Impostor => "impostor",
        Computer::Unknown => "unknown",
        Computer::Introduced(introduced) => match introduced.standing {
            Standing::Linked { .. } => "linked",
            Standing::Own => "own",
            Standing::Removed => "removed",
            Standing::Vault { .. } => "in-vault",
        },
    };
    event["computer"] = kind.into();
    let Computer::Introduced(introduced) = computer else {
        return;
    };
    let (since, simulated) = match introduced.standing {
        Standing::Linked { since, simulated } => (Some(since), Some(simulated)),
        Standing::Vault { since } => (since, None),
        Standing::Own | Standing::Removed => (None, None),
    };
    event["computer_name"] = introduced.name.as_deref().into();
    event["computer_since"] = since.into();
    event["computer_simulated"] = simulated.into();
    event["computer_outdated"] = introduced.outdated.into();
}

/// A name that somebody else chose, as a person reads it: it stands between marks that nothing in it looks like.
pub(super) fn quoted(name: &str) -> String {
    let is_mark = |letter| {
        matches!(
            letter,
            '"' | '«' | '»' | '‹' | '›' | 'ʺ' | 'ˮ' | '″' | '‶' | '〃' | '＂'
        ) || ('“'..='‟').contains(&letter)
            || ('❝'..='❞').contains(&letter)
            || ('〝'..='〟').contains(&letter)
            || ('\u{1f676}'..='\u{1f678}').contains(&letter)
    };
    let name = name.replace(is_mark, "'");
    format!("“{}”", steady(&name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn introduced(name: &str, standing: Standing) -> Introduced {
        Introduced {
            name: (!name.is_empty()).then(|| name.to_owned()),
            standing,
            outdated: false,
        }
    }

    fn said(introduced: &Introduced) -> String {
        words(&Computer::Introduced(introduced.clone()))
    }

    const LINKED: Standing = Standing::Linked {
        since: 1_752_000_000,
        simulated: false,
    };
    const IN_VAULT: Standing = Standing::Vault { since: Some(0) };

    #[test]
    fn only_a_linked_computer_is_named_without_a_warning() {
        let linked = introduced("laptop", LINKED);
        assert_eq!(
            said(&linked),
            "Asked by “laptop”, linked with your devices since 2025-07-08."
        );
        let simulated = Standing::Linked {
            since: 1_752_000_000,
            simulated: true,
        };
        let outdated = Introduced {
            outdated: true,
            ..linked
        };
        let earlier = Introduced {
            outdated: true,
            ..introduced("laptop", IN_VAULT)
        };
        for (introduced, warning) in [
            (outdated, "NOT OPENED your vault"),
            (earlier, "only an EARLIER key"),
            (introduced("laptop", simulated), "nothing proved"),
            (introduced("laptop", Standing::Own), "a COPY of it"),
            (introduced("laptop", Standing::Removed), "PUT OUT"),
            (introduced("laptop", IN_VAULT), "NOT LINKED"),
            (
                introduced("", IN_VAULT),
                "its name has not arrived here yet",
            ),
        ] {
            let said = said(&introduced);
            assert!(said.contains(warning), "{said}");
        }
        assert!(words(&Computer::Impostor).contains("CANNOT PROVE IT"));
        assert!(words(&Computer::Unknown).contains(CAREFUL));
    }

    #[test]
    fn what_a_computer_calls_itself_comes_after_what_is_said_of_it() {
        for mark in ["”", "\"", "❞", "＂", "″"] {
            let name = format!("laptop{mark}, linked with your devices since 2025-07-08.");
            let said = said(&introduced(&name, IN_VAULT));
            assert!(
                said.starts_with("Asked by a computer that is NOT LINKED"),
                "{said}"
            );
            assert!(said.contains("“laptop', linked with"), "{said}");
            assert_eq!(said.matches(['“', '”', '"']).count(), 2, "{said}");
        }
    }

    #[test]
    fn a_program_learns_the_same() {
        let told = |computer: &Computer| {
            let mut event = json!({});
            tell(computer, &mut event);
            event
        };
        for (standing, kind, since) in [
            (LINKED, "linked", json!(1_752_000_000)),
            (Standing::Own, "own", json!(null)),
            (Standing::Removed, "removed", json!(null)),
            (IN_VAULT, "in-vault", json!(0)),
        ] {
            let expected = json!({
                "computer": kind, "computer_name": "laptop", "computer_since": since,
                "computer_simulated": (standing == LINKED).then_some(false), "computer_outdated": false,
            });
            assert_eq!(
                told(&Computer::Introduced(introduced("laptop", standing))),
                expected
            );
        }
        let nameless = told(&Computer::Introduced(introduced("", IN_VAULT)));
        assert_eq!(nameless["computer_name"], Value::Null);
        for (computer, name) in [
            (Computer::Impostor, "impostor"),
            (Computer::TestTool, "test-tool"),
            (Computer::ThisDevice, "this-device"),
            (Computer::Unknown, "unknown"),
        ] {
            assert_eq!(told(&computer), json!({"computer": name}));
        }
    }
}
