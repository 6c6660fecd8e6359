//! Where a connection stands, and what belongs to each stand.

use std::fmt;

use arqonbus_protocol::MessageId;

/// Where the connection stands.
#[derive(Debug)]
pub(crate) enum Phase {
    /// Not begun.
    Idle,
    /// A token is asked for.
    Token { deadline: u64 },
    /// A socket is being opened.
    Opening { deadline: u64 },
    /// The welcome is waited for.
    Greeting { deadline: u64 },
    /// The answer to `connect` is waited for.
    Introducing { deadline: u64, request: MessageId, envelope_bytes_max: usize },
    /// Ready.
    Connected(Live),
    /// Until the next attempt.
    Waiting { until: u64, hinted: bool },
    /// Over.
    Closed,
}

/// A ready connection.
#[derive(Debug)]
pub(crate) struct Live {
    pub(super) since: u64,
    pub(super) heartbeat_ms: u64,
    pub(super) heard_at: u64,
    /// When it counts as dead, once a sign of life was asked for.
    pub(super) lost_at: Option<u64>,
    /// When a draining server wants this client to move. New work waits for the next connection.
    pub(crate) reconnect_at: Option<u64>,
    /// Whether that moment was put off once already, for answers that are owed.
    pub(super) put_off: bool,
    pub(crate) envelope_bytes_max: usize,
    pub(super) batch: bool,
}

/// A drain under way.
#[derive(Debug)]
pub(crate) struct Finishing {
    pub(crate) deadline: u64,
    pub(super) leaving: bool,
}

/// Why a socket did not open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenError {
    /// What happened, for people.
    pub why: String,
    /// Whether another attempt would meet the same: a bad address, or an HTTP answer such as 401.
    pub permanent: bool,
    /// When the server says to come back.
    pub retry_after_ms: Option<u64>,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl Phase {
    pub(crate) fn alarm(&self) -> Option<u64> {
        match self {
            Self::Idle | Self::Closed => None,
            Self::Token { deadline } | Self::Opening { deadline } | Self::Greeting { deadline } | Self::Introducing { deadline, .. } => {
                Some(*deadline)
            }
            Self::Connected(live) => Some(live.alarm()),
            Self::Waiting { until, .. } => Some(*until),
        }
    }

    /// Whether there is a socket, open or being opened.
    pub(super) fn has_socket(&self) -> bool {
        matches!(self, Self::Opening { .. } | Self::Greeting { .. } | Self::Introducing { .. } | Self::Connected(_))
    }
}

impl Live {
    fn alarm(&self) -> u64 {
        let life = self.lost_at.unwrap_or(self.heard_at + self.heartbeat_ms);
        self.reconnect_at.map_or(life, |at| at.min(life))
    }
}
