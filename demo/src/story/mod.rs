//! The four acts, and what each must show.

mod acts;
mod people;
mod teller;
mod thief;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use thiserror::Error;

use crate::stage::{Programs, Stage, StageError};

pub use teller::Teller;

/// Why the story could not be played to its end.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoryError {
    /// A program did not do its part.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// The file sync failed.
    #[error("the file sync failed: {0}")]
    Sync(#[from] std::io::Error),
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
    /// What the site decided, in its own words, and what else was seen.
    pub facts: Value,
    /// How long it took.
    pub took: Duration,
}

impl Act {
    /// Returns whether the act ended as the story says.
    pub fn passed(&self) -> bool {
        !self.claims.is_empty() && self.claims.iter().all(|claim| claim.holds)
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
        self.acts.len() == 4 && self.acts.iter().all(Act::passed)
    }

    /// Returns the facts as JSON.
    pub fn json(&self) -> Value {
        let acts: Vec<_> = self
            .acts
            .iter()
            .map(|act| {
                let claims: Vec<_> = act
                    .claims
                    .iter()
                    .map(|claim| json!({"claim": claim.text, "holds": claim.holds}))
                    .collect();
                json!({
                    "act": act.number,
                    "title": act.title,
                    "passed": act.passed(),
                    "claims": claims,
                    "facts": act.facts,
                    "seconds": act.took.as_secs_f64(),
                })
            })
            .collect();
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
    let mut cast = people::Cast::gather(Stage::start(programs)?, teller)?;
    let mut acts = Vec::new();
    for (number, title, act) in acts::ALL {
        teller.act(number, title);
        let start = Instant::now();
        let mut claims = acts::Claims::new(teller);
        let facts = act(&mut cast, &mut claims)?;
        let claims = claims.into_vec();
        acts.push(Act {
            number,
            title,
            claims,
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
