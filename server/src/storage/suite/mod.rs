//! The conformance suite of [`Store`](super::Store): what every store must do, as named cases.
//!
//! A store is driven through a [`Harness`], which waits where the store answers later. [`Prompt`] is the harness of stores that always
//! answer at once.

mod bounds;
mod dedup;
mod elsewhere;
mod groups;
mod here;
mod order;
mod pages;
mod prompt;
#[cfg(test)]
mod sabotage;

use std::panic::{AssertUnwindSafe, catch_unwind};

use arqonbus_protocol::limits::DEPTH_MAX;
use arqonbus_protocol::{
    ClientId, Delivery, DeliveryHead, Direction, Durability, MessageId, Position, RawJson, ServerEnvelope, StorageStatus, Target,
};
use arqonbus_protocol::{Timestamp, Topic};
use bytes::Bytes;

use super::{Appended, Bound, Entry, Fingerprint, GroupAnswer, GroupStore, LogSettings, LogState, Page, Progress, ReadRange, StoreError, Ticket};

pub use prompt::Prompt;

use crate::clock::Moment;

/// A store under test with a clock of its own. Each question is answered when it returns.
pub trait Harness {
    /// A topic that no case has used before, also not in an earlier run against the same server.
    fn topic(&mut self) -> Topic;

    /// Lets time go on, for the store too.
    fn pass(&mut self, ms: u64);

    /// Where the store keeps its logs: some promises are of the one kind only.
    fn keeps(&self) -> Keeps;

    /// See [`Store::durability`](super::Store::durability).
    fn durability(&self, settings: &LogSettings) -> Durability;

    /// See [`Store::open`](super::Store::open).
    ///
    /// # Errors
    /// What the store answered.
    fn open(&mut self, topic: &Topic, settings: &LogSettings) -> Result<LogState, StoreError>;

    /// See [`Store::append`](super::Store::append).
    ///
    /// # Errors
    /// What the store answered.
    fn append(&mut self, topic: &Topic, entry: Entry, fingerprint: Option<Fingerprint>) -> Result<Appended, StoreError>;

    /// See [`Store::read`](super::Store::read).
    ///
    /// # Errors
    /// What the store answered.
    fn read(&mut self, topic: &Topic, range: &ReadRange) -> Result<Page, StoreError>;

    /// See [`Store::delete`](super::Store::delete).
    ///
    /// # Errors
    /// What the store answered.
    fn delete(&mut self, topic: &Topic) -> Result<(), StoreError>;

    /// Asks about a work group, and waits for the answer; `None` where the store has no groups.
    fn group(&mut self, ask: &mut GroupQuestion<'_>) -> Option<Result<GroupAnswer, StoreError>>;

    /// See [`Store::close`](super::Store::close).
    fn close(&mut self, topic: &Topic);

    /// See [`Store::is_forgettable`](super::Store::is_forgettable).
    fn is_forgettable(&mut self, topic: &Topic) -> bool;

    /// See [`Store::sweep`](super::Store::sweep).
    fn sweep(&mut self);

    /// See [`Store::status`](super::Store::status).
    fn status(&self) -> StorageStatus;
}

/// Where a store keeps its logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    /// In its own process: its status is exact at any time, and to close a log is to lose it.
    Here {
        /// The cap on the bytes of all history, 1 MiB or less.
        history_bytes_max: u64,
    },
    /// In a server, for other nodes too: its status is what it saw last, and a log that is closed is kept.
    Elsewhere,
}

/// One question about a work group.
pub type GroupQuestion<'a> = dyn FnMut(&mut dyn GroupStore, Moment, Ticket) -> Progress<GroupAnswer> + 'a;

/// One promise: panics where the store breaks it.
pub type Case = fn(&mut dyn Harness);

