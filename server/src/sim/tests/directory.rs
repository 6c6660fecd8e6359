//! Who is where: private messages, users, takeover, and answers gathered from all shards.

use serde_json::json;

use super::*;

fn private(to: &str, id: &str) -> Value {
    json!({ "type": "message", "to": to, "id": id, "payload": id, "ack": true })
}

#[test]
fn a_private_message_reaches_a_user_on_every_shard_and_nobody_is_an_error() {
    let mut bus = bus();
    let mut peers: Vec<Peer> = (0..3).map(|n| Peer::open(&mut bus, n % 2)).collect();
    for peer in &mut peers[..2] {
        peer.ask(&mut bus, "connect", &json!({ "user": "ada" }));
    }
    let mut sender = Peer::open(&mut bus, 1);
    sender.say(&mut bus, &private("user:ada", "both"));
    sender.say(&mut bus, &private(&peers[2].client.clone(), "one"));
    sender.say(&mut bus, &private("user:bob", "nobody"));
    assert_eq!(brief(&sender.hear(&mut bus)).iter().filter(|word| *word == "no_recipient").count(), 1);
    let heard: Vec<_> = peers.iter_mut().map(|peer| brief(&peer.hear(&mut bus))).collect();
    assert_eq!(heard, [["both"], ["both"], ["one"]]);

    // What was delivered is not refused when it comes again and the receiver is gone; another content is.
    peers.iter().for_each(|peer| bus.cut(peer.link));
    bus.settle();
    sender.say(&mut bus, &private("user:ada", "both"));
    assert_eq!(sender.hear(&mut bus)[0]["result"]["duplicate"], true);
    let mut other = private("user:ada", "both");
    other["payload"] = json!("else");
    sender.say(&mut bus, &other);
    assert_eq!(brief(&sender.hear(&mut bus)), ["id_conflict"]);
    sender.say(&mut bus, &private("user:ada", "new"));
    assert_eq!(brief(&sender.hear(&mut bus)), ["no_recipient"]);
}

#[test]
fn whoever_is_answered_by_connect_is_found_by_its_user() {
    for seed in 0..20 {
        let mut bus = SimBus::new(Setup {
            config: {
                let mut config = Setup::new(0).config;
                config.shards = 4;
                config
            },
            ..Setup::new(seed)
        });
        let (mut ada, mut sender) = (Peer::open(&mut bus, 0), Peer::open(&mut bus, 1));
        ada.command(&mut bus, "connect", &json!({ "user": "ada" }));
        while ada.hear_now(&mut bus).is_empty() {
            assert!(bus.step(), "connect is answered");
        }
        sender.say(&mut bus, &private("user:ada", "found"));
        assert_eq!(brief(&sender.hear(&mut bus)), ["ok"], "seed {seed}");
    }
}

#[test]
fn a_resume_key_takes_the_identity_over_and_closes_who_had_it() {
    let mut bus = bus();
    let topic = topic_on(&bus, 1);
    let (mut before, mut sender) = (Peer::open(&mut bus, 0), Peer::open(&mut bus, 0));
    let connected = before.ask(&mut bus, "connect", &json!({}));
    before.ask(&mut bus, "join_channel", &join(&topic));
    let mut after = Peer::open(&mut bus, 1);
    let again = after.ask(&mut bus, "connect", &json!({ "resume": connected["resume"] }));
    assert_eq!((&again["client"], &again["resumed"]), (&connected["client"], &json!(true)));
    before.hear(&mut bus);
    assert_eq!(before.closed, Some(4006));
    sender.say(&mut bus, &private(connected["client"].as_str().unwrap(), "mine"));
    assert_eq!(brief(&after.hear(&mut bus)), ["mine"]);
    assert_eq!(sender.ask(&mut bus, "members", &join(&topic))["total"], 0, "memberships are the connection's");
    // That the former one ends later takes nothing from the present one.
    bus.cut(before.link);
    bus.advance(5_000);
    sender.say(&mut bus, &private(connected["client"].as_str().unwrap(), "still"));
    assert_eq!(brief(&after.hear(&mut bus)), ["still"]);
    let forged = Peer::open(&mut bus, 0).ask(&mut bus, "connect", &json!({ "resume": "c_aaaaaaaa.00" }));
    assert_eq!(forged["resumed"], false);
}

#[test]
fn listings_are_merged_from_all_shards_and_paged() {
    let mut bus = bus();
    let mut peer = Peer::open(&mut bus, 0);
    for n in 0..7 {
        peer.ask(&mut bus, "create_channel", &json!({ "room": "r", "channel": format!("t{n}") }));
        peer.ask(&mut bus, "create_channel", &json!({ "room": format!("room{n}"), "channel": "x" }));
    }
    let page = |bus: &mut SimBus, peer: &mut Peer, command: &str, items: &str, name: &str| {
        let (mut all, mut after, mut pages) = (Vec::new(), Value::Null, 0);
        loop {
            let mut args = json!({ "room": "r", "limit": 3 });
            if !after.is_null() {
                args["after"] = after.clone();
            }
            let result = peer.ask(bus, command, &args);
            all.extend(result[items].as_array().unwrap().iter().map(|item| item[name].as_str().unwrap().to_owned()));
            pages += 1;
            after = result["next"].clone();
            if after.is_null() {
                return (all, pages);
            }
        }
    };
    let channels = (0..7).map(|n| format!("t{n}")).collect::<Vec<_>>();
    assert_eq!(page(&mut bus, &mut peer, "list_channels", "channels", "channel"), (channels, 3));
    let rooms = std::iter::once("r".to_owned()).chain((0..7).map(|n| format!("room{n}"))).collect::<Vec<_>>();
    assert_eq!(page(&mut bus, &mut peer, "list_rooms", "rooms", "room"), (rooms, 3));
    let topic = topic_on(&bus, 1);
    publish(&mut bus, &topic, 2);
    peer.ask(&mut bus, "join_channel", &json!({ "room": "r", "channel": "t1" }));
    let status = peer.ask(&mut bus, "status", &json!({}));
    assert_eq!((&status["channels"], &status["rooms"], &status["joins"]), (&json!(14), &json!(8), &json!(1)), "{status}");
    assert_eq!((&status["storage"]["messages"], &status["connections"]), (&json!(2), &json!(1)));
}
