//! Puts the layers together: defaults, the file, the environment, flags. Every mistake of every layer is told at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize as _;

use super::Config;
use super::file::{Layer, Leaf, from_file, from_text};
use super::keys::{Key, find, keys};
use super::mistake::{ConfigErrors, Mistake, Source, nearest};

/// The file that is read where none is named.
const DEFAULT_FILE: &str = "arqonbus.toml";
/// What the environment's names of keys begin with.
const PREFIX: &str = "ARQONBUS_";
/// Variables of the command line that are no keys.
const NOT_KEYS: [&str; 3] = ["ARQONBUS_CONFIG", "ARQONBUS_URL", "ARQONBUS_TOKEN"];

/// What the command line sets, over everything else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--listen`.
    pub listen: Option<String>,
    /// `--port`: replaces the port of `listen`, wherever that comes from; 0 also frees the port of `admin` where nothing sets it.
    pub port: Option<u16>,
    /// `--admin`.
    pub admin: Option<String>,
    /// `--set key=value`, in order.
    pub set: Vec<String>,
}

/// A valid configuration, and where its values come from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What applies.
    pub config: Config,
    /// The file that was read, where there was one.
    pub file: Option<PathBuf>,
    /// Where each value that somebody set comes from, by key; what is not here is the default.
    pub sources: BTreeMap<String, Source>,
}

/// Loads the configuration: defaults, then `path` (or `arqonbus.toml` here, where it exists), then `ARQONBUS_*` of `env`, then `overrides`.
///
/// # Errors
/// Every mistake of every source: syntax, unknown keys, wrong types, and values that do not make sense together.
pub fn load(path: Option<&Path>, env: impl IntoIterator<Item = (String, String)>, overrides: &Overrides) -> Result<Loaded, ConfigErrors> {
    let keys = keys();
    let path = path.map(Path::to_owned).or_else(|| Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()));
    let file = path.as_deref().map(|path| read(path, &keys)).unwrap_or_default();
    let mut settled = Settled::default();
    settled.lay(file);
    for (name, value) in variables(env) {
        settled.lay(from_variable(&name, &value, &keys));
    }
    for layer in from_flags(overrides, &keys) {
        settled.lay(layer);
    }
    if let Some(port) = overrides.port {
        settled.port(port);
    }
    settled.finish(path, &keys)
}

fn read(path: &Path, keys: &[Key]) -> Layer {
    match std::fs::read_to_string(path) {
        Ok(text) => from_file(path, &text, keys),
        Err(error) => {
            let source = Source::File { path: path.to_owned(), line: 0 };
            Layer { leaves: Vec::new(), mistakes: vec![Mistake { source, key: String::new(), why: format!("cannot be read: {error}") }] }
        }
    }
}

/// The variables that are meant for the configuration, by name.
///
/// Docker and Kubernetes describe a service called `arqonbus` to its neighbours by `ARQONBUS_PORT=tcp://…`, `ARQONBUS_SERVICE_HOST` and the
/// like. Nobody wrote those, and no key has such a name.
fn variables(env: impl IntoIterator<Item = (String, String)>) -> BTreeMap<String, String> {
    let of_a_platform = |rest: &str| rest == "PORT" || ["PORT_", "SERVICE_HOST", "SERVICE_PORT"].iter().any(|start| rest.starts_with(start));
    env.into_iter()
        .filter(|(name, _)| name.strip_prefix(PREFIX).is_some_and(|rest| !of_a_platform(rest)) && !NOT_KEYS.contains(&name.as_str()))
        .collect()
}

/// `ARQONBUS_LIMITS__JOINS` is `limits.joins`.
fn from_variable(name: &str, value: &str, keys: &[Key]) -> Layer {
    let source = Source::Variable(name.to_owned());
    let path = name[PREFIX.len()..].to_ascii_lowercase().replace("__", ".");
    if find(keys, &path).is_some() && name == variable(&path) {
        return from_text(&path, value, &source, keys);
    }
    let known: Vec<String> = keys.iter().filter(|key| !key.path.contains('[')).map(|key| variable(&key.path)).collect();
    let meant = nearest(&name.to_ascii_uppercase(), known.iter().map(String::as_str));
    let why = meant.map_or_else(|| "no key has this name".to_owned(), |meant| format!("no key has this name; did you mean {meant}?"));
    Layer { leaves: Vec::new(), mistakes: vec![Mistake { source, key: String::new(), why }] }
}

