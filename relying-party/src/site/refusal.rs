//! Why the site does not do something, and how it says so.

use std::io::Write;

use serde_json::{Value, json};

use crate::rule::Rule;
use crate::store::StoreError;

/// Why something is not done.
pub(super) enum Refusal {
    /// The request does not make sense now.
    Conflict(&'static str),
    /// A rule of the ceremony was broken.
    Rule(Rule),
    /// The session may not do this.
    SignedOut,
    /// The store failed.
    Store(StoreError),
    /// The request is malformed.
    Usage(&'static str),
    /// Nothing goes by this name.
    Unknown,
}

impl From<Rule> for Refusal {
    fn from(rule: Rule) -> Self {
        Self::Rule(rule)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::CredentialExists => Self::Rule(Rule::CredentialAlreadyRegistered),
            StoreError::NameTaken => Self::Conflict("This name is taken; sign in instead."),
            error => Self::Store(error),
        }
    }
}

impl Refusal {
    pub(super) fn answer(&self) -> (u16, Value) {
        let (status, rule, why) = match self {
            Self::Conflict(why) => (409, None, (*why).to_owned()),
            Self::Rule(rule) => (
                400,
                Some(rule.name().to_owned()),
                format!("Rejected: {rule}."),
            ),
            Self::SignedOut => (401, None, "Sign in first.".to_owned()),
            Self::Store(error) => {
                // The user can do nothing about it; who runs the site can.
                let _ = writeln!(std::io::stderr(), "The store failed: {error}.");
                (
                    500,
                    None,
                    "The site's store failed; try again later.".to_owned(),
                )
            }
            Self::Usage(why) => (400, Some("Request".to_owned()), (*why).to_owned()),
            Self::Unknown => (404, None, "There is nothing here.".to_owned()),
        };
        (status, json!({"ok": false, "rule": rule, "why": why}))
    }
}
