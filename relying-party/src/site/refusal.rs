//! Why the site does not do something, and how it says so.

use serde_json::{Value, json};

use super::notice::Notice;
use crate::cmtg::{CmtgFault, Outcome};
use crate::rule::Rule;
use crate::store::StoreError;

/// Why something is not done.
pub(super) enum Refusal {
    /// The request does not make sense now.
    Conflict(&'static str),
    /// The request is malformed, or not one that this site's own page would send.
    Request(u16, String),
    /// A rule of the ceremony was broken.
    Rule(Rule),
    /// The session may not do this.
    SignedOut,
    /// The store failed.
    Store(StoreError),
    /// The trust-group key is not valid.
    TrustGroupKey(CmtgFault),
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
    /// Returns the refusal of what came of a trust-group key.
    pub(super) fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Invalid(fault) => Self::TrustGroupKey(*fault),
            _ => Self::Rule(Rule::TrustGroupKey),
        }
    }

    pub(super) fn usage(why: &str) -> Self {
        Self::Request(400, why.to_owned())
    }

    fn status(&self) -> u16 {
        match self {
            Self::Conflict(_) => 409,
            Self::Request(status, _) => *status,
            Self::Rule(_) | Self::TrustGroupKey(_) => 400,
            Self::SignedOut => 401,
            Self::Store(_) => 500,
            Self::Unknown => 404,
        }
    }

    fn rule(&self) -> Option<&'static str> {
        match self {
            Self::Request(..) => Some("Request"),
            Self::Rule(rule) => Some(rule.name()),
            Self::TrustGroupKey(_) => Some(Rule::TrustGroupKey.name()),
            _ => None,
        }
    }

    pub(super) fn answer(&self) -> (u16, Value) {
        let why = match self {
            Self::Conflict(why) => (*why).to_owned(),
            Self::Request(_, why) => why.clone(),
            Self::Rule(rule) => format!("Rejected: {rule}."),
            Self::SignedOut => "Sign in first.".to_owned(),
            // The user can do nothing about it; who runs the site can.
            Self::Store(_) => "The site's store failed; try again later.".to_owned(),
            Self::TrustGroupKey(_) => format!("Rejected: {}.", Rule::TrustGroupKey),
            Self::Unknown => "There is nothing here.".to_owned(),
        };
        let answer = json!({"ok": false, "rule": self.rule(), "why": why});
        (self.status(), answer)
    }

    /// Returns what who runs the site should know of it. That nobody is signed in is how the page
    /// begins, and says nothing.
    pub(super) fn notice(&self, endpoint: &'static str) -> Option<Notice> {
        let (why, fault) = match self {
            Self::SignedOut | Self::Unknown => return None,
            Self::Store(error) => {
                let why = error.to_string();
                return Some(Notice::StoreFailed { why });
            }
            Self::Conflict(why) => ((*why).to_owned(), None),
            Self::Request(_, why) => (why.clone(), None),
            Self::Rule(rule) => (rule.to_string(), None),
            Self::TrustGroupKey(fault) => (fault.to_string(), Some(*fault)),
        };
        Some(Notice::Rejected {
            endpoint,
            status: self.status(),
            rule: self.rule(),
            fault,
            why,
        })
    }
}
