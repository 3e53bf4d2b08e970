//! Secrets that live long, in memory that the system does not swap out, where it allows that.

use std::fmt;
use std::ops::Deref;
use std::sync::Once;

use region::LockGuard;
use tracing::info;
use zeroize::Zeroize;

/// Something with memory pages of its own: locks are of whole pages and do not nest, so what shared a
/// page would lose its lock with its neighbour's. No system has larger pages.
#[repr(align(65536))]
struct OwnPages<T>(T);

/// A secret that is wiped when it is dropped, and never swapped out if the system allows it to be locked.
pub(crate) struct Locked<T: Zeroize> {
    /// Dropped first: the memory must still be there.
    guard: Option<LockGuard>,
    secret: Box<OwnPages<T>>,
}

impl<T: Zeroize> Locked<T> {
    pub(crate) fn new(secret: T) -> Self {
        let secret = Box::new(OwnPages(secret));
        let guard = match region::lock(&raw const secret.0, size_of::<T>()) {
            Ok(guard) => Some(guard),
            Err(error) => {
                static ONCE: Once = Once::new();
                ONCE.call_once(|| info!("keys cannot be locked in memory: {error}"));
                None
            }
        };
        Self { guard, secret }
    }
}

impl Locked<[u8; 32]> {
    /// Copies a key to where it stays; the original is its owner's to wipe.
    pub(crate) fn copy_of(key: &[u8; 32]) -> Self {
        let mut locked = Self::new([0; 32]);
        locked.secret.0.copy_from_slice(key);
        locked
    }
}

impl<T: Zeroize> Deref for Locked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.secret.0
    }
}

impl<T: Zeroize> Drop for Locked<T> {
    fn drop(&mut self) {
        self.secret.0.zeroize();
        self.guard = None;
    }
}

impl<T: Zeroize> fmt::Debug for Locked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Locked")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the memory of a key is locked.
    fn is_locked(key: &Locked<[u8; 32]>) -> bool {
        let address = (&raw const **key).addr();
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut is_ours = false;
        for line in maps.lines() {
            let bounds = line
                .split_once(' ')
                .and_then(|(area, _)| area.split_once('-'));
            let parsed = bounds.map(|(from, to)| {
                let number = |text| usize::from_str_radix(text, 16);
                (number(from), number(to))
            });
            if let Some((Ok(from), Ok(to))) = parsed {
                is_ours = (from..to).contains(&address);
            } else if is_ours && let Some(flags) = line.strip_prefix("VmFlags:") {
                return flags.split_whitespace().any(|flag| flag == "lo");
            }
        }
        panic!("the key is nowhere");
    }

    #[test]
    fn each_key_is_locked_by_itself() {
        let (mut one, two) = (Locked::copy_of(&[1; 32]), Locked::copy_of(&[2; 32]));
        if one.guard.is_none() {
            eprintln!("skipped: this system lets no memory be locked");
            return;
        }
        assert!(is_locked(&one) && is_locked(&two));
        one.guard = None;
        assert!(!is_locked(&one), "a lock goes with its guard");
        assert!(is_locked(&two), "and no other with it");
    }

    #[test]
    fn it_says_nothing() {
        assert_eq!(format!("{:?}", Locked::copy_of(&[65; 32])), "Locked");
    }
}