/// The environment's name of a key.
pub(super) fn variable(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', "__").to_ascii_uppercase())
}

fn from_flags(overrides: &Overrides, keys: &[Key]) -> Vec<Layer> {
    let set = overrides.set.iter().map(|text| match text.split_once('=') {
        Some((path, value)) => {
            let source = Source::Flag(format!("--set {}", path.trim()));
            if find(keys, path.trim()).is_some_and(|key| key.secret) {
                not_by_flag(path.trim(), source)
            } else {
                from_text(path.trim(), value.trim(), &source, keys)
            }
        }
        None => {
            let why = format!("expected key=value, such as limits.joins=100, not {text:?}");
            Layer { leaves: Vec::new(), mistakes: vec![Mistake { source: Source::Flag("--set".into()), key: String::new(), why }] }
        }
    });
    let named = [("--listen", "listen", &overrides.listen), ("--admin", "admin", &overrides.admin)];
    let named = named.into_iter().filter_map(|(flag, path, value)| Some(from_text(path, value.as_ref()?, &Source::Flag(flag.into()), keys)));
    set.chain(named).collect()
}

/// Everybody on the machine can read a command line.
fn not_by_flag(path: &str, source: Source) -> Layer {
    let why = format!("a secret is not taken from the command line, where other processes see it; set {} or the key in the file", variable(path));
    Layer { leaves: Vec::new(), mistakes: vec![Mistake { source, key: path.to_owned(), why }] }
}

/// The layers put together so far.
#[derive(Debug, Default)]
struct Settled {
    leaves: BTreeMap<String, Leaf>,
    mistakes: Vec<Mistake>,
}

impl Settled {
    /// Puts a layer over those before. An array of tables is replaced as a whole.
    fn lay(&mut self, layer: Layer) {
        self.mistakes.extend(layer.mistakes);
        for leaf in layer.leaves {
            if leaf.value.as_array().is_some_and(Vec::is_empty) {
                let items = format!("{}[", leaf.path);
                self.leaves.retain(|path, _| !path.starts_with(&items));
            }
            self.leaves.insert(leaf.path.clone(), leaf);
        }
    }

    /// Replaces the port of `listen`.
    fn port(&mut self, port: u16) {
        let before = self.leaves.get("listen").and_then(|leaf| leaf.value.as_str()?.parse().ok());
        let mut address = before.unwrap_or(Config::default().listen);
        address.set_port(port);
        let source = Source::Flag("--port".into());
        // Whoever starts a bus on any port starts several, and their operators' listeners must not meet either.
        if port == 0 {
            let admin = Leaf { path: "admin".into(), value: "127.0.0.1:0".into(), source: source.clone() };
            self.leaves.entry("admin".into()).or_insert(admin);
        }
        self.leaves.insert("listen".into(), Leaf { path: "listen".into(), value: address.to_string().into(), source });
    }

    /// Checks each value by itself, then all of them together.
    fn finish(mut self, file: Option<PathBuf>, keys: &[Key]) -> Result<Loaded, ConfigErrors> {
        self.refuse_values(keys);
        self.refuse_rules_without_topics();
        let config = assemble(self.leaves.values());
        let told: Vec<String> = self.mistakes.iter().map(|mistake| mistake.key.clone()).collect();
        let problems = config.check().into_iter().filter(|problem| !told.contains(&problem.key));
        self.mistakes.extend(problems.map(|problem| Mistake { source: source_of(&self.leaves, &problem.key), key: problem.key, why: problem.why }));
        if !self.mistakes.is_empty() {
            return Err(ConfigErrors(self.mistakes));
        }
        let sources = self.leaves.into_iter().map(|(path, leaf)| (path, leaf.source)).collect();
        Ok(Loaded { config, file, sources })
    }

    /// Takes out what is not of its key's type or form.
    fn refuse_values(&mut self, keys: &[Key]) {
        let mistakes = &mut self.mistakes;
        self.leaves.retain(|path, leaf| {
            let Err(why) = accepted(leaf, keys) else { return true };
            mistakes.push(Mistake { source: leaf.source.clone(), key: path.clone(), why });
            false
        });
    }

