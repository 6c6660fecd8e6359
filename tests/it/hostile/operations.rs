//! The rows about operation: what is refused at the start, and what must never be seen.

use arqonbus_tests::harness::{Peer, Process, Reach, http};
use serde_json::json;

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
