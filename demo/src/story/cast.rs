//! Who plays: the owner's phone and computers, the phisher's computer, the site.

use std::thread::sleep;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::decision::{Decision, Keys};
use super::phone::Phone;
use super::{StoryError, Teller};
use crate::copier::{Copier, Done, Folder};
use crate::stage::{Home, PATIENCE, Process, Program, Stage};

/// The pass phrase of the owner's vault. The phisher will have learnt it.
pub(super) const PASSPHRASE: &str = "copper lantern orbit velvet thistle harbor";
/// The owner's name at the site.
pub(super) const ANA: &str = "ana";
pub(super) const PHONE_PIN: &str = "271828";
const LAPTOP_PIN: &str = "161803";
const WORKSTATION_PIN: &str = "141421";
const PHISHER_PIN: &str = "000000";
/// Where the owner is, and where the phisher is: no advert gets from one to the other.
pub(super) const AT_HOME: &str = "at-home";
pub(super) const FAR_AWAY: &str = "far-away";

/// A computer with `handfast` on it.
#[derive(Clone, Debug)]
pub(super) struct Computer {
    /// Who it is in the story.
    pub(super) who: &'static str,
    /// What it is called in vault and group.
    pub(super) name: &'static str,
    pub(super) home: Home,
}

/// All who play, and what they have. What writes into the stage's folder ends before the stage.
pub(super) struct Cast {
    /// The owner's file sync, from the second act on.
    sync: Option<Copier>,
    pub(super) phone: Phone,
    pub(super) stage: Stage,
    pub(super) laptop: Computer,
    pub(super) workstation: Computer,
    pub(super) phisher: Computer,
    /// The trust-group keys that the site was shown.
    pub(super) keys: Keys,
    /// When K1 had been presented.
    pub(super) first_presented: Duration,
    /// The owner's group, as all of its devices told it when it was complete.
    pub(super) group: Option<Value>,
}

impl Cast {
    /// Sets up the owner's phone with a vault, and empty homes for the computers.
    pub(super) fn gather(stage: Stage, teller: &mut Teller) -> Result<Self, StoryError> {
        let computer = |who, name, pin| {
            let home = stage.home(who, PASSPHRASE, pin)?;
            Ok::<_, StoryError>(Computer { who, name, home })
        };
        let laptop = computer("laptop", "Ana's laptop", LAPTOP_PIN)?;
        let workstation = computer("workstation", "Ana's workstation", WORKSTATION_PIN)?;
        let phisher = computer("phisher", "Nobody's computer", PHISHER_PIN)?;
        let mut phone = Phone::new(stage.home("phone", PASSPHRASE, PHONE_PIN)?);
        let init = ["init", "--name", "Ana's phone"];
        let made = stage.run(Program::Phone, &phone.home, &init)?;
        if made.code != 0 {
            return Err(missing(Program::Phone, "a vault", made.err));
        }
        phone.open(&stage)?;
        teller.setting(stage.relay_url(), stage.site_url(), stage.folder());
        Ok(Self {
            stage,
            phone,
            laptop,
            workstation,
            phisher,
            keys: Keys::default(),
            first_presented: Duration::ZERO,
            group: None,
            sync: None,
        })
    }

    /// Starts a command of `handfast` on a computer, at a place, with `--json`.
    pub(super) fn desktop(
        &self,
        computer: &Computer,
        place: &str,
        arguments: &[&str],
    ) -> Result<Process, StoryError> {
        let mut all: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
        all.extend(self.stage.desktop_options(place));
        all.push("--json".to_owned());
        let all: Vec<_> = all.iter().map(String::as_str).collect();
        Ok(self.stage.spawn(Program::Desktop, &computer.home, &all)?)
    }

    /// Lets a computer sign in with its own copy of the passkey, with nothing yet on its standard
    /// input.
    pub(super) fn begin_sign_in(
        &self,
        computer: &Computer,
        place: &str,
    ) -> Result<Process, StoryError> {
        let site = self.stage.site_url().to_owned();
        let arguments = ["sign-in", &site, "--user", ANA, "--via", "local"];
        self.desktop(computer, place, &arguments)
    }

    /// Lets a computer sign in whose user would have no one-time code. Returns the exit code too.
    pub(super) fn sign_in(
        &mut self,
        computer: &Computer,
        place: &str,
    ) -> Result<(i32, Decision), StoryError> {
        let mut desktop = self.begin_sign_in(computer, place)?;
        desktop.close_input();
        let finished = desktop.finish(PATIENCE)?;
        let decision = Decision::read(&finished.json()?, "decision", &mut self.keys)?;
        Ok((finished.code, decision))
    }

