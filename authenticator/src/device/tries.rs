//! How often the pass phrase was mistyped on this device, and how long the next try has to wait. It is
//! for a person at the keyboard: who has a copy of the vault guesses without this.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use handfast_proto::cbor::{self, Map, Value};
use rustix::time::{ClockId, clock_gettime};
use thiserror::Error;
use tracing::info;

use super::{DeviceError, at};
use crate::disk::{lock, make_folder, read_secret, write_atomically};
use crate::format::Format;

const NAME: &str = "tries.handfast";
const KIND: &str = "handfast-tries";
const FORMAT: u64 = 1;
/// No such file is longer.
const LONGEST: u64 = 256;
/// How many wrong pass phrases cost nothing but the time to stretch them.
const FREE: u32 = 5;
/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A moment that no change of the clock moves: the time since the system started, and which start that was.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Moment {
    pub(crate) boot: String,
    pub(crate) since_boot: Duration,
}

impl Moment {
    /// Returns this moment.
    pub(crate) fn now() -> Self {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let time = clock_gettime(ClockId::Boottime);
        Self {
            boot: boot.trim().to_owned(),
            since_boot: Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or_default()),
        }
    }

    /// How long ago another moment was, or at least was: before this start nothing is known but that.
    fn since(&self, earlier: &Self) -> Duration {
        match self.boot == earlier.boot {
            true => self
                .since_boot
                .checked_sub(earlier.since_boot)
                .unwrap_or(self.since_boot),
            false => self.since_boot,
        }
    }
}

/// The next try has to wait.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[error("{wrong} wrong pass phrases were given here in a row: the next try has to wait {} s", wait.as_secs())]
pub(crate) struct TooSoon {
    /// How many were wrong.
    pub(crate) wrong: u32,
    /// How long, in whole seconds.
    pub(crate) wait: Duration,
}

/// What was counted.
#[derive(Clone, Debug, PartialEq)]
struct Counted {
    wrong: u32,
    last: Moment,
}

impl Counted {
    fn wait(&self, now: &Moment) -> Result<(), TooSoon> {
        let Some(over) = self.wrong.checked_sub(FREE) else {
            return Ok(());
        };
        let delay = Duration::from_secs(1_u64.checked_shl(over).unwrap_or(u64::MAX));
        let delay = delay.min(LONGEST_WAIT);
        match delay.checked_sub(now.since(&self.last)) {
            Some(wait) if !wait.is_zero() => Err(TooSoon {
                wrong: self.wrong,
                wait,
            }),
            _ => Ok(()),
        }
    }
}

/// The counter of a device.
pub(crate) struct Tries {
    folder: PathBuf,
}

