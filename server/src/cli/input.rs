//! What people type: addresses, payloads, headers, positions.

use std::str::FromStr;

use arqonbus_protocol::limits::DEPTH_MAX;
use arqonbus_protocol::{ClientId, HistoryBound, Position, RawJson, Target, Timestamp, Topic, UserId};

use super::exit::Failure;

/// Reads an address: `room:channel`, `room` for a broadcast there, `@c_…` or `@user:ada` for a private message, `*` for everybody.
pub(super) fn target(text: &str) -> Result<Target, String> {
    let expected = "expected room:channel, room, @<client id>, @user:<user id>, or *";
    let target = match text.strip_prefix('@') {
        _ if text == "*" || text == "@*" => Some(Target::Everyone),
        Some(private) => match private.strip_prefix("user:") {
            Some(user) => user.parse::<UserId>().ok().map(Target::User),
            None => private.parse::<ClientId>().ok().map(Target::Client),
        },
        None if text.contains(':') => text.parse::<Topic>().ok().map(Target::Topic),
        None => text.parse().ok().map(Target::Room),
    };
    target.ok_or_else(|| expected.to_owned())
}

/// Reads `epoch:seq`.
pub(super) fn position(text: &str) -> Result<Position, String> {
    let position = text.split_once(':').and_then(|(epoch, seq)| Some(Position { epoch: epoch.parse().ok()?, seq: seq.parse().ok()? }));
    position.filter(|position| position.seq <= arqonbus_protocol::SEQ_MAX).ok_or_else(|| "expected epoch:seq, such as k3v9x2:42".to_owned())
}

/// Reads `epoch:seq` or an RFC 3339 timestamp.
pub(super) fn bound(text: &str) -> Result<HistoryBound, String> {
    if let Ok(timestamp) = Timestamp::from_str(text) {
        return Ok(HistoryBound::Timestamp(timestamp));
    }
    position(text).map(HistoryBound::Position).map_err(|_| "expected epoch:seq, or a time such as 2026-11-22T16:49:00Z".to_owned())
}

/// Reads `name=value`.
pub(super) fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected name=value")?;
    if name.is_empty() { Err("the name is missing".to_owned()) } else { Ok((name.to_owned(), value.to_owned())) }
}

/// How a typed text becomes a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(super) enum Form {
    /// JSON where it is, else a JSON string.
    #[default]
    Auto,
    /// JSON, or it is refused.
    Json,
    /// Always a JSON string.
    Text,
}

/// The payload that `text` stands for, as JSON.
pub(super) fn payload(text: &str, form: Form) -> Result<String, Failure> {
    // The envelope around it is one level.
    match (form, RawJson::new(text, DEPTH_MAX - 1)) {
        (Form::Auto | Form::Json, Ok(json)) => Ok(one_line(json.as_str())),
        (Form::Json, Err(fault)) => Err(Failure::Usage(format!("the payload is not JSON that can be sent: {fault}"))),
        (Form::Text, _) | (Form::Auto, Err(_)) => Ok(serde_json::Value::from(text).to_string()),
    }
}

/// The same JSON without line breaks: they can only stand between values, and on the wire they separate envelopes.
fn one_line(json: &str) -> String {
    json.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart() {
        for (text, shown) in
            [("a:b", "a:b"), ("a", "a"), ("@c_00000000", "c_00000000"), ("@user:ada", "user:ada"), ("*", "*"), ("@*", "*"), ("user:ada", "user:ada")]
        {
            assert_eq!(target(text).unwrap().to_string(), shown, "{text}");
        }
        assert!(matches!(target("user:ada"), Ok(Target::Topic(_))));
        assert!(matches!(target("@user:ada"), Ok(Target::User(_))));
        for bad in ["", "@", "a:", ":", "a:b*", "@nobody", "@user:", "a b"] {
            assert!(target(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn positions_and_times_are_read() {
        assert_eq!(position("k3v9x2:42").unwrap().seq, 42);
        assert!(matches!(bound("2026-11-22T16:49:00Z"), Ok(HistoryBound::Timestamp(_))));
        assert!(matches!(bound("k3v9x2:42"), Ok(HistoryBound::Position(_))));
        for bad in ["42", "k3v9x2:", "k3v9x2:-1", "K:1", "k3v9x2:9007199254740992"] {
            assert!(position(bad).is_err() && bound(bad).is_err(), "{bad}");
        }
        assert_eq!(header("a=b=c").unwrap(), ("a".to_owned(), "b=c".to_owned()));
        assert!(header("a").is_err() && header("=b").is_err());
    }

    #[test]
    fn payloads_are_json_or_become_a_string() {
        for (text, form, json) in [
            (r#"{"a": 1}"#, Form::Auto, Some(r#"{"a": 1}"#)),
            ("{\n\"a\":\n1}", Form::Auto, Some(r#"{ "a": 1}"#)),
            ("hello", Form::Auto, Some(r#""hello""#)),
            ("5", Form::Auto, Some("5")),
            ("5", Form::Text, Some(r#""5""#)),
            (r#"{"a":1,"a":2}"#, Form::Auto, Some(r#""{\"a\":1,\"a\":2}""#)),
            ("hello", Form::Json, None),
            ("", Form::Auto, Some(r#""""#)),
        ] {
            assert_eq!(payload(text, form).ok().as_deref(), json, "{text:?} {form:?}");
        }
    }
}
