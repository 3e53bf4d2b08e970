//! `vault`: its pass phrase, its key, backups.

use clap::Subcommand;
use serde_json::json;

use super::print;
use crate::console::{self, Failure, Rekeyed, Secrets};
use crate::home::Home;

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
}

const CHANGED: &str = "\
The pass phrase is changed. Copies of the folder from before still open with the old one, also those
that a file sync, a backup or a snapshot keeps. If somebody else may know it:
handfast-authenticator vault rekey";

const NOT_UNDONE: &str = "\
What this does not undo: who has a copy of the folder from before, and knew the old pass phrase, has the
passkeys of that day for good. Make new passkeys at the sites and remove the old ones there. Keys of your
trust group he does not have: sites that look at them know him for a stranger.";

pub(super) fn vault(
    home: &Home,
    command: VaultCommand,
    secrets: &mut dyn Secrets,
) -> Result<(), Failure> {
    match command {
        VaultCommand::Passphrase => {
            console::change_passphrase(home, secrets)?;
            print(CHANGED);
        }
        VaultCommand::Rekey { json } => {
            let rekeyed = console::rekey(home, secrets)?;
            print(&rekeyed_words(&rekeyed, json));
        }
    }
    Ok(())
}

fn rekeyed_words(rekeyed: &Rekeyed, json: bool) -> String {
    let Rekeyed {
        resealed,
        other_devices,
    } = rekeyed;
    if json {
        return json!({"resealed": resealed, "other_devices": other_devices}).to_string();
    }
    let files = match resealed {
        1 => "1 file was".to_owned(),
        count => format!("{count} files were"),
    };
    let devices = match other_devices.as_slice() {
        [] => String::new(),
        others => format!(
            " Other devices ask for the new\npass phrase once the file sync has brought the header: {}.",
            others.join(", ")
        ),
    };
    format!(
        "The vault has a new key and a new pass phrase; {files} sealed anew.{devices}\n\n{NOT_UNDONE}"
    )
}
