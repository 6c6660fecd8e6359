//! Work groups: one of many, again, dead, bounded, and told of what is missing. Also where the store answers late.

use serde_json::json;

use super::*;

/// A member of group `g`, with more arguments.
fn worker(bus: &mut SimBus, topic: &Topic, more: &Value) -> Peer {
    let mut worker = Peer::open(bus, 0);
    let joined = worker.ask(bus, "join_channel", &of(topic, more));
    assert!(joined.is_object(), "{joined}");
    worker
}

/// Arguments about group `g` of a topic.
fn of(topic: &Topic, more: &Value) -> Value {
    let mut args = json!({ "room": topic.room, "channel": topic.channel, "group": "g" });
    args.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    args
}

fn settling(bus: &SimBus, topic: &Topic, seqs: &[u64], more: &Value) -> Value {
    let mut args = of(topic, &json!({ "epoch": bus.head(topic).unwrap().epoch, "seqs": seqs }));
    args.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    args
}

fn ack(bus: &mut SimBus, worker: &mut Peer, topic: &Topic, seqs: &[u64]) -> Vec<String> {
    settle(bus, worker, "ack", topic, seqs, &json!({}))
}

/// Settles, and gives what came of it.
fn settle(bus: &mut SimBus, worker: &mut Peer, verb: &str, topic: &Topic, seqs: &[u64], more: &Value) -> Vec<String> {
    let args = settling(bus, topic, seqs, more);
    worker.command(bus, verb, &args);
    jobs(&worker.hear(bus))
}

/// What was heard in one word each, jobs as `seq#delivery`.
fn jobs(heard: &[Value]) -> Vec<String> {
    let word = |heard: &Value| match heard["delivery"].as_u64() {
        Some(delivery) => format!("{}#{delivery}", heard["seq"]),
        None => brief(std::slice::from_ref(heard)).remove(0),
    };
    heard.iter().map(word).collect()
}

fn late(setup: &mut Setup) {
    setup.store_delay_ms = 5;
}

fn nothing() -> [String; 0] {
    []
}

#[test]
fn each_message_goes_to_one_member_and_to_every_ordinary_one() {
    for change in [|_: &mut Setup| (), late] {
        let mut bus = bus_with(change);
        let topic = topic_on(&bus, 1);
        let mut workers: Vec<Peer> = (0..3).map(|_| worker(&mut bus, &topic, &json!({}))).collect();
        let mut listener = Peer::open(&mut bus, 1);
        listener.ask(&mut bus, "join_channel", &join(&topic));
        publish(&mut bus, &topic, 9);
        assert_eq!(seqs(&listener.hear(&mut bus)), (1..=9).collect::<Vec<_>>());
        let mut given: Vec<u64> = Vec::new();
        for worker in &mut workers {
            let heard = worker.hear(&mut bus);
            assert!(!heard.is_empty(), "each has a share");
            assert!(heard.iter().all(|job| job["group"] == "g" && job["delivery"] == 1), "{heard:?}");
            given.extend(seqs(&heard));
        }
        given.sort_unstable();
        assert_eq!(given, (1..=9).collect::<Vec<_>>());
    }
}

#[test]
fn a_member_of_a_group_can_be_an_ordinary_one_too_and_leaves_each_on_its_own() {
    let mut bus = bus();
    let topic = topic_on(&bus, 1);
    let mut both = worker(&mut bus, &topic, &json!({}));
    let joined = both.ask(&mut bus, "join_channel", &join(&topic));
    assert_eq!(joined["topics"][0]["members"], 1);
    publish(&mut bus, &topic, 1);
    let mut heard = jobs(&both.hear(&mut bus));
    heard.sort();
    assert_eq!(heard, ["1", "1#1"]);
    let members = both.ask(&mut bus, "members", &join(&topic));
    assert_eq!((&members["total"], &members["members"][0]["groups"]), (&json!(1), &json!(["g"])));
    both.ask(&mut bus, "leave_channel", &join(&topic));
    publish(&mut bus, &topic, 1);
    assert_eq!(jobs(&both.hear(&mut bus)), ["2#1"]);
    assert!(both.ask(&mut bus, "leave_channel", &of(&topic, &json!({}))).is_object());
    publish(&mut bus, &topic, 1);
    assert_eq!(jobs(&both.hear(&mut bus)), nothing());
    assert_eq!(both.ask(&mut bus, "leave_channel", &of(&topic, &json!({}))), "not_joined");
    assert_eq!(both.ask(&mut bus, "members", &join(&topic))["total"], 0);
}

