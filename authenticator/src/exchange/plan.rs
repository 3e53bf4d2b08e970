//! What is to become of a document's passkeys in a vault. All is decided before anything is written.

use std::collections::HashMap;

use handfast_proto::ids::{CredentialId, RpId, UserHandle};

use super::read::{Document, Entry, Fault, Found, Lost, Place};
use crate::vault::{Passkey, Vault, VaultError};

/// What only the owner can decide.
#[derive(Debug)]
pub enum Question<'a> {
    /// The vault has another passkey of this account, or the document had one before.
    Account {
        /// The passkey of the document.
        passkey: &'a Passkey,
    },
    /// What it makes secrets with cannot be read.
    WithoutPrf {
        /// The passkey of the document.
        passkey: &'a Passkey,
    },
}

/// What the owner decided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Choice {
    /// It is not imported.
    Skip,
    /// It is imported. Others of its account are hidden, and deleted after 30 days.
    Replace,
    /// It is imported. Where there is another of its account, both can be chosen at sign-in; the next
    /// one that is made for the account replaces both, so that there is one again (CTAP 2.3 §6.1.2).
    Keep,
}

/// Why a passkey that could be read is not imported.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// What was deleted stays so: an old copy of a file must not bring it back.
    #[error("it was deleted from this vault, which keeps that for good")]
    Deleted,
    /// It is kept for a while after another took its place, and answers to a site that names it.
    #[error("another passkey of its account has taken its place in this vault")]
    Replaced,
    /// It cannot be used as it is.
    #[error("{0}")]
    Fault(#[from] Fault),
    /// Another passkey has its name.
    #[error("another passkey has its credential ID")]
    Taken,
}

/// What becomes of one passkey.
#[derive(Debug)]
pub enum Fate {
    /// It is imported, beside others of its account.
    Add(Box<Passkey>),
    /// It is imported, and takes the place of others of its account.
    AddInPlace(Box<Passkey>),
    /// It is here already.
    Present,
    /// It is not imported.
    Refused(Refusal),
    /// Its owner does not want it.
    Skipped,
}

/// A passkey of the document, and its fate.
#[derive(Debug)]
pub struct Step {
    /// Where it is in the document.
    pub place: Place,
    /// For which site, as the document has it.
    pub site: Option<String>,
    /// What came with it and is not imported.
    pub lost: Vec<Lost>,
    /// What becomes of it.
    pub fate: Fate,
}

/// What becomes of a document, in its order.
#[derive(Debug, Default)]
pub struct Plan {
    /// Its passkeys.
    pub steps: Vec<Step>,
    /// How many credentials of other kinds it has; they are passed over.
    pub others: usize,
}

/// How many passkeys met which fate.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// Imported, or to be.
    pub imported: usize,
    /// Here already.
    pub present: usize,
    /// Not wanted.
    pub skipped: usize,
    /// Not usable.
    pub refused: usize,
}

/// Holds a document against a vault. `decide` is asked only about passkeys that can be used.
///
/// # Errors
///
/// Whatever `decide` fails with.
pub fn plan<E>(
    document: Document,
    vault: &Vault,
    mut decide: impl FnMut(&Question<'_>) -> Result<Choice, E>,
) -> Result<Plan, E> {
    let mut chosen = Chosen::default();
    let mut steps = Vec::with_capacity(document.entries.len());
    for Entry { place, site, found } in document.entries {
        let (lost, fate) = match found {
            Ok(Found { passkey, lost }) => {
                let fate = chosen.fate(passkey, &lost, vault, &mut decide)?;
                (lost, fate)
            }
            Err(fault) => (Vec::new(), Fate::Refused(fault.into())),
        };
        steps.push(Step {
            place,
            site,
            lost,
            fate,
        });
    }
    Ok(Plan {
        steps,
        others: document.others,
    })
}

/// What the document brought so far.
#[derive(Default)]
struct Chosen {
    ids: HashMap<CredentialId, Vec<u8>>,
    accounts: HashMap<(RpId, UserHandle), usize>,
}

impl Chosen {
    fn fate<E>(
        &mut self,
        passkey: Passkey,
        lost: &[Lost],
        vault: &Vault,
        decide: &mut impl FnMut(&Question<'_>) -> Result<Choice, E>,
    ) -> Result<Fate, E> {
        if let Some(fate) = self.known(&passkey, vault) {
            return Ok(fate);
        }
        if lost.contains(&Lost::Prf) {
            let question = Question::WithoutPrf { passkey: &passkey };
            if decide(&question)? == Choice::Skip {
                return Ok(Fate::Skipped);
            }
        }
        let account = (passkey.rp_id.clone(), passkey.user_handle.clone());
        let others = vault.of_account(&account.0, &account.1);
        let in_place = match others.is_empty() && !self.accounts.contains_key(&account) {
            true => false,
            false => match decide(&Question::Account { passkey: &passkey })? {
                Choice::Skip => return Ok(Fate::Skipped),
                Choice::Replace => true,
                Choice::Keep => false,
            },
        };
        *self.accounts.entry(account).or_default() += 1;
        let public = public(&passkey).unwrap_or_default();
        self.ids.insert(passkey.credential_id.clone(), public);
        let passkey = Box::new(passkey);
        Ok(match in_place {
            true => Fate::AddInPlace(passkey),
            false => Fate::Add(passkey),
        })
    }

    /// The fate of a passkey whose name is known. A name is random: who has it twice has the same
    /// passkey twice, or none that anybody should use.
    fn known(&self, passkey: &Passkey, vault: &Vault) -> Option<Fate> {
        let id = &passkey.credential_id;
        if let Some(before) = self.ids.get(id) {
            return Some(match public(passkey).as_ref() == Some(before) {
                true => Fate::Present,
                false => Fate::Refused(Refusal::Taken),
            });
        }
        let here = vault.any(id)?;
        let same = here.rp_id == passkey.rp_id
            && here.user_handle == passkey.user_handle
            && public(here) == public(passkey);
        Some(match (same, here.is_usable()) {
            (false, _) => Fate::Refused(Refusal::Taken),
            (true, true) => Fate::Present,
            (true, false) => Fate::Refused(match here.deleted_at {
                Some(_) => Refusal::Deleted,
                None => Refusal::Replaced,
            }),
        })
    }
}

fn public(passkey: &Passkey) -> Option<Vec<u8>> {
    let key = passkey.key().ok()?;
    Some(key.public_key().as_bytes().to_vec())
}

impl Plan {
    /// Counts.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for step in &self.steps {
            *match step.fate {
                Fate::Add(_) | Fate::AddInPlace(_) => &mut tally.imported,
                Fate::Present => &mut tally.present,
                Fate::Refused(_) => &mut tally.refused,
                Fate::Skipped => &mut tally.skipped,
            } += 1;
        }
        tally
    }

    /// Writes what is to be imported into the vault. To do it again is no harm: what was written is
    /// here already.
    ///
    /// # Errors
    ///
    /// [`VaultError::Io`], with how many were imported before.
    pub fn carry_out(self, vault: &mut Vault, now: u64) -> Result<usize, (usize, VaultError)> {
        let mut imported = 0;
        for step in self.steps {
            match step.fate {
                Fate::Add(passkey) => vault.add(*passkey),
                Fate::AddInPlace(passkey) => vault.add_in_place(*passkey, now),
                Fate::Present | Fate::Refused(_) | Fate::Skipped => continue,
            }
            .map_err(|error| (imported, error))?;
            imported += 1;
        }
        Ok(imported)
    }
}
