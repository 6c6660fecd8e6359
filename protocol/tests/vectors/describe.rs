//! Says in JSON what an envelope was decoded to, as `tests/vectors/README.md` defines it.

use arqonbus_protocol::*;
use serde_json::{Map, Value, json};

use crate::load::{Direction, Frame};

/// Decodes `text` in the frame's direction and describes it.
pub(crate) fn description(frame: &Frame, text: &str) -> Value {
    match frame.direction {
        Direction::Client => client(&decode_client(frame, text)),
        Direction::Server => server(frame, &decode_server(frame, text)),
    }
}

/// Decodes `text` in the frame's direction and encodes it again.
pub(crate) fn encoded(frame: &Frame, text: &str) -> String {
    match frame.direction {
        Direction::Client => match decode_client(frame, text) {
            ClientEnvelope::Message(publish) => publish.encode(),
            ClientEnvelope::Command(request) => request.encode(),
        },
        Direction::Server => String::from_utf8(encode_server(frame, &decode_server(frame, text))).expect("an envelope is UTF-8"),
    }
}

/// The name of the definition of a result: of a command, or of `publish`.
pub(crate) fn result_type(of: &str) -> String {
    match of {
        "publish" => "PublishResult".to_owned(),
        "join_channel" => "JoinResult".to_owned(),
        "leave_channel" => "LeaveResult".to_owned(),
        command => command.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).chain(["Result".to_owned()]).collect(),
    }
}

fn decode_client<'a>(frame: &Frame, text: &'a str) -> ClientEnvelope<'a> {
    ClientEnvelope::decode(text).unwrap_or_else(|malformed| panic!("{}: {}: {malformed}", frame.file, frame.name))
}

fn decode_server<'a>(frame: &Frame, text: &'a str) -> ServerEnvelope<'a> {
    ServerEnvelope::decode(text).unwrap_or_else(|malformed| panic!("{}: {}: {malformed}", frame.file, frame.name))
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

fn server(frame: &Frame, envelope: &ServerEnvelope<'_>) -> Value {
    match envelope {
        ServerEnvelope::Message(delivery) => message(delivery),
        ServerEnvelope::Response(response) => {
            let (status, member, outcome) = match &response.outcome {
                Ok(result) => ("ok", "result", typed_result(frame, *result)),
                Err(refusal) => ("error", "error", json!(refusal)),
            };
            described("response", [("request_id", Some(json!(response.request_id))), ("status", Some(json!(status))), (member, Some(outcome))])
        }
        ServerEnvelope::Event(event) => {
            let body = event.body().unwrap_or_else(|refusal| panic!("{}: {refusal}", frame.name));
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
    }
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

fn encode_server(frame: &Frame, envelope: &ServerEnvelope<'_>) -> Vec<u8> {
    match envelope {
        ServerEnvelope::Message(delivery) => {
            let mut out = Vec::new();
            delivery.encode_into(&mut out);
            out
        }
        ServerEnvelope::Response(response) => match &response.outcome {
            Ok(result) => encode_ok(&response.request_id, &typed_result(frame, *result)),
            Err(refusal) => encode_refused(&response.request_id, refusal),
        },
        ServerEnvelope::Event(event) => {
            let body = event.body().expect("its data was read before").expect("only known events are encoded");
            match (&event.topic, &event.group) {
                (Some(topic), Some(group)) => encode_group_event(&body, topic, group, &event.timestamp),
                (topic, _) => encode_event(&body, topic.as_ref(), &event.timestamp),
            }
        }
        ServerEnvelope::Error(error) => encode_error(&error.error, &error.timestamp),
    }
}

/// The data of a known event, through its type.
fn data_of(body: &EventBody) -> Value {
    let bytes = encode_event(body, None, &Timestamp::from_unix_ms(0));
    serde_json::from_slice::<Value>(&bytes).expect("an event is JSON")["data"].clone()
}

/// A result through its type, where the frame says whose it is.
fn typed_result(frame: &Frame, raw: RawJson<'_>) -> Value {
    fn through<T: serde::Serialize + serde::de::DeserializeOwned>(raw: RawJson<'_>) -> Value {
        let typed: T = raw.parse().unwrap_or_else(|(at, why)| panic!("{why} at {at}"));
        serde_json::to_value(&typed).expect("a result serializes")
    }
    match frame.result_of.as_deref() {
        None => value(raw),
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
        Some(other) => panic!("{}: no such command: {other}", frame.name),
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
