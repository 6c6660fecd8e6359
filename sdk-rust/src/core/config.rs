//! What a client is told once, and the bounds of what it holds.

use arqonbus_protocol::{UserId, limits};

/// Everything that the core does not find out by itself.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the bus is: `ws://host:port` or `wss://…`.
    pub url: String,
    /// Credentials, where they do not change.
    pub token: Option<String>,
    /// Whether the driver is asked for a token before every attempt ([`Event::TokenNeeded`](super::Event::TokenNeeded)).
    pub token_provider: bool,
    /// A name that people see in member lists.
    pub name: Option<String>,
    /// What kind of client it is, such as `worker`.
    pub kind: Option<String>,
    /// Whom it acts for; believed only by servers that ask for no credentials.
    pub user: Option<UserId>,
    /// What members see of this client: an object as JSON, at most 1 KiB.
    pub metadata: Option<String>,
    /// The software and its version.
    pub agent: String,
    /// Whether frames may hold several envelopes.
    pub batch: bool,
    /// How long to wait between attempts.
    pub backoff: Backoff,
    /// Attempts before the first connection is given up; 0 goes on for ever. Later losses are always repaired.
    pub first_attempts_max: u32,
    /// Milliseconds for a socket to open, and for a token to be provided.
    pub open_timeout_ms: u64,
    /// Milliseconds for the welcome, and again for the answer to `connect`.
    pub handshake_timeout_ms: u64,
    /// Milliseconds for a command, a join, or the reply to a request.
    pub request_timeout_ms: u64,
    /// Milliseconds until the outcome of a publish is `Unknown`.
    pub publish_timeout_ms: u64,
    /// Milliseconds that a drain waits for acks.
    pub drain_timeout_ms: u64,
    /// Publishes that are queued or unacknowledged.
    pub in_flight_max: usize,
    /// Their bytes.
    pub in_flight_bytes_max: usize,
    /// Commands and requests that are unanswered.
    pub unanswered_max: usize,
    /// Subscriptions.
    pub subscriptions_max: usize,
    /// Private messages and broadcasts that are kept while the inbox is closed; the oldest give way.
    pub inbox_max: usize,
    /// Their bytes.
    pub inbox_bytes_max: usize,
    /// The wall clock, in Unix milliseconds, at moment 0 of the clock that `now` counts by.
    pub unix_ms_at_zero: u64,
}

impl Config {
    /// The defaults for one address.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            token: None,
            token_provider: false,
            name: None,
            kind: None,
            user: None,
            metadata: None,
            agent: concat!("arqonbus-rust/", env!("CARGO_PKG_VERSION")).to_owned(),
            batch: true,
            backoff: Backoff::default(),
            first_attempts_max: 1,
            open_timeout_ms: 10_000,
            handshake_timeout_ms: 5_000,
            request_timeout_ms: 10_000,
            publish_timeout_ms: 30_000,
            drain_timeout_ms: 10_000,
            in_flight_max: 8_192,
            in_flight_bytes_max: 16 * 1024 * 1024,
            unanswered_max: 1_024,
            subscriptions_max: limits::JOINS_MAX,
            inbox_max: 1_024,
            inbox_bytes_max: 1024 * 1024,
            unix_ms_at_zero: 0,
        }
    }
}

/// Exponential back-off with full jitter: attempt n waits a random time up to `base × 2ⁿ`, at most the cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The bound of the first wait, in milliseconds.
    pub base_ms: u64,
    /// The bound of every wait, in milliseconds.
    pub cap_ms: u64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base_ms: 100, cap_ms: 10_000 }
    }
}

impl Backoff {
    /// The longest wait before attempt `attempt`, counted from 0.
    #[must_use]
    pub fn bound_ms(&self, attempt: u32) -> u64 {
        self.base_ms.saturating_mul(1_u64 << attempt.min(32)).min(self.cap_ms)
    }
}