#[test]
fn what_is_acked_is_gone_and_what_is_not_held_is_said() {
    let mut bus = bus();
    let topic = topic_on(&bus, 1);
    let (mut first, mut second) = (worker(&mut bus, &topic, &json!({})), worker(&mut bus, &topic, &json!({})));
    publish(&mut bus, &topic, 2);
    let (mine, theirs) = (seqs(&first.hear(&mut bus))[0], seqs(&second.hear(&mut bus))[0]);
    let info = first.ask(&mut bus, "channel_info", &join(&topic));
    assert_eq!(info["groups"], json!([{ "group": "g", "members": 2, "pending": 2, "lag": 0 }]));
    let args = settling(&bus, &topic, &[mine, theirs, 7], &json!({}));
    let mut missed = vec![theirs, 7];
    missed.sort_unstable();
    assert_eq!(first.ask(&mut bus, "ack", &args), json!({ "settled": 1, "not_held": missed }));
    assert_eq!(first.ask(&mut bus, "ack", &args), "not_held", "once");
    let other = of(&topic, &json!({ "epoch": "other", "seqs": [theirs] }));
    assert_eq!(second.ask(&mut bus, "ack", &other), "not_held", "of another epoch");
    assert_eq!(ack(&mut bus, &mut second, &topic, &[theirs]), ["ok"]);
    let mut stranger = Peer::open(&mut bus, 0);
    assert_eq!(stranger.ask(&mut bus, "ack", &args), "not_held");
    let nowhere = json!({ "room": "no", "channel": "where", "group": "g", "epoch": "e", "seqs": [1] });
    assert_eq!(stranger.ask(&mut bus, "nack", &nowhere), "not_held");
    assert_eq!(first.ask(&mut bus, "channel_info", &join(&topic))["groups"][0]["pending"], 0);
}

#[test]
fn jobs_of_a_member_that_is_gone_go_to_others_at_once_in_order_with_the_count() {
    for (change, leaves) in [(late as fn(&mut Setup), false), (|_: &mut Setup| (), false), (|_: &mut Setup| (), true)] {
        let mut bus = bus_with(change);
        let topic = topic_on(&bus, 1);
        let mut doomed = worker(&mut bus, &topic, &json!({}));
        publish(&mut bus, &topic, 5);
        assert_eq!(jobs(&doomed.hear(&mut bus)), ["1#1", "2#1", "3#1", "4#1", "5#1"]);
        assert_eq!(ack(&mut bus, &mut doomed, &topic, &[2]), ["ok"]);
        let mut heir = worker(&mut bus, &topic, &json!({}));
        if leaves {
            doomed.ask(&mut bus, "leave_channel", &of(&topic, &json!({})));
        } else {
            bus.cut(doomed.link);
        }
        bus.settle();
        publish(&mut bus, &topic, 1);
        assert_eq!(jobs(&heir.hear(&mut bus)), ["1#2", "3#2", "4#2", "5#2", "6#1"]);
        assert_eq!(bus.shared.metrics.jobs_redelivered.value(crate::telemetry::Returned::MemberLost), 4);
    }
}

#[test]
fn what_is_not_settled_in_time_goes_to_another() {
    let mut bus = bus_with(|setup| setup.config.groups.ack_timeout_ms = 5_000);
    let topic = topic_on(&bus, 1);
    let mut slow = worker(&mut bus, &topic, &json!({ "max_in_flight": 1 }));
    publish(&mut bus, &topic, 1);
    assert_eq!(jobs(&slow.hear(&mut bus)), ["1#1"]);
    let mut other = worker(&mut bus, &topic, &json!({}));
    bus.advance(4_000);
    assert_eq!(jobs(&other.hear(&mut bus)), nothing());
    bus.advance(2_000);
    assert_eq!(jobs(&other.hear(&mut bus)), ["1#2"]);
    assert_eq!(ack(&mut bus, &mut slow, &topic, &[1]), ["not_held"], "it came too late");
    assert_eq!(ack(&mut bus, &mut other, &topic, &[1]), ["ok"]);
    bus.advance(10_000);
    assert_eq!(jobs(&slow.hear(&mut bus)), nothing());
    publish(&mut bus, &topic, 2);
    let (a, b) = (seqs(&slow.hear(&mut bus)), seqs(&other.hear(&mut bus)));
    assert_eq!((a.len(), b.len()), (1, 1), "the slow one has room again");
}

