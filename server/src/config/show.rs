//! The configuration that applies, as TOML that says where each value comes from.

use std::fmt::Write as _;

use super::keys::{Key, Kind, keys};
use super::{Loaded, Source};

impl Loaded {
    /// The whole configuration as TOML. What somebody set says where; what is secret is not shown.
    #[must_use]
    pub fn show(&self) -> String {
        let keys = keys();
        let config = toml::Table::try_from(&self.config).expect("every value of a configuration has a form in TOML");
        let mut show = Show { loaded: self, keys: &keys, out: String::new() };
        show.table(&config, "", "");
        show.out
    }
}

struct Show<'a> {
    loaded: &'a Loaded,
    keys: &'a [Key],
    out: String,
}

impl Show<'_> {
    /// Writes the values of a table, then its tables: TOML takes what follows a header as its own.
    fn table(&mut self, table: &toml::Table, shown: &str, path: &str) {
        let keys = self.keys;
        let within = |key: &&Key| key.path.strip_prefix(&super::keys::generalized(path)).is_some_and(|name| !name.contains('.') && !name.is_empty());
        for key in keys.iter().filter(within) {
            let name = key.path.rsplit('.').next().expect("a path has a last part");
            let Some(value) = table.get(name) else { continue };
            if !matches!(key.kind, Kind::Table | Kind::Tables) {
                self.value(name, &format!("{path}{name}"), if key.secret && value.as_str() != Some("") { &REDACTED } else { value });
            }
        }
        for key in keys.iter().filter(within) {
            let name = key.path.rsplit('.').next().expect("a path has a last part");
            let header = format!("{shown}{name}");
            match table.get(name) {
                Some(toml::Value::Table(inner)) => {
                    self.line(&format!("\n[{header}]"), None);
                    self.table(inner, &format!("{header}."), &format!("{path}{name}."));
                }
                Some(toml::Value::Array(items)) if key.kind == Kind::Tables => {
                    for (index, item) in items.iter().filter_map(toml::Value::as_table).enumerate() {
                        self.line(&format!("\n[[{header}]]"), None);
                        self.table(item, &format!("{header}."), &format!("{path}{name}[{index}]."));
                    }
                }
                _ => {}
            }
        }
    }

    fn value(&mut self, name: &str, path: &str, value: &toml::Value) {
        let source = self.loaded.sources.get(path);
        self.line(&format!("{name} = {value}"), source);
    }

    fn line(&mut self, text: &str, source: Option<&Source>) {
        match source {
            Some(source) => writeln!(self.out, "{text}  # {source}"),
            None => writeln!(self.out, "{text}"),
        }
        .expect("a string takes everything");
    }
}

/// Stands for what is not shown.
static REDACTED: std::sync::LazyLock<toml::Value> = std::sync::LazyLock::new(|| "<redacted>".into());
