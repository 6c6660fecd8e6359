//! Work groups of logs in Redis: questions gather while others are under way, and leave together.

use std::collections::{BTreeMap, VecDeque};

use arqonbus_protocol::{Epoch, Gap, Group, Position, Topic};

use super::RedisStore;
use super::desk::{Failure, Job};
use super::group_script::{Answers, GroupPart, Known, Question, Reply, Standing};
use super::log::Place;
use crate::clock::Moment;
use crate::hash::Map;
use crate::storage::{
    Answer, Claimed, Forgetting, Freed, GroupAnswer, GroupBegin, GroupId, GroupOpened, GroupSettings, GroupState, GroupStore, Holder, Jobs, Outcome,
    Progress, Settled, StoreError, Ticket, Told, Want, Whose,
};

/// Questions of one batch, and the jobs and their bytes that they may be about together: Redis serves nobody else while it answers.
const QUESTIONS_MAX: usize = 256;
const JOBS_MAX: usize = 4_000;
const JOBS_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Milliseconds for which the word that a group was deleted may be on its way.
const GONE_MS: u64 = 500;
/// The shortest time between two looks at what is due because others may have left it.
const LOOK_MS_MIN: u64 = 100;

/// A question that waits to be asked, or to be answered.
#[derive(Debug)]
pub(super) struct Asked {
    ticket: Ticket,
    of: GroupId,
    question: Question,
}

/// What a shard knows of the groups of its logs.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// Those that are open.
    open: Map<Topic, BTreeMap<Group, Known>>,
    /// What is asked next.
    gathering: VecDeque<Asked>,
    /// What is under way, by log, in the order of the questions.
    wire: Vec<(Topic, Vec<Asked>)>,
}

impl Groups {
    pub(super) fn close(&mut self, topic: &Topic) {
        self.open.remove(topic);
    }

    pub(super) fn are_closed(&self, topic: &Topic) -> bool {
        self.open.get(topic).is_none_or(BTreeMap::is_empty)
    }

    fn known(&mut self, of: &GroupId) -> Option<&mut Known> {
        self.open.get_mut(&of.topic)?.get_mut(&of.group)
    }

    /// Logs with open groups.
    pub(super) fn topics(&self) -> Vec<Topic> {
        self.open.keys().copied().collect()
    }

    /// Takes the next questions onto the wire; those of one log share a part.
    fn load(&mut self) {
        let mut at: Map<Topic, usize> = Map::default();
        let (mut questions, mut jobs, mut bytes) = (0, 0, 0);
        while let Some(next) = self.gathering.front() {
            jobs += next.question.jobs_max();
            bytes += if let Question::Claim(_, want) = &next.question { want.bytes } else { 0 };
            if questions == QUESTIONS_MAX || (questions > 0 && (jobs > JOBS_MAX || bytes > JOBS_BYTES_MAX)) {
                break;
            }
            questions += 1;
            let Some(next) = self.gathering.pop_front() else { break };
            let at = *at.entry(next.of.topic).or_insert_with(|| {
                self.wire.push((next.of.topic, Vec::new()));
                self.wire.len() - 1
            });
            self.wire[at].1.push(next);
        }
    }
}

impl RedisStore {
    /// Sends what has gathered about groups, unless a batch is under way.
    pub(super) fn dispatch_groups(&mut self, now: Moment) {
        if !self.groups.wire.is_empty() || self.groups.gathering.is_empty() {
            return;
        }
        let is_down = self.is_down;
        let Self { logs, groups, .. } = self;
        let may_be_asked = |of: &GroupId| {
            !is_down
                && logs.get(&of.topic).is_some_and(|log| log.place == Place::Redis)
                && groups.open.get(&of.topic).is_some_and(|open| open.contains_key(&of.group))
        };
        let (gathering, in_vain) = std::mem::take(&mut groups.gathering).into_iter().partition(|asked| may_be_asked(&asked.of));
        groups.gathering = gathering;
        let in_vain: VecDeque<Asked> = in_vain;
        for asked in in_vain {
            self.tell(asked.ticket, Answer::Group(Err(Self::away())));
        }
        if self.groups.gathering.is_empty() {
            return;
        }
        self.groups.load();
        let parts = self.groups.wire.iter().map(|(topic, asked)| self.group_part(topic, asked, now)).collect();
        self.ask(Job::Groups(parts));
    }

