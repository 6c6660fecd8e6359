//! The suite can fail: a store that breaks one promise fails the cases that ask for it.

#![expect(clippy::wildcard_enum_match_arm, reason = "each place has its few faults; the others change nothing there")]

mod groups;

use std::collections::HashSet;
use std::sync::Arc;

use arqonbus_protocol::{ClientId, Durability, Epoch, StorageStatus, Topic};

use super::{Harness, Keeps, Prompt, cases, failures};
use crate::clock::Moment;
use crate::storage::{
    Appended, Bound, Budget, Entry, Fingerprint, GroupStore, LogSettings, LogState, MemoryStore, Page, Position, Progress, ReadRange, Store,
    StoreCounters, Ticket,
};

const CAP: u64 = 1 << 20;
/// The two kinds of stores.
const KINDS: [Keeps; 2] = [Keeps::Here { history_bytes_max: CAP }, Keeps::Elsewhere];

/// A promise broken, beside the cases that must notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Nothing,
    DropsEveryFifth,
    RepeatsASeq,
    AnswersWithoutPosition,
    ReadsWithAHole,
    RepeatsTheEpoch,
    OneEpochForAll,
    ForgetsToDelete,
    ForgetsIds,
    IgnoresContent,
    IdsLastForEver,
    TrimsOneTooMany,
    HoldsOneTooMany,
    HoldsAnyAge,
    HoldsAnyBytes,
    HoldsAnyHistory,
    KeepsToFormerSettings,
    NeverSaysMore,
    PagesOfAnyBytes,
    SinceIsInclusive,
    UntilIsExclusive,
    TimesAreOffByOne,
    BackwardIsForward,
    ForgetsWhatItHolds,
    NeverSweeps,
    MiscountsItself,
    ClaimsDurability,
    MixesTopics,
    MakesUpIds,
    GivesTwice,
    JobsOfAnyBytes,
    JobsWithoutBody,
    JobsAreAlwaysNew,
    NothingIsDone,
    NothingRests,
    NothingIsDead,
    KeepsJobsOfTheGone,
    HoldsForEver,
    HoldsTooShortly,
    AnybodySettles,
    GroupsBeginAtTheHead,
    PendsWithoutBound,
    GroupsTrimSilently,
    ForgetsNoGroup,
    OneGroupForAll,
    MiscountsPending,
}

/// A memory store with one fault.
struct Broken {
    inner: MemoryStore,
    fault: Fault,
    appended: u64,
    settings: Option<LogSettings>,
    /// Where it says that its logs are: elsewhere they outlive their being closed.
    keeps: Keeps,
    /// The topics that work groups were opened in.
    grouped: HashSet<Topic>,
}

fn broken(fault: Fault, keeps: Keeps) -> Box<dyn Harness> {
    let cap = if fault == Fault::HoldsAnyHistory { u64::MAX } else { CAP };
    let inner = MemoryStore::new(7, Arc::new(Budget::new(cap)));
    Box::new(Prompt::new(Broken { inner, fault, appended: 0, settings: None, keeps, grouped: HashSet::new() }, keeps))
}

impl Broken {
    fn settings(&mut self, settings: &LogSettings) -> LogSettings {
        let mut settings = settings.clone();
        match self.fault {
            Fault::TrimsOneTooMany => settings.messages_max = settings.messages_max.saturating_sub(1),
            Fault::HoldsOneTooMany => settings.messages_max += 1,
            Fault::HoldsAnyAge => settings.age_ms_max = u64::MAX,
            Fault::HoldsAnyBytes => settings.bytes_max = u64::MAX,
            Fault::IdsLastForEver => settings.dedup_ms = u64::MAX,
            Fault::KeepsToFormerSettings => settings = self.settings.replace(settings.clone()).unwrap_or(settings),
            _ => {}
        }
        settings
    }

    fn topic(&self, topic: &Topic) -> Topic {
        if self.fault == Fault::MixesTopics { "suite:all".parse().expect("a topic") } else { *topic }
    }

