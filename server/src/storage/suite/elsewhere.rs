//! What a store knows of logs that are in a server: its counts are as it saw them last, and a log outlives its being forgotten here.

use super::{Appended, Fingerprint, Harness, LogSettings, ROOMY, Subject, entry};

pub(super) fn status_counts_what_was_seen_last(harness: &mut dyn Harness) {
    let before = harness.status();
    let mut log = Subject::open(harness, &LogSettings { messages_max: 3, ..ROOMY });
    log.append_many(5);
    let state = log.state();
    let status = log.harness.status();
    assert_eq!((status.messages - before.messages, status.bytes - before.bytes), (3, state.bytes));
    assert!(state.bytes > 0);
    log.harness.delete(&log.topic).expect("an open log is deleted");
    assert_eq!(log.harness.status(), before);
}

pub(super) fn what_is_too_old_is_not_counted_once_it_was_looked_for(harness: &mut dyn Harness) {
    let before = harness.status();
    let mut log = Subject::open(harness, &LogSettings { age_ms_max: 1_000, ..ROOMY });
    log.append_many(10);
    log.harness.pass(999);
    assert_eq!((log.state().messages, log.harness.status().messages - before.messages), (10, 10));
    log.harness.pass(1);
    assert_eq!(log.state().messages, 0);
    assert_eq!(log.harness.status(), before);
}

pub(super) fn what_is_forgotten_here_is_kept_there_and_goes_on(harness: &mut dyn Harness) {
    let first = Fingerprint { key: 1, content: 1 };
    let mut log = Subject::open(harness, &ROOMY);
    let topic = log.topic;
    log.append_as(entry(&topic, "1", 0), Some(first));
    log.append("2");
    let state = log.state();
    assert!(log.harness.is_forgettable(&topic), "others have it too, and the server keeps it");
    log.harness.close(&topic);
    let opened = log.harness.open(&topic, &ROOMY).expect("a topic opens");
    assert_eq!(opened, state);
    let again = log.append_as(entry(&topic, "1", 0), Some(first));
    assert!(matches!(again, Appended::Duplicate { position } if position.seq == 1), "ids too: {again:?}");
    assert_eq!((log.append("3").0.seq, log.held()), (3, vec![1, 2, 3]));
}
