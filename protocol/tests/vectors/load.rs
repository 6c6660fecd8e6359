//! Reads the vectors, and checks them against their index.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Who sends a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Client,
    Server,
}

/// A text that is read without complaint.
pub(crate) struct Frame {
    pub(crate) file: String,
    pub(crate) name: String,
    pub(crate) direction: Direction,
    pub(crate) text: String,
    /// What each of its envelopes means.
    pub(crate) decoded: Vec<Value>,
    pub(crate) encoded: Option<String>,
    pub(crate) result_of: Option<String>,
    pub(crate) batch: bool,
}

impl Frame {
    /// The texts of its envelopes: one, or the lines of a batch that are not blank.
    pub(crate) fn texts(&self) -> Vec<&str> {
        if self.batch { self.text.split('\n').filter(|line| !line.trim().is_empty()).collect() } else { vec![&self.text] }
    }
}

/// A text that a server refuses.
pub(crate) struct Refusal {
    pub(crate) file: String,
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) code: String,
    pub(crate) at: String,
    pub(crate) id: Option<String>,
    pub(crate) schema_valid: bool,
}

pub(crate) fn frames() -> Vec<Frame> {
    let cases = cases("frames").into_iter().map(|(file, case)| {
        let batch = case["decoded"].is_array();
        let decoded = if let Value::Array(all) = &case["decoded"] { all.clone() } else { vec![case["decoded"].clone()] };
        let direction = match case["direction"].as_str() {
            Some("client") => Direction::Client,
            Some("server") => Direction::Server,
            other => panic!("{file}: no such direction: {other:?}"),
        };
        let optional = |member: &str| case.get(member).map(|_| string(&case, member));
        let (encoded, result_of) = (optional("encoded"), optional("result_of"));
        Frame { name: string(&case, "name"), direction, text: text(&case), decoded, encoded, result_of, batch, file }
    });
    cases.collect()
}

pub(crate) fn refusals() -> Vec<Refusal> {
    let cases = cases("refusals").into_iter().map(|(file, case)| {
        assert_eq!(case["direction"], "client", "{file}");
        Refusal {
            name: string(&case, "name"),
            text: text(&case),
            code: string(&case, "code"),
            at: string(&case, "at"),
            id: case.get("id").map(|_| string(&case, "id")),
            schema_valid: case["schema_valid"].as_bool().expect("schema_valid is a boolean"),
            file,
        }
    });
    cases.collect()
}

/// How many vectors of `kind` the index states.
pub(crate) fn count(kind: &str) -> usize {
    usize::try_from(index()[kind]["count"].as_u64().expect("the index states a count")).expect("a count is small")
}

/// The index names every file, with its count, and names nothing that is not there; names are sentences that occur once.
pub(crate) fn assert_index() {
    let index = index();
    for kind in ["frames", "refusals"] {
        let listed: BTreeSet<String> = index[kind]["files"].as_object().expect("files is an object").keys().cloned().collect();
        let present: BTreeSet<String> = fs::read_dir(root().join(kind))
            .expect("the kind has a directory")
            .map(|entry| format!("{kind}/{}", entry.expect("a directory can be listed").file_name().to_string_lossy()))
            .collect();
        assert_eq!(present, listed, "index.json lists other files than there are");
        for file in &listed {
            assert_eq!(read(file).as_array().map(Vec::len), index[kind]["files"][file].as_u64().map(|count| count as usize), "{file}");
        }
        let cases = cases(kind);
        assert_eq!(cases.len(), count(kind), "{kind}");
        let names: BTreeSet<_> = cases.iter().map(|(_, case)| string(case, "name")).collect();
        assert_eq!(names.len(), cases.len(), "two {kind} have the same name");
    }
    let dialogues = read(index["dialogues"]["index"].as_str().expect("the index says where the dialogues are listed"));
    assert_eq!(index["dialogues"]["count"], dialogues["count"], "both lists count the dialogues alike");
}

/// Every case of one kind, with its file.
fn cases(kind: &str) -> Vec<(String, Value)> {
    let index = index();
    let files = index[kind]["files"].as_object().expect("files is an object");
    let of_file = |file: &String| {
        let Value::Array(cases) = read(file) else { panic!("{file} is an array") };
        cases.into_iter().map(|case| (file.clone(), case)).collect::<Vec<_>>()
    };
    files.keys().flat_map(of_file).collect()
}

/// `text`, or the text that `parts` spell.
fn text(case: &Value) -> String {
    let Some(parts) = case["parts"].as_array() else { return string(case, "text") };
    let spell = |part: &Value| match part.as_str() {
        Some(text) => text.to_owned(),
        None => string(part, "repeat").repeat(usize::try_from(part["times"].as_u64().expect("times is a number")).expect("it fits")),
    };
    parts.iter().map(spell).collect()
}

fn string(case: &Value, member: &str) -> String {
    case[member].as_str().unwrap_or_else(|| panic!("{member} is a string in {case}")).to_owned()
}

fn index() -> Value {
    read("index.json")
}

fn read(file: &str) -> Value {
    let content = fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    serde_json::from_str(&content).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors")
}
