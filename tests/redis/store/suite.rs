//! The conformance suite of stores.

use std::cell::Cell;

use arqonbus_protocol::{Direction, Timestamp};
use arqonbus_server::storage::redis::Trial;
use arqonbus_server::storage::suite::{self, Harness};
use arqonbus_server::storage::{Entry, LogSettings, ReadRange};
use arqonbus_tests::harness::redis::Redis;

#[test]
fn the_store_in_redis_does_what_every_store_must() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let server = runtime.block_on(Redis::start());
    let runs = Cell::new(0);
    suite::run(&mut || {
        runs.set(runs.get() + 1);
        Box::new(Trial::new(&server.config(), runs.get()))
    });
}

/// Redis serves nobody while a function gives up what is too old, so that goes in steps; what is left is held no longer all the same.
#[test]
fn what_is_too_old_all_at_once_is_given_up_in_steps() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let server = runtime.block_on(Redis::start());
    let mut trial = Trial::new(&server.config(), 1);
    let settings = LogSettings { messages_max: 100_000, age_ms_max: 60_000, bytes_max: 1 << 30, dedup_ms: 1_000, dedup_entries_max: 10 };
    let topic = trial.topic();
    trial.open(&topic, &settings).expect("it opens");
    for _ in 0..5_500 {
        let entry = Entry { text: "{}".into(), hole: 1, timestamp: Timestamp::from_unix_ms(0) };
        trial.append(&topic, entry, None).expect("it is appended");
    }
    trial.pass(120_000);
    let key = format!("{{arqonbus:room:{}:channel:{}}}", topic.room, topic.channel);
    let all = ReadRange { since: None, until: None, limit: 10_000, bytes_max: usize::MAX, direction: Direction::Forward };
    let mut left = Vec::new();
    for _ in 0..3 {
        assert!(trial.read(&topic, &all).expect("it is read").entries.is_empty(), "it is too old");
        left.push(redis::from_redis_value::<u64>(runtime.block_on(server.tell(&["XLEN", &key]))).expect("a number"));
    }
    assert!(0 < left[0] && left[0] < 2_000 && left[1..] == [0, 0], "{left:?}");
}
