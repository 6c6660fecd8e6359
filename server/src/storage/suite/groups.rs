//! Work groups: who has which job, how often, and what is told of what nobody gets.

use arqonbus_protocol::{GapReason, Position};

use super::{Harness, LogSettings, ROOMY, Subject};
use crate::storage::{
    Claimed, Failed, Forgetting, Freed, GroupAnswer, GroupBegin, GroupId, GroupOpened, GroupSettings, Holder, Job, Jobs, Outcome, Settled,
    StoreError, Want, Whose,
};

/// Bounds that no case meets by accident.
const EASY: GroupSettings = GroupSettings { ack_timeout_ms: 10_000, deliveries_max: 0, pending_max: 1_000, pending_bytes_max: 1 << 20, forget_ms: 0 };
const MANY: Want = Want { jobs: 100, bytes: 1 << 20 };
const ANN: Holder = Holder(11);
const BEN: Holder = Holder(12);
const AGAIN: Outcome = Outcome::Again { delay_ms: 0, reason: None };

/// A group of an open log.
struct Group<'s, 'h> {
    log: &'s mut Subject<'h>,
    of: GroupId,
}

impl<'s, 'h> Group<'s, 'h> {
    fn open(log: &'s mut Subject<'h>, begin: GroupBegin, settings: &GroupSettings) -> Option<(Self, GroupOpened)> {
        Self::named("g", log, begin, settings)
    }

    /// Opens a group; `None` where the store has none to offer, which then is not asked about them.
    fn named(name: &str, log: &'s mut Subject<'h>, begin: GroupBegin, settings: &GroupSettings) -> Option<(Self, GroupOpened)> {
        let of = GroupId { topic: log.topic, group: name.parse().expect("a group's name") };
        let opened = log.harness.group(&mut |store, now, ticket| store.open_group(&of, begin, settings, now, ticket).map(GroupAnswer::Opened))?;
        let Ok(GroupAnswer::Opened(opened)) = opened else { panic!("{opened:?} to the opening of a group") };
        Some((Self { log, of }, opened))
    }

    fn ask<T>(&mut self, answer: Option<Result<GroupAnswer, StoreError>>, take: fn(GroupAnswer) -> Option<T>) -> T {
        let answer = answer.expect("it had groups before").expect("an open group answers");
        take(answer).expect("the answer fits the question")
    }

    fn try_claim(&mut self, holder: Holder, want: Want) -> Result<GroupAnswer, StoreError> {
        let of = self.of;
        let claimed = self.log.harness.group(&mut |store, now, ticket| store.claim(&of, holder, want, now, ticket).map(GroupAnswer::Claimed));
        claimed.expect("it had groups before")
    }

    fn claim(&mut self, holder: Holder, want: Want) -> Claimed {
        let answer = Some(self.try_claim(holder, want));
        self.ask(answer, |answer| if let GroupAnswer::Claimed(claimed) = answer { Some(claimed) } else { None })
    }

    /// Claims, and gives seq and delivery of each job.
    fn take(&mut self, holder: Holder) -> Vec<(u64, u32)> {
        self.claim(holder, MANY).jobs.iter().map(|job| (job.position.seq, job.delivery)).collect()
    }

    fn settle(&mut self, holder: Holder, seqs: &[u64], outcome: &Outcome) -> Settled {
        let epoch = self.log.opened.head.epoch;
        self.settle_of(holder, Jobs { epoch, seqs }, outcome)
    }

    fn settle_of(&mut self, holder: Holder, jobs: Jobs<'_>, outcome: &Outcome) -> Settled {
        let of = self.of;
        let answer =
            self.log.harness.group(&mut |store, now, ticket| store.settle(&of, holder, jobs, outcome, now, ticket).map(GroupAnswer::Settled));
        self.ask(answer, |answer| if let GroupAnswer::Settled(settled) = answer { Some(settled) } else { None })
    }