    fn group_part(&self, topic: &Topic, asked: &[Asked], now: Moment) -> GroupPart {
        let mut groups: Vec<(Group, Known)> = Vec::new();
        let mut questions = Vec::with_capacity(asked.len());
        for Asked { of, question, .. } in asked {
            let at = groups.iter().position(|(group, _)| *group == of.group).unwrap_or_else(|| {
                let mut known = self.groups.open[topic][&of.group].clone();
                known.begins_anew = known.gone_since.is_some_and(|since| now.since(since) >= GONE_MS);
                groups.push((of.group, known));
                groups.len() - 1
            });
            questions.push((at, question.clone()));
        }
        let log = &self.logs[topic];
        GroupPart { topic: *topic, settings: log.settings.clone(), follows: log.follows, groups, questions }
    }

    fn away() -> StoreError {
        StoreError::Unavailable("Redis is away".into())
    }

    /// Puts a question where others wait; or says at once that it cannot be answered.
    fn ask_group<T>(&mut self, of: &GroupId, question: Question, ticket: Ticket) -> Progress<T> {
        let Some(log) = self.logs.get(&of.topic) else { return Progress::Done(Err(Self::not_open())) };
        match log.place {
            Place::Redis if !self.is_down => {}
            Place::Opening(_) => return Progress::Done(Err(Self::not_open())),
            Place::Redis | Place::Memory | Place::Healing | Place::Restoring => return Progress::Done(Err(Self::away())),
        }
        if self.groups.known(of).is_none() {
            return Progress::Done(Err(StoreError::Unavailable("the group is not open".into())));
        }
        // Only a test that breaks the promise leaves it out.
        let Some(question) = self.asks_instead(question) else { return Progress::Done(Err(Self::away())) };
        self.groups.gathering.push_back(Asked { ticket, of: *of, question });
        self.wake();
        Progress::Later
    }

    /// Takes the answers to what was under way.
    pub(super) fn groups_answered(&mut self, answers: Vec<Result<Answers, Failure>>, now: Moment) {
        let mut is_away = false;
        for ((topic, asked), answers) in std::mem::take(&mut self.groups.wire).into_iter().zip(answers) {
            match answers {
                Ok(answers) => self.group_answers(&topic, asked, answers, now),
                Err(failure) => {
                    is_away |= failure.outage;
                    self.group_failed(asked, &failure);
                }
            }
        }
        self.wake();
        if is_away {
            self.fail(now);
        }
    }

    fn group_failed(&mut self, asked: Vec<Asked>, failure: &Failure) {
        for Asked { ticket, of, .. } in asked {
            if let Some(known) = self.groups.known(&of).filter(|_| !failure.sure) {
                known.is_in_doubt = true;
            }
            let refusal = self.refusal(failure);
            self.tell(ticket, Answer::Group(Err(refusal)));
        }
    }

    fn group_answers(&mut self, topic: &Topic, asked: Vec<Asked>, answers: Answers, now: Moment) {
        // A new epoch is told before what is given out of it.
        self.seen(topic, answers.ends, now);
        let mut standings: Vec<(Group, Standing)> = Vec::new();
        for (Asked { ticket, of, question }, reply) in asked.into_iter().zip(answers.replies) {
            let at = standings.iter().position(|(group, _)| *group == of.group).unwrap_or_else(|| {
                standings.push((of.group, answers.standings[standings.len()]));
                standings.len() - 1
            });
            let answer = self.group_answer(&of, &question, reply, standings[at].1, now);
            self.tell(ticket, Answer::Group(answer));
        }
    }