#[test]
fn a_nack_brings_it_back_at_once_or_after_a_while() {
    let mut bus = bus();
    let topic = topic_on(&bus, 1);
    let mut worker = worker(&mut bus, &topic, &json!({}));
    publish(&mut bus, &topic, 3);
    worker.hear(&mut bus);
    assert_eq!(settle(&mut bus, &mut worker, "nack", &topic, &[1, 3], &json!({})), ["ok", "1#2", "3#2"]);
    assert_eq!(settle(&mut bus, &mut worker, "nack", &topic, &[1], &json!({ "delay_ms": 3_000 })), ["ok"]);
    bus.advance(2_000);
    assert_eq!(jobs(&worker.hear(&mut bus)), nothing());
    bus.advance(2_000);
    assert_eq!(jobs(&worker.hear(&mut bus)), ["1#3"]);
    assert_eq!(settle(&mut bus, &mut worker, "nack", &topic, &[1], &json!({ "delay_ms": 1, "dead": true })), ["invalid_args"]);
}

/// The letters on the dead-letter topic of `topic`: id, payload and headers.
fn letters(bus: &mut SimBus, topic: &Topic) -> Vec<Value> {
    let mut reader = Peer::open(bus, 0);
    let args = json!({ "room": topic.room, "channel": format!("{}.dead", topic.channel) });
    let history = reader.ask(bus, "history", &args);
    history["messages"].as_array().into_iter().flatten().cloned().collect()
}

#[test]
fn after_so_many_deliveries_a_job_is_a_dead_letter_and_the_others_go_on() {
    for change in [|_: &mut Setup| (), late] {
        let mut bus = bus_with(|setup| {
            setup.config.groups.deliveries_max = 2;
            change(setup);
        });
        let topic = topic_on(&bus, 1);
        let mut publisher = Peer::open(&mut bus, 0);
        say_message(&mut bus, &mut publisher, &topic, &json!({ "id": "bad", "payload": { "n": 1 }, "headers": { "trace": "t" } }));
        say_message(&mut bus, &mut publisher, &topic, &json!({ "id": "good" }));
        bus.settle();
        let mut worker = Peer::open(&mut bus, 0);
        worker.command(&mut bus, "join_channel", &of(&topic, &json!({ "replay": 10 })));
        let mut heard = jobs(&worker.hear(&mut bus));
        heard.extend(settle(&mut bus, &mut worker, "nack", &topic, &[1], &json!({ "reason": "no such customer" })));
        heard.retain(|word| word != "ok");
        assert_eq!(heard, ["1#1", "2#1", "1#2"]);
        assert_eq!(settle(&mut bus, &mut worker, "nack", &topic, &[1], &json!({ "reason": "no such customer" })), ["ok"]);
        let dead = letters(&mut bus, &topic);
        assert_eq!(dead.len(), 1, "{dead:?}");
        let epoch = bus.head(&topic).unwrap().epoch;
        assert_eq!((&dead[0]["id"], &dead[0]["payload"], &dead[0]["sender"]), (&json!("bad"), &json!({ "n": 1 }), &json!(publisher.client)));
        let headers = json!({
            "trace": "t", "dead-topic": topic.to_string(), "dead-group": "g", "dead-position": format!("{epoch}:1"),
            "dead-deliveries": "2", "dead-reason": "no such customer",
        });
        assert_eq!(dead[0]["headers"], headers);
        assert_eq!(ack(&mut bus, &mut worker, &topic, &[2]), ["ok"]);
        assert_eq!(worker.ask(&mut bus, "channel_info", &join(&topic))["groups"][0]["pending"], 0, "settled, once the letter is stored");
        assert_eq!(bus.shared.metrics.dead_letters.value(), 1);
    }
}

#[test]
fn a_job_can_be_declared_dead_and_where_there_is_no_place_for_letters_it_is_counted() {
    let mut bus = bus_with(|setup| setup.config.groups.dead_letter = "off".into());
    let topic = topic_on(&bus, 1);
    let mut worker = worker(&mut bus, &topic, &json!({}));
    publish(&mut bus, &topic, 2);
    worker.hear(&mut bus);
    assert_eq!(settle(&mut bus, &mut worker, "nack", &topic, &[1], &json!({ "dead": true })), ["ok"]);
    assert_eq!(worker.ask(&mut bus, "channel_info", &join(&topic))["groups"][0]["pending"], 1);
    assert_eq!((bus.shared.metrics.jobs_discarded.value(), bus.shared.metrics.dead_letters.value()), (1, 0));
    assert_eq!(letters(&mut bus, &topic), [] as [Value; 0]);
}