    fn free(&mut self, whose: Whose) -> Freed {
        let of = self.of;
        let answer = self.log.harness.group(&mut |store, now, ticket| store.free(&of, whose, now, ticket).map(GroupAnswer::Freed));
        self.ask(answer, |answer| if let GroupAnswer::Freed(freed) = answer { Some(freed) } else { None })
    }
}

pub(super) fn each_job_is_given_to_one_holder_as_it_was_appended(harness: &mut dyn Harness) {
    let mut log = Subject::open(harness, &ROOMY);
    let Some((mut group, opened)) = Group::open(&mut log, GroupBegin::Head, &EASY) else { return };
    assert!(opened.created && opened.gap.is_none());
    let appended: Vec<_> = (1..=5).map(|number| group.log.append(&number.to_string())).collect();
    let ann = group.claim(ANN, Want { jobs: 2, ..MANY });
    let ben = group.claim(BEN, MANY);
    assert!(ann.more && !ben.more, "more is said where there is more");
    let jobs: Vec<Job> = ann.jobs.into_iter().chain(ben.jobs).collect();
    let expected: Vec<Job> = appended.into_iter().map(|(position, body)| Job { position, delivery: 1, body }).collect();
    assert_eq!(jobs, expected);
    assert_eq!(group.take(ANN), [], "nothing is given twice while it is held");
    assert_eq!(group.log.held(), [1, 2, 3, 4, 5], "the log keeps what is given out");
}

pub(super) fn a_claim_keeps_to_its_bytes_but_gives_one(harness: &mut dyn Harness) {
    let mut log = Subject::open(harness, &ROOMY);
    let Some((mut group, _)) = Group::open(&mut log, GroupBegin::Head, &EASY) else { return };
    let length = group.log.append("1").1.len() as u64;
    group.log.append("2");
    group.log.append("3");
    let claimed = group.claim(ANN, Want { jobs: 10, bytes: 2 * length });
    assert_eq!((claimed.jobs.len(), claimed.more), (2, true));
    assert_eq!(group.claim(ANN, Want { jobs: 10, bytes: 1 }).jobs.len(), 1);
}

pub(super) fn what_is_done_is_given_to_nobody(harness: &mut dyn Harness) {
    let mut log = Subject::open(harness, &ROOMY);
    let Some((mut group, _)) = Group::open(&mut log, GroupBegin::Head, &EASY) else { return };
    group.log.append_many(4);
    group.take(ANN);
    let settled = group.settle(ANN, &[1, 3], &Outcome::Done);
    assert_eq!((settled.not_held.len(), settled.state.pending), (0, 2));
    group.free(Whose::Of(ANN));
    assert_eq!(group.take(BEN), [(2, 2), (4, 2)]);
    assert_eq!(group.settle(BEN, &[2, 4], &Outcome::Done).state.pending, 0);
    group.log.harness.pass(60_000);
    group.free(Whose::Due);
    assert_eq!(group.take(ANN), []);
}

pub(super) fn what_came_back_is_given_first_in_order_and_counts_on(harness: &mut dyn Harness) {
    let mut log = Subject::open(harness, &ROOMY);
    let Some((mut group, _)) = Group::open(&mut log, GroupBegin::Head, &EASY) else { return };
    group.log.append_many(3);
    group.take(ANN);
    let freed = group.free(Whose::Of(ANN));
    assert_eq!(freed.held, [(ANN, 1), (ANN, 2), (ANN, 3)]);
    assert_eq!(group.free(Whose::Of(ANN)).held, [], "once");
    group.log.append("4");
    assert_eq!(group.take(BEN), [(1, 2), (2, 2), (3, 2), (4, 1)]);
    group.settle(BEN, &[2], &AGAIN);
    assert_eq!(group.take(BEN), [(2, 3)], "also to the same holder");
}

