//! What who runs the site is told.

use handfast_relying_party::cmtg::CmtgFault;
use handfast_relying_party::site::Notice;
use serde_json::{Value, json};

use crate::device::{Device, alter};
use crate::world::{Visitor, World};

/// The rejections so far: endpoint, rule, fault.
fn rejections(world: &World) -> Vec<(&'static str, Option<&'static str>, Option<CmtgFault>)> {
    let told = world.told().into_iter();
    let rejections = told.filter_map(|notice| match notice {
        Notice::Rejected {
            endpoint,
            rule,
            fault,
            ..
        } => Some((endpoint, rule, fault)),
        _ => None,
    });
    rejections.collect()
}

#[test]
fn each_rejection_is_told_with_its_rule_and_a_trust_group_keys_with_its_fault() {
    let (mut world, mut visitor, mut device) = (World::new(), Visitor::default(), Device::new());
    world.register(&mut visitor, &mut device, "ada");
    type Alter = fn(&mut Value);
    let cases: [(&str, Option<&str>, Alter); 5] = [
        ("Origin", None, |answer| {
            alter(&mut answer["response"]["clientDataJSON"], |bytes| {
                let text = String::from_utf8(bytes.clone()).unwrap();
                *bytes = text.replace("example.org", "evil.net").into_bytes();
            });
        }),
        ("Malformed", None, |answer| answer["type"] = Value::Null),
        ("TrustGroupKey", Some("S1"), |answer| {
            answer["clientExtensionResults"] = json!({});
        }),
        ("TrustGroupKey", Some("S1"), |answer| {
            let key = &mut answer["clientExtensionResults"]["cmtgKey"]["cmtgKey"];
            alter(key, |bytes| *bytes.last_mut().unwrap() ^= 1);
        }),
        ("TrustGroupKey", Some("S6"), |answer| {
            let signature = &mut answer["clientExtensionResults"]["cmtgKey"]["signature"];
            alter(signature, |bytes| bytes.push(0));
        }),
    ];
    for (rule, fault, change) in cases {
        let options = world.ask(&mut visitor, "sign-in/options", json!({}));
        let mut answer = device.get(&options).finish();
        change(&mut answer);
        let (status, body) = world.post(&mut visitor, "sign-in/verify", answer);
        assert_eq!((status, &body["rule"]), (400, &json!(rule)));
        let (endpoint, told, met) = *rejections(&world).last().unwrap();
        assert_eq!((endpoint, told), ("sign-in/verify", Some(rule)));
        assert_eq!(met.map(CmtgFault::rule), fault, "{met:?}");
        let notice = world.told().pop().unwrap();
        assert_eq!(notice.json()["fault"], json!(fault));
        assert!(notice.text().contains(rule), "{}", notice.text());
        assert!(
            notice.text().contains(fault.unwrap_or("")),
            "{}",
            notice.text()
        );
    }
}

#[test]
fn what_is_told_holds_no_session_and_nothing_of_the_request() {
    let (mut world, mut visitor, mut device) = (World::new(), Visitor::default(), Device::new());
    world.register(&mut visitor, &mut device, "ada");
    let options = world.ask(&mut visitor, "sign-in/options", json!({}));
    let mut answer = device.get(&options).finish();
    answer["clientExtensionResults"] = json!({});
    world.post(&mut visitor, "sign-in/verify", answer.clone());
    world.post(&mut visitor, "step-up", json!({"code": "133713"}));
    let path = "a\x1b[2J";
    assert_eq!(world.post(&mut visitor, path, json!({})).0, 404);
    world.post(&mut Visitor::default(), "account", json!({}));

    let told = world.told();
    assert_eq!(told.len(), 3, "{told:?}");
    let secret = |member: &str| answer["response"][member].as_str().unwrap().to_owned();
    let secrets = [
        visitor.token.clone().unwrap(),
        secret("signature"),
        secret("authenticatorData"),
        secret("clientDataJSON"),
        "133713".to_owned(),
        path.to_owned(),
    ];
    for notice in told {
        let said = format!("{}{}", notice.json(), notice.text());
        for secret in &secrets {
            assert!(!said.contains(secret), "{said}");
        }
    }
}

#[test]
fn a_trust_group_key_that_is_shared_by_passkeys_is_told() {
    let mut world = World::new();
    let (mut ada, mut bob) = (Visitor::default(), Visitor::default());
    let (mut first, mut second) = (Device::new(), Device::new());
    second.group.clone_from(&first.group);
    world.register(&mut ada, &mut first, "ada");
    world.sign_in(&mut ada, &first);
    let repeats = |world: &World| {
        let told = world.told().into_iter();
        told.filter(|notice| matches!(notice, Notice::RepeatedKey { .. }))
            .count()
    };
    assert_eq!(repeats(&world), 0);

    // A repeat is told, and changes nothing: keys are never matched across passkeys.
    let decision = world.register(&mut bob, &mut second, "bob");
    assert_eq!(decision["outcome"], "new-group");
    assert_eq!(repeats(&world), 1);
    assert_eq!(world.sign_in(&mut ada, &first)["outcome"], "known");
    assert_eq!(repeats(&world), 2);
    let notice = world.told().into_iter().rev();
    let mut notice = notice.filter(|notice| matches!(notice, Notice::RepeatedKey { .. }));
    let notice = notice.next().unwrap().json();
    assert_eq!(notice["event"], "repeated-key");
    assert_eq!(notice["key"], first.key());
    assert_eq!(notice["passkeys"].as_array().unwrap().len(), 2, "{notice}");
}
