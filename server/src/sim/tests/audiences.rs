//! Large audiences: filled in slices, others served between, nothing overtaken.

use serde_json::json;

use super::*;

const SLICE: usize = 3;

fn sliced() -> SimBus {
    bus_with(|setup| setup.slice_members = SLICE)
}

/// Members of `topic`, all on shard 0.
fn members(bus: &mut SimBus, topic: &Topic, count: usize) -> Vec<Peer> {
    let mut members: Vec<Peer> = (0..count).map(|_| Peer::open(bus, 0)).collect();
    for member in &mut members {
        member.ask(bus, "join_channel", &join(topic));
    }
    members
}

/// Publishes while nobody but the first few of the audience is given it.
fn publish_held(bus: &mut SimBus, topic: &Topic, count: usize) {
    bus.hold_slices();
    publish(bus, topic, count);
}

#[test]
fn acks_and_pings_of_others_are_answered_between_two_slices_of_a_large_audience() {
    for home in [0, 1] {
        let mut bus = sliced();
        let topic = topic_on(&bus, home);
        let mut members = members(&mut bus, &topic, 10);
        let mut other = Peer::open(&mut bus, 0);
        publish_held(&mut bus, &topic, 1);
        let reached: Vec<usize> = members.iter_mut().map(|member| seqs(&member.hear(&mut bus)).len()).collect();
        assert_eq!(reached, [1, 1, 1, 0, 0, 0, 0, 0, 0, 0], "one slice");

        assert!(other.ask(&mut bus, "ping", &json!({})).is_object());
        other.publish(&mut bus, "other:topic", "a");
        assert_eq!(brief(&other.hear(&mut bus)), ["ok"]);
        assert!(bus.owed_bytes() > 0);

        bus.release();
        for member in &mut members[SLICE..] {
            assert_eq!(seqs(&member.hear(&mut bus)), [1]);
        }
        assert_eq!(bus.owed_bytes(), 0);
    }
}

/// What the last member of a held audience of `topic` hears once `then` was done to it.
fn last_hears(then: impl FnOnce(&mut SimBus, &mut Peer, &Topic)) -> Vec<String> {
    let mut bus = sliced();
    let topic = topic_on(&bus, 1);
    let mut members = members(&mut bus, &topic, 7);
    let last = members.last_mut().unwrap();
    publish_held(&mut bus, &topic, 2);
    assert_eq!(brief(&last.hear(&mut bus)), [] as [&str; 0]);
    then(&mut bus, last, &topic);
    let mut heard = last.hear(&mut bus);
    bus.release();
    heard.extend(last.hear(&mut bus));
    let mut words = brief(&heard);
    words.extend(last.closed.map(|code| code.to_string()));
    words
}

#[test]
fn what_comes_later_does_not_overtake_an_unfinished_slice() {
    let command = |name: &'static str| {
        last_hears(move |bus, last, topic| {
            last.command(bus, name, &join(topic));
        })
    };
    assert_eq!(command("leave_channel"), ["1", "2", "ok"]);
    assert_eq!(command("join_channel"), ["1", "2", "ok"]);
    assert_eq!(command("delete_channel"), ["1", "2", "deleted", "ok"]);
    let again = last_hears(|bus, last, topic| {
        last.command(bus, "join_channel", &join_since(topic, &json!({ "epoch": bus.head(topic).unwrap().epoch, "seq": 1 })));
    });
    assert_eq!(again, ["1", "2", "ok", "2"], "a page, as asked for");
    assert_eq!(last_hears(|bus, last, topic| last.publish(bus, &topic.to_string(), "own")), ["1", "2", "ok", "3"]);
    assert_eq!(last_hears(|bus, _, topic| publish(bus, topic, 1)), ["1", "2", "3"]);
    assert_eq!(last_hears(|bus, _, _| bus.close_all()), ["1", "2", "1012"]);
    let excluded = last_hears(|bus, last, topic| say_message(bus, last, topic, &json!({ "exclude_sender": true })));
    assert_eq!(excluded, ["1", "2", "ok"]);
}

