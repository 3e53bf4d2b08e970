//! `scan`: where one code comes from.

use std::io::{IsTerminal as _, stdin};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};

use clap::Args;
use handfast_proto::hybrid::qr::{SCHEME, ScannedInvitation};

use super::clipboard::{self, Clip};
use super::next_line;
use super::serving::Serving;
use crate::console::{Failure, put_question};
use crate::phone::{Input, LARGEST_FILE, read_file, read_picture};

/// What PNG, JPEG and WebP files begin with.
const MAGIC: [&[u8]; 3] = [b"\x89PNG", b"\xff\xd8\xff", b"RIFF"];

#[derive(Args, Debug)]
pub(super) struct Scanning {
    #[command(flatten)]
    source: Source,
    /// Stay until Enter is pressed, for a terminal that would close at once.
    #[arg(long)]
    pub(super) stay: bool,
    #[command(flatten)]
    pub(super) serving: Serving,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct Source {
    /// The code's FIDO:/ address, or - to read that or a picture from standard input.
    address: Option<String>,
    /// A picture with the code in it: PNG, JPEG or WebP.
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// Take the picture or the address that was copied (with wl-paste or xclip).
    #[arg(long)]
    clipboard: bool,
    /// Look through a camera, usually the first.
    #[cfg(feature = "camera")]
    #[arg(long, value_name = "DEVICE", num_args = 0..=1)]
    camera: Option<Option<PathBuf>>,
}

impl Scanning {
    /// Finds the code's address.
    pub(super) fn code(&self, input: &Mutex<Input>) -> Result<String, Failure> {
        let source = &self.source;
        #[cfg(feature = "camera")]
        if let Some(device) = &source.camera {
            return super::camera::look(device.as_deref(), &self.serving, input);
        }
        if source.clipboard {
            return match clipboard::read()? {
                Clip::Picture(bytes) => Ok(read_picture(bytes, "the clipboard".to_owned())?),
                Clip::Text(text) => code_in(&text).map(str::to_owned).ok_or_else(|| {
                    Failure::usage("there is no FIDO:/ code in the clipboard")
                        .with_hint("Copy the code's picture or its address.")
                }),
            };
        }
        match (&source.image, &source.address) {
            (Some(path), _) => Ok(read_file(path)?),
            (None, Some(address)) if address == "-" => from_standard_input(input),
            (None, address) => Ok(address.clone().unwrap_or_default()),
        }
    }
}

/// Waits until the person has read everything.
pub(super) fn stay(input: &Mutex<Input>) {
    if !stdin().is_terminal() {
        return;
    }
    put_question("Enter closes this window. ");
    let mut input = input.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = input.line(None, &AtomicBool::new(false));
}

/// The code, or a picture of it. Questions are for the terminal then.
fn from_standard_input(input: &Mutex<Input>) -> Result<String, Failure> {
    let picture = {
        let mut input = input.lock().unwrap_or_else(PoisonError::into_inner);
        let is_picture = |bytes: &[u8]| MAGIC.iter().any(|magic| bytes.starts_with(magic));
        let read = input.all_if(is_picture, LARGEST_FILE).map_err(|error| {
            Failure::usage(format!("Standard input cannot be read: {error}"))
                .with_hint("Give a picture of less than 64 MiB.")
        });
        input.go_on_at_terminal();
        read?
    };
    if let Some(bytes) = picture {
        return Ok(read_picture(bytes.to_vec(), "standard input".to_owned())?);
    }
    let line = next_line(input).ok_or_else(|| {
        Failure::usage("Nothing came on standard input")
            .with_hint("Give a FIDO:/ address or a picture.")
    })?;
    Ok(code_in(&line).unwrap_or(&line).to_owned())
}

/// Finds the address of a code in a text.
fn code_in(text: &str) -> Option<&str> {
    let begins = |at: &usize| {
        let scheme = text.get(*at..*at + SCHEME.len());
        scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME))
    };
    let begin = (0..text.len()).find(begins)?;
    let digits = text.get(begin + SCHEME.len()..)?;
    let end = digits.find(|c: char| !c.is_ascii_digit());
    text.get(begin..end.map_or(text.len(), |end| begin + SCHEME.len() + end))
}

/// Reads a line of `run`: a code's address, or the path of its picture.
pub(super) fn read_code(line: &str) -> Result<ScannedInvitation, Failure> {
    let path = PathBuf::from(line);
    if path.is_file() {
        return Ok(ScannedInvitation::parse(&read_file(&path)?)?);
    }
    let is_path = line.contains('/') || line.contains('.');
    if is_path && !crate::phone::is_code(line) {
        let why = path.metadata().err();
        let why = why.map_or_else(|| "it is no file".to_owned(), |error| error.to_string());
        return Err(
            Failure::usage(format!("{line} is neither a code nor a picture: {why}")).with_hint(
                "Paste an address that begins with FIDO:/, or give the path of a picture.",
            ),
        );
    }
    Ok(ScannedInvitation::parse(line)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_wherever_it_stands() {
        for (text, code) in [
            ("FIDO:/0123", Some("FIDO:/0123")),
            ("fido:/0123\n", Some("fido:/0123")),
            ("<a href=\"FIDO:/0123\">é", Some("FIDO:/0123")),
            ("é FIDO:/12 FIDO:/34", Some("FIDO:/12")),
            ("FIDO:/", Some("FIDO:/")),
            ("FIDO:", None),
            ("https://example.org", None),
            ("", None),
        ] {
            assert_eq!(code_in(text), code, "{text}");
        }
    }
}
