//! Closed lists: error codes with retry advice, close codes, permissions.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether the same request can succeed later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// Not unchanged.
    Never,
    /// Yes, with back-off.
    Later,
    /// Yes, after `retry_after_ms`.
    After,
}

impl Retry {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Later => "later",
            Self::After => "after",
        }
    }
}

/// Defines a closed list of wire names with their documentation.
macro_rules! closed_list {
    ($(#[$doc:meta])* $list:ident { $($(#[doc = $text:literal])+ $variant:ident = $wire:literal $(=> $extra:expr)?,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum $list { $($(#[doc = $text])+ #[serde(rename = $wire)] $variant,)+ }

        impl $list {
            /// Every member, in the order of the reference.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $wire),+ }
            }

            /// What it means, as one sentence.
            #[must_use]
            pub const fn summary(self) -> &'static str {
                match self { $(Self::$variant => concat!($($text),+).trim_ascii()),+ }
            }
        }

        impl fmt::Display for $list {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

closed_list! {
    /// Why a request was refused.
    ErrorCode {
        /// Not JSON, or JSON that some language cannot read: duplicate keys, lone surrogates, numbers without a finite value.
        InvalidJson = "invalid_json",
        /// JSON, but not an envelope: a field is missing, of the wrong type, or the server's own.
        InvalidEnvelope = "invalid_envelope",
        /// Nested deeper than 32 levels.
        TooDeep = "too_deep",
        /// Larger than a limit of the welcome.
        TooLarge = "too_large",
        /// No such envelope type.
        UnknownType = "unknown_type",
        /// No such command.
        UnknownCommand = "unknown_command",
        /// The command's arguments do not fit it.
        InvalidArgs = "invalid_args",
        /// Not a name, pattern or address, or one of the server's own.
        InvalidName = "invalid_name",
        /// Credentials are needed first.
        Unauthenticated = "unauthenticated",
        /// The credentials are not valid.
        InvalidCredentials = "invalid_credentials",
        /// Not allowed; the same answer whether the target exists or not.
        Forbidden = "forbidden",
        /// The channel does not exist and is not created by use.
        UnknownChannel = "unknown_channel",
        /// The client is not joined to that topic or pattern.
        NotJoined = "not_joined",
        /// None of the jobs is held by this connection: settled before, timed out, or never given to it.
        NotHeld = "not_held",
        /// Nobody is there to receive a private message.
        NoRecipient = "no_recipient",
        /// Nobody is there to answer a request.
        NoResponder = "no_responder",
        /// The same id was used for another message a moment ago.
        IdConflict = "id_conflict",
        /// A configured limit on what one client or the bus may hold is reached.
        LimitExceeded = "limit_exceeded",
        /// Too much at once from this client; wait `retry_after_ms`.
        RateLimited = "rate_limited",
        /// The bus is at its memory or queue bound.
        Overloaded = "overloaded",
        /// The server is shutting down; reconnect after `retry_after_ms`.
        Draining = "draining",
        /// The store cannot be reached and the topic must not go on without it.
        StorageUnavailable = "storage_unavailable",
        /// It may have been carried out, or may yet be: a part of the bus did not answer in time. The same id again does it once.
        OutcomeUnknown = "outcome_unknown",
        /// Known, but not offered here.
        Unsupported = "unsupported",
        /// A defect of the server; its log has more.
        Internal = "internal",
    }
}

impl ErrorCode {
    /// The retry advice that belongs to the code.
    #[must_use]
    pub const fn retry(self) -> Retry {
        match self {
            Self::RateLimited | Self::Draining => Retry::After,
            Self::NoRecipient | Self::NoResponder | Self::Overloaded | Self::StorageUnavailable | Self::OutcomeUnknown | Self::Internal => {
                Retry::Later
            }
            Self::InvalidJson
            | Self::InvalidEnvelope
            | Self::TooDeep
            | Self::TooLarge
            | Self::UnknownType
            | Self::UnknownCommand
            | Self::InvalidArgs
            | Self::InvalidName
            | Self::Unauthenticated
            | Self::InvalidCredentials
            | Self::Forbidden
            | Self::UnknownChannel
            | Self::NotJoined
            | Self::NotHeld
            | Self::IdConflict
            | Self::LimitExceeded
            | Self::Unsupported => Retry::Never,
        }
    }

    /// The status of an HTTP answer that holds one refusal (RFC 9110).
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::Unauthenticated | Self::InvalidCredentials => 401,
            Self::Forbidden => 403,
            Self::UnknownChannel | Self::NotJoined | Self::NoRecipient | Self::NoResponder => 404,
            Self::IdConflict | Self::NotHeld => 409,
            Self::TooLarge => 413,
            Self::RateLimited | Self::LimitExceeded => 429,
            Self::Internal => 500,
            Self::Unsupported => 501,
            Self::OutcomeUnknown => 504,
            Self::Overloaded | Self::Draining | Self::StorageUnavailable => 503,
            Self::InvalidJson
            | Self::InvalidEnvelope
            | Self::TooDeep
            | Self::UnknownType
            | Self::UnknownCommand
            | Self::InvalidArgs
            | Self::InvalidName => 400,
        }
    }

    /// Whether it counts towards the malformed envelopes in a row that close a connection.
    #[must_use]
    pub const fn is_malformed(self) -> bool {
        matches!(self, Self::InvalidJson | Self::InvalidEnvelope | Self::TooDeep | Self::UnknownType)
    }
}

