//! `passkeys import`.

use std::sync::Mutex;

use serde_json::{Value, json};

use super::one::described;
use super::{Import, OnConflict, ask, counted, document, is_yes};
use crate::cli::{AtTerminal, print, told};
use crate::console::{self, Failure, tell, unix_time};
use crate::engine::printable;
use crate::exchange::plan::{Choice, Fate, Plan, Question, Step};
use crate::exchange::{Document, plan};
use crate::home::Home;
use crate::phone::{Input, Voice};
use crate::vault::Vault;

pub(super) fn import(home: &Home, options: &Import, input: &Mutex<Input>) -> Result<(), Failure> {
    let mut secrets = AtTerminal(input, Voice::Words);
    // Said before a pass phrase is asked for.
    Vault::look(&home.vault)?;
    let bytes = document::read(&options.from, options.identity.as_deref(), &mut secrets)?;
    let now = unix_time();
    let document =
        Document::parse(&bytes, now).map_err(|error| document::unusable(&options.from, &error))?;
    drop(bytes);
    let mut authenticator = console::open(home, &mut secrets)?;
    told::name_damaged(&authenticator.vault, Voice::Words);
    let mut owner = Owner {
        options,
        input,
        for_all: options.on_conflict.map(Choice::from),
    };
    let plan = plan(document, &authenticator.vault, |question| {
        owner.decide(question)
    })?;
    let told = Told::of(&plan, options);
    if !options.dry_run {
        plan.carry_out(&mut authenticator.vault, now)
            .map_err(|(imported, error)| {
                let imported = counted(imported, "passkey was", "passkeys were");
                Failure::new(error.to_string()).with_hint(format!(
                    "{imported} imported before that; make room, and import the same document again."
                ))
            })?;
    }
    told.tell(options)
}

/// Who decides.
struct Owner<'a> {
    options: &'a Import,
    input: &'a Mutex<Input>,
    for_all: Option<Choice>,
}

impl From<OnConflict> for Choice {
    fn from(what: OnConflict) -> Self {
        match what {
            OnConflict::Skip => Self::Skip,
            OnConflict::Replace => Self::Replace,
            OnConflict::KeepBoth => Self::Keep,
        }
    }
}

impl Owner<'_> {
    fn decide(&mut self, question: &Question<'_>) -> Result<Choice, Failure> {
        match question {
            Question::Account { passkey } => match self.for_all {
                Some(choice) => Ok(choice),
                None => self.which_of_both(&described(passkey)),
            },
            Question::WithoutPrf { passkey } => {
                if self.options.without_prf {
                    return Ok(Choice::Keep);
                }
                let question = format!(
                    "{}: the keys of its secrets (prf) cannot be read. Import it without them? What the site encrypted with \
                     them is lost then. [y/N] ",
                    described(passkey)
                );
                let answer = ask(&question, self.input)
                    .ok_or_else(|| nobody("a passkey without its secrets", "--without-prf"))?;
                Ok(match is_yes(&answer) {
                    true => Choice::Keep,
                    false => Choice::Skip,
                })
            }
        }
    }

    /// Asks until the answer is one; a capital letter is for all that come.
    fn which_of_both(&mut self, described: &str) -> Result<Choice, Failure> {
        loop {
            let question = format!(
                "{described}: this account has another passkey. Skip this one, replace the other, or keep \
                 both? [s/r/k, or S/R/K for all] "
            );
            let answer = ask(&question, self.input)
                .ok_or_else(|| nobody("an account with another passkey", "--on-conflict"))?;
            let choice = match answer.to_ascii_lowercase().as_str() {
                "s" | "skip" => Choice::Skip,
                "r" | "replace" => Choice::Replace,
                "k" | "keep" => Choice::Keep,
                _ => {
                    tell(
                        "Answer s, r or k. Ctrl-C ends it: nothing is imported before all is decided.",
                    );
                    continue;
                }
            };
            if answer.starts_with(|letter: char| letter.is_ascii_uppercase()) {
                self.for_all = Some(choice);
            }
            return Ok(choice);
        }
    }
}

fn nobody(what: &str, option: &str) -> Failure {
    Failure::usage(format!("Nobody is there to decide about {what}")).with_hint(format!(
        "Answer the question, or give {option}; nothing was imported."
    ))
}

/// What is said of a plan; it is made before the plan is carried out, which uses it up.
struct Told {
    words: Vec<String>,
    json: Value,
    refused: usize,
}

impl Told {
    fn of(plan: &Plan, options: &Import) -> Self {
        let tally = plan.tally();
        let imported = match options.dry_run {
            true => ("would be imported", "would be imported"),
            false => ("was imported", "were imported"),
        };
        let mut words: Vec<_> = plan.steps.iter().filter_map(in_words).collect();
        if plan.steps.is_empty() {
            words.push("There is no passkey in it.".to_owned());
        }
        let count = |count, (one, more): (&str, &str)| {
            counted(
                count,
                &format!("passkey {one}"),
                &format!("passkeys {more}"),
            )
        };
        let mut sums = vec![count(tally.imported, imported)];
        for (number, verbs) in [
            (tally.present, ("is here already", "are here already")),
            (tally.skipped, ("was skipped", "were skipped")),
            (tally.refused, ("cannot be used", "cannot be used")),
        ] {
            if number > 0 {
                sums.push(count(number, verbs));
            }
        }
        if plan.others > 0 {
            let others = counted(plan.others, "credential", "credentials");
            sums.push(format!("{others} of other kinds passed over"));
        }
        words.push(format!("{}.", sums.join(", ")));
        let refused: Vec<_> = plan.steps.iter().filter_map(in_json).collect();
        Self {
            words,
            json: json!({
                "dry_run": options.dry_run,
                "imported": tally.imported,
                "present": tally.present,
                "skipped": tally.skipped,
                "refused": refused,
                "others": plan.others,
            }),
            refused: tally.refused,
        }
    }

    fn tell(self, options: &Import) -> Result<(), Failure> {
        if options.json {
            print(&self.json.to_string());
        } else {
            self.words.iter().for_each(|line| tell(line));
        }
        match self.refused {
            0 => Ok(()),
            refused => {
                let refused = counted(refused, "passkey", "passkeys");
                Err(
                    Failure::new(format!("{refused} of the document cannot be used"))
                        .with_hint("Keep them where they come from; all others were dealt with."),
                )
            }
        }
    }
}

fn site(step: &Step) -> String {
    match &step.site {
        Some(site) => printable(site),
        None => "no site".to_owned(),
    }
}

/// What is worth a line of its own.
fn in_words(step: &Step) -> Option<String> {
    match &step.fate {
        Fate::Refused(why) => Some(format!("{} ({}): {why}.", step.place, site(step))),
        Fate::Add(_) | Fate::AddInPlace(_) if !step.lost.is_empty() => {
            let lost: Vec<_> = step.lost.iter().map(ToString::to_string).collect();
            let lost = lost.join(" and ");
            Some(format!("{} ({}): without {lost}.", step.place, site(step)))
        }
        _ => None,
    }
}

fn in_json(step: &Step) -> Option<Value> {
    let Fate::Refused(why) = &step.fate else {
        return None;
    };
    Some(json!({
        "account": step.place.account,
        "item": step.place.item,
        "credential": step.place.credential,
        "rp_id": step.site.as_deref().map(printable),
        "why": why.to_string(),
    }))
}
