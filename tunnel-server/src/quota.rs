//! How many tunnels one source has, and how fast it makes them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::address::Source;
use crate::limits::Limits;
use crate::request::Refusal;

/// Sources that are kept in mind, with tunnels or without, before those without are looked through.
const FEW: usize = 1024;

/// The accounts of all sources.
#[derive(Debug)]
pub struct Quotas {
    tunnels: u32,
    /// Time in which a source may make one tunnel.
    interval: Duration,
    /// How much of this time it may have used in advance.
    advance: Duration,
    accounts: Mutex<Accounts>,
}

#[derive(Debug, Default)]
struct Accounts {
    of: HashMap<Source, Account>,
    /// How many there may be before the next look.
    many: usize,
}

#[derive(Debug)]
struct Account {
    tunnels: u32,
    /// When all that was used will have been given again.
    even: Instant,
}

impl Account {
    fn is_settled(&self, now: Instant) -> bool {
        self.tunnels == 0 && self.even <= now
    }
}

/// A tunnel on a source's account. It is off it when this is dropped.
#[derive(Debug)]
pub struct Charge(Option<(Arc<Quotas>, Source)>);

impl Quotas {
    /// Accounts within these limits.
    pub fn new(limits: &Limits) -> Arc<Self> {
        let interval = Duration::from_secs(1) / limits.new_per_second_and_address.max(1);
        let ahead = limits.new_at_once_per_address.max(1) - 1;
        Arc::new(Self {
            tunnels: limits.tunnels_per_address,
            interval,
            advance: interval.saturating_mul(ahead),
            accounts: Mutex::new(Accounts {
                of: HashMap::new(),
                many: FEW,
            }),
        })
    }

    /// Puts a new tunnel on a source's account. One whose source is not known is on none.
    ///
    /// # Errors
    ///
    /// [`Refusal::TooMany`] or [`Refusal::TooFast`], and then nothing is put on it.
    pub fn charge(self: &Arc<Self>, source: Option<Source>) -> Result<Charge, Refusal> {
        let Some(source) = source else {
            return Ok(Charge(None));
        };
        let now = Instant::now();
        let mut accounts = self.lock();
        accounts.prune(now);
        let account = accounts.of.entry(source).or_insert(Account {
            tunnels: 0,
            even: now,
        });
        if account.tunnels >= self.tunnels {
            return Err(Refusal::TooMany);
        }
        let even = account.even.max(now);
        if even.duration_since(now) > self.advance {
            return Err(Refusal::TooFast);
        }
        account.even = even + self.interval;
        account.tunnels += 1;
        Ok(Charge(Some((Arc::clone(self), source))))
    }

    /// The map is whole after every statement that touches it, so a poisoned lock is usable.
    fn lock(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Accounts {
    /// Forgets the accounts that say nothing. It looks when there are twice as many as the last
    /// look left, so it costs each new account little.
    fn prune(&mut self, now: Instant) {
        if self.of.len() >= self.many {
            self.of.retain(|_, account| !account.is_settled(now));
            self.of.shrink_to_fit();
            self.many = (self.of.len() * 2).max(FEW);
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if let Some((quotas, source)) = self.0.take() {
            let mut accounts = quotas.lock();
            if let Some(account) = accounts.of.get_mut(&source) {
                account.tunnels = account.tunnels.saturating_sub(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn source(number: u32) -> Option<Source> {
        Some(std::net::IpAddr::V4(Ipv4Addr::from_bits(number)).into())
    }

    fn quotas() -> Arc<Quotas> {
        Quotas::new(&Limits {
            tunnels_per_address: 5,
            new_at_once_per_address: 3,
            new_per_second_and_address: 2,
            ..Limits::default()
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_makes_some_at_once_and_then_so_many_a_second() {
        let quotas = quotas();
        for _ in 0..3 {
            drop(quotas.charge(source(1)).unwrap());
        }
        assert_eq!(quotas.charge(source(1)).unwrap_err(), Refusal::TooFast);
        quotas.charge(source(2)).unwrap();
        tokio::time::advance(Duration::from_millis(500)).await;
        quotas.charge(source(1)).unwrap();
        assert_eq!(quotas.charge(source(1)).unwrap_err(), Refusal::TooFast);
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_has_only_so_many() {
        let quotas = quotas();
        let mut held = Vec::new();
        for _ in 0..5 {
            held.push(quotas.charge(source(1)).unwrap());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(quotas.charge(source(1)).unwrap_err(), Refusal::TooMany);
        held.pop();
        held.push(quotas.charge(source(1)).unwrap());
        quotas.charge(None).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn sources_that_are_gone_are_forgotten() {
        let quotas = quotas();
        let _held = quotas.charge(source(0));
        for number in 1..10_000 {
            let _ = quotas.charge(source(number)).unwrap();
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        // Each needs half a second to be even.
        assert!(quotas.lock().of.len() < 2 * FEW);
        assert!(quotas.lock().of.contains_key(&source(0).unwrap()));
    }
}
