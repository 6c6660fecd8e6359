//! Joining and leaving: by name and by pattern, over shards, again, and both at once.

use serde_json::json;

use super::*;

fn everything() -> Value {
    json!({ "room": "r", "channel": "*" })
}

#[test]
fn what_is_left_is_not_delivered_after_the_answer() {
    let mut bus = bus();
    let topics: Vec<Topic> = (0..2).map(|shard| topic_on(&bus, shard)).collect();
    publish(&mut bus, &topics[0], 1);
    publish(&mut bus, &topics[1], 1);
    for args in [join(&topics[1]), everything()] {
        let mut member = Peer::open(&mut bus, 0);
        let mut publisher = Peer::open(&mut bus, 1);
        member.ask(&mut bus, "join_channel", &args);
        let leave = member.command(&mut bus, "leave_channel", &args);
        // Published on the other shard while the leave is on its way.
        say_message(&mut bus, &mut publisher, &topics[1], &json!({}));
        let heard = member.hear(&mut bus);
        let answer = heard.iter().position(|heard| heard["request_id"] == leave.as_str()).unwrap();
        assert_eq!(seqs(&heard[answer..]), [] as [u64; 0], "{args}");
        publish(&mut bus, &topics[1], 1);
        assert_eq!(brief(&member.hear(&mut bus)), [] as [&str; 0], "{args}");
        assert_eq!(member.ask(&mut bus, "leave_channel", &args), "not_joined");
    }
}

#[test]
fn a_second_join_by_name_replaces_the_first() {
    let mut bus = bus();
    let topic = topic_on(&bus, 1);
    publish(&mut bus, &topic, 3);
    let mut member = Peer::open(&mut bus, 0);
    let joined = member.ask(&mut bus, "join_channel", &join(&topic));
    let mut since = joined["topics"][0]["head"].clone();
    since["seq"] = json!(1);
    member.command(&mut bus, "join_channel", &join_since(&topic, &since));
    assert_eq!(brief(&member.hear(&mut bus)), ["ok", "2", "3"]);
    publish(&mut bus, &topic, 1);
    assert_eq!(brief(&member.hear(&mut bus)), ["4"], "once");
    let members = member.ask(&mut bus, "members", &join(&topic));
    assert_eq!(members["total"], 1);
    member.ask(&mut bus, "leave_channel", &join(&topic));
    publish(&mut bus, &topic, 1);
    assert_eq!(brief(&member.hear(&mut bus)), [] as [&str; 0]);
}

#[test]
fn a_pattern_join_lists_all_shards_and_misses_nothing_while_it_gathers() {
    let mut bus = bus();
    let topics: Vec<Topic> = (0..2).map(|shard| topic_on(&bus, shard)).collect();
    topics.iter().for_each(|topic| publish(&mut bus, topic, 2));
    let (mut member, mut publisher) = (Peer::open(&mut bus, 0), Peer::open(&mut bus, 0));
    bus.hold(1, 0);
    member.command(&mut bus, "join_channel", &everything());
    bus.run();
    // The lane here has opened; the one over there has, too, but nobody here knows. Meanwhile another is born.
    let born = topics_on(&bus, 0).nth(1).unwrap();
    for topic in [&topics[0], &topics[1], &born] {
        say_message(&mut bus, &mut publisher, topic, &json!({}));
    }
    bus.run();
    assert_eq!(brief(&member.hear_now(&mut bus)), [] as [&str; 0], "nothing comes before the answer");
    bus.release();
    let heard = member.hear(&mut bus);
    assert_eq!(heard[0]["result"]["topics"].as_array().unwrap().len(), 2);
    let mut messages: Vec<String> =
        heard[1..].iter().map(|heard| format!("{}:{} {}", "r", heard["channel"].as_str().unwrap(), heard["seq"])).collect();
    messages.sort();
    let mut expected = [format!("{} 3", topics[0]), format!("{} 3", topics[1]), format!("{born} 1")];
    expected.sort();
    assert_eq!(messages, expected);
}

