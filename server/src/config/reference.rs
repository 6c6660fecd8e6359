//! The schema of the configuration, and the reference that is written from it.

use std::fmt::Write as _;

use serde_json::Value;

use super::Config;
use super::keys::{Key, Kind, keys};
use super::load::variable;

/// The JSON Schema (2020-12) of the configuration file.
#[must_use]
pub fn schema() -> Value {
    schemars::schema_for!(Config).to_value()
}

/// The reference of every key, as Markdown.
#[must_use]
pub fn reference() -> String {
    let keys = keys();
    let mut out = HEAD.to_owned();
    section(&mut out, "", keys.iter().filter(|key| !key.path.contains('.') && key.kind != Kind::Table));
    for table in keys.iter().filter(|key| key.kind == Kind::Table && !key.path.contains('[')) {
        let inner = format!("{}.", table.path);
        heading(&mut out, &format!("[{}]", table.path), &table.about);
        let direct = |key: &&Key| key.path.strip_prefix(&inner).is_some_and(|name| !name.contains('.')) && key.kind != Kind::Table;
        section(&mut out, &inner, keys.iter().filter(direct));
    }
    for array in keys.iter().filter(|key| key.kind == Kind::Tables) {
        let inner = format!("{}[].", array.path);
        heading(&mut out, &format!("[[{}]]", array.path), &array.about);
        section(&mut out, &inner, keys.iter().filter(|key| key.path.starts_with(&inner) && key.kind != Kind::Table));
    }
    out
}

const HEAD: &str = "\
# Configuration

<!-- Generated: `arqonbus config reference > docs/reference/configuration.md`. -->

Every key has a default; an empty file is valid. Later sources win: the defaults below, then the file (`--config`, `$ARQONBUS_CONFIG`, or
`arqonbus.toml` in the working directory), then the environment, then flags (`--listen`, `--port`, `--admin`, `--set key=value`).

- In the environment, `limits.joins` is `ARQONBUS_LIMITS__JOINS`: capitals, `__` for the dot. Text needs no quotes; a list of texts may be `a,b`; anything else
  is written as in TOML.
- Unknown keys are refused in every source. Every mistake is reported at once, with the file and line, the variable, or the flag: `arqonbus config check`.
- `arqonbus config show` prints what applies, and where each value comes from. `arqonbus config schema` prints the JSON Schema, for editors.
- The variables by which Docker and Kubernetes describe a service of this name (`ARQONBUS_PORT…`, `ARQONBUS_SERVICE_…`) are not taken for keys.
- An array of tables (`rules`) is replaced as a whole by a later source. What a rule's `history` leaves out is as in the general `history`.
";

fn heading(out: &mut String, title: &str, about: &str) {
    writeln!(out, "\n## `{title}`\n\n{about}").expect("a string takes everything");
}

fn section<'a>(out: &mut String, prefix: &str, keys: impl Iterator<Item = &'a Key>) {
    let in_rules = prefix.contains('[');
    let (head, rule) = if in_rules {
        ("| key | type | meaning |", "|---|---|---|")
    } else {
        ("| key | type | default | variable | meaning |", "|---|---|---|---|---|")
    };
    writeln!(out, "\n{head}\n{rule}").expect("a string takes everything");
    for key in keys {
        let (name, kind, about) = (key.path.trim_start_matches(prefix), key.kind.name(), key.about.replace('\n', " "));
        let default = key.default.as_ref().map_or_else(String::new, |default| format!("`{default}`"));
        if in_rules {
            writeln!(out, "| `{name}` | {kind} | {about} |")
        } else {
            writeln!(out, "| `{name}` | {kind} | {default} | `{}` | {about} |", variable(&key.path))
        }
        .expect("a string takes everything");
    }
}
