//! Random operations on the memory store and on a model of it that is a plain list.

use arqonbus_protocol::{Direction, Epoch, Position};
use proptest::collection::vec;
use proptest::prelude::*;

use super::super::*;
use crate::storage::Bound;

const TOPICS: u8 = 3;

#[derive(Debug, Clone)]
enum Op {
    Open { topic: u8, settings: LogSettings },
    Append { topic: u8, bytes: usize, unix_ms: u64, fingerprint: Option<(u8, u8)> },
    Read { topic: u8, range: ReadRange },
    Delete { topic: u8 },
    Pass { ms: u64 },
    Sweep,
    Forgettable { topic: u8 },
}

/// A log as a list of all that was appended in this epoch; what is held is worked out anew for each question.
#[derive(Debug)]
struct ModelLog {
    settings: LogSettings,
    epoch: Option<Epoch>,
    head: u64,
    entries: Vec<ModelEntry>,
    remembered: Vec<(u8, u8, u64, Moment)>,
}

#[derive(Debug, Clone)]
struct ModelEntry {
    seq: u64,
    at: Moment,
    unix_ms: u64,
    body: Bytes,
}

impl ModelLog {
    fn new(settings: LogSettings) -> Self {
        Self { settings, epoch: None, head: 0, entries: Vec::new(), remembered: Vec::new() }
    }

    fn forget(&mut self, now: Moment) {
        let LogSettings { messages_max, age_ms_max, bytes_max, dedup_ms, dedup_entries_max } = self.settings;
        let mut bytes = 0;
        let fits = |entry: &&ModelEntry| {
            bytes += cost(&entry.body);
            now.since(entry.at) < age_ms_max && bytes <= bytes_max
        };
        let held = self.entries.iter().rev().take(messages_max as usize).take_while(fits).count();
        self.entries.drain(..self.entries.len() - held);
        self.remembered.retain(|(.., at)| now.since(*at) < dedup_ms);
        let surplus = self.remembered.len().saturating_sub(dedup_entries_max);
        self.remembered.drain(..surplus);
    }

    fn append(&mut self, fingerprint: Option<(u8, u8)>, now: Moment) -> ModelAnswer {
        if let Some((key, content)) = fingerprint {
            match self.remembered.iter().find(|known| known.0 == key) {
                Some(known) if known.1 == content => return ModelAnswer::Duplicate(known.2),
                Some(_) => return ModelAnswer::Conflict,
                None => {}
            }
        }
        self.head += 1;
        self.remembered.extend(fingerprint.map(|(key, content)| (key, content, self.head, now)));
        ModelAnswer::Stored(self.head)
    }

    fn read(&self, range: &ReadRange) -> (Vec<(u64, Bytes)>, bool) {
        let first = self.entries.first().map_or(0, |entry| entry.seq);
        let cut = |bound: Bound| match bound {
            Bound::Seq(seq) => seq,
            Bound::Time(time) => self.entries.iter().find(|entry| entry.unix_ms > time.unix_ms()).map_or(self.head, |entry| entry.seq - 1),
        };
        let (since, until) = (range.since.map_or(first.saturating_sub(1), cut), range.until.map_or(self.head, cut));
        let mut wanted: Vec<_> = self.entries.iter().filter(|entry| entry.seq > since && entry.seq <= until).collect();
        if range.direction == Direction::Backward {
            wanted.reverse();
        }
        let (mut bytes, mut count) = (0, 0);
        for entry in wanted.iter().take(range.limit) {
            bytes += entry.body.len();
            if count > 0 && bytes > range.bytes_max {
                break;
            }
            count += 1;
        }
        (wanted[..count].iter().map(|entry| (entry.seq, entry.body.clone())).collect(), count < wanted.len())
    }
}

#[derive(Debug, PartialEq)]
enum ModelAnswer {
    Stored(u64),
    Duplicate(u64),
    Conflict,
}

struct Pair {
    store: MemoryStore,
    model: Vec<Option<ModelLog>>,
    epochs: Vec<Epoch>,
    now: Moment,
}

impl Pair {
    fn new() -> Self {
        let store = MemoryStore::new(9, Arc::new(Budget::new(u64::MAX)));
        Self { store, model: (0..TOPICS).map(|_| None).collect(), epochs: Vec::new(), now: Moment(0) }
    }

    fn apply(&mut self, op: &Op) {
        let now = self.now;
        match op {
            Op::Open { topic, settings } => self.open(*topic, settings),
            Op::Append { topic, bytes, unix_ms, fingerprint } => self.append(*topic, *bytes, *unix_ms, *fingerprint),
            Op::Read { topic, range } => self.read(*topic, range),
            Op::Delete { topic } => {
                self.store.delete(&name(*topic), ClientId::node(1), Ticket(0));
                self.model[usize::from(*topic)] = None;
            }
            Op::Pass { ms } => self.now = now.plus_ms(*ms),
            Op::Sweep => {
                self.store.sweep(now);
                self.model.iter_mut().flatten().for_each(|log| log.forget(now));
                let messages: usize = self.model.iter().flatten().map(|log| log.entries.len()).sum();
                assert_eq!(self.store.status().messages, messages as u64);
            }
            Op::Forgettable { topic } => {
                let log = &mut self.model[usize::from(*topic)];
                log.iter_mut().for_each(|log| log.forget(now));
                let expected = log.as_ref().is_none_or(|log| log.entries.is_empty() && log.remembered.is_empty());
                assert_eq!(self.store.is_forgettable(&name(*topic), now), expected);
            }
        }
    }

