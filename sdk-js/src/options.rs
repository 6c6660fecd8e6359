//! What JavaScript gives, as JSON: read into the types of the core, or refused in words.

use arqonbus_client::core::{Backoff, Config, Joining, Outgoing};
use arqonbus_client::protocol::{Pattern, Position, Target, Topic, TopicPosition};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::Declined;

/// Why a call was not taken; thrown as JSON.
#[derive(Serialize)]
#[serde(tag = "declined", rename_all = "snake_case")]
enum Thrown {
    /// An argument is wrong.
    Invalid { why: String },
    Full,
    Closing,
    TooLarge { limit: usize },
    AlreadyJoined,
    IdInFlight,
    NotConnected,
}

impl Thrown {
    fn json(&self) -> String {
        serde_json::to_string(self).expect("plain data is JSON")
    }
}

pub(crate) fn invalid(why: impl ToString) -> String {
    Thrown::Invalid { why: why.to_string() }.json()
}

pub(crate) fn declined(declined: Declined) -> String {
    match declined {
        Declined::Full => Thrown::Full,
        Declined::Closing => Thrown::Closing,
        Declined::TooLarge { limit } => Thrown::TooLarge { limit },
        Declined::AlreadyJoined => Thrown::AlreadyJoined,
        Declined::IdInFlight => Thrown::IdInFlight,
        Declined::NotConnected => Thrown::NotConnected,
    }
    .json()
}

pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(invalid)
}

/// A command's name goes into the envelope as it is.
pub(crate) fn check_command(name: &str) -> Result<(), String> {
    let fits = !name.is_empty() && name.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase());
    if fits { Ok(()) } else { Err(invalid("a command's name is of a-z and _")) }
}

/// The options of a client, as the core knows them; what is missing has the core's default.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    url: String,
    token: Option<String>,
    #[serde(default)]
    token_provider: bool,
    name: Option<String>,
    kind: Option<String>,
    user: Option<String>,
    metadata: Option<Map<String, Value>>,
    batch: Option<bool>,
    backoff_base_ms: Option<u64>,
    backoff_cap_ms: Option<u64>,
    first_attempts_max: Option<u32>,
    open_timeout_ms: Option<u64>,
    handshake_timeout_ms: Option<u64>,
    request_timeout_ms: Option<u64>,
    publish_timeout_ms: Option<u64>,
    drain_timeout_ms: Option<u64>,
    in_flight_max: Option<usize>,
    in_flight_bytes_max: Option<usize>,
    unix_ms_at_zero: Option<u64>,
}

impl Options {
    pub(crate) fn into_config(self) -> Result<Config, String> {
        let base = Config::new(self.url);
        Ok(Config {
            token: self.token,
            token_provider: self.token_provider,
            name: self.name,
            kind: self.kind,
            user: self.user.map(|user| user.parse()).transpose().map_err(invalid)?,
            metadata: self.metadata,
            agent: concat!("arqonbus-js/", env!("CARGO_PKG_VERSION")).to_owned(),
            batch: self.batch.unwrap_or(base.batch),
            backoff: Backoff {
                base_ms: self.backoff_base_ms.unwrap_or(base.backoff.base_ms),
                cap_ms: self.backoff_cap_ms.unwrap_or(base.backoff.cap_ms),
            },
            first_attempts_max: self.first_attempts_max.unwrap_or(base.first_attempts_max),
            open_timeout_ms: self.open_timeout_ms.unwrap_or(base.open_timeout_ms),
            handshake_timeout_ms: self.handshake_timeout_ms.unwrap_or(base.handshake_timeout_ms),
            request_timeout_ms: self.request_timeout_ms.unwrap_or(base.request_timeout_ms),
            publish_timeout_ms: self.publish_timeout_ms.unwrap_or(base.publish_timeout_ms),
            drain_timeout_ms: self.drain_timeout_ms.unwrap_or(base.drain_timeout_ms),
            in_flight_max: self.in_flight_max.unwrap_or(base.in_flight_max),
            in_flight_bytes_max: self.in_flight_bytes_max.unwrap_or(base.in_flight_bytes_max),
            unix_ms_at_zero: self.unix_ms_at_zero.unwrap_or(base.unix_ms_at_zero),
            unanswered_max: base.unanswered_max,
            subscriptions_max: base.subscriptions_max,
            url: base.url,
        })
    }
}

/// What is joined, and from where.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JoinOptions {
    pattern: String,
    since: Option<Position>,
    replay: Option<u32>,
    positions: Option<Vec<TopicPosition>>,
    #[serde(default)]
    presence: bool,
}

impl JoinOptions {
    pub(crate) fn into_joining(self) -> Result<Joining, String> {
        let pattern: Pattern = self.pattern.parse().map_err(invalid)?;
        let mut joining = Joining::new(pattern);
        joining.since = self.since;
        joining.replay = self.replay;
        joining.positions = self.positions;
        joining.presence = self.presence;
        Ok(joining)
    }
}

/// What a message has beside target and payload; most have nothing.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Extras {
    id: Option<String>,
    headers: Option<Box<RawValue>>,
    correlation_id: Option<String>,
    #[serde(default)]
    exclude_sender: bool,
    timeout_ms: Option<u64>,
}

impl Extras {
    pub(crate) fn read(extras: Option<String>) -> Result<Self, String> {
        extras.map_or_else(|| Ok(Self::default()), |text| parse(&text))
    }
}

/// Puts a message together. The payload comes from `JSON.stringify`, so it is one value on one line; only its depth is left to the server.
pub(crate) fn outgoing(kind: u8, to: &str, payload: String, extras: Extras) -> Result<Outgoing, String> {
    let mut outgoing = Outgoing::new(target(kind, to)?, payload);
    outgoing.id = extras.id.map(|id| id.parse()).transpose().map_err(invalid)?;
    outgoing.headers = extras.headers.map(|raw| raw.get().to_owned());
    outgoing.correlation_id = extras.correlation_id.map(|id| id.parse()).transpose().map_err(invalid)?;
    outgoing.exclude_sender = extras.exclude_sender;
    outgoing.timeout_ms = extras.timeout_ms;
    Ok(outgoing)
}

fn target(kind: u8, to: &str) -> Result<Target, String> {
    match (kind, to) {
        (0, topic) => topic.parse::<Topic>().map(Target::Topic).map_err(invalid),
        (1, room) => room.parse().map(Target::Room).map_err(invalid),
        (_, "*") => Ok(Target::Everyone),
        (_, address) => match address.strip_prefix("user:") {
            Some(user) => user.parse().map(Target::User).map_err(invalid),
            None => address.parse().map(Target::Client).map_err(invalid),
        },
    }
}
