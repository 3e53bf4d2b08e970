//! `passkeys export`.

use std::fmt::Display;
use std::io::{IsTerminal as _, stdout};

use super::{Export, counted, document};
use handfast_proto::extension::cred_protect::Protection;

use crate::cli::told;
use crate::console::{self, Failure, Secrets, tell, unix_time};
use crate::exchange::sealed::{SealError, Work, seal_for, seal_under};
use crate::exchange::{LARGEST, write};
use crate::home::Home;
use crate::passphrase::Passphrase;
use crate::phone::Voice;
use crate::vault::{Passkey, Vault};

/// How a document leaves.
enum Form<'a> {
    Plain,
    Under(Passphrase),
    For(&'a Export),
}

pub(super) fn export(
    home: &Home,
    options: &Export,
    secrets: &mut dyn Secrets,
) -> Result<(), Failure> {
    if options.plain == 1 {
        return Err(Failure::usage(
            "--plain writes private keys that everybody can use who ever sees the file",
        )
        .with_hint("Leave it out; or give it twice, --plain --plain, if nothing else will do."));
    }
    document::may_write(&options.to, options.force)?;
    let mut authenticator = console::open(home, secrets)?;
    told::name_damaged(&authenticator.vault, Voice::Words);
    chosen(&authenticator.vault, options)?;
    console::confirm_owner(home, &mut authenticator, secrets)?;
    let form = match (options.plain, options.recipient.is_empty()) {
        (0, true) => Form::Under(console::new_document_passphrase(secrets)?),
        (0, false) => Form::For(options),
        _ => Form::Plain,
    };
    let vault = &authenticator.vault;
    let passkeys = chosen(vault, options)?;
    let fewer = |why: &dyn Display| {
        Failure::new(format!("The document could not be made: {why}"))
            .with_hint("Export fewer sites at a time, with --site.")
    };
    let bytes = write(vault.id(), &passkeys, unix_time()).map_err(|error| fewer(&error))?;
    if bytes.len() > LARGEST {
        return Err(fewer(&"it would be larger than 64 MiB"));
    }
    let bytes = match &form {
        Form::Plain => bytes,
        form => seal(&bytes, form, options, vault.is_for_tests())?.into(),
    };
    document::write(&options.to, &bytes, options.force)?;
    tell(&summary(vault, options, &form, &passkeys));
    Ok(())
}

/// The passkeys that are to leave.
fn chosen<'a>(vault: &'a Vault, options: &Export) -> Result<Vec<&'a Passkey>, Failure> {
    let without = |site| vault.passkeys_of(site).is_empty();
    if let Some(site) = options.site.iter().find(|site| without(site)) {
        return Err(Failure::new(format!("There is no passkey for {site}"))
            .with_hint("See which there are with: handfast-authenticator passkeys list"));
    }
    let wanted =
        |passkey: &&Passkey| options.site.is_empty() || options.site.contains(&passkey.rp_id);
    let passkeys: Vec<_> = vault.passkeys().filter(wanted).collect();
    match passkeys.is_empty() {
        true => Err(Failure::new("There are no passkeys to export")
            .with_hint("Make one at a site, or import some; nothing was written.")),
        false => Ok(passkeys),
    }
}

fn seal(
    document: &[u8],
    form: &Form<'_>,
    options: &Export,
    for_tests: bool,
) -> Result<Vec<u8>, Failure> {
    // Bytes that are no text would only disturb a terminal.
    let armored = document::is_standard(&options.to) && stdout().is_terminal();
    let work = match for_tests {
        true => Work::LEAST,
        false => Work::DEFAULT,
    };
    let sealed = match form {
        Form::Under(passphrase) => seal_under(document, passphrase, work, armored),
        Form::For(options) => seal_for(document, &options.recipient, armored),
        Form::Plain => return Ok(document.to_vec()),
    };
    sealed.map_err(|error: SealError| Failure::new(error.to_string()))
}

fn summary(vault: &Vault, options: &Export, form: &Form<'_>, passkeys: &[&Passkey]) -> String {
    let all = counted(passkeys.len(), "passkey is", "passkeys are");
    let to = match document::is_standard(&options.to) {
        true => "the document".to_owned(),
        false => options.to.display().to_string(),
    };
    let how = match form {
        Form::Plain => {
            "NOT SEALED: whoever gets it can sign in as you. Delete it when it is imported"
        }
        Form::Under(_) => "sealed with its pass phrase",
        Form::For(_) => "sealed for the holders of those keys",
    };
    let mut words = format!(
        "{all} in {to}, {how}.\nNot in it: the keys of your trust group and of this device. Sites \
         that know them will see a new device where it is imported."
    );
    let protected = passkeys
        .iter()
        .filter(|it| it.protection != Protection::default());
    let protected = protected.count();
    if protected > 0 {
        let protected = counted(protected, "passkey", "passkeys");
        words.push_str(&format!(
            "\nNot in it: that {protected} sign only for who is verified (credProtect)."
        ));
    }
    let ended = vault.ended();
    if ended > 0 {
        let ended = counted(ended, "passkey", "passkeys");
        words.push_str(&format!(
            "\nNot in it: {ended} that were replaced or deleted."
        ));
    }
    words
}
