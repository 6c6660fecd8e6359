//! The one error type of the API.

use arqonbus_protocol::{Refusal, Retry};

use crate::core::{Declined, EndReason, Failure, Fault};

/// Why something did not succeed, by who has to act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller: a name, payload or option that cannot be sent.
    #[error("invalid: {0}")]
    Invalid(String),
    /// The server said no. Certainly not done; the refusal says whether to try again.
    #[error("rejected: {0}")]
    Rejected(Refusal),
    /// It was sent, and no answer came in time: it may have been done or not.
    #[error("the outcome is unknown")]
    Unknown,
    /// Certainly not done: there was no connection in time, or it was not wanted to wait for one.
    #[error("not sent")]
    NotSent,
    /// A bound of the client is reached; wait for answers first. Certainly not done.
    #[error("too much in flight")]
    Full,
    /// The client is closed for good.
    #[error("{0}")]
    Closed(Fault),
    /// The peer sent what does not fit the expected type.
    #[error("cannot read the answer: {0}")]
    Decode(String),
}

impl Error {
    /// Whether the same call can succeed later without a change.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Rejected(refusal) => refusal.retry != Retry::Never,
            Self::NotSent | Self::Full | Self::Closed(Fault::Unreachable(_)) => true,
            Self::Invalid(_) | Self::Unknown | Self::Closed(_) | Self::Decode(_) => false,
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Rejected(refusal) => Self::Rejected(refusal),
            Failure::Unknown => Self::Unknown,
            Failure::NotSent => Self::NotSent,
        }
    }
}

impl From<Declined> for Error {
    fn from(declined: Declined) -> Self {
        match declined {
            Declined::Full => Self::Full,
            Declined::Closing => Self::Closed(Fault::Closed),
            Declined::NotConnected => Self::NotSent,
            Declined::TooLarge { .. } | Declined::NotATopic | Declined::AlreadyJoined | Declined::IdInFlight => Self::Invalid(declined.to_string()),
        }
    }
}

impl From<EndReason> for Error {
    fn from(reason: EndReason) -> Self {
        match reason {
            EndReason::Refused(refusal) => Self::Rejected(refusal),
            EndReason::Closed(fault) => Self::Closed(fault),
            EndReason::TimedOut => Self::Unknown,
            EndReason::Left => Self::NotSent,
            EndReason::Deleted { .. } | EndReason::TooManyTopics => Self::Invalid(reason.to_string()),
        }
    }
}

impl From<arqonbus_protocol::Invalid> for Error {
    fn from(invalid: arqonbus_protocol::Invalid) -> Self {
        Self::Invalid(invalid.expected.to_owned())
    }
}
