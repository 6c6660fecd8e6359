//! The AsyncAPI 3.0 document: the bus as a server, its one channel, and every exchange on it.

use serde_json::{Map, Value, json};

use super::envelopes::{command_name, event_name};
use super::events::EVENTS;
use crate::{COMMANDS, CommandSpec, PROTOCOL_VERSION, SUBPROTOCOL};

const CHANNEL: &str = "#/channels/bus";

/// `asyncapi.json`. Actions are the bus's own: it receives what a client sends.
pub(super) fn document() -> Value {
    let messages = messages();
    let channel: Map<_, _> = messages.keys().map(|name| (name.clone(), json!({ "$ref": format!("#/components/messages/{name}") }))).collect();
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "ArqonBus",
            "version": PROTOCOL_VERSION.to_string(),
            "description": "A message bus over WebSocket: rooms and channels, recovery, request and reply. The text is specs/001-protocol.",
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "defaultContentType": "application/json",
        "servers": {
            "local": { "host": "127.0.0.1:9100", "protocol": "ws", "description": "The default address of `arqonbus serve`." },
        },
        "channels": {
            "bus": {
                "address": "/v1/ws",
                "description": format!("Also at `/`. Subprotocol `{SUBPROTOCOL}`, text frames, one envelope each; several, separated by line feeds, after `connect` with `batch`."),
                "messages": channel,
                "bindings": { "ws": { "method": "GET", "bindingVersion": "0.1.0" } },
            },
        },
        "operations": operations(),
        "components": {
            "messages": messages,
            "correlationIds": {
                "request": { "description": "Comes back as `request_id`.", "location": "$message.payload#/id" },
                "response": { "description": "The `id` of the request.", "location": "$message.payload#/request_id" },
            },
        },
    })
}

fn operations() -> Map<String, Value> {
    let mut operations = Map::new();
    let publish = json!({
        "action": "receive",
        "channel": { "$ref": CHANNEL },
        "summary": "Publish to a topic, a room, a client, a user, or everybody.",
        "messages": on_channel(&["publish"]),
        "reply": { "channel": { "$ref": CHANNEL }, "messages": on_channel(&["published", "refused"]) },
    });
    operations.insert("publish".to_owned(), publish);
    for command in COMMANDS {
        let operation = json!({
            "action": "receive",
            "channel": { "$ref": CHANNEL },
            "summary": command.summary,
            "messages": on_channel(&[command.name]),
            "reply": { "channel": { "$ref": CHANNEL }, "messages": on_channel(&[&result_name(command), "refused"]) },
        });
        operations.insert(command.name.to_owned(), operation);
    }
    operations.insert("deliver".to_owned(), send("Deliver a message to those who joined its target.", &["delivery"]));
    let events: Vec<_> = EVENTS.iter().map(|event| event_message(event.name)).collect();
    operations.insert("tell".to_owned(), send("Tell what happened.", &events));
    operations.insert("complain".to_owned(), send("Refuse input that cannot be tied to a request.", &["error"]));
    operations
}

fn send(summary: &str, messages: &[impl AsRef<str>]) -> Value {
    json!({ "action": "send", "channel": { "$ref": CHANNEL }, "summary": summary, "messages": on_channel(messages) })
}

fn on_channel(names: &[impl AsRef<str>]) -> Vec<Value> {
    names.iter().map(|name| json!({ "$ref": format!("{CHANNEL}/messages/{}", name.as_ref()) })).collect()
}

fn messages() -> Map<String, Value> {
    let mut messages = Map::new();
    let mut add = |name: &str, summary: &str, correlation: Option<&str>, schema: Value| {
        let mut message = json!({
            "name": name,
            "summary": summary,
            "payload": { "schemaFormat": "application/schema+json;version=draft-2020-12", "schema": schema },
        });
        if let Some(correlation) = correlation {
            message["correlationId"] = json!({ "$ref": format!("#/components/correlationIds/{correlation}") });
        }
        messages.insert(name.to_owned(), message);
    };
    add("publish", "A message on its way in.", Some("request"), definition("ClientMessage"));
    add("published", "The ack of a message.", Some("response"), response_with(&definition("PublishResult")));
    for command in COMMANDS {
        add(command.name, command.summary, Some("request"), definition(&command_name(command)));
        add(&result_name(command), &format!("The answer to `{}`.", command.name), Some("response"), response_with(&result(command)));
    }
    add("refused", "The refusal of a message or command.", Some("response"), definition("ResponseError"));
    add("delivery", "A message on its way out.", None, definition("ServerMessage"));
    for event in EVENTS {
        add(&event_message(event.name), event.summary, None, definition(&event_name(event.name)));
    }
    add("error", "A refusal of input that cannot be tied to a request.", None, definition("ServerError"));
    messages
}

fn result_name(command: &CommandSpec) -> String {
    format!("{}_result", command.name)
}

fn event_message(name: &str) -> String {
    format!("{name}_event")
}

fn response_with(result: &Value) -> Value {
    json!({ "allOf": [definition("ResponseOk"), { "properties": { "result": result } }] })
}

/// The type of a command's result, as a place in the JSON Schema.
fn result(command: &CommandSpec) -> Value {
    let mut generator = schemars::generate::SchemaSettings::draft2020_12().into_generator();
    let reference = (command.result_schema)(&mut generator).to_value();
    let name = reference["$ref"].as_str().and_then(|path| path.rsplit('/').next()).expect("a result is a type with a name");
    definition(name)
}

fn definition(name: &str) -> Value {
    json!({ "$ref": format!("arqonbus.schema.json#/$defs/{name}") })
}