#[test]
fn a_dead_letter_keeps_to_the_bounds_of_headers_and_says_what_it_dropped() {
    let mut bus = bus();
    let topic = topic_on(&bus, 1);
    let mut worker = worker(&mut bus, &topic, &json!({}));
    let mut publisher = Peer::open(&mut bus, 0);
    let many: serde_json::Map<String, Value> = (10..42).map(|n| (format!("h{n}"), json!("x"))).collect();
    say_message(&mut bus, &mut publisher, &topic, &json!({ "id": "many", "headers": many }));
    let long: serde_json::Map<String, Value> = (0..4).map(|n| (format!("h{n}"), json!("x".repeat(1_000)))).collect();
    say_message(&mut bus, &mut publisher, &topic, &json!({ "id": "long", "headers": long }));
    worker.hear(&mut bus);
    assert_eq!(settle(&mut bus, &mut worker, "nack", &topic, &[1, 2], &json!({ "dead": true })), ["ok"]);
    let dead = letters(&mut bus, &topic);
    let dropped: Vec<&Value> = dead.iter().map(|letter| &letter["headers"]["dead-dropped"]).collect();
    assert_eq!(dropped, [&json!("6"), &json!("1")]);
    for letter in &dead {
        assert!(letter["headers"].as_object().unwrap().len() <= 32 && letter["headers"].to_string().len() <= 4_096);
        assert_eq!(letter["headers"]["dead-group"], "g");
    }
}

#[test]
fn a_member_holds_no_more_than_it_asked_for_and_no_more_bytes_than_its_outbox_bears() {
    let mut bus = bus_with(|setup| setup.config.limits.outbox_bytes = 1024 * 1024);
    let topic = topic_on(&bus, 1);
    let mut few = worker(&mut bus, &topic, &json!({ "max_in_flight": 2 }));
    publish(&mut bus, &topic, 50);
    assert_eq!(jobs(&few.hear(&mut bus)), ["1#1", "2#1"]);
    assert_eq!(ack(&mut bus, &mut few, &topic, &[1]), ["ok", "3#1"]);
    // Joining again with more room brings more.
    few.command(&mut bus, "join_channel", &of(&topic, &json!({ "max_in_flight": 4 })));
    assert_eq!(jobs(&few.hear(&mut bus)), ["ok", "4#1", "5#1"]);
    let large = topics_on(&bus, 1).nth(1).unwrap();
    let mut many = worker(&mut bus, &large, &json!({ "max_in_flight": 1_000 }));
    let mut publisher = Peer::open(&mut bus, 1);
    for _ in 0..8 {
        say_message(&mut bus, &mut publisher, &large, &json!({ "payload": "x".repeat(100_000) }));
    }
    let heard = many.hear(&mut bus);
    assert_eq!(jobs(&heard), ["1#1", "2#1", "3#1"], "three of them are over a quarter of the outbox");
    assert_eq!(ack(&mut bus, &mut many, &large, &[1, 2, 3]), ["ok", "4#1", "5#1", "6#1"]);
}

#[test]
fn past_the_bound_of_what_is_pending_nothing_new_is_given_out() {
    let mut bus = bus_with(|setup| setup.config.limits.group_pending = 3);
    let topic = topic_on(&bus, 1);
    let mut worker = worker(&mut bus, &topic, &json!({}));
    publish(&mut bus, &topic, 5);
    assert_eq!(jobs(&worker.hear(&mut bus)), ["1#1", "2#1", "3#1"]);
    assert_eq!(settle(&mut bus, &mut worker, "nack", &topic, &[2], &json!({})), ["ok", "2#2"], "what came back is not new");
    assert_eq!(ack(&mut bus, &mut worker, &topic, &[1, 3]), ["ok", "4#1", "5#1"]);
}

