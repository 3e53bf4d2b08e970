//! `scan --camera`: the process that looks, and the person who may end it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::serving::Serving;
use crate::console::{Failure, code};
use crate::phone::{Answer, Input, Typed, the_one, this_program};

/// The hidden command by which this program looks.
pub(super) const COMMAND: &str = "read-camera";
/// The most bytes that the process that looks has to say.
const MOST: u64 = 64 << 10;
/// What is waited for where nobody can be heard.
const A_WHILE: Duration = Duration::from_millis(50);

/// The process that looks. It ends with this.
struct Watcher(Child);

impl Drop for Watcher {
    fn drop(&mut self) {
        // Ended already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Looks through a camera until there is a code, the person ends it, or the time is over.
pub(super) fn look(
    device: Option<&Path>,
    serving: &Serving,
    input: &Mutex<Input>,
) -> Result<String, Failure> {
    let mut command = this_program(COMMAND);
    command
        .args(device)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let child = command.stderr(Stdio::null()).spawn();
    let child = child.map_err(|error| unusable(format!("the camera cannot be read: {error}")))?;
    let mut watcher = Watcher(child);
    let (said, heard) = channel();
    let over = Arc::new(AtomicBool::new(false));
    if let Some(out) = watcher.0.stdout.take() {
        let (voice, over) = (serving.voice(), Arc::clone(&over));
        thread::spawn(move || {
            for line in BufReader::new(out.take(MOST)).lines().map_while(Result::ok) {
                let words: Value = serde_json::from_str(&line).unwrap_or_default();
                match words["looking"].as_str() {
                    Some(camera) => voice.say(
                        &format!("Hold the code before {camera} (q and Enter end)."),
                        json!({"event": "looking", "camera": camera}),
                    ),
                    None => drop(said.send(words)),
                }
            }
            over.store(true, Ordering::Relaxed);
        });
    }
    wait(serving.patience(), &over, input)?;
    let words = heard.try_recv().unwrap_or_default();
    match Answer::of(&words) {
        Some(Answer::Codes(codes)) => Ok(the_one(codes, "front of the camera".to_owned())?),
        Some(Answer::Unreadable(why)) => Err(unusable(why)),
        None => Err(unusable("the camera gives no pictures".to_owned())),
    }
}

/// Waits until the process that looks is over.
fn wait(patience: Duration, over: &AtomicBool, input: &Mutex<Input>) -> Result<(), Failure> {
    let deadline = Instant::now() + patience;
    let mut input = input.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match input.line(Some(left), over) {
            Typed::Line(line) if line.trim().eq_ignore_ascii_case("q") => {
                return Err(Failure::new("you ended it; no code was read")
                    .with_hint("Nothing was answered.")
                    .with_code(code::REFUSED));
            }
            Typed::Line(_) => {}
            Typed::Withdrawn => return Ok(()),
            Typed::TimedOut => {
                let seconds = patience.as_secs();
                return Err(
                    Failure::new(format!("the camera saw no FIDO:/ code in {seconds} s"))
                        .with_hint("Hold the code nearer and still, in good light, or use --image.")
                        .with_code(code::TIMED_OUT),
                );
            }
            // Nobody can end it: the time does.
            Typed::End if over.load(Ordering::Relaxed) => return Ok(()),
            Typed::End => thread::sleep(A_WHILE.min(left)),
        }
    }
}

fn unusable(why: String) -> Failure {
    Failure::new(why).with_hint(
        "Plug a camera in, name another with --camera DEVICE, or ask for the right to use it (often: \
         to be in the group video).",
    )
}
