//! How long to wait before the next attempt: random up to a bound that doubles, so that many nodes do not come back at once.

use std::time::Duration;

/// The waits between attempts to connect.
#[derive(Debug, Clone)]
pub(super) struct Backoff {
    min_ms: u64,
    max_ms: u64,
    attempts: u32,
    state: u64,
}

impl Backoff {
    /// `salt` is random: two nodes must not wait alike.
    pub(super) fn new(min_ms: u64, max_ms: u64, salt: u64) -> Self {
        Self { min_ms, max_ms, attempts: 0, state: salt }
    }

    /// The next wait.
    pub(super) fn wait(&mut self) -> Duration {
        let bound = self.min_ms.saturating_mul(1 << self.attempts.min(30)).clamp(1, self.max_ms.max(1));
        self.attempts = self.attempts.saturating_add(1);
        Duration::from_millis(self.random() % (bound + 1))
    }

    /// Begins again at the shortest: an attempt succeeded.
    pub(super) fn reset(&mut self) {
        self.attempts = 0;
    }

    /// SplitMix64.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_random_below_a_bound_that_doubles_up_to_the_maximum() {
        let mut backoff = Backoff::new(10, 1_000, 7);
        for bound in [10, 20, 40, 80, 160, 320, 640, 1_000, 1_000] {
            assert!(backoff.wait() <= Duration::from_millis(bound));
        }
        let waits: Vec<_> = (0..200).map(|_| backoff.wait().as_millis()).collect();
        assert!(waits.iter().any(|wait| *wait < 250) && waits.iter().any(|wait| *wait > 750), "{waits:?}");
        backoff.reset();
        assert!(backoff.wait() <= Duration::from_millis(10));
    }
}
