//! What an envelope was decoded to, as the README of the vectors describes it.

use arqonbus_client::protocol::{
    AckResult, ChannelInfoResult, ClientEnvelope, ConnectResult, CreateChannelResult, DeleteChannelResult, Delivery, DisconnectResult, EventBody,
    HelpResult, HistoryResult, JoinResult, LeaveResult, ListChannelsResult, ListRoomsResult, MembersResult, NackResult, PingResult, PublishResult,
    RawJson, RefreshResult, ServerEnvelope, StatusResult, Target, Timestamp, encode_event,
};
use pyo3::prelude::*;
use serde_json::{Map, Value, json};

use super::nonsense;

/// Decodes one envelope and describes it.
#[pyfunction]
#[pyo3(signature = (direction, text, result_of = None))]
pub(crate) fn decode(direction: &str, text: &str, result_of: Option<&str>) -> PyResult<String> {
    let description = match direction {
        "client" => client(&ClientEnvelope::decode(text).map_err(nonsense)?),
        "server" => server(&ServerEnvelope::decode(text).map_err(nonsense)?, result_of)?,
        other => return Err(nonsense(format!("no such direction: {other}"))),
    };
    Ok(description.to_string())
}

/// Decodes what a server refuses: code, place and id; none where it is taken.
#[pyfunction]
pub(crate) fn refusal(text: &str) -> Option<(&'static str, String, Option<String>)> {
    let malformed = ClientEnvelope::decode(text).err()?;
    let at = malformed.refusal.at.unwrap_or_default().into_owned();
    Some((malformed.refusal.code.as_str(), at, malformed.id.map(|id| id.to_string())))
}

fn client(envelope: &ClientEnvelope<'_>) -> Value {
    match envelope {
        ClientEnvelope::Message(publish) => described(
            "message",
            [
                ("id", publish.id.map(|id| json!(id))),
                ("target", Some(target(&publish.target))),
                ("correlation_id", publish.correlation_id.map(|id| json!(id))),
                ("request", Some(json!(publish.request))),
                ("ack", Some(json!(publish.ack))),
                ("exclude_sender", Some(json!(publish.exclude_sender))),
                ("headers", publish.headers.map(value)),
                ("payload_text", Some(json!(publish.payload.as_str()))),
            ],
        ),
        ClientEnvelope::Command(request) => {
            let encoded: Value = serde_json::from_str(&request.encode()).expect("an envelope is JSON");
            let id = request.id.map(|id| json!(id));
            described("command", [("id", id), ("command", Some(json!(request.command.name()))), ("args", Some(encoded["args"].clone()))])
        }
    }
}

fn server(envelope: &ServerEnvelope<'_>, result_of: Option<&str>) -> PyResult<Value> {
    Ok(match envelope {
        ServerEnvelope::Message(delivery) => message(delivery),
        ServerEnvelope::Response(response) => {
            let (status, member, outcome) = match &response.outcome {
                Ok(result) => ("ok", "result", typed_result(result_of, *result)?),
                Err(refusal) => ("error", "error", json!(refusal)),
            };
            described("response", [("request_id", Some(json!(response.request_id))), ("status", Some(json!(status))), (member, Some(outcome))])
        }
        ServerEnvelope::Event(event) => {
            let body = event.body().map_err(nonsense)?;
            let data = body.as_ref().map_or_else(|| value(event.data), data_of);
            described(
                "event",
                [
                    ("event", Some(json!(event.name))),
                    ("topic", event.topic.map(|topic| json!(topic.to_string()))),
                    ("group", event.group.map(|group| json!(group))),
                    ("timestamp", Some(json!(event.timestamp))),
                    ("known", Some(json!(body.is_some()))),
                    ("data", Some(data)),
                ],
            )
        }
        ServerEnvelope::Error(error) => described("error", [("timestamp", Some(json!(error.timestamp))), ("error", Some(json!(error.error)))]),
    })
}

fn message(delivery: &Delivery<'_>) -> Value {
    let head = &delivery.head;
    described(
        "message",
        [
            ("id", Some(json!(head.id))),
            ("target", Some(target(&head.target))),
            ("sender", Some(json!(head.sender))),
            ("user", head.user.map(|user| json!(user))),
            ("timestamp", Some(json!(head.timestamp))),
            ("position", head.position.map(|position| json!(position))),
            ("reply_to", head.reply_to.map(|client| json!(client))),
            ("correlation_id", head.correlation_id.map(|id| json!(id))),
            ("exclude_sender", Some(json!(head.exclude_sender))),
            ("headers", delivery.headers.map(value)),
            ("payload_text", Some(json!(delivery.payload.as_str()))),
            ("group", delivery.job.map(|job| json!(job.group))),
            ("delivery", delivery.job.map(|job| json!(job.delivery))),
        ],
    )
}

/// The data of a known event, through its type.
fn data_of(body: &EventBody) -> Value {
    let bytes = encode_event(body, None, &Timestamp::from_unix_ms(0));
    serde_json::from_slice::<Value>(&bytes).expect("an event is JSON")["data"].clone()
}

/// A result through its type, where the frame says whose it is.
fn typed_result(of: Option<&str>, raw: RawJson<'_>) -> PyResult<Value> {
    fn through<T: serde::Serialize + serde::de::DeserializeOwned>(raw: RawJson<'_>) -> PyResult<Value> {
        let typed: T = raw.parse().map_err(|(at, why)| nonsense(format!("{why} at {at}")))?;
        serde_json::to_value(&typed).map_err(nonsense)
    }
    match of {
        None => Ok(value(raw)),
        Some("publish") => through::<PublishResult>(raw),
        Some("connect") => through::<ConnectResult>(raw),
        Some("ping") => through::<PingResult>(raw),
        Some("status") => through::<StatusResult>(raw),
        Some("create_channel") => through::<CreateChannelResult>(raw),
        Some("delete_channel") => through::<DeleteChannelResult>(raw),
        Some("join_channel") => through::<JoinResult>(raw),
        Some("leave_channel") => through::<LeaveResult>(raw),
        Some("ack") => through::<AckResult>(raw),
        Some("nack") => through::<NackResult>(raw),
        Some("list_rooms") => through::<ListRoomsResult>(raw),
        Some("list_channels") => through::<ListChannelsResult>(raw),
        Some("channel_info") => through::<ChannelInfoResult>(raw),
        Some("members") => through::<MembersResult>(raw),
        Some("history") => through::<HistoryResult>(raw),
        Some("refresh") => through::<RefreshResult>(raw),
        Some("disconnect") => through::<DisconnectResult>(raw),
        Some("help") => through::<HelpResult>(raw),
        Some(other) => Err(nonsense(format!("no such command: {other}"))),
    }
}

fn target(target: &Target) -> Value {
    match target {
        Target::Topic(topic) => json!({ "topic": topic.to_string() }),
        Target::Room(room) => json!({ "room": room }),
        Target::Client(client) => json!({ "client": client }),
        Target::User(user) => json!({ "user": user }),
        Target::Everyone => json!({ "everyone": true }),
    }
}

fn value(raw: RawJson<'_>) -> Value {
    serde_json::from_str(raw.as_str()).expect("checked text is JSON")
}

fn described<const N: usize>(kind: &str, members: [(&str, Option<Value>); N]) -> Value {
    let mut object = Map::new();
    object.insert("type".to_owned(), json!(kind));
    object.extend(members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    Value::Object(object)
}