    /// A rule says which topics it is for, or it says nothing.
    fn refuse_rules_without_topics(&mut self) {
        let rules: Vec<(String, Source)> =
            self.leaves.iter().filter(|(path, _)| path.ends_with(']')).map(|(path, leaf)| (path.clone(), leaf.source.clone())).collect();
        for (rule, source) in rules {
            let topics = format!("{rule}.topics");
            if self.leaves.contains_key(&topics) {
                continue;
            }
            if !self.mistakes.iter().any(|mistake| mistake.key == topics) {
                self.mistakes.push(Mistake { source, key: topics, why: "missing: a rule names the topics that it is for".into() });
            }
            self.leaves.retain(|path, _| !path.starts_with(&rule));
        }
    }
}

/// Tries a value alone, over defaults: what is wrong then is wrong with this value.
fn accepted(leaf: &Leaf, keys: &[Key]) -> Result<(), String> {
    let topics = |path: &str| Leaf { path: path.to_owned(), value: "a:b".into(), source: Source::Default };
    let alone = match leaf.path.split_once("].") {
        Some((_, "topics")) | None => vec![Leaf { path: at_first_item(&leaf.path), ..leaf.clone() }],
        Some(_) => vec![topics("rules[0].topics"), Leaf { path: at_first_item(&leaf.path), ..leaf.clone() }],
    };
    if leaf.path.ends_with(']') {
        return Ok(());
    }
    let Err(error) = Config::deserialize(table(alone.iter())) else { return Ok(()) };
    let why = error.message();
    let general = ["invalid type", "invalid value", "unknown variant", "out of range", "invalid socket address"];
    let key = find(keys, &leaf.path).expect("leaves are of known keys");
    if general.iter().any(|start| why.starts_with(start)) { Err(format!("expected {}", key.expected)) } else { Err(why.to_owned()) }
}

fn at_first_item(path: &str) -> String {
    path.split_once('[').and_then(|(array, rest)| Some(format!("{array}[0]{}", rest.split_once(']')?.1))).unwrap_or_else(|| path.to_owned())
}

/// All values together; each was accepted alone.
fn assemble<'a>(leaves: impl Iterator<Item = &'a Leaf>) -> Config {
    let mut table = table(leaves);
    inherit_history(&mut table);
    Config::deserialize(table).expect("each value was accepted alone, and no value changes the type of another")
}

/// What a rule's `history` leaves out is as in the general one.
fn inherit_history(table: &mut toml::Table) {
    let general = table.get("history").and_then(toml::Value::as_table).cloned().unwrap_or_default();
    for rule in table.get_mut("rules").and_then(toml::Value::as_array_mut).into_iter().flatten() {
        let Some(history) = rule.get_mut("history").and_then(toml::Value::as_table_mut) else { continue };
        for (name, value) in &general {
            history.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
}

fn table<'a>(leaves: impl Iterator<Item = &'a Leaf>) -> toml::Table {
    let mut root = toml::Table::new();
    let mut items: BTreeMap<(String, usize), toml::Table> = BTreeMap::new();
    for leaf in leaves {
        match indexed(&leaf.path) {
            Some((array, index, rest)) => {
                let item = items.entry((array.to_owned(), index)).or_default();
                if !rest.is_empty() {
                    insert(item, rest, leaf.value.clone());
                }
            }
            None => insert(&mut root, &leaf.path, leaf.value.clone()),
        }
    }
    for ((array, _), item) in items {
        let list = root.entry(array).or_insert_with(|| toml::Value::Array(Vec::new()));
        list.as_array_mut().expect("keys of arrays hold arrays").push(item.into());
    }
    root
}

/// `rules[3].history.age_ms` is of `rules`, the fourth, `history.age_ms`.
fn indexed(path: &str) -> Option<(&str, usize, &str)> {
    let (array, rest) = path.split_once('[')?;
    let (index, rest) = rest.split_once(']')?;
    Some((array, index.parse().ok()?, rest.trim_start_matches('.')))
}

fn insert(table: &mut toml::Table, path: &str, value: toml::Value) {
    match path.split_once('.') {
        None => drop(table.insert(path.to_owned(), value)),
        Some((name, rest)) => {
            let inner = table.entry(name).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            insert(inner.as_table_mut().expect("keys of tables hold tables"), rest, value);
        }
    }
}

/// Where the value of `key` comes from, or the nearest thing around it.
fn source_of(leaves: &BTreeMap<String, Leaf>, key: &str) -> Source {
    let ends = (1..=key.len()).rev().filter(|end| key.is_char_boundary(*end));
    ends.filter_map(|end| leaves.get(&key[..end])).map(|leaf| leaf.source.clone()).next().unwrap_or(Source::Default)
}
