//! What comes out of the core: orders to the driver, and events for the application.

use arqonbus_protocol::{ClientId, ErrorCode, Gap, JoinResult, Presence, PublishResult, Refusal, Topic, UserId};

use super::JobRef;
use crate::Message;

/// What the driver has to do next.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "events are the common case, and a box would cost each message an allocation")]
pub enum Output {
    /// Open a socket; answer by `handle_open`, `handle_open_error` or `handle_close`.
    Open {
        /// Where.
        url: String,
    },
    /// Send this text as one frame.
    Transmit(String),
    /// Close the socket with this code and forget it: nothing of it may come in any more.
    Close {
        /// The code of the close frame.
        code: u16,
    },
    /// Tell the application.
    Event(Event),
    /// Nothing until a new input, or until this moment: then `handle_timeout`.
    Wait {
        /// In milliseconds of the driver's clock; none where only an input can change anything.
        until: Option<u64>,
    },
}

/// How the connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Not begun.
    Idle,
    /// A socket is being opened, or the two sides introduce themselves.
    Connecting,
    /// Ready.
    Connected,
    /// Lost; there will be another attempt.
    Waiting,
    /// Finishing what is in flight, then closed.
    Draining,
    /// Over; nothing more will happen.
    Closed,
}

impl State {
    /// The name that all SDKs use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Waiting => "waiting",
            Self::Draining => "draining",
            Self::Closed => "closed",
        }
    }
}

/// Why a client is closed for good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The application closed it.
    #[error("closed by the application")]
    Closed,
    /// The first connection could not be made.
    #[error("cannot connect: {0}")]
    Unreachable(String),
    /// The server refused this client; coming back unchanged would not help.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// The server closed with a code that says not to come back.
    #[error("closed by the server with code {0}")]
    ClosedByServer(u16),
}

/// Why a request was not carried out, or what is known about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Certainly not done: the server refused it.
    #[error("rejected: {0}")]
    Rejected(Refusal),
    /// It was sent, and no answer came: it may have been done or not.
    #[error("the outcome is unknown")]
    Unknown,
    /// Certainly not done: it was never sent before its time ran out or the client closed.
    #[error("not sent in time")]
    NotSent,
}

impl From<Refusal> for Failure {
    /// A refusal is certain, but for the one by which the server says that it does not know itself.
    fn from(refusal: Refusal) -> Self {
        if refusal.code == ErrorCode::OutcomeUnknown { Self::Unknown } else { Self::Rejected(refusal) }
    }
}

/// Why an application call was not taken. Nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Declined {
    /// A bound of [`Config`](super::Config) is reached; wait for an answer first.
    #[error("too much in flight")]
    Full,
    /// The client is draining or closed.
    #[error("the client is closing")]
    Closing,
    /// The envelope is larger than the server takes.
    #[error("larger than the {limit} bytes that the server takes")]
    TooLarge {
        /// The bound in bytes.
        limit: usize,
    },
    /// There is a subscription of this very topic or pattern; share its messages.
    #[error("already joined")]
    AlreadyJoined,
    /// A work group belongs to one topic, not to a pattern.
    #[error("a work group belongs to one topic")]
    NotATopic,
    /// The same id is in flight.
    #[error("a message with this id is in flight")]
    IdInFlight,
    /// There is no connection, and the caller did not want to wait.
    #[error("not connected")]
    NotConnected,
}

/// Names a subscription of one core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(pub u64);

/// Names a publish, request or command of one core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// What the application learns.
#[derive(Debug)]
pub enum Event {
    /// The connection changed.
    State(State),
    /// The two sides have introduced themselves.
    Connected {
        /// This client's identity.
        client: ClientId,
        /// Whom it acts for.
        user: Option<UserId>,
        /// Whether the identity is the one of an earlier connection.
        resumed: bool,
    },
    /// A connection was lost, or an attempt failed; there will be another.
    Lost {
        /// What happened, for people.
        why: String,
    },
    /// Closed for good. The last event.
    Closed(Fault),
    /// The driver should find a token and call `set_token`, or `token_failed`.
    TokenNeeded,
    /// A subscription receives from now on.
    Joined {
        /// Which.
        subscription: SubscriptionId,
        /// Where each topic begins.
        result: JoinResult,
        /// Whether it goes on after an interruption.
        again: bool,
    },
    /// A message of a subscription.
    Message {
        /// Which.
        subscription: SubscriptionId,
        /// What.
        message: Message,
    },
    /// A job of a work group: this client's, until it is settled.
    Job {
        /// Names it, to settle it; and the subscription that it came by.
        job: JobRef,
        /// What.
        message: Message,
    },
    /// Jobs that a subscription held went to others, because the connection was lost or the group left. Settling one is `not_held`.
    JobsLost {
        /// Which.
        subscription: SubscriptionId,
        /// How many that nothing had been said about.
        jobs: u64,
    },
    /// What became of a settling.
    Settled {
        /// Which.
        call: CallId,
        /// Whether the job is settled.
        outcome: Result<(), Failure>,
    },
    /// Messages of a subscription are missing; told before the first one after the hole.
    Gap {
        /// Which.
        subscription: SubscriptionId,
        /// Of which topic.
        topic: Topic,
        /// What is missing, and why.
        gap: Gap,
    },
    /// Somebody joined or left a topic.
    Presence {
        /// Which.
        subscription: SubscriptionId,
        /// Of which topic.
        topic: Topic,
        /// True for joined.
        joined: bool,
        /// Who.
        presence: Presence,
    },
    /// One topic of a pattern was deleted.
    Deleted {
        /// Which.
        subscription: SubscriptionId,
        /// Of which topic.
        topic: Topic,
        /// Who deleted it.
        by: ClientId,
    },
    /// The last event of a subscription.
    Ended {
        /// Which.
        subscription: SubscriptionId,
        /// Why.
        reason: EndReason,
    },
    /// A private message or a broadcast, while the inbox is open.
    Inbox(Message),
    /// Private messages or broadcasts gave way while the inbox was closed; told before the first one after them.
    Missed {
        /// How many.
        count: u64,
    },
    /// The outcome of a publish.
    Published {
        /// Which.
        call: CallId,
        /// What became of it.
        outcome: Result<PublishResult, Failure>,
    },
    /// The outcome of a request.
    Replied {
        /// Which.
        call: CallId,
        /// The reply.
        outcome: Result<Message, Failure>,
    },
    /// The outcome of a command.
    Answered {
        /// Which.
        call: CallId,
        /// The result as JSON.
        outcome: Result<String, Failure>,
    },
    /// The server refused something that nobody waits for, such as a publish without ack.
    Refused(Refusal),
}

/// Why a subscription ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndReason {
    /// The application left.
    #[error("left")]
    Left,
    /// The channel was deleted.
    #[error("the channel was deleted by {by}")]
    Deleted {
        /// Who deleted it.
        by: ClientId,
    },
    /// The server refused it, at first or after a reconnect.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// The join was not answered in time.
    #[error("the join was not answered in time")]
    TimedOut,
    /// More topics match the pattern than one subscription follows.
    #[error("the pattern matches too many topics")]
    TooManyTopics,
    /// The client is closed.
    #[error("{0}")]
    Closed(Fault),
}
