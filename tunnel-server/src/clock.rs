//! One coarse clock for all connections, instead of a timer for each.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// Alarms for which a map is never too large.
const MANY: usize = 1024;

/// A time on a [`Clock`]: ticks since it began.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Tick(u64);

/// Time in ticks, and the alarms that wait for one.
#[derive(Debug)]
pub struct Clock {
    tick: Duration,
    now: AtomicU64,
    is_over: AtomicBool,
    alarms: Mutex<Alarms>,
}

#[derive(Debug, Default)]
struct Alarms {
    next: u64,
    set: HashMap<u64, Arc<Bell>>,
}

/// Rings for one task.
#[derive(Debug)]
struct Bell {
    due: AtomicU64,
    waker: AtomicWaker,
}

/// A task's alarm. It waits for one time at a time.
#[derive(Debug)]
pub struct Alarm {
    clock: Arc<Clock>,
    number: u64,
    bell: Arc<Bell>,
}

impl Clock {
    /// Makes a clock that goes on in steps of this length, once it [`Self::run`]s.
    pub fn new(tick: Duration) -> Arc<Self> {
        Arc::new(Self {
            tick: tick.max(Duration::from_millis(1)),
            now: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            alarms: Mutex::default(),
        })
    }

    /// Goes on for ever.
    pub async fn run(&self) {
        let mut ticks = interval_at(Instant::now() + self.tick, self.tick);
        // A machine that slept catches up: the ticks are the time.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        loop {
            ticks.tick().await;
            self.step();
        }
    }

    fn step(&self) {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        for bell in self.lock().set.values() {
            if bell.due.load(Ordering::Relaxed) <= now {
                bell.waker.wake();
            }
        }
    }

    /// Wakes everybody: it is time to end.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        for bell in self.lock().set.values() {
            bell.waker.wake();
        }
    }

    /// Returns whether it is time to end. An alarm is woken for it only while it waits.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// The time. It may be one tick behind.
    pub fn now(&self) -> Tick {
        Tick(self.now.load(Ordering::Relaxed))
    }

    /// The time after this long, never less and at most two ticks more.
    pub fn after(&self, time: Duration) -> Tick {
        let ticks = time.as_nanos().div_ceil(self.tick.as_nanos());
        let ticks = u64::try_from(ticks).unwrap_or(u64::MAX - 1);
        Tick(self.now().0.saturating_add(ticks).saturating_add(1))
    }

    /// Makes an alarm that waits for nothing yet.
    pub fn alarm(self: &Arc<Self>) -> Alarm {
        let bell = Arc::new(Bell {
            due: AtomicU64::new(u64::MAX),
            waker: AtomicWaker::new(),
        });
        let mut alarms = self.lock();
        let number = alarms.next;
        alarms.next += 1;
        alarms.set.insert(number, Arc::clone(&bell));
        Alarm {
            clock: Arc::clone(self),
            number,
            bell,
        }
    }

    /// The map is whole after every statement that touches it, so a poisoned lock is usable.
    fn lock(&self) -> MutexGuard<'_, Alarms> {
        self.alarms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Alarm {
    /// The alarm's clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Returns whether this time has come; if not, the task is woken then, and not at any time that
    /// it named before.
    pub fn is_due(&self, due: Tick, context: &Context<'_>) -> bool {
        self.bell.waker.register(context.waker());
        self.bell.due.store(due.0, Ordering::Relaxed);
        self.clock.now() >= due
    }

    /// Waits for a future, but only until this time.
    pub async fn until<F: Future>(&self, due: Tick, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if self.is_due(due, context) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Waits for a future, but only so long.
    pub async fn within<F: Future>(&self, time: Duration, future: F) -> Option<F::Output> {
        self.until(self.clock.after(time), future).await
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let mut alarms = self.clock.lock();
        alarms.set.remove(&self.number);
        // What a crowd needed is given back when it has gone.
        if alarms.set.capacity() > MANY && alarms.set.len() < alarms.set.capacity() / 4 {
            alarms.set.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_time_is_over_not_before_and_not_long_after() {
        let clock = Clock::new(Duration::from_millis(100));
        let running = tokio::spawn({
            let clock = Arc::clone(&clock);
            async move { clock.run().await }
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        for time in [0, 1, 100, 250, 5000].map(Duration::from_millis) {
            let begin = Instant::now();
            assert_eq!(clock.alarm().within(time, pending::<()>()).await, None);
            let took = begin.elapsed();
            assert!(
                took >= time && took <= time + Duration::from_millis(200),
                "{took:?}"
            );
        }
        let alarm = clock.alarm();
        assert_eq!(
            alarm.within(Duration::from_secs(1), async { 7 }).await,
            Some(7)
        );
        drop(alarm);
        assert_eq!(clock.lock().set.len(), 0);
        running.abort();
    }
}
