//! The rows about operation: what is refused at the start, and what must never be seen.

use arqonbus_tests::harness::{Peer, Process, Reach, http};
use serde_json::{Value, json};

use super::Arena;

/// The configuration, and what the complaint must name.
const REFUSED: &[(&str, &[&str])] = &[
    ("colour = \"red\"\n", &["colour"]),
    ("[limits]\nconections = 5\n", &["conections"]),
    ("shards = \"many\"\nheartbeat_ms = -1\n", &["shards", "heartbeat_ms"]),
    ("[[rules]]\ntopics = \"a/b:c\"\n", &["topics"]),
];

#[tokio::test]
async fn a_wrong_configuration_refuses_to_start_and_names_every_mistake() {
    for (config, named) in REFUSED {
        let (code, said) = Process::refused("127.0.0.1:0", config);
        assert_ne!(code, Some(0), "{config}");
        assert!(!said.contains("panicked"), "{said}");
        for name in *named {
            assert!(said.contains(name), "{config}: {name} is not named in:\n{said}");
        }
    }
}

#[tokio::test]
async fn a_public_address_without_auth_refuses_to_start_unless_allowed() {
    let (code, said) = Process::refused("0.0.0.0:0", "");
    assert_ne!(code, Some(0));
    assert!(said.contains("allow_public_without_auth"), "{said}");
    let allowed = Process::at("0.0.0.0:0", "allow_public_without_auth = true\n");
    assert_eq!(http::fetch(allowed.admin(), "/health").await.status, 200);
}

#[tokio::test]
async fn admin_paths_are_not_on_the_public_port() {
    let arena = Arena::open("").await;
    for path in ["/health", "/ready", "/metrics", "/version", "/metrics/", "//metrics", "/v1/../metrics", "/%6detrics", "/METRICS"] {
        let answer = http::fetch(arena.address(), path).await;
        assert!(matches!(answer.status, 400 | 404), "{path}: {answer:?}");
    }
    arena.close().await;
}

/// Escape sequences and line breaks of strangers do not reach the log as they are; nor do what they say in metrics.
#[tokio::test]
async fn foreign_text_is_escaped_in_the_log_and_absent_from_metrics() {
    let mut arena = Arena::open("[log]\nfilter = \"debug\"\n").await;
    for name in ["plain-stranger", "\u{202e}stranger", "str\u{200b}anger"] {
        let mut peer = Peer::connect(&arena).await;
        let _ = peer.request(json!({"type": "command", "command": "connect", "args": {"name": name, "agent": name}})).await;
    }
    let mut peer = Peer::connect(&arena).await;
    peer.join("stranger-room:stranger-channel").await;
    peer.refused("stranger_command\u{1b}[31m\nERROR forged", json!({})).await;
    let request = format!("GET /\u{9b}31mforged HTTP/1.1\r\nHost: {}\r\nUser-Agent: \u{9b}31m\r\n\r\n", arena.address());
    let _ = http::raw(arena.address(), request.as_bytes()).await;
    let metrics = http::fetch(arena.process.admin(), "/metrics").await.body;
    assert!(!metrics.contains("stranger"), "labels hold no user input");
    let log = arena.process.log();
    assert!(!log.contains(['\u{1b}', '\u{9b}', '\u{202e}', '\u{200b}']), "{log:?}");
    assert!(log.lines().all(|line| !line.starts_with("ERROR forged")), "{log}");
    arena.probe("escapes").await;
    drop(peer);
    arena.close().await;
}

/// Secrets are not shown in the configuration, logs, metrics, answers or the list of processes; nor are the tokens of clients.
#[tokio::test]
async fn secrets_are_found_nowhere() {
    let schema: Value = serde_json::from_str(&Process::run(&["config", "schema"], &[])).expect("a schema");
    let mut keys = Vec::new();
    secret_keys(&schema, &schema, "ARQONBUS", &mut keys);
    assert!(keys.len() >= 2, "{keys:?}");
    let variables: Vec<(String, String)> = keys.iter().map(|key| (key.clone(), format!("marker-of-{key}"))).collect();
    let mut seen = vec![Process::run(&["config", "show"], &variables), Process::run(&["config", "check"], &variables)];
    assert!(seen[0].contains("redacted"), "{}", seen[0]);
    let mistaken = [variables.clone(), vec![("ARQONBUS_SHARDS".to_owned(), "many".to_owned())]].concat();
    seen.push(Process::run(&["config", "check"], &mistaken));

    let process = Process::with("127.0.0.1:0", "[log]\nfilter = \"trace\"\n", &variables);
    let mut peer = Peer::connect(&process).await;
    let _ = peer.request(json!({ "type": "command", "command": "connect", "args": { "token": "marker-of-token" } })).await;
    let request =
        format!("GET /v1/schema?token=marker-of-url HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer marker-of-header\r\n\r\n", process.address());
    let _ = http::raw(process.address(), request.as_bytes()).await;
    seen.push(peer.ok("status", json!({})).await.to_string());
    for path in ["/metrics", "/version", "/health", "/ready"] {
        seen.push(http::fetch(process.admin(), path).await.body);
    }
    seen.push(std::fs::read_to_string(format!("/proc/{}/cmdline", process.pid())).unwrap_or_default());
    seen.push(process.log());
    for text in seen {
        assert!(!text.contains("marker-of"), "{text}");
    }
}

/// The environment's names of all keys that the schema marks as secret.
fn secret_keys(root: &Value, schema: &Value, name: &str, keys: &mut Vec<String>) {
    let schema = schema["$ref"].as_str().map_or(schema, |to| &root["$defs"][to.trim_start_matches("#/$defs/")]);
    for (property, value) in schema["properties"].as_object().into_iter().flatten() {
        let separator = if name == "ARQONBUS" { "_" } else { "__" };
        let name = format!("{name}{separator}{}", property.to_ascii_uppercase());
        if value["x-secret"] == true {
            keys.push(name);
        } else {
            secret_keys(root, value, &name, keys);
        }
    }
}
