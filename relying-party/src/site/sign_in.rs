//! Signing in, and the step-up where a passkey alone is not enough.

use rand_core::OsRng;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

use super::core::{Site, descriptor, name_of};
use super::notice::Notice;
use super::refusal::Refusal;
use super::session::{FRESH, Pending, PendingKind, StepUp};
use crate::authentication::{self, Attempt};
use crate::client_data::Challenge;
use crate::cmtg::Mode;
use crate::policy::{Verdict, decide};
use crate::record::Trust;
use crate::response::AuthenticationResponse;
use crate::rule::Rule;

const TOO_MANY: &str = "Too many wrong codes for this account; try again in an hour, or sign in \
     with a device that this site trusts.";

const TRUSTED: &str = "The code is right: signed in, and this device's trust group is trusted from \
     now on.";
const NO_GROUP: &str = "The code is right: signed in. This device names no trust group, so it will \
     need a code again.";

impl Site {
    pub(super) fn sign_in_options(
        &mut self,
        token: &str,
        body: &Value,
        now: u64,
    ) -> Result<Value, Refusal> {
        let user = match name_of(body)? {
            Some(name) => {
                let user = self.store.user_named(&name)?;
                Some(user.ok_or(Refusal::Conflict("Nobody of this name is registered here."))?)
            }
            None => None,
        };
        let known = match &user {
            Some(user) => self.store.credentials_of(&user.handle)?,
            None => Vec::new(),
        };
        let challenge = Challenge::generate(&mut OsRng);
        let options = json!({"publicKey": {
            "challenge": challenge.to_base64url(),
            "rpId": self.config.rp_id.as_str(),
            "allowCredentials": known.iter().map(descriptor).collect::<Vec<_>>(),
            "userVerification": "required",
            "timeout": 180_000,
            "extensions": {"cmtgKey": true},
        }});
        let attempt = Attempt {
            user: user.map(|user| user.handle),
            allowed: known.into_iter().map(|record| record.id).collect(),
        };
        let kind = PendingKind::SignIn(attempt);
        self.sessions.of(Some(token), now).1.pending = Some(Pending {
            challenge,
            since: now,
            kind,
        });
        Ok(options)
    }

    pub(super) fn sign_in(
        &mut self,
        token: &mut String,
        body: &Value,
        now: u64,
    ) -> Result<Value, Refusal> {
        let pending = self.take_pending(token, now)?;
        let PendingKind::SignIn(attempt) = pending.kind else {
            return Err(Rule::ClientDataType.into());
        };
        let response = AuthenticationResponse::from_json(body).map_err(Rule::from)?;
        let record = self
            .store
            .credential(&response.id)?
            .ok_or(Rule::CredentialUnknown)?;
        let user = self
            .store
            .user(&record.user_handle)?
            .ok_or(Rule::CredentialUnknown)?;
        let expected = self.expected(pending.challenge);
        let checked =
            authentication::verify(&response, &expected, &attempt, &record, now, Mode::Strict)?;
        let decision = decide(&checked.cmtg, &record);
        let key = checked.cmtg.key();
        self.watch_for_repeats(&record.id, key)?;
        match decision.verdict {
            Verdict::Reject => return Err(Refusal::of(&checked.cmtg)),
            Verdict::SignIn => {
                let mut after = checked.record;
                if let Some(key) = key {
                    after.see_cmtg_key(key, Trust::Unknown, "", now);
                }
                self.store.update_credential(&after)?;
                self.become_user(token, &user.handle, key, now);
            }
            Verdict::StepUp if !self.sessions.may_ask(&user.handle, now) => {
                return Err(Refusal::Conflict(TOO_MANY));
            }
            Verdict::StepUp => {
                // Nothing of this sign-in is kept before the step-up has succeeded.
                let step_up = StepUp::new(user.clone(), checked.record, &checked.cmtg, now);
                self.tell(&Notice::Code {
                    user: user.name.clone(),
                    code: step_up.code.clone(),
                });
                let (_, session) = self.sessions.of(Some(token), now);
                session.user = None;
                session.step_up = Some(step_up);
            }
        }
        let result = (decision.verdict == Verdict::SignIn, decision.trusted);
        Ok(self.decision(
            "sign-in",
            &user,
            checked.cmtg.name(),
            key,
            result,
            &decision.why,
        ))
    }

    pub(super) fn step_up(
        &mut self,
        token: &mut String,
        body: &Value,
        now: u64,
    ) -> Result<Value, Refusal> {
        let typed = body.get("code").and_then(Value::as_str).unwrap_or_default();
        let step_up = self.sessions.of(Some(token), now).1.step_up.take();
        let mut step_up = step_up.ok_or(Refusal::Conflict("No code is asked for."))?;
        // Sign-ins that were begun before the limit was reached do not evade it.
        if !self.sessions.may_ask(&step_up.user.handle, now) {
            return Err(Refusal::Conflict(TOO_MANY));
        }
        if now.saturating_sub(step_up.since) >= FRESH {
            return Err(Refusal::Conflict("The code has expired; sign in again."));
        }
        if !bool::from(typed.trim().as_bytes().ct_eq(step_up.code.as_bytes())) {
            self.sessions.wrong_code(&step_up.user.handle, now);
            step_up.tries -= 1;
            if step_up.tries == 0 {
                return Err(Refusal::Conflict("Too many wrong codes; sign in again."));
            }
            self.sessions.of(Some(token), now).1.step_up = Some(step_up);
            return Err(Refusal::usage("The code is wrong."));
        }
        let StepUp {
            user,
            after,
            key,
            outcome,
            ..
        } = step_up;
        let mut record = self
            .store
            .credential(&after.id)?
            .ok_or(Rule::CredentialUnknown)?;
        // Its trust groups may have changed since, here or in another session.
        record.sign_count = record.sign_count.max(after.sign_count);
        record.backed_up = after.backed_up;
        record.last_used = now;
        if let Some(key) = &key {
            record.see_cmtg_key(key, Trust::Trusted, "step-up", now);
        }
        self.store.update_credential(&record)?;
        self.become_user(token, &user.handle, key.as_ref(), now);
        let trusted = key.is_some();
        let why = if trusted { TRUSTED } else { NO_GROUP };
        Ok(self.decision(
            "step-up",
            &user,
            outcome,
            key.as_ref(),
            (true, trusted),
            why,
        ))
    }
}