pub(super) fn what_is_held_too_long_comes_back_and_not_before(harness: &mut dyn Harness) {
    let mut log = Subject::open(harness, &ROOMY);
    let Some((mut group, _)) = Group::open(&mut log, GroupBegin::Head, &EASY) else { return };
    group.log.append_many(2);
    assert_eq!(group.claim(ANN, Want { jobs: 1, ..MANY }).jobs.len(), 1);
    group.log.harness.pass(6_000);
    assert_eq!(group.take(BEN), [(2, 1)]);
    assert_eq!(group.free(Whose::Due).held, []);
    group.log.harness.pass(5_000);
    let freed = group.free(Whose::Due);
    assert_eq!(freed.held, [(ANN, 1)], "its own time counts for each");
    assert!(freed.state.next_due.is_some(), "the other is due later");
    assert_eq!(group.settle(ANN, &[1], &Outcome::Done).not_held, [1], "too late");
    assert_eq!(group.take(BEN), [(1, 2)]);
}

pub(super) fn what_is_put_off_rests_for_that_long(harness: &mut dyn Harness) {
    let mut log = Subject::open(harness, &ROOMY);
    let Some((mut group, _)) = Group::open(&mut log, GroupBegin::Head, &EASY) else { return };
    group.log.append_many(1);
    group.take(ANN);
    let settled = group.settle(ANN, &[1], &Outcome::Again { delay_ms: 5_000, reason: None });
    assert_eq!((settled.state.pending, settled.state.next_due.is_some()), (1, true));
    group.log.harness.pass(4_000);
    group.free(Whose::Due);
    assert_eq!(group.take(ANN), []);
    group.log.harness.pass(2_000);
    assert_eq!(group.free(Whose::Due).held, [], "nobody held it");
    assert_eq!(group.take(ANN), [(1, 2)]);
}

pub(super) fn only_its_holder_settles_a_job(harness: &mut dyn Harness) {
    let mut log = Subject::open(harness, &ROOMY);
    let Some((mut group, _)) = Group::open(&mut log, GroupBegin::Head, &EASY) else { return };
    group.log.append_many(2);
    group.take(ANN);
    assert_eq!(group.settle(BEN, &[1, 2], &Outcome::Done).not_held, [1, 2]);
    assert_eq!(group.settle(ANN, &[1, 9], &Outcome::Done).not_held, [9]);
    assert_eq!(group.settle(ANN, &[1], &AGAIN).not_held, [1], "once");
    let other = Jobs { epoch: "other".parse().expect("an epoch"), seqs: &[2] };
    assert_eq!(group.settle_of(ANN, other, &Outcome::Done).not_held, [2]);
    assert_eq!(group.settle(ANN, &[2], &Outcome::Done).not_held, [] as [u64; 0]);
}

pub(super) fn after_so_many_deliveries_a_job_is_dead(harness: &mut dyn Harness) {
    let mut log = Subject::open(harness, &ROOMY);
    let settings = GroupSettings { deliveries_max: 2, ..EASY };
    let Some((mut group, _)) = Group::open(&mut log, GroupBegin::Head, &settings) else { return };
    group.log.append_many(3);
    group.take(ANN);
    group.settle(ANN, &[2], &Outcome::Dead { reason: Some("bad".into()) });
    group.settle(ANN, &[1, 3], &AGAIN);
    let claimed = group.claim(ANN, MANY);
    assert_eq!(claimed.jobs.iter().map(|job| job.position.seq).collect::<Vec<_>>(), [1, 3]);
    let dead: Vec<_> = claimed.dead.iter().map(|dead| (dead.job.position.seq, dead.job.delivery, dead.failed.clone())).collect();
    assert_eq!(dead, [(2, 1, Failed::Nacked(Some("bad".into())))]);
    group.free(Whose::Of(ANN));
    let claimed = group.claim(BEN, Want { jobs: 0, bytes: 0 });
    let dead: Vec<_> = claimed.dead.iter().map(|dead| (dead.job.position.seq, dead.job.delivery, dead.failed.clone())).collect();
    assert_eq!(dead, [(1, 2, Failed::MemberLost), (3, 2, Failed::MemberLost)]);
    assert_eq!(group.settle(Holder::DEAD_LETTERS, &[1, 2], &Outcome::Done).not_held, [] as [u64; 0]);
    // The way to the dead letters did not come to its end: it is tried again.
    group.log.harness.pass(11_000);
    assert_eq!(group.free(Whose::Due).held, [], "no member held it");
    assert_eq!(group.claim(BEN, MANY).dead.len(), 1);
    assert_eq!(group.settle(Holder::DEAD_LETTERS, &[3], &Outcome::Done).state.pending, 0);
}

