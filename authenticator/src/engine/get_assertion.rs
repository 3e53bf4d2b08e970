use std::collections::{BTreeSet, VecDeque};

use handfast_proto::auth_data::AuthenticatorData;
use handfast_proto::ctap2::{Status, UserEntity, get_assertion};
use handfast_proto::extension::{hmac_secret, large_blob};
use handfast_proto::ids::CredentialId;

use super::extensions::AtSignIn;
use super::{Account, Authenticator, Computer, Prompt, Refused, Session, Turn, approved, tuple};
use crate::group;

/// How long the other assertions of a request can be asked for, in seconds (CTAP 2.3 §6.3).
const PATIENCE: u64 = 30;

/// The passkeys that a client may still ask for, with what was approved for all of them.
pub(super) struct Remaining {
    request: get_assertion::Request,
    found: VecDeque<CredentialId>,
    verified: bool,
    since: u64,
}

/// What was approved.
struct Approval<'a> {
    request: &'a get_assertion::Request,
    wanted: &'a AtSignIn,
    present: bool,
    verified: bool,
    /// How many passkeys the client is to choose from, if the person did not.
    number: Option<u64>,
    /// Whether the person chose.
    selected: bool,
}

impl Authenticator {
    /// authenticatorGetAssertion (CTAP 2.3 §6.2.2).
    pub(super) fn get_assertion(
        &mut self,
        request: get_assertion::Request,
        session: &mut Session,
        turn: &mut Turn<'_>,
    ) -> Result<Vec<u8>, Refused> {
        let proof = request.pin_uv_auth_param.as_deref();
        self.refuse_client_pin(proof, request.pin_uv_auth_protocol, session, turn)?;
        let verify = request.user_verification == Some(true);
        let computer = &session.context.computer;
        let silent = request.user_presence == Some(false);
        let makes_secrets = request.extensions.text(hmac_secret::NAME).is_some();
        // A computer far away may not learn in silence which passkeys are here.
        if silent && (*computer != Computer::TestTool || verify || makes_secrets) {
            return Err(Status::UNSUPPORTED_OPTION.into());
        }
        if verify && !self.can_verify(computer) {
            return Err(Status::INVALID_OPTION.into());
        }
        let can_verify = !silent && self.can_verify(computer);
        let found = self.candidates(&request, can_verify, turn.now);
        if found.is_empty() {
            // The person learns why nothing happens, and only with his word the site learns as much. Who asks
            // on this very device could look into its files as well.
            if !silent && *computer != Computer::ThisDevice {
                let rp_id = &request.rp_id;
                approved(
                    self.ask(&Prompt::NoPasskey { rp_id }, session, turn)?,
                    false,
                )?;
            }
            return Err(Status::NO_CREDENTIALS.into());
        }
        let wanted = AtSignIn::parse(&request, session, &self.device.compat)?;
        let prompt = Prompt::SignIn {
            rp_id: &request.rp_id,
            accounts: self.accounts(&found),
            shares: wanted.shares(),
        };
        let (chosen, verified) = match silent {
            true => (0, false),
            false => approved(self.ask(&prompt, session, turn)?, verify)?,
        };
        let chosen = found.get(chosen).ok_or(Status::OPERATION_DENIED)?.clone();
        // A tool for tests chooses by itself: nobody is there who could.
        let by_person = !request.has_allow_list && *computer != Computer::TestTool;
        let others = match request.has_allow_list || by_person {
            true => VecDeque::new(),
            false => found.into_iter().filter(|id| *id != chosen).collect(),
        };
        let number = u64::try_from(others.len()).unwrap_or(u64::MAX);
        let approval = Approval {
            request: &request,
            wanted: &wanted,
            present: !silent,
            verified,
            number: (number > 0).then_some(number.saturating_add(1)),
            selected: by_person,
        };
        let reply = self.assert(&approval, &chosen, turn)?;
        session.remaining = (!others.is_empty()).then_some(Remaining {
            request,
            found: others,
            verified,
            since: turn.now,
        });
        Ok(reply)
    }

    /// authenticatorGetNextAssertion (CTAP 2.3 §6.3).
    pub(super) fn get_next_assertion(
        &mut self,
        remaining: Option<Remaining>,
        session: &mut Session,
        turn: &mut Turn<'_>,
    ) -> Result<Vec<u8>, Refused> {
        let mut remaining = remaining.ok_or(Status::NOT_ALLOWED)?;
        // A clock that was set back is no reason to wait longer.
        let age = turn.now.checked_sub(remaining.since);
        if age.is_none_or(|age| age > PATIENCE) {
            return Err(Status::NOT_ALLOWED.into());
        }
        let next = remaining.found.pop_front().ok_or(Status::NOT_ALLOWED)?;
        let wanted = AtSignIn::parse(&remaining.request, session, &self.device.compat)?;
        let approval = Approval {
            request: &remaining.request,
            wanted: &wanted,
            present: remaining.request.user_presence != Some(false),
            verified: remaining.verified,
            number: None,
            selected: false,
        };
        let reply = self.assert(&approval, &next, turn)?;
        remaining.since = turn.now;
        session.remaining = Some(remaining);
        Ok(reply)
    }

