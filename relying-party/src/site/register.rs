//! New passkeys: of a new account, a further one, or one in place of all others.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use handfast_proto::ids::UserHandle;
use rand_core::{OsRng, RngCore};
use serde_json::{Value, json};

use super::core::{Site, descriptor, name_of};
use super::refusal::Refusal;
use super::session::{Pending, PendingKind};
use crate::client_data::Challenge;
use crate::cmtg::{Mode, Outcome};
use crate::record::Trust;
use crate::registration;
use crate::response::RegistrationResponse;
use crate::rule::Rule;
use crate::store::User;

/// The algorithms that the site offers, the one wanted most first.
const ALGORITHMS: [i64; 2] = [-7, -8];

impl Site {
    pub(super) fn register_options(
        &mut self,
        token: &str,
        body: &Value,
        now: u64,
    ) -> Result<Value, Refusal> {
        let name = name_of(body)?.ok_or_else(|| Refusal::usage("A user name is needed."))?;
        let user = match self.store.user_named(&name)? {
            Some(known) => {
                // Who adds a passkey to an account must be its owner.
                let owner =
                    self.sessions.of(Some(token), now).1.user.as_ref() == Some(&known.handle);
                if !owner {
                    return Err(Refusal::Conflict("This name is taken; sign in instead."));
                }
                known
            }
            None => User {
                handle: new_handle()?,
                name,
            },
        };
        self.creation_options(token, user, false, now)
    }

    pub(super) fn reset_options(&mut self, token: &str, now: u64) -> Result<Value, Refusal> {
        let user = self.signed_in(token, now)?;
        self.creation_options(token, user, true, now)
    }

    pub(super) fn creation_options(
        &mut self,
        token: &str,
        user: User,
        reset: bool,
        now: u64,
    ) -> Result<Value, Refusal> {
        let challenge = Challenge::generate(&mut OsRng);
        let known = self.store.credentials_of(&user.handle)?;
        // A reset may well replace the passkey on this very device.
        let exclude: Vec<Value> = if reset {
            Vec::new()
        } else {
            known.iter().map(descriptor).collect()
        };
        let parameters: Vec<Value> = ALGORITHMS
            .iter()
            .map(|alg| json!({"type": "public-key", "alg": alg}))
            .collect();
        let options = json!({"publicKey": {
            "challenge": challenge.to_base64url(),
            "rp": {"id": self.config.rp_id.as_str(), "name": "Handfast demo site"},
            "user": {
                "id": URL_SAFE_NO_PAD.encode(user.handle.as_bytes()),
                "name": user.name,
                "displayName": user.name,
            },
            "pubKeyCredParams": parameters,
            "excludeCredentials": exclude,
            "authenticatorSelection": {"residentKey": "required", "userVerification": "required"},
            "attestation": "none",
            "timeout": 180_000,
            "extensions": {"cmtgKey": true, "credProps": true},
        }});
        let kind = PendingKind::Register { user, reset };
        self.sessions.of(Some(token), now).1.pending = Some(Pending {
            challenge,
            since: now,
            kind,
        });
        Ok(options)
    }

    pub(super) fn register(
        &mut self,
        token: &mut String,
        body: &Value,
        now: u64,
    ) -> Result<Value, Refusal> {
        let pending = self.take_pending(token, now)?;
        let PendingKind::Register { user, reset } = pending.kind else {
            return Err(Rule::ClientDataType.into());
        };
        let response = RegistrationResponse::from_json(body).map_err(Rule::from)?;
        let expected = self.expected(pending.challenge);
        let registered = registration::verify(
            &response,
            &expected,
            &ALGORITHMS,
            &user.handle,
            now,
            Mode::Strict,
        )?;
        if let Outcome::Invalid(fault) = registered.cmtg {
            return Err(Refusal::TrustGroupKey(fault));
        }
        let mut record = registered.record;
        let key = registered.cmtg.key();
        self.watch_for_repeats(&record.id, key)?;
        if let Some(key) = key {
            record.see_cmtg_key(key, Trust::Trusted, "registration", now);
        }
        // The session changes only after the store has: if that fails, all is as it was.
        match reset {
            true => self.store.replace_credentials(&user, &record)?,
            false => self.store.add_credential(&user, &record)?,
        }
        self.become_user(token, &user.handle, key, now);
        if reset {
            self.sessions.end_others(&user.handle, token);
        }
        let why = match (key, reset) {
            (_, true) => {
                "A new passkey is registered; all others, their trust groups and other sessions are gone."
            }
            (Some(_), _) => {
                "The passkey is registered, and its trust group is trusted, because you registered it yourself."
            }
            (None, _) => "The passkey is registered; it names no trust group.",
        };
        Ok(self.decision(
            "register",
            &user,
            registered.cmtg.name(),
            key,
            (true, key.is_some()),
            why,
        ))
    }
}

fn new_handle() -> Result<UserHandle, Refusal> {
    let mut handle = [0; 32];
    OsRng.fill_bytes(&mut handle);
    UserHandle::from_bytes(&handle).map_err(|_| Refusal::Unknown)
}
