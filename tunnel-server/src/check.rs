//! Plays whole tunnels against a relay from outside, and says what is wrong with it.

mod cases;
mod link;
mod peer;
mod target;

pub use target::{Target, TargetError};

use std::sync::Arc;
use std::time::Duration;

use crate::check::link::Link;

/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How something was found.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Verdict {
    /// As it should be.
    Good,
    /// A relay may be like that, but its owner should know.
    Noted,
    /// Somebody will not get through.
    Bad,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// What was looked at, in a word or two.
    pub about: &'static str,
    /// How it is.
    pub verdict: Verdict,
    /// What was seen.
    pub seen: String,
    /// What to do about it, if something is to be done.
    pub hint: Option<&'static str>,
}

impl Finding {
    fn good(about: &'static str, seen: impl Into<String>) -> Self {
        Self {
            about,
            verdict: Verdict::Good,
            seen: seen.into(),
            hint: None,
        }
    }

    fn noted(about: &'static str, seen: impl Into<String>, hint: &'static str) -> Self {
        Self {
            verdict: Verdict::Noted,
            hint: Some(hint),
            ..Self::good(about, seen)
        }
    }

    fn bad(about: &'static str, seen: impl Into<String>, hint: &'static str) -> Self {
        Self {
            verdict: Verdict::Bad,
            ..Self::noted(about, seen, hint)
        }
    }
}

/// Examines a relay, and tells each finding as it comes. A client stays in a tunnel in which nothing
/// happens for `idle`, unless that is zero.
///
/// Returns whether nothing was bad.
pub async fn examine(
    target: &Target,
    trust: &Arc<rustls::RootCertStore>,
    idle: Duration,
    tell: &mut dyn FnMut(&Finding),
) -> bool {
    let mut is_good = true;
    let mut note = |finding: Finding| {
        is_good &= finding.verdict != Verdict::Bad;
        tell(&finding);
    };
    note(target.name());
    let addresses = match link::resolve(target).await {
        Ok(addresses) => addresses,
        Err(finding) => {
            note(finding);
            return false;
        }
    };
    let (reached, findings) = link::reach(&addresses).await;
    findings.into_iter().for_each(&mut note);
    let is_one = reached.len() == 1;
    let mut whole = None;
    for address in reached {
        let link = Link::new(target.clone(), address, Arc::clone(trust));
        let (works, findings) = first_look(&link).await;
        for mut finding in findings {
            if !is_one {
                finding.seen = format!("{} (at {address})", finding.seen);
            }
            note(finding);
        }
        whole = whole.or_else(|| works.then_some(link));
    }
    // If that does not go, nothing else does.
    let Some(link) = whole else { return false };
    cases::all(&link, &mut note).await;
    if !idle.is_zero() {
        note(cases::idle(&link, idle).await);
    }
    is_good
}

/// Looks at TLS and plays a tunnel at one of the addresses; says whether both went.
async fn first_look(link: &Link) -> (bool, Vec<Finding>) {
    let (is_up, mut findings) = link.examine_tls().await;
    if !is_up {
        return (false, findings);
    }
    match cases::whole_tunnel(link).await {
        Ok(more) => {
            findings.extend(more);
            (true, findings)
        }
        Err(finding) => {
            findings.push(finding);
            (false, findings)
        }
    }
}
