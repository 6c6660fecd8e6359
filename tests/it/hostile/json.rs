//! The rows about JSON: the code, and where the fault is.

use arqonbus_tests::harness::{Peer, Reach, http};
use serde_json::{Value, json};

use super::Arena;

fn deep(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

/// A message whose payload is this text.
fn payload(text: &str) -> String {
    format!(r#"{{"type":"message","id":"m","room":"a","channel":"b","payload":{text}}}"#)
}

/// A message with one more field.
fn field(text: &str) -> String {
    format!(r#"{{"type":"message","id":"m","room":"a","channel":"b","payload":1,{text}}}"#)
}

/// What is sent, the code of the refusal, and its pointer where that is promised.
#[expect(clippy::too_many_lines, reason = "a table")]
fn rows() -> Vec<(String, &'static str, Option<&'static str>)> {
    let long = "x".repeat(65);
    let mut rows = vec![
        ("hello".into(), "invalid_json", None),
        ("{".into(), "invalid_json", None),
        ("{}}".into(), "invalid_json", None),
        ("{} {}".into(), "invalid_json", None),
        ("{}x".into(), "invalid_json", None),
        ("\u{feff}{}".into(), "invalid_json", None),
        ("{'type':'message'}".into(), "invalid_json", None),
        ("{\"type\":\"message\",}".into(), "invalid_json", None),
        ("{\"a\":01}".into(), "invalid_json", None),
        ("{\"a\":+1}".into(), "invalid_json", None),
        ("{\"a\":1.}".into(), "invalid_json", None),
        ("{\"a\":\"\u{1}\"}".into(), "invalid_json", None),
        ("{\"a\":\"\\x41\"}".into(), "invalid_json", None),
        ("{\"a\" 1}".into(), "invalid_json", None),
        ("{/* comment */}".into(), "invalid_json", None),
        ("{\u{a0}}".into(), "invalid_json", None),
        ("[]".into(), "invalid_envelope", None),
        ("[{\"type\":\"message\"}]".into(), "invalid_envelope", None),
        ("\"message\"".into(), "invalid_envelope", None),
        ("null".into(), "invalid_envelope", None),
        ("{}".into(), "invalid_envelope", Some("/type")),
        (r#"{"type":7}"#.into(), "invalid_envelope", Some("/type")),
        (r#"{"type":"dance"}"#.into(), "unknown_type", Some("/type")),
        (r#"{"type":"response","request_id":"x","status":"ok"}"#.into(), "unknown_type", Some("/type")),
        (r#"{"type":"event","event":"gap"}"#.into(), "unknown_type", Some("/type")),
        (r#"{"type":"message","room":"a","channel":"b"}"#.into(), "invalid_envelope", Some("/payload")),
        (r#"{"type":"message","payload":1}"#.into(), "invalid_envelope", None),
        (r#"{"type":"message","channel":"b","payload":1}"#.into(), "invalid_envelope", Some("/channel")),
        (r#"{"type":"message","room":"a","to":"*","payload":1}"#.into(), "invalid_envelope", Some("/to")),
        (r#"{"type":"message","room":7,"channel":"b","payload":1}"#.into(), "invalid_envelope", Some("/room")),
        (r#"{"type":"command"}"#.into(), "invalid_envelope", Some("/command")),
        (r#"{"type":"command","command":7}"#.into(), "invalid_envelope", Some("/command")),
        (r#"{"type":"command","command":"ping","args":[]}"#.into(), "invalid_envelope", Some("/args")),
        (r#"{"type":"command","command":"fly"}"#.into(), "unknown_command", Some("/command")),
        (r#"{"type":"command","command":"history","args":{"room":"a"}}"#.into(), "invalid_args", None),
        (r#"{"type":"command","command":"history","args":{"room":"a","channel":"b","limit":0}}"#.into(), "invalid_args", Some("/args/limit")),
        (r#"{"type":"command","command":"history","args":{"room":"a","channel":5}}"#.into(), "invalid_args", Some("/args/channel")),
        (r#"{"type":"command","id":5,"command":"ping"}"#.into(), "invalid_envelope", Some("/id")),
        (r#"{"type":"command","id":"","command":"ping"}"#.into(), "invalid_envelope", Some("/id")),
        (format!(r#"{{"type":"command","id":"{long}","command":"ping"}}"#), "invalid_envelope", Some("/id")),
        (r#"{"type":"command","id":"a b","command":"ping"}"#.into(), "invalid_envelope", Some("/id")),
        (field(r#""correlation_id":7"#), "invalid_envelope", Some("/correlation_id")),
        (field(&format!(r#""correlation_id":"{long}""#)), "invalid_envelope", Some("/correlation_id")),
        (field(r#""payload":2"#), "invalid_json", None),
        (field(r#""unknown":{"a":1,"a":2}"#), "invalid_json", None),
        (field(r#""unknown":{"a":1,"\u0061":2}"#), "invalid_json", None),
        (field(&format!(r#""unknown":{}"#, deep(32))), "too_deep", None),
        (field(r#""unknown":"\ud800""#), "invalid_json", None),
        (field(r#""unknown":1e999"#), "invalid_json", None),
        (payload(r#"{"a":{"b":1,"b":1}}"#), "invalid_json", None),
        (payload(&deep(32)), "too_deep", None),
        (payload(&deep(100_000)), "too_deep", None),
        (payload(&"{\"a\":".repeat(50_000)), "too_deep", None),
        (payload(r#""\ud800""#), "invalid_json", None),
        (payload(r#""\udc00\ud800""#), "invalid_json", None),
        (payload(r#"{"\ud800":1}"#), "invalid_json", None),
        (payload("1e999"), "invalid_json", None),
        (payload("-1e999"), "invalid_json", None),
        (payload("NaN"), "invalid_json", None),
        (payload("Infinity"), "invalid_json", None),
        (payload("-"), "invalid_json", None),
        (payload("tru"), "invalid_json", None),
        (payload("\"\t\""), "invalid_json", None),
        (payload("[1,]"), "invalid_json", None),
        (payload(""), "invalid_json", None),
        (payload("{\r\n}"), "invalid_json", Some("/payload")),
    ];
    for (name, value) in [
        ("sender", "\"c_00000000\""),
        ("user", "\"root\""),
        ("timestamp", "\"2020-01-01T00:00:00.000Z\""),
        ("epoch", "\"abc\""),
        ("seq", "1"),
        ("reply_to", "\"c_00000000\""),
    ] {
        rows.push((field(&format!("\"{name}\":{value}")), "invalid_envelope", None));
    }
    for (name, value) in [("ack", "1"), ("request", "\"yes\""), ("exclude_sender", "[]")] {
        rows.push((field(&format!("\"{name}\":{value}")), "invalid_envelope", None));
    }
    rows
}

/// The refusal in a response or an error.
fn refusal(answer: &Value) -> (String, Option<String>) {
    let error = &answer["error"];
    (error["code"].as_str().unwrap_or_default().to_owned(), error["at"].as_str().map(str::to_owned))
}

#[tokio::test]
async fn each_malformed_envelope_has_its_code_and_its_place() {
    let mut arena = Arena::open("").await;
    let mut wrong = Vec::new();
    for (text, code, at) in rows() {
        let shown: String = text.chars().take(100).collect();
        let mut peer = Peer::connect(&arena).await;
        peer.send_text(&text).await;
        let answer = peer.next().await;
        let (found, place) = refusal(&answer);
        if found != code || at.is_some_and(|at| place.as_deref() != Some(at)) {
            wrong.push(format!("{shown}\n  wanted {code} at {at:?}, got {answer}"));
        }
        assert!(answer.to_string().len() < 2_000, "{shown}: the refusal is as large as the insult");
        peer.settle().await;
        arena.probe(&shown).await;
    }
    assert!(wrong.is_empty(), "{} rows:\n{}", wrong.len(), wrong.join("\n"));
    arena.close().await;
}

#[tokio::test]
async fn the_same_is_refused_over_http() {
    let mut arena = Arena::open("").await;
    for (text, code, _) in rows().into_iter().filter(|(text, ..)| !text.contains('\n')) {
        let answer = http::post(arena.address(), "/v1/envelopes", &text).await;
        assert!(answer.status >= 400, "{text}: {answer:?}");
        assert_eq!(refusal(&answer.lines()[0]).0, code, "{}", &text[..text.len().min(100)]);
    }
    arena.probe("HTTP").await;
    arena.close().await;
}

#[tokio::test]
async fn what_is_legal_but_odd_is_relayed() {
    let mut arena = Arena::open("").await;
    let mut peer = Peer::joined(&arena, "a:b").await;
    let levels_left = deep(31);
    for odd in [levels_left.as_str(), r#""\ud83d\ude00""#, "1e308", "-0.0", "1e-999", "\"\\u0000\"", "{\"\":{}}", "\"\u{2028}\u{202e}\"", " [ ] "] {
        peer.send_text(&payload(odd).replace("\"id\":\"m\",", "")).await;
        assert!(peer.next_text().await.unwrap().contains(&format!("\"payload\":{}", odd.trim())), "{odd}");
    }
    peer.send_text(&field(r#""from_the_future":{"a":[1,2]}"#)).await;
    assert_eq!(peer.message().await["payload"], 1, "unknown fields are ignored");
    arena.probe("odd").await;
    drop(peer);
    arena.close().await;
}

#[tokio::test]
async fn a_foreign_text_comes_back_escaped_and_short() {
    let mut arena = Arena::open("").await;
    let mut peer = Peer::connect(&arena).await;
    let command = format!("\u{1b}[31m\r\n\u{202e}{}", "x".repeat(10_000));
    let answer = peer.request(json!({"type": "command", "command": command})).await;
    assert_eq!(answer["error"]["code"], "unknown_command");
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.len() < 200, "{message}");
    assert!(!message.contains(['\u{1b}', '\r', '\n', '\u{202e}']), "{message:?}");
    arena.probe("echo").await;
    drop(peer);
    arena.close().await;
}
