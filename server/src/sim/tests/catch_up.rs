//! The past: resumed, replayed, paged, and told where it is missing.

use serde_json::json;

use super::*;

#[test]
fn a_join_goes_on_or_says_why_not() {
    let mut bus = bus_with(|setup| setup.config.history.messages = 3);
    let topic = topic_on(&bus, 1);
    publish(&mut bus, &topic, 9);
    let epoch = bus.head(&topic).unwrap().epoch.to_string();
    for (epoch, seq, expected) in [
        (epoch.as_str(), 9, vec!["ok"]),
        (&epoch, 8, vec!["ok", "9"]),
        (&epoch, 6, vec!["ok", "7", "8", "9"]),
        (&epoch, 5, vec!["ok", "trimmed 6", "7", "8", "9"]),
        (&epoch, 0, vec!["ok", "trimmed 6", "7", "8", "9"]),
        (&epoch, 10, vec!["ok", "ahead 9"]),
        (&epoch, (1_u64 << 53) - 1, vec!["ok", "ahead 9"]),
        ("other", 9, vec!["ok", "epoch_changed 6", "7", "8", "9"]),
    ] {
        let mut member = Peer::open(&mut bus, 0);
        let args = join_since(&topic, &json!({ "epoch": epoch, "seq": seq }));
        member.command(&mut bus, "join_channel", &args);
        assert_eq!(brief(&member.hear(&mut bus)), expected, "since {seq} of {epoch}");
    }
}

#[test]
fn a_long_past_is_paged_while_messages_come_and_nothing_is_lost_or_repeated() {
    let mut bus = bus_with(|setup| setup.config.limits.outbox_bytes = 64 * 1024);
    let topic = topic_on(&bus, 1);
    publish(&mut bus, &topic, 900);
    let (mut member, mut publisher) = (Peer::open(&mut bus, 0), Peer::open(&mut bus, 1));
    let since = json!({ "epoch": bus.head(&topic).unwrap().epoch, "seq": 0 });
    bus.set_window(member.link, Some(4_096));
    member.command(&mut bus, "join_channel", &join_since(&topic, &since));
    let mut seen = Vec::new();
    for _ in 0..400 {
        say_message(&mut bus, &mut publisher, &topic, &json!({}));
        for _ in 0..20 {
            bus.step();
        }
        seen.extend(seqs(&member.hear_now(&mut bus)));
    }
    bus.set_window(member.link, None);
    seen.extend(seqs(&member.hear(&mut bus)));
    seen.extend(seqs(&member.hear(&mut bus)));
    assert_eq!(member.closed, None);
    // A history of 1,000 may have trimmed what was not yet given; here it did not.
    assert_eq!(seen, (1..=1_300).collect::<Vec<u64>>());
}

#[test]
fn a_past_that_is_trimmed_between_two_pages_is_a_gap() {
    let mut bus = bus_with(|setup| {
        setup.config.history.messages = 300;
        setup.config.limits.outbox_bytes = 128 * 1024;
    });
    let topic = topic_on(&bus, 1);
    publish(&mut bus, &topic, 300);
    let mut member = Peer::open(&mut bus, 0);
    let since = json!({ "epoch": bus.head(&topic).unwrap().epoch, "seq": 0 });
    bus.set_window(member.link, Some(1));
    member.command(&mut bus, "join_channel", &join_since(&topic, &since));
    bus.run();
    publish(&mut bus, &topic, 600);
    bus.set_window(member.link, None);
    let mut heard = member.hear(&mut bus);
    heard.extend(member.hear(&mut bus));
    let brief = brief(&heard);
    let gap = brief.iter().position(|word| word.starts_with("trimmed")).expect("a gap is told");
    assert_eq!(brief[gap + 1..].iter().map(|word| word.parse::<u64>().unwrap()).collect::<Vec<_>>(), (601..=900).collect::<Vec<_>>());
    assert_eq!(brief[gap], "trimmed 600");
    assert_eq!(seqs(&heard[..gap]), (1..=(gap as u64 - 1)).collect::<Vec<_>>());
}

