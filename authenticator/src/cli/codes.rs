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
                lock(phone, voice);
                continue;
            }
            _ => return,
        };
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let answered = match &phone.authenticator {
            Some(open) if open.vault.is_superseded() => {
                renew(phone, voice, desk.unlock);
                Ok(())
            }
            Some(_) => Ok(()),
            None => unlock(phone, voice, desk.unlock),
        };
        if let Err(failure) = answered.and_then(|()| (desk.answer)(phone, line)) {
            told::tell(&failure, voice);
        }
    }
}

/// Drops vault and device store; all keys in them are wiped with that.
fn lock(phone: &mut Phone, voice: Voice) {
    if phone.authenticator.take().is_some() {
        voice.say(
            "Locked, as no code came for a while. The next one unlocks it again.",
            json!({"event": "locked"}),
        );
    }
}

/// Takes over what another device changed: as little as can be is to be sealed under a key that may have
/// leaked. But whoever can write to the folder can put a newer header there, and with that nobody is locked
/// out of what is open.
fn renew(
    phone: &mut Phone,
    voice: Voice,
    unlock: &mut dyn FnMut() -> Result<Authenticator, Failure>,
) {
    voice.say(
        "The vault has a newer header: another device or program gave it another pass phrase or key.",
        json!({"event": "superseded"}),
    );
    if let Err(failure) = self::unlock(phone, voice, unlock) {
        told::tell(&failure, voice);
        voice.say(
            "Going on with what was unlocked before. If you changed nothing, somebody may have put that file \
             there: handfast-authenticator passkeys list names it.",
            json!({"event": "going-on"}),
        );
    }
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
