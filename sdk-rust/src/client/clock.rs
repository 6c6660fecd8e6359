//! The owner of the clock and of randomness on a machine with an operating system.

use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use tokio::time::{Duration, Instant};

/// Milliseconds since it was made, by the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "the driver owns the clock")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    #[expect(clippy::disallowed_methods, reason = "the driver owns the clock")]
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(Instant::now().duration_since(self.0).as_millis()).expect("a process lives less than 2^64 ms")
    }

    /// How long ago it was made.
    #[expect(clippy::disallowed_methods, reason = "the driver owns the clock")]
    pub(crate) fn elapsed(&self) -> Duration {
        Instant::now().duration_since(self.0)
    }

    /// The moment as tokio's timers want it.
    pub(crate) fn instant(&self, at: u64) -> Instant {
        self.0 + Duration::from_millis(at)
    }

    #[expect(clippy::disallowed_methods, reason = "the driver owns the clock")]
    pub(crate) fn unix_ms() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// A seed for ids and jitter.
pub(crate) fn seed() -> u64 {
    getrandom::u64().unwrap_or_else(|_| Clock::unix_ms())
}