#[test]
fn a_second_way_in_takes_nothing_from_the_first() {
    // A join by name that goes on from 1, and a pattern; in either order, and live or resumed. Whatever the first is owed still comes.
    for (first_by_name, resumed_pattern) in [(true, false), (true, true), (false, false), (false, true)] {
        let mut bus = bus();
        let topic = topic_on(&bus, 1);
        publish(&mut bus, &topic, 5);
        let at = |seq: u64| json!({ "epoch": bus.head(&topic).unwrap().epoch, "seq": seq });
        let named = join_since(&topic, &at(1));
        let mut pattern = everything();
        if resumed_pattern {
            pattern["positions"] = json!([{ "room": topic.room, "channel": topic.channel, "epoch": at(1)["epoch"], "seq": 3 }]);
        } else if !first_by_name {
            pattern["replay"] = json!(4);
        }
        let mut member = Peer::open(&mut bus, 0);
        let (first, second) = if first_by_name { (&named, &pattern) } else { (&pattern, &named) };
        member.command(&mut bus, "join_channel", first);
        member.command(&mut bus, "join_channel", second);
        let heard = member.hear(&mut bus);
        let seen: std::collections::BTreeSet<u64> = seqs(&heard).into_iter().collect();
        assert_eq!(seen, (2..=5).collect(), "{first_by_name} {resumed_pattern}: {:?}", brief(&heard));
        publish(&mut bus, &topic, 1);
        assert_eq!(brief(&member.hear(&mut bus)), ["6"]);
        // One way out leaves the other.
        member.ask(&mut bus, "leave_channel", &join(&topic));
        publish(&mut bus, &topic, 1);
        assert_eq!(brief(&member.hear(&mut bus)), ["7"]);
        member.ask(&mut bus, "leave_channel", &everything());
        publish(&mut bus, &topic, 1);
        assert_eq!(brief(&member.hear(&mut bus)), [] as [&str; 0]);
    }
}

#[test]
fn one_join_too_many_is_refused_and_leaves_nothing_behind() {
    let mut bus = bus_with(|setup| setup.config.limits.joins = 2);
    let topics: Vec<Topic> = (0..3).map(|n| topics_on(&bus, n % 2).nth(n).unwrap()).collect();
    let mut member = Peer::open(&mut bus, 0);
    member.ask(&mut bus, "join_channel", &everything());
    assert!(member.ask(&mut bus, "join_channel", &join(&topics[0])).is_object());
    assert_eq!(member.ask(&mut bus, "join_channel", &join(&topics[1])), "limit_exceeded");
    assert_eq!(member.ask(&mut bus, "join_channel", &json!({ "room": "s", "channel": "*" })), "limit_exceeded");
    assert!(member.ask(&mut bus, "join_channel", &join(&topics[0])).is_object(), "the same again is not one more");
    // By its pattern it is in there all the same, and only so.
    publish(&mut bus, &topics[1], 1);
    assert_eq!(brief(&member.hear(&mut bus)), ["1"]);
    member.ask(&mut bus, "leave_channel", &everything());
    publish(&mut bus, &topics[1], 1);
    assert_eq!(brief(&member.hear(&mut bus)), [] as [&str; 0]);
    assert_eq!(member.ask(&mut bus, "members", &join(&topics[1]))["total"], 0);
    assert!(member.ask(&mut bus, "join_channel", &join(&topics[1])).is_object(), "there is room again");
}

#[test]
fn a_connection_that_goes_while_it_joins_is_a_member_of_nothing() {
    let mut bus = bus();
    let topics: Vec<Topic> = (0..2).map(|shard| topic_on(&bus, shard)).collect();
    topics.iter().for_each(|topic| publish(&mut bus, topic, 1));
    let mut looker = Peer::open(&mut bus, 0);
    for held in [(0, 1), (1, 0)] {
        let mut member = Peer::open(&mut bus, 0);
        bus.hold(held.0, held.1);
        member.command(&mut bus, "join_channel", &join(&topics[1]));
        member.command(&mut bus, "join_channel", &everything());
        bus.run();
        bus.cut(member.link);
        bus.run();
        bus.release();
        bus.settle();
        assert!(bus.is_over(member.link));
        for topic in &topics {
            assert_eq!(looker.ask(&mut bus, "members", &join(topic))["total"], 0, "{topic}, {held:?}");
        }
        publish(&mut bus, &"r:new".parse().unwrap(), 1);
        assert_eq!(looker.ask(&mut bus, "members", &json!({ "room": "r", "channel": "new" }))["total"], 0);
    }
}

#[test]
fn a_channel_is_created_also_where_a_pattern_waits_for_it() {
    let mut bus = bus();
    let topic = topic_on(&bus, 1);
    let mut watcher = Peer::open(&mut bus, 0);
    watcher.ask(&mut bus, "join_channel", &everything());
    let mut creator = Peer::open(&mut bus, 0);
    let args = json!({ "room": topic.room, "channel": topic.channel, "description": "what it is for" });
    assert_eq!(creator.ask(&mut bus, "create_channel", &args)["created"], true);
    assert_eq!(creator.ask(&mut bus, "create_channel", &args)["created"], false);
    assert_eq!(creator.ask(&mut bus, "channel_info", &join(&topic))["description"], "what it is for");
}
