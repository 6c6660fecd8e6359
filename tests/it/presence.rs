//! Who joins and who leaves, for those that ask.

use arqonbus_tests::harness::{Peer, Server};
use serde_json::{Value, json};

/// The next presence event that is not about the watcher itself.
async fn next(watcher: &mut Peer) -> (String, Value) {
    loop {
        let event = watcher.next().await;
        assert_eq!(event["type"], "event", "{event}");
        assert_eq!((&event["room"], &event["channel"]), (&json!("room"), &json!("one")));
        if event["data"]["client"] != watcher.client.as_str() {
            return (event["event"].as_str().unwrap().to_owned(), event["data"].clone());
        }
    }
}

#[tokio::test]
async fn joins_and_leaves_are_told_with_who_it_was() {
    let server = Server::start();
    let mut watcher = Peer::connect(&server).await;
    watcher.join_with("room:one", json!({"presence": true})).await;
    let mut guest = Peer::introduce(&server, json!({"name": "Guest", "kind": "test", "user": "ada"})).await;

    assert_eq!(guest.join("room:one").await.members, 2);
    let (event, who) = next(&mut watcher).await;
    assert_eq!(event, "joined");
    assert_eq!(who, json!({"client": guest.client, "user": "ada", "name": "Guest", "kind": "test", "members": 2}));

    guest.ok("leave_channel", json!({"room": "room", "channel": "one"})).await;
    let (event, who) = next(&mut watcher).await;
    assert_eq!((event.as_str(), &who["members"]), ("left", &json!(1)));

    guest.join("room:one").await;
    assert_eq!(next(&mut watcher).await.0, "joined");
    let client = guest.client.clone();
    guest.close().await;
    let (event, who) = next(&mut watcher).await;
    assert_eq!((event.as_str(), &who["client"]), ("left", &json!(client)), "a lost connection leaves too");
}

#[tokio::test]
async fn presence_is_only_for_those_that_ask() {
    let server = Server::start();
    let mut quiet = Peer::joined(&server, "room:one").await;
    let mut guest = Peer::joined(&server, "room:one").await;
    guest.publish("room:one", json!("hello")).await;
    assert_eq!(quiet.message().await["payload"], "hello");
}