    fn group_answer(&mut self, of: &GroupId, question: &Question, reply: Reply, standing: Standing, now: Moment) -> Result<GroupAnswer, StoreError> {
        if matches!(reply, Reply::Gone) {
            return Err(self.group_gone(of, now));
        }
        let state = self.group_state(of, standing, now);
        Ok(match reply {
            Reply::Opened { created, reason } => {
                let from = if let Question::Open(GroupBegin::Since(since)) = question { Some(*since) } else { None };
                let gap = reason.map(|reason| Gap { reason, from, to: state.cursor, refetch_after_ms: 0 });
                GroupAnswer::Opened(GroupOpened { created, gap, state })
            }
            Reply::Claimed { more, gap, jobs, dead } => {
                if let Some(known) = self.groups.known(of) {
                    (known.is_in_doubt, known.gone_since) = (false, None);
                }
                GroupAnswer::Claimed(Claimed { gap, jobs, dead, more, state })
            }
            Reply::Settled { not_held } => GroupAnswer::Settled(Settled { not_held, state }),
            Reply::Freed { held, others, .. } => GroupAnswer::Freed(Freed { held, others, state }),
            Reply::Forgotten(forgetting) => {
                if let Some(groups) = self.groups.open.get_mut(&of.topic).filter(|_| forgetting != Forgetting::Used) {
                    groups.remove(&of.group);
                }
                GroupAnswer::Forgotten(forgetting)
            }
            Reply::Gone => unreachable!("it was looked for before"),
        })
    }

    /// A group that this node has opened is not there. It was lost with the data, unless the word that it was deleted is on its way.
    fn group_gone(&mut self, of: &GroupId, now: Moment) -> StoreError {
        if let Some(known) = self.groups.known(of) {
            known.gone_since.get_or_insert(now);
        }
        StoreError::Unavailable("the group is gone".into())
    }

    /// How a group stands, and when to look at it: what another node gives out from now on is due after the time-out, and this one finds it where
    /// that node is dead by then. A group with members here is looked at before anybody forgets it.
    fn group_state(&mut self, of: &GroupId, standing: Standing, now: Moment) -> GroupState {
        let Standing { cursor, pending, due_ms } = standing;
        let Some(known) = self.groups.known(of) else { return GroupState { cursor, pending, next_due: None } };
        if cursor.epoch != Epoch::from_number(0) {
            known.at = cursor;
        }
        let look_ms = known.settings.ack_timeout_ms.min((known.settings.forget_ms / 4).max(LOOK_MS_MIN));
        GroupState { cursor, pending, next_due: Some(now.plus_ms(due_ms.unwrap_or(look_ms).min(look_ms))) }
    }

    /// Another node has given something back, or notices may have been lost.
    pub(super) fn tell_work(&mut self, topic: Topic, group: Option<Group>) {
        self.out.push_back(Told::Work { topic, group });
    }
}

impl GroupStore for RedisStore {
    fn open_group(&mut self, of: &GroupId, begin: GroupBegin, settings: &GroupSettings, _now: Moment, ticket: Ticket) -> Progress<GroupOpened> {
        let nowhere = Position { epoch: Epoch::from_number(0), seq: 0 };
        let groups = self.groups.open.entry(of.topic).or_default();
        let known = groups.entry(of.group).or_insert(Known {
            settings: *settings,
            at: nowhere,
            is_attended: false,
            is_in_doubt: false,
            gone_since: None,
            begins_anew: false,
        });
        known.settings = *settings;
        self.ask_group(of, Question::Open(begin), ticket)
    }

    fn claim(&mut self, of: &GroupId, holder: Holder, want: Want, _now: Moment, ticket: Ticket) -> Progress<Claimed> {
        self.ask_group(of, Question::Claim(holder, want), ticket)
    }

    fn settle(&mut self, of: &GroupId, holder: Holder, jobs: Jobs<'_>, outcome: &Outcome, _now: Moment, ticket: Ticket) -> Progress<Settled> {
        let question = Question::Settle { holder, epoch: jobs.epoch, seqs: jobs.seqs.to_vec(), outcome: outcome.clone() };
        self.ask_group(of, question, ticket)
    }

    fn free(&mut self, of: &GroupId, whose: Whose, _now: Moment, ticket: Ticket) -> Progress<Freed> {
        self.ask_group(of, Question::Free(whose), ticket)
    }

    fn forget_group(&mut self, of: &GroupId, ticket: Ticket) -> Progress<Forgetting> {
        self.ask_group(of, Question::Forget, ticket)
    }

    fn attend(&mut self, of: &GroupId, attended: bool) {
        if let Some(known) = self.groups.known(of) {
            known.is_attended = attended;
        }
    }
}