#[test]
fn a_group_begins_where_its_first_member_says_and_goes_on_for_the_others() {
    let mut bus = bus();
    let topic = topic_on(&bus, 1);
    publish(&mut bus, &topic, 4);
    let since = json!({ "epoch": bus.head(&topic).unwrap().epoch, "seq": 2 });
    let mut first = Peer::open(&mut bus, 0);
    first.command(&mut bus, "join_channel", &of(&topic, &json!({ "since": since })));
    let heard = first.hear(&mut bus);
    assert_eq!(jobs(&heard), ["ok", "3#1", "4#1"]);
    let expected = json!({ "group": "g", "created": true, "pending": 0, "max_in_flight": 16, "ack_timeout_ms": 30_000, "deliveries_max": 5 });
    assert_eq!((&heard[0]["result"]["group"], &heard[0]["result"]["topics"][0]["start"]["seq"]), (&expected, &json!(2)));
    let mut second = Peer::open(&mut bus, 1);
    let joined = second.ask(&mut bus, "join_channel", &of(&topic, &json!({ "replay": 4 })));
    assert_eq!((&joined["group"]["created"], &joined["group"]["pending"]), (&json!(false), &json!(2)));
    // Without members it stays, and what is published meanwhile waits.
    bus.cut(second.link);
    bus.settle();
    bus.cut(first.link);
    bus.settle();
    publish(&mut bus, &topic, 1);
    let mut third = Peer::open(&mut bus, 0);
    third.command(&mut bus, "join_channel", &of(&topic, &json!({})));
    assert_eq!(jobs(&third.hear(&mut bus)), ["ok", "3#2", "4#2", "5#1"]);
}

#[test]
fn a_group_is_told_what_was_trimmed_before_it_came_to_it_and_keeps_what_it_holds() {
    let mut bus = bus_with(|setup| setup.config.history.messages = 3);
    let topic = topic_on(&bus, 1);
    let mut worker = worker(&mut bus, &topic, &json!({ "max_in_flight": 1 }));
    let mut listener = Peer::open(&mut bus, 0);
    listener.ask(&mut bus, "join_channel", &join(&topic));
    publish(&mut bus, &topic, 9);
    assert_eq!(jobs(&worker.hear(&mut bus)), ["1#1"]);
    assert_eq!(settle(&mut bus, &mut worker, "nack", &topic, &[1], &json!({})), ["ok", "trimmed 6", "1#2"], "it outlives the log's own hold on it");
    let args = settling(&bus, &topic, &[1], &json!({}));
    worker.command(&mut bus, "ack", &args);
    let heard = worker.hear(&mut bus);
    assert_eq!(jobs(&heard), ["ok", "7#1"]);
    assert!(listener.hear(&mut bus).iter().all(|heard| heard["event"] != "gap"), "nobody else missed anything");
}

#[test]
fn a_log_that_began_anew_begins_the_group_anew_and_says_so() {
    let mut bus = bus();
    let topic = topic_on(&bus, 1);
    publish(&mut bus, &topic, 2);
    let gone = json!({ "epoch": "gone", "seq": 70 });
    let mut worker = Peer::open(&mut bus, 0);
    worker.command(&mut bus, "join_channel", &of(&topic, &json!({ "since": gone })));
    let heard = worker.hear(&mut bus);
    assert_eq!(jobs(&heard), ["ok", "epoch_changed 0", "1#1", "2#1"]);
    assert_eq!((&heard[1]["group"], &heard[1]["data"]["from"]), (&json!("g"), &gone));
    let mut admin = Peer::open(&mut bus, 1);
    admin.ask(&mut bus, "delete_channel", &join(&topic));
    assert_eq!(jobs(&worker.hear(&mut bus)), ["deleted"], "a group ends with its channel");
    publish(&mut bus, &topic, 1);
    assert_eq!(jobs(&worker.hear(&mut bus)), nothing());
    assert_eq!(ack(&mut bus, &mut worker, &topic, &[1]), ["not_held"]);
}

#[test]
fn a_group_without_members_is_forgotten_in_the_end_and_keeps_its_channel_until_then() {
    let mut bus = bus_with(|setup| (setup.config.groups.forget_ms, setup.config.history.age_ms) = (600_000, 1_000));
    let topic = topic_on(&bus, 1);
    let mut worker = worker(&mut bus, &topic, &json!({}));
    publish(&mut bus, &topic, 1);
    worker.hear(&mut bus);
    bus.cut(worker.link);
    bus.advance(500_000);
    let mut looker = Peer::open(&mut bus, 0);
    assert_eq!(looker.ask(&mut bus, "channel_info", &join(&topic))["groups"][0]["pending"], 1);
    bus.advance(102_000);
    let mut looker = Peer::open(&mut bus, 0);
    assert_eq!(looker.ask(&mut bus, "channel_info", &join(&topic))["groups"], Value::Null);
    assert_eq!(bus.shared.metrics.jobs_discarded.value(), 1);
    bus.advance(200_000);
    let mut looker = Peer::open(&mut bus, 0);
    assert_eq!(looker.ask(&mut bus, "channel_info", &join(&topic)), "unknown_channel");
}

