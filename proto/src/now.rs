use core::time::Duration;

/// A moment, as the caller's clock shows it.
///
/// State machines compare only `monotonic`; `unix` is written into messages that carry a date.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Now {
    /// Time since an arbitrary start that the caller chose; never goes back.
    pub monotonic: Duration,
    /// Whole seconds since 1970-01-01T00:00:00Z.
    pub unix: u64,
}
