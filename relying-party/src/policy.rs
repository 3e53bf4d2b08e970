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
    let known = outcome.key().and_then(|key| {
        let mut records = record.cmtg.iter();
        records.find(|known| known.public_key == key.as_bytes())
    });
    let trust = known.map(|known| known.trust);
    let had_a_key = !record.cmtg.is_empty();
    let (verdict, why) = match outcome {
        Outcome::Known(_) | Outcome::NewGroup(_) => match trust {
            Some(Trust::Trusted) => (Verdict::SignIn, TRUSTED),
            Some(Trust::Unknown) => (Verdict::StepUp, NEVER_CONFIRMED),
            Some(Trust::Distrusted) => (Verdict::StepUp, FORGOTTEN),
            None => (Verdict::StepUp, NEW_GROUP),
        },
        Outcome::Absent | Outcome::Inconclusive | Outcome::Unsolicited if had_a_key => {
            (Verdict::StepUp, DOWNGRADE)
        }
        Outcome::Absent | Outcome::Inconclusive | Outcome::NotRequested | Outcome::Unsolicited => {
            (Verdict::SignIn, NO_GROUPS)
        }
        Outcome::Invalid(_) => (Verdict::Reject, INVALID),
    };
    Decision {
        verdict,
        trusted: trust == Some(Trust::Trusted),
        why: why.to_owned(),
    }
}

const DOWNGRADE: &str = "The passkey is good, but its device does not say to which trust group it \
     belongs, as this passkey's devices did before: a one-time code is needed.";
const FORGOTTEN: &str = "The passkey is good, but its device belongs to a trust group that this \
     account has forgotten: a one-time code is needed.";
const INVALID: &str = "The response carries a trust-group key that does not hold: rejected.";
const NEVER_CONFIRMED: &str = "The passkey is good, but its device was seen before without ever \
     being confirmed: a one-time code is needed.";
const NEW_GROUP: &str = "The passkey is good, but nothing connects its device with those this site \
     knows; it could be a thief's copy: a one-time code is needed.";
const NO_GROUPS: &str =
    "The passkey is good, and its devices never named a trust group: signed in.";
const TRUSTED: &str = "The passkey is good and comes from a device that belongs together with one \
     this site trusts: signed in.";
