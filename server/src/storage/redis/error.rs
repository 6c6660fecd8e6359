//! What can go wrong between the bus and Redis, told apart by what it says about the outcome.

use ::redis::{ErrorKind, RedisError};

/// Why Redis cannot be reached with this configuration, whoever is at the other end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// A file of the configuration cannot be used.
    #[error("{file}: {why}")]
    File {
        /// Its path.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// An address or a certificate cannot be used.
    #[error("{0}")]
    Settings(String),
}

/// Why a command has no answer that could be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Certainly not carried out: there is no connection.
    #[error("not sent: {0}")]
    NotSent(String),
    /// It may have been carried out, or may still be.
    #[error("the outcome is unknown: {0}")]
    Unknown(String),
    /// Redis answered by an error. A single command was then not carried out; a script may have got halfway.
    #[error("refused: {why}")]
    Refused {
        /// Which error.
        code: Code,
        /// In the words of Redis.
        why: String,
    },
}

/// The errors of Redis that are acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// It is a replica.
    ReadOnly,
    /// `maxmemory` is reached.
    OutOfMemory,
    /// It reads its data from disk.
    Loading,
    /// A script or a function runs for too long.
    Busy,
    /// It cannot write to its disk, and is configured to refuse writes then.
    Misconfigured,
    /// Too few replicas are connected for its configuration.
    NoReplicas,
    /// No credentials, or wrong ones.
    NoAuth,
    /// The user may not do this.
    NoPermission,
    /// A function of ours may not ask by INFO which incarnation the server is.
    NoInfo,
    /// The script is not known there.
    NoScript,
    /// The cluster cannot serve this slot now.
    ClusterDown,
    /// A replica without its primary.
    MasterDown,
    /// The keys of one command are in several slots.
    CrossSlot,
    /// A key holds something else.
    WrongType,
    /// Another error.
    Other,
}

impl Code {
    fn of(code: &str) -> Self {
        match code {
            "READONLY" => Self::ReadOnly,
            "OOM" => Self::OutOfMemory,
            "LOADING" => Self::Loading,
            "BUSY" => Self::Busy,
            "MISCONF" => Self::Misconfigured,
            "NOREPLICAS" => Self::NoReplicas,
            "NOAUTH" | "WRONGPASS" => Self::NoAuth,
            "NOPERM" => Self::NoPermission,
            "NOINFO" => Self::NoInfo,
            "NOSCRIPT" => Self::NoScript,
            "CLUSTERDOWN" | "TRYAGAIN" | "MOVED" | "ASK" => Self::ClusterDown,
            "MASTERDOWN" => Self::MasterDown,
            "CROSSSLOT" => Self::CrossSlot,
            "WRONGTYPE" => Self::WrongType,
            _ => Self::Other,
        }
    }

    /// Whether this may mean that the connection leads to the wrong server, or to one that cannot serve now.
    pub(super) fn is_about_the_server(self) -> bool {
        match self {
            Self::ReadOnly | Self::Loading | Self::Misconfigured | Self::NoReplicas | Self::NoAuth | Self::ClusterDown | Self::MasterDown => true,
            Self::OutOfMemory | Self::Busy | Self::NoPermission | Self::NoInfo | Self::NoScript | Self::CrossSlot | Self::WrongType | Self::Other => {
                false
            }
        }
    }
}

impl From<RedisError> for LinkError {
    /// For an error of a command that was handed to a connection: unless Redis says otherwise, it may have arrived.
    fn from(error: RedisError) -> Self {
        let why = error.to_string();
        if error.kind() == ErrorKind::ClusterConnectionNotFound {
            return Self::NotSent(why);
        }
        if error.kind() == ErrorKind::AuthenticationFailed {
            return Self::Refused { code: Code::NoAuth, why };
        }
        match error.code() {
            Some(code) => Self::Refused { code: Code::of(code), why },
            None => Self::Unknown(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_redis_says_is_a_refusal_and_what_it_does_not_say_is_unknown() {
        let told = |code: &str| LinkError::from(::redis::make_extension_error(code.to_owned(), Some("why".to_owned())));
        for (code, known) in [("OOM", Code::OutOfMemory), ("WRONGPASS", Code::NoAuth), ("MISCONF", Code::Misconfigured), ("XYZ", Code::Other)] {
            assert!(matches!(told(code), LinkError::Refused { code, .. } if code == known), "{code}");
        }
        let lost = RedisError::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert!(matches!(LinkError::from(lost), LinkError::Unknown(_)));
    }
}