#[test]
fn a_replay_gives_the_last_ones() {
    let mut bus = bus();
    let topic = topic_on(&bus, 0);
    publish(&mut bus, &topic, 5);
    for (replay, expected) in [(0, vec![]), (2, vec![4, 5]), (99, vec![1, 2, 3, 4, 5])] {
        let mut member = Peer::open(&mut bus, 1);
        let mut args = join(&topic);
        args["replay"] = json!(replay);
        member.command(&mut bus, "join_channel", &args);
        assert_eq!(seqs(&member.hear(&mut bus)), expected);
    }
}

#[test]
fn a_resumed_pattern_gives_what_is_known_from_there_and_the_rest_from_its_start() {
    let mut bus = bus_with(|setup| setup.config.history.messages = 3);
    let (known, new, trimmed) = (topic_on(&bus, 0), topic_on(&bus, 1), topics_on(&bus, 1).nth(1).unwrap());
    for (topic, count) in [(&known, 3), (&new, 2), (&trimmed, 5)] {
        publish(&mut bus, topic, count);
    }
    let mut member = Peer::open(&mut bus, 0);
    let position = json!({ "room": known.room, "channel": known.channel, "epoch": bus.head(&known).unwrap().epoch, "seq": 2 });
    member.command(&mut bus, "join_channel", &json!({ "room": "r", "channel": "*", "positions": [position] }));
    let heard = member.hear(&mut bus);
    let of = |topic: &Topic| {
        let of_topic: Vec<Value> = heard.iter().filter(|heard| heard["channel"] == topic.channel.as_str()).cloned().collect();
        brief(&of_topic)
    };
    assert_eq!(of(&known), ["3"]);
    assert_eq!(of(&new), ["1", "2"]);
    assert_eq!(of(&trimmed), ["trimmed 2", "3", "4", "5"]);
}

#[test]
fn g10_a_resumed_pattern_is_told_at_once_of_topics_that_are_no_more() {
    let mut bus = bus_with(|setup| setup.config.rules = rules(r#"[{ "topics": "r:named*", "create": "explicit" }]"#));
    let lost: Vec<Topic> = vec![topic_on(&bus, 0), topic_on(&bus, 1)];
    let elsewhere: Topic = "other:topic".parse().unwrap();
    let named: Topic = "r:named".parse().unwrap();
    let position = |topic: &Topic| json!({ "room": topic.room, "channel": topic.channel, "epoch": "former", "seq": 7 });
    let positions: Vec<Value> = lost.iter().chain([&elsewhere, &named]).map(position).collect();
    let mut member = Peer::open(&mut bus, 0);
    let args = json!({ "room": "r", "channel": "*", "positions": positions });
    let id = member.command(&mut bus, "join_channel", &args);
    let heard = member.hear(&mut bus);
    assert_eq!(brief(&heard), ["ok", "epoch_changed 0", "epoch_changed 0"]);
    assert_eq!((heard[0]["request_id"].as_str(), heard[0]["result"]["topics"].as_array().unwrap().len()), (Some(&*id), 2));
    let mut gapped: Vec<&str> = heard[1..].iter().map(|gap| gap["channel"].as_str().unwrap()).collect();
    gapped.sort_unstable();
    let mut expected: Vec<&str> = lost.iter().map(|topic| topic.channel.as_str()).collect();
    expected.sort_unstable();
    assert_eq!(gapped, expected);
    assert!(bus.head(&elsewhere).is_none() && bus.head(&named).is_none());
    // What comes then is no second gap.
    publish(&mut bus, &lost[0], 2);
    assert_eq!(brief(&member.hear(&mut bus)), ["1", "2"]);
}

fn rules(json: &str) -> Vec<crate::config::Rule> {
    serde_json::from_str(json).unwrap()
}
