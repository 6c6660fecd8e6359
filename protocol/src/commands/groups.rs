//! Commands of work groups: settle jobs, or give them back.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bounded;
use crate::limits::{NACK_DELAY_MS_MAX, NACK_REASON_CHARS_MAX, SETTLE_SEQS_MAX};
use crate::{Channel, Epoch, Group, Room, SEQ_MAX, Topic};

/// What a join found of a work group, or began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GroupStart {
    /// Its name.
    pub group: Group,
    /// Whether this join began it.
    pub created: bool,
    /// Jobs that were given out and are not settled.
    pub pending: u64,
    /// Jobs that this member may hold unsettled.
    pub max_in_flight: u32,
    /// Milliseconds after which a job that is not settled goes to another member.
    pub ack_timeout_ms: u64,
    /// Times that a job is given out before it is dead; 0 for no end.
    pub deliveries_max: u32,
}

/// One work group in the answer to `channel_info`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GroupSummary {
    /// Its name.
    pub group: Group,
    /// Its members.
    pub members: u64,
    /// Jobs that were given out and are not settled.
    pub pending: u64,
    /// Messages that wait to be given out for the first time.
    pub lag: u64,
}

/// `ack`: these jobs are done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AckArgs {
    /// The room.
    pub room: Room,
    /// The channel.
    pub channel: Channel,
    /// The group.
    pub group: Group,
    /// The epoch of the jobs.
    pub epoch: Epoch,
    /// Their seqs.
    #[serde(deserialize_with = "seqs")]
    #[schemars(length(min = 1, max = SETTLE_SEQS_MAX), inner(range(max = SEQ_MAX)))]
    pub seqs: Vec<u64>,
}

/// The answer to `ack`. Where none of the jobs is held the answer is `not_held` instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AckResult {
    /// Jobs that are settled by this.
    pub settled: u64,
    /// The seqs of those that this connection does not hold: nothing was done about them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_held: Vec<u64>,
}

/// `nack`: these jobs are not done. Without `delay_ms` and `dead` others get them at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NackArgs {
    /// The room.
    pub room: Room,
    /// The channel.
    pub channel: Channel,
    /// The group.
    pub group: Group,
    /// The epoch of the jobs.
    pub epoch: Epoch,
    /// Their seqs.
    #[serde(deserialize_with = "seqs")]
    #[schemars(length(min = 1, max = SETTLE_SEQS_MAX), inner(range(max = SEQ_MAX)))]
    pub seqs: Vec<u64>,
    /// Milliseconds before they are given out again; looked at about once a second.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "bounded::<_, 0, NACK_DELAY_MS_MAX>")]
    #[schemars(range(max = NACK_DELAY_MS_MAX))]
    pub delay_ms: Option<u32>,
    /// Whether they go to the dead-letter topic now, whatever the count.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dead: bool,
    /// Why, for the header of a dead letter.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "reason")]
    #[schemars(length(max = NACK_REASON_CHARS_MAX))]
    pub reason: Option<String>,
}

/// The answer to `nack`. Where none of the jobs is held the answer is `not_held` instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NackResult {
    /// Jobs that were given back by this.
    pub settled: u64,
    /// The seqs of those that this connection does not hold: nothing was done about them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_held: Vec<u64>,
}

impl AckArgs {
    /// The topic of the jobs.
    #[must_use]
    pub fn topic(&self) -> Topic {
        Topic { room: self.room, channel: self.channel }
    }
}

impl NackArgs {
    /// The topic of the jobs.
    #[must_use]
    pub fn topic(&self) -> Topic {
        Topic { room: self.room, channel: self.channel }
    }
}

fn seqs<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
    let seqs = Vec::<u64>::deserialize(deserializer)?;
    if seqs.is_empty() || seqs.len() > SETTLE_SEQS_MAX {
        return Err(serde::de::Error::custom(format!("these are 1 to {SETTLE_SEQS_MAX} seqs")));
    }
    if seqs.iter().any(|seq| *seq > SEQ_MAX) {
        return Err(serde::de::Error::custom("a seq is at most 2^53 - 1"));
    }
    Ok(seqs)
}

fn reason<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    if text.as_ref().is_some_and(|text| text.chars().count() > NACK_REASON_CHARS_MAX) {
        return Err(serde::de::Error::custom(format!("a reason has at most {NACK_REASON_CHARS_MAX} characters")));
    }
    Ok(text)
}
