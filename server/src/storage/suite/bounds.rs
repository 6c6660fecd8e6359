//! What a log holds, and what it gives up.

use arqonbus_protocol::{Durability, Topic};

use super::{ALL, Fingerprint, Harness, LogSettings, ROOMY, Subject, entry};

pub(super) fn no_more_messages_than_allowed_and_no_fewer(harness: &mut dyn Harness) {
    let mut log = Subject::open(harness, &LogSettings { messages_max: 5, ..ROOMY });
    for seq in 1..=12_u64 {
        log.append("1");
        assert_eq!(log.held(), (seq.saturating_sub(4).max(1)..=seq).collect::<Vec<u64>>());
    }
}

pub(super) fn nothing_older_than_allowed(harness: &mut dyn Harness) {
    let mut log = Subject::open(harness, &LogSettings { age_ms_max: 1_000, ..ROOMY });
    log.append_many(2);
    log.harness.pass(600);
    log.append("3");
    log.harness.pass(399);
    assert_eq!(log.held(), [1, 2, 3]);
    log.harness.pass(1);
    assert_eq!(log.held(), [3]);
    log.harness.pass(600);
    let state = log.state();
    assert_eq!((state.head.seq, state.first_seq, state.messages, state.bytes), (3, None, 0, 0));
    assert_eq!(log.append("4").0.seq, 4);
    assert_eq!(log.held(), [4]);
}

pub(super) fn no_more_bytes_than_allowed(harness: &mut dyn Harness) {
    let mut log = Subject::open(harness, &LogSettings { bytes_max: 10_000, ..ROOMY });
    for seq in 1..=60 {
        log.append(&format!("\"{}\"", "x".repeat(700)));
        let held = log.held();
        let state = log.state();
        assert!(state.bytes <= 10_000, "{} bytes", state.bytes);
        assert_eq!(held.last(), Some(&seq));
        assert!(held.len() >= 8 || seq < 8, "{} of 8 entries that would fit are held", held.len());
    }
}

pub(super) fn an_entry_over_all_bytes_allowed_is_not_held(harness: &mut dyn Harness) {
    let mut log = Subject::open(harness, &LogSettings { bytes_max: 10_000, ..ROOMY });
    log.append_many(3);
    let (position, body) = log.append(&format!("\"{}\"", "x".repeat(20_000)));
    assert_eq!((position.seq, body.len() > 20_000), (4, true), "it is taken and delivered");
    assert_eq!(log.held(), [] as [u64; 0]);
    assert_eq!(log.append("5").0.seq, 5);
    assert_eq!(log.held(), [5]);
}

pub(super) fn new_settings_apply_at_once(harness: &mut dyn Harness) {
    let mut log = Subject::open(harness, &ROOMY);
    log.append_many(9);
    let fewer = LogSettings { messages_max: 4, ..ROOMY };
    let state = log.harness.open(&log.topic, &fewer).expect("an open topic opens again");
    assert_eq!((state.first_seq, state.messages), (Some(6), 4));
    log.append("10");
    assert_eq!(log.held(), [7, 8, 9, 10]);
    log.harness.open(&log.topic, &ROOMY).expect("an open topic opens again");
    log.append("11");
    assert_eq!(log.held(), [7, 8, 9, 10, 11]);
}

pub(super) fn a_log_of_nothing_counts_on_and_holds_nothing(harness: &mut dyn Harness) {
    let nothing = LogSettings { messages_max: 0, ..ROOMY };
    assert_eq!(harness.durability(&nothing), Durability::None);
    assert_ne!(harness.durability(&ROOMY), Durability::None);
    let mut log = Subject::open(harness, &nothing);
    for seq in 1..=5 {
        assert_eq!(log.append("1").0.seq, seq);
        let state = log.state();
        assert_eq!((state.head.seq, state.first_seq, state.bytes), (seq, None, 0));
    }
    assert_eq!(log.held(), [] as [u64; 0]);
}

pub(super) fn status_counts_what_is_held(harness: &mut dyn Harness) {
    if !harness.is_local() {
        return;
    }
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
    if !harness.is_local() {
        return;
    }
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
    if !harness.is_local() {
        return;
    }
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
    let Some(cap) = harness.history_bytes_max() else { return };
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
    let Some(cap) = harness.history_bytes_max() else { return };
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
