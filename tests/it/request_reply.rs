//! Request and reply.

use arqonbus_client::{Client, Error};
use arqonbus_protocol::ErrorCode;
use arqonbus_tests::harness::{Peer, Reach, Server, peer::code};
use serde_json::{Value, json};

fn request(topic: &str) -> Value {
    let (room, channel) = topic.split_once(':').unwrap();
    json!({"type": "message", "room": room, "channel": channel, "payload": "2 + 2?", "request": true, "ack": true})
}

#[tokio::test]
async fn an_answer_finds_its_request() {
    let server = Server::start();
    let mut responder = Peer::joined(&server, "svc:sum").await;
    let mut asker = Peer::connect(&server).await;
    let mut question = request("svc:sum");
    question["id"] = "question".into();
    assert_eq!(asker.request(question).await["status"], "ok");
    let asked = responder.message().await;
    assert_eq!(asked["reply_to"], asker.client.as_str());
    let answer = json!({"type": "message", "to": asked["reply_to"], "correlation_id": asked["id"], "payload": 4, "ack": true});
    assert_eq!(responder.request(answer).await["status"], "ok");
    let answer = asker.message().await;
    assert_eq!((&answer["correlation_id"], &answer["payload"]), (&json!("question"), &json!(4)));
    assert_eq!(answer["sender"], responder.client.as_str());
}

#[tokio::test]
async fn a_request_without_a_responder_fails_at_once() {
    let server = Server::start();
    let mut asker = Peer::connect(&server).await;
    assert_eq!(code(&asker.request(request("svc:nobody")).await), "no_responder");
    asker.join("svc:alone").await;
    assert_eq!(code(&asker.request(request("svc:alone")).await), "no_responder", "nobody answers oneself");
    let nobody = json!({"type": "message", "to": "c_00000000", "payload": 1, "request": true});
    let refused = code(&asker.request(nobody).await);
    assert!(["no_responder", "no_recipient"].contains(&refused.as_str()), "{refused}");
}

#[tokio::test]
async fn a_refused_request_is_not_kept() {
    let server = Server::start();
    let mut asker = Peer::connect(&server).await;
    asker.request(request("svc:nobody")).await;
    let start = asker.join_with("svc:nobody", json!({"replay": 10})).await;
    assert_eq!(start.head.seq, 0);
}

#[tokio::test]
async fn the_client_asks_a_topic_a_client_or_a_user() {
    let server = Server::start();
    let url = format!("ws://{}", server.address());
    let ada = Client::builder(&url).user("ada").connect().await.unwrap();
    let asker = Client::connect(&url).await.unwrap();
    let mut inbox = ada.inbox().await.unwrap();
    let answering = ada.clone();
    tokio::spawn(async move {
        while let Some(request) = inbox.message().await {
            let _ = answering.reply(&request, &[request.payload::<u64>().unwrap()]).await;
        }
    });
    let _responder = ada.respond("svc:echo", async |request| request.payload::<u64>().map(|number| [number])).await.unwrap();
    let id = ada.identity().unwrap().client.to_string();
    assert_eq!(asker.request("svc:echo", &1).await.unwrap().payload_json(), "[1]");
    assert_eq!(asker.request_private(&id, &2).await.unwrap().payload_json(), "[2]");
    assert_eq!(asker.request_private("user:ada", &3).await.unwrap().payload_json(), "[3]");
    let nobody = asker.request_private("user:nobody", &4).await.unwrap_err();
    assert!(matches!(nobody, Error::Rejected(refusal) if refusal.code == ErrorCode::NoResponder));
}