pub(super) fn a_group_begins_where_it_is_told_and_then_goes_on(harness: &mut dyn Harness) {
    let mut log = Subject::open(harness, &ROOMY);
    log.append_many(4);
    let epoch = log.opened.head.epoch;
    let since = GroupBegin::Since(Position { epoch, seq: 1 });
    for (name, begin, first) in [("since", since, Some(2)), ("replay", GroupBegin::Replay(2), Some(3)), ("head", GroupBegin::Head, None)] {
        let Some((mut group, opened)) = Group::named(name, &mut log, begin, &EASY) else { return };
        assert_eq!((opened.gap, opened.state.cursor.seq), (None, first.map_or(4, |first| first - 1)), "{name}");
        assert_eq!(group.take(ANN).first().map(|(seq, _)| *seq), first, "{name}");
        let (_, again) = Group::named(name, &mut log, GroupBegin::Replay(4), &EASY).expect("it had groups before");
        assert_eq!((again.created, again.state.cursor.seq), (false, 4), "{name}: it is as it is");
    }
    let ahead = GroupBegin::Since(Position { epoch, seq: 9 });
    let (_, opened) = Group::named("ahead", &mut log, ahead, &EASY).expect("it had groups before");
    assert_eq!(opened.gap.map(|gap| (gap.reason, gap.to.seq)), Some((GapReason::Ahead, 4)));
    let gone = GroupBegin::Since(Position { epoch: "gone".parse().expect("an epoch"), seq: 2 });
    let (_, opened) = Group::named("gone", &mut log, gone, &EASY).expect("it had groups before");
    assert_eq!(opened.gap.map(|gap| (gap.reason, gap.to.seq)), Some((GapReason::EpochChanged, 0)));
}

pub(super) fn past_the_bound_of_what_is_pending_nothing_new_is_given(harness: &mut dyn Harness) {
    let mut log = Subject::open(harness, &ROOMY);
    let settings = GroupSettings { pending_max: 2, ..EASY };
    let Some((mut group, _)) = Group::open(&mut log, GroupBegin::Head, &settings) else { return };
    group.log.append_many(4);
    assert_eq!(group.take(ANN), [(1, 1), (2, 1)]);
    assert_eq!(group.take(BEN), []);
    group.settle(ANN, &[2], &AGAIN);
    assert_eq!(group.take(BEN), [(2, 2)], "what came back is not new");
    group.settle(ANN, &[1], &Outcome::Done);
    assert_eq!(group.take(BEN), [(3, 1)]);
}

pub(super) fn a_trimmed_past_is_told_once(harness: &mut dyn Harness) {
    let mut log = Subject::open(harness, &LogSettings { messages_max: 3, ..ROOMY });
    let Some((mut group, _)) = Group::open(&mut log, GroupBegin::Head, &EASY) else { return };
    group.log.append_many(1);
    group.take(ANN);
    group.settle(ANN, &[1], &Outcome::Done);
    group.log.append_many(8);
    let claimed = group.claim(ANN, Want { jobs: 1, ..MANY });
    let gap = claimed.gap.map(|gap| (gap.reason, gap.from.map(|from| from.seq), gap.to.seq));
    assert_eq!(gap, Some((GapReason::Trimmed, Some(1), 6)));
    assert_eq!(claimed.jobs.iter().map(|job| job.position.seq).collect::<Vec<_>>(), [7]);
    let claimed = group.claim(BEN, MANY);
    assert_eq!((claimed.gap, claimed.jobs.len()), (None, 2));
}

