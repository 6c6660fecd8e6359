//! Lists of rooms, channels and members, page by page.

use arqonbus_tests::harness::{Peer, Server};
use serde_json::{Value, json};

/// Reads all pages of two items; gives the names under `key`, and how many pages there were.
async fn all(peer: &mut Peer, command: &str, mut args: Value, items: &str, key: &str) -> (Vec<String>, usize) {
    args["limit"] = 2.into();
    let (mut names, mut pages) = (Vec::new(), 0);
    loop {
        let page = peer.ok(command, args.clone()).await;
        let of_page = page[items].as_array().unwrap();
        assert!(of_page.len() <= 2, "{page}");
        names.extend(of_page.iter().map(|item| item[key].as_str().unwrap().to_owned()));
        pages += 1;
        if page["next"].is_null() {
            return (names, pages);
        }
        args["after"] = page["next"].clone();
    }
}

#[tokio::test]
async fn rooms_and_channels_are_listed_by_name() {
    let server = Server::with(|config| config.telemetry.room = "off".into());
    let mut peer = Peer::connect(&server).await;
    for topic in ["r3:x", "r1:c", "r1:a", "r1:e", "r1:b", "r1:d", "r2:x", "r5:x", "r4:x"] {
        peer.join(topic).await;
    }
    let (rooms, pages) = all(&mut peer, "list_rooms", json!({}), "rooms", "room").await;
    assert_eq!((rooms, pages), (["r1", "r2", "r3", "r4", "r5"].map(str::to_owned).to_vec(), 3));
    let (channels, pages) = all(&mut peer, "list_channels", json!({"room": "r1"}), "channels", "channel").await;
    assert_eq!((channels, pages), (["a", "b", "c", "d", "e"].map(str::to_owned).to_vec(), 3));
    let first = peer.ok("list_rooms", json!({"limit": 1})).await;
    assert_eq!(first["rooms"][0], json!({"room": "r1", "channels": 5, "members": 5}));
    peer.publish("r1:a", json!(1)).await;
    let channels = peer.ok("list_channels", json!({"room": "r1"})).await;
    assert_eq!((&channels["channels"][0]["members"], &channels["channels"][0]["head"]["seq"]), (&json!(1), &json!(1)));
    let none = peer.ok("list_channels", json!({"room": "nowhere"})).await;
    assert_eq!(none["channels"], json!([]));
}

#[tokio::test]
async fn members_are_listed_with_their_number() {
    let server = Server::start();
    let mut peers = Vec::new();
    for _ in 0..5 {
        peers.push(Peer::joined(&server, "a:b").await);
    }
    let mut expected: Vec<_> = peers.iter().map(|peer| peer.client.clone()).collect();
    expected.sort();
    let (members, pages) = all(&mut peers[0], "members", json!({"room": "a", "channel": "b"}), "members", "client").await;
    assert_eq!((members, pages), (expected, 3));
    assert_eq!(peers[0].ok("members", json!({"room": "a", "channel": "b", "limit": 1})).await["total"], 5);
}

#[tokio::test]
async fn the_limit_of_a_list_is_bounded() {
    let server = Server::start();
    let mut peer = Peer::joined(&server, "a:b").await;
    for (command, mut args) in [("list_rooms", json!({})), ("list_channels", json!({"room": "a"})), ("members", json!({"room": "a", "channel": "b"}))]
    {
        for limit in [json!(0), json!(1001), json!(-1), json!(2_147_483_648_u64)] {
            args["limit"] = limit;
            assert_eq!(peer.refused(command, args.clone()).await, "invalid_args", "{command} {args}");
        }
    }
}
