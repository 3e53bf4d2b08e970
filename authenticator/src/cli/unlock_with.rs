//! `unlock-with`.

use std::path::PathBuf;

use clap::Subcommand;

use super::{AtTerminal, print, print_words};
use crate::console::{Failure, UnlockWith, unlock_state, unlock_with};
use crate::home::Home;

#[derive(Debug, Subcommand)]
pub(super) enum Way {
    /// By the pass phrase alone, as at first.
    Passphrase,
    /// By a key file, such as one on a USB stick. It is made if nothing is there.
    KeyFile {
        /// Where it is when it is there. Several devices may have one in common.
        path: PathBuf,
    },
    /// By the keyring of your desktop (Secret Service), as long as that is unlocked.
    Keyring,
    /// Tell how this device is unlocked, and whether that works now.
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(home: &Home, way: Way, secrets: &mut AtTerminal<'_>) -> Result<(), Failure> {
    let with = match way {
        Way::Passphrase => UnlockWith::Passphrase,
        Way::KeyFile { path } => UnlockWith::KeyFile(path),
        Way::Keyring => UnlockWith::Keyring,
        Way::Status { json } => {
            let state = unlock_state(home);
            match json {
                true => print(&state.json().to_string()),
                false => print_words(&format!("Pass phrase: {}.", state.words())),
            }
            return Ok(());
        }
    };
    print_words(&unlock_with(home, with, secrets)?);
    Ok(())
}
