//! Rules broken one at a time.

use std::collections::BTreeSet;

use handfast_relying_party::Rule;
use serde_json::{Value, json};

use crate::device::{Device, Draft};
use crate::world::{Visitor, World};
use crate::{authentication, registration};

/// One thing that is wrong, and the rule by which it must be rejected. `A` is what the site asked
/// for and knows.
pub(crate) struct Case<A> {
    pub(crate) rule: Rule,
    pub(crate) what: &'static str,
    pub(crate) asked: fn(&mut A),
    pub(crate) draft: fn(&mut Draft),
    pub(crate) answer: fn(&mut Value),
}

impl<A> Case<A> {
    fn new(rule: Rule, what: &'static str) -> Self {
        Self {
            rule,
            what,
            asked: |_| {},
            draft: |_| {},
            answer: |_| {},
        }
    }
}

/// The site expects, or knows, something else than the answer is for.
pub(crate) fn asked<A>(rule: Rule, what: &'static str, asked: fn(&mut A)) -> Case<A> {
    Case {
        asked,
        ..Case::new(rule, what)
    }
}

/// The device, or the browser, says something else; and all signatures hold.
pub(crate) fn said<A>(rule: Rule, what: &'static str, draft: fn(&mut Draft)) -> Case<A> {
    Case {
        draft,
        ..Case::new(rule, what)
    }
}

/// The answer is altered on its way.
pub(crate) fn sent<A>(rule: Rule, what: &'static str, answer: fn(&mut Value)) -> Case<A> {
    Case {
        answer,
        ..Case::new(rule, what)
    }
}

fn rejected((status, body): (u16, Value), rule: Rule) -> Rule {
    assert_eq!(status, 400, "{body}");
    assert_eq!(body["rule"], rule.name(), "{body}");
    rule
}

/// The rules that only a site can check: what it has stored, and what it makes of trust-group keys.
fn at_the_site() -> BTreeSet<Rule> {
    let mut world = World::new();
    let (mut ada, mut bob) = (Visitor::default(), Visitor::default());
    let mut device = Device::new();
    world.register(&mut ada, &mut device, "ada");

    let options = world.ask(&mut bob, "register/options", json!({"username": "bob"}));
    let stolen = device.copy().create(&options).finish();
    let answer = world.post(&mut bob, "register/verify", stolen);
    let mut met = BTreeSet::from([rejected(answer, Rule::CredentialAlreadyRegistered)]);

    let options = world.ask(&mut ada, "sign-in/options", json!({}));
    let unknown = Device::new().get(&options).finish();
    let answer = world.post(&mut ada, "sign-in/verify", unknown);
    met.insert(rejected(answer, Rule::CredentialUnknown));

    let options = world.ask(&mut ada, "sign-in/options", json!({}));
    let mut injected = device.get(&options).finish();
    injected["clientExtensionResults"] = json!({});
    let answer = world.post(&mut ada, "sign-in/verify", injected);
    met.insert(rejected(answer, Rule::TrustGroupKey));

    let mut second = Device::new();
    let options = world.ask(&mut bob, "register/options", json!({"username": "bob"}));
    let mut injected = second.create(&options).finish();
    injected["clientExtensionResults"] = json!({});
    let answer = world.post(&mut bob, "register/verify", injected);
    met.insert(rejected(answer, Rule::TrustGroupKey));
    let bob = world.post(&mut bob, "register/options", json!({"username": "bob"}));
    assert_eq!(bob.0, 200, "nothing of the two is kept: {}", bob.1);
    met
}

#[test]
fn every_rule_is_broken_by_some_case_and_named() {
    let met: BTreeSet<Rule> = [
        registration::each_case_is_rejected(),
        authentication::each_case_is_rejected(),
        at_the_site(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let never: Vec<&Rule> = Rule::ALL
        .iter()
        .filter(|rule| !met.contains(rule))
        .collect();
    assert!(never.is_empty(), "{never:?} are never broken");
    let mut names: Vec<&str> = Rule::ALL.iter().map(|rule| rule.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Rule::ALL.len());
}
