//! Time as a value: a monotonic moment for windows and time-outs, a wall-clock timestamp for the wire.

use arqonbus_protocol::Timestamp;

/// Milliseconds of a monotonic clock since the server started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(pub u64);

impl Moment {
    /// The moment `ms` later.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds since `earlier`; 0 where that lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// The one place where the server reads clocks.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started: std::time::Instant,
}

impl Clock {
    /// Starts counting moments.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the owner of the clock")]
    pub fn start() -> Self {
        Self { started: std::time::Instant::now() }
    }

    /// The present moment.
    #[must_use]
    pub fn now(&self) -> Moment {
        Moment(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Microseconds since the start, for measuring latencies.
    #[must_use]
    pub fn micros(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// The wall clock, in milliseconds of Unix time.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the owner of the clock")]
    pub fn unix_ms(&self) -> u64 {
        let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(unix.as_millis()).unwrap_or(u64::MAX)
    }

    /// The wall clock as it stands on the wire.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.unix_ms())
    }
}
