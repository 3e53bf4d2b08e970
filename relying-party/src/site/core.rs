//! What the site does, without any HTTP: an endpoint, a session and a body in, an answer out.

use std::io::{Write, stdout};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use handfast_proto::cose::CoseKey;
use handfast_proto::ids::{CredentialId, RpId, UserHandle};
use rand_core::{OsRng, RngCore};
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

use super::session::{FRESH, Pending, PendingKind, Sessions, StepUp};
use crate::authentication::{self, Attempt};
use crate::client_data::{Challenge, Expected, Rule};
use crate::cmtg::{Mode, Outcome};
use crate::policy::{Verdict, decide};
use crate::record::{CredentialRecord, Trust};
use crate::registration;
use crate::response::{AuthenticationResponse, RegistrationResponse};
use crate::store::{Store, StoreError, User};

/// The algorithms that the site offers, the one wanted most first.
const ALGORITHMS: [i64; 2] = [-7, -8];
const LONGEST_NAME: usize = 64;

/// Which site this is.
#[derive(Clone, Debug)]
pub(crate) struct SiteConfig {
    pub(crate) rp_id: RpId,
    pub(crate) origins: Vec<String>,
    pub(crate) json: bool,
}

/// The site.
pub(crate) struct Site {
    config: SiteConfig,
    store: Box<dyn Store>,
    sessions: Sessions,
}

/// An answer: status, JSON, and the session's token if it is new.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) token: String,
}

/// Why something is not done.
enum Refusal {
    /// The request does not make sense now.
    Conflict(&'static str),
    /// A rule of the ceremony was broken.
    Rule(Rule),
    /// The session may not do this.
    SignedOut,
    /// The store failed.
    Store(StoreError),
    /// The request is malformed.
    Usage(&'static str),
    /// Nothing goes by this name.
    Unknown,
}

impl From<Rule> for Refusal {
    fn from(rule: Rule) -> Self {
        Self::Rule(rule)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::CredentialExists => Self::Rule(Rule::CredentialAlreadyRegistered),
            StoreError::NameTaken => Self::Conflict("This name is taken; sign in instead."),
            error => Self::Store(error),
        }
    }
}

impl Refusal {
    fn answer(&self) -> (u16, Value) {
        let (status, rule, why) = match self {
            Self::Conflict(why) => (409, None, (*why).to_owned()),
            Self::Rule(rule) => (400, Some(rule.name()), format!("Rejected: {rule}.")),
            Self::SignedOut => (401, None, "Sign in first.".to_owned()),
            Self::Store(error) => {
                // The user can do nothing about it; who runs the site can.
                let _ = writeln!(std::io::stderr(), "The store failed: {error}.");
                (
                    500,
                    None,
                    "The site's store failed; try again later.".to_owned(),
                )
            }
            Self::Usage(why) => (400, Some("Request".to_owned()), (*why).to_owned()),
            Self::Unknown => (404, None, "There is nothing here.".to_owned()),
        };
        (status, json!({"ok": false, "rule": rule, "why": why}))
    }
}

impl Site {
    pub(crate) fn new(config: SiteConfig, store: Box<dyn Store>) -> Self {
        Self {
            config,
            store,
            sessions: Sessions::default(),
        }
    }

    pub(crate) fn origins(&self) -> &[String] {
        &self.config.origins
    }

    /// Answers a request.
    pub(crate) fn handle(
        &mut self,
        endpoint: &str,
        token: Option<&str>,
        body: &Value,
        now: u64,
    ) -> Answer {
        let (mut token, _) = self.sessions.of(token, now);
        let done = match endpoint {
            "register/options" => self.register_options(&token, body, now),
            "register/verify" => self.register(&mut token, body, now),
            "sign-in/options" => self.sign_in_options(&token, body, now),
            "sign-in/verify" => self.sign_in(&mut token, body, now),
            "step-up" => self.step_up(&mut token, body, now),
            "account" => self.account(&token, now),
            "forget-group" => self.forget_group(&token, body, now),
            "reset-passkeys/options" => self.reset_options(&token, now),
            "sign-out" => {
                token = self.sessions.renew(&token);
                self.sessions.of(Some(&token), now).1.user = None;
                Ok(json!({"ok": true}))
            }
            _ => Err(Refusal::Unknown),
        };
        let (status, body) = done.map_or_else(|refusal| refusal.answer(), |body| (200, body));
        Answer {
            status,
            body,
            token,
        }
    }

    fn expected(&self, challenge: Challenge) -> Expected {
        Expected {
            challenge,
            rp_id: self.config.rp_id.clone(),
            origins: self.config.origins.clone(),
            user_verification: true,
            cmtg_key: true,
        }
    }

