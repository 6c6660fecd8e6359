//! Every key that a configuration may hold, read from the schema: one list for checking, showing and documenting.

use serde_json::Value;

use super::schema;

/// One key.
#[derive(Debug, Clone)]
pub(super) struct Key {
    /// Such as `limits.joins`, or `rules[].topics`.
    pub(super) path: String,
    /// What it holds.
    pub(super) kind: Kind,
    /// What it holds where nobody sets it; none within rules.
    pub(super) default: Option<Value>,
    /// What it is for.
    pub(super) about: String,
    /// What would be a valid value, as a phrase.
    pub(super) expected: String,
    /// Whether its value must not be shown: marked by `x-secret` in the schema.
    pub(super) secret: bool,
}

/// What a key holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Choice(Vec<String>),
    Number,
    Bool,
    TextList,
    /// An array of tables, whose keys are listed as `path[].…`.
    Tables,
    /// A table, whose keys are listed as `path.…`.
    Table,
}

impl Kind {
    /// As the reference names it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Text => "text".into(),
            Self::Choice(choices) => choices.iter().map(|choice| format!("`\"{choice}\"`")).collect::<Vec<_>>().join(" or "),
            Self::Number => "number".into(),
            Self::Bool => "boolean".into(),
            Self::TextList => "array of text".into(),
            Self::Tables => "array of tables".into(),
            Self::Table => "table".into(),
        }
    }

    fn expected(&self) -> String {
        match self {
            Self::Text => "text in quotes".into(),
            Self::Choice(choices) => format!("\"{}\"", choices.join("\" or \"")),
            Self::Number => "a whole number, 0 or more".into(),
            Self::Bool => "true or false".into(),
            Self::TextList => "an array of texts, such as [\"a\", \"b\"]".into(),
            Self::Tables => "an array of tables".into(),
            Self::Table => "a table".into(),
        }
    }
}

/// Every key, in the order of the schema; a table comes before its keys.
pub(super) fn keys() -> Vec<Key> {
    let schema = schema();
    let mut keys = Vec::new();
    walk(&schema, &schema, "", &mut keys);
    keys
}

/// The key at `path`, where indices count for nothing: `rules[3].topics` is `rules[].topics`.
pub(super) fn find<'a>(keys: &'a [Key], path: &str) -> Option<&'a Key> {
    let general = generalized(path);
    keys.iter().find(|key| key.path == general)
}

/// `rules[3].topics` as `rules[].topics`.
pub(super) fn generalized(path: &str) -> String {
    let mut within = false;
    path.chars()
        .filter(|char| {
            within = (within || *char == '[') && *char != ']';
            !within || *char == '['
        })
        .collect()
}

fn walk(root: &Value, object: &Value, prefix: &str, keys: &mut Vec<Key>) {
    let Some(properties) = object["properties"].as_object() else { return };
    for (name, property) in properties {
        let path = format!("{prefix}{name}");
        let target = resolved(root, property);
        let kind = kind(root, target);
        let mark = |name: &str| property.get(name);
        keys.push(Key {
            path: path.clone(),
            default: property.get("default").cloned(),
            about: property["description"].as_str().unwrap_or_default().to_owned(),
            expected: mark("x-expected").and_then(Value::as_str).map_or_else(|| kind.expected(), str::to_owned),
            secret: mark("x-secret").and_then(Value::as_bool).unwrap_or_default(),
            kind: kind.clone(),
        });
        match kind {
            Kind::Table => walk(root, target, &format!("{path}."), keys),
            Kind::Tables => walk(root, resolved(root, &target["items"]), &format!("{path}[]."), keys),
            Kind::Text | Kind::Choice(_) | Kind::Number | Kind::Bool | Kind::TextList => {}
        }
    }
}

/// What a property is once `$ref` and "or null" are looked through.
fn resolved<'a>(root: &'a Value, property: &'a Value) -> &'a Value {
    if let Some(reference) = property["$ref"].as_str() {
        return &root["$defs"][reference.trim_start_matches("#/$defs/")];
    }
    property["anyOf"].as_array().and_then(|any| any.first()).map_or(property, |first| resolved(root, first))
}

fn kind(root: &Value, target: &Value) -> Kind {
    // Enumerations whose members are documented one by one are a list of constants.
    let constants = target["oneOf"].as_array().into_iter().flatten().filter_map(|one| one["const"].as_str());
    let choices: Vec<String> =
        constants.chain(target["enum"].as_array().into_iter().flatten().filter_map(Value::as_str)).map(str::to_owned).collect();
    if !choices.is_empty() {
        return Kind::Choice(choices);
    }
    let name = target["type"].as_str().or_else(|| target["type"][0].as_str());
    match name {
        Some("integer") => Kind::Number,
        Some("boolean") => Kind::Bool,
        Some("array") if resolved(root, &target["items"])["type"] == "object" => Kind::Tables,
        Some("array") => Kind::TextList,
        Some("object") => Kind::Table,
        _ => Kind::Text,
    }
}
