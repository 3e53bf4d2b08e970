//! Reading pictures in a process of its own: it has no secret, and whatever a picture does to it, it
//! ends soon and takes no more memory than it may.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};
use serde_json::{Value, json};
use thiserror::Error;

use super::outside::{OutsideError, ask};
use super::picture::codes_in;

/// This program, even if its file was replaced meanwhile.
const THIS_PROGRAM: &str = "/proc/self/exe";
const NAME: &str = "handfast-authenticator";
/// The hidden command by which it reads a picture.
const COMMAND: &str = "read-picture";
/// The most bytes that a picture may have.
pub(crate) const LARGEST_FILE: usize = 64 << 20;
/// The most bytes of codes.
const MOST_CODES: usize = 64 << 10;
/// How long reading a picture may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How much memory reading may take, in bytes.
const MEMORY: u64 = 1 << 30;

/// Why a picture gives no code.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum PictureError {
    /// There is no code of ours in it.
    #[error("there is no FIDO:/ code in {0}")]
    NoCode(String),
    /// There are several, and nothing tells which is meant.
    #[error("there are {count} different FIDO:/ codes in {picture}")]
    Several {
        /// The picture.
        picture: String,
        /// How many.
        count: usize,
    },
    /// It cannot be read.
    #[error("no picture can be read from {picture}: {reason}")]
    Unreadable {
        /// The picture.
        picture: String,
        /// Why.
        reason: String,
    },
}

/// Returns the one `FIDO:/` code in the picture in a file.
pub(crate) fn read_file(path: &Path) -> Result<String, PictureError> {
    let picture = path.display().to_string();
    let mut bytes = Vec::new();
    let most = u64::try_from(LARGEST_FILE).unwrap_or(u64::MAX);
    let read = File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes));
    match read {
        Ok(_) if bytes.len() > LARGEST_FILE => Err(PictureError::Unreadable {
            picture,
            reason: OutsideError::TooMuch.to_string(),
        }),
        Ok(_) => read_picture(bytes, picture),
        Err(error) => Err(PictureError::Unreadable {
            picture,
            reason: error.to_string(),
        }),
    }
}

/// Returns the one `FIDO:/` code in a picture that is called so.
pub(crate) fn read_picture(bytes: Vec<u8>, picture: String) -> Result<String, PictureError> {
    let answer = ask(&mut this_program(COMMAND), bytes, MOST_CODES, PATIENCE);
    let reason = match answer.map(|answer| Answer::parse(&answer)) {
        Ok(Some(Answer::Codes(codes))) => return the_one(codes, picture),
        Ok(Some(Answer::Unreadable(reason))) => reason,
        Ok(None) | Err(OutsideError::Failed) => {
            "it takes more memory than any picture should".to_owned()
        }
        Err(error) => error.to_string(),
    };
    Err(PictureError::Unreadable { picture, reason })
}

/// Returns the code that is meant.
pub(crate) fn the_one(codes: Vec<String>, picture: String) -> Result<String, PictureError> {
    let count = codes.len();
    let mut codes = codes.into_iter();
    match (codes.next(), codes.next()) {
        (Some(code), None) => Ok(code),
        (None, _) => Err(PictureError::NoCode(picture)),
        (Some(_), Some(_)) => Err(PictureError::Several { picture, count }),
    }
}

/// Returns this program with one of its hidden commands.
pub(crate) fn this_program(hidden: &str) -> Command {
    let mut command = Command::new(THIS_PROGRAM);
    command.arg0(NAME).arg(hidden);
    command
}

/// What a process says that reads a picture, or looks through a camera.
#[derive(Debug, PartialEq)]
pub(crate) enum Answer {
    Codes(Vec<String>),
    Unreadable(String),
}

impl Answer {
    fn parse(said: &[u8]) -> Option<Self> {
        Self::of(&serde_json::from_slice(said).ok()?)
    }

    /// Reads what it says; nothing if that is neither codes nor why there are none.
    pub(crate) fn of(said: &Value) -> Option<Self> {
        if let Some(reason) = said["unreadable"].as_str() {
            return Some(Self::Unreadable(reason.to_owned()));
        }
        let codes = said["codes"].as_array()?.iter();
        let codes: Option<Vec<String>> =
            codes.map(|code| code.as_str().map(str::to_owned)).collect();
        codes.map(Self::Codes)
    }
}

/// Is the reading process: takes a picture on standard input, and writes what it found.
pub(crate) fn be_reader() -> io::Result<()> {
    // It would end without a word; whoever waits for it has less patience.
    bound_this_process(Some(PATIENCE * 2))?;
    let mut picture = Vec::new();
    io::stdin().lock().read_to_end(&mut picture)?;
    let said = match codes_in(&picture) {
        Ok(codes) => json!({"codes": codes}),
        Err(reason) => json!({"unreadable": reason}),
    };
    writeln!(io::stdout(), "{said}")
}

/// Ends this process with the one that started it, and bounds its memory and time.
pub(crate) fn bound_this_process(longest: Option<Duration>) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let bound = |limit| Rlimit {
        current: Some(limit),
        maximum: Some(limit),
    };
    setrlimit(Resource::As, bound(MEMORY))?;
    if let Some(longest) = longest {
        setrlimit(Resource::Cpu, bound(longest.as_secs()))?;
    }
    setrlimit(Resource::Core, bound(0))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_codes_none_is_taken() {
        let codes = |count: usize| (0..count).map(|n| format!("FIDO:/{n}")).collect();
        let read = |count| the_one(codes(count), "p".to_owned());
        assert_eq!(read(1).unwrap(), "FIDO:/0");
        assert!(matches!(read(0), Err(PictureError::NoCode(_))));
        assert!(matches!(
            read(3),
            Err(PictureError::Several { count: 3, .. })
        ));
    }

    #[test]
    fn only_whole_answers_of_the_reading_process_count() {
        let answer = |said: &str| Answer::parse(said.as_bytes());
        for said in ["", "{", "[]", "{\"codes\":7}", "{\"codes\":[7]}"] {
            assert_eq!(answer(said), None, "{said}");
        }
        let codes = vec!["FIDO:/1".to_owned()];
        assert_eq!(
            answer("{\"codes\":[\"FIDO:/1\"]}"),
            Some(Answer::Codes(codes))
        );
    }
}
