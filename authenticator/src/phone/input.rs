//! Lines from standard input, with a deadline, and without echo where a secret is typed.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::stdio::stdin;
use zeroize::Zeroizing;

use crate::console::Silence;

/// How often a waiting reader looks whether it is still wanted.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// No line that means anything is longer.
const LONGEST: usize = 16 * 1024;
/// How much is read at once.
const AT_ONCE: usize = 1024;

/// What was typed.
#[derive(PartialEq)]
pub(crate) enum Typed {
    /// A line, without its end.
    Line(Zeroizing<String>),
    /// Nothing will come any more.
    End,
    /// Nothing came in time.
    TimedOut,
    /// Nobody waits for it any more.
    Withdrawn,
}

/// Standard input.
pub(crate) struct Input {
    buffer: Zeroizing<Vec<u8>>,
    ended: bool,
}

impl Default for Input {
    fn default() -> Self {
        Self {
            buffer: empty(),
            ended: false,
        }
    }
}

/// Returns a buffer that never grows: growing would leave what was typed behind.
fn empty() -> Zeroizing<Vec<u8>> {
    Zeroizing::new(Vec::with_capacity(LONGEST + AT_ONCE))
}

impl Input {
    /// Waits for a line.
    pub(crate) fn line(&mut self, limit: Option<Duration>, withdrawn: &AtomicBool) -> Typed {
        let deadline = limit.map(|limit| Instant::now() + limit);
        loop {
            if let Some(line) = self.take_line() {
                return Typed::Line(line);
            }
            if self.ended {
                return Typed::End;
            }
            if withdrawn.load(Ordering::Relaxed) {
                return Typed::Withdrawn;
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Typed::TimedOut;
            }
            self.wait_and_read();
        }
    }

    /// Waits for a line that nobody should see.
    pub(crate) fn secret(&mut self, limit: Option<Duration>, withdrawn: &AtomicBool) -> Typed {
        let _silence = Silence::begin(stdin());
        self.line(limit, withdrawn)
    }

    fn take_line(&mut self) -> Option<Zeroizing<String>> {
        let end = match self.buffer.iter().position(|&byte| byte == b'\n') {
            Some(end) => end,
            None if self.ended && !self.buffer.is_empty() => self.buffer.len(),
            None if self.buffer.len() > LONGEST => self.buffer.len(),
            None => return None,
        };
        let end = self.buffer.len().min(end + 1);
        let mut rest = empty();
        rest.extend(self.buffer.iter().skip(end));
        let line = std::mem::replace(&mut self.buffer, rest);
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        Some(Zeroizing::new(String::from_utf8_lossy(line).into_owned()))
    }

    fn wait_and_read(&mut self) {
        let stdin = stdin();
        let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
        let wait = Timespec::try_from(LOOK_EVERY).ok();
        if !matches!(poll(&mut fds, wait.as_ref()), Ok(ready) if ready > 0) {
            return;
        }
        let mut bytes = Zeroizing::new([0; AT_ONCE]);
        match rustix::io::read(stdin, bytes.as_mut()) {
            Ok(0) => self.ended = true,
            Ok(count) => self.buffer.extend(bytes.iter().take(count)),
            Err(error) if io::Error::from(error).kind() == io::ErrorKind::Interrupted => {}
            Err(_) => self.ended = true,
        }
    }
}
