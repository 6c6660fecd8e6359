//! What is sent: targets, payloads and options, read from Python before anything happens.

use std::time::Duration;

use arqonbus_client::protocol::{ClientEnvelope, Command, Invalid, Target, Topic};
use arqonbus_client::{Client, Publish};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMapping};

use crate::errors::{invalid, rejected};
use crate::json;
use crate::message;

/// What a message is sent with, beside its payload.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Sending<'py> {
    headers: Option<Bound<'py, PyMapping>>,
    timeout: Option<f64>,
    // Requests have none of these.
    #[pyo3(default)]
    id: Option<String>,
    #[pyo3(default)]
    correlation_id: Option<String>,
    #[pyo3(default)]
    exclude_sender: Option<bool>,
}

/// The same, without Python.
pub(crate) struct Sent {
    pub(crate) target: Target,
    pub(crate) payload: String,
    pub(crate) headers: Vec<(String, String)>,
    id: Option<String>,
    correlation_id: Option<String>,
    exclude_sender: bool,
    pub(crate) timeout: Option<Duration>,
}

impl Sent {
    pub(crate) fn new(target: &str, payload: &Bound<'_, PyAny>, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let sent = Self {
            target: parse_target(target)?,
            payload: json::dumps(payload)?,
            headers: Vec::new(),
            id: None,
            correlation_id: None,
            exclude_sender: false,
            timeout: None,
        };
        let Some(options) = options else { return Ok(sent) };
        let Sending { headers, id, correlation_id, exclude_sender, timeout } = options.extract()?;
        let headers = message::headers(headers.as_ref())?;
        let (exclude_sender, timeout) = (exclude_sender.unwrap_or(false), timeout.map(seconds).transpose()?);
        Ok(Self { headers, id, correlation_id, exclude_sender, timeout, ..sent })
    }

    pub(crate) fn apply(self, client: &Client) -> Publish<'_> {
        let mut publish = client.send_json(self.target, &self.payload);
        for (name, value) in self.headers {
            publish = publish.header(name, value);
        }
        if let Some(id) = self.id {
            publish = publish.id(id);
        }
        if let Some(id) = self.correlation_id {
            publish = publish.correlation_id(id);
        }
        if self.exclude_sender {
            publish = publish.exclude_sender();
        }
        match self.timeout {
            Some(timeout) => publish.timeout(timeout),
            None => publish,
        }
    }
}

/// Reads `room:channel`, `room/<room>`, or `to/` and a client id, `user:<id>` or `*`: a notation of this package, not of the wire.
fn parse_target(text: &str) -> PyResult<Target> {
    let named = |error: Invalid| invalid(error.expected);
    if let Some(room) = text.strip_prefix("room/") {
        return room.parse().map(Target::Room).map_err(named);
    }
    match text.strip_prefix("to/") {
        Some("*") => Ok(Target::Everyone),
        Some(to) => match to.strip_prefix("user:") {
            Some(user) => user.parse().map(Target::User).map_err(named),
            None => to.parse().map(Target::Client).map_err(named),
        },
        None => text.parse::<Topic>().map(Target::Topic).map_err(named),
    }
}

/// Reads a command as it stands on the wire, so that its arguments are checked as the server checks them.
pub(crate) fn parse_command(py: Python<'_>, command: &str, args: &Bound<'_, PyDict>) -> PyResult<Command> {
    let text = format!(r#"{{"type":"command","command":{},"args":{}}}"#, serde_json::Value::from(command), json::dumps(args)?);
    match ClientEnvelope::decode(&text) {
        Ok(ClientEnvelope::Command(request)) => Ok(request.command),
        Ok(ClientEnvelope::Message(_)) => Err(invalid("not a command")),
        Err(malformed) => Err(rejected(py, &malformed.refusal)),
    }
}

/// Reads a time span in seconds.
pub(crate) fn seconds(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|_| invalid(format!("{seconds} is no time span in seconds")))
}