    fn open(&mut self, topic: u8, settings: &LogSettings) {
        let state = self.store.open_log(&name(topic), settings, self.now);
        let log = self.model[usize::from(topic)].get_or_insert_with(|| ModelLog::new(settings.clone()));
        // What was too much or too old under the former settings is gone, whatever the new ones allow.
        log.forget(self.now);
        log.settings = settings.clone();
        log.forget(self.now);
        if log.epoch.is_none() {
            assert!(!self.epochs.contains(&state.head.epoch), "an epoch comes once");
            self.epochs.push(state.head.epoch);
            log.epoch = Some(state.head.epoch);
        }
        check_state(&state, log);
    }

    fn append(&mut self, topic: u8, bytes: usize, unix_ms: u64, fingerprint: Option<(u8, u8)>) {
        let entry = Entry { text: "x".repeat(bytes).into(), hole: bytes / 2, timestamp: Timestamp::from_unix_ms(unix_ms) };
        let print = fingerprint.map(|(key, content)| Fingerprint { key: u128::from(key), content: u64::from(content) });
        let answer = self.store.append_to(&name(topic), entry.clone(), print, self.now);
        let Some(log) = &mut self.model[usize::from(topic)] else {
            assert!(matches!(answer, Err(StoreError::Unavailable(_))));
            return;
        };
        log.forget(self.now);
        let expected = log.append(fingerprint, self.now);
        let answer = match answer.unwrap() {
            Appended::Stored { position, body } | Appended::Unheld { position, body } => {
                assert_eq!(body, entry.place(&position));
                log.entries.push(ModelEntry { seq: position.seq, at: self.now, unix_ms, body });
                ModelAnswer::Stored(in_epoch(position, log))
            }
            Appended::Duplicate { position } => ModelAnswer::Duplicate(in_epoch(position, log)),
            Appended::Conflict => ModelAnswer::Conflict,
        };
        log.forget(self.now);
        assert_eq!(answer, expected);
    }

    fn read(&mut self, topic: u8, range: &ReadRange) {
        let answer = self.store.read_from(&name(topic), range, self.now);
        let Some(log) = &mut self.model[usize::from(topic)] else {
            assert!(matches!(answer, Err(StoreError::Unavailable(_))));
            return;
        };
        log.forget(self.now);
        let page = answer.unwrap();
        check_state(&page.state, log);
        assert_eq!((page.entries, page.more), log.read(range));
    }
}

fn name(topic: u8) -> Topic {
    format!("model:{topic}").parse().unwrap()
}

fn in_epoch(position: Position, log: &ModelLog) -> u64 {
    assert_eq!(Some(position.epoch), log.epoch);
    position.seq
}

fn check_state(state: &LogState, log: &ModelLog) {
    let bytes: u64 = log.entries.iter().map(|entry| cost(&entry.body)).sum();
    let expected = (log.head, log.entries.first().map(|entry| entry.seq), log.entries.len() as u64, bytes);
    assert_eq!((in_epoch(state.head, log), state.first_seq, state.messages, state.bytes), expected);
}

fn settings() -> impl Strategy<Value = LogSettings> {
    let bounds = (0..12_u64, prop_oneof![0..50_u64, Just(u64::MAX)], prop_oneof![0..3_000_u64, Just(u64::MAX)]);
    (bounds, 0..60_u64, 0..6_usize).prop_map(|((messages_max, age_ms_max, bytes_max), dedup_ms, dedup_entries_max)| LogSettings {
        messages_max,
        age_ms_max,
        bytes_max,
        dedup_ms,
        dedup_entries_max,
    })
}

fn range() -> impl Strategy<Value = ReadRange> {
    let bound =
        || proptest::option::of(prop_oneof![(0..40_u64).prop_map(Bound::Seq), (0..30_u64).prop_map(|ms| Bound::Time(Timestamp::from_unix_ms(ms)))]);
    let direction = prop_oneof![Just(Direction::Forward), Just(Direction::Backward)];
    (bound(), bound(), 0..20_usize, prop_oneof![0..2_000_usize, Just(usize::MAX)], direction)
        .prop_map(|(since, until, limit, bytes_max, direction)| ReadRange { since, until, limit, bytes_max, direction })
}

fn op() -> impl Strategy<Value = Op> {
    let topic = || 0..TOPICS;
    let fingerprint = proptest::option::weighted(0.6, (0..8_u8, 0..2_u8));
    prop_oneof![
        2 => (topic(), settings()).prop_map(|(topic, settings)| Op::Open { topic, settings }),
        10 => (topic(), 0..400_usize, 0..30_u64, fingerprint)
            .prop_map(|(topic, bytes, unix_ms, fingerprint)| Op::Append { topic, bytes, unix_ms, fingerprint }),
        5 => (topic(), range()).prop_map(|(topic, range)| Op::Read { topic, range }),
        1 => topic().prop_map(|topic| Op::Delete { topic }),
        4 => (0..30_u64).prop_map(|ms| Op::Pass { ms }),
        1 => Just(Op::Sweep),
        1 => topic().prop_map(|topic| Op::Forgettable { topic }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_answers_as_a_plain_list_does(first in vec(settings(), usize::from(TOPICS)), ops in vec(op(), 1..200)) {
        let mut pair = Pair::new();
        for (topic, settings) in (0..).zip(&first) {
            pair.open(topic, settings);
        }
        ops.iter().for_each(|op| pair.apply(op));
    }
}
