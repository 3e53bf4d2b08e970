//! The owner's phone, and the owner's thumb.

use serde_json::Value;

use super::StoryError;
use super::cast::{AT_HOME, PHONE_PIN, missing};
use crate::stage::{Finished, Home, PATIENCE, Process, Program, Stage, event_of};

/// A phone: `handfast-authenticator run`, while it is open.
pub(super) struct Phone {
    pub(super) home: Home,
    process: Option<Process>,
    /// Whether it was unlocked when last looked at.
    ready: bool,
}

impl Phone {
    pub(super) fn new(home: Home) -> Self {
        Self {
            home,
            process: None,
            ready: false,
        }
    }

    /// Opens the program; nobody waits yet until it is unlocked. Its PIN is typed, not read from a
    /// file.
    pub(super) fn open(&mut self, stage: &Stage) -> Result<(), StoryError> {
        let mut arguments = vec!["run".to_owned(), "--json".to_owned()];
        arguments.extend(stage.phone_options(AT_HOME));
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let mut command = stage.command(Program::Phone, &self.home, &arguments);
        self.home.apply_without_pin(&mut command);
        self.process = Some(Process::spawn(Program::Phone.name(), &mut command)?);
        self.ready = false;
        Ok(())
    }

    /// Ends the program by ending its input, and waits for that.
    pub(super) fn close(&mut self) -> Result<Finished, StoryError> {
        let mut process = self.process.take().ok_or_else(closed)?;
        process.close_input();
        Ok(process.finish(PATIENCE)?)
    }

    /// Ends the program in the middle of what it does, as an impatient owner would.
    pub(super) fn swipe_away(&mut self) -> Result<Finished, StoryError> {
        let mut process = self.process.take().ok_or_else(closed)?;
        process.kill();
        Ok(process.finish(PATIENCE)?)
    }

    /// Waits until the program is unlocked.
    pub(super) fn unlocked(&mut self) -> Result<(), StoryError> {
        if !self.ready {
            self.event("ready")?;
            self.ready = true;
        }
        Ok(())
    }

    /// Scans a QR code, as soon as the program is unlocked.
    pub(super) fn scan(&mut self, url: &str) -> Result<(), StoryError> {
        self.unlocked()?;
        self.say(url)
    }

    /// Waits until the phone asks, and returns what it shows.
    pub(super) fn prompt(&mut self) -> Result<Value, StoryError> {
        self.event("prompt")
    }

    /// Approves with the PIN.
    pub(super) fn approve(&mut self) -> Result<(), StoryError> {
        self.say(PHONE_PIN)
    }

    /// Says yes to the code, then gives the PIN.
    pub(super) fn confirm_and_approve(&mut self) -> Result<(), StoryError> {
        self.say("y")?;
        self.approve()
    }

    /// Says no.
    pub(super) fn refuse(&mut self) -> Result<(), StoryError> {
        self.say("n")
    }

    /// Waits for an event.
    pub(super) fn event(&mut self, name: &str) -> Result<Value, StoryError> {
        Ok(self.open_process()?.event(name)?)
    }

    /// Waits until a ceremony is over, well or not, and returns the names of the events since this
    /// was last waited for, and the last event.
    pub(super) fn end(&mut self) -> Result<(Vec<String>, Value), StoryError> {
        let mut names = Vec::new();
        let process = self.open_process()?;
        let last = process.line("the end of a ceremony", PATIENCE, |line| {
            let (name, value) = event_of(&line.text)?;
            names.push(name);
            let is_over = names.iter().any(|name| name == "error" || name == "done");
            is_over.then_some(value)
        })?;
        Ok((names, last))
    }

    fn say(&mut self, line: &str) -> Result<(), StoryError> {
        Ok(self.open_process()?.say(line)?)
    }

    fn open_process(&mut self) -> Result<&mut Process, StoryError> {
        self.process.as_mut().ok_or_else(closed)
    }
}

fn closed() -> StoryError {
    missing(Program::Phone, "a running program", String::new())
}
