//! Two devices change one file before the sync has come by.
//!
//! The group's own files do not get there: a key file is rewritten only when its key is presented
//! for the first time, which its maker does before anybody has a copy, and an entry never is. A
//! passkey's file is: who makes a new passkey for an account marks the old one as replaced, in its
//! place. So here two devices do that at once. The shop's server does not play: its options are
//! all that `handfast create` wants to see of it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::copier::differing;
use crate::stage::{PATIENCE, Process, Program};
use crate::story::StoryError;
use crate::story::cast::{AT_HOME, Cast, Computer, missing};
use crate::story::claims::Claims;

const SHOP: &str = "https://books.example";

pub(super) fn play(cast: &mut Cast, claims: &mut Claims<'_>) -> Result<Value, StoryError> {
    claims.tell(
        "laptop",
        "makes a passkey for Ana's bookshop, books.example.",
    );
    created(begin_create(cast, &cast.laptop)?)?;
    cast.settle()?;

    cast.hold_sync()?;
    claims.tell(
        "Ana",
        "cuts the sync off, and makes a new one instead on the laptop, and on the workstation too. \
         Each marks the old one as replaced, in one and the same file.",
    );
    let both = [
        begin_create(cast, &cast.laptop)?,
        begin_create(cast, &cast.workstation)?,
    ];
    both.into_iter().try_for_each(created)?;
    let (laptop, workstation) = (cast.laptop.home.vault(), cast.workstation.home.vault());
    let torn = differing(&laptop, &workstation)?;
    let written = [contents(&laptop, &torn), contents(&workstation, &torn)].concat();

    let done = cast.settle()?;
    let copies: Vec<String> = done.conflicts.iter().map(|path| shortened(path)).collect();
    claims.tell(
        "file sync",
        &format!("is back, and leaves a conflict copy: {}", copies.join(", ")),
    );
    claims.claim(
        "One passkey file had two new versions, and both are kept.",
        torn.len() == 1
            && are_copies(&done.conflicts, &torn)
            && both_are_in(&cast.phone.home.vault(), &torn, &done.conflicts, &written),
    );
    let vaults = cast.ask_everywhere(&["vault", "status"])?;
    let whole = |vault: &Value| {
        vault["passkeys"] == 3 && vault["damaged"].as_array().is_some_and(Vec::is_empty)
    };
    claims.claim(
        "Every device reads all of it: the site's passkey and both new ones; nothing is damaged.",
        vaults.len() == 3 && vaults.iter().all(whole),
    );
    Ok(json!({"conflict_copies": done.conflicts, "vaults": vaults}))
}

fn begin_create(cast: &Cast, computer: &Computer) -> Result<Process, StoryError> {
    let arguments = ["create", "--origin", SHOP, "--via", "local"];
    let mut process = cast.desktop(computer, AT_HOME, &arguments)?;
    let options = json!({
        "challenge": "aGFuZGZhc3QgYm9va3Nob3A",
        "rp": {"id": "books.example", "name": "Books"},
        "user": {"id": "YW5hLXJlYWRz", "name": "ana", "displayName": "Ana"},
        "pubKeyCredParams": [{"type": "public-key", "alg": -7}],
        "authenticatorSelection": {"userVerification": "required"},
    });
    process.say(&options.to_string())?;
    process.close_input();
    Ok(process)
}

fn created(process: Process) -> Result<(), StoryError> {
    let finished = process.finish(PATIENCE)?;
    match finished.code {
        0 => Ok(()),
        _ => Err(missing(Program::Desktop, "a new passkey", finished.err)),
    }
}

/// Whether these are conflict copies, one each, of those passkey files.
fn are_copies(copies: &[PathBuf], files: &[PathBuf]) -> bool {
    let is_copy = |(copy, file): (&PathBuf, &PathBuf)| {
        let (copy, file) = (copy.to_string_lossy(), file.to_string_lossy());
        file.starts_with("passkeys/") && copy.starts_with(&format!("{file}.sync-conflict-"))
    };
    copies.len() == files.len() && copies.iter().zip(files).all(is_copy)
}

fn contents(vault: &Path, files: &[PathBuf]) -> Vec<Vec<u8>> {
    let read = files.iter().map(|file| fs::read(vault.join(file)));
    read.filter_map(Result::ok).collect()
}

/// Whether files and copies of a vault hold what was written, and it was all different.
fn both_are_in(vault: &Path, files: &[PathBuf], copies: &[PathBuf], written: &[Vec<u8>]) -> bool {
    let mut held = [contents(vault, files), contents(vault, copies)].concat();
    let mut written = written.to_vec();
    held.sort();
    written.sort();
    held == written && held.windows(2).all(|pair| pair[0] != pair[1])
}

/// A name as a person wants to read it: a vault's file names are long, and say nothing.
fn shortened(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match (name.get(..4), name.find(".sync-conflict")) {
        (Some(start), Some(at)) => format!("{start}…{}", name.get(at..).unwrap_or_default()),
        _ => name.into_owned(),
    }
}
