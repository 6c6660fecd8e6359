//! What a store holds that keeps its logs in its own process: counted exactly, under a cap, and gone when it is closed.

use arqonbus_protocol::Topic;

use super::{ALL, Fingerprint, Harness, Keeps, LogSettings, ROOMY, Subject, entry};

fn cap(harness: &dyn Harness) -> u64 {
    match harness.keeps() {
        Keeps::Here { history_bytes_max } => history_bytes_max,
        Keeps::Elsewhere => unreachable!("it is not asked of such a store"),
    }
}

pub(super) fn status_counts_what_is_held(harness: &mut dyn Harness) {
    let before = harness.status();
    let mut log = Subject::open(harness, &LogSettings { messages_max: 3, ..ROOMY });
    log.append_many(5);
    let (status, state) = (log.harness.status(), log.state());
    assert_eq!((status.messages - before.messages, status.bytes - before.bytes), (3, state.bytes));
    assert!(state.bytes > 0);
    log.harness.delete(&log.topic).expect("an open log is deleted");
    assert_eq!(log.harness.status(), before);
}

pub(super) fn a_sweep_gives_up_what_is_too_old(harness: &mut dyn Harness) {
    let before = harness.status();
    for _ in 0..20 {
        Subject::open(harness, &LogSettings { age_ms_max: 1_000, ..ROOMY }).append_many(10);
    }
    harness.pass(999);
    harness.sweep();
    assert_eq!(harness.status().messages - before.messages, 200);
    harness.pass(1);
    // Each does a bounded amount of work; a hundred are enough for twenty logs.
    for _ in 0..100 {
        harness.sweep();
    }
    assert_eq!(harness.status(), before);
}

pub(super) fn forgettable_only_where_nothing_is_held_or_remembered(harness: &mut dyn Harness) {
    for (age_ms_max, dedup_ms) in [(1_000, 5_000), (5_000, 1_000)] {
        let mut log = Subject::open(harness, &LogSettings { age_ms_max, dedup_ms, ..ROOMY });
        let topic = log.topic;
        assert!(log.harness.is_forgettable(&topic), "a new log holds nothing");
        log.append_as(entry(&topic, "1", 0), Some(Fingerprint { key: 1, content: 1 }));
        for (ms, expected) in [(0, false), (1_000, false), (3_999, false), (1, true)] {
            log.harness.pass(ms);
            assert_eq!(log.harness.is_forgettable(&topic), expected, "entries last {age_ms_max} ms, ids {dedup_ms} ms");
        }
    }
}

pub(super) fn all_history_stays_under_the_cap(harness: &mut dyn Harness) {
    let cap = cap(harness);
    let unbounded = LogSettings { bytes_max: u64::MAX, ..ROOMY };
    let payload = format!("\"{}\"", "x".repeat((cap / 40) as usize));
    for _ in 0..10 {
        let mut log = Subject::open(harness, &unbounded);
        for seq in 1..=20 {
            assert_eq!(log.append(&payload).0.seq, seq, "a publisher never sees the cap");
            let bytes = log.harness.status().bytes;
            assert!(bytes <= cap, "{bytes} of {cap} bytes");
        }
        let held = log.held();
        assert!(held.len() >= 2, "the latest log holds some: {held:?}");
    }
    let bytes = harness.status().bytes;
    assert!(bytes >= cap / 2, "what may be held is held: {bytes} of {cap}");
}

pub(super) fn the_largest_log_gives_first_for_the_cap(harness: &mut dyn Harness) {
    let cap = cap(harness);
    let unbounded = LogSettings { bytes_max: u64::MAX, ..ROOMY };
    let payload = format!("\"{}\"", "x".repeat((cap / 40) as usize));
    let mut small = Subject::open(harness, &unbounded);
    small.append_many(3);
    let small = small.topic;
    let mut large = Subject::open(harness, &unbounded);
    (0..50).for_each(|_| drop(large.append(&payload)));
    let large = large.topic;
    let mut late = Subject::open(harness, &unbounded);
    (0..8).for_each(|_| drop(late.append(&payload)));
    let late = late.topic;
    let mut held = |topic: &Topic| harness.read(topic, &ALL).expect("an open log is readable").entries.len();
    assert_eq!((held(&small), held(&late)), (3, 8), "logs under their share keep what they hold");
    assert!((20..35).contains(&held(&large)), "the largest gives: {}", held(&large));
}