closed_list! {
    /// What a client may be allowed to do on a topic pattern.
    Permission {
        /// Publish to a topic.
        Publish = "publish",
        /// Join a topic or pattern, and resume it.
        Join = "join",
        /// Join a work group: take jobs, which others then do not get, and settle them.
        Work = "work",
        /// Read a topic's history.
        History = "history",
        /// See who is joined.
        Members = "members",
        /// Create a channel.
        Create = "create",
        /// Delete a channel.
        Delete = "delete",
        /// List rooms and channels.
        List = "list",
        /// Broadcast to a room.
        BroadcastRoom = "broadcast_room",
        /// Broadcast to everybody.
        BroadcastAll = "broadcast_all",
        /// Send private messages.
        Private = "private",
        /// See the status of the bus.
        Status = "status",
        /// Disconnect others.
        Disconnect = "disconnect",
    }
}

/// Why a connection is closed. `40xx`: do not come back unchanged; `41xx`: come back with back-off; `42xx`: come back now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum CloseCode {
    /// Done (RFC 6455 §7.4.1, as all codes below 4000).
    Normal = 1000,
    /// The peer goes away.
    GoingAway = 1001,
    /// Not WebSocket.
    Protocol = 1002,
    /// A binary frame.
    Unsupported = 1003,
    /// Text that is not UTF-8.
    InvalidText = 1007,
    /// A frame over the limit.
    TooLarge = 1009,
    /// A defect of the server.
    Internal = 1011,
    /// The server restarts; come back when the drain hint says.
    Restart = 1012,
    /// The server is full; come back later.
    TryAgainLater = 1013,
    /// Several malformed envelopes in a row.
    BadRequest = 4000,
    /// No credentials in time.
    AuthTimeout = 4001,
    /// The credentials are not valid.
    InvalidCredentials = 4002,
    /// Not allowed here; also by an administrator.
    Forbidden = 4003,
    /// The protocol version is not spoken here.
    Version = 4004,
    /// Too many connections of this principal.
    ConnectionLimit = 4005,
    /// Another connection took over this client id.
    Replaced = 4006,
    /// The client read too slowly; its messages are held, it can resume.
    SlowConsumer = 4100,
    /// The client sent too fast for too long.
    RateLimited = 4101,
    /// No sign of life.
    NoPong = 4102,
    /// The credentials expired or were revoked.
    CredentialsExpired = 4103,
    /// The store cannot be reached.
    StorageUnavailable = 4104,
    /// Moved for balance.
    Rebalance = 4200,
    /// Resume at another address.
    ResumeElsewhere = 4201,
}

impl CloseCode {
    /// Every code that this version sends.
    pub const ALL: &'static [Self] = &[
        Self::Normal,
        Self::GoingAway,
        Self::Protocol,
        Self::Unsupported,
        Self::InvalidText,
        Self::TooLarge,
        Self::Internal,
        Self::Restart,
        Self::TryAgainLater,
        Self::BadRequest,
        Self::AuthTimeout,
        Self::InvalidCredentials,
        Self::Forbidden,
        Self::Version,
        Self::ConnectionLimit,
        Self::Replaced,
        Self::SlowConsumer,
        Self::RateLimited,
        Self::NoPong,
        Self::CredentialsExpired,
        Self::StorageUnavailable,
        Self::Rebalance,
        Self::ResumeElsewhere,
    ];

    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// The reason sent with it, and its meaning.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::GoingAway => "going away",
            Self::Protocol => "protocol error",
            Self::Unsupported => "text frames only",
            Self::InvalidText => "not UTF-8",
            Self::TooLarge => "frame too large",
            Self::Internal => "internal error",
            Self::Restart => "restarting",
            Self::TryAgainLater => "try again later",
            Self::BadRequest => "malformed envelopes",
            Self::AuthTimeout => "no credentials in time",
            Self::InvalidCredentials => "invalid credentials",
            Self::Forbidden => "forbidden",
            Self::Version => "unsupported protocol version",
            Self::ConnectionLimit => "too many connections",
            Self::Replaced => "replaced by another connection",
            Self::SlowConsumer => "slow consumer",
            Self::RateLimited => "rate limited",
            Self::NoPong => "no sign of life",
            Self::CredentialsExpired => "credentials expired",
            Self::StorageUnavailable => "storage unavailable",
            Self::Rebalance => "rebalance",
            Self::ResumeElsewhere => "resume elsewhere",
        }
    }

    /// Whether a client that was closed with `code` should come back by itself. Unknown codes follow their class; lost sockets (1006) come back.
    #[must_use]
    pub const fn comes_back(code: u16) -> bool {
        !matches!(code, 1002 | 1003 | 1007 | 1009 | 1010 | 4000..=4099)
    }
}
