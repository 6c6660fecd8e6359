use serde_json::Value;

use super::*;
use crate::EventBody;

#[test]
fn the_event_table_has_every_event() {
    let listed: Vec<_> = events::EVENTS.iter().map(|event| event.name).collect();
    assert_eq!(listed, EventBody::NAMES);
}

/// Every `$ref` of every document names something that is there.
#[test]
fn every_reference_resolves() {
    let schema = json_schema();
    let mut seen = 0;
    for (name, content) in files() {
        let document: Value = serde_json::from_str(&content).unwrap();
        for reference in references(&document) {
            let (file, pointer) = reference.split_once('#').unwrap();
            let target = if file.is_empty() { &document } else { &schema };
            assert!(target.pointer(pointer).is_some(), "{name}: {reference}");
            seen += 1;
        }
    }
    assert!(seen > 300, "{seen}");
}

#[test]
fn every_definition_is_used() {
    let schema = json_schema();
    let used: std::collections::BTreeSet<_> = files().iter().flat_map(|(_, content)| references(&serde_json::from_str(content).unwrap())).collect();
    for name in schema["$defs"].as_object().unwrap().keys() {
        let ends = format!("#/$defs/{name}");
        assert!(used.iter().any(|reference| reference.ends_with(&ends)), "{name}");
    }
}

/// A command whose arguments must be there has a definition that says so.
#[test]
fn arguments_are_required_where_one_of_them_is() {
    let schema = json_schema();
    let required = |command: &str| schema["$defs"][command]["required"].as_array().unwrap().contains(&"args".into());
    assert!(required("JoinChannelCommand"));
    assert!(!required("PingCommand"));
}

#[test]
fn the_reference_shows_each_command_event_code_and_limit() {
    let page = reference_tables();
    let codes: Vec<String> = crate::CloseCode::ALL.iter().map(|code| format!("| {} |", code.code())).collect();
    let rows = COMMANDS.iter().map(|command| format!("### {}\n", command.name));
    let rows = rows.chain(crate::ErrorCode::ALL.iter().map(|code| format!("| `{code}` |")));
    let rows = rows.chain(EventBody::NAMES.iter().map(|name| format!("| `{name}` |"))).chain(codes);
    for row in rows.chain(crate::limits::ALL.iter().map(|limit| format!("| `{}` | {} |", limit.name.to_lowercase(), limit.value))) {
        assert!(page.contains(&row), "{row}");
    }
}

fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Object(members) => {
            let own = members.get("$ref").and_then(Value::as_str).map(str::to_owned);
            own.into_iter().chain(members.values().flat_map(references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}
