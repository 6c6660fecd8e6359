//! What JavaScript gives: read into the types of the core, or refused in words.

use arqonbus_client::core::{Config, Joining, Outgoing};
use arqonbus_client::protocol::json::{Object, Readable, Write, written};
use arqonbus_client::protocol::{Pattern, Position, RawJson, Target, Topic, TopicPosition};
use wasm_bindgen::prelude::wasm_bindgen;

use super::{Declined, ms};

/// Writes what is thrown: why a call was not taken.
fn thrown(declined: &str, key: &str, value: &dyn Write) -> String {
    let mut out = Vec::new();
    Object::begin(&mut out).member("declined", &declined).member(key, value).end();
    written(out)
}

/// An argument is wrong.
#[expect(clippy::needless_pass_by_value, reason = "the shape of `map_err`")]
pub(crate) fn invalid(why: impl ToString) -> String {
    thrown("invalid", "why", &why.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of `map_err`")]
pub(crate) fn declined(declined: Declined) -> String {
    let (why, limit) = match declined {
        Declined::Full => ("full", None),
        Declined::Closing => ("closing", None),
        Declined::TooLarge { limit } => ("too_large", Some(limit)),
        Declined::AlreadyJoined => ("already_joined", None),
        Declined::NotATopic => ("not_a_topic", None),
        Declined::IdInFlight => ("id_in_flight", None),
        Declined::NotConnected => ("not_connected", None),
    };
    thrown(why, "limit", &limit)
}

/// A command's name goes into the envelope as it is.
pub(crate) fn check_command(name: &str) -> Result<(), String> {
    let fits = !name.is_empty() && name.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase());
    if fits { Ok(()) } else { Err(invalid("a command's name is of a-z and _")) }
}

/// Reads what `JSON.stringify` wrote and the wire has a type of.
fn read<T: Readable>(text: &str) -> Result<T, String> {
    RawJson::from_encoder(text).read().map_err(|(_, why)| invalid(why))
}

/// Sets one option of a client by the name that the core has for it.
pub(crate) fn set_text(config: &mut Config, option: &str, text: String) -> Result<(), String> {
    match option {
        "token" => config.token = Some(text),
        "name" => config.name = Some(text),
        "kind" => config.kind = Some(text),
        "user" => config.user = Some(text.parse().map_err(invalid)?),
        "metadata" => config.metadata = Some(text),
        _ => return Err(invalid(format!("no such option: {option}"))),
    }
    Ok(())
}

/// As [`set_text`], for numbers; flags are 0 and 1.
pub(crate) fn set_number(config: &mut Config, option: &str, number: f64) -> Result<(), String> {
    let whole = ms(number);
    let count = usize::try_from(whole).unwrap_or(usize::MAX);
    match option {
        "token_provider" => config.token_provider = whole != 0,
        "batch" => config.batch = whole != 0,
        "backoff_base_ms" => config.backoff.base_ms = whole,
        "backoff_cap_ms" => config.backoff.cap_ms = whole,
        "first_attempts_max" => config.first_attempts_max = u32::try_from(whole).unwrap_or(u32::MAX),
        "open_timeout_ms" => config.open_timeout_ms = whole,
        "handshake_timeout_ms" => config.handshake_timeout_ms = whole,
        "request_timeout_ms" => config.request_timeout_ms = whole,
        "publish_timeout_ms" => config.publish_timeout_ms = whole,
        "drain_timeout_ms" => config.drain_timeout_ms = whole,
        "in_flight_max" => config.in_flight_max = count,
        "inbox_max" => config.inbox_max = count,
        "in_flight_bytes_max" => config.in_flight_bytes_max = count,
        "unix_ms_at_zero" => config.unix_ms_at_zero = whole,
        _ => return Err(invalid(format!("no such option: {option}"))),
    }
    Ok(())
}

/// Where a join begins: positions as JSON.
pub(crate) struct Beginning {
    pub(crate) since: Option<String>,
    pub(crate) replay: Option<u32>,
    pub(crate) positions: Option<String>,
    pub(crate) presence: bool,
}

pub(crate) fn joining(pattern: &str, beginning: &Beginning) -> Result<Joining, String> {
    let pattern: Pattern = pattern.parse().map_err(invalid)?;
    let mut joining = Joining::new(pattern);
    joining.since = beginning.since.as_deref().map(read::<Position>).transpose()?;
    joining.replay = beginning.replay;
    joining.positions = beginning.positions.as_deref().map(read::<Vec<TopicPosition>>).transpose()?;
    joining.presence = beginning.presence;
    Ok(joining)
}

/// What a message has beside target and payload; most have nothing.
#[wasm_bindgen]
#[derive(Debug, Default)]
pub struct Extras {
    id: Option<String>,
    headers: Option<String>,
    correlation_id: Option<String>,
    exclude_sender: bool,
    timeout_ms: Option<f64>,
}

#[wasm_bindgen]
impl Extras {
    /// Headers are an object of strings as JSON.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new(id: Option<String>, headers: Option<String>, correlation_id: Option<String>, exclude_sender: bool, timeout_ms: Option<f64>) -> Self {
        Self { id, headers, correlation_id, exclude_sender, timeout_ms }
    }
}

/// Puts a message together. The payload comes from `JSON.stringify`, so it is one value on one line; only its depth is left to the server.
pub(crate) fn outgoing(kind: u8, to: &str, payload: String, extras: Option<Extras>) -> Result<Outgoing, String> {
    let extras = extras.unwrap_or_default();
    let mut outgoing = Outgoing::new(target(kind, to)?, payload);
    outgoing.id = extras.id.map(|id| id.parse()).transpose().map_err(invalid)?;
    outgoing.headers = extras.headers;
    outgoing.correlation_id = extras.correlation_id.map(|id| id.parse()).transpose().map_err(invalid)?;
    outgoing.exclude_sender = extras.exclude_sender;
    outgoing.timeout_ms = extras.timeout_ms.map(ms);
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