    fn change_state(&self, state: &mut LogState) {
        if self.fault == Fault::OneEpochForAll {
            state.head.epoch = Epoch::from_number(1);
        }
    }
}

fn change<T>(progress: Progress<T>, change: impl FnOnce(&mut T)) -> Progress<T> {
    let Progress::Done(Ok(mut answer)) = progress else { return progress };
    change(&mut answer);
    Progress::Done(Ok(answer))
}

impl Store for Broken {
    fn kind(&self) -> &'static str {
        "broken"
    }

    fn durability(&self, settings: &LogSettings) -> Durability {
        if self.fault == Fault::ClaimsDurability { Durability::Memory } else { self.inner.durability(settings) }
    }

    fn open(&mut self, topic: &Topic, settings: &LogSettings, now: Moment, ticket: Ticket) -> Progress<LogState> {
        let settings = self.settings(settings);
        change(self.inner.open(&self.topic(topic), &settings, now, ticket), |state| {
            self.change_state(state);
            if self.fault == Fault::RepeatsTheEpoch {
                state.head.epoch = Epoch::from_number(u64::from(topic.channel.as_bytes()[1]));
            }
        })
    }

    fn append(&mut self, topic: &Topic, entry: Entry, fingerprint: Option<Fingerprint>, now: Moment, ticket: Ticket) -> Progress<Appended> {
        self.appended += 1;
        let fingerprint = match self.fault {
            Fault::ForgetsIds => None,
            Fault::MakesUpIds => fingerprint.or(Some(Fingerprint { key: 0, content: 0 })),
            Fault::IgnoresContent => fingerprint.map(|fingerprint| Fingerprint { content: 0, ..fingerprint }),
            _ => fingerprint,
        };
        if self.fault == Fault::DropsEveryFifth && self.appended.is_multiple_of(5) {
            let Progress::Done(Ok(page)) = self.inner.read(&self.topic(topic), &super::ALL, now, ticket) else { panic!("memory answers at once") };
            let position = page.state.head.next();
            return Progress::Done(Ok(Appended::Stored { position, body: entry.place(&position) }));
        }
        let text = entry.text.clone();
        change(self.inner.append(&self.topic(topic), entry, fingerprint, now, ticket), |answer| {
            let (Appended::Stored { position, body } | Appended::Unheld { position, body }) = answer else { return };
            match self.fault {
                Fault::RepeatsASeq if self.appended.is_multiple_of(7) => *position = Position { seq: position.seq - 1, ..*position },
                Fault::AnswersWithoutPosition => *body = text,
                _ => {}
            }
        })
    }

    fn read(&mut self, topic: &Topic, range: &ReadRange, now: Moment, ticket: Ticket) -> Progress<Page> {
        let mut range = *range;
        match (self.fault, range.since, range.until) {
            (Fault::PagesOfAnyBytes, _, _) => range.bytes_max = usize::MAX,
            (Fault::SinceIsInclusive, Some(Bound::Seq(seq)), _) => range.since = Some(Bound::Seq(seq.saturating_sub(1))),
            (Fault::UntilIsExclusive, _, Some(Bound::Seq(seq))) => range.until = Some(Bound::Seq(seq.saturating_sub(1))),
            (Fault::TimesAreOffByOne, Some(Bound::Time(time)), _) => range.since = super::time(time.unix_ms() + 1),
            (Fault::BackwardIsForward, _, _) => range.direction = super::Direction::Forward,
            _ => {}
        }
        change(self.inner.read(&self.topic(topic), &range, now, ticket), |page| {
            self.change_state(&mut page.state);
            match self.fault {
                Fault::ReadsWithAHole if page.entries.len() > 5 => drop(page.entries.remove(3)),
                Fault::NeverSaysMore => page.more = false,
                _ => {}
            }
        })
    }

    fn delete(&mut self, topic: &Topic, by: ClientId, ticket: Ticket) -> Progress<()> {
        if self.fault == Fault::ForgetsToDelete { Progress::Done(Ok(())) } else { self.inner.delete(&self.topic(topic), by, ticket) }
    }

    fn close(&mut self, topic: &Topic) {
        if self.keeps != Keeps::Elsewhere || self.fault == Fault::ForgetsWhatItHolds {
            self.inner.close(topic);
        }
    }

    fn groups(&mut self) -> Option<&mut dyn GroupStore> {
        Some(self)
    }

    fn is_forgettable(&mut self, topic: &Topic, now: Moment) -> bool {
        let is_kept = self.keeps == Keeps::Elsewhere && !self.grouped.contains(topic);
        self.inner.is_forgettable(&self.topic(topic), now) || self.fault == Fault::ForgetsWhatItHolds || is_kept
    }

    fn sweep(&mut self, now: Moment) {
        if self.fault != Fault::NeverSweeps {
            self.inner.sweep(now);
        }
    }

    fn counters(&self) -> StoreCounters {
        self.inner.counters()
    }

    fn status(&self) -> StorageStatus {
        let mut status = self.inner.status();
        if self.fault == Fault::MiscountsItself {
            status.messages = status.messages * 2 + 1;
        }
        status
    }
}

