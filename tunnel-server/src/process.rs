//! What the operating system says of this process.

use std::time::Duration;

/// The process as it is now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    /// Descriptors in use.
    pub(crate) descriptors: i64,
    /// Descriptors that may be in use.
    pub(crate) most_descriptors: i64,
    /// Memory, in bytes.
    pub(crate) resident: i64,
    /// Processor time that was used.
    pub(crate) processor: Duration,
}

impl Process {
    /// Asks Linux; `None` where there is no `/proc`.
    pub(crate) fn now() -> Option<Self> {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        let descriptors = std::fs::read_dir("/proc/self/fd").ok()?.count();
        Some(Self {
            // Without the one that counts.
            descriptors: i64::try_from(descriptors).ok()?.saturating_sub(1),
            most_descriptors: limits
                .lines()
                .find_map(|line| line.strip_prefix("Max open files"))
                .and_then(|line| line.split_whitespace().next()?.parse().ok())
                .unwrap_or(i64::MAX),
            resident: status
                .lines()
                .find_map(|line| line.strip_prefix("VmRSS:"))
                .and_then(|line| line.split_whitespace().next()?.parse::<i64>().ok())?
                .saturating_mul(1024),
            processor: processor_time(&stat)?,
        })
    }
}

/// Lets the process have as many descriptors as it may give itself: what it starts with is meant for
/// programs that keep them in small sets.
pub(crate) fn raise_descriptors() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};

        let mut limit = getrlimit(Resource::Nofile);
        if limit.current != limit.maximum {
            limit.current = limit.maximum;
            // With fewer the relay works as well, and says so when there are none left.
            let _ = setrlimit(Resource::Nofile, limit);
        }
        let most = getrlimit(Resource::Nofile).current;
        tracing::info!(most, "descriptors, of which each tunnel takes two");
    }
}

/// Reads the times from `/proc/PID/stat` (proc_pid_stat(5): fields 14 and 15, after a name in
/// brackets that may hold anything).
fn processor_time(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11);
    let own: u64 = times.next()?.parse().ok()?;
    let kernel: u64 = times.next()?.parse().ok()?;
    let per_second = rustix::param::clock_ticks_per_second();
    let milliseconds = (own + kernel)
        .saturating_mul(1000)
        .checked_div(per_second)?;
    Some(Duration::from_millis(milliseconds))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_sees_itself() {
        let process = Process::now().unwrap();
        assert!(process.descriptors > 0 && process.descriptors <= process.most_descriptors);
        assert!(process.resident > 1024 * 1024);
    }

    #[test]
    fn a_name_may_hold_anything() {
        let stat = "7 (a) b (c)) S 1 1 1 0 -1 4194304 200 0 0 0 150 50 9 9 20 0";
        let ticks = rustix::param::clock_ticks_per_second();
        let expected = Duration::from_millis(200 * 1000 / ticks);
        assert_eq!(processor_time(stat), Some(expected));
        assert_eq!(processor_time("7 (cut"), None);
    }
}
