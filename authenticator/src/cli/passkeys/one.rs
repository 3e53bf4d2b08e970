//! Passkeys by themselves: listed, shown, renamed, deleted.

use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use handfast_proto::cose::Algorithm;
use handfast_proto::extension::cred_protect::Protection;
use handfast_proto::ids::CredentialId;
use rand_core::OsRng;
use serde_json::{Value, json};

use super::{Which, ask, is_yes};
use crate::console::{Failure, code, columns, day, tell, unix_time};
use crate::engine::{Authenticator, printable};
use crate::phone::Input;
use crate::vault::{Passkey, Vault};

/// The most bytes that a name may have (CTAP 2.3 §6.1).
const LONGEST_NAME: usize = 64;

/// How wide a column of the list is at most.
const WIDEST: usize = 28;
pub(super) fn parse_name(text: &str) -> Result<String, String> {
    match text.len() > LONGEST_NAME {
        true => Err(format!("a name has at most {LONGEST_NAME} bytes")),
        false => Ok(text.to_owned()),
    }
}

fn name(name: &Option<String>) -> String {
    printable(name.as_deref().unwrap_or_default())
}

fn id(passkey: &Passkey) -> String {
    URL_SAFE_NO_PAD.encode(passkey.credential_id.as_bytes())
}

/// For which site and whom, as it is said in a sentence.
pub(super) fn described(passkey: &Passkey) -> String {
    match name(&passkey.user_name) {
        user if user.is_empty() => format!("{}, an account without a name", passkey.rp_id),
        user => format!("{}, {user}", passkey.rp_id),
    }
}

/// Lists the passkeys, by site and age.
pub(super) fn list(vault: &Vault, json: bool) -> String {
    let mut passkeys: Vec<_> = vault.passkeys().collect();
    passkeys.sort_by(|a, b| (&a.rp_id, a.created_at).cmp(&(&b.rp_id, b.created_at)));
    if json {
        return passkeys
            .iter()
            .map(|it| brief(it))
            .collect::<Value>()
            .to_string();
    }
    if passkeys.is_empty() {
        return "There are no passkeys yet.".to_owned();
    }
    let rows: Vec<_> = passkeys.iter().map(|passkey| row(passkey)).collect();
    let width = |column: fn(&Row) -> &String| rows.iter().map(|row| columns(column(row))).max();
    // One long name does not move all others.
    let widths = (width(|row| &row.site), width(|row| &row.account));
    let widths = (widths.0.min(Some(WIDEST)), widths.1.min(Some(WIDEST)));
    let lines = rows.iter().map(|row| row.line(widths));
    lines.collect::<Vec<_>>().join("\n")
}

/// What the list says of a passkey.
struct Row {
    site: String,
    account: String,
    made: String,
    id: String,
}

fn row(passkey: &Passkey) -> Row {
    Row {
        site: passkey.rp_id.to_string(),
        account: name(&passkey.user_name),
        made: day(passkey.created_at),
        id: passkey.short_id(),
    }
}

impl Row {
    fn line(&self, (site, account): (Option<usize>, Option<usize>)) -> String {
        let filled = |text: &str, width: Option<usize>| {
            let missing = width.unwrap_or_default().saturating_sub(columns(text));
            text.to_owned() + &" ".repeat(missing)
        };
        let (site, account) = (filled(&self.site, site), filled(&self.account, account));
        format!("{site}  {account}  {}  {}", self.made, self.id)
    }
}

fn brief(passkey: &Passkey) -> Value {
    json!({
        "rp_id": passkey.rp_id.as_str(),
        "user_name": name(&passkey.user_name),
        "display_name": name(&passkey.display_name),
        "created_at": passkey.created_at,
        "credential_id": id(passkey),
    })
}

/// Shows the passkeys that are meant.
pub(super) fn show(vault: &Vault, which: &Which, json: bool) -> Result<String, Failure> {
    let passkeys = matching(vault, which)?;
    if json {
        let shown = passkeys.iter().map(|passkey| {
            let mut shown = brief(passkey);
            shown["user_handle"] = json!(URL_SAFE_NO_PAD.encode(passkey.user_handle.as_bytes()));
            shown["algorithm"] = json!(passkey.algorithm.id());
            shown["changed_at"] = json!(passkey.changed_at);
            shown["prf"] = json!(passkey.prf.is_some());
            shown["cred_protect"] = json!(passkey.protection.level());
            shown["cred_blob"] = json!(passkey.cred_blob.is_some());
            shown["large_blob"] = json!(passkey.large_blob.is_some());
            shown
        });
        return Ok(shown.collect::<Value>().to_string());
    }
    let shown = passkeys.iter().map(|passkey| in_words(passkey));
    Ok(shown.collect::<Vec<_>>().join("\n\n"))
}

