//! The clipboard of the desktop, read with the tool that every desktop's packages have for it.

use std::io;
use std::process::Command;
use std::time::Duration;

use crate::console::Failure;
use crate::phone::{LARGEST_FILE, OutsideError, ask};

/// How long the program that has the clipboard's content may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Kinds of pictures that can be read, the best first.
const PICTURES: [&str; 3] = ["image/png", "image/webp", "image/jpeg"];

/// What is in the clipboard.
pub(super) enum Clip {
    Picture(Vec<u8>),
    Text(String),
}

/// A tool that reads the clipboard.
struct Tool {
    program: &'static str,
    package: &'static str,
    kinds: &'static [&'static str],
    /// What stands before a kind.
    of_kind: &'static [&'static str],
    text: &'static str,
}

const WAYLAND: Tool = Tool {
    program: "wl-paste",
    package: "wl-clipboard",
    kinds: &["--list-types"],
    of_kind: &["--no-newline", "--type"],
    text: "text/plain;charset=utf-8",
};
const X: Tool = Tool {
    program: "xclip",
    package: "xclip",
    kinds: &["-selection", "clipboard", "-out", "-target", "TARGETS"],
    of_kind: &["-selection", "clipboard", "-out", "-target"],
    text: "UTF8_STRING",
};

impl Tool {
    fn ask(&self, arguments: &[&str]) -> Result<Vec<u8>, Failure> {
        let mut command = Command::new(self.program);
        command.args(arguments);
        ask(&mut command, Vec::new(), LARGEST_FILE, PATIENCE).map_err(|error| match error {
            OutsideError::NotStarted(error) if error.kind() == io::ErrorKind::NotFound => {
                let (program, package) = (self.program, self.package);
                Failure::new(format!(
                    "the clipboard is read with {program}, which is not here"
                ))
                .with_hint(format!(
                    "Install the package {package}, or use --image or -."
                ))
            }
            // That is how both tools say that there is nothing.
            OutsideError::Failed => {
                Failure::new("there is nothing in the clipboard that can be read")
                    .with_hint("Copy the code's picture or its FIDO:/ address.")
            }
            error => Failure::new(format!("the clipboard cannot be read: {error}"))
                .with_hint("Copy the code once more, or use --image or -."),
        })
    }

    fn read(&self) -> Result<Clip, Failure> {
        let kinds = self.ask(self.kinds)?;
        let kinds = String::from_utf8_lossy(&kinds);
        let kinds: Vec<&str> = kinds.lines().map(str::trim).collect();
        let kind = PICTURES.into_iter().find(|kind| kinds.contains(kind));
        let content = self.ask(&[self.of_kind, &[kind.unwrap_or(self.text)]].concat())?;
        Ok(match kind {
            Some(_) => Clip::Picture(content),
            None => Clip::Text(String::from_utf8_lossy(&content).into_owned()),
        })
    }
}

/// Reads the clipboard.
pub(super) fn read() -> Result<Clip, Failure> {
    let is_there = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if is_there("WAYLAND_DISPLAY") {
        return WAYLAND.read();
    }
    if is_there("DISPLAY") {
        return X.read();
    }
    Err(
        Failure::usage("there is no desktop here, and so no clipboard")
            .with_hint("Give the code's address, or use --image or -."),
    )
}
