//! What a site should make of an outcome (`trust-group.md` §1.6).

use crate::cmtg::Outcome;
use crate::record::{CredentialRecord, Trust};

/// What to do with an authentication whose passkey is good.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// Sign in.
    SignIn,
    /// Ask for more before signing in.
    StepUp,
    /// Reject.
    Reject,
}

/// A verdict, and why, in a sentence for the user.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The verdict.
    pub verdict: Verdict,
    /// Whether the presented key is trusted.
    pub trusted: bool,
    /// Why.
    pub why: String,
}

/// The default policy. `record` is the passkey's record before this sign-in.
pub fn decide(outcome: &Outcome, record: &CredentialRecord) -> Decision {
    let trust = outcome.key().and_then(|key| {
        record
            .cmtg
            .iter()
            .find(|known| known.public_key == key.as_bytes())
            .map(|known| known.trust)
    });
    let (verdict, trusted, why) = match (outcome, trust) {
        (Outcome::Known(_), Some(Trust::Trusted)) => (
            Verdict::SignIn,
            true,
            "The passkey is good and comes from a device that belongs together with one this site \
             trusts: signed in.",
        ),
        (Outcome::Known(_), _) => (
            Verdict::StepUp,
            false,
            "The passkey is good, but its device was seen before without ever being confirmed: a \
             one-time code is needed.",
        ),
        (Outcome::NewGroup(_), _) => (
            Verdict::StepUp,
            false,
            "The passkey is good, but nothing connects its device with those this site knows; it \
             could be a thief's copy: a one-time code is needed.",
        ),
        (Outcome::Absent | Outcome::Inconclusive | Outcome::Unsolicited, _)
            if !record.cmtg.is_empty() =>
        {
            (
                Verdict::StepUp,
                false,
                "The passkey is good, but its device does not say to whom it belongs, as it did \
                 before: a one-time code is needed.",
            )
        }
        (Outcome::Invalid(_), _) => (
            Verdict::Reject,
            false,
            "The response carries a trust-group key that does not hold: rejected.",
        ),
        _ => (
            Verdict::SignIn,
            false,
            "The passkey is good, and its devices never named a trust group: signed in.",
        ),
    };
    Decision {
        verdict,
        trusted,
        why: why.to_owned(),
    }
}
