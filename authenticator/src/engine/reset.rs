use handfast_proto::ctap2::Status;
use handfast_proto::ids::CredentialId;

use super::{Authenticator, Computer, Refused, Session, Turn};

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
        let passkeys = self.vault.passkeys();
        let gone: Vec<CredentialId> = passkeys.map(|gone| gone.credential_id.clone()).collect();
        for id in &gone {
            self.vault.delete(id, turn.now).map_err(Refused::storage)?;
        }
        self.retire_keys(&gone, turn.rng)
            .map_err(Refused::storage)?;
        self.forget_bound_keys(turn.rng).map_err(Refused::storage)?;
        Ok(Vec::new())
    }
}
