use handfast_proto::ctap2::Status;
use handfast_proto::ids::CredentialId;

use rand_core::CryptoRngCore;

use super::{Authenticator, Computer, Refused, Session, Turn};
use crate::group;
use crate::vault::Passkey;

impl Authenticator {
    /// authenticatorReset (CTAP 2.3 §6.6): all passkeys are deleted. Only a tool that tests this
    /// program may ask for it, and only with a vault made for tests.
    pub(super) fn reset(
        &mut self,
        session: &Session,
        turn: &mut Turn<'_>,
    ) -> Result<Vec<u8>, Refused> {
        if session.context.computer != Computer::TestTool || !self.vault.is_for_tests() {
            return Err(Status::INVALID_COMMAND.into());
        }
        let passkeys = self.vault.kept();
        let gone: Vec<CredentialId> = passkeys.map(|gone| gone.credential_id.clone()).collect();
        self.delete(&gone, turn.rng, turn.now)
            .map_err(Refused::storage)?;
        self.forget_bound_keys(turn.rng).map_err(Refused::storage)?;
        Ok(Vec::new())
    }

    /// Deletes passkeys for good, one after the other, and retires their keys of the trust group.
    ///
    /// # Errors
    ///
    /// [`group::GroupError`]; those that were deleted stay so.
    pub fn delete(
        &mut self,
        gone: &[CredentialId],
        rng: &mut dyn CryptoRngCore,
        now: u64,
    ) -> Result<(), group::GroupError> {
        let mut deleted = Ok(());
        let mut done = Vec::new();
        for id in gone {
            deleted = self.vault.delete(id, now);
            if deleted.is_err() {
                break;
            }
            done.push(id.clone());
        }
        // Also of those before one that could not be: nobody asks for them again.
        let retired = self.retire_keys(&done, rng);
        Ok(deleted?).and(retired)
    }

    /// Returns a passkey, and those of its account that were replaced and still answer to a site that knows them:
    /// none, as long as another of the account can be used, which may be the one that replaced them.
    pub fn with_replaced(&self, id: &CredentialId) -> Vec<CredentialId> {
        let Some(passkey) = self.vault.any(id) else {
            return vec![id.clone()];
        };
        let of_account = |it: &&Passkey| {
            it.rp_id == passkey.rp_id
                && it.user_handle == passkey.user_handle
                && it.credential_id != *id
        };
        let mut others: Vec<&Passkey> = self.vault.kept().filter(of_account).collect();
        if others.iter().any(|other| other.is_usable()) {
            others.clear();
        }
        let others = others.into_iter().map(|other| other.credential_id.clone());
        [id.clone()].into_iter().chain(others).collect()
    }
}

#[cfg(test)]
mod tests {
    use handfast_proto::cose::{Algorithm, SigningKey};
    use handfast_proto::ids::{RpId, UserHandle};
    use rand_core::OsRng;

    use crate::disk::power::{Cut, with_cut};
    use crate::engine::tests;

    use super::*;

    fn credential(number: u8) -> CredentialId {
        CredentialId::from_bytes(&[number; 32]).unwrap()
    }

    fn passkey(number: u8) -> Passkey {
        let key = SigningKey::generate(Algorithm::Es256, &mut OsRng);
        let rp_id = RpId::parse("example.org").unwrap();
        let user = UserHandle::from_bytes(b"ana").unwrap();
        Passkey::new(credential(number), rp_id, user, &key, number.into()).unwrap()
    }

    /// A phone with a passkey that another one of the account has replaced.
    fn phone(folder: &tempfile::TempDir) -> Authenticator {
        let mut phone = tests::phone(folder.path());
        // The greater name is the older: what comes first is not so by its name.
        phone.vault.store(passkey(2)).unwrap();
        phone.vault.store(passkey(1)).unwrap();
        phone
    }

    #[test]
    fn what_is_replaced_stays_as_long_as_another_passkey_of_the_account_can_be_used() {
        let folder = tempfile::tempdir().unwrap();
        let mut phone = phone(&folder);
        let both = [credential(1), credential(2)];
        assert_eq!(phone.with_replaced(&credential(1)), both);
        // As an import that keeps both leaves it: which of the two replaced the old one nobody knows.
        phone.vault.add(passkey(3)).unwrap();
        assert_eq!(phone.with_replaced(&credential(3)), [credential(3)]);
        assert_eq!(phone.with_replaced(&credential(1)), [credential(1)]);
    }

    #[test]
    fn a_deletion_that_fails_has_deleted_none_but_the_one_that_was_meant() {
        for at in 0.. {
            let folder = tempfile::tempdir().unwrap();
            let mut phone = phone(&folder);
            let gone = phone.with_replaced(&credential(1));
            let delete = || phone.delete(&gone, &mut OsRng, 9);
            let (deleted, reached) = with_cut(at, Cut::Once, delete);
            let is_there = |number| phone.vault.named(&credential(number)).is_some();
            assert!(is_there(2) || !is_there(1), "step {at}");
            assert_eq!(deleted.is_ok(), !is_there(1) && !is_there(2), "step {at}");
            if !reached {
                break;
            }
        }
    }
}