#[test]
fn rooms_everyone_and_the_end_of_a_channel_come_in_slices_too() {
    let said = |bus: &mut SimBus, words: &Value| {
        let mut speaker = Peer::open(bus, 1);
        bus.hold_slices();
        speaker.say(bus, words);
        bus.settle();
    };
    let (room, everyone) = (json!({ "type": "message", "room": "r", "payload": "room" }), json!({ "type": "message", "to": "*", "payload": "all" }));
    let mut bus = sliced();
    let topics = [topic_on(&bus, 0), topic_on(&bus, 1)];
    let mut members = members(&mut bus, &topics[0], 8);
    for member in &mut members {
        member.ask(&mut bus, "join_channel", &join(&topics[1]));
    }
    for (words, expected) in [(room, "room"), (everyone, "all")] {
        said(&mut bus, &words);
        let before: Vec<_> = members.iter_mut().map(|member| brief(&member.hear(&mut bus))).collect();
        assert_eq!(before.iter().flatten().count(), SLICE, "{before:?}");
        bus.release();
        for (member, before) in members.iter_mut().zip(before) {
            assert_eq!([before, brief(&member.hear(&mut bus))].concat(), [expected], "each once");
        }
    }
    let mut admin = Peer::open(&mut bus, 1);
    bus.hold_slices();
    assert_eq!(admin.ask(&mut bus, "delete_channel", &join(&topics[0]))["members"], 8);
    let told = members.iter_mut().filter_map(|member| member.hear(&mut bus).pop()).count();
    assert_eq!(told, SLICE);
    // Whoever joins the topic that follows has heard of the end of the one before.
    let last = members.last_mut().unwrap();
    last.command(&mut bus, "join_channel", &join(&topics[0]));
    assert_eq!(brief(&last.hear(&mut bus)), ["deleted", "ok"]);
    bus.release();
    for member in &mut members[SLICE..7] {
        assert_eq!(brief(&member.hear(&mut bus)), ["deleted"]);
        assert_eq!(member.ask(&mut bus, "leave_channel", &join(&topics[0])), "not_joined");
    }
}

#[test]
fn members_may_come_and_go_between_slices_and_nobody_is_left_out_or_given_twice() {
    for seed in 0..30 {
        let mut bus = bus_with(|setup| (setup.slice_members, setup.seed) = (2, seed));
        let topic = topic_on(&bus, 1);
        let mut stay = members(&mut bus, &topic, 9);
        let mut passing = members(&mut bus, &topic, 6);
        let mut publisher = Peer::open(&mut bus, 1);
        for n in 0..12 {
            publisher.publish(&mut bus, &topic.to_string(), &format!("m{n}"));
            let name = if n % 2 == 0 { "leave_channel" } else { "join_channel" };
            passing[n % 6].command(&mut bus, name, &join(&topic));
            if n == 7 {
                bus.cut(passing[5].link);
            }
            for _ in 0..5 {
                bus.step();
            }
        }
        for member in &mut stay {
            assert_eq!(seqs(&member.hear(&mut bus)), (1..=12).collect::<Vec<u64>>(), "seed {seed}");
        }
        assert_eq!(bus.owed_bytes(), 0);
    }
}

#[test]
fn what_large_audiences_are_owed_is_bounded() {
    let mut bus = sliced();
    let topic = topic_on(&bus, 1);
    let mut members = members(&mut bus, &topic, 7);
    let mut publisher = Peer::open(&mut bus, 0);
    bus.hold_slices();
    let payload = "x".repeat(40_000);
    for _ in 0..60 {
        say_message(&mut bus, &mut publisher, &topic, &json!({ "payload": payload }));
        bus.settle();
        assert!(bus.owed_bytes() <= crate::fanout::OWED_BYTES_MAX);
    }
    bus.release();
    bus.settle();
    assert_eq!(bus.owed_bytes(), 0);
    for member in &mut members {
        assert_eq!(seqs(&member.hear(&mut bus)), (1..=60).collect::<Vec<u64>>());
    }
}
