//! Who plays: the owner's phone and computer, the phisher's computer, the site.

use serde_json::Value;

use super::{StoryError, Teller};
use crate::copier::Copier;
use crate::stage::{Home, PATIENCE, Process, Program, Stage};

/// The pass phrase of the owner's vault. The phisher will have learnt it.
pub(super) const PASSPHRASE: &str = "copper lantern orbit velvet thistle harbor";
/// The owner's name at the site.
pub(super) const ANA: &str = "ana";
const PHONE_PIN: &str = "271828";
const COMPUTER_PIN: &str = "161803";
const PHISHER_PIN: &str = "000000";
/// Where the owner is, and where the phisher is: no advert gets from one to the other.
pub(super) const AT_HOME: &str = "at-home";
pub(super) const FAR_AWAY: &str = "far-away";

/// All who play, and what they have.
pub(super) struct Cast {
    pub(super) stage: Stage,
    pub(super) phone: Phone,
    pub(super) phone_home: Home,
    pub(super) computer: Home,
    pub(super) phisher: Home,
    /// The owner's file sync, from the second act on.
    pub(super) sync: Option<Copier>,
    /// The trust-group key of the first act, as the site names it.
    pub(super) first_key: Option<String>,
    /// The whole identifier of the owner's group at its end, as `group status` names it.
    pub(super) second_key: Option<String>,
}

impl Cast {
    /// Sets up the owner's phone with a vault, and empty homes for the computers.
    pub(super) fn gather(stage: Stage, teller: &mut Teller) -> Result<Self, StoryError> {
        let phone_home = stage.home("phone", PASSPHRASE, PHONE_PIN)?;
        let computer = stage.home("computer", PASSPHRASE, COMPUTER_PIN)?;
        let phisher = stage.home("phisher", PASSPHRASE, PHISHER_PIN)?;
        let made = stage.run(
            Program::Phone,
            &phone_home,
            &["init", "--name", "Ana's phone"],
        )?;
        if made.code != 0 {
            return Err(missing(Program::Phone, "a vault", made.err));
        }
        let phone = Phone::start(&stage, &phone_home)?;
        teller.setting(stage.relay_url(), stage.site_url(), stage.folder());
        Ok(Self {
            stage,
            phone,
            phone_home,
            computer,
            phisher,
            sync: None,
            first_key: None,
            second_key: None,
        })
    }

    /// Starts a command of `handfast` in a home, at a place, with `--json`.
    pub(super) fn desktop(
        &self,
        home: &Home,
        place: &str,
        arguments: &[&str],
    ) -> Result<Process, StoryError> {
        let mut all: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
        all.extend(self.stage.desktop_options(place));
        all.push("--json".to_owned());
        let all: Vec<_> = all.iter().map(String::as_str).collect();
        Ok(self.stage.spawn(Program::Desktop, home, &all)?)
    }

    /// Lets a computer sign in with its local passkey, with nothing yet on its standard input.
    pub(super) fn local_sign_in(&self, home: &Home, place: &str) -> Result<Process, StoryError> {
        let site = self.stage.site_url().to_owned();
        self.desktop(
            home,
            place,
            &["sign-in", &site, "--user", ANA, "--via", "local"],
        )
    }

    /// Lets the owner's files arrive everywhere.
    pub(super) fn settle(&self) -> Result<crate::copier::Round, StoryError> {
        match &self.sync {
            Some(sync) => Ok(sync.settle()?),
            None => Ok(crate::copier::Round::default()),
        }
    }

    /// Reads the one-time code that the site sent its user.
    pub(super) fn step_up_code(&mut self) -> Result<String, StoryError> {
        let lead = format!("step-up code for {ANA}: ");
        Ok(self.stage.site.line("a step-up code", PATIENCE, |line| {
            line.text
                .strip_prefix(&lead)
                .map(|code| code.trim().to_owned())
        })?)
    }
}

/// The owner's phone: `handfast-authenticator run`, and the owner's thumb.
pub(super) struct Phone {
    process: Process,
}

impl Phone {
    fn start(stage: &Stage, home: &Home) -> Result<Self, StoryError> {
        let mut arguments = vec!["run".to_owned(), "--json".to_owned()];
        arguments.extend(stage.phone_options(AT_HOME));
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let mut command = stage.command(Program::Phone, home, &arguments);
        home.apply_without_pin(&mut command);
        let mut process = Process::spawn(Program::Phone.name(), &mut command)?;
        process.event("ready")?;
        Ok(Self { process })
    }

    /// Scans a QR code.
    pub(super) fn scan(&mut self, url: &str) -> Result<(), StoryError> {
        Ok(self.process.say(url)?)
    }

    /// Waits until the phone asks, and returns what it shows.
    pub(super) fn prompt(&mut self) -> Result<Value, StoryError> {
        Ok(self.process.event("prompt")?)
    }

    /// Approves with the PIN.
    pub(super) fn approve(&mut self) -> Result<(), StoryError> {
        Ok(self.process.say(PHONE_PIN)?)
    }

    /// Says yes to the code, then gives the PIN.
    pub(super) fn confirm_and_approve(&mut self) -> Result<(), StoryError> {
        self.process.say("y")?;
        self.approve()
    }

    /// Waits until the ceremony is over.
    pub(super) fn done(&mut self) -> Result<Value, StoryError> {
        Ok(self.process.event("done")?)
    }
}

/// Takes a member out of a program's JSON.
pub(super) fn text(
    program: Program,
    value: &Value,
    what: &'static str,
) -> Result<String, StoryError> {
    let found = what
        .split('.')
        .try_fold(value, |value, name| value.get(name));
    match found.and_then(Value::as_str) {
        Some(text) => Ok(text.to_owned()),
        None => Err(missing(program, what, value.to_string())),
    }
}

pub(super) fn missing(program: Program, what: &'static str, text: String) -> StoryError {
    StoryError::Missing {
        program: program.name(),
        what,
        text,
    }
}
