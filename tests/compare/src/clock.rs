//! The one clock of a run: monotonic, in nanoseconds since the run began.

use std::sync::OnceLock;
use std::time::Instant;

/// Nanoseconds since the first call.
#[expect(clippy::disallowed_methods, reason = "this is the owner of the clock")]
pub(crate) fn now_ns() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let elapsed = START.get_or_init(Instant::now).elapsed();
    u64::try_from(elapsed.as_nanos()).expect("a run is shorter than 584 years")
}
