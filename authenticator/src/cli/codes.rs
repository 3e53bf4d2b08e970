//! `run`: one code after another. A device that is left alone locks itself.

use std::time::Duration;

use serde_json::json;

use super::told;
use crate::console::Failure;
use crate::engine::Authenticator;
use crate::phone::{Phone, Typed, Voice};

/// Which codes are answered.
pub(super) enum Codes<T> {
    One(T),
    Many { lock_after: Minutes },
}

/// Reads after how many minutes a device locks itself: decimals are minutes too, 0 is never.
pub(super) fn parse_minutes(text: &str) -> Result<Minutes, &'static str> {
    const WHY: &str = "minutes are a number from 0 (never) to 10080 (a week)";
    let minutes: f64 = text.parse().map_err(|_| WHY)?;
    if !(0.0..=10_080.0).contains(&minutes) {
        return Err(WHY);
    }
    Ok(Minutes(Duration::from_secs_f64(minutes * 60.0)))
}

/// How long nothing may happen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Minutes(Duration);

impl Minutes {
    fn patience(self) -> Option<Duration> {
        Some(self.0).filter(|patience| !patience.is_zero())
    }
}

/// What answering codes needs of the world.
pub(super) struct Desk<'a> {
    pub(super) voice: Voice,
    /// After how long without a code the device locks itself.
    pub(super) lock_after: Minutes,
    /// Waits for a line, no longer than it is told.
    pub(super) next: &'a mut dyn FnMut(Option<Duration>) -> Typed,
    pub(super) unlock: &'a mut dyn FnMut() -> Result<Authenticator, Failure>,
    /// Answers one code with an unlocked phone.
    pub(super) answer: &'a mut dyn FnMut(&mut Phone, &str) -> Result<(), Failure>,
}

/// Answers codes until no more come. The time counts from the end of one ceremony to the next code, so
/// that none is cut off.
pub(super) fn answer_all(phone: &mut Phone, desk: Desk<'_>) {
    let Desk { voice, .. } = desk;
    loop {
        // What is locked needs no deadline.
        let patience = phone.authenticator.as_ref();
        let patience = patience.and_then(|_| desk.lock_after.patience());
        let line = match (desk.next)(patience) {
            Typed::Line(line) => line,
            Typed::TimedOut => {
                lock(phone, voice, Why::Idle);
                continue;
            }
            _ => return,
        };
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        // Nothing more is to be sealed under a key that may have leaked.
        let is_superseded = |it: &Authenticator| it.vault.is_superseded();
        if phone.authenticator.as_ref().is_some_and(is_superseded) {
            lock(phone, voice, Why::Changed);
        }
        let answered = match phone.authenticator {
            Some(_) => Ok(()),
            None => unlock(phone, voice, desk.unlock),
        };
        if let Err(failure) = answered.and_then(|()| (desk.answer)(phone, line)) {
            told::tell(&failure, voice);
        }
    }
}

/// Why a device locks itself.
#[derive(Clone, Copy, Debug)]
enum Why {
    Changed,
    Idle,
}

/// Drops vault and device store; all keys in them are wiped with that.
fn lock(phone: &mut Phone, voice: Voice, why: Why) {
    if phone.authenticator.take().is_none() {
        return;
    }
    let (words, why) = match why {
        Why::Changed => (
            "Locked, as the vault has another pass phrase or key now, from another device or program.",
            "changed",
        ),
        Why::Idle => (
            "Locked, as no code came for a while. The next one asks to unlock.",
            "idle",
        ),
    };
    voice.say(words, json!({"event": "locked", "why": why}));
}

fn unlock(
    phone: &mut Phone,
    voice: Voice,
    unlock: &mut dyn FnMut() -> Result<Authenticator, Failure>,
) -> Result<(), Failure> {
    voice.say("", json!({"event": "unlocking"}));
    let authenticator = unlock()?;
    told::name_damaged(&authenticator.vault, voice);
    phone.authenticator = Some(authenticator);
    voice.say("", json!({"event": "unlocked"}));
    Ok(())
}

#[cfg(test)]
mod tests;
