//! What happened in a run, as clients saw it: the input of the checker.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use arqonbus_protocol::{GapReason, MessageId, Position, Topic};

use crate::harness::clock::now;

/// What somebody saw, and when by one monotonic clock.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// When.
    pub at: Duration,
    /// What.
    pub what: What,
}

/// The observations.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// A publisher sent a message. Sending the same again is no new invocation.
    Invoke {
        /// Who.
        publisher: u32,
        /// Its id.
        id: MessageId,
        /// Where to.
        topic: Topic,
        /// A fingerprint of its payload.
        payload: u64,
    },
    /// It was acknowledged.
    Ok {
        /// Its id.
        id: MessageId,
        /// Its place.
        position: Position,
    },
    /// It was refused: certainly not stored.
    Fail {
        /// Its id.
        id: MessageId,
    },
    /// Its outcome is not known.
    Unknown {
        /// Its id.
        id: MessageId,
    },
    /// A subscription began, or came back.
    Joined {
        /// Which.
        subscription: u32,
        /// Of what.
        topic: Topic,
        /// The position that it asked to go on from.
        since: Option<Position>,
        /// The position before its first delivery, as the server said.
        start: Position,
        /// When the join was sent.
        invoked: Duration,
    },
    /// A subscription got a message.
    Deliver {
        /// Which.
        subscription: u32,
        /// Of what.
        topic: Topic,
        /// The message's id.
        id: MessageId,
        /// Its place.
        position: Position,
        /// A fingerprint of its payload.
        payload: u64,
    },
    /// A subscription was told that messages are missing.
    Gap {
        /// Which.
        subscription: u32,
        /// Of what.
        topic: Topic,
        /// Why.
        reason: GapReason,
        /// The position held before.
        from: Option<Position>,
        /// The last missing position.
        to: Position,
    },
    /// The run was over and everybody had caught up: the log ended here.
    Settled {
        /// Of what.
        topic: Topic,
        /// The last position.
        head: Position,
    },
    /// Something was done to the bus.
    Fault(Fault),
}

/// What may be done to a bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Connections were cut. Nothing may be lost by it.
    Flap,
    /// A node of a bus that keeps history in memory died: a new incarnation.
    Restart,
    /// More was published than history holds while somebody was away.
    Trim,
    /// The shared store was away for a while.
    Outage,
}

impl Fault {
    /// Whether it is a reason for a gap.
    #[must_use]
    pub fn justifies_gaps(self) -> bool {
        match self {
            Self::Restart | Self::Trim | Self::Outage => true,
            Self::Flap => false,
        }
    }
}

/// Collects observations from many tasks.
#[derive(Debug, Clone, Default)]
pub struct Recorder(Arc<Mutex<Vec<Seen>>>);

impl Recorder {
    /// Notes that something was seen now.
    pub fn note(&self, what: What) {
        let mut seen = self.0.lock().expect("no observer panics while it notes");
        seen.push(Seen { at: now(), what });
    }

    /// How much was seen of a kind.
    #[must_use]
    pub fn count(&self, is_of_it: impl Fn(&What) -> bool) -> usize {
        self.0.lock().expect("no observer panics while it notes").iter().filter(|seen| is_of_it(&seen.what)).count()
    }

    /// All that was seen, in the order of time.
    #[must_use]
    pub fn history(&self) -> Vec<Seen> {
        self.0.lock().expect("no observer panics while it notes").clone()
    }
}
