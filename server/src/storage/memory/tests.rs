//! What the memory store does beyond the suite.

mod model;

use arqonbus_protocol::{ClientId, Direction, Position};

use super::*;
use crate::storage::suite::{self, Prompt};

/// A cap that no case but those about it comes near to.
const CAP: u64 = 1 << 20;

const SETTINGS: LogSettings = LogSettings { messages_max: 100_000, age_ms_max: 1_000, bytes_max: u64::MAX, dedup_ms: 1_000, dedup_entries_max: 100 };

const ALL: ReadRange = ReadRange { since: None, until: None, limit: usize::MAX >> 8, bytes_max: usize::MAX, direction: Direction::Forward };

fn store(budget: &Arc<Budget>, salt: u64) -> MemoryStore {
    MemoryStore::new(salt, Arc::clone(budget))
}

fn topic(number: u64) -> Topic {
    format!("t:{number}").parse().unwrap()
}

fn entry(bytes: usize) -> Entry {
    Entry { text: format!("{{\"p\":\"{}\"}}", "x".repeat(bytes)).into(), hole: 4 + bytes + 2, timestamp: Timestamp::from_unix_ms(0) }
}

fn fingerprint(key: u128) -> Fingerprint {
    Fingerprint { key, content: 0 }
}

#[test]
fn ids_are_bounded_over_all_logs_and_those_with_the_most_forget_first() {
    let mut store = store(&Arc::new(Budget::new(u64::MAX)), 1).opened(3).remembering(64);
    for key in 0..50 {
        store.put_as(0, 1, Some(fingerprint(key)));
    }
    for key in 50..64 {
        store.put_as(1, 1, Some(fingerprint(key)));
    }
    assert_eq!((store.account.ids, store.counters().dedup_evicted), (64, 0));
    // A flood of ids on one topic costs that topic its own, not the others theirs.
    for key in 64..1_000 {
        store.put_as(2, 1, Some(fingerprint(key)));
        assert!(store.account.ids <= 64);
    }
    assert_eq!(store.counters().dedup_evicted, 1_000 - u64::try_from(store.account.ids).unwrap());
    let known = |store: &mut MemoryStore, number, key| {
        matches!(store.append_to(&topic(number), entry(1), Some(fingerprint(key)), Moment(0)), Ok(Appended::Duplicate { .. }))
    };
    assert!(known(&mut store, 1, 63) && known(&mut store, 0, 49) && known(&mut store, 2, 999));
    assert!(!known(&mut store, 0, 0));
    // What expires, is trimmed or deleted is no longer counted.
    store.sweep(Moment(1_000));
    assert_eq!(store.account.ids, 0);
    store.put_as(0, 1, Some(fingerprint(1)));
    let _done = store.delete(&topic(0), ClientId::node(1), Ticket(1));
    assert_eq!(store.account.ids, 0);
}

#[test]
fn what_is_not_held_is_answered_as_such() {
    let mut store = store(&Arc::new(Budget::new(CAP)), 1);
    let mut settled = |settings: &LogSettings, bytes| {
        store.open_log(&topic(0), settings, Moment(0));
        let answer = store.append_to(&topic(0), entry(bytes), None, Moment(0)).unwrap();
        (matches!(answer, Appended::Stored { .. }), matches!(answer, Appended::Unheld { .. }), store.held(0) > 0)
    };
    assert_eq!(settled(&SETTINGS, 100), (true, false, true));
    assert_eq!(settled(&LogSettings { bytes_max: 1_000, ..SETTINGS }, 2_000), (false, true, false), "over the log's bytes");
    assert_eq!(settled(&SETTINGS, 2 << 20), (false, true, false), "over the cap of all logs");
    assert_eq!(settled(&LogSettings { messages_max: 0, ..SETTINGS }, 100), (false, true, false), "no history");
}

impl MemoryStore {
    fn opened(mut self, topics: u64) -> Self {
        for number in 0..topics {
            self.open_log(&topic(number), &SETTINGS, Moment(0));
        }
        self
    }

    fn put(&mut self, number: u64, bytes: usize) -> Position {
        self.put_as(number, bytes, None)
    }

    fn put_as(&mut self, number: u64, bytes: usize, fingerprint: Option<Fingerprint>) -> Position {
        let answer = self.append_to(&topic(number), entry(bytes), fingerprint, Moment(0));
        let Ok(Appended::Stored { position, .. } | Appended::Unheld { position, .. }) = answer else { panic!("not stored: {answer:?}") };
        position
    }

    fn fill(&mut self, number: u64, count: usize, bytes: usize) {
        for _ in 0..count {
            self.put(number, bytes);
        }
    }

    fn held(&mut self, number: u64) -> u64 {
        self.read_from(&topic(number), &ALL, Moment(0)).unwrap().state.messages
    }
}

#[test]
fn it_passes_the_suite() {
    let keeps = suite::Keeps::Here { history_bytes_max: CAP };
    suite::run(&mut || Box::new(Prompt::new(store(&Arc::new(Budget::new(CAP)), 7), keeps)));
}

