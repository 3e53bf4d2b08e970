use handfast_proto::auth_data::AuthenticatorData;
use handfast_proto::ctap2::{Status, UserEntity, get_assertion};
use handfast_proto::extension::prf;
use handfast_proto::ids::CredentialId;

use super::extensions::Wanted;
use super::{Account, Authenticator, Prompt, Refused, Session, Turn, approved, tuple};
use crate::group;

impl Authenticator {
    /// authenticatorGetAssertion (CTAP 2.3 §6.2.2).
    pub(super) fn get_assertion(
        &mut self,
        request: &get_assertion::Request,
        session: &Session,
        turn: &mut Turn<'_>,
    ) -> Result<Vec<u8>, Refused> {
        if request.user_presence == Some(false) {
            return Err(Status::UNSUPPORTED_OPTION.into());
        }
        let verify = request.user_verification == Some(true);
        if verify && !self.can_verify(session.context.computer) {
            return Err(Status::INVALID_OPTION.into());
        }
        let rp_id = &request.rp_id;
        let found = self.candidates(request);
        if found.is_empty() {
            // The person learns why nothing happens; the site learns no more than that.
            self.ask(&Prompt::NoPasskey { rp_id }, session, turn)?;
            return Err(Status::NO_CREDENTIALS.into());
        }
        let accounts = found
            .iter()
            .filter_map(|id| self.vault.named(id))
            .map(|passkey| {
                Account::new(
                    passkey.user_name.as_deref(),
                    passkey.display_name.as_deref(),
                )
            })
            .collect();
        let wanted = Wanted::of(&request.extensions);
        let prompt = Prompt::SignIn {
            rp_id,
            accounts,
            shares_group_key: wanted.group_key,
            shares_secret: wanted.shares_secret(),
        };
        let (chosen, verified) = approved(self.ask(&prompt, session, turn)?, verify)?;
        let chosen = found.get(chosen).ok_or(Status::OPERATION_DENIED)?;
        self.assert(request, chosen, &wanted, verified, turn)
    }

    fn candidates(&self, request: &get_assertion::Request) -> Vec<CredentialId> {
        let found = self.vault.passkeys_of(&request.rp_id).into_iter();
        let found: Vec<CredentialId> = found
            .filter(|passkey| {
                !request.has_allow_list || request.allow.contains(&passkey.credential_id)
            })
            .map(|passkey| passkey.credential_id.clone())
            .collect();
        if !found.is_empty() {
            return found;
        }
        // A site that names only a replaced passkey never heard of the one in its place.
        let named = request.allow.iter().filter(|id| {
            let passkey = self.vault.named(id);
            passkey.is_some_and(|passkey| passkey.rp_id == request.rp_id)
        });
        named.cloned().collect()
    }

    fn assert(
        &mut self,
        request: &get_assertion::Request,
        id: &CredentialId,
        wanted: &Wanted,
        verified: bool,
        turn: &mut Turn<'_>,
    ) -> Result<Vec<u8>, Refused> {
        let passkey = self.vault.named(id).ok_or(Status::NO_CREDENTIALS)?;
        let key = passkey.key().map_err(Refused::storage)?;
        let tuple = tuple(&passkey.rp_id, id, &passkey.user_handle);
        let user = UserEntity {
            id: passkey.user_handle.clone(),
            // Names are for who verified himself; the user handle is no secret.
            name: passkey.user_name.clone().filter(|_| verified),
            display_name: passkey.display_name.clone().filter(|_| verified),
        };
        let algorithm = key.algorithm();
        let seeds = passkey.prf.as_ref();
        // Secrets are only for who verified himself.
        let prf = wanted.prf.as_ref().filter(|_| verified);
        let prf = prf.and_then(|request| prf::prepare(request, id, seeds?));
        let group_key = self.group_key(wanted.group_key, &tuple, algorithm, turn);
        let answered = self.answered(group_key, algorithm, prf);
        let (hash, flags) = (request.rp_id.hash(), self.flags(verified));
        let auth_data = AuthenticatorData::build(hash, flags, 0, None, answered.signed_outputs());
        let unsigned = answered.finish(auth_data.as_bytes(), &request.client_data_hash);
        let signed = [auth_data.as_bytes(), &request.client_data_hash.0].concat();
        let signature = key.sign(&signed);
        if let Some(key) = group_key {
            let Self { vault, device } = self;
            group::presented(vault, device, key, turn.now, turn.rng).map_err(Refused::storage)?;
        }
        let response = get_assertion::Response {
            credential: Some(id.clone()),
            auth_data: auth_data.as_bytes().to_vec(),
            signature,
            user: Some(user),
            number_of_credentials: None,
            user_selected: (!request.has_allow_list).then_some(true),
            unsigned_extensions: unsigned,
        };
        Ok(response.encode())
    }
}
