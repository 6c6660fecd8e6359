//! The schema of the wire, emitted from the types: what `schema/` and the reference tables hold.

mod asyncapi;
mod codes;
mod envelopes;
mod events;
mod reference;
#[cfg(test)]
mod tests;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::{COMMANDS, MessageId, PROTOCOL_VERSION, PublishResult, Refusal};

/// Where the JSON Schema is published, and what other documents call it.
pub const SCHEMA_ID: &str = "https://arqonbus.dev/schema/v1/arqonbus.schema.json";

/// Every file under `schema/`, as its path there and its content.
///
/// Pure: `cargo xtask schema` writes them, a test compares them, a server serves them.
///
/// ```
/// let names: Vec<_> = arqonbus_protocol::schema::files().into_iter().map(|(name, _)| name).collect();
/// assert_eq!(names, ["arqonbus.schema.json", "asyncapi.json", "codes.json"]);
/// ```
#[must_use]
pub fn files() -> Vec<(&'static str, String)> {
    vec![("arqonbus.schema.json", pretty(&json_schema())), ("asyncapi.json", pretty(&asyncapi::document())), ("codes.json", pretty(&codes::lists()))]
}

/// The JSON Schema (2020-12) of every envelope, in both directions.
#[must_use]
pub fn json_schema() -> Value {
    let mut defs = Map::new();
    defs.extend(envelopes::definitions());
    for (name, schema) in type_definitions() {
        let other = defs.insert(name, schema);
        assert!(other.is_none(), "an envelope and a type have the same name");
    }
    tighten(&mut defs);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": format!("ArqonBus envelopes, version {PROTOCOL_VERSION}"),
        "description": "One envelope, in either direction. A member of an envelope that is null counts as missing, except payload. Members that are not listed are ignored. \
                        What a schema cannot say (duplicate keys, depth, sizes in bytes) stands in specs/001-protocol.",
        "oneOf": [{ "$ref": "#/$defs/ClientEnvelope" }, { "$ref": "#/$defs/ServerEnvelope" }],
        "$defs": defs,
    })
}

/// The markdown of `docs/reference/protocol-tables.md`.
#[must_use]
pub fn reference_tables() -> String {
    reference::markdown()
}

/// The schemas of all arguments, results, event data and the types within them, as schemars derives them.
fn type_definitions() -> Map<String, Value> {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    for command in COMMANDS {
        (command.args_schema)(&mut generator);
        (command.result_schema)(&mut generator);
    }
    for event in events::EVENTS {
        (event.data_schema)(&mut generator);
    }
    generator.subschema_for::<PublishResult>();
    generator.subschema_for::<Refusal>();
    generator.subschema_for::<MessageId>();
    generator.take_definitions(true)
}

/// Says what the derived schemas cannot: facts that hold between types.
fn tighten(defs: &mut Map<String, Value>) {
    let place = |defs: &mut Map<String, Value>, name: &str, pointer: &str, value: Value| {
        let def = defs.get_mut(name).expect("the type is part of the schema");
        *def.pointer_mut(pointer).expect("the type has this member") = value;
    };
    place(defs, "HistoryResult", "/properties/messages/items", reference_to("ServerMessage"));
    let whom = defs.get_mut("DisconnectArgs").expect("the type is part of the schema");
    whom["oneOf"] = json!([
        { "allOf": [envelopes::given("client"), envelopes::missing("user")] },
        { "allOf": [envelopes::given("user"), envelopes::missing("client")] },
    ]);
    // A newer server may know more codes; a client goes by `retry` then.
    let code = json!({
        "description": "What went wrong. A client treats a code that it does not know by its `retry`.",
        "anyOf": [reference_to("ErrorCode"), { "type": "string" }],
    });
    place(defs, "Error", "/properties/code", code);
}

fn reference_to(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn pretty(value: &Value) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("a value serializes");
    text.push('\n');
    text
}
