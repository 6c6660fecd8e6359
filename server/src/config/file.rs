//! One layer of settings, from TOML text with lines or from a single `key=value`, as leaves that know where they come from.

use std::ops::Range;
use std::path::Path;

use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{Key, Kind, find};
use super::mistake::{Mistake, Source, nearest};

/// One value of a known key.
#[derive(Debug, Clone)]
pub(super) struct Leaf {
    /// Such as `limits.joins` or `rules[0].topics`.
    pub(super) path: String,
    pub(super) value: toml::Value,
    pub(super) source: Source,
}

/// What one source sets, and what is wrong with its form. The values themselves are not looked at yet.
#[derive(Debug, Default)]
pub(super) struct Layer {
    pub(super) leaves: Vec<Leaf>,
    pub(super) mistakes: Vec<Mistake>,
}

/// Reads a configuration file.
pub(super) fn from_file(path: &Path, text: &str, keys: &[Key]) -> Layer {
    let line = |at: usize| Source::File { path: path.to_owned(), line: 1 + text[..at.min(text.len())].matches('\n').count() };
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Layer { leaves: Vec::new(), mistakes: syntax_mistakes(errors, line) };
    }
    let mut walk = Walk { keys, source: &|span: Range<usize>| line(span.start), layer: Layer::default() };
    walk.table(table.get_ref(), "");
    walk.layer
}

/// Reads `text` as the value of `path`. Quotes around text may be left out, and a list of texts may be `a,b`.
pub(super) fn from_text(path: &str, text: &str, source: &Source, keys: &[Key]) -> Layer {
    let mut walk = Walk { keys, source: &|_| source.clone(), layer: Layer::default() };
    let Some(key) = find(keys, path) else {
        walk.unknown(path, source.clone());
        return walk.layer;
    };
    let parsed = DeValue::parse(text);
    match (&key.kind, parsed) {
        (Kind::Text | Kind::Choice(_), Ok(value)) if value.get_ref().is_str() => walk.value(&value, path, key),
        (Kind::Text | Kind::Choice(_), _) => walk.leaf(path, text.into(), source.clone()),
        (Kind::TextList, Ok(value)) if value.get_ref().is_array() => walk.value(&value, path, key),
        (Kind::TextList, _) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            walk.leaf(path, items.map(toml::Value::from).collect::<Vec<_>>().into(), source.clone());
        }
        (_, Ok(value)) => walk.value(&value, path, key),
        (_, Err(_)) => walk.expected(path, key, source.clone()),
    }
    walk.layer
}

/// At most one for each line, in order: one slip makes a parser complain about all that follows on it.
fn syntax_mistakes(errors: Vec<toml::de::Error>, line: impl Fn(usize) -> Source) -> Vec<Mistake> {
    let mut errors: Vec<_> = errors.into_iter().map(|error| (error.span().map_or(0, |span| span.start), error.message().to_owned())).collect();
    errors.sort();
    let mut mistakes: Vec<_> =
        errors.into_iter().map(|(at, why)| Mistake { source: line(at), key: String::new(), why: format!("not TOML: {why}") }).collect();
    mistakes.dedup_by(|a, b| a.source == b.source);
    mistakes
}

/// Goes through a table and takes out its leaves.
struct Walk<'a> {
    keys: &'a [Key],
    source: &'a dyn Fn(Range<usize>) -> Source,
    layer: Layer,
}

impl Walk<'_> {
    /// `prefix` is empty or ends in a dot.
    fn table(&mut self, table: &DeTable<'_>, prefix: &str) {
        for (name, value) in table {
            let path = format!("{prefix}{}", name.get_ref());
            match find(self.keys, &path) {
                Some(key) => self.value(value, &path, key),
                None => self.unknown(&path, (self.source)(name.span())),
            }
        }
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, path: &str, key: &Key) {
        let source = (self.source)(value.span());
        match (&key.kind, value.get_ref()) {
            (Kind::Table, DeValue::Table(table)) => self.table(table, &format!("{path}.")),
            (Kind::Tables, DeValue::Array(items)) => {
                // An empty array is a setting, too: it replaces what an earlier layer says.
                self.leaf(path, toml::Value::Array(Vec::new()), source);
                for (index, item) in items.iter().enumerate() {
                    self.item(item, &format!("{path}[{index}]"), key);
                }
            }
            (Kind::Table | Kind::Tables, _) => self.expected(path, key, source),
            (Kind::Text | Kind::Choice(_) | Kind::Number | Kind::Bool | Kind::TextList, _) => {
                match toml::Value::deserialize(toml::de::ValueDeserializer::from(value.clone())) {
                    Ok(value) => self.leaf(path, value, source),
                    Err(_) => self.expected(path, key, source),
                }
            }
        }
    }

    fn item(&mut self, item: &Spanned<DeValue<'_>>, path: &str, array: &Key) {
        let source = (self.source)(item.span());
        let DeValue::Table(table) = item.get_ref() else { return self.expected(path, array, source) };
        self.leaf(path, toml::Value::Table(toml::Table::new()), source);
        self.table(table, &format!("{path}."));
    }

    fn leaf(&mut self, path: &str, value: toml::Value, source: Source) {
        self.layer.leaves.push(Leaf { path: path.to_owned(), value, source });
    }

    fn expected(&mut self, path: &str, key: &Key, source: Source) {
        self.layer.mistakes.push(Mistake { source, key: path.to_owned(), why: format!("expected {}", key.expected) });
    }

    fn unknown(&mut self, path: &str, source: Source) {
        let meant = nearest(&super::keys::generalized(path), self.keys.iter().map(|key| key.path.as_str()));
        let why = meant.map_or_else(|| "unknown key".to_owned(), |meant| format!("unknown key; did you mean {meant}?"));
        self.layer.mistakes.push(Mistake { source, key: path.escape_debug().to_string(), why });
    }
}
