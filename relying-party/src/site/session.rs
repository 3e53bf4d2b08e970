//! Sessions: who is signed in where, and what an open attempt must answer to.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use handfast_proto::cose::{CoseKey, KeyId};
use handfast_proto::ids::UserHandle;
use rand_core::{OsRng, RngCore};

use crate::authentication::Attempt;
use crate::client_data::Challenge;
use crate::cmtg::Outcome;
use crate::record::CredentialRecord;
use crate::store::User;

/// A session ends this long after its last use.
const IDLE: u64 = 30 * 60;
/// An attempt, or a code, must be answered within this time.
pub(super) const FRESH: u64 = 10 * 60;
/// Wrong codes before a step-up is over.
pub(super) const TRIES: u8 = 5;
/// Wrong codes of an account, over all its sign-ins, before no more are asked for…
const WRONG_MOST: u32 = 15;
/// …until this time has passed since the first.
const WRONG_PERIOD: u64 = 60 * 60;
const MOST: usize = 10_000;

/// One browser, or one client.
#[derive(Default)]
pub(super) struct Session {
    pub(super) user: Option<UserHandle>,
    /// The trust-group key that it was signed in with.
    pub(super) key: Option<KeyId>,
    pub(super) pending: Option<Pending>,
    pub(super) step_up: Option<StepUp>,
    used_at: u64,
}

/// An attempt that waits for its response. It is taken out by whatever comes, right or wrong.
pub(super) struct Pending {
    pub(super) challenge: Challenge,
    pub(super) since: u64,
    pub(super) kind: PendingKind,
}

pub(super) enum PendingKind {
    /// A new passkey; with `reset`, the account's others go once it is there.
    Register {
        user: User,
        reset: bool,
    },
    SignIn(Attempt),
}

/// A sign-in that waits for its one-time code.
pub(super) struct StepUp {
    pub(super) user: User,
    /// The passkey's record as it is to be when the code was right.
    pub(super) after: CredentialRecord,
    pub(super) key: Option<CoseKey>,
    /// What came of the trust-group key, by its name.
    pub(super) outcome: &'static str,
    pub(super) code: String,
    pub(super) tries: u8,
    pub(super) since: u64,
}

impl StepUp {
    pub(super) fn new(user: User, after: CredentialRecord, cmtg: &Outcome, now: u64) -> Self {
        // A million is so far below 2^64 that the remainder favours no code.
        let code = format!("{:06}", OsRng.next_u64() % 1_000_000);
        Self {
            user,
            after,
            key: cmtg.key().cloned(),
            outcome: cmtg.name(),
            code,
            tries: TRIES,
            since: now,
        }
    }
}

/// All sessions, by the token in their cookie, and who typed wrong codes of late.
#[derive(Default)]
pub(super) struct Sessions {
    open: HashMap<String, Session>,
    wrong: HashMap<UserHandle, WrongCodes>,
}

/// Wrong codes of one account since a moment. Every sign-in makes a new code: without this, who has
/// the passkey could guess for ever, a few times a sign-in.
#[derive(Default)]
struct WrongCodes {
    since: u64,
    count: u32,
}

impl Sessions {
    /// Returns the session of a token, or a new one under a token of our making.
    pub(super) fn of(&mut self, token: Option<&str>, now: u64) -> (String, &mut Session) {
        self.open
            .retain(|_, session| now.saturating_sub(session.used_at) < IDLE);
        let token = match token {
            Some(token) if self.open.contains_key(token) => token.to_owned(),
            _ => {
                if self.open.len() >= MOST {
                    let oldest = self.open.iter().min_by_key(|(_, session)| session.used_at);
                    if let Some(oldest) = oldest.map(|(token, _)| token.clone()) {
                        self.open.remove(&oldest);
                    }
                }
                new_token()
            }
        };
        let session = self.open.entry(token.clone()).or_default();
        session.used_at = now;
        (token, session)
    }

    /// Gives a session a new token, as whenever its rights change.
    pub(super) fn renew(&mut self, token: &str) -> String {
        let renewed = new_token();
        if let Some(session) = self.open.remove(token) {
            self.open.insert(renewed.clone(), session);
        }
        renewed
    }

    /// Ends a session and everything that was open in it, and returns the token of a fresh one.
    pub(super) fn end(&mut self, token: &str, now: u64) -> String {
        self.open.remove(token);
        self.of(None, now).0
    }

    /// Whether an account may be asked for a code now.
    pub(super) fn may_ask(&mut self, user: &UserHandle, now: u64) -> bool {
        self.wrong
            .retain(|_, wrong| now.saturating_sub(wrong.since) < WRONG_PERIOD);
        self.wrong
            .get(user)
            .is_none_or(|wrong| wrong.count < WRONG_MOST)
    }

    /// Counts a wrong code against its account.
    pub(super) fn wrong_code(&mut self, user: &UserHandle, now: u64) {
        let wrong = self.wrong.entry(user.clone()).or_insert(WrongCodes {
            since: now,
            count: 0,
        });
        wrong.count += 1;
    }

    /// Ends all other sessions of an account.
    pub(super) fn end_others(&mut self, user: &UserHandle, keep: &str) {
        self.open
            .retain(|token, session| token == keep || session.user.as_ref() != Some(user));
    }
}

fn new_token() -> String {
    let mut bytes = [0; 32];
    OsRng.fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}
