//! The tests' clock: one monotonic time, and deadlines on everything that is waited for.

use std::future::Future;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long anything may take that a test waits for; far more than it takes, so that a loaded machine fails nothing.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The monotonic time since the tests began.
#[expect(clippy::disallowed_methods, reason = "the owner of the tests' clock")]
pub fn now() -> Duration {
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    BEGIN.get_or_init(Instant::now).elapsed()
}

/// Waits for `future`, and fails the test by the name of what did not happen.
pub async fn within<T>(patience: Duration, what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(patience, future).await {
        Ok(value) => value,
        Err(_) => panic!("not within {patience:?}: {what}"),
    }
}

/// Waits until `condition` gives a value, and fails the test by the name of what did not happen.
pub async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    within(PATIENCE, what, async {
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}
