//! Slow readers and silent peers.

use serde_json::json;

use super::*;

#[test]
fn a_reader_over_its_bound_is_closed_and_nobody_waits_for_it() {
    let mut bus = bus_with(|setup| setup.config.limits.outbox_bytes = 8 * 1024);
    let topic = topic_on(&bus, 1);
    let (mut slow, mut other) = (Peer::open(&mut bus, 0), Peer::open(&mut bus, 0));
    slow.ask(&mut bus, "join_channel", &join(&topic));
    let head = other.ask(&mut bus, "join_channel", &join(&topic))["topics"][0]["head"].clone();
    bus.set_window(slow.link, Some(500));
    for _ in 0..100 {
        publish(&mut bus, &topic, 1);
        assert!(bus.queued_bytes(slow.link) <= 8 * 1024);
    }
    assert_eq!(seqs(&other.hear(&mut bus)).len(), 100);
    bus.set_window(slow.link, None);
    let seen = seqs(&slow.hear(&mut bus));
    assert_eq!(slow.closed, Some(4100));
    // Nothing is lost by it.
    let mut back = Peer::open(&mut bus, 1);
    let mut since = head;
    since["seq"] = json!(seen.len());
    back.command(&mut bus, "join_channel", &join_since(&topic, &since));
    let rest = seqs(&back.hear(&mut bus));
    assert_eq!([seen, rest].concat(), (1..=100).collect::<Vec<u64>>());
}

#[test]
fn a_reader_that_takes_nothing_for_long_is_closed() {
    let mut bus = bus();
    let topic = topic_on(&bus, 1);
    let mut slow = Peer::open(&mut bus, 0);
    slow.ask(&mut bus, "join_channel", &join(&topic));
    bus.set_window(slow.link, Some(1));
    publish(&mut bus, &topic, 1);
    bus.advance(9_000);
    assert!(bus.is_open(slow.link));
    bus.advance(3_000);
    bus.set_window(slow.link, None);
    slow.hear(&mut bus);
    assert_eq!(slow.closed, Some(4100));
}

#[test]
fn a_silent_peer_is_pinged_then_closed_and_one_that_answers_stays() {
    let mut bus = bus();
    let (mut silent, mut alive) = (Peer::open(&mut bus, 0), Peer::open(&mut bus, 1));
    for _ in 0..32 {
        bus.advance(1_000);
        alive.hear_now(&mut bus);
    }
    bus.run();
    silent.hear_now(&mut bus);
    assert_eq!((silent.closed, alive.closed), (Some(4102), None));
    bus.advance(5_000);
    assert!(bus.is_over(silent.link) && bus.is_open(alive.link));
}

#[test]
fn whoever_does_not_take_answers_is_not_read_and_goes_on_when_it_does() {
    let mut bus = bus();
    let mut peer = Peer::open(&mut bus, 0);
    bus.set_window(peer.link, Some(1_000));
    for n in 0..5_000 {
        peer.say(&mut bus, &json!({ "type": "command", "id": format!("h{n}"), "command": "ping" }));
    }
    bus.settle();
    assert!(bus.queued_bytes(peer.link) <= 1024 * 1024);
    bus.set_window(peer.link, None);
    let mut answers = peer.hear(&mut bus).len();
    for _ in 0..10 {
        answers += peer.hear(&mut bus).len();
    }
    assert_eq!((answers, peer.closed), (5_000, None));
}
