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
    source: Source,
}

/// Where a clock's readings come from.
#[derive(Debug, Clone, Copy)]
enum Source {
    /// The system, since this instant.
    System(std::time::Instant),
    /// A test, which sets it.
    #[cfg(any(test, feature = "sim"))]
    Manual(manual::ManualClock),
}

impl Clock {
    /// Starts counting moments.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the owner of the clock")]
    pub fn start() -> Self {
        Self { source: Source::System(std::time::Instant::now()) }
    }

    /// The present moment.
    #[must_use]
    pub fn now(&self) -> Moment {
        match &self.source {
            Source::System(started) => Moment(u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)),
            #[cfg(any(test, feature = "sim"))]
            Source::Manual(manual) => manual.now(),
        }
    }

    /// Microseconds since the start, for measuring latencies.
    #[must_use]
    pub fn micros(&self) -> u64 {
        match &self.source {
            Source::System(started) => u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
            #[cfg(any(test, feature = "sim"))]
            Source::Manual(manual) => manual.now().0.saturating_mul(1_000),
        }
    }

    /// The wall clock, in milliseconds of Unix time.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the owner of the clock")]
    pub fn unix_ms(&self) -> u64 {
        #[cfg(any(test, feature = "sim"))]
        if let Source::Manual(manual) = &self.source {
            return manual.unix_ms();
        }
        let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(unix.as_millis()).unwrap_or(u64::MAX)
    }

    /// The wall clock as it stands on the wire.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.unix_ms())
    }
}

/// A clock that stands still until it is told to go on.
#[cfg(any(test, feature = "sim"))]
pub(crate) mod manual {
    use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

    use super::{Clock, Moment, Source};

    /// The wall clock at moment 0: 2026-01-01T00:00:00Z.
    const UNIX_MS_AT_ZERO: u64 = 1_767_225_600_000;

    /// Shared by whoever sets it and whoever reads it.
    #[derive(Debug, Clone, Copy)]
    pub(crate) struct ManualClock(&'static Dials);

    #[derive(Debug)]
    struct Dials {
        now: AtomicU64,
        /// Milliseconds by which the wall clock was stepped.
        stepped: AtomicI64,
    }

    impl ManualClock {
        /// Stands at `now`. A few bytes of it are never given back, so that clocks can be copied.
        pub(crate) fn new(now: Moment) -> Self {
            Self(Box::leak(Box::new(Dials { now: AtomicU64::new(now.0), stepped: AtomicI64::new(0) })))
        }

        pub(crate) fn now(self) -> Moment {
            Moment(self.0.now.load(Relaxed))
        }

        pub(crate) fn set(self, now: Moment) {
            self.0.now.store(now.0, Relaxed);
        }

        /// Steps the wall clock, and nothing else.
        pub(crate) fn step_wall(self, ms: i64) {
            self.0.stepped.fetch_add(ms, Relaxed);
        }

        pub(super) fn unix_ms(self) -> u64 {
            (UNIX_MS_AT_ZERO + self.now().0).saturating_add_signed(self.0.stepped.load(Relaxed))
        }

        pub(crate) fn clock(self) -> Clock {
            Clock { source: Source::Manual(self) }
        }
    }
}
