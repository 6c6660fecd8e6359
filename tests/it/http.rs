//! The same envelopes over HTTP.

use arqonbus_protocol::PROTOCOL_VERSION;
use arqonbus_tests::harness::{Peer, Reach, Server, http};
use serde_json::{Value, json};

const PATH: &str = "/v1/envelopes";

async fn post(server: &Server, body: &str) -> http::Answer {
    http::post(server.address(), PATH, body).await
}

#[tokio::test]
async fn a_publish_over_http_is_acknowledged_and_delivered() {
    let server = Server::start();
    let mut subscriber = Peer::joined(&server, "a:b").await;
    let answer = post(&server, r#"{"type":"message","id":"m1","room":"a","channel":"b","payload":"by post"}"#).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let response = &answer.lines()[0];
    assert_eq!((&response["request_id"], &response["status"], &response["result"]["seq"]), (&json!("m1"), &json!("ok"), &json!(1)));
    assert_eq!(subscriber.message().await["payload"], "by post");
}

#[tokio::test]
async fn several_envelopes_are_answered_in_their_order() {
    let server = Server::start();
    let lines = [
        r#"{"type":"message","id":"one","room":"a","channel":"b","payload":1}"#,
        "",
        r#"{"type":"nonsense","id":"two"}"#,
        r#"{"type":"command","id":"three","command":"history","args":{"room":"a","channel":"b"}}"#,
        r#"{"type":"message","id":"four","room":"a","channel":"b","payload":2}"#,
    ];
    let answer = post(&server, &lines.join("\n")).await;
    assert_eq!(answer.status, 200);
    let answers = answer.lines();
    let ids: Vec<_> = answers.iter().map(|answer| answer["request_id"].as_str().unwrap_or_default()).collect();
    assert_eq!(ids, ["one", "two", "three", "four"]);
    let statuses: Vec<_> = answers.iter().map(|answer| answer["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["ok", "error", "ok", "ok"]);
    assert_eq!(answers[2]["result"]["messages"].as_array().unwrap().len(), 1);
}

/// `application/json` is one envelope, whatever its lines; every other type is one envelope a line.
#[tokio::test]
async fn the_type_of_a_body_says_how_it_is_cut() {
    let server = Server::start();
    let ping = r#"{"type":"command","command":"ping"}"#;
    let (lines, spread) = (format!("{ping}\n{ping}\n"), ping.replace(',', ",\r\n"));
    for (kind, body, answers) in [
        ("application/x-ndjson", &lines, 2),
        ("application/jsonl", &lines, 2),
        ("application/json", &spread, 1),
        ("Application/JSON ; charset=utf-8", &spread, 1),
    ] {
        let length = body.len();
        let head = format!("POST {PATH} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n");
        let answer = http::raw(server.address(), format!("{head}{body}").as_bytes()).await.expect("an answer");
        assert_eq!((answer.status, answer.lines().len()), (200, answers), "{kind}: {answer:?}");
        assert!(answer.lines().iter().all(|line| line["status"] == "ok"), "{kind}: {answer:?}");
    }
}

#[tokio::test]
async fn a_single_refusal_has_the_status_of_its_code() {
    let server = Server::with(|config| config.limits.envelope_bytes = 2_000);
    let large = format!(r#"{{"type":"message","room":"a","channel":"b","payload":"{}"}}"#, "x".repeat(2_000));
    for (body, code, status) in [
        ("{", "invalid_json", 400),
        ("[]", "invalid_envelope", 400),
        ("", "invalid_json", 400),
        (r#"{"type":"dance"}"#, "unknown_type", 400),
        (r#"{"type":"command","command":"fly"}"#, "unknown_command", 400),
        (r#"{"type":"message","room":"a/b","channel":"c","payload":1}"#, "invalid_name", 400),
        (r#"{"type":"message","to":"c_00000000","payload":1}"#, "no_recipient", 404),
        (r#"{"type":"message","room":"a","channel":"b","payload":1,"request":true}"#, "unsupported", 501),
        (r#"{"type":"command","command":"connect"}"#, "unsupported", 501),
        (r#"{"type":"command","command":"join_channel","args":{"room":"a","channel":"b"}}"#, "unsupported", 501),
        (r#"{"type":"command","command":"leave_channel","args":{"room":"a","channel":"b"}}"#, "unsupported", 501),
        (large.as_str(), "too_large", 413),
    ] {
        let answer = post(&server, body).await;
        assert_eq!(answer.status, status, "{body}: {answer:?}");
        assert_eq!(answer.lines()[0]["error"]["code"], code, "{body}");
    }
}

#[tokio::test]
async fn an_id_conflict_is_409() {
    let server = Server::start();
    post(&server, r#"{"type":"message","id":"m1","room":"a","channel":"b","payload":1}"#).await;
    // Callers without a session are one principal: a retry by another process is the same message.
    let again = post(&server, r#"{"type":"message","id":"m1","room":"a","channel":"b","payload":1}"#).await;
    assert_eq!((again.status, &again.lines()[0]["result"]["duplicate"]), (200, &json!(true)));
    let conflict = post(&server, r#"{"type":"message","id":"m1","room":"a","channel":"b","payload":2}"#).await;
    assert_eq!((conflict.status, &conflict.lines()[0]["error"]["code"]), (409, &json!("id_conflict")));
}

#[tokio::test]
async fn commands_that_need_no_session_work() {
    let server = Server::start();
    for command in ["status", "ping", "help", "list_rooms"] {
        let answer = post(&server, &json!({"type": "command", "command": command}).to_string()).await;
        assert_eq!((answer.status, &answer.lines()[0]["status"]), (200, &json!("ok")), "{command}: {answer:?}");
    }
}

#[tokio::test]
async fn the_schema_is_served() {
    let server = Server::start();
    let answer = http::fetch(server.address(), "/v1/schema").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let schema: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "version {PROTOCOL_VERSION}");
}

#[tokio::test]
async fn other_methods_and_paths_are_refused() {
    let server = Server::start();
    assert_eq!(http::fetch(server.address(), PATH).await.status, 405);
    assert_eq!(http::fetch(server.address(), "/nothing/here").await.status, 404);
    assert_eq!(http::post(server.address(), "/v1/schema", "{}").await.status, 405);
}
