//! What the owner is told of the computer that asks.

use serde_json::{Value, json};

use crate::console::{day, steady};
use crate::engine::{Computer, Introduced, Standing};

/// What he should look at, where nothing that is known of the computer speaks for it.
const CAREFUL: &str = "go on only if it is the one in front of you.";

/// Says who asks, in a sentence or two.
pub(super) fn words(computer: &Computer) -> String {
    match computer {
        Computer::ThisDevice => "Asked by this device itself.".to_owned(),
        Computer::TestTool => "Asked by a tool for tests.".to_owned(),
        Computer::Introduced(introduced) => of_introduced(introduced),
        Computer::Impostor => {
            "Asked by a computer that says it is one of yours and CANNOT PROVE IT. It knows your \
             vault's key: refuse, and choose a new pass phrase."
                .to_owned()
        }
        Computer::Unknown => format!(
            "Asked by a computer that is new to this device, or does not say who it is: {CAREFUL}"
        ),
    }
}

fn of_introduced(introduced: &Introduced) -> String {
    let name = match &introduced.name {
        Some(name) => quoted(name),
        None => "a computer without a name".to_owned(),
    };
    match introduced.standing {
        Standing::Linked { since, simulated } => {
            let doubt = match simulated {
                true => ", by a SIMULATED radio, which proves nothing",
                false => "",
            };
            let since = day(since);
            format!("Asked by {name}, linked with your devices since {since}{doubt}.")
        }
        Standing::Removed => {
            format!("Asked by {name}, which was PUT OUT of your trust group: {CAREFUL}")
        }
        Standing::Vault { since } => {
            let since = match since {
                Some(since) => format!(" since {}", day(since)),
                None => String::new(),
            };
            format!(
                "Asked by {name}, which has your vault{since} but was never linked. Whoever knows the pass phrase \
                 can be that: {CAREFUL}"
            )
        }
    }
}

/// Says the same to a program, as members of an event.
pub(super) fn tell(computer: &Computer, event: &mut Value) {
    let (kind, introduced) = match computer {
        Computer::ThisDevice => ("this-device", None),
        Computer::TestTool => ("test-tool", None),
        Computer::Impostor => ("impostor", None),
        Computer::Introduced(introduced) => {
            let kind = match introduced.standing {
                Standing::Linked { .. } => "linked",
                Standing::Removed => "removed",
                Standing::Vault { .. } => "in-vault",
            };
            (kind, Some(introduced))
        }
        Computer::Unknown => ("unknown", None),
    };
    event["computer"] = kind.into();
    let Some(introduced) = introduced else {
        return;
    };
    event["computer_name"] = introduced.name.as_deref().into();
    match introduced.standing {
        Standing::Linked { since, simulated } => {
            event["computer_since"] = since.into();
            event["computer_simulated"] = simulated.into();
        }
        Standing::Vault { since } => event["computer_since"] = json!(since),
        Standing::Removed => {}
    }
}

/// A name that somebody else chose, as a person reads it: it stands between marks that are not in it.
pub(super) fn quoted(name: &str) -> String {
    let name = name.replace(['“', '”', '„', '‟'], "\"");
    format!("“{}”", steady(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn introduced(name: &str, standing: Standing) -> Computer {
        Computer::Introduced(Introduced {
            name: (!name.is_empty()).then(|| name.to_owned()),
            standing,
        })
    }

    const LINKED: Standing = Standing::Linked {
        since: 1_752_000_000,
        simulated: false,
    };

    #[test]
    fn only_a_linked_computer_is_named_without_a_warning() {
        assert_eq!(
            words(&introduced("laptop", LINKED)),
            "Asked by “laptop”, linked with your devices since 2025-07-08."
        );
        let simulated = Standing::Linked {
            since: 1_752_000_000,
            simulated: true,
        };
        for (computer, warning) in [
            (introduced("laptop", simulated), "proves nothing"),
            (introduced("laptop", Standing::Removed), "PUT OUT"),
            (
                introduced("laptop", Standing::Vault { since: Some(0) }),
                "since 1970-01-01 but was never linked",
            ),
            (
                introduced("", Standing::Vault { since: None }),
                "never linked",
            ),
            (Computer::Impostor, "CANNOT PROVE IT"),
            (Computer::Unknown, CAREFUL),
        ] {
            let words = words(&computer);
            assert!(words.contains(warning), "{words}");
        }
    }

    #[test]
    fn a_name_cannot_pass_for_what_is_said_of_it() {
        let name = "laptop”, linked with your devices since 2020-01-01. “Not";
        let vault = introduced(name, Standing::Vault { since: None });
        let words = words(&vault);
        assert!(
            words.starts_with(
                "Asked by “laptop\", linked with your devices since 2020-01-01. \"Not”, which has"
            ),
            "{words}"
        );
    }

    #[test]
    fn a_program_learns_the_same() {
        let told = |computer: &Computer| {
            let mut event = json!({});
            tell(computer, &mut event);
            event
        };
        let linked = json!({
            "computer": "linked", "computer_name": "laptop", "computer_since": 1_752_000_000,
            "computer_simulated": false,
        });
        assert_eq!(told(&introduced("laptop", LINKED)), linked);
        let vault = introduced("", Standing::Vault { since: None });
        let unheard =
            json!({"computer": "in-vault", "computer_name": null, "computer_since": null});
        assert_eq!(told(&vault), unheard);
        let removed = told(&introduced("old", Standing::Removed));
        assert_eq!(
            removed,
            json!({"computer": "removed", "computer_name": "old"})
        );
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
