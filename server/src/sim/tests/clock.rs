//! G20: what follows the wall clock, and what does not.

use serde_json::json;

use super::*;

const DAY_MS: i64 = 86_400_000;
const STEPS: [i64; 4] = [DAY_MS, -DAY_MS, -DAY_MS, 2 * DAY_MS];

#[test]
fn g20_order_and_resume_do_not_follow_steps_of_the_wall_clock() {
    let mut bus = bus();
    let topic = topic_on(&bus, 1);
    let mut member = Peer::open(&mut bus, 0);
    let head = member.ask(&mut bus, "join_channel", &join(&topic))["topics"][0]["head"].clone();
    for step in STEPS {
        publish(&mut bus, &topic, 1);
        bus.step_wall_clock(step);
    }
    publish(&mut bus, &topic, 1);
    let heard = member.hear(&mut bus);
    assert_eq!(seqs(&heard), [1, 2, 3, 4, 5]);
    let stamps: Vec<&str> = heard.iter().map(|heard| heard["timestamp"].as_str().unwrap()).collect();
    assert!(stamps[0] < stamps[1] && stamps[2] < stamps[1], "timestamps do follow it: {stamps:?}");
    let mut back = Peer::open(&mut bus, 1);
    back.command(&mut bus, "join_channel", &join_since(&topic, &head));
    assert_eq!(brief(&back.hear(&mut bus)), ["ok", "1", "2", "3", "4", "5"]);
    // A bound by time cuts the log once, whatever the timestamps are.
    let history = back.ask(&mut bus, "history", &json!({ "room": topic.room, "channel": topic.channel, "since": stamps[0] }));
    let rest: Vec<u64> = history["messages"].as_array().unwrap().iter().map(|message| message["seq"].as_u64().unwrap()).collect();
    assert_eq!(rest, [2, 3, 4, 5]);
}

#[test]
fn g20_retention_and_windows_do_not_follow_steps_of_the_wall_clock() {
    for step in STEPS {
        let mut bus = bus_with(|setup| (setup.config.history.age_ms, setup.config.heartbeat_ms) = (60_000, 600_000));
        let topic = topic_on(&bus, 1);
        let mut publisher = Peer::open(&mut bus, 0);
        publisher.publish(&mut bus, &topic.to_string(), "once");
        publisher.hear(&mut bus);
        bus.step_wall_clock(step);
        bus.advance(50_000);
        publisher.publish(&mut bus, &topic.to_string(), "once");
        let again = publisher.hear(&mut bus).pop().unwrap();
        assert_eq!((&again["result"]["seq"], &again["result"]["duplicate"]), (&json!(1), &json!(true)), "the window is open");
        let held = |bus: &mut SimBus, peer: &mut Peer| peer.ask(bus, "history", &join(&topic))["messages"].as_array().unwrap().len();
        assert_eq!(held(&mut bus, &mut publisher), 1, "the message is held");
        bus.step_wall_clock(-step);
        bus.advance(80_000);
        assert_eq!(held(&mut bus, &mut publisher), 0, "it has expired");
        publisher.publish(&mut bus, &topic.to_string(), "once");
        let anew = publisher.hear(&mut bus).pop().unwrap();
        assert_eq!((&anew["result"]["seq"], &anew["result"]["duplicate"]), (&json!(2), &json!(false)), "the window has ended");
    }
}

#[test]
fn g20_heartbeats_and_slow_readers_do_not_follow_steps_of_the_wall_clock() {
    let mut bus = bus();
    let topic = topic_on(&bus, 1);
    let (mut silent, mut slow) = (Peer::open(&mut bus, 0), Peer::open(&mut bus, 1));
    slow.ask(&mut bus, "join_channel", &join(&topic));
    bus.set_window(slow.link, Some(1));
    publish(&mut bus, &topic, 1);
    for step in STEPS {
        bus.step_wall_clock(step);
        bus.advance(2_000);
        assert!(bus.is_open(silent.link) && bus.is_open(slow.link), "8 s have passed, not days");
    }
    bus.step_wall_clock(-DAY_MS);
    bus.advance(30_000);
    silent.hear_now(&mut bus);
    assert_eq!((silent.closed, bus.is_over(slow.link)), (Some(4102), true), "38 s have passed");
}
