//! The JSON Schema of the six envelopes, which have a codec of their own and so no derived schema.

use serde_json::{Map, Value, json};

use super::events::EVENTS;
use super::reference_to;
use crate::limits::HEADERS_MAX;
use crate::{COMMANDS, CommandSpec};

/// The members that only a server sets, and no client may.
const SERVER_OWNED: &[&str] = &["sender", "user", "timestamp", "epoch", "seq", "reply_to", "group", "delivery"];

/// The definitions of all envelopes and their parts.
pub(super) fn definitions() -> Map<String, Value> {
    let mut defs = Map::new();
    let mut define = |name: &str, schema: Value| defs.insert(name.to_owned(), schema);
    define("ClientEnvelope", union("What a client sends.", &["ClientMessage", "ClientCommand"]));
    define("ServerEnvelope", union("What a server sends.", &["ServerMessage", "ServerResponse", "ServerEvent", "ServerError"]));
    define("ClientMessage", client_message());
    let commands: Vec<_> = COMMANDS.iter().map(command_name).collect();
    define("ClientCommand", union("Something to do; always answered by one response.", &commands));
    for command in COMMANDS {
        define(&command_name(command), client_command(command));
    }
    define("ServerMessage", server_message());
    define("ServerResponse", union("The answer to one request.", &["ResponseOk", "ResponseError"]));
    define(
        "ResponseOk",
        response(
            "ok",
            "result",
            json!({ "type": ["object", "null"], "description": "The result of the command, or the PublishResult of a message." }),
        ),
    );
    define("ResponseError", response("error", "error", reference_to("Error")));
    let events: Vec<_> = EVENTS.iter().map(|event| event_name(event.name)).chain(["UnknownEvent".to_owned()]).collect();
    define("ServerEvent", union("Something that happened.", &events));
    for event in EVENTS {
        define(&event_name(event.name), server_event(event.summary, json!({ "const": event.name }), event.about_topic, reference_to(event.data)));
    }
    define("UnknownEvent", unknown_event());
    define("ServerError", server_error());
    define("Headers", headers());
    define("PrivateTarget", private_target());
    define("PublicRoom", public_name("A room that is not one of the server's own."));
    define("PublicChannel", public_name("A channel that is not one of the server's own."));
    defs
}

/// The name of a command's definition: `JoinChannelCommand`.
pub(super) fn command_name(command: &CommandSpec) -> String {
    format!("{}Command", camel(command.name))
}

/// The name of an event's definition: `GapEvent`.
pub(super) fn event_name(name: &str) -> String {
    format!("{}Event", camel(name))
}

fn camel(name: &str) -> String {
    name.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect()
}

fn union(description: &str, names: &[impl AsRef<str>]) -> Value {
    let members: Vec<_> = names.iter().map(|name| reference_to(name.as_ref())).collect();
    json!({ "description": description, "oneOf": members })
}

/// An object with a `type`, some members that must be there, and some that may; others are allowed and ignored.
fn envelope(kind: &str, description: &str, required: &[(&str, Value)], optional: &[(&str, Value)]) -> Value {
    let mut properties = Map::new();
    properties.insert("type".to_owned(), json!({ "const": kind }));
    properties.extend(required.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())));
    properties.extend(optional.iter().map(|(name, schema)| ((*name).to_owned(), or_null(schema))));
    let required: Vec<_> = std::iter::once("type").chain(required.iter().map(|(name, _)| *name)).collect();
    json!({ "type": "object", "description": description, "required": required, "properties": properties })
}

/// Null counts as missing.
fn or_null(schema: &Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

fn flag(description: &str) -> Value {
    json!({ "type": "boolean", "default": false, "description": description })
}

fn described(name: &str, description: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}"), "description": description })
}

/// Adds the members that a client may not set. Null counts as missing here too.
fn refuse_server_owned(schema: &mut Value) {
    for name in SERVER_OWNED {
        schema["properties"][name] = json!({ "type": "null", "description": "The server sets this; a client may not." });
    }
}

/// Says that a member is there and not null.
pub(super) fn given(name: &str) -> Value {
    json!({ "required": [name], "properties": { name: { "not": { "type": "null" } } } })
}

/// Says that a member is missing, or null.
pub(super) fn missing(name: &str) -> Value {
    json!({ "not": given(name) })
}

/// A message goes to a topic, a room, or a private target: exactly one of the three.
fn one_target(schema: &mut Value) {
    schema["oneOf"] = json!([
        { "description": "To a topic.", "allOf": [given("room"), given("channel"), missing("to")] },
        { "description": "To a room: the members of any of its channels.", "allOf": [given("room"), missing("channel"), missing("to")] },
        { "description": "Private, or to everybody.", "allOf": [given("to"), missing("room"), missing("channel")] },
    ]);
}

fn payload() -> Value {
    json!({ "description": "Any JSON value, relayed byte for byte." })
}

fn client_message() -> Value {
    let mut schema = envelope(
        "message",
        "A message on its way in: to a topic (`room` and `channel`), to a room (`room`), or private (`to`).",
        &[("payload", payload())],
        &[
            ("id", described("MessageId", "The idempotency key; the server makes one where there is none.")),
            ("room", reference_to("PublicRoom")),
            ("channel", reference_to("PublicChannel")),
            ("to", reference_to("PrivateTarget")),
            ("headers", reference_to("Headers")),
            ("ack", flag("Whether the sender wants to hear of success too.")),
            ("request", flag("Whether somebody is expected to answer.")),
            ("correlation_id", described("MessageId", "The message that this one answers.")),
            ("exclude_sender", flag("Whether the sender's own connection is left out; implies ack.")),
        ],
    );
    refuse_server_owned(&mut schema);
    one_target(&mut schema);
    schema
}