fn in_words(passkey: &Passkey) -> String {
    let algorithm = match passkey.algorithm {
        Algorithm::EdDsa => "EdDSA (Ed25519)",
        Algorithm::Es256 => "ES256 (P-256)",
    };
    let prf = match passkey.prf {
        Some(_) => "it makes some for the site (prf)",
        None => "it makes none",
    };
    let verification = match passkey.protection {
        Protection::Presence => "if the site asks for it",
        Protection::VerificationUnlessNamed => "needed, unless the site names the passkey",
        Protection::Verification => "needed",
    };
    let kept = match (&passkey.cred_blob, &passkey.large_blob) {
        (None, None) => "nothing",
        (Some(_), None) => "a few bytes (credBlob)",
        (None, Some(_)) => "data (largeBlob)",
        (Some(_), Some(_)) => "a few bytes (credBlob) and data (largeBlob)",
    };
    [
        passkey.rp_id.to_string(),
        format!("  account        {}", name(&passkey.user_name)),
        format!("  person         {}", name(&passkey.display_name)),
        format!("  made           {}", day(passkey.created_at)),
        format!("  names changed  {}", day(passkey.changed_at)),
        format!("  algorithm      {algorithm}"),
        format!("  secrets        {prf}"),
        format!("  verification   {verification}"),
        format!("  kept for it    {kept}"),
        format!("  credential ID  {}", id(passkey)),
    ]
    .map(|line| line.trim_end().to_owned())
    .join("\n")
}

/// The passkeys that are meant, the newest first; at least one.
fn matching<'a>(vault: &'a Vault, which: &Which) -> Result<Vec<&'a Passkey>, Failure> {
    let mut passkeys = vault.passkeys_of(&which.site);
    passkeys.retain(|passkey| {
        let user = passkey.user_name.as_deref().unwrap_or_default();
        let named = which.user.as_deref().is_none_or(|wanted| user == wanted);
        let begins = which.id.as_deref();
        named && begins.is_none_or(|begin| id(passkey).starts_with(begin))
    });
    match passkeys.is_empty() {
        true => Err(
            Failure::new(format!("There is no such passkey for {}", which.site))
                .with_hint("See which there are with: handfast-authenticator passkeys list"),
        ),
        false => Ok(passkeys),
    }
}

/// The one passkey that is meant.
fn only<'a>(vault: &'a Vault, which: &Which) -> Result<&'a Passkey, Failure> {
    let passkeys = matching(vault, which)?;
    match passkeys.as_slice() {
        [passkey] => Ok(passkey),
        several => Err(Failure::usage(format!(
            "{} passkeys of {} may be meant",
            several.len(),
            which.site
        ))
        .with_hint("Say which with --user or --id; see: handfast-authenticator passkeys list")),
    }
}

pub(super) fn rename(
    vault: &mut Vault,
    which: &Which,
    user_name: Option<&str>,
    display_name: Option<&str>,
) -> Result<(), Failure> {
    if user_name == Some("") {
        return Err(Failure::usage("an account needs a name")
            .with_hint("Give one with --name; nothing was changed."));
    }
    let id = only(vault, which)?.credential_id.clone();
    vault.rename(&id, user_name, display_name, unix_time())?;
    tell("The passkey has its new name. The site is not told of it.");
    Ok(())
}

pub(super) fn delete(
    authenticator: &mut Authenticator,
    which: &Which,
    yes: bool,
    input: &Mutex<Input>,
) -> Result<(), Failure> {
    let passkey = only(&authenticator.vault, which)?;
    let (id, described): (CredentialId, _) = (passkey.credential_id.clone(), described(passkey));
    let gone = authenticator.with_replaced(&id);
    let replaced = match gone.len() {
        0 | 1 => "",
        _ => " With it goes what it replaced, which still answers where a site knows that one.",
    };
    if !yes {
        let question = format!(
            "Delete the passkey of {described}, on all your devices and for good?{replaced} If the site knows no \
             other way, you are locked out. [y/N] "
        );
        let answer = ask(&question, input).ok_or_else(|| {
            Failure::usage("Nobody is there to say whether it may be deleted")
                .with_hint("Answer the question, or give --yes; nothing was deleted.")
        })?;
        if !is_yes(&answer) {
            return Err(Failure::new("You refused")
                .with_hint("Nothing was deleted.")
                .with_code(code::REFUSED));
        }
    }
    authenticator.delete(&gone, &mut OsRng, unix_time())?;
    tell("The passkey is deleted. The site does not know: remove it there too.");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_as_long_as_sites_names_are() {
        assert_eq!(parse_name(&"n".repeat(64)), Ok("n".repeat(64)));
        assert!(parse_name(&"é".repeat(33)).is_err());
    }
}
