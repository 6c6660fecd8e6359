//! Lanes: order, who is left out, requests, deletion, presence, rooms, forgetting.

use serde_json::json;

use super::*;

#[test]
fn every_member_on_every_shard_sees_one_order() {
    let mut bus = bus();
    let topic = topic_on(&bus, 1);
    let mut members: Vec<Peer> = (0..4).map(|n| Peer::open(&mut bus, n % 2)).collect();
    for member in &mut members {
        member.ask(&mut bus, "join_channel", &join(&topic));
    }
    let mut publishers = [Peer::open(&mut bus, 0), Peer::open(&mut bus, 1)];
    for n in 0..20 {
        let id = format!("m{n}");
        publishers[n % 2].publish(&mut bus, &topic.to_string(), &id);
        bus.step();
    }
    let orders: Vec<Vec<String>> =
        members.iter_mut().map(|member| member.hear(&mut bus).iter().map(|heard| format!("{} {}", heard["seq"], heard["id"])).collect()).collect();
    assert_eq!(orders[0].len(), 20);
    assert!(orders.iter().all(|order| *order == orders[0]), "{orders:?}");
    // Of one publisher, in the order of sending.
    let of_first: Vec<_> = orders[0].iter().filter(|line| line.trim_end_matches('"').ends_with(['0', '2', '4', '6', '8'])).collect();
    assert!(of_first[0].contains("m0\"") && of_first[9].contains("m18\""), "{of_first:?}");
}

#[test]
fn exclude_sender_leaves_out_its_connection_and_acks_before_what_follows() {
    for home in [0, 1] {
        let mut bus = bus();
        let topic = topic_on(&bus, home);
        let (mut sender, mut other) = (Peer::open(&mut bus, 0), Peer::open(&mut bus, 0));
        sender.ask(&mut bus, "join_channel", &join(&topic));
        other.ask(&mut bus, "join_channel", &join(&topic));
        say_message(&mut bus, &mut sender, &topic, &json!({}));
        say_message(&mut bus, &mut sender, &topic, &json!({ "exclude_sender": true }));
        say_message(&mut bus, &mut sender, &topic, &json!({}));
        let heard = sender.hear(&mut bus);
        assert_eq!(seqs(&heard), [1, 3], "home {home}");
        let ack = heard.iter().position(|heard| heard["result"]["seq"] == 2).expect("it implies an ack");
        let third = heard.iter().position(|heard| heard["seq"] == 3).unwrap();
        assert!(ack < third, "{:?}", brief(&heard));
        assert_eq!(seqs(&other.hear(&mut bus)), [1, 2, 3]);
    }
}

#[test]
fn a_request_needs_another_who_would_receive_it() {
    let mut bus = bus();
    let topic = topic_on(&bus, 1);
    let (mut asker, mut responder) = (Peer::open(&mut bus, 0), Peer::open(&mut bus, 1));
    let request = json!({ "request": true, "id": "a", "ack": true });
    say_message(&mut bus, &mut asker, &topic, &request);
    assert_eq!(brief(&asker.hear(&mut bus)), ["no_responder"], "no lane");
    asker.ask(&mut bus, "join_channel", &join(&topic));
    say_message(&mut bus, &mut asker, &topic, &request);
    assert_eq!(brief(&asker.hear(&mut bus)), ["no_responder"], "only itself");
    responder.ask(&mut bus, "join_channel", &join(&topic));
    say_message(&mut bus, &mut asker, &topic, &request);
    assert_eq!(brief(&asker.hear(&mut bus)).len(), 2);
    let heard = responder.hear(&mut bus);
    assert_eq!(heard[0]["reply_to"], asker.client.as_str());

    // What was stored once is not refused when it comes again.
    responder.ask(&mut bus, "leave_channel", &join(&topic));
    say_message(&mut bus, &mut asker, &topic, &request);
    let again = asker.hear(&mut bus);
    assert_eq!((again[0]["status"].as_str(), &again[0]["result"]["duplicate"]), (Some("ok"), &json!(true)));
}

