//! Positions, and the lives of logs.

use std::collections::HashSet;

use arqonbus_protocol::Position;

use super::{ALL, Harness, ROOMY, Subject, decoded};

pub(super) fn a_new_log_is_empty(harness: &mut dyn Harness) {
    let mut log = Subject::open(harness, &ROOMY);
    let opened = log.opened;
    assert_eq!((opened.head.seq, opened.first_seq, opened.messages, opened.bytes), (0, None, 0, 0));
    assert_eq!(log.state(), opened);
}

pub(super) fn seqs_count_up_without_holes_and_bodies_carry_them(harness: &mut dyn Harness) {
    let mut log = Subject::open(harness, &ROOMY);
    let epoch = log.opened.head.epoch;
    for seq in 1..=100 {
        let (position, body) = log.append(&format!("{{\"n\":{seq}}}"));
        assert_eq!(position, Position { epoch, seq });
        assert_eq!(decoded(&body), (Some(position), format!("{{\"n\":{seq}}}")), "the answer is the delivered envelope");
    }
    let page = log.page(ALL);
    assert_eq!((page.state.head, page.state.first_seq), (Position { epoch, seq: 100 }, Some(1)));
    assert_eq!(log.held(), (1..=100).collect::<Vec<u64>>());
}

pub(super) fn an_entry_is_read_as_it_was_answered(harness: &mut dyn Harness) {
    let mut log = Subject::open(harness, &ROOMY);
    let payloads = ["null", "\"\\u00e9\\n\"", "{\"b\":1,  \"a\":1.50}", "[1e3,-0]", "\"\u{1F600}\""];
    let answered: Vec<_> = payloads.iter().map(|payload| log.append(payload)).map(|(position, body)| (position.seq, body)).collect();
    let read = log.page(ALL).entries;
    assert_eq!(read, answered);
    let read: Vec<String> = read.iter().map(|(_, body)| decoded(body).1).collect();
    assert_eq!(read, payloads);
}

pub(super) fn opening_again_keeps_the_log(harness: &mut dyn Harness) {
    let mut log = Subject::open(harness, &ROOMY);
    log.append_many(3);
    let before = log.page(ALL);
    let state = log.harness.open(&log.topic, &ROOMY).expect("an open topic opens again");
    assert_eq!((state, log.page(ALL)), (before.state, before));
}

pub(super) fn topics_do_not_touch_each_other(harness: &mut dyn Harness) {
    let first = Subject::open(harness, &ROOMY).topic;
    let mut second = Subject::open(harness, &ROOMY);
    second.append_many(2);
    let mut first = Subject { opened: second.opened, harness: second.harness, topic: first };
    assert_eq!(first.held(), [] as [u64; 0]);
    let (position, _) = first.append("1");
    assert_eq!(position.seq, 1);
    assert_ne!(position.epoch, first.opened.head.epoch, "each log has an epoch of its own");
}

pub(super) fn epochs_never_repeat(harness: &mut dyn Harness) {
    let topics = [harness.topic(), harness.topic(), harness.topic()];
    let mut epochs = HashSet::new();
    for round in 0..60 {
        let topic = topics[round % topics.len()];
        let state = harness.open(&topic, &ROOMY).expect("a topic opens");
        assert!(epochs.insert(state.head.epoch), "{} was given before", state.head.epoch);
        harness.delete(&topic).expect("an open log is deleted");
    }
}

pub(super) fn delete_ends_the_epoch_and_all_it_held(harness: &mut dyn Harness) {
    let mut log = Subject::open(harness, &ROOMY);
    let (old, _) = log.append("1");
    log.append("2");
    log.harness.delete(&log.topic).expect("an open log is deleted");
    let state = log.harness.open(&log.topic, &ROOMY).expect("a deleted topic opens anew");
    assert_ne!(state.head.epoch, old.epoch);
    assert_eq!((state.head.seq, state.first_seq, state.messages), (0, None, 0));
    let (new, _) = log.append("3");
    assert_eq!(new, Position { epoch: state.head.epoch, seq: 1 });
    assert_eq!(log.held(), [1]);
}
