//! `passkeys`: what is in the vault, and how it comes in and goes out.

mod document;
mod export;
mod import;
mod one;

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use clap::{Args, Subcommand, ValueEnum};
use handfast_proto::ids::RpId;

use super::{AtTerminal, next_line, print, told};
use crate::console::{self, Failure};
use crate::exchange::sealed::Recipient;
use crate::home::Home;
use crate::phone::Input;
use crate::phone::Voice;

#[derive(Debug, Subcommand)]
pub(super) enum PasskeysCommand {
    /// List them: RP ID, account, day, and how the credential ID begins.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show all that is known of a site's passkeys, but no secret.
    Show {
        #[command(flatten)]
        which: Which,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Change the names of a passkey, which only its owner sees.
    Rename {
        #[command(flatten)]
        which: Which,
        /// The account's name from now on.
        #[arg(long, value_name = "NAME", required_unless_present = "display_name", value_parser = one::parse_name)]
        name: Option<String>,
        /// The person's name from now on.
        #[arg(long, value_name = "NAME", value_parser = one::parse_name)]
        display_name: Option<String>,
    },
    /// Delete a passkey for good. You are asked before.
    Delete {
        #[command(flatten)]
        which: Which,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Write passkeys into a document that other programs can read (CXF 1.0), sealed with age.
    ///
    /// The PIN, or the pass phrase where there is no PIN, is asked for once more. Keys of the trust
    /// group and of this device are never in a document, nor are passkeys that were replaced or deleted.
    Export(Export),
    /// Take passkeys over from a document of another program (CXF 1.0), sealed with age or not.
    ///
    /// Everything is read and checked before anything is written. What cannot be used is named, and
    /// the rest imported; then the exit code is 1.
    Import(Import),
}

/// Which passkey is meant.
#[derive(Args, Debug)]
pub(super) struct Which {
    /// The site, by its RP ID as in the list: example.org.
    #[arg(value_name = "RP_ID", value_parser = parse_site)]
    site: RpId,
    /// The account's name, where the site has several.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// How the credential ID begins, where the account has several.
    #[arg(long, value_name = "ID")]
    id: Option<String>,
}

#[derive(Args, Debug)]
pub(super) struct Export {
    /// Where to write it; - is standard output.
    #[arg(long, value_name = "FILE", default_value = "-")]
    to: PathBuf,
    /// Only the passkeys of this site; may be given several times.
    #[arg(long, value_name = "RP_ID", value_parser = parse_site)]
    site: Vec<RpId>,
    /// For whom to seal it, age1…, instead of with a pass phrase; may be given several times.
    #[arg(long, value_name = "KEY", conflicts_with = "plain")]
    recipient: Vec<Recipient>,
    /// Do not seal it. Whoever gets the file can sign in as you; it must be given twice.
    #[arg(long, action = clap::ArgAction::Count)]
    plain: u8,
    /// Overwrite the file if it is there.
    #[arg(long)]
    force: bool,
}

#[derive(Args, Debug)]
pub(super) struct Import {
    /// The document; - is standard input.
    #[arg(value_name = "FILE")]
    from: PathBuf,
    /// A file with private keys of age, for a document that is sealed for them.
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// What to do with a passkey whose account has another one here [you are asked].
    #[arg(long, value_name = "WHAT", value_enum)]
    on_conflict: Option<OnConflict>,
    /// Import passkeys also without the keys of their secrets (prf), where these cannot be read. What a
    /// site encrypted with them is lost then.
    #[arg(long)]
    without_prf: bool,
    /// Only tell what would be imported.
    #[arg(long)]
    dry_run: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OnConflict {
    /// Leave it out.
    Skip,
    /// Take it, and hide the other; that is deleted after 30 days.
    Replace,
    /// Take it, and choose at each sign-in.
    KeepBoth,
}

fn parse_site(text: &str) -> Result<RpId, String> {
    RpId::parse(text).map_err(|error| error.to_string())
}

pub(super) fn passkeys(
    home: &Home,
    command: PasskeysCommand,
    input: &Mutex<Input>,
) -> Result<(), Failure> {
    let mut secrets = AtTerminal(input, Voice::Words);
    match command {
        PasskeysCommand::Export(options) => export::export(home, &options, &mut secrets),
        PasskeysCommand::Import(options) => import::import(home, &options, input),
        PasskeysCommand::List { json } => {
            let authenticator = console::open(home, &mut secrets)?;
            told::name_damaged(&authenticator.vault, Voice::Words);
            print(&one::list(&authenticator.vault, json));
            Ok(())
        }
        PasskeysCommand::Show { which, json } => {
            let authenticator = console::open(home, &mut secrets)?;
            told::name_damaged(&authenticator.vault, Voice::Words);
            print(&one::show(&authenticator.vault, &which, json)?);
            Ok(())
        }
        PasskeysCommand::Rename {
            which,
            name,
            display_name,
        } => {
            let mut vault = console::open(home, &mut secrets)?.vault;
            one::rename(&mut vault, &which, name.as_deref(), display_name.as_deref())
        }
        PasskeysCommand::Delete { which, yes } => {
            let mut authenticator = console::open(home, &mut secrets)?;
            one::delete(&mut authenticator, &which, yes, input)
        }
    }
}

/// Asks a question that is no secret; nothing if nobody answers.
fn ask(question: &str, input: &Mutex<Input>) -> Option<String> {
    input
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .forget_typed();
    console::put_question(question);
    next_line(input)
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes")
}

/// So many of them, in words.
fn counted(count: usize, one: &str, more: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        count => format!("{count} {more}"),
    }
}
