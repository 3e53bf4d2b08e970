use std::collections::BTreeSet;

use handfast_proto::ctap2::Status;
use handfast_proto::ids::CredentialId;

use rand_core::CryptoRngCore;

use super::{Authenticator, Computer, Refused, Session, Turn};
use crate::group;

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

    /// Deletes passkeys for good, with those that they replaced, and retires their keys of the trust group.
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
        let gone = self.with_replaced(gone);
        for id in &gone {
            self.vault.delete(id, now)?;
        }
        self.retire_keys(&gone, rng)
    }

    /// Adds the passkeys of the same accounts that were replaced and are kept still.
    fn with_replaced(&self, gone: &[CredentialId]) -> Vec<CredentialId> {
        let account = |id| self.vault.any(id).map(|it| (&it.rp_id, &it.user_handle));
        let accounts: BTreeSet<_> = gone.iter().filter_map(account).collect();
        let replaced = self.vault.kept().filter(|passkey| {
            !passkey.is_usable() && accounts.contains(&(&passkey.rp_id, &passkey.user_handle))
        });
        let replaced = replaced.map(|passkey| passkey.credential_id.clone());
        let all: BTreeSet<CredentialId> = gone.iter().cloned().chain(replaced).collect();
        all.into_iter().collect()
    }
}