#[test]
fn an_epoch_ends_when_its_seqs_do_and_its_ids_stay_known() {
    let mut store = store(&Arc::new(Budget::new(CAP)), 7).opened(1);
    store.seq_max = 3;
    let first = store.put_as(0, 1, Some(fingerprint(1)));
    let seqs: Vec<u64> = (0..3).map(|_| store.put(0, 1).seq).collect();
    assert_eq!(seqs, [2, 3, 1]);
    let page = store.read_from(&topic(0), &ALL, Moment(0)).unwrap();
    assert_ne!(page.state.head.epoch, first.epoch);
    assert_eq!((page.state.head.seq, page.entries.len()), (1, 1), "the old epoch's entries went with it");
    let again = store.append_to(&topic(0), entry(1), Some(fingerprint(1)), Moment(999));
    assert_eq!(again, Ok(Appended::Duplicate { position: first }), "the place is of the epoch in which it was given");
    assert!(!store.is_forgettable(&topic(0), Moment(999)));
    assert!(store.is_forgettable(&topic(0), Moment(2_000)));
}

#[test]
fn a_log_that_is_not_open_is_an_error_and_not_a_panic() {
    let mut store = store(&Arc::new(Budget::new(CAP)), 7);
    assert!(matches!(store.append_to(&topic(0), entry(1), None, Moment(0)), Err(StoreError::Unavailable(_))));
    assert!(matches!(store.read_from(&topic(0), &ALL, Moment(0)), Err(StoreError::Unavailable(_))));
    assert!(matches!(store.delete(&topic(0), ClientId::node(1), Ticket(0)), Progress::Done(Ok(()))));
    assert!(store.is_forgettable(&topic(0), Moment(0)));
}

#[test]
fn a_shard_that_comes_late_gets_its_share_of_the_cap() {
    let budget = Arc::new(Budget::new(1_000_000));
    let (mut greedy, mut late) = (store(&budget, 1).opened(1), store(&budget, 2).opened(1));
    greedy.fill(0, 2_000, 1_000);
    let mut shares = Vec::new();
    for _ in 0..40 {
        late.fill(0, 50, 1_000);
        greedy.sweep(Moment(0));
        late.sweep(Moment(0));
        assert!(budget.bytes() <= budget.bytes_max());
        shares.push(late.held(0));
    }
    let (greedy_held, late_held) = (greedy.held(0), late.held(0));
    assert!(late_held.abs_diff(greedy_held) < 100, "{greedy_held} and {late_held}; over time {shares:?}");
}

#[test]
fn what_does_not_fit_gets_its_position_and_is_counted() {
    let budget = Arc::new(Budget::new(10_000));
    let mut store = store(&budget, 1).opened(2);
    store.put(0, 100);
    store.put(1, 100);
    assert_eq!(store.put(1, 20_000).seq, 2);
    assert_eq!((store.held(0), store.held(1)), (1, 0), "others do not give for what can never fit");
    assert_eq!(store.counters(), StoreCounters { trimmed_for_budget: 2, dedup_evicted: 0 });
    assert_eq!((store.put(1, 100).seq, store.held(1)), (3, 1));
}

#[test]
fn the_budget_comes_back_to_nothing() {
    let budget = Arc::new(Budget::new(50_000));
    let mut first = store(&budget, 1).opened(10);
    let mut second = store(&budget, 2).opened(10);
    for number in 0..500 {
        first.put(number % 10, (number % 7) as usize * 100);
        second.put(number % 3, 500);
        assert_eq!(budget.bytes(), first.status().bytes + second.status().bytes);
    }
    (0..10).for_each(|number| drop(first.delete(&topic(number), ClientId::node(1), Ticket(0))));
    assert_eq!((first.status().messages, first.status().bytes), (0, 0));
    drop(second);
    assert_eq!(budget.bytes(), 0);
    assert!(!first.account.is_over_share(50_000), "no log is counted that holds nothing");
}

#[test]
fn shards_on_threads_of_their_own_stay_under_one_cap() {
    let budget = Arc::new(Budget::new(100_000));
    std::thread::scope(|scope| {
        for salt in 0..4 {
            let mut store = store(&budget, salt).opened(3);
            let budget = &budget;
            scope.spawn(move || {
                for number in 0..3_000 {
                    store.put(number % 3, (number % 11) as usize * 100);
                    assert!(budget.bytes() <= budget.bytes_max());
                }
            });
        }
    });
    assert_eq!(budget.bytes(), 0, "every shard gave back all of it");
}

#[test]
fn an_idle_topic_is_small() {
    assert!(size_of::<Log>() <= 320, "{} bytes", size_of::<Log>());
}

#[test]
fn ids_given_up_early_are_counted() {
    let mut store = store(&Arc::new(Budget::new(CAP)), 7).opened(1);
    (0..130).for_each(|key| drop(store.append_to(&topic(0), entry(1), Some(fingerprint(key)), Moment(0))));
    assert_eq!(store.counters().dedup_evicted, 30);
    store.open_log(&topic(0), &LogSettings { dedup_entries_max: 10, ..SETTINGS }, Moment(0));
    store.delete(&topic(0), ClientId::node(1), Ticket(0));
    assert_eq!(store.counters().dedup_evicted, 120);
}

#[test]
fn a_sweep_does_a_bounded_amount_of_work_and_comes_round() {
    let mut store = store(&Arc::new(Budget::new(u64::MAX)), 7).opened(SWEEP_LOGS_MAX as u64 + 10);
    store.fill(0, SWEEP_ENTRIES_MAX + 10, 1);
    (0..SWEEP_LOGS_MAX as u64 + 10).for_each(|number| store.fill(number, 1, 1));
    let mut held = Vec::new();
    for _ in 0..5 {
        store.sweep(Moment(1_000));
        held.push(store.status().messages);
    }
    let all = (SWEEP_ENTRIES_MAX + SWEEP_LOGS_MAX + 20) as u64;
    assert_eq!(held[0], all - SWEEP_ENTRIES_MAX as u64);
    assert!(held[1] > 0 && held[2] == 0, "{held:?}");
}
