//! Lines from standard input, with a deadline, and without echo where a secret is typed.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use handfast_proto::hybrid::qr::SCHEME;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::stdio::stdin;
use rustix::termios::isatty;
use zeroize::Zeroizing;

use crate::console::{Silence, forget_typed};

/// How often a waiting reader looks whether it is still wanted.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// No line that means anything is longer.
const LONGEST: usize = 16 * 1024;
/// The person's terminal, whatever standard input is.
const TERMINAL: &str = "/dev/tty";
/// How long a code is answered that another one waits behind, if no computer comes.
const GIVES_WAY_AFTER: Duration = Duration::from_secs(10);
/// How many codes wait for their turn.
const MOST_CODES: usize = 16;
/// How much is read at once.
const AT_ONCE: usize = 4096;

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

/// Standard input, and what stands in for it once it has ended.
pub(crate) struct Input {
    buffer: Zeroizing<Vec<u8>>,
    ended: bool,
    /// The terminal that is turned to when standard input has ended.
    standby: Option<File>,
    /// The terminal, once it was turned to.
    terminal: Option<File>,
    /// What was pasted while another code was answered.
    codes: VecDeque<Zeroizing<String>>,
}

/// Whether a line is a code that a computer showed, and nothing that anybody answers.
pub(crate) fn is_code(line: &str) -> bool {
    let line = line.trim_start();
    line.get(..SCHEME.len())
        .is_some_and(|begin| begin.eq_ignore_ascii_case(SCHEME))
}

impl Default for Input {
    fn default() -> Self {
        Self {
            buffer: empty(),
            ended: false,
            standby: None,
            terminal: None,
            codes: VecDeque::new(),
        }
    }
}

/// Returns a buffer that does not grow by what is typed: growing would leave that behind.
fn empty() -> Zeroizing<Vec<u8>> {
    Zeroizing::new(Vec::with_capacity(LONGEST + AT_ONCE))
}

impl Input {
    /// Lets the person at the terminal answer once standard input has ended: that was not it then,
    /// but what held the code.
    pub(crate) fn go_on_at_terminal(&mut self) {
        if !stdin().is_terminal() {
            self.standby = File::open(TERMINAL).ok();
        }
    }

    /// Silences what is typed, until what is returned is dropped.
    pub(crate) fn silence(&self) -> Option<Silence<OwnedFd>> {
        let heard = match &self.standby {
            Some(terminal) => terminal.as_fd(),
            None => self.source(),
        };
        heard.try_clone_to_owned().ok().map(Silence::begin)
    }

    /// Reads standard input to its end, if it begins as `wanted` says; else it is left as it is.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::FileTooLarge`] if it is longer than `longest`.
    pub(crate) fn all_if(
        &mut self,
        wanted: impl Fn(&[u8]) -> bool,
        longest: usize,
    ) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        while self.buffer.is_empty() && !self.ended {
            self.wait_and_read();
        }
        if !wanted(&self.buffer) {
            return Ok(None);
        }
        while !self.ended {
            if self.buffer.len() > longest {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            self.wait_and_read();
        }
        Ok(Some(std::mem::replace(&mut self.buffer, empty())))
    }

    /// Forgets what was typed at a terminal before a question was there; but codes that were pasted one
    /// after another wait for their turn.
    pub(crate) fn forget_typed(&mut self) {
        if let Some(terminal) = &self.standby {
            forget_typed(terminal);
            return;
        }
        if !isatty(self.source()) {
            return;
        }
        self.read_ready();
        // Of a line that has no end yet as well.
        forget_typed(self.source());
        while let Some(line) = self.take_line() {
            if is_code(&line) && self.codes.len() < MOST_CODES {
                self.codes.push_back(line);
            }
        }
        self.buffer = empty();
    }

    /// Tells whether something else waits to be done than what was begun so long ago: a person who typed
    /// Enter waits for nothing, and one who pasted another code not for ever.
    pub(crate) fn wants_something_else(&mut self, since: Duration) -> bool {
        if !isatty(self.source()) || self.standby.is_some() {
            return false;
        }
        self.read_ready();
        let mut lines = self.buffer.split_inclusive(|&byte| byte == b'\n');
        let first = lines.next().filter(|line| line.ends_with(b"\n"));
        match first {
            Some(line) if line.trim_ascii().is_empty() => true,
            Some(_) => since >= GIVES_WAY_AFTER,
            None => !self.codes.is_empty() && since >= GIVES_WAY_AFTER,
        }
    }

    /// Waits for a code: one that was pasted while another was answered, else a line.
    pub(crate) fn code(&mut self, limit: Option<Duration>) -> Typed {
        match self.codes.pop_front() {
            Some(code) => Typed::Line(code),
            None => self.line(limit, &AtomicBool::new(false)),
        }
    }

    /// Reads what was typed already.
    fn read_ready(&mut self) {
        while self.buffer.len() < LONGEST && !self.ended && self.is_ready(Duration::ZERO) {
            self.read();
        }
    }

    /// Tells whether there is something to read, after it waited for that no longer than it is told.
    fn is_ready(&self, wait: Duration) -> bool {
        let source = self.source();
        let mut fds = [PollFd::new(&source, PollFlags::IN)];
        let wait = Timespec::try_from(wait).ok();
        matches!(poll(&mut fds, wait.as_ref()), Ok(ready) if ready > 0)
    }

    fn source(&self) -> BorrowedFd<'_> {
        match &self.terminal {
            Some(terminal) => terminal.as_fd(),
            None => stdin(),
        }
    }

    /// Turns to the terminal, if that is to be done and there is one.
    fn turn(&mut self) {
        if let Some(terminal) = self.standby.take() {
            self.terminal = Some(terminal);
            self.ended = false;
        }
    }

    /// Waits for a line.
    pub(crate) fn line(&mut self, limit: Option<Duration>, withdrawn: &AtomicBool) -> Typed {
        let deadline = limit.map(|limit| Instant::now() + limit);
        loop {
            if let Some(line) = self.take_line() {
                return Typed::Line(line);
            }
            if self.ended {
                self.turn();
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
        let _silence = self.silence();
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
        let all = std::mem::replace(&mut self.buffer, rest);
        let line = all.get(..end).unwrap_or_default();
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        Some(Zeroizing::new(String::from_utf8_lossy(line).into_owned()))
    }

    fn wait_and_read(&mut self) {
        if self.is_ready(LOOK_EVERY) {
            self.read();
        }
    }

    fn read(&mut self) {
        let mut bytes = Zeroizing::new([0; AT_ONCE]);
        match rustix::io::read(self.source(), bytes.as_mut_slice()) {
            Ok(0) => self.ended = true,
            Ok(count) => self.buffer.extend(bytes.iter().take(count)),
            Err(error) if io::Error::from(error).kind() == io::ErrorKind::Interrupted => {}
            Err(_) => self.ended = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_come_at_once_are_one_answer_each() {
        let mut input = Input::default();
        input.buffer.extend(b"y\r\n1234\n\nno end");
        let never = AtomicBool::new(false);
        for wanted in ["y", "1234", "", "no end"] {
            input.ended = wanted == "no end";
            match input.line(None, &never) {
                Typed::Line(line) => assert_eq!(*line, wanted),
                _ => panic!("“{wanted}” was lost"),
            }
        }
    }
}
