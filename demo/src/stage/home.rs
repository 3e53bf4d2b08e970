use std::path::{Path, PathBuf};
use std::process::Command;

use super::StageError;

/// One device's folder: its vault, its device store, and the files its secrets are read from.
#[derive(Clone, Debug)]
pub struct Home {
    folder: PathBuf,
    passphrase: PathBuf,
    pin: PathBuf,
}

impl Home {
    /// Makes the folder.
    ///
    /// # Errors
    ///
    /// [`StageError::Io`].
    pub fn make(folder: &Path, passphrase: &str, pin: &str) -> Result<Self, StageError> {
        let secrets = folder.join("secrets");
        std::fs::create_dir_all(&secrets)
            .map_err(StageError::io(format!("making {}", secrets.display())))?;
        let write = |name: &str, text: &str| {
            let path = secrets.join(name);
            std::fs::write(&path, format!("{text}\n"))
                .map_err(StageError::io(format!("writing {}", path.display())))?;
            Ok::<_, StageError>(path)
        };
        Ok(Self {
            passphrase: write("passphrase", passphrase)?,
            pin: write("pin", pin)?,
            folder: folder.join("handfast"),
        })
    }

    /// Returns what `HANDFAST_HOME` is for this device.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the device's vault folder.
    pub fn vault(&self) -> PathBuf {
        self.folder.join("vault")
    }

    /// Returns the device's store.
    pub fn device(&self) -> PathBuf {
        self.folder.join("device")
    }

    /// Returns the file with the pass phrase.
    pub fn passphrase(&self) -> &Path {
        &self.passphrase
    }

    /// Lets a program live in this home, and nothing of the person who runs it.
    pub fn apply(&self, command: &mut Command) {
        command
            .env("HANDFAST_HOME", &self.folder)
            .env("HANDFAST_PASSPHRASE_FILE", &self.passphrase)
            .env("HANDFAST_PIN_FILE", &self.pin);
    }

    /// Lets a program ask for the PIN instead of reading it from the file.
    pub fn apply_without_pin(&self, command: &mut Command) {
        self.apply(command);
        command.env_remove("HANDFAST_PIN_FILE");
    }
}
