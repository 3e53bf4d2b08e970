//! The connections that have not yet said what they want.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::address::Source;

/// The places of the connections that are still opening. Nobody waits for a place: who comes takes
/// that of the oldest, which has had the most time to say something. A source that has all of its
/// own places takes one of these.
#[derive(Debug)]
pub struct Openings {
    places: usize,
    places_per_source: usize,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    next: u64,
    /// By age. Nothing is ever sent; an opening ends when its sender is dropped.
    taken: BTreeMap<u64, Place>,
    by_source: HashMap<Source, BTreeSet<u64>>,
}

#[derive(Debug)]
struct Place {
    source: Option<Source>,
    _ends: oneshot::Sender<Infallible>,
}

impl Queue {
    fn leave(&mut self, number: u64) {
        let Some(Place {
            source: Some(source),
            ..
        }) = self.taken.remove(&number)
        else {
            return;
        };
        if let Some(numbers) = self.by_source.get_mut(&source) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.by_source.remove(&source);
            }
        }
    }

    fn leave_oldest(&mut self) {
        if let Some((&oldest, _)) = self.taken.first_key_value() {
            self.leave(oldest);
        }
    }
}

/// One place. It is free again when this is dropped.
#[derive(Debug)]
pub struct Opening {
    openings: Arc<Openings>,
    number: u64,
    lost: oneshot::Receiver<Infallible>,
}

impl Openings {
    /// Makes this many places, and as many for one source; at least one.
    pub fn new(places: usize, places_per_source: usize) -> Arc<Self> {
        Arc::new(Self {
            places: places.max(1),
            places_per_source: places_per_source.max(1),
            queue: Mutex::default(),
        })
    }

    /// Takes a place, if need be that of the oldest. A source that is not known, because a proxy
    /// stands for many, has no bound of its own.
    pub fn enter(self: &Arc<Self>, source: Option<Source>) -> Opening {
        let mut queue = self.lock();
        if let Some(own) = source.and_then(|source| queue.by_source.get(&source))
            && own.len() >= self.places_per_source
            && let Some(&oldest) = own.first()
        {
            queue.leave(oldest);
        } else if queue.taken.len() >= self.places {
            queue.leave_oldest();
        }
        let number = queue.next;
        queue.next += 1;
        let (ends, lost) = oneshot::channel();
        let place = Place {
            source,
            _ends: ends,
        };
        queue.taken.insert(number, place);
        if let Some(source) = source {
            queue.by_source.entry(source).or_default().insert(number);
        }
        Opening {
            openings: Arc::clone(self),
            number,
            lost,
        }
    }

    /// Takes the places of the older half.
    pub fn halve(&self) {
        let mut queue = self.lock();
        for _ in 0..queue.taken.len().div_ceil(2) {
            queue.leave_oldest();
        }
    }

    /// Returns the number of places that are taken.
    pub fn len(&self) -> usize {
        self.lock().taken.len()
    }

    /// Returns whether no place is taken.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The queue is whole whenever the lock is free, and nothing in between panics, so a poisoned
    /// lock is usable.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Opening {
    /// Waits until the place is taken by another.
    pub async fn lost(&mut self) {
        let Err(_) = (&mut self.lost).await;
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.openings.lock().leave(self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn is_lost(opening: &mut Opening) -> bool {
        opening.lost.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }

    fn source(number: u32) -> Option<Source> {
        Some(std::net::IpAddr::V4(Ipv4Addr::from_bits(number)).into())
    }

    #[test]
    fn the_newest_takes_the_place_of_the_oldest() {
        let openings = Openings::new(2, 2);
        let (mut first, mut second) = (openings.enter(source(1)), openings.enter(source(2)));
        let mut third = openings.enter(source(3));
        assert!(is_lost(&mut first));
        assert!(!is_lost(&mut second) && !is_lost(&mut third));
    }

    #[test]
    fn a_source_takes_from_others_only_within_its_own_places() {
        let openings = Openings::new(3, 2);
        let mut other = openings.enter(source(1));
        let mut own: Vec<_> = (0..5).map(|_| openings.enter(source(2))).collect();
        assert!(!is_lost(&mut other));
        let lost: Vec<_> = own.iter_mut().map(is_lost).collect();
        assert_eq!(lost, [true, true, true, false, false]);
        drop((other, own));
        assert!(openings.is_empty() && openings.lock().by_source.is_empty());
    }

    #[test]
    fn a_place_that_was_left_is_taken_first() {
        let openings = Openings::new(2, 2);
        let (mut first, second) = (openings.enter(None), openings.enter(None));
        drop(second);
        let _third = openings.enter(None);
        assert!(!is_lost(&mut first));
    }

    #[test]
    fn the_older_half_goes_even_if_it_is_one() {
        let openings = Openings::new(8, 8);
        let mut all: Vec<_> = (0..3).map(|_| openings.enter(source(7))).collect();
        openings.halve();
        assert_eq!(
            all.iter_mut().map(is_lost).collect::<Vec<_>>(),
            [true, true, false]
        );
        openings.halve();
        assert!(is_lost(&mut all[2]));
    }
}