    /// Starts `handfast vault join` on a computer.
    pub(super) fn begin_vault_join(&self, computer: &Computer) -> Result<Process, StoryError> {
        let arguments = ["vault", "join", "--name", computer.name];
        Ok(self
            .stage
            .spawn(Program::Desktop, &computer.home, &arguments)?)
    }

    /// Asks all devices of the owner the same at once, phone, laptop, workstation. The phone's own
    /// program is not to run meanwhile.
    pub(super) fn ask_everywhere(&self, question: &[&str]) -> Result<Vec<Value>, StoryError> {
        let mut arguments = question.to_vec();
        arguments.push("--json");
        let homes = [&self.phone.home, &self.laptop.home, &self.workstation.home];
        let asked = homes.map(|home| self.stage.spawn(Program::Desktop, home, &arguments));
        asked
            .into_iter()
            .map(|process| Ok(process?.finish(PATIENCE)?.json()?))
            .collect()
    }

    /// Starts the file sync between the owner's devices.
    pub(super) fn start_sync(&mut self) {
        let folder = |device: &str, home: &Home| Folder {
            device: device.to_uppercase(),
            path: home.vault(),
        };
        self.sync = Some(Copier::start(vec![
            folder("phone", &self.phone.home),
            folder(self.laptop.who, &self.laptop.home),
            folder(self.workstation.who, &self.workstation.home),
        ]));
    }

    /// Lets the owner's files arrive everywhere.
    pub(super) fn settle(&self) -> Result<Done, StoryError> {
        match &self.sync {
            Some(sync) => Ok(sync.settle()?),
            None => Ok(Done::default()),
        }
    }

    /// Takes the owner's devices offline, until the files are to arrive again.
    pub(super) fn hold_sync(&self) -> Result<(), StoryError> {
        self.sync.as_ref().map_or(Ok(()), |sync| Ok(sync.hold()?))
    }

    /// Reads the one-time code that the site sent its user.
    pub(super) fn step_up_code(&mut self) -> Result<String, StoryError> {
        let sent = self.stage.site.event("step-up-code")?;
        text(Program::Site, &sent, "code")
    }
}

/// Returns the group, if all devices tell the same of it but for which of them they are.
pub(super) fn one_group(told: &[Value]) -> Option<Value> {
    let mut told = told.iter().map(|status| {
        let mut status = status.clone();
        for member in status.get_mut("members")?.as_array_mut()? {
            member.as_object_mut()?.remove("this");
        }
        status.get("group")?.as_str()?;
        Some(status)
    });
    let first = told.next()??;
    told.all(|other| other.as_ref() == Some(&first))
        .then_some(first)
}

/// Returns the names of a group's members, sorted.
pub(super) fn members(group: &Value) -> Vec<&str> {
    let members = group.get("members").and_then(Value::as_array);
    let names = members.into_iter().flatten();
    let mut names: Vec<_> = names
        .filter_map(|member| member.get("name")?.as_str())
        .collect();
    names.sort_unstable();
    names
}

/// Waits for a later second than the one in which K1 was presented: trust groups count in whole
/// ones, and only from the next on do they tell which of two keys a site saw first.
pub(super) fn wait_for_a_later_second(presented: Duration) {
    let next = Duration::from_secs(presented.as_secs() + 1);
    sleep(next.saturating_sub(unix_time()));
}

/// The time since 1970.
pub(super) fn unix_time() -> Duration {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default()
}

/// Takes a text out of a program's JSON.
pub(super) fn text(
    program: Program,
    value: &Value,
    what: &'static str,
) -> Result<String, StoryError> {
    match value.get(what).and_then(Value::as_str) {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_group_is_one_only_if_all_devices_tell_the_same_members_and_keys() {
        let told = |names: &[&str], this: &str, keys: u8| {
            let members = names.iter();
            let members = members.map(|name| json!({"name": name, "this": *name == this}));
            json!({"group": "g", "members": members.collect::<Vec<_>>(), "keys": keys})
        };
        let (a, b) = (told(&["a", "b"], "a", 2), told(&["a", "b"], "b", 2));
        let one = one_group(&[a.clone(), b]).unwrap();
        assert_eq!(members(&one), ["a", "b"]);
        assert_eq!(one_group(&[a.clone(), told(&["a", "b"], "b", 1)]), None);
        assert_eq!(one_group(&[a, told(&["b"], "b", 2)]), None);
        let none = json!({"group": null, "members": [], "keys": 0});
        assert_eq!(one_group(&[none.clone(), none]), None);
    }
}
