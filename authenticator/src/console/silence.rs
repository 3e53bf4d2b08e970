use std::os::fd::AsFd;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// A terminal that shows nothing of what is typed, until this is dropped. To be begun before a
/// secret is asked for: who types fast would see the first of it.
pub struct Silence<T: AsFd>(Option<(T, Termios)>);

impl<T: AsFd> Silence<T> {
    /// Silences a terminal; what is no terminal, or silent already, stays as it is.
    pub fn begin(terminal: T) -> Self {
        let Ok(before) = tcgetattr(&terminal) else {
            return Self(None);
        };
        if !before.local_modes.contains(LocalModes::ECHO) {
            return Self(None);
        }
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        silent.local_modes.insert(LocalModes::ECHONL);
        match tcsetattr(&terminal, OptionalActions::Now, &silent) {
            Ok(()) => Self(Some((terminal, before))),
            Err(_) => Self(None),
        }
    }
}

impl<T: AsFd> Drop for Silence<T> {
    fn drop(&mut self) {
        if let Some((terminal, before)) = &self.0 {
            let _ = tcsetattr(terminal, OptionalActions::Now, before);
        }
    }
}
