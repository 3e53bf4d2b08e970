use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{PATIENCE, StageError};

/// Which of its two outputs a program used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Source {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// A line that a program said.
#[derive(Clone, Debug)]
pub struct Line {
    /// Where.
    pub source: Source,
    /// What, without its end of line.
    pub text: String,
    /// When it was heard.
    pub at: Instant,
}

/// What a program left behind when it ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Its exit code; -1 if a signal ended it.
    pub code: i32,
    /// All that it said on standard output.
    pub out: String,
    /// All that it said on standard error.
    pub err: String,
}

impl Finished {
    /// Reads standard output as one JSON document.
    ///
    /// # Errors
    ///
    /// [`StageError::Unreadable`] if it is none.
    pub fn json(&self) -> Result<Value, StageError> {
        serde_json::from_str(&self.out).map_err(|_| StageError::Unreadable {
            program: format!("a program that ended with {}", self.code),
            text: format!("{}\n{}", self.out, self.err),
        })
    }
}

/// Reads a line of JSON that has an `event`: the event's name, and all of it.
pub fn event_of(line: &str) -> Option<(String, Value)> {
    let value: Value = serde_json::from_str(line).ok()?;
    let name = value.get("event")?.as_str()?.to_owned();
    Some((name, value))
}

/// A running program. It is killed when this is dropped.
pub struct Process {
    name: &'static str,
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<Line>,
    said: Vec<Line>,
}

impl Process {
    /// Starts a program with all three of its standard streams in our hands.
    ///
    /// # Errors
    ///
    /// [`StageError::Io`] if it cannot be started.
    pub fn spawn(name: &'static str, command: &mut Command) -> Result<Self, StageError> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(StageError::io(format!("starting {name}")))?;
        let (sender, lines) = channel();
        if let Some(out) = child.stdout.take() {
            listen(out, Source::Out, sender.clone());
        }
        if let Some(err) = child.stderr.take() {
            listen(err, Source::Err, sender);
        }
        let input = child.stdin.take();
        Ok(Self {
            name,
            child,
            input,
            lines,
            said: Vec::new(),
        })
    }

    /// Types a line.
    ///
    /// # Errors
    ///
    /// [`StageError::Ended`] if the program does not listen any more.
    pub fn say(&mut self, line: &str) -> Result<(), StageError> {
        let written = self
            .input
            .as_mut()
            .map(|input| writeln!(input, "{line}").and_then(|()| input.flush()));
        match written {
            Some(Ok(())) => Ok(()),
            _ => Err(self.ended("being asked")),
        }
    }

    /// Ends the program's standard input.
    pub fn close_input(&mut self) {
        self.input = None;
    }

    /// Waits for a line that `wanted` takes; lines before it are passed over.
    ///
    /// # Errors
    ///
    /// [`StageError::Silent`] and [`StageError::Ended`], with `awaited` in their text.
    pub fn line<T>(
        &mut self,
        awaited: &str,
        patience: Duration,
        mut wanted: impl FnMut(&Line) -> Option<T>,
    ) -> Result<T, StageError> {
        let deadline = Instant::now() + patience;
        loop {
            match self
                .lines
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(line) => {
                    let found = wanted(&line);
                    self.said.push(line);
                    if let Some(found) = found {
                        return Ok(found);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    return Err(StageError::Silent {
                        program: self.name.to_owned(),
                        awaited: awaited.to_owned(),
                        last: self.last_words(),
                    });
                }
                Err(RecvTimeoutError::Disconnected) => return Err(self.ended(awaited)),
            }
        }
    }

    /// Waits for a line of JSON whose `event` is this.
    ///
    /// # Errors
    ///
    /// As [`Process::line`].
    pub fn event(&mut self, event: &str) -> Result<Value, StageError> {
        self.line(&format!("the event {event}"), PATIENCE, |line| {
            let (name, value) = event_of(&line.text)?;
            (name == event).then_some(value)
        })
    }

    /// Waits for `listening on ADDRESS`.
    ///
    /// # Errors
    ///
    /// As [`Process::line`].
    pub fn address(&mut self) -> Result<String, StageError> {
        self.line("its address", PATIENCE, |line| {
            line.text
                .strip_prefix("listening on ")
                .map(|url| url.trim().to_owned())
        })
    }

    /// Returns all that the program said so far and that was waited for.
    pub fn said(&self) -> &[Line] {
        &self.said
    }

    /// Returns by what the system knows the program.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns whether the program has not ended yet.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends the program at once, as a crash would.
    pub fn kill(&mut self) {
        // A process that is gone already cannot be killed, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for the program's own end.
    ///
    /// # Errors
    ///
    /// [`StageError::Silent`] if it goes on.
    pub fn finish(mut self, patience: Duration) -> Result<Finished, StageError> {
        match self.line::<()>("its end", patience, |_| None) {
            Err(StageError::Ended { .. }) => {}
            Err(error) => return Err(error),
            Ok(()) => {}
        }
        let status = self
            .child
            .wait()
            .map_err(StageError::io(format!("ending {}", self.name)))?;
        let text = |source| {
            let lines = self.said.iter().filter(|line| line.source == source);
            lines.map(|line| format!("{}\n", line.text)).collect()
        };
        Ok(Finished {
            code: status.code().unwrap_or(-1),
            out: text(Source::Out),
            err: text(Source::Err),
        })
    }

    fn ended(&self, awaited: &str) -> StageError {
        StageError::Ended {
            program: self.name.to_owned(),
            awaited: awaited.to_owned(),
            last: self.last_words(),
        }
    }

    fn last_words(&self) -> String {
        let words = self
            .said
            .iter()
            .rev()
            .take(8)
            .map(|line| line.text.as_str());
        let mut words: Vec<_> = words.collect();
        words.reverse();
        words.join(" / ")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn listen(stream: impl Read + Send + 'static, source: Source, lines: Sender<Line>) {
    thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut bytes = Vec::new();
        while reader
            .read_until(b'\n', &mut bytes)
            .is_ok_and(|count| count > 0)
        {
            let text = String::from_utf8_lossy(&bytes);
            let text = text.trim_end_matches(['\n', '\r']).to_owned();
            let at = Instant::now();
            if lines.send(Line { source, text, at }).is_err() {
                return;
            }
            bytes.clear();
        }
    });
}
