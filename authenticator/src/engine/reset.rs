use handfast_proto::ctap2::Status;
use handfast_proto::ids::CredentialId;
use handfast_proto::trust::KeyTuple;

use super::{Authenticator, Computer, Refused, Session, Turn, tuple};
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
        let gone: Vec<(CredentialId, KeyTuple)> = self
            .vault
            .passkeys()
            .map(|gone| {
                let tuple = tuple(&gone.rp_id, &gone.credential_id, &gone.user_handle);
                (gone.credential_id.clone(), tuple)
            })
            .collect();
        for (id, _) in &gone {
            self.vault.delete(id, turn.now).map_err(Refused::storage)?;
        }
        let tuples: Vec<KeyTuple> = gone.into_iter().map(|(_, tuple)| tuple).collect();
        let Self { vault, device } = self;
        group::retire(vault, device, &tuples, turn.rng).map_err(Refused::storage)?;
        Ok(Vec::new())
    }
}
