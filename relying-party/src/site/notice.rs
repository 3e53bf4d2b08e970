//! What who runs the site gets to know of it.

use serde_json::{Value, json};

use crate::cmtg::CmtgFault;

/// Something that happened at the site. No notice holds a session, nor what a request carried.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Notice {
    /// A one-time code, on its way to the user: mail, a letter, an app at another site.
    Code {
        /// Whose.
        user: String,
        /// Six digits.
        code: String,
    },
    /// A ceremony was good, and this was made of it.
    Decision {
        /// `register`, `sign-in` or `step-up`.
        event: &'static str,
        /// What the visitor was told.
        answer: Value,
    },
    /// A request was not granted.
    Rejected {
        /// What was asked for.
        endpoint: &'static str,
        /// The status of the answer.
        status: u16,
        /// The name of the [`crate::Rule`] that was broken, or `Request` for a request that makes no
        /// sense; none where the moment was wrong.
        rule: Option<&'static str>,
        /// What is wrong with the trust-group key, if it was that.
        fault: Option<CmtgFault>,
        /// The reason.
        why: String,
    },
    /// Several passkeys present one trust-group key, which links what should not be linked.
    RepeatedKey {
        /// The key, by its short name.
        key: String,
        /// The passkeys, by the beginnings of their names, the one of this ceremony first.
        passkeys: Vec<String>,
    },
    /// The store failed; the visitor was told to come back.
    StoreFailed {
        /// The reason.
        why: String,
    },
}

impl Notice {
    /// Returns it for a program: an object with the name of what happened in `event`.
    pub fn json(&self) -> Value {
        match self {
            Self::Code { user, code } => {
                json!({"event": "step-up-code", "user": user, "code": code})
            }
            Self::Decision { event, answer } => {
                let mut told = answer.clone();
                told["event"] = (*event).into();
                told
            }
            Self::Rejected {
                endpoint,
                status,
                rule,
                fault,
                why,
            } => json!({
                "event": "rejected",
                "endpoint": endpoint,
                "status": status,
                "rule": rule,
                "fault": fault.map(CmtgFault::rule),
                "why": why,
            }),
            Self::RepeatedKey { key, passkeys } => {
                json!({"event": "repeated-key", "key": key, "passkeys": passkeys})
            }
            Self::StoreFailed { why } => json!({"event": "store-failed", "why": why}),
        }
    }

    /// Returns it for a person, in a line.
    pub fn text(&self) -> String {
        match self {
            Self::Code { user, code } => format!("step-up code for {user}: {code}"),
            Self::Decision { event, answer } => {
                let text = |name| answer.get(name).and_then(Value::as_str).unwrap_or_default();
                let (user, outcome, why) = (text("user"), text("outcome"), text("why"));
                format!("{event} {user}: {outcome}, {why}")
            }
            Self::Rejected {
                endpoint,
                rule,
                fault,
                why,
                ..
            } => {
                let rule = rule.map_or_else(String::new, |rule| format!("{rule}: "));
                let fault = fault.map_or_else(String::new, |fault| format!("{}: ", fault.rule()));
                format!("rejected {endpoint}: {rule}{fault}{why}")
            }
            Self::RepeatedKey { key, passkeys } => format!(
                "trust-group key {key} is that of several passkeys ({}): their credential manager \
                 lets sites link them",
                passkeys.join(", ")
            ),
            Self::StoreFailed { why } => format!("The store failed: {why}."),
        }
    }
}
