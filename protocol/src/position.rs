//! Where in a topic's log: epoch and seq, never apart.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Epoch;

/// The highest seq: every language's number holds it exactly (2^53 − 1).
pub const SEQ_MAX: u64 = (1 << 53) - 1;

/// A place in a topic's log. `seq` counts 1, 2, 3 … within an epoch; 0 is before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Position {
    /// The life of the log that `seq` counts in.
    pub epoch: Epoch,
    /// 0 … 2^53 − 1.
    #[schemars(range(min = 0, max = SEQ_MAX))]
    pub seq: u64,
}

impl Position {
    /// The position of the next message in the same epoch.
    #[must_use]
    pub fn next(self) -> Self {
        Self { seq: self.seq + 1, ..self }
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Members {
            epoch: Epoch,
            #[serde(deserialize_with = "seq")]
            seq: u64,
        }
        crate::json::object(deserializer).map(|Members { epoch, seq }| Self { epoch, seq })
    }
}

/// Reads a seq that every language's number holds exactly.
pub(crate) fn seq<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let seq = u64::deserialize(deserializer)?;
    if seq > SEQ_MAX {
        return Err(serde::de::Error::custom("a seq is at most 2^53 - 1"));
    }
    Ok(seq)
}