pub(super) fn a_group_ends_when_it_is_forgotten_and_with_its_log(harness: &mut dyn Harness) {
    let mut log = Subject::open(harness, &ROOMY);
    let Some((mut group, _)) = Group::open(&mut log, GroupBegin::Head, &EASY) else { return };
    group.log.append_many(2);
    group.take(ANN);
    let of = group.of;
    let forgotten = group.log.harness.group(&mut |store, _, ticket| store.forget_group(&of, ticket).map(GroupAnswer::Forgotten));
    assert!(matches!(forgotten, Some(Ok(GroupAnswer::Forgotten(Forgetting::Ended)))));
    assert!(group.try_claim(ANN, MANY).is_err(), "it is not open any more");
    let (mut group, opened) = Group::open(&mut log, GroupBegin::Head, &EASY).expect("it had groups before");
    assert_eq!((opened.created, opened.state.pending), (true, 0));
    group.log.append_many(1);
    assert_eq!(group.take(ANN), [(3, 1)]);
    log.harness.delete(&log.topic).expect("a log is deleted");
    let topic = log.topic;
    log.opened = log.harness.open(&topic, &ROOMY).expect("a topic opens");
    log.append_many(1);
    let (mut group, opened) = Group::open(&mut log, GroupBegin::Replay(9), &EASY).expect("it had groups before");
    assert!(opened.created, "another log, another group");
    assert_eq!(group.take(ANN), [(1, 1)]);
}

pub(super) fn groups_do_not_touch_each_other(harness: &mut dyn Harness) {
    let mut log = Subject::open(harness, &ROOMY);
    let Some(_) = Group::named("one", &mut log, GroupBegin::Head, &EASY) else { return };
    let (mut two, _) = Group::named("two", &mut log, GroupBegin::Head, &EASY).expect("it had groups before");
    two.log.append_many(2);
    assert_eq!(two.take(ANN), [(1, 1), (2, 1)]);
    two.settle(ANN, &[1], &Outcome::Done);
    let (mut one, opened) = Group::named("one", &mut log, GroupBegin::Head, &EASY).expect("it had groups before");
    assert_eq!((opened.created, opened.state.pending), (false, 0));
    assert_eq!(one.take(ANN), [(1, 1), (2, 1)]);
}

pub(super) fn a_log_with_a_group_is_not_forgotten(harness: &mut dyn Harness) {
    let mut log = Subject::open(harness, &LogSettings { age_ms_max: 1_000, dedup_ms: 0, dedup_entries_max: 0, ..ROOMY });
    let Some((mut group, _)) = Group::open(&mut log, GroupBegin::Head, &EASY) else { return };
    group.log.append_many(1);
    group.take(ANN);
    group.log.harness.pass(5_000);
    let topic = group.log.topic;
    assert!(!group.log.harness.is_forgettable(&topic));
    assert_eq!(group.settle(ANN, &[1], &AGAIN).not_held, [] as [u64; 0], "what is pending outlives the log's own hold on it");
    assert_eq!(group.take(ANN), [(1, 2)]);
}

/// More than a store would take in one step: claims whose answers were lost leave a holder with any number.
pub(super) fn all_that_a_holder_has_comes_back_however_much(harness: &mut dyn Harness) {
    let mut log = Subject::open(harness, &ROOMY);
    let settings = GroupSettings { pending_max: 10_000, ..EASY };
    let Some((mut group, _)) = Group::open(&mut log, GroupBegin::Head, &settings) else { return };
    let jobs = 4_100;
    for seq in 1..=jobs {
        group.log.append("1");
        if seq % 100 == 0 {
            assert_eq!(group.take(ANN).len(), 100);
        }
    }
    let freed = group.free(Whose::Of(ANN));
    assert_eq!(freed.held, (1..=jobs).map(|seq| (ANN, seq)).collect::<Vec<_>>());
    assert_eq!(group.take(BEN), (1..=100).map(|seq| (seq, 2)).collect::<Vec<_>>());
}