#[test]
fn limits_of_groups_and_joins_are_said_and_leave_nothing_behind() {
    let mut bus = bus_with(|setup| (setup.config.limits.groups, setup.config.limits.joins) = (1, 1));
    let topic = topic_on(&bus, 1);
    let other = topics_on(&bus, 1).nth(1).unwrap();
    let mut worker = worker(&mut bus, &topic, &json!({}));
    let second = json!({ "room": topic.room, "channel": topic.channel, "group": "h" });
    assert_eq!(worker.ask(&mut bus, "join_channel", &second), "limit_exceeded");
    assert_eq!(worker.ask(&mut bus, "join_channel", &of(&other, &json!({}))), "limit_exceeded", "one join too many");
    assert_eq!(worker.ask(&mut bus, "join_channel", &join(&topic)), "limit_exceeded");
    publish(&mut bus, &other, 1);
    publish(&mut bus, &topic, 1);
    assert_eq!(jobs(&worker.hear(&mut bus)), ["1#1"], "and it is still a member");
    assert_eq!(worker.ask(&mut bus, "members", &join(&other))["total"], 0);
}

#[test]
fn a_connection_that_goes_while_it_joins_a_group_holds_nothing() {
    for held in [(0, 1), (1, 0)] {
        let mut bus = bus();
        let topic = topic_on(&bus, 1);
        let mut heir = worker(&mut bus, &topic, &json!({}));
        let mut member = Peer::open(&mut bus, 0);
        bus.hold(held.0, held.1);
        member.command(&mut bus, "join_channel", &of(&topic, &json!({})));
        bus.run();
        bus.cut(member.link);
        bus.run();
        bus.release();
        bus.settle();
        publish(&mut bus, &topic, 4);
        let mut given = seqs(&heir.hear(&mut bus));
        given.sort_unstable();
        assert_eq!(given, [1, 2, 3, 4]);
        assert_eq!(heir.ask(&mut bus, "members", &join(&topic))["total"], 1);
    }
}

#[test]
fn a_request_finds_its_responder_in_a_group() {
    let mut bus = bus();
    let topic = topic_on(&bus, 1);
    let mut asker = Peer::open(&mut bus, 0);
    say_message(&mut bus, &mut asker, &topic, &json!({ "id": "q", "request": true }));
    assert_eq!(brief(&asker.hear(&mut bus)), ["no_responder"]);
    let mut worker = worker(&mut bus, &topic, &json!({}));
    say_message(&mut bus, &mut asker, &topic, &json!({ "id": "q2", "request": true }));
    let heard = worker.hear(&mut bus);
    assert_eq!((jobs(&heard), &heard[0]["reply_to"]), (vec!["1#1".to_owned()], &json!(asker.client)));
}

#[test]
fn what_does_not_fit_a_group_is_refused() {
    let mut bus = bus_with(|setup| {
        let none = crate::config::History { messages: 0, ..Default::default() };
        let topics = "r:none".parse().unwrap();
        setup.config.rules.push(crate::config::Rule { topics, description: None, history: Some(none), groups: None, create: None });
    });
    let topic = topic_on(&bus, 1);
    let mut worker = Peer::open(&mut bus, 0);
    let since = json!({ "epoch": "e", "seq": 1 });
    for (args, code) in [
        (json!({ "room": "r", "channel": "*", "group": "g" }), "invalid_args"),
        (of(&topic, &json!({ "presence": true })), "invalid_args"),
        (of(&topic, &json!({ "positions": [] })), "invalid_args"),
        (of(&topic, &json!({ "since": since, "replay": 1 })), "invalid_args"),
        (json!({ "room": "r", "channel": "x", "max_in_flight": 1 }), "invalid_args"),
        (json!({ "room": "r", "channel": "x", "group": "_g" }), "invalid_name"),
        (json!({ "room": "r", "channel": "none", "group": "g" }), "unsupported"),
    ] {
        assert_eq!(worker.ask(&mut bus, "join_channel", &args), code, "{args}");
    }
    assert_eq!(worker.ask(&mut bus, "leave_channel", &json!({ "room": "r", "channel": "*", "group": "g" })), "invalid_args");
}
