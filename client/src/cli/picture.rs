//! The QR code as a picture in a file. It goes when the code is of no more use, also if the program is
//! interrupted: who scans a code that nobody waits for any more learns nothing from what happens.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use handfast_authenticator::console::Failure;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::runtime;
use super::voice::Voice;
use crate::qr::Symbol;

/// What ends a program from outside; shells add its number to this.
const BY_SIGNAL: i32 = 128;

/// A picture that is removed when this is dropped.
pub(super) struct Picture(Arc<Mutex<Option<PathBuf>>>);

impl Picture {
    /// Writes it.
    pub(super) fn write(symbol: &Symbol, path: &Path, voice: Voice) -> Result<Self, Failure> {
        let picture = Self(Arc::new(Mutex::new(None)));
        picture.watch(voice)?;
        symbol.write_png(path)?;
        // A device or a pipe is no picture of ours.
        if path.symlink_metadata().is_ok_and(|found| found.is_file()) {
            *picture.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(path.to_owned());
        }
        Ok(picture)
    }

    /// Removes it when the program is interrupted, and ends the program as if nobody had watched.
    fn watch(&self, voice: Voice) -> Result<(), Failure> {
        let runtime = runtime()?;
        let inside = runtime.enter();
        let listen = |kind: SignalKind| {
            let failed = |error| Failure::new(format!("The program could not start: {error}"));
            signal(kind).map_err(failed)
        };
        let mut interrupt = listen(SignalKind::interrupt())?;
        let mut terminate = listen(SignalKind::terminate())?;
        drop(inside);
        let left = Arc::clone(&self.0);
        std::thread::spawn(move || {
            let kind = runtime.block_on(async {
                tokio::select! {
                    _ = interrupt.recv() => SignalKind::interrupt(),
                    _ = terminate.recv() => SignalKind::terminate(),
                }
            });
            remove(&left);
            voice.say("Interrupted.", &json!({"event": "interrupted"}));
            std::process::exit(BY_SIGNAL + kind.as_raw_value());
        });
        Ok(())
    }
}

impl Drop for Picture {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

fn remove(picture: &Mutex<Option<PathBuf>>) {
    let path = picture
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    if let Some(path) = path {
        // Gone already is as good.
        let _ = std::fs::remove_file(path);
    }
}
