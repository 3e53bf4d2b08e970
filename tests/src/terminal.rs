//! A terminal, and a person who reads it before he types.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// After how many seconds a program is ended that waits for what never comes.
const LONGEST: &str = "30";

/// A program at a terminal of its own.
pub struct Terminal {
    program: Child,
    keyboard: ChildStdin,
    screen: ChildStdout,
    shown: Vec<u8>,
    /// How much of it was waited for already.
    read: usize,
}

impl Terminal {
    /// Starts a command at a terminal of 80 columns; `redirections` are a shell's, as `>out`.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn start(command: &Command, redirections: &str) -> Self {
        let mut line: Vec<_> = [command.get_program()]
            .into_iter()
            .chain(command.get_args())
            .map(|word| format!("'{}'", word.to_str().unwrap()))
            .collect();
        line.insert(0, "stty cols 80 rows 24;".to_owned());
        line.push(redirections.to_owned());
        let mut outer = Command::new("timeout");
        outer.args(["--foreground", LONGEST, "script", "--quiet", "--return"]);
        outer.args(["--command", &line.join(" "), "/dev/null"]);
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => outer.env(name, value),
                None => outer.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            outer.current_dir(folder);
        }
        outer.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut program = outer.spawn().unwrap();
        Self {
            keyboard: program.stdin.take().unwrap(),
            screen: program.stdout.take().unwrap(),
            program,
            shown: Vec::new(),
            read: 0,
        }
    }

    /// Types a line, whatever is on the screen.
    ///
    /// # Panics
    ///
    /// If the terminal is gone.
    pub fn type_line(&mut self, line: &str) {
        writeln!(self.keyboard, "{line}").unwrap();
    }

    /// Reads on until these words are there, wherever lines end in them.
    ///
    /// # Panics
    ///
    /// If the program ends before.
    pub fn until(&mut self, words: &str) {
        let mut bytes = [0; 1024];
        loop {
            let shown = flat(&self.shown);
            if let Some(at) = shown.get(self.read..).and_then(|rest| rest.find(words)) {
                self.read += at + words.len();
                return;
            }
            let count = self.screen.read(&mut bytes).unwrap();
            assert!(count > 0, "no “{words}” in {shown}");
            self.shown.extend(&bytes[..count]);
        }
    }

    /// Waits for the end; returns the exit code and all that was shown.
    ///
    /// # Panics
    ///
    /// If it cannot be waited for.
    pub fn finish(mut self) -> (i32, String) {
        self.screen.read_to_end(&mut self.shown).unwrap();
        let code = self.program.wait().unwrap().code();
        let shown = String::from_utf8_lossy(&self.shown).into_owned();
        (code.unwrap_or(-1), shown)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // What has ended already cannot be ended, which is what is wanted.
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// What is on a screen as one line: where a line goes on, it is further in.
fn flat(shown: &[u8]) -> String {
    String::from_utf8_lossy(shown)
        .replace("\r\n  ", " ")
        .replace("\r\n", " ")
}
