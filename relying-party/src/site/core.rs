//! What the site does, without any HTTP: an endpoint, a session and a body in, an answer out.

use std::io::{Write, stdout};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use handfast_proto::cose::CoseKey;
use handfast_proto::ids::{CredentialId, RpId, UserHandle};
use serde_json::{Value, json};

use super::refusal::Refusal;
use super::session::{FRESH, Pending, Sessions};
use crate::client_data::{Challenge, Expected};
use crate::record::CredentialRecord;
use crate::rule::Rule;
use crate::store::{Store, User};

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
    pub(super) config: SiteConfig,
    pub(super) store: Box<dyn Store>,
    pub(super) sessions: Sessions,
}

/// An answer: status, JSON, and the session's token if it is new.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) token: String,
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
                token = self.sessions.end(&token, now);
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

    pub(super) fn expected(&self, challenge: Challenge) -> Expected {
        Expected {
            challenge,
            rp_id: self.config.rp_id.clone(),
            origins: self.config.origins.clone(),
            user_verification: true,
            cmtg_key: true,
        }
    }

    pub(super) fn signed_in(&mut self, token: &str, now: u64) -> Result<User, Refusal> {
        let user = self
            .sessions
            .of(Some(token), now)
            .1
            .user
            .clone()
            .ok_or(Refusal::SignedOut)?;
        self.store.user(&user)?.ok_or(Refusal::SignedOut)
    }

    pub(super) fn take_pending(&mut self, token: &str, now: u64) -> Result<Pending, Refusal> {
        let pending = self.sessions.of(Some(token), now).1.pending.take();
        pending
            .filter(|pending| now.saturating_sub(pending.since) < FRESH)
            .ok_or(Refusal::Rule(Rule::Challenge))
    }

    /// Signs in, under a token that nobody could have planted.
    pub(super) fn become_user(&mut self, token: &mut String, user: &UserHandle, now: u64) {
        *token = self.sessions.renew(token);
        let (_, session) = self.sessions.of(Some(token), now);
        session.user = Some(user.clone());
        session.step_up = None;
    }

    pub(super) fn decision(
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

    pub(super) fn tell_code(&self, user: &User, code: &str) {
        say(&format!("step-up code for {}: {code}", user.name));
    }
}

/// The console stands for the way by which a site would reach its user: mail, a letter, an app.
fn say(line: &str) {
    let _ = writeln!(stdout(), "{line}").and_then(|()| stdout().flush());
}

pub(super) fn short(key_id: &str) -> &str {
    key_id.get(..8).unwrap_or(key_id)
}

pub(super) fn name_of(body: &Value) -> Result<Option<String>, Refusal> {
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

pub(super) fn id_text(id: &CredentialId) -> String {
    URL_SAFE_NO_PAD.encode(id.as_bytes())
}

pub(super) fn descriptor(record: &CredentialRecord) -> Value {
    let transports: Vec<&String> = record.transports.iter().filter(|t| !t.is_empty()).collect();
    json!({"type": "public-key", "id": id_text(&record.id), "transports": transports})
}