fn client_command(command: &CommandSpec) -> Value {
    let id = ("id", described("MessageId", "Comes back as `request_id`; the server makes one where there is none."));
    let (args, args_required) = args(command);
    let name = ("command", json!({ "const": command.name }));
    let mut schema = if args_required {
        envelope("command", command.summary, &[name, ("args", args)], &[id])
    } else {
        envelope("command", command.summary, &[name], &[("args", args), id])
    };
    refuse_server_owned(&mut schema);
    schema
}

/// A reference to the arguments of a command, and whether any of them must be there.
fn args(command: &CommandSpec) -> (Value, bool) {
    let mut generator = schemars::generate::SchemaSettings::draft2020_12().into_generator();
    let reference = (command.args_schema)(&mut generator).to_value();
    let name = reference["$ref"].as_str().and_then(|path| path.rsplit('/').next()).expect("arguments are a type with a name").to_owned();
    let required = generator.definitions()[&name].get("required").is_some();
    (reference, required)
}

fn server_message() -> Value {
    let mut schema = envelope(
        "message",
        "A delivered message: the same bytes for every subscriber.",
        &[
            ("id", described("MessageId", "The idempotency key.")),
            ("sender", described("ClientId", "Whose connection it came from.")),
            ("timestamp", described("Timestamp", "When the server took it.")),
            ("payload", payload()),
        ],
        &[
            ("room", described("Room", "The room it went to.")),
            ("channel", described("Channel", "The channel it went to.")),
            ("to", reference_to("PrivateTarget")),
            ("user", described("UserId", "Whom the sender acts for.")),
            ("epoch", described("Epoch", "With `seq`: its place, where the target keeps an order.")),
            ("seq", json!({ "type": "integer", "minimum": 0, "maximum": crate::SEQ_MAX, "description": "Counts 1, 2, 3 … within an epoch." })),
            ("reply_to", described("ClientId", "Where an answer goes, where one is expected.")),
            ("correlation_id", described("MessageId", "The message that this one answers.")),
            ("exclude_sender", flag("Whether the sender's own connection was left out.")),
            ("headers", reference_to("Headers")),
            ("group", described("Group", "With `delivery`: the work group whose member has this as its job.")),
            (
                "delivery",
                json!({ "type": "integer", "minimum": 1, "maximum": u32::MAX, "description": "How often the job was given out, this time included." }),
            ),
        ],
    );
    one_target(&mut schema);
    schema["allOf"] = json!([
        { "description": "Group and delivery stand together or not at all.", "if": given("group"), "then": given("delivery"), "else": { "not": given("delivery") } },
        { "description": "Epoch and seq stand together or not at all.", "if": given("epoch"), "then": given("seq"), "else": { "not": given("seq") } },
    ]);
    schema
}

fn response(status: &str, member: &str, schema: Value) -> Value {
    let request_id = ("request_id", described("MessageId", "The `id` of the request."));
    let status = ("status", json!({ "const": status }));
    if member == "error" {
        envelope("response", "The request was refused.", &[request_id, status, (member, schema)], &[])
    } else {
        envelope("response", "The request was carried out.", &[request_id, status], &[(member, schema)])
    }
}

fn server_event(description: &str, name: Value, about_topic: bool, data: Value) -> Value {
    let mut required = vec![("event", name), ("timestamp", reference_to("Timestamp")), ("data", data)];
    let mut optional = Vec::new();
    if about_topic {
        required.extend([("room", reference_to("Room")), ("channel", reference_to("Channel"))]);
        optional.push(("group", described("Group", "The work group that it concerns, where it concerns one.")));
    }
    envelope("event", description, &required, &optional)
}

/// An event of a newer server: clients ignore it.
fn unknown_event() -> Value {
    let known: Vec<_> = EVENTS.iter().map(|event| event.name).collect();
    let name = json!({ "type": "string", "not": { "enum": known } });
    envelope(
        "event",
        "An event of a newer server; clients ignore it.",
        &[("event", name), ("timestamp", reference_to("Timestamp"))],
        &[("room", reference_to("Room")), ("channel", reference_to("Channel")), ("data", json!({ "type": "object" }))],
    )
}

fn server_error() -> Value {
    let required = [("error", reference_to("Error")), ("timestamp", described("Timestamp", "When."))];
    envelope("error", "A refusal of input that cannot be tied to a request.", &required, &[])
}

fn headers() -> Value {
    json!({
        "type": "object",
        "description": "Strings by name, relayed byte for byte; at most 4 KiB as JSON.",
        "maxProperties": HEADERS_MAX,
        "propertyNames": reference_to("MessageId"),
        "additionalProperties": { "type": "string" },
    })
}

fn private_target() -> Value {
    json!({
        "type": "string",
        "description": "A client id, `user:` and a user id, or `*` for everybody.",
        "pattern": r"^(?:\*|user:[A-Za-z0-9.@+-][A-Za-z0-9_.@+-]{0,63}|[cn]_[a-z0-9]{8,32})$",
    })
}

fn public_name(description: &str) -> Value {
    json!({ "type": "string", "description": description, "pattern": r"^(?!_)(?!\.+$)[A-Za-z0-9_.-]{1,64}$" })
}
