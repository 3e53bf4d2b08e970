//! The four acts, and what each must show.

mod acts;
mod cast;
mod claims;
mod decision;
mod phone;
mod table;
mod teller;
mod thief;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use thiserror::Error;

use crate::stage::{Programs, Stage, StageError};

pub use self::decision::SignIn;
pub use self::teller::Teller;

/// Why the story could not be played to its end.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoryError {
    /// A program's answer lacks what the story needs.
    #[error("{program} left out {what}: {text}")]
    Missing {
        /// The program.
        program: &'static str,
        /// What was looked for.
        what: &'static str,
        /// What it said.
        text: String,
    },
    /// A program did not do its part.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// The file sync failed.
    #[error("the file sync failed: {0}")]
    Sync(#[from] std::io::Error),
    /// The thief's own tools failed, before they could be stopped.
    #[error("what the thief tried could not be tried: {0}")]
    Thief(String),
}

/// One claim of an act, and whether it came true.
#[derive(Clone, Debug)]
pub struct Claim {
    /// What must be true.
    pub text: String,
    /// Whether it is.
    pub holds: bool,
}

/// How one act ended.
#[derive(Clone, Debug)]
pub struct Act {
    /// 1 to 4.
    pub number: u8,
    /// Its title.
    pub title: &'static str,
    /// What it must show.
    pub claims: Vec<Claim>,
    /// Who signed in, and what the site saw.
    pub sign_ins: Vec<SignIn>,
    /// What else was seen.
    pub facts: Value,
    /// How long it took.
    pub took: Duration,
}

impl Act {
    /// Returns whether the act ended as the story says.
    pub fn passed(&self) -> bool {
        !self.claims.is_empty() && self.claims.iter().all(|claim| claim.holds)
    }

    fn json(&self) -> Value {
        let claims: Vec<_> = self
            .claims
            .iter()
            .map(|claim| json!({"claim": claim.text, "holds": claim.holds}))
            .collect();
        let sign_ins: Vec<_> = self.sign_ins.iter().map(SignIn::json).collect();
        json!({
            "act": self.number,
            "title": self.title,
            "passed": self.passed(),
            "claims": claims,
            "sign_ins": sign_ins,
            "facts": self.facts,
            "seconds": self.took.as_secs_f64(),
        })
    }
}

/// The whole story, played.
#[derive(Clone, Debug)]
pub struct Played {
    /// The acts in their order.
    pub acts: Vec<Act>,
    /// From the first program's start to the last one's end.
    pub took: Duration,
}

impl Played {
    /// Returns whether every act ended as the story says.
    pub fn passed(&self) -> bool {
        self.acts.len() == acts::ALL.len() && self.acts.iter().all(Act::passed)
    }

    /// Returns everybody who signed in, in the order of the story.
    pub fn sign_ins(&self) -> impl Iterator<Item = &SignIn> {
        self.acts.iter().flat_map(|act| &act.sign_ins)
    }

    /// Returns the facts as JSON.
    pub fn json(&self) -> Value {
        let acts: Vec<_> = self.acts.iter().map(Act::json).collect();
        json!({"passed": self.passed(), "acts": acts, "seconds": self.took.as_secs_f64()})
    }
}

/// Plays the story with these programs and tells it as it happens.
///
/// # Errors
///
/// [`StoryError`] if a program fails in a way that no act is about. An act that ends differently
/// than the story says is no error: [`Played::passed`] tells.
pub fn play(programs: Programs, teller: &mut Teller) -> Result<Played, StoryError> {
    let begin = Instant::now();
    teller.opening();
    let mut cast = cast::Cast::gather(Stage::start(programs)?, teller)?;
    let mut acts = Vec::new();
    for (number, title, act) in acts::ALL {
        teller.act(number, title);
        let start = Instant::now();
        let mut claims = claims::Claims::new(teller);
        let facts = act(&mut cast, &mut claims)?;
        let (claims, sign_ins) = claims.into_parts();
        acts.push(Act {
            number,
            title,
            claims,
            sign_ins,
            facts,
            took: start.elapsed(),
        });
    }
    drop(cast);
    Ok(Played {
        acts,
        took: begin.elapsed(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn act(holds: &[bool]) -> Act {
        let claim = |&holds: &bool| Claim {
            text: "so".to_owned(),
            holds,
        };
        Act {
            number: 1,
            title: "",
            claims: holds.iter().map(claim).collect(),
            sign_ins: Vec::new(),
            facts: Value::Null,
            took: Duration::ZERO,
        }
    }

    #[test]
    fn one_claim_that_fails_or_one_act_without_any_fails_the_story() {
        let passed = |acts: Vec<Act>| {
            let took = Duration::ZERO;
            Played { acts, took }.passed()
        };
        let good = || act(&[true, true]);
        assert!(passed(vec![good(), good(), good(), good()]));
        assert!(!passed(vec![good(), act(&[true, false]), good(), good()]));
        assert!(!passed(vec![good(), good(), act(&[]), good()]));
        assert!(!passed(vec![good(), good(), good()]));
    }
}
