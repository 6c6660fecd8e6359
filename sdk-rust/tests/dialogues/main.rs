//! Drives the core through the dialogues in `tests/vectors/dialogues`, on a simulated clock. Its README says what a step means.

mod player;

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

fn directory() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/dialogues"))
}

fn read(name: &str) -> Value {
    let path = directory().join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_dialogue_goes_as_written() {
    let index = read("index.json");
    let listed: BTreeSet<String> = index["files"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    let present: BTreeSet<String> = (std::fs::read_dir(directory()).unwrap())
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".json") && !matches!(name.as_str(), "index.json" | "preludes.json"))
        .collect();
    assert_eq!(listed, present, "index.json lists every dialogue, and nothing else");
    assert!(listed.len() >= 25, "at least 25 dialogues");
    assert_eq!(index["count"], listed.len());

    let preludes = read("preludes.json");
    let failures: Vec<String> =
        listed.iter().filter_map(|name| player::play(&read(name), &preludes).err().map(|why| format!("{name}: {why}"))).collect();
    assert!(failures.is_empty(), "{} of {} dialogues went otherwise:\n{}", failures.len(), listed.len(), failures.join("\n"));
}

/// A runner that accepts anything proves nothing.
#[test]
fn a_dialogue_that_is_wrong_is_noticed() {
    let preludes = read("preludes.json");
    let wrong = [
        r#"[{"app":"connect"},{"expect":{"open":"ws://elsewhere.test"}}]"#,
        r#"[{"app":"connect"}]"#,
        r#"[{"use":"connected"},{"expect":{"state":"waiting"}}]"#,
        r#"[{"use":"connected"},{"expect":{"event":"lost"}}]"#,
        r#"[{"use":"connected"},{"expect":{"wait":[0,10]}}]"#,
        r#"[{"use":"connected"},{"app":{"publish":{"as":"p","room":"a","channel":"b","payload":1}}},{"expect":{"send":{"type":"message","id":"$m","room":"a","channel":"b","ack":true,"payload":2}}}]"#,
    ];
    for steps in wrong {
        let dialogue = serde_json::json!({ "says": "wrong", "steps": serde_json::from_str::<Value>(steps).unwrap() });
        assert!(player::play(&dialogue, &preludes).is_err(), "{steps}");
    }
}
