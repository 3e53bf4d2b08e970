use handfast_proto::trust::Method;
use serde_json::{Value, json};

use super::clock::day;
use crate::engine::printable;
use crate::group::Status;

/// Tells a person who is in the trust group; `none` is said where there is no group.
pub fn group_words(status: &Status, none: &str) -> String {
    let Some(group) = status.group else {
        return none.to_owned();
    };
    let keys = match status.keys {
        1 => "1 key".to_owned(),
        keys => format!("{keys} keys"),
    };
    let mut words = format!("Trust group {group}, {keys}");
    for member in &status.members {
        let how = match member.method {
            None => "made the group",
            Some(Method::Simulated) => "joined over SIMULATED radio, which proves nothing",
            Some(_) => "joined nearby",
        };
        let this = if member.is_this { " (this device)" } else { "" };
        let name = printable(member.name.as_str());
        let since = day(member.since);
        words.push_str(&format!("\n  {name}{this}: {how}, {since}"));
    }
    words
}

/// Tells a program the same.
pub fn group_json(status: &Status) -> Value {
    let members = status.members.iter().map(|member| {
        json!({
            "device": member.device.to_string(),
            "name": member.name.as_str(),
            "method": member.method.map_or("create", Method::name),
            "since": member.since,
            "this": member.is_this,
        })
    });
    json!({
        "group": status.group.map(|group| group.to_string()),
        "members": members.collect::<Vec<_>>(),
        "keys": status.keys,
    })
}
