//! Writes the TypeScript types of the wire from `schema/arqonbus.schema.json`, which comes from the Rust types.

use serde_json::{Map, Value};

/// Envelopes that the package does not show: they are conditions rather than shapes.
const LEFT_OUT: &[&str] = &[
    "ClientEnvelope",
    "ServerEnvelope",
    "ClientMessage",
    "ClientCommand",
    "ServerResponse",
    "ResponseOk",
    "ResponseError",
    "ServerEvent",
    "ServerError",
];

const HEAD: &str = "\
/**
 * The types of the wire. Generated from `schema/arqonbus.schema.json` by `sdk-js/run-tests types`; do not edit: a test fails when the two
 * disagree.
 */
";

/// The whole file.
pub(crate) fn render(schema: &Value) -> Result<String, String> {
    let defs = schema["$defs"].as_object().ok_or("the schema has no $defs")?;
    let mut out = HEAD.to_owned();
    for (name, def) in defs {
        let hidden = LEFT_OUT.contains(&name.as_str()) || name.ends_with("Command") || name.ends_with("Event");
        if !hidden {
            define(&mut out, type_name(name), def)?;
        }
    }
    commands(&mut out, defs)?;
    Ok(out)
}

/// `Error` is JavaScript's own.
fn type_name(name: &str) -> &str {
    if name == "Error" { "Refusal" } else { name }
}

fn define(out: &mut String, name: &str, def: &Value) -> Result<(), String> {
    out.push('\n');
    document(out, def, "");
    match def["properties"].as_object() {
        Some(properties) => {
            out.push_str(&format!("export interface {name} {{\n"));
            members(out, properties, &def["required"])?;
            out.push_str("}\n");
        }
        None if def["type"] == "object" && def.get("additionalProperties").is_none() => {
            out.push_str(&format!("export type {name} = Record<string, never>;\n"));
        }
        None => out.push_str(&format!("export type {name} = {};\n", shape(def)?)),
    }
    Ok(())
}

fn members(out: &mut String, properties: &Map<String, Value>, required: &Value) -> Result<(), String> {
    let required: Vec<&str> = required.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, property) in properties {
        let described =
            [property].into_iter().chain(property["anyOf"].as_array().into_iter().flatten()).find(|part| part.get("description").is_some());
        document(out, described.unwrap_or(property), "  ");
        let shape = shape(property)?;
        let member = if required.contains(&name.as_str()) { format!("{name}: {shape}") } else { format!("{name}?: {shape} | undefined") };
        out.push_str(&format!("  {member};\n"));
    }
    Ok(())
}

fn document(out: &mut String, def: &Value, indent: &str) {
    if let Some(text) = def["description"].as_str() {
        out.push_str(&format!("{indent}/** {} */\n", text.replace('\n', " ").replace("*/", "* /")));
    }
}

fn shape(schema: &Value) -> Result<String, String> {
    if let Some(reference) = schema["$ref"].as_str() {
        return Ok(type_name(reference.rsplit('/').next().unwrap_or(reference)).to_owned());
    }
    if let Some(constant) = schema.get("const") {
        return Ok(constant.to_string());
    }
    if let Some(variants) = schema["enum"].as_array() {
        return Ok(union(variants.iter().map(Value::to_string).collect()));
    }
    if let Some(variants) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()) {
        return variants.iter().map(shape).collect::<Result<_, _>>().map(union);
    }
    match &schema["type"] {
        Value::Array(types) => {
            let each = types.iter().map(|one| shape(&with_type(schema, one)));
            each.collect::<Result<_, _>>().map(union)
        }
        Value::String(name) => typed(name, schema),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Ok("unknown".to_owned()),
    }
}

fn typed(name: &str, schema: &Value) -> Result<String, String> {
    Ok(match name {
        "string" => "string".to_owned(),
        "integer" | "number" => "number".to_owned(),
        "boolean" => "boolean".to_owned(),
        "null" => "null".to_owned(),
        "array" => format!("{}[]", parenthesized(shape(&schema["items"])?)),
        "object" => match schema.get("additionalProperties") {
            Some(Value::Object(_)) => format!("Record<string, {}>", shape(&schema["additionalProperties"])?),
            _ => "Record<string, unknown>".to_owned(),
        },
        other => return Err(format!("no type for {other}")),
    })
}

fn with_type(schema: &Value, name: &Value) -> Value {
    let mut one = schema.clone();
    one["type"] = name.clone();
    one
}

fn union(mut parts: Vec<String>) -> String {
    parts.dedup();
    parts.join(" | ")
}

fn parenthesized(shape: String) -> String {
    if shape.contains(" | ") { format!("({shape})") } else { shape }
}

/// Each command by name, with its arguments and its result.
fn commands(out: &mut String, defs: &Map<String, Value>) -> Result<(), String> {
    out.push_str("\n/** Every command: its arguments and its result. */\nexport interface Commands {\n");
    for def in defs.iter().filter(|(name, _)| name.ends_with("Command") && *name != "ClientCommand").map(|(_, def)| def) {
        let name = def["properties"]["command"]["const"].as_str().ok_or("a command has no name")?;
        let args = shape(&def["properties"]["args"])?;
        let args = args.split(" | ").next().unwrap_or(&args).to_owned();
        let result = args.replace("Args", "Result");
        if !defs.contains_key(&result) {
            return Err(format!("{name} has no {result}"));
        }
        document(out, def, "  ");
        out.push_str(&format!("  {name}: {{ args: {args}; result: {result} }};\n"));
    }
    out.push_str("}\n");
    Ok(())
}
