//! A store that answers later: its lane waits, in order and in bounds, and nobody else.

use serde_json::json;

use super::*;

#[test]
fn a_slow_lane_does_not_stop_others() {
    let mut bus = bus();
    let (slow, quick) = (topic_on(&bus, 1), topics_on(&bus, 1).nth(1).unwrap());
    let mut peer = Peer::open(&mut bus, 0);
    publish(&mut bus, &slow, 1);
    bus.stick(&slow);
    peer.publish(&mut bus, &slow.to_string(), "late");
    peer.publish(&mut bus, &quick.to_string(), "now");
    let answered = |heard: &[Value]| heard.iter().map(|heard| heard["request_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(answered(&peer.hear(&mut bus)), ["now"]);
    bus.unstick(&slow);
    assert_eq!(answered(&peer.hear(&mut bus)), ["late"]);
}

#[test]
fn a_ping_that_waits_for_what_was_published_waits_for_its_store_and_for_nobody_elses() {
    let mut bus = bus_with(|setup| setup.config.create = crate::config::Create::Explicit);
    let (slow, unknown) = (topic_on(&bus, 1), topics_on(&bus, 0).nth(1).unwrap());
    let (mut peer, mut other) = (Peer::open(&mut bus, 0), Peer::open(&mut bus, 0));
    peer.ask(&mut bus, "create_channel", &join(&slow));
    bus.stick(&slow);
    peer.publish(&mut bus, &slow.to_string(), "late");
    say_message(&mut bus, &mut peer, &unknown, &json!({}));
    peer.command(&mut bus, "ping", &json!({ "settled": true }));
    let at_once = other.ask(&mut bus, "ping", &json!({ "settled": true }));
    assert!(at_once["timestamp"].is_string(), "nothing of its own is under way: {at_once}");
    assert_eq!(brief(&peer.hear(&mut bus)), ["unknown_channel"]);
    assert!(peer.ask(&mut bus, "ping", &json!({}))["timestamp"].is_string(), "a sign of life waits for nothing");
    bus.unstick(&slow);
    let heard = peer.hear(&mut bus);
    assert_eq!((heard.len(), &heard[0]["request_id"]), (2, &json!("late")), "{heard:?}");
    assert!(heard[1]["result"]["timestamp"].is_string(), "{heard:?}");
}

#[test]
fn what_a_waiting_lane_queues_is_done_in_order_up_to_its_bound() {
    let mut bus = bus_with(|setup| setup.config.limits.lane_queue = 3);
    let topic = topic_on(&bus, 1);
    publish(&mut bus, &topic, 1);
    bus.stick(&topic);
    let mut peer = Peer::open(&mut bus, 0);
    for n in 0..6 {
        peer.publish(&mut bus, &topic.to_string(), &format!("m{n}"));
    }
    assert_eq!(brief(&peer.hear(&mut bus)), ["overloaded", "overloaded"]);
    bus.unstick(&topic);
    let acks: Vec<String> =
        peer.hear(&mut bus).iter().map(|heard| format!("{} {}", heard["request_id"].as_str().unwrap(), heard["result"]["seq"])).collect();
    assert_eq!(acks, ["m0 2", "m1 3", "m2 4", "m3 5"]);
}

#[test]
fn a_pattern_over_the_bound_is_refused_and_holds_nothing_back() {
    let mut bus = bus_with(|setup| setup.config.limits.lane_queue = 0);
    let (stuck, other) = (topic_on(&bus, 1), topic_on(&bus, 0));
    publish(&mut bus, &stuck, 1);
    publish(&mut bus, &other, 1);
    let (mut peer, mut publisher) = (Peer::open(&mut bus, 0), Peer::open(&mut bus, 0));
    peer.ask(&mut bus, "join_channel", &join(&other));
    bus.stick(&stuck);
    publisher.publish(&mut bus, &stuck.to_string(), "waits");
    bus.run();
    assert_eq!(peer.ask(&mut bus, "join_channel", &json!({ "room": "r", "channel": "*" })), "overloaded");
    publish(&mut bus, &other, 1);
    assert_eq!(brief(&peer.hear(&mut bus)), ["2"]);
    assert_eq!(peer.ask(&mut bus, "leave_channel", &json!({ "room": "r", "channel": "*" })), "not_joined");
}

#[test]
fn a_lane_whose_log_opens_late_takes_pattern_members_in_at_its_start() {
    let mut bus = bus();
    let topic = topic_on(&bus, 1);
    let mut member = Peer::open(&mut bus, 0);
    member.ask(&mut bus, "join_channel", &json!({ "room": "r", "channel": "*" }));
    bus.stick(&topic);
    let mut publisher = Peer::open(&mut bus, 1);
    publisher.publish(&mut bus, &topic.to_string(), "first");
    publisher.hear(&mut bus);
    bus.unstick(&topic);
    assert_eq!(brief(&publisher.hear(&mut bus)), ["ok"]);
    assert_eq!(brief(&member.hear(&mut bus)), ["1"]);
}

#[test]
fn what_a_deleted_lane_had_queued_is_answered() {
    let mut bus = bus();
    let topic = topic_on(&bus, 1);
    publish(&mut bus, &topic, 2);
    let mut peer = Peer::open(&mut bus, 0);
    bus.stick(&topic);
    peer.command(&mut bus, "delete_channel", &join(&topic));
    peer.publish(&mut bus, &topic.to_string(), "after");
    peer.command(&mut bus, "history", &join(&topic));
    peer.command(&mut bus, "join_channel", &json!({ "room": "r", "channel": "*" }));
    assert_eq!(brief(&peer.hear(&mut bus)), [] as [&str; 0]);
    bus.unstick(&topic);
    let heard = peer.hear(&mut bus);
    // Delete, publish, history and join are answered; and the pattern sees the topic that is born again.
    assert_eq!(brief(&heard), ["ok", "ok", "ok", "ok", "1"]);
    let after = heard.iter().find(|heard| heard["request_id"] == "after").unwrap();
    assert_eq!(after["result"]["seq"], 1, "of the log that follows");
}

#[test]
fn leaving_a_pattern_does_not_overtake_joining_it() {
    let mut bus = bus();
    let topic = topic_on(&bus, 1);
    publish(&mut bus, &topic, 1);
    let mut peer = Peer::open(&mut bus, 0);
    let pattern = json!({ "room": "r", "channel": "*" });
    bus.stick(&topic);
    peer.command(&mut bus, "join_channel", &pattern);
    peer.command(&mut bus, "leave_channel", &pattern);
    peer.hear(&mut bus);
    bus.unstick(&topic);
    peer.hear(&mut bus);
    publish(&mut bus, &topic, 1);
    assert_eq!(brief(&peer.hear(&mut bus)), [] as [&str; 0]);
    assert_eq!(peer.ask(&mut bus, "members", &join(&topic))["total"], 0);
}