macro_rules! cases {
    ($(#[$about:meta])* $name:ident: $($module:ident: $($case:ident)*;)*) => {
        $(#[$about])*
        const $name: &[(&str, Case)] = &[$($((stringify!($case), $module::$case)),*),*];
    };
}

cases! {
    /// What every store must do.
    OF_EVERY_STORE:
    order: seqs_count_up_without_holes_and_bodies_carry_them a_new_log_is_empty opening_again_keeps_the_log topics_do_not_touch_each_other
        epochs_never_repeat delete_ends_the_epoch_and_all_it_held an_entry_is_read_as_it_was_answered;
    bounds: no_more_messages_than_allowed_and_no_fewer nothing_older_than_allowed no_more_bytes_than_allowed
        an_entry_over_all_bytes_allowed_is_not_held new_settings_apply_at_once a_log_of_nothing_counts_on_and_holds_nothing;
    pages: reading_an_empty_log forward_pages_cover_exactly backward_pages_cover_exactly bounds_by_seq bounds_by_time
        a_clock_set_back_loses_and_repeats_nothing a_page_ends_at_its_bytes_but_gives_one;
    dedup: the_same_again_is_a_duplicate the_same_id_with_another_content_is_a_conflict without_a_fingerprint_all_is_stored
        the_window_ends ids_are_remembered_longer_than_entries ids_are_forgotten_with_their_log the_latest_ids_are_remembered;
    groups: each_job_is_given_to_one_holder_as_it_was_appended a_claim_keeps_to_its_bytes_but_gives_one what_is_done_is_given_to_nobody
        what_came_back_is_given_first_in_order_and_counts_on what_is_held_too_long_comes_back_and_not_before what_is_put_off_rests_for_that_long
        only_its_holder_settles_a_job after_so_many_deliveries_a_job_is_dead a_group_begins_where_it_is_told_and_then_goes_on
        past_the_bound_of_what_is_pending_nothing_new_is_given a_trimmed_past_is_told_once a_group_ends_when_it_is_forgotten_and_with_its_log
        groups_do_not_touch_each_other a_log_with_a_group_is_not_forgotten all_that_a_holder_has_comes_back_however_much;
}

cases! {
    /// What a store must do that keeps its logs itself.
    OF_ONE_THAT_KEEPS_HERE:
    here: status_counts_what_is_held a_sweep_gives_up_what_is_too_old forgettable_only_where_nothing_is_held_or_remembered
        all_history_stays_under_the_cap the_largest_log_gives_first_for_the_cap;
}

cases! {
    /// What a store must do whose logs are in a server.
    OF_ONE_THAT_KEEPS_ELSEWHERE:
    elsewhere: status_counts_what_was_seen_last what_is_too_old_is_not_counted_once_it_was_looked_for
        what_is_forgotten_here_is_kept_there_and_goes_on;
}

/// The cases that a store of this kind is asked, by their names.
pub fn cases(keeps: Keeps) -> impl Iterator<Item = &'static (&'static str, Case)> {
    let others = match keeps {
        Keeps::Here { .. } => OF_ONE_THAT_KEEPS_HERE,
        Keeps::Elsewhere => OF_ONE_THAT_KEEPS_ELSEWHERE,
    };
    OF_EVERY_STORE.iter().chain(others)
}

/// Runs every case that is asked of such a store on a fresh harness; gives the names of those that failed, each with why.
pub fn failures(make: &mut dyn FnMut() -> Box<dyn Harness>) -> Vec<(&'static str, String)> {
    let keeps = make().keeps();
    cases(keeps).filter_map(|(name, case)| failure(*case, make).map(|why| (*name, why))).collect()
}

/// Runs every case that is asked of such a store on a fresh harness.
///
/// # Panics
/// Where any failed; the text names each.
pub fn run(make: &mut dyn FnMut() -> Box<dyn Harness>) {
    let failures = failures(make);
    let list: String = failures.iter().map(|(name, why)| format!("\n{name}: {why}")).collect();
    assert!(failures.is_empty(), "{} cases failed:{list}", failures.len());
}

fn failure(case: Case, make: &mut dyn FnMut() -> Box<dyn Harness>) -> Option<String> {
    let mut harness = make();
    let panic = catch_unwind(AssertUnwindSafe(|| case(&mut *harness))).err()?;
    let text = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
    Some(text.unwrap_or_default())
}

/// Bounds that no case meets by accident.
const ROOMY: LogSettings =
    LogSettings { messages_max: 1_000, age_ms_max: 3_600_000, bytes_max: 1 << 20, dedup_ms: 120_000, dedup_entries_max: 1_000 };

/// All of a log in one page.
const ALL: ReadRange = ReadRange { since: None, until: None, limit: 10_000, bytes_max: usize::MAX, direction: Direction::Forward };

/// The wall clock at the start of a case.
const UNIX_MS: u64 = 1_795_366_140_000;

/// One open topic of a harness.
struct Subject<'h> {
    harness: &'h mut dyn Harness,
    topic: Topic,
    opened: LogState,
}

