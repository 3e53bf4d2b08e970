use handfast_proto::auth_data::{AttestedCredential, AuthenticatorData, Flags};
use handfast_proto::cose::{Algorithm, SigningKey};
use handfast_proto::ctap2::{Status, make_credential, truncate_name};
use handfast_proto::extension::prf;
use handfast_proto::ids::CredentialId;

use super::attestation::Attestation;
use super::extensions::Wanted;
use super::{AAGUID, Account, Authenticator, Prompt, Refused, Session, Turn, approved, tuple};
use crate::group;
use crate::vault::Passkey;

impl Authenticator {
    /// authenticatorMakeCredential (CTAP 2.3 §6.1.2).
    pub(super) fn make_credential(
        &mut self,
        request: &make_credential::Request,
        session: &Session,
        turn: &mut Turn<'_>,
    ) -> Result<Vec<u8>, Refused> {
        let algorithm = request
            .algorithms
            .iter()
            .copied()
            .find_map(Algorithm::from_id);
        let algorithm = algorithm.ok_or(Status::UNSUPPORTED_ALGORITHM)?;
        if request.user_presence == Some(false) {
            return Err(Status::INVALID_OPTION.into());
        }
        let verify = request.user_verification == Some(true);
        if verify && !self.can_verify(session.context.computer) {
            return Err(Status::INVALID_OPTION.into());
        }
        if request.enterprise_attestation.is_some() {
            return Err(Status::INVALID_PARAMETER.into());
        }
        let rp_id = &request.rp.id;
        let here = |id| {
            self.vault
                .passkey(id)
                .is_some_and(|passkey| passkey.rp_id == *rp_id)
        };
        if request.exclude.iter().any(here) {
            // Only to a person who is there may a site learn that a passkey is.
            let answer = self.ask(&Prompt::Excluded { rp_id }, session, turn)?;
            approved(answer, false)?;
            return Err(Status::CREDENTIAL_EXCLUDED.into());
        }
        let wanted = Wanted::of(&request.extensions);
        let user = &request.user;
        let prompt = Prompt::Create {
            rp_id,
            account: Account::new(user.name.as_deref(), user.display_name.as_deref()),
            shares_group_key: wanted.group_key,
            shares_secret: wanted.shares_secret(),
        };
        let (_, verified) = approved(self.ask(&prompt, session, turn)?, verify)?;
        self.create(request, algorithm, &wanted, verified, turn)
    }

    fn create(
        &mut self,
        request: &make_credential::Request,
        algorithm: Algorithm,
        wanted: &Wanted,
        verified: bool,
        turn: &mut Turn<'_>,
    ) -> Result<Vec<u8>, Refused> {
        let key = SigningKey::generate(algorithm, turn.rng);
        let mut id = [0; 32];
        turn.rng.fill_bytes(&mut id);
        let id = CredentialId::from_bytes(&id).map_err(Refused::storage)?;
        let (rp_id, user) = (&request.rp.id, &request.user);
        let name =
            |name: &Option<String>| name.as_deref().map(|name| truncate_name(name).to_owned());
        let mut passkey = Passkey::new(id.clone(), rp_id.clone(), user.id.clone(), &key, turn.now)
            .map_err(Refused::storage)?;
        passkey.user_name = name(&user.name);
        passkey.display_name = name(&user.display_name);
        let seeds = prf::Seeds::generate(turn.rng);
        let prf = wanted
            .prf
            .as_ref()
            .map(|request| prf::prepare_new(request, &seeds, verified));
        passkey.prf = Some(seeds);
        self.vault.store(passkey).map_err(Refused::storage)?;

        let tuple = tuple(rp_id, &id, &user.id);
        let group_key = self.group_key(wanted.group_key, &tuple, algorithm, turn);
        let answered = self.answered(group_key, algorithm, prf);
        let attested = AttestedCredential {
            aaguid: AAGUID,
            credential_id: id,
            public_key: key.public_key().as_bytes().to_vec(),
        };
        let flags = self.flags(verified);
        let auth_data = AuthenticatorData::build(
            rp_id.hash(),
            flags,
            0,
            Some(attested),
            answered.signed_outputs(),
        );
        let unsigned = answered.finish(auth_data.as_bytes(), &request.client_data_hash);
        if let Some(key) = group_key {
            let Self { vault, device } = self;
            group::presented(vault, device, key, turn.now, turn.rng).map_err(Refused::storage)?;
        }
        let attestation = Attestation::preferred(&request.attestation_formats);
        let statement =
            attestation.statement(&key, auth_data.as_bytes(), &request.client_data_hash);
        let response = make_credential::Response {
            format: attestation.format().to_owned(),
            auth_data: auth_data.as_bytes().to_vec(),
            statement,
            unsigned_extensions: unsigned,
        };
        Ok(response.encode())
    }

    /// The flags of a passkey of this vault: it can be on several devices from its first day, and
    /// is so when the vault knows another device.
    pub(super) fn flags(&self, verified: bool) -> Flags {
        (Flags::UP | Flags::BE)
            .with(Flags::UV, verified)
            .with(Flags::BS, self.vault.has_other_device(self.device.id()))
    }
}
