//! The connections that have not yet said what they want.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The places of the connections that are still opening. Nobody waits for a place: who comes takes
/// that of the oldest, which has had the most time to say something.
#[derive(Debug)]
pub struct Openings {
    places: usize,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    next: u64,
    /// By age. Nothing is ever sent; an opening ends when its sender is dropped.
    taken: BTreeMap<u64, oneshot::Sender<Infallible>>,
}

/// One place. It is free again when this is dropped.
#[derive(Debug)]
pub struct Opening {
    openings: Arc<Openings>,
    number: u64,
    lost: oneshot::Receiver<Infallible>,
}

impl Openings {
    /// Makes this many places, at least one.
    pub fn new(places: usize) -> Arc<Self> {
        Arc::new(Self {
            places: places.max(1),
            queue: Mutex::default(),
        })
    }

    /// Takes a place, if need be that of the oldest.
    pub fn enter(self: &Arc<Self>) -> Opening {
        let mut queue = self.lock();
        if queue.taken.len() >= self.places {
            queue.taken.pop_first();
        }
        let number = queue.next;
        queue.next += 1;
        let (sender, lost) = oneshot::channel();
        queue.taken.insert(number, sender);
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
            queue.taken.pop_first();
        }
    }

    /// The queue is whole after every statement that touches it, so a poisoned lock is usable.
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
        self.openings.lock().taken.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_lost(opening: &mut Opening) -> bool {
        opening.lost.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }

    #[test]
    fn the_newest_takes_the_place_of_the_oldest() {
        let openings = Openings::new(2);
        let (mut first, mut second) = (openings.enter(), openings.enter());
        let mut third = openings.enter();
        assert!(is_lost(&mut first));
        assert!(!is_lost(&mut second) && !is_lost(&mut third));
    }

    #[test]
    fn a_place_that_was_left_is_taken_first() {
        let openings = Openings::new(2);
        let (mut first, second) = (openings.enter(), openings.enter());
        drop(second);
        let _third = openings.enter();
        assert!(!is_lost(&mut first));
    }

    #[test]
    fn the_older_half_goes_even_if_it_is_one() {
        let openings = Openings::new(8);
        let mut all: Vec<_> = (0..3).map(|_| openings.enter()).collect();
        openings.halve();
        assert_eq!(
            all.iter_mut().map(is_lost).collect::<Vec<_>>(),
            [true, true, false]
        );
        openings.halve();
        assert!(is_lost(&mut all[2]));
    }
}