    fn signed_in(&mut self, token: &str, now: u64) -> Result<User, Refusal> {
        let user = self
            .sessions
            .of(Some(token), now)
            .1
            .user
            .clone()
            .ok_or(Refusal::SignedOut)?;
        self.store.user(&user)?.ok_or(Refusal::SignedOut)
    }

    fn register_options(&mut self, token: &str, body: &Value, now: u64) -> Result<Value, Refusal> {
        let name = name_of(body)?.ok_or(Refusal::Usage("A user name is needed."))?;
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

    fn reset_options(&mut self, token: &str, now: u64) -> Result<Value, Refusal> {
        let user = self.signed_in(token, now)?;
        self.creation_options(token, user, true, now)
    }

    fn creation_options(
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

    fn take_pending(&mut self, token: &str, now: u64) -> Result<Pending, Refusal> {
        let pending = self.sessions.of(Some(token), now).1.pending.take();
        pending
            .filter(|pending| now.saturating_sub(pending.since) < FRESH)
            .ok_or(Refusal::Rule(Rule::Challenge))
    }

    fn register(&mut self, token: &mut String, body: &Value, now: u64) -> Result<Value, Refusal> {
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
        if let Outcome::Invalid(_) = registered.cmtg {
            return Err(Rule::TrustGroupKey.into());
        }
        let mut record = registered.record;
        let key = registered.cmtg.key().cloned();
        if let Some(key) = &key {
            record.see_cmtg_key(key, Trust::Trusted, "registration", now);
        }
        self.store.add_credential(&user, &record)?;
        self.become_user(token, &user.handle, now);
        if reset {
            self.store.keep_only(&user.handle, &record.id)?;
            self.sessions.end_others(&user.handle, token);
        }
        let why = match (&key, reset) {
            (_, true) => {
                "A new passkey is registered; all others, their trust groups and other sessions are gone."
            }
            (Some(_), _) => {
                "The passkey is registered, and its trust group is trusted, because you registered it yourself."
            }
            (None, _) => "The passkey is registered; it names no trust group.",
        };
        let outcome = registered.cmtg.name();
        Ok(self.decision(
            "register",
            &user,
            outcome,
            key.as_ref(),
            (true, key.is_some()),
            why,
        ))
    }

    fn sign_in_options(&mut self, token: &str, body: &Value, now: u64) -> Result<Value, Refusal> {
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

    fn sign_in(&mut self, token: &mut String, body: &Value, now: u64) -> Result<Value, Refusal> {
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
        let (outcome, key) = (checked.cmtg.name(), checked.cmtg.key().cloned());
        match decision.verdict {
            Verdict::Reject => return Err(Rule::TrustGroupKey.into()),
            Verdict::SignIn => {
                let mut after = checked.record;
                if let Some(key) = &key {
                    after.see_cmtg_key(key, Trust::Unknown, "", now);
                }
                self.store.update_credential(&after)?;
                self.become_user(token, &user.handle, now);
            }
            Verdict::StepUp => {
                // Nothing of this sign-in is kept before the step-up has succeeded.
                let step_up = StepUp::new(user.clone(), record.id.clone(), key.clone(), now);
                self.tell_code(&user, &step_up.code);
                let (_, session) = self.sessions.of(Some(token), now);
                session.user = None;
                session.step_up = Some(step_up);
            }
        }
        let result = (decision.verdict == Verdict::SignIn, decision.trusted);
        Ok(self.decision(
            "sign-in",
            &user,
            outcome,
            key.as_ref(),
            result,
            &decision.why,
        ))
    }

    fn step_up(&mut self, token: &mut String, body: &Value, now: u64) -> Result<Value, Refusal> {
        let typed = body.get("code").and_then(Value::as_str).unwrap_or_default();
        let (_, session) = self.sessions.of(Some(token), now);
        let mut step_up = session
            .step_up
            .take()
            .ok_or(Refusal::Conflict("No code is asked for."))?;
        if now.saturating_sub(step_up.since) >= FRESH {
            return Err(Refusal::Conflict("The code has expired; sign in again."));
        }
        if !bool::from(typed.trim().as_bytes().ct_eq(step_up.code.as_bytes())) {
            step_up.tries -= 1;
            if step_up.tries == 0 {
                return Err(Refusal::Conflict("Too many wrong codes; sign in again."));
            }
            session.step_up = Some(step_up);
            return Err(Refusal::Usage("The code is wrong."));
        }
        let StepUp {
            user,
            credential,
            key,
            ..
        } = step_up;
        let mut record = self
            .store
            .credential(&credential)?
            .ok_or(Rule::CredentialUnknown)?;
        record.last_used = now;
        if let Some(key) = &key {
            record.see_cmtg_key(key, Trust::Trusted, "step-up", now);
        }
        self.store.update_credential(&record)?;
        self.become_user(token, &user.handle, now);
        let trusted = key.is_some();
        let why = match trusted {
            true => {
                "The code is right: signed in, and this device's trust group is trusted from now on."
            }
            false => "The code is right: signed in.",
        };
        let outcome = if trusted { "new-group" } else { "absent" };
        Ok(self.decision(
            "step-up",
            &user,
            outcome,
            key.as_ref(),
            (true, trusted),
            why,
        ))
    }

    /// Signs in, under a token that nobody could have planted.
    fn become_user(&mut self, token: &mut String, user: &UserHandle, now: u64) {
        *token = self.sessions.renew(token);
        let (_, session) = self.sessions.of(Some(token), now);
        session.user = Some(user.clone());
        session.step_up = None;
    }

    fn account(&mut self, token: &str, now: u64) -> Result<Value, Refusal> {
        let user = self.signed_in(token, now)?;
        let records = self.store.credentials_of(&user.handle)?;
        let passkeys: Vec<Value> = records.iter().map(passkey_json).collect();
        Ok(json!({"ok": true, "user": user.name, "passkeys": passkeys}))
    }

    fn forget_group(&mut self, token: &str, body: &Value, now: u64) -> Result<Value, Refusal> {
        let user = self.signed_in(token, now)?;
        let wanted = body.get("key").and_then(Value::as_str).unwrap_or_default();
        let mut forgotten = 0;
        for mut record in self.store.credentials_of(&user.handle)? {
            let before = record.cmtg.len();
            record
                .cmtg
                .retain(|key| short(&key.key_id.to_string()) != wanted);
            if record.cmtg.len() != before {
                forgotten += before - record.cmtg.len();
                self.store.update_credential(&record)?;
            }
        }
        match forgotten {
            0 => Err(Refusal::Conflict("There is no such trust group.")),
            _ => Ok(
                json!({"ok": true, "why": "The trust group is forgotten: its devices need a code again."}),
            ),
        }
    }

    fn decision(
        &self,
        event: &str,
        user: &User,
        outcome: &str,
        key: Option<&CoseKey>,
        (signed_in, trusted): (bool, bool),
        why: &str,
    ) -> Value {
        let key = key.map(|key| short(&key.key_id().to_string()).to_owned());
        let decision = json!({
            "ok": true,
            "user": user.name,
            "signed_in": signed_in,
            "step_up_required": !signed_in,
            "outcome": outcome,
            "key": key,
            "trusted": trusted,
            "why": why,
        });
        let mut told = decision.clone();
        told["event"] = event.into();
        let line = match self.config.json {
            true => told.to_string(),
            false => format!("{event} {}: {outcome}, {why}", user.name),
        };
        say(&line);
        decision
    }

    fn tell_code(&self, user: &User, code: &str) {
        say(&format!("step-up code for {}: {code}", user.name));
    }
}

/// The console stands for the way by which a site would reach its user: mail, a letter, an app.
fn say(line: &str) {
    let _ = writeln!(stdout(), "{line}").and_then(|()| stdout().flush());
}

fn short(key_id: &str) -> &str {
    key_id.get(..8).unwrap_or(key_id)
}

fn new_handle() -> Result<UserHandle, Refusal> {
    let mut handle = [0; 32];
    OsRng.fill_bytes(&mut handle);
    UserHandle::from_bytes(&handle).map_err(|_| Refusal::Unknown)
}

fn name_of(body: &Value) -> Result<Option<String>, Refusal> {
    match body
        .get("username")
        .map(|name| name.as_str().map(str::trim))
    {
        None | Some(Some("")) => Ok(None),
        Some(Some(name)) if name.len() <= LONGEST_NAME && !name.chars().any(char::is_control) => {
            Ok(Some(name.to_owned()))
        }
        Some(_) => Err(Refusal::Usage("A user name is a text of at most 64 bytes.")),
    }
}

fn id_text(id: &CredentialId) -> String {
    URL_SAFE_NO_PAD.encode(id.as_bytes())
}

fn descriptor(record: &CredentialRecord) -> Value {
    let transports: Vec<&String> = record.transports.iter().filter(|t| !t.is_empty()).collect();
    json!({"type": "public-key", "id": id_text(&record.id), "transports": transports})
}

fn passkey_json(record: &CredentialRecord) -> Value {
    let groups: Vec<Value> = record
        .cmtg
        .iter()
        .map(|key| {
            json!({
                "key": short(&key.key_id.to_string()),
                "first_seen": key.created_at,
                "last_seen": key.last_used,
                "trust": key.trust.name(),
                "evidence": key.evidence,
            })
        })
        .collect();
    json!({
        "id": id_text(&record.id),
        "created_at": record.created_at,
        "last_used": record.last_used,
        "synced": record.backed_up,
        "groups": groups,
    })
}