/// Each fault with the cases that must fail, among others.
const TABLE: &[(Fault, &[&str])] = &[
    (Fault::DropsEveryFifth, &["seqs_count_up_without_holes_and_bodies_carry_them", "an_entry_is_read_as_it_was_answered"]),
    (Fault::RepeatsASeq, &["seqs_count_up_without_holes_and_bodies_carry_them"]),
    (Fault::AnswersWithoutPosition, &["seqs_count_up_without_holes_and_bodies_carry_them"]),
    (Fault::ReadsWithAHole, &["seqs_count_up_without_holes_and_bodies_carry_them", "forward_pages_cover_exactly", "backward_pages_cover_exactly"]),
    (Fault::RepeatsTheEpoch, &["epochs_never_repeat", "delete_ends_the_epoch_and_all_it_held"]),
    (Fault::OneEpochForAll, &["epochs_never_repeat", "delete_ends_the_epoch_and_all_it_held"]),
    (Fault::ForgetsToDelete, &["epochs_never_repeat", "delete_ends_the_epoch_and_all_it_held", "ids_are_forgotten_with_their_log"]),
    (Fault::ForgetsIds, &["the_same_again_is_a_duplicate", "the_latest_ids_are_remembered", "ids_are_remembered_longer_than_entries"]),
    (Fault::IgnoresContent, &["the_same_id_with_another_content_is_a_conflict"]),
    (Fault::IdsLastForEver, &["the_window_ends", "forgettable_only_where_nothing_is_held_or_remembered"]),
    (Fault::TrimsOneTooMany, &["no_more_messages_than_allowed_and_no_fewer"]),
    (Fault::HoldsOneTooMany, &["no_more_messages_than_allowed_and_no_fewer", "a_log_of_nothing_counts_on_and_holds_nothing"]),
    (
        Fault::HoldsAnyAge,
        &[
            "nothing_older_than_allowed",
            "forgettable_only_where_nothing_is_held_or_remembered",
            "what_is_too_old_is_not_counted_once_it_was_looked_for",
        ],
    ),
    (Fault::HoldsAnyBytes, &["no_more_bytes_than_allowed", "an_entry_over_all_bytes_allowed_is_not_held"]),
    (Fault::HoldsAnyHistory, &["all_history_stays_under_the_cap", "the_largest_log_gives_first_for_the_cap"]),
    (Fault::KeepsToFormerSettings, &["new_settings_apply_at_once"]),
    (Fault::NeverSaysMore, &["forward_pages_cover_exactly", "backward_pages_cover_exactly"]),
    (Fault::PagesOfAnyBytes, &["a_page_ends_at_its_bytes_but_gives_one"]),
    (Fault::SinceIsInclusive, &["bounds_by_seq", "forward_pages_cover_exactly"]),
    (Fault::UntilIsExclusive, &["bounds_by_seq", "backward_pages_cover_exactly"]),
    (Fault::TimesAreOffByOne, &["bounds_by_time", "a_clock_set_back_loses_and_repeats_nothing"]),
    (Fault::BackwardIsForward, &["backward_pages_cover_exactly", "bounds_by_seq"]),
    (Fault::ForgetsWhatItHolds, &["forgettable_only_where_nothing_is_held_or_remembered", "what_is_forgotten_here_is_kept_there_and_goes_on"]),
    (Fault::NeverSweeps, &["a_sweep_gives_up_what_is_too_old"]),
    (Fault::MiscountsItself, &["status_counts_what_is_held", "status_counts_what_was_seen_last"]),
    (Fault::ClaimsDurability, &["a_log_of_nothing_counts_on_and_holds_nothing"]),
    (Fault::MixesTopics, &["topics_do_not_touch_each_other"]),
    (Fault::MakesUpIds, &["without_a_fingerprint_all_is_stored"]),
    (Fault::GivesTwice, &["each_job_is_given_to_one_holder_as_it_was_appended"]),
    (Fault::JobsOfAnyBytes, &["a_claim_keeps_to_its_bytes_but_gives_one"]),
    (Fault::JobsWithoutBody, &["each_job_is_given_to_one_holder_as_it_was_appended"]),
    (Fault::JobsAreAlwaysNew, &["what_came_back_is_given_first_in_order_and_counts_on", "what_is_done_is_given_to_nobody"]),
    (Fault::NothingIsDone, &["what_is_done_is_given_to_nobody"]),
    (Fault::NothingRests, &["what_is_put_off_rests_for_that_long"]),
    (Fault::NothingIsDead, &["after_so_many_deliveries_a_job_is_dead"]),
    (Fault::KeepsJobsOfTheGone, &["what_came_back_is_given_first_in_order_and_counts_on", "what_is_done_is_given_to_nobody"]),
    (Fault::KeepsJobsOfTheGone, &["all_that_a_holder_has_comes_back_however_much"]),
    (Fault::HoldsForEver, &["what_is_held_too_long_comes_back_and_not_before", "what_is_put_off_rests_for_that_long"]),
    (Fault::HoldsTooShortly, &["what_is_held_too_long_comes_back_and_not_before", "what_is_put_off_rests_for_that_long"]),
    (Fault::AnybodySettles, &["only_its_holder_settles_a_job"]),
    (Fault::GroupsBeginAtTheHead, &["a_group_begins_where_it_is_told_and_then_goes_on"]),
    (Fault::PendsWithoutBound, &["past_the_bound_of_what_is_pending_nothing_new_is_given"]),
    (Fault::GroupsTrimSilently, &["a_trimmed_past_is_told_once"]),
    (Fault::ForgetsNoGroup, &["a_group_ends_when_it_is_forgotten_and_with_its_log"]),
    (Fault::OneGroupForAll, &["groups_do_not_touch_each_other", "a_group_begins_where_it_is_told_and_then_goes_on"]),
    (Fault::MiscountsPending, &["what_is_done_is_given_to_nobody"]),
    (Fault::ForgetsWhatItHolds, &["a_log_with_a_group_is_not_forgotten"]),
];

#[test]
fn each_fault_fails_the_cases_that_ask_for_it_and_each_case_is_failed_by_a_fault() {
    for keeps in KINDS {
        assert_eq!(failures(&mut || broken(Fault::Nothing, keeps)), [], "the wrapper itself breaks nothing");
    }
    let mut unproven: HashSet<&str> = KINDS.into_iter().flat_map(cases).map(|(name, _)| *name).collect();
    for (fault, expected) in TABLE {
        let failed: HashSet<&str> = KINDS.into_iter().flat_map(|keeps| failures(&mut || broken(*fault, keeps))).map(|(name, _)| name).collect();
        for name in *expected {
            assert!(failed.contains(name), "{fault:?} passes {name}; it fails {failed:?}");
        }
        unproven.retain(|name| !failed.contains(name));
    }
    assert!(unproven.is_empty(), "cases that nothing makes fail prove nothing: {unproven:?}");
}