    fn accounts(&self, found: &[CredentialId]) -> Vec<Account> {
        let passkeys = found.iter().filter_map(|id| self.vault.named(id));
        let (passkeys, accounts): (Vec<_>, Vec<_>) = passkeys
            .map(|passkey| {
                let names = (
                    passkey.user_name.as_deref(),
                    passkey.display_name.as_deref(),
                );
                (passkey, Account::new(names.0, names.1))
            })
            .unzip();
        // Several of the same names are told from each other as in the list of passkeys.
        let told = passkeys.iter().zip(&accounts).map(|(passkey, account)| {
            let same = accounts.iter().filter(|other| *other == account).count();
            match same {
                1 => account.clone(),
                _ => account.told_apart(&passkey.short_id()),
            }
        });
        told.collect()
    }

    fn candidates(
        &self,
        request: &get_assertion::Request,
        can_verify: bool,
        now: u64,
    ) -> Vec<CredentialId> {
        let named = request.has_allow_list;
        let found = self.vault.passkeys_of(&request.rp_id).into_iter();
        let found: Vec<CredentialId> = found
            .filter(|passkey| !named || request.allow.contains(&passkey.credential_id))
            .filter(|passkey| passkey.protection.allows(named, can_verify))
            .map(|passkey| passkey.credential_id.clone())
            .collect();
        if !found.is_empty() {
            return found;
        }
        // A site that names only a replaced passkey never heard of the one in its place.
        let allow: BTreeSet<&CredentialId> = request.allow.iter().collect();
        let replaced = allow.into_iter().filter(|id| {
            let passkey = self.vault.named(id).filter(|passkey| passkey.answers(now));
            passkey.is_some_and(|passkey| {
                passkey.rp_id == request.rp_id && passkey.protection.allows(true, can_verify)
            })
        });
        replaced.cloned().collect()
    }

    fn assert(
        &mut self,
        approval: &Approval<'_>,
        id: &CredentialId,
        turn: &mut Turn<'_>,
    ) -> Result<Vec<u8>, Refused> {
        let Approval {
            request,
            wanted,
            verified,
            ..
        } = *approval;
        let passkey = self.vault.named(id).ok_or(Status::NO_CREDENTIALS)?;
        if !passkey.protection.allows(request.has_allow_list, verified) {
            return Err(Status::NO_CREDENTIALS.into());
        }
        let key = passkey.key().map_err(Refused::storage)?;
        let tuple = tuple(&passkey.rp_id, id, &passkey.user_handle);
        let user = UserEntity {
            id: passkey.user_handle.clone(),
            // Names are for who verified himself; the user handle is no secret.
            name: passkey.user_name.clone().filter(|_| verified),
            display_name: passkey.display_name.clone().filter(|_| verified),
        };
        let algorithm = key.algorithm();
        let written = self.keep_large_blob(approval, id, turn);
        let group_key = self.group_key(&wanted.keys, &tuple, algorithm, turn);
        self.bound_key(&wanted.keys, &tuple, algorithm, turn);
        let passkey = self.vault.named(id).ok_or(Status::NO_CREDENTIALS)?;
        let mut answered = self.answered(&wanted.keys, &tuple, group_key, algorithm);
        wanted.answer(&mut answered, passkey, verified, written, turn);
        let (hash, flags) = (request.rp_id.hash(), self.flags(approval.present, verified));
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
            number_of_credentials: approval.number,
            user_selected: approval.selected.then_some(true),
            unsigned_extensions: unsigned,
        };
        Ok(response.encode())
    }

    /// Stores what the site wants stored, before the answer says so: for a person who was verified,
    /// with the one passkey that the site named. Where there is no room the sign-in goes on without.
    fn keep_large_blob(
        &mut self,
        approval: &Approval<'_>,
        id: &CredentialId,
        turn: &Turn<'_>,
    ) -> bool {
        let Some(large_blob::Request::Write(blob)) = &approval.wanted.large_blob else {
            return false;
        };
        let named = approval.request.allow.as_slice() == [id.clone()];
        approval.verified
            && named
            && self
                .vault
                .set_large_blob(id, blob.clone(), turn.now)
                .is_ok()
    }
}
