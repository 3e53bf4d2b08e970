//! Other processes, asked for bytes: for a while, and for no more than wanted.

use std::io::{self, Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;

/// How often it is looked whether a process that has said everything has ended.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Why a process gave nothing.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum OutsideError {
    /// It ended with a failure of its own.
    #[error("it failed")]
    Failed,
    /// It could not be started.
    #[error("it cannot be started: {0}")]
    NotStarted(#[from] io::Error),
    /// It took too long.
    #[error("it takes too long")]
    Slow,
    /// It gave more than anybody wants.
    #[error("it is too large")]
    TooMuch,
}

/// Runs a process to its end with this on its standard input, and returns what it wrote.
pub(crate) fn ask(
    command: &mut Command,
    input: Vec<u8>,
    longest: usize,
    patience: Duration,
) -> Result<Vec<u8>, OutsideError> {
    let deadline = Instant::now() + patience;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    if let Some(mut to) = child.stdin.take() {
        // One that wants to hear no more is none the worse for it.
        thread::spawn(move || to.write_all(&input));
    }
    let (said, heard) = channel();
    if let Some(from) = child.stdout.take() {
        let most = u64::try_from(longest).unwrap_or(u64::MAX).saturating_add(1);
        thread::spawn(move || {
            let mut bytes = Vec::new();
            let read = from.take(most).read_to_end(&mut bytes).map(|_| bytes);
            said.send(read)
        });
    }
    let answer = match heard.recv_timeout(patience) {
        Ok(Ok(bytes)) if bytes.len() > longest => Err(OutsideError::TooMuch),
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => Err(OutsideError::Failed),
        Err(_) => Err(OutsideError::Slow),
    };
    let mut ended = child.try_wait()?;
    while answer.is_ok() && ended.is_none() && Instant::now() < deadline {
        thread::sleep(LOOK_EVERY);
        ended = child.try_wait()?;
    }
    if ended.is_none() {
        // Whatever it still does, nobody waits for it.
        let _ = child.kill();
        let _ = child.wait();
    }
    match (answer, ended) {
        (Ok(bytes), Some(status)) if status.success() => Ok(bytes),
        (Ok(_), Some(_)) => Err(OutsideError::Failed),
        (Ok(_), None) => Err(OutsideError::Slow),
        (Err(error), _) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(100);
    const LATE: Duration = Duration::from_secs(20);

    fn shell(script: &str, patience: Duration) -> Result<Vec<u8>, OutsideError> {
        let input = b"heard".to_vec();
        ask(Command::new("sh").args(["-c", script]), input, 10, patience)
    }

    #[test]
    fn who_talks_without_end_or_not_at_all_is_left() {
        let begin = Instant::now();
        assert!(matches!(
            shell("exec sleep 60", SOON),
            Err(OutsideError::Slow)
        ));
        assert!(matches!(
            shell("exec >&-; exec sleep 60", SOON),
            Err(OutsideError::Slow)
        ));
        assert!(matches!(
            shell("exec yes", LATE),
            Err(OutsideError::TooMuch)
        ));
        assert!(matches!(shell("exit 1", LATE), Err(OutsideError::Failed)));
        assert!(begin.elapsed() < LATE / 2);
        let missing = ask(&mut Command::new("/nonexistent"), Vec::new(), 10, LATE);
        assert!(matches!(missing, Err(OutsideError::NotStarted(_))));
    }

    #[test]
    fn what_is_said_in_time_is_heard() {
        assert_eq!(shell("exec cat", LATE).unwrap(), b"heard");
        assert_eq!(shell("exec <&-; echo no", LATE).unwrap(), b"no\n");
    }
}
