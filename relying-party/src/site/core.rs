//! What the site does, without any HTTP: an endpoint, a session and a body in, an answer out.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use handfast_proto::cose::{CoseKey, KeyId};
use handfast_proto::ids::{CredentialId, RpId, UserHandle};
use serde_json::{Value, json};

use super::notice::Notice;
use super::refusal::Refusal;
use super::session::{FRESH, Pending, Sessions};
use crate::client_data::{Challenge, Expected};
use crate::compat::Requested;
use crate::record::CredentialRecord;
use crate::rule::Rule;
use crate::store::{Store, User};

const LONGEST_NAME: usize = 64;
const ENDPOINTS: [&str; 9] = [
    "account",
    "forget-group",
    "register/options",
    "register/verify",
    "reset-passkeys/options",
    "sign-in/options",
    "sign-in/verify",
    "sign-out",
    "step-up",
];

/// Which site this is.
#[derive(Clone, Debug)]
pub struct SiteConfig {
    /// Its RP ID.
    pub rp_id: RpId,
    /// The origins that it is reached by.
    pub origins: Vec<String>,
}

/// The site.
pub struct Site {
    pub(super) config: SiteConfig,
    pub(super) store: Box<dyn Store>,
    pub(super) sessions: Sessions,
    tell: Box<dyn FnMut(&Notice) + Send>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Its HTTP status.
    pub status: u16,
    /// Its JSON.
    pub body: Value,
    /// The token by which the session goes from now on.
    pub token: String,
}

impl Site {
    /// Makes a site that tells `tell` what happens.
    pub fn new(
        config: SiteConfig,
        store: Box<dyn Store>,
        tell: Box<dyn FnMut(&Notice) + Send>,
    ) -> Self {
        Self {
            config,
            store,
            sessions: Sessions::default(),
            tell,
        }
    }

    pub(super) fn origins(&self) -> &[String] {
        &self.config.origins
    }

    /// Answers a request to an endpoint, the path below `/api/`. `token` is the session's, if the
    /// visitor has one; `now` is in whole seconds since 1970.
    pub fn handle(
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
        let (status, body) = done.map_or_else(
            |refusal| self.refuse(endpoint, &refusal),
            |body| (200, body),
        );
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
            compat: Requested::default(),
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

    /// Does not grant a request, and says so to both sides.
    pub(super) fn refuse(&mut self, endpoint: &str, refusal: &Refusal) -> (u16, Value) {
        // The path is the visitor's, and does not belong into a log as it is.
        let known = ENDPOINTS.into_iter().find(|known| *known == endpoint);
        if let Some(notice) = refusal.notice(known.unwrap_or("an unknown endpoint")) {
            self.tell(&notice);
        }
        refusal.answer()
    }

    pub(super) fn tell(&mut self, notice: &Notice) {
        (self.tell)(notice);
    }

    /// Tells if a trust-group key is another passkey's as well (`trust-group.md` §1.6).
    pub(super) fn watch_for_repeats(
        &mut self,
        id: &CredentialId,
        key: Option<&CoseKey>,
    ) -> Result<(), Refusal> {
        let Some(key) = key else { return Ok(()) };
        let mut passkeys = self.store.credentials_with_cmtg_key(key)?;
        passkeys.retain(|other| other != id);
        if !passkeys.is_empty() {
            passkeys.insert(0, id.clone());
            self.tell(&Notice::RepeatedKey {
                key: short(key.key_id()),
                passkeys: passkeys.iter().map(short_id).collect(),
            });
        }
        Ok(())
    }

    /// Signs in, under a token that nobody could have planted.
    pub(super) fn become_user(
        &mut self,
        token: &mut String,
        user: &UserHandle,
        key: Option<&CoseKey>,
        now: u64,
    ) {
        *token = self.sessions.renew(token);
        let (_, session) = self.sessions.of(Some(token), now);
        session.user = Some(user.clone());
        session.key = key.map(CoseKey::key_id);
        session.step_up = None;
    }

    pub(super) fn decision(
        &mut self,
        event: &'static str,
        user: &User,
        outcome: &str,
        key: Option<&CoseKey>,
        (signed_in, trusted): (bool, bool),
        why: &str,
    ) -> Value {
        let answer = json!({
            "ok": true,
            "user": user.name,
            "signed_in": signed_in,
            "step_up_required": !signed_in,
            "outcome": outcome,
            "key": key.map(|key| short(key.key_id())),
            "trusted": trusted,
            "why": why,
        });
        self.tell(&Notice::Decision {
            event,
            answer: answer.clone(),
        });
        answer
    }
}

/// Returns the short name that people see of a key.
pub(super) fn short(key: KeyId) -> String {
    key.to_string().chars().take(8).collect()
}

/// Returns the beginning of a passkey's name, as people see it.
fn short_id(id: &CredentialId) -> String {
    id_text(id).chars().take(8).collect()
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
        Some(_) => Err(Refusal::usage("A user name is a text of at most 64 bytes.")),
    }
}

pub(super) fn id_text(id: &CredentialId) -> String {
    URL_SAFE_NO_PAD.encode(id.as_bytes())
}

pub(super) fn descriptor(record: &CredentialRecord) -> Value {
    let transports: Vec<&String> = record.transports.iter().filter(|t| !t.is_empty()).collect();
    json!({"type": "public-key", "id": id_text(&record.id), "transports": transports})
}
