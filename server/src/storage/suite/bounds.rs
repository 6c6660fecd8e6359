//! What a log holds, and what it gives up.

use arqonbus_protocol::Durability;

use super::{Harness, LogSettings, ROOMY, Subject};

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