impl<'h> Subject<'h> {
    fn open(harness: &'h mut dyn Harness, settings: &LogSettings) -> Self {
        let topic = harness.topic();
        let opened = harness.open(&topic, settings).expect("a topic opens");
        Self { harness, topic, opened }
    }

    fn append_as(&mut self, entry: Entry, fingerprint: Option<Fingerprint>) -> Appended {
        self.harness.append(&self.topic, entry, fingerprint).expect("an open log takes entries")
    }

    fn append(&mut self, payload: &str) -> (Position, Bytes) {
        self.append_at(payload, UNIX_MS)
    }

    fn append_at(&mut self, payload: &str, unix_ms: u64) -> (Position, Bytes) {
        let entry = entry(&self.topic, payload, unix_ms);
        let (Appended::Stored { position, body } | Appended::Unheld { position, body }) = self.append_as(entry, None) else {
            panic!("an entry without a fingerprint is stored")
        };
        (position, body)
    }

    /// Appends `"1"`, `"2"` … so many.
    fn append_many(&mut self, count: u64) {
        for number in 1..=count {
            self.append(&number.to_string());
        }
    }

    fn page(&mut self, range: ReadRange) -> Page {
        self.harness.read(&self.topic, &range).expect("an open log is readable")
    }

    fn state(&mut self) -> LogState {
        self.page(ReadRange { limit: 0, ..ALL }).state
    }

    /// The seqs of all entries held, which must be those from the first to the head.
    fn held(&mut self) -> Vec<u64> {
        let page = self.page(ALL);
        let (seqs, state) = (seqs(&page), page.state);
        let expected: Vec<u64> = state.first_seq.map_or(Vec::new(), |first| (first..=state.head.seq).collect());
        assert_eq!(seqs, expected, "what is held reaches from the first to the head");
        assert_eq!(state.messages, seqs.len() as u64, "the state counts what is held");
        assert!(!page.more, "all of it is all");
        seqs
    }
}

fn seqs(page: &Page) -> Vec<u64> {
    page.entries.iter().map(|(seq, _)| *seq).collect()
}

fn seq(seq: u64) -> Option<Bound> {
    Some(Bound::Seq(seq))
}

fn time(unix_ms: u64) -> Option<Bound> {
    Some(Bound::Time(Timestamp::from_unix_ms(unix_ms)))
}

fn entry(topic: &Topic, payload: &str, unix_ms: u64) -> Entry {
    let head = DeliveryHead {
        id: MessageId::ulid(unix_ms, 1),
        target: Target::Topic(*topic),
        sender: ClientId::client(1),
        user: None,
        timestamp: Timestamp::from_unix_ms(unix_ms),
        position: None,
        reply_to: None,
        correlation_id: None,
        exclude_sender: false,
    };
    Entry::encode(&Delivery { head, headers: None, payload: RawJson::new(payload, DEPTH_MAX).expect("cases publish JSON"), job: None })
}

/// The position and the payload that stand in a delivered body.
fn decoded(body: &Bytes) -> (Option<Position>, String) {
    let text = std::str::from_utf8(body).expect("a body is UTF-8");
    let Ok(ServerEnvelope::Message(delivery)) = ServerEnvelope::decode(text) else { panic!("not a message: {text}") };
    (delivery.head.position, delivery.payload.as_str().to_owned())
}
