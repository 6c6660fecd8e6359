//! The groups of a store with one fault.

use super::{Broken, Fault, change};
use crate::clock::Moment;
use crate::storage::{
    Claimed, Forgetting, Freed, GroupBegin, GroupId, GroupOpened, GroupSettings, GroupStore, Holder, Jobs, Outcome, Progress, Settled, Ticket, Want,
    Whose,
};

impl Broken {
    fn of(&self, of: &GroupId) -> GroupId {
        let group = if self.fault == Fault::OneGroupForAll { "all".parse().expect("a group's name") } else { of.group };
        GroupId { group, ..*of }
    }
}

impl GroupStore for Broken {
    fn open_group(&mut self, of: &GroupId, begin: GroupBegin, settings: &GroupSettings, now: Moment, ticket: Ticket) -> Progress<GroupOpened> {
        let (mut settings, of) = (*settings, self.of(of));
        self.grouped.insert(of.topic);
        match self.fault {
            Fault::NothingIsDead => settings.deliveries_max = 0,
            Fault::PendsWithoutBound => settings.pending_max = usize::MAX,
            _ => {}
        }
        let begin = if self.fault == Fault::GroupsBeginAtTheHead { GroupBegin::Head } else { begin };
        self.inner.open_group(&of, begin, &settings, now, ticket)
    }

    fn claim(&mut self, of: &GroupId, holder: Holder, want: Want, now: Moment, ticket: Ticket) -> Progress<Claimed> {
        let of = self.of(of);
        let want = if self.fault == Fault::JobsOfAnyBytes { Want { bytes: u64::MAX, ..want } } else { want };
        let claimed = change(self.inner.claim(&of, holder, want, now, ticket), |claimed| match self.fault {
            Fault::JobsAreAlwaysNew => claimed.jobs.iter_mut().for_each(|job| job.delivery = 1),
            Fault::JobsWithoutBody => claimed.jobs.iter_mut().for_each(|job| job.body = bytes::Bytes::new()),
            Fault::GroupsTrimSilently => claimed.gap = None,
            _ => {}
        });
        if let (Fault::GivesTwice, Progress::Done(Ok(claimed))) = (self.fault, &claimed) {
            let seqs: Vec<u64> = claimed.jobs.iter().map(|job| job.position.seq).collect();
            let jobs = Jobs { epoch: claimed.state.cursor.epoch, seqs: &seqs };
            let _ = self.inner.settle(&of, holder, jobs, &Outcome::Again { delay_ms: 0, reason: None }, now, ticket);
        }
        claimed
    }

    fn settle(&mut self, of: &GroupId, holder: Holder, jobs: Jobs<'_>, outcome: &Outcome, now: Moment, ticket: Ticket) -> Progress<Settled> {
        let of = self.of(of);
        let again = Outcome::Again { delay_ms: 0, reason: None };
        let outcome = match (self.fault, outcome) {
            (Fault::NothingIsDone, Outcome::Done) | (Fault::NothingRests, Outcome::Again { .. }) => &again,
            _ => outcome,
        };
        change(self.inner.settle(&of, holder, jobs, outcome, now, ticket), |settled| match self.fault {
            Fault::AnybodySettles => settled.not_held.clear(),
            Fault::MiscountsPending => settled.state.pending = 0,
            _ => {}
        })
    }

    fn free(&mut self, of: &GroupId, whose: Whose, now: Moment, ticket: Ticket) -> Progress<Freed> {
        let of = self.of(of);
        let (whose, now) = match (self.fault, whose) {
            (Fault::KeepsJobsOfTheGone, Whose::Of(_)) | (Fault::HoldsForEver, Whose::Due) => (Whose::Of(Holder(0)), now),
            (Fault::HoldsTooShortly, Whose::Due) => (Whose::Due, now.plus_ms(3_600_000)),
            (_, whose) => (whose, now),
        };
        self.inner.free(&of, whose, now, ticket)
    }

    fn forget_group(&mut self, of: &GroupId, ticket: Ticket) -> Progress<Forgetting> {
        let of = self.of(of);
        if self.fault == Fault::ForgetsNoGroup { Progress::Done(Ok(Forgetting::Ended)) } else { self.inner.forget_group(&of, ticket) }
    }
}
