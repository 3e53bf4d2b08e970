//! `vault`: its pass phrase, its key, backups.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::{print, print_words};
use crate::console::{self, AfterRestore, Failure, Rekeyed, Secrets};
use crate::home::Home;
use crate::vault::Restored;

#[derive(Debug, Subcommand)]
pub(super) enum VaultCommand {
    /// Change the pass phrase.
    ///
    /// Only the header vault.handfast is written. Copies of the folder from before, also those that
    /// a file sync keeps, still open with the old pass phrase.
    Passphrase,
    /// Give the vault a new key and a new pass phrase, because somebody may know the old one.
    ///
    /// All files are sealed anew. What was begun and cut off goes on when the vault is opened next.
    /// Other devices ask for the new pass phrase as soon as the file sync has brought the header.
    Rekey {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write all passkeys into one encrypted file.
    ///
    /// It opens with the pass phrase that the vault has now, also after that is changed.
    Backup {
        /// The file; one that is there is replaced only with --force.
        file: PathBuf,
        /// Give the backup a pass phrase of its own, which is asked for, or read from the file that
        /// HANDFAST_NEW_PASSPHRASE_FILE names.
        #[arg(long)]
        own_passphrase: bool,
        /// Replace a file that is there.
        #[arg(long)]
        force: bool,
    },
    /// Take the passkeys of a backup into the vault that it was made of; where there is no vault, make
    /// it anew, with the backup's pass phrase.
    ///
    /// What the vault knows better counts: a passkey that was deleted stays deleted.
    Restore {
        /// The backup. Its pass phrase is asked for, or read from the file that
        /// HANDFAST_BACKUP_PASSPHRASE_FILE names, or HANDFAST_PASSPHRASE_FILE.
        file: PathBuf,
    },
}

const CHANGED: &str = "\
The pass phrase is changed. Copies of the folder from before still open with the old one, also those \
that a file sync, a backup or a snapshot keeps. If somebody else may know it: \
handfast-authenticator vault rekey";

const NOT_UNDONE: &str = "\
What this does not undo: who has a copy of the folder from before, and knew the old pass phrase, has the \
passkeys of that day for good. Make new passkeys at the sites and remove the old ones there. Keys of your \
trust group he does not have: sites that look at them know him for a stranger.";

const NOT_CARRIED: &str = "\
It does not carry this device's keys, \
its PIN, and its trust group: on a new device, sites that look at trust groups see a new one once. Who has \
the file and its pass phrase has the passkeys.";

const MADE: &str = "The vault is made anew, with the backup's pass phrase.";

const STILL_SET_UP: &str = "This device still is set up in it, with its PIN and its trust group.";

const NO_GROUP: &str = "\
Its trust group did not come along: link it with another device of yours, or sites that look at trust groups see \
a new one once.";

pub(super) fn vault(
    home: &Home,
    command: VaultCommand,
    secrets: &mut dyn Secrets,
) -> Result<(), Failure> {
    match command {
        VaultCommand::Passphrase => {
            console::change_passphrase(home, secrets)?;
            print_words(CHANGED);
        }
        VaultCommand::Rekey { json } => {
            let rekeyed = console::rekey(home, secrets)?;
            match json {
                true => print(&rekeyed_json(&rekeyed)),
                false => print_words(&rekeyed_words(&rekeyed)),
            }
        }
        VaultCommand::Backup {
            file,
            own_passphrase,
            force,
        } => {
            let (count, unread) = console::back_up(home, &file, own_passphrase, force, secrets)?;
            let (file, count) = (file.display(), passkeys(count));
            let unread = match unread {
                0 => String::new(),
                1 => " 1 file of the vault cannot be read, and is not in it.".to_owned(),
                some => format!(" {some} files of the vault cannot be read, and are not in it."),
            };
            let opens = match own_passphrase {
                true => "Its own pass phrase opens it.",
                false => "The vault's pass phrase of today opens it, also when that is changed.",
            };
            print_words(&format!(
                "The backup {file} has {count}.{unread} {opens} {NOT_CARRIED}"
            ));
        }
        VaultCommand::Restore { file } => {
            let (restored, after) = console::restore(home, &file, secrets)?;
            print_words(&restored_words(&restored, &after));
        }
    }
    Ok(())
}

fn rekeyed_json(rekeyed: &Rekeyed) -> String {
    let Rekeyed {
        resealed,
        other_devices,
    } = rekeyed;
    json!({"resealed": resealed, "other_devices": other_devices}).to_string()
}

fn rekeyed_words(rekeyed: &Rekeyed) -> String {
    let Rekeyed {
        resealed,
        other_devices,
    } = rekeyed;
    let files = match resealed {
        1 => "1 file was".to_owned(),
        count => format!("{count} files were"),
    };
    let devices = match other_devices.as_slice() {
        [] => String::new(),
        others => format!(
            " Other devices ask for the new pass phrase once the file sync has brought the header: {}.",
            others.join(", ")
        ),
    };
    format!(
        "The vault has a new key and a new pass phrase; {files} sealed anew.{devices}\n\n{NOT_UNDONE}"
    )
}

fn passkeys(count: usize) -> String {
    match count {
        1 => "1 passkey".to_owned(),
        count => format!("{count} passkeys"),
    }
}

fn restored_words(restored: &Restored, after: &AfterRestore) -> String {
    let Restored {
        new,
        known,
        ended,
        unreadable,
        ..
    } = restored;
    let mut words = format!("{} came back; {known} were there already", passkeys(*new));
    if *ended > 0 {
        words.push_str(&format!(
            ", {ended} of them deleted or replaced, and stay so"
        ));
    }
    words.push('.');
    if *unreadable > 0 {
        words.push_str(&format!(
            " {} cannot be read by this version.",
            passkeys(*unreadable)
        ));
    }
    let left = match after {
        AfterRestore::Nothing => String::new(),
        AfterRestore::StillSetUp => format!("{MADE} {STILL_SET_UP}"),
        AfterRestore::SetUp => {
            format!("{MADE} Set this device up in it: handfast-authenticator init\n{NO_GROUP}")
        }
        AfterRestore::RemoveStore(store) => format!(
            "{MADE} What this device keeps in {} is of a later key of the vault, and so of no use: remove that \
             folder, and set this device up anew: handfast-authenticator init\n{NO_GROUP}",
            store.display()
        ),
    };
    if !left.is_empty() {
        words.push('\n');
        words.push_str(&left);
    }
    words
}