/// Why a try is not made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum NoTry {
    /// Not yet.
    #[error(transparent)]
    TooSoon(#[from] TooSoon),
    /// It could not be counted.
    #[error(transparent)]
    NotCounted(#[from] DeviceError),
}

/// A try that may be made.
#[must_use]
struct Try {
    /// What was counted before, if this one is counted as a wrong one already.
    before: Option<Counted>,
}

impl Tries {
    /// The counter in a device store's folder.
    pub(crate) fn of(device: &Path) -> Self {
        Self {
            folder: device.to_owned(),
        }
    }

    /// Counts so many wrong ones, the last at this moment: nobody can wait for them in a test.
    #[cfg(test)]
    pub(crate) fn pretend(&self, wrong: u32) {
        let last = Moment::now();
        self.save(&Counted { wrong, last }).unwrap();
    }

    fn path(&self) -> PathBuf {
        self.folder.join(NAME)
    }

    /// Returns how long nobody needs to be asked for a pass phrase.
    pub(crate) fn look(&self, now: &Moment) -> Result<(), TooSoon> {
        self.read().map_or(Ok(()), |counted| counted.wait(now))
    }

    /// Makes a try, and counts it if it is wrong: `open` returns nothing then. One that fails for another
    /// reason is none.
    pub(crate) fn attempt<T, E: From<NoTry>>(
        &self,
        open: impl FnOnce() -> Result<Option<T>, E>,
    ) -> Result<Option<T>, E> {
        let attempt = self.begin(&Moment::now())?;
        let opened = open();
        match &opened {
            Ok(Some(_)) => self.right(),
            Ok(None) => {
                if let Err(error) = self.wrong(attempt, &Moment::now()) {
                    info!("a wrong pass phrase is not counted: {error}");
                }
            }
            Err(_) => self.take_back(attempt),
        }
        opened
    }

    /// Begins a try. After a first wrong one each is counted before it is made, so that nobody gets more of
    /// them by ending the program or by trying in two at once; without one, a try writes nothing.
    fn begin(&self, now: &Moment) -> Result<Try, NoTry> {
        let Some(before) = self.read() else {
            return Ok(Try { before: None });
        };
        match self.count(now, true) {
            Ok(()) => {}
            // Where nothing can be written all can still be read. Who can bring that about can remove the
            // counter as well.
            Err(NoTry::NotCounted(error)) if error.is_unwritable() => before.wait(now)?,
            Err(error) => return Err(error),
        }
        Ok(Try {
            before: Some(before),
        })
    }

    /// The pass phrase was wrong.
    fn wrong(&self, attempt: Try, now: &Moment) -> Result<(), DeviceError> {
        match attempt.before {
            Some(_) => Ok(()),
            None => match self.count(now, false) {
                Err(NoTry::NotCounted(error)) => Err(error),
                _ => Ok(()),
            },
        }
    }

    /// The pass phrase was right: all is forgotten.
    fn right(&self) {
        // Left there it only makes wrong tries wait.
        let _ = fs::remove_file(self.path());
    }

    /// Whether the pass phrase was right nobody knows.
    fn take_back(&self, attempt: Try) {
        let Some(before) = attempt.before else {
            return;
        };
        let Some(_lock) = lock(&self.folder) else {
            return;
        };
        if let Some(now) = self.read() {
            let wrong = now.wrong.saturating_sub(1);
            // What stays counted only makes the next try wait.
            let _ = self.save(&Counted { wrong, ..before });
        }
    }

    fn count(&self, now: &Moment, if_in_time: bool) -> Result<(), NoTry> {
        let folder = &self.folder;
        make_folder(folder).map_err(at(folder))?;
        let lock = File::open(folder).map_err(at(folder))?;
        lock.lock().map_err(at(folder))?;
        let counted = self.read();
        if if_in_time && let Some(counted) = &counted {
            counted.wait(now)?;
        }
        let wrong = counted.map_or(0, |counted| counted.wrong).saturating_add(1);
        let last = now.clone();
        Ok(self.save(&Counted { wrong, last })?)
    }

    fn save(&self, counted: &Counted) -> Result<(), DeviceError> {
        let path = self.path();
        let file = Map::new()
            .with(1, KIND)
            .with(2, FORMAT)
            .with(3, u64::from(counted.wrong))
            .with(4, counted.last.boot.as_str())
            .with(5, counted.last.since_boot.as_secs());
        write_atomically(&path, &file.encode()).map_err(at(&path))
    }

    /// What cannot be read counts for nothing: who can damage the file can remove it as well.
    fn read(&self) -> Option<Counted> {
        let bytes = read_secret(&self.path(), LONGEST).ok()?;
        let map = cbor::decode(&bytes).ok().and_then(Value::into_map)?;
        if Format::of(&map, KIND, FORMAT) != Format::Known(FORMAT) {
            return None;
        }
        Some(Counted {
            wrong: map.int(3)?.as_u64()?.try_into().unwrap_or(u32::MAX),
            last: Moment {
                boot: map.int(4)?.as_text()?.to_owned(),
                since_boot: Duration::from_secs(map.int(5)?.as_u64()?),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_second(second: u64) -> Moment {
        Moment {
            boot: "this".to_owned(),
            since_boot: Duration::from_secs(second),
        }
    }

    /// Makes a wrong try, or tells how long it has to wait.
    fn wrong(tries: &Tries, now: &Moment) -> Result<(), u64> {
        match tries.begin(now) {
            Ok(attempt) => {
                tries.wrong(attempt, now).unwrap();
                Ok(())
            }
            Err(NoTry::TooSoon(too_soon)) => Err(too_soon.wait.as_secs()),
            Err(NoTry::NotCounted(error)) => panic!("{error}"),
        }
    }

    #[test]
    fn after_a_few_wrong_pass_phrases_each_try_waits_longer_up_to_a_minute() {
        let folder = tempfile::tempdir().unwrap();
        let tries = Tries::of(&folder.path().join("device"));
        let mut second = 1000;
        for _ in 0..FREE {
            wrong(&tries, &at_second(second)).unwrap();
        }
        for wait in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            assert_eq!(wrong(&tries, &at_second(second)), Err(wait));
            let look = tries.look(&at_second(second)).unwrap_err();
            assert_eq!(look.wait.as_secs(), wait);
            second += wait;
            assert_eq!(wrong(&tries, &at_second(second - 1)), Err(1));
            // Asking early costs nothing more.
            assert_eq!(tries.look(&at_second(second)), Ok(()));
            wrong(&tries, &at_second(second)).unwrap();
        }
    }

    #[test]
    fn a_right_pass_phrase_clears_the_count_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let tries = Tries::of(folder.path());
        let _first = tries.begin(&at_second(0)).unwrap();
        tries.right();
        assert!(!tries.path().exists(), "a right one writes nothing");
        for _ in 0..FREE - 1 {
            wrong(&tries, &at_second(0)).unwrap();
        }
        let _right = tries.begin(&at_second(0)).unwrap();
        tries.right();
        assert!(!tries.path().exists());
        for _ in 0..FREE {
            wrong(&tries, &at_second(0)).unwrap();
        }
        assert!(wrong(&tries, &at_second(0)).is_err());
    }

    #[test]
    fn a_try_that_nobody_can_judge_is_none_and_a_right_one_clears_what_others_counted() {
        let folder = tempfile::tempdir().unwrap();
        let tries = Tries::of(folder.path());
        wrong(&tries, &at_second(0)).unwrap();
        let counted = |tries: &Tries| tries.read().map(|counted| counted.wrong);
        for _ in 0..3 {
            let unjudged = tries.attempt(|| -> Result<Option<()>, NoTry> {
                assert_eq!(counted(&tries), Some(2), "before it is made");
                Err(NoTry::TooSoon(TooSoon {
                    wrong: 0,
                    wait: Duration::ZERO,
                }))
            });
            assert!(unjudged.is_err());
            assert_eq!(counted(&tries), Some(1));
        }
        tries.right();
        let right = tries.attempt(|| -> Result<_, NoTry> {
            // Meanwhile, in another program.
            wrong(&tries, &at_second(0)).unwrap();
            Ok(Some(()))
        });
        assert_eq!(right.unwrap(), Some(()));
        assert_eq!(counted(&tries), None);
    }

    #[test]
    fn ending_the_program_in_the_middle_of_a_try_gains_none() {
        let folder = tempfile::tempdir().unwrap();
        let tries = Tries::of(folder.path());
        wrong(&tries, &at_second(0)).unwrap();
        for _ in 1..FREE {
            let _ended = tries.begin(&at_second(0)).unwrap();
        }
        assert_eq!(wrong(&tries, &at_second(0)), Err(1));
    }

    #[test]
    fn neither_a_restart_nor_a_clock_gives_free_tries_or_locks_out_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let tries = Tries::of(folder.path());
        for second in 0..FREE + 6 {
            wrong(&tries, &at_second(100 * u64::from(second))).unwrap();
        }
        let restarted = |second| Moment {
            boot: "next".to_owned(),
            since_boot: Duration::from_secs(second),
        };
        // How long the machine was off is not known; since its start a minute is enough.
        assert_eq!(wrong(&tries, &restarted(5)), Err(55));
        assert_eq!(tries.look(&restarted(60)), Ok(()));
        // Time that went back within a start, as no clock does, is taken as a start.
        assert_eq!(wrong(&tries, &at_second(5)), Err(55));
        assert_eq!(tries.look(&at_second(60)), Ok(()));
    }

    #[test]
    fn a_damaged_or_foreign_counter_is_none_and_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let tries = Tries::of(folder.path());
        for content in [&b""[..], b"\xa0", &[0x81; 300]] {
            fs::write(tries.path(), content).unwrap();
            tries.look(&at_second(0)).unwrap();
            wrong(&tries, &at_second(0)).unwrap();
            assert_eq!(tries.read().unwrap().wrong, 1);
        }
        let most = Map::new()
            .with(1, KIND)
            .with(2, FORMAT)
            .with(3, u64::MAX)
            .with(4, "this")
            .with(5, u64::MAX);
        fs::write(tries.path(), most.encode()).unwrap();
        assert_eq!(wrong(&tries, &at_second(0)), Err(60));
        wrong(&tries, &at_second(60)).unwrap();
    }

    #[test]
    fn the_clock_of_moments_runs_and_knows_its_start() {
        let (one, two) = (Moment::now(), Moment::now());
        assert!(!one.boot.is_empty());
        assert!(two.since(&one) < Duration::from_secs(60));
        assert!(one.since_boot > Duration::ZERO);
    }
}