#[test]
fn deleting_a_channel_ends_its_members_and_its_log() {
    let mut bus = bus();
    let topic = topic_on(&bus, 1);
    publish(&mut bus, &topic, 3);
    let (mut member, mut admin, mut watcher) = (Peer::open(&mut bus, 0), Peer::open(&mut bus, 1), Peer::open(&mut bus, 1));
    let joined = member.ask(&mut bus, "join_channel", &join(&topic));
    watcher.ask(&mut bus, "join_channel", &json!({ "room": "r", "channel": "*" }));
    let deleted = admin.ask(&mut bus, "delete_channel", &join(&topic));
    assert_eq!(deleted["members"], 2);
    assert_eq!(brief(&member.hear(&mut bus)), ["deleted"]);
    assert_eq!(brief(&watcher.hear(&mut bus)), ["deleted"]);
    assert_eq!(member.ask(&mut bus, "leave_channel", &join(&topic)), "not_joined");
    publish(&mut bus, &topic, 1);
    assert_eq!(brief(&member.hear(&mut bus)), [] as [&str; 0]);
    // A pattern lives on: the topic is born again.
    assert_eq!(brief(&watcher.hear(&mut bus)), ["1"]);
    member.command(&mut bus, "join_channel", &join_since(&topic, &joined["topics"][0]["head"]));
    assert_eq!(brief(&member.hear(&mut bus)), ["ok", "epoch_changed 0", "1"]);
}

#[test]
fn presence_is_told_to_those_who_asked_and_to_nobody_about_itself() {
    let mut bus = bus();
    let topic = topic_on(&bus, 1);
    let mut watching = join(&topic);
    watching["presence"] = json!(true);
    let (mut watcher, mut plain) = (Peer::open(&mut bus, 0), Peer::open(&mut bus, 1));
    watcher.ask(&mut bus, "join_channel", &watching);
    plain.ask(&mut bus, "join_channel", &join(&topic));
    let heard = watcher.hear(&mut bus);
    assert_eq!(brief(&heard), ["joined"]);
    assert_eq!((&heard[0]["data"]["client"], &heard[0]["data"]["members"]), (&json!(plain.client), &json!(2)));
    bus.cut(plain.link);
    let heard = watcher.hear(&mut bus);
    assert_eq!((brief(&heard), &heard[0]["data"]["members"]), (vec!["left".to_owned()], &json!(1)));
}

#[test]
fn a_room_broadcast_reaches_each_member_of_the_room_once() {
    let mut bus = bus();
    let topics = [topic_on(&bus, 0), topic_on(&bus, 1)];
    let mut peers: Vec<Peer> = (0..3).map(|n| Peer::open(&mut bus, n % 2)).collect();
    peers[0].ask(&mut bus, "join_channel", &join(&topics[0]));
    peers[0].ask(&mut bus, "join_channel", &join(&topics[1]));
    peers[1].ask(&mut bus, "join_channel", &join(&topics[1]));
    let mut sender = Peer::open(&mut bus, 0);
    sender.say(&mut bus, &json!({ "type": "message", "room": "r", "payload": "all" }));
    let heard: Vec<_> = peers.iter_mut().map(|peer| brief(&peer.hear(&mut bus))).collect();
    assert_eq!(heard, [vec!["all"], vec!["all"], vec![]]);
}

#[test]
fn an_idle_empty_lane_is_forgotten_after_a_while_and_its_subscriber_told() {
    let mut bus = bus_with(|setup| setup.config.history.age_ms = 10_000);
    let topic = topic_on(&bus, 1);
    publish(&mut bus, &topic, 3);
    let mut member = Peer::open(&mut bus, 0);
    let head = member.ask(&mut bus, "join_channel", &join(&topic))["topics"][0]["head"].clone();
    bus.cut(member.link);
    bus.advance(20_000);

    // Everything has expired, and still a short absence misses nothing.
    let mut member = Peer::open(&mut bus, 1);
    member.command(&mut bus, "join_channel", &join_since(&topic, &head));
    assert_eq!(brief(&member.hear(&mut bus)), ["ok"]);
    bus.cut(member.link);
    bus.advance(119_000);
    assert!(bus.head(&topic).is_some());
    bus.advance(5_000);
    assert!(bus.head(&topic).is_none());

    let mut member = Peer::open(&mut bus, 1);
    member.command(&mut bus, "join_channel", &join_since(&topic, &head));
    assert_eq!(brief(&member.hear(&mut bus)), ["ok", "epoch_changed 0"]);
}
