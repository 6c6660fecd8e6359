//! Settings of topics: defaults, and rules by pattern.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use arqonbus_protocol::{Channel, Pattern, Topic};

use super::Config;
use crate::storage::{GroupSettings, ID_BYTES, LogSettings};

/// How a channel comes to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Create {
    /// By the first join or publish.
    #[default]
    OnUse,
    /// Only by `create_channel`, or by a rule that names it exactly.
    Explicit,
}

/// What a topic holds. Whichever bound is met first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct History {
    /// Messages; 0 keeps none (acks then say `none`).
    pub messages: u64,
    /// Milliseconds.
    pub age_ms: u64,
    /// Bytes.
    pub bytes: u64,
    /// Milliseconds for which message ids are remembered, so that a resent message is stored once.
    pub dedup_ms: u64,
    /// Message ids remembered at most; what leaves early is counted.
    pub dedup_entries: usize,
}

impl Default for History {
    fn default() -> Self {
        Self { messages: 1_000, age_ms: 3_600_000, bytes: 16 * 1024 * 1024, dedup_ms: 120_000, dedup_entries: 1_000_000 }
    }
}

/// How work groups share the messages of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Groups {
    /// Milliseconds after which a job that is not settled goes to another member; looked at about once a second.
    pub ack_timeout_ms: u64,
    /// Times that a job is given out before it is dead; 0 for no end.
    pub deliveries_max: u32,
    /// Where dead jobs are published: what is added to the channel's name, such as `".dead"`, a `"room:channel"`, or `"off"` for nowhere.
    pub dead_letter: String,
    /// Milliseconds after which a group without members is forgotten, with what it had not settled.
    pub forget_ms: u64,
}

impl Default for Groups {
    fn default() -> Self {
        Self { ack_timeout_ms: 30_000, deliveries_max: 5, dead_letter: ".dead".into(), forget_ms: 86_400_000 }
    }
}

impl Groups {
    /// Where the dead jobs of `topic` go; `None` for nowhere.
    #[must_use]
    pub fn dead_letter_topic(&self, topic: &Topic) -> Option<Topic> {
        if self.dead_letter == "off" {
            return None;
        }
        if self.dead_letter.contains(':') {
            return self.dead_letter.parse().ok();
        }
        // A long name gives way to what is added to it.
        let kept = Channel::BYTES_MAX.saturating_sub(self.dead_letter.len());
        let name = topic.channel.as_str();
        let channel = format!("{}{}", &name[..name.len().min(kept)], self.dead_letter);
        Some(Topic { room: topic.room, channel: channel.parse().ok()? })
    }
}

/// Settings of the topics that match a pattern.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// `room:channel`; either may end in `*`. Without a `*` the channel exists from the start.
    #[serde(with = "pattern")]
    #[schemars(with = "String")]
    pub topics: Pattern,
    /// What these are for; shown in listings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What they hold; the general `history` where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<History>,
    /// How work groups share them; the general `groups` where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Groups>,
    /// How they come to be; the general `create` where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create: Option<Create>,
}

impl Config {
    /// The rule that applies to `topic`.
    #[must_use]
    pub fn rule(&self, topic: &Topic) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.topics.matches(topic))
    }

    /// What `topic` holds.
    #[must_use]
    pub fn log_settings(&self, topic: &Topic) -> LogSettings {
        let history = self.rule(topic).and_then(|rule| rule.history.as_ref()).unwrap_or(&self.history);
        LogSettings {
            messages_max: history.messages,
            age_ms_max: history.age_ms,
            bytes_max: history.bytes,
            dedup_ms: history.dedup_ms,
            dedup_entries_max: history.dedup_entries,
        }
    }

    /// How work groups share `topic`.
    #[must_use]
    pub fn groups_of(&self, topic: &Topic) -> &Groups {
        self.rule(topic).and_then(|rule| rule.groups.as_ref()).unwrap_or(&self.groups)
    }

    /// What the store keeps to with the groups of `topic`.
    #[must_use]
    pub fn group_settings(&self, topic: &Topic) -> GroupSettings {
        let groups = self.groups_of(topic);
        GroupSettings {
            ack_timeout_ms: groups.ack_timeout_ms,
            deliveries_max: groups.deliveries_max,
            pending_max: self.limits.group_pending,
            pending_bytes_max: self.log_settings(topic).bytes_max,
            forget_ms: groups.forget_ms,
        }
    }

    /// Ids that the logs of one shard may remember together.
    pub(crate) fn ids_of_logs_max(&self, shards: usize) -> usize {
        self.ids_of_shard_max(shards) - self.ids_of_sent_max(shards)
    }

    /// Ids that one shard may remember of messages to targets without a log: at most an eighth of what it may remember in all.
    pub(crate) fn ids_of_sent_max(&self, shards: usize) -> usize {
        self.history.dedup_entries.min(self.ids_of_shard_max(shards) / 8)
    }

    /// The hash spreads topics evenly, so that each shard has the same part of the bound.
    fn ids_of_shard_max(&self, shards: usize) -> usize {
        usize::try_from(self.dedup_total_bytes / ID_BYTES).unwrap_or(usize::MAX) / shards.max(1)
    }

    /// Whether `topic` appears when it is used.
    #[must_use]
    pub fn creates_on_use(&self, topic: &Topic) -> bool {
        let rule = self.rule(topic);
        let declared = rule.is_some_and(|rule| rule.topics.as_topic().is_some());
        declared || rule.and_then(|rule| rule.create).unwrap_or(self.create) == Create::OnUse
    }
}

/// A pattern as text.
mod pattern {
    use arqonbus_protocol::{Invalid, Pattern};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(pattern: &Pattern, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(pattern)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Pattern, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(|error: Invalid| D::Error::custom(error.expected))
    }
}

/// An address, or `"off"`.
pub(super) mod or_off {
    use std::net::SocketAddr;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(address: &Option<SocketAddr>, serializer: S) -> Result<S::Ok, S::Error> {
        match address {
            Some(address) => serializer.collect_str(address),
            None => serializer.serialize_str("off"),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "off" {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| D::Error::custom("this is an address with a port, such as 127.0.0.1:9101, or \"off\""))
    }
}
