//! The function that answers questions about the work groups of one log: how it is asked, and what it answers.

use ::redis::{Cmd, Value};
use arqonbus_protocol::{Epoch, Gap, GapReason, Group, Position, Topic};
use bytes::Bytes;

use super::packed::unpack;
use super::script::{Caller, Ends, Function, Library, NUMBER_MAX, bulk, ends, number, settings};
use crate::clock::Moment;
use crate::storage::{DeadJob, Failed, Forgetting, GroupBegin, GroupSettings, Holder, Job, LogSettings, Outcome, Want, Whose};

/// What the holder that leads to the dead letters is called, on every node: the letter that one has stored is stored for all.
const DEAD: &str = "dead";

/// Jobs that one question takes or gives at most, as `groups.lua` says.
const JOBS_AT_ONCE: usize = 1_000;

/// One question about a group of a log.
#[derive(Debug, Clone)]
pub(super) enum Question {
    Open(GroupBegin),
    Claim(Holder, Want),
    Settle { holder: Holder, epoch: Epoch, seqs: Vec<u64>, outcome: Outcome },
    Free(Whose),
    Forget,
}

/// A group that is asked about, as this node knows it.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) settings: GroupSettings,
    /// Its cursor.
    pub(super) at: Position,
    /// Whether anybody here is a member.
    pub(super) is_attended: bool,
    /// Whether an answer about it was lost, and a gap with it.
    pub(super) is_in_doubt: bool,
    /// Since when it is not there, though nobody has said that it was deleted.
    pub(super) gone_since: Option<Moment>,
    /// Whether that is long enough for it to be begun anew.
    pub(super) begins_anew: bool,
}

/// Questions about the groups of one log, asked together.
#[derive(Debug)]
pub(super) struct GroupPart {
    pub(super) topic: Topic,
    pub(super) settings: LogSettings,
    /// Whether this node is sure to follow the log's feed.
    pub(super) follows: bool,
    pub(super) groups: Vec<(Group, Known)>,
    /// Each with the index of its group.
    pub(super) questions: Vec<(usize, Question)>,
}

/// How a group stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    pub(super) cursor: Position,
    pub(super) pending: u64,
    /// Milliseconds until the next is due.
    pub(super) due_ms: Option<u64>,
}

/// The answer to one question.
#[derive(Debug)]
pub(super) enum Reply {
    Opened {
        created: bool,
        reason: Option<GapReason>,
    },
    /// There is no such group.
    Gone,
    Claimed {
        more: bool,
        gap: Option<Gap>,
        jobs: Vec<Job>,
        dead: Vec<DeadJob>,
    },
    Settled {
        not_held: Vec<u64>,
    },
    /// Only what holders of this node held is named.
    Freed {
        /// Whether the holder may have more.
        more: bool,
        held: Vec<(Holder, u64)>,
        others: u64,
    },
    Forgotten(Forgetting),
}

/// The answers to one [`GroupPart`].
#[derive(Debug)]
pub(super) struct Answers {
    pub(super) ends: Ends,
    /// In the order of the groups.
    pub(super) standings: Vec<Standing>,
    /// In the order of the questions.
    pub(super) replies: Vec<Reply>,
}

impl GroupPart {
    /// Asks once more for holders that held more than one answer takes; nothing where none does.
    pub(super) fn rest(&self, answers: &Answers) -> Option<Self> {
        let asked = self.questions.iter().zip(&answers.replies);
        let left = asked.filter(|(_, reply)| matches!(reply, Reply::Freed { more: true, .. }));
        let questions: Vec<_> = left.map(|(asked, _)| asked.clone()).collect();
        let (topic, settings, groups) = (self.topic, self.settings.clone(), self.groups.clone());
        (!questions.is_empty()).then_some(Self { topic, settings, follows: self.follows, groups, questions })
    }
}

impl Question {
    /// The most jobs that it may take, give or settle: what it costs the server.
    pub(super) fn jobs_max(&self) -> usize {
        match self {
            Self::Open(_) | Self::Forget => 1,
            Self::Claim(_, want) => want.jobs.clamp(1, JOBS_AT_ONCE),
            Self::Settle { seqs, .. } => seqs.len(),
            Self::Free(_) => JOBS_AT_ONCE,
        }
    }
}

impl Answers {
    /// Adds what [`GroupPart::rest`] was answered.
    pub(super) fn add(&mut self, rest: Self) {
        self.standings = rest.standings;
        let mut more_of_it = rest.replies.into_iter();
        for reply in &mut self.replies {
            let Reply::Freed { more: more @ true, held, others } = reply else { continue };
            let Some(Reply::Freed { more: still, held: then, others: elsewhere }) = more_of_it.next() else { return };
            *more = still;
            held.extend(then);
            held.sort_unstable_by_key(|(_, seq)| *seq);
            *others += elsewhere;
        }
    }
}

impl Caller {
    /// `batch` names this call where it may be made twice.
    pub(super) fn groups(&self, library: &Library, part: &GroupPart, batch: &str) -> Cmd {
        let mut keys = self.keys(&part.topic);
        keys.extend([self.feed(&part.topic), self.groups_key(&part.topic)]);
        for (group, _) in &part.groups {
            let key = format!("{}:group:{group}", self.tag(&part.topic));
            keys.extend(["", ":jobs", ":order", ":held"].iter().map(|end| format!("{key}{end}").into_bytes()));
        }
        let mut command = library.call(Function::Groups, &keys);
        let count = if self.is_cluster { "SHARDNUMSUB" } else { "NUMSUB" };
        command.arg(&self.token).arg(self.now()).arg(&self.node).arg(self.publish()).arg(count).arg(u8::from(part.follows)).arg(batch);
        command.arg(self.next_epoch()).arg(settings(&part.settings)).arg(part.groups.len());
        for (group, known) in &part.groups {
            command.arg(group.as_str()).arg(group_settings(&known.settings)).arg(epoch(known.at.epoch)).arg(known.at.seq);
            command.arg(u8::from(known.is_attended)).arg(u8::from(known.is_in_doubt));
            command.arg(u8::from(known.begins_anew));
        }
        command.arg(part.questions.len());
        for (group, question) in &part.questions {
            command.arg(group + 1);
            self.ask(&mut command, question);
        }
        command
    }

    /// The key of the names of a topic's groups.
    pub(super) fn groups_key(&self, topic: &Topic) -> Vec<u8> {
        format!("{}:groups", self.tag(topic)).into_bytes()
    }

    fn ask(&self, command: &mut Cmd, question: &Question) {
        match question {
            Question::Open(GroupBegin::Since(position)) => command.arg("o").arg("s").arg(epoch(position.epoch)).arg(position.seq),
            Question::Open(GroupBegin::Replay(messages)) => command.arg("o").arg("r").arg(messages).arg(""),
            Question::Open(GroupBegin::Head) => command.arg("o").arg("h").arg("").arg(""),
            Question::Claim(holder, want) => {
                command.arg("c").arg(self.holder(*holder)).arg(want.jobs.min(NUMBER_MAX as usize)).arg(want.bytes.min(NUMBER_MAX))
            }
            Question::Settle { holder, epoch: of, seqs, outcome } => {
                let (kind, delay_ms, reason) = match outcome {
                    Outcome::Done => ("d", 0, &None),
                    Outcome::Again { delay_ms, reason } => ("a", *delay_ms, reason),
                    Outcome::Dead { reason } => ("x", 0, reason),
                };
                let reason = reason.as_ref().map_or("n".to_owned(), |reason| format!("r{reason}"));
                let seqs: Vec<String> = seqs.iter().map(ToString::to_string).collect();
                command.arg("s").arg(self.holder(*holder)).arg(epoch(*of)).arg(kind).arg(delay_ms.min(NUMBER_MAX)).arg(reason).arg(seqs.join(","))
            }
            Question::Free(Whose::Of(holder)) => command.arg("f").arg(self.holder(*holder)),
            Question::Free(Whose::Due) => command.arg("f").arg(""),
            Question::Forget => command.arg("x"),
        };
    }

    /// A holder as all nodes know it.
    fn holder(&self, holder: Holder) -> String {
        if holder == Holder::DEAD_LETTERS { DEAD.to_owned() } else { format!("{}/{:x}", self.node, holder.0) }
    }

    /// The holder by that name, where it is one of this node.
    fn own_holder(&self, name: &str) -> Option<Holder> {
        let (node, holder) = name.split_once('/')?;
        (node == self.node).then(|| u128::from_str_radix(holder, 16).ok().map(Holder)).flatten()
    }

    /// Reads what `groups` gives for a part.
    pub(super) fn answers(&self, answer: Value, part: &GroupPart) -> Option<Answers> {
        let Value::Array(values) = answer else { return None };
        let mut values = values.into_iter();
        let (ends, Value::Array(standings)) = (ends(values.next()?)?, values.next()?) else { return None };
        let standings: Vec<Standing> = standings.into_iter().map(standing).collect::<Option<_>>()?;
        if standings.len() != part.groups.len() || values.len() != part.questions.len() {
            return None;
        }
        let replies = values.zip(&part.questions).map(|(value, (_, question))| self.reply(value, question, &ends)).collect::<Option<_>>()?;
        Some(Answers { ends, standings, replies })
    }

    fn reply(&self, value: Value, question: &Question, ends: &Ends) -> Option<Reply> {
        let Value::Array(values) = value else { return None };
        let mut values = values.into_iter();
        Some(match question {
            Question::Open(_) => Reply::Opened { created: number(values.next()?)? == 1, reason: reason(&bulk(values.next()?)?) },
            Question::Claim(..) => {
                let (more, told) = (number(values.next()?)? == 1, bulk(values.next()?)?);
                if &told[..] == b"gone" {
                    return Some(Reply::Gone);
                }
                let gap = gap(&told);
                let epoch = Epoch::from_number(ends.epoch);
                let jobs = chunks(values.next()?)?.map(|[seq, delivery, body]| job(epoch, seq, delivery, body)).collect::<Option<_>>()?;
                let dead = chunks(values.next()?)?.map(|one| dead_job(epoch, one)).collect::<Option<_>>()?;
                Reply::Claimed { more, gap, jobs, dead }
            }
            Question::Settle { .. } => Reply::Settled { not_held: values.map(number).collect::<Option<_>>()? },
            Question::Free(_) => {
                let more = number(values.next()?)? == 1;
                let freed: Vec<(Bytes, u64)> =
                    chunks(Value::Array(values.collect()))?.map(|[holder, seq]| Some((bulk(holder)?, number(seq)?))).collect::<Option<_>>()?;
                let own = |(name, seq): &(Bytes, u64)| Some((self.own_holder(std::str::from_utf8(name).ok()?)?, *seq));
                let mut held: Vec<(Holder, u64)> = freed.iter().filter_map(own).collect();
                held.sort_unstable_by_key(|(_, seq)| *seq);
                Reply::Freed { more, others: (freed.len() - held.len()) as u64, held }
            }
            Question::Forget => Reply::Forgotten(match number(values.next()?)? {
                0 => Forgetting::Used,
                1 => Forgetting::Ended,
                _ => Forgetting::Gone,
            }),
        })
    }
}

fn group_settings(settings: &GroupSettings) -> String {
    let GroupSettings { ack_timeout_ms, deliveries_max, pending_max, pending_bytes_max, forget_ms } = settings;
    let number = |number: u64| number.min(NUMBER_MAX);
    let (pending, bytes) = (number(*pending_max as u64), number(*pending_bytes_max));
    format!("{},{deliveries_max},{pending},{bytes},{}", number(*ack_timeout_ms), number(*forget_ms))
}

/// An epoch as functions know it; one that no log of ours has had is 0.
fn epoch(epoch: Epoch) -> u64 {
    epoch.number().unwrap_or_default()
}

fn position(epoch: &str, seq: &str) -> Option<Position> {
    Some(Position { epoch: Epoch::from_number(epoch.parse().ok()?), seq: seq.parse().ok()? })
}

fn reason(text: &[u8]) -> Option<GapReason> {
    match text {
        b"e" => Some(GapReason::EpochChanged),
        b"a" => Some(GapReason::Ahead),
        b"t" => Some(GapReason::Trimmed),
        _ => None,
    }
}

/// Reads `<reason>,<from>,<to>`, each position as epoch and seq.
fn gap(text: &[u8]) -> Option<Gap> {
    let words: Vec<&str> = std::str::from_utf8(text).ok()?.split(',').collect();
    let [why, from_epoch, from, to_epoch, to] = words[..] else { return None };
    let (from, to) = (position(from_epoch, from)?, position(to_epoch, to)?);
    Some(Gap { reason: reason(why.as_bytes())?, from: Some(from), to, refetch_after_ms: 0 })
}

fn standing(value: Value) -> Option<Standing> {
    let Value::Array(values) = value else { return None };
    let [epoch, cursor, pending, due] = <[Value; 4]>::try_from(values).ok()?;
    let cursor = Position { epoch: Epoch::from_number(number(epoch)?), seq: number(cursor)? };
    // -1 is no number of ours: nothing is due.
    Some(Standing { cursor, pending: number(pending)?, due_ms: number(due) })
}

/// Values in their groups of so many.
fn chunks<const N: usize>(values: Value) -> Option<impl Iterator<Item = [Value; N]>> {
    let Value::Array(values) = values else { return None };
    let is_whole = values.len().is_multiple_of(N);
    let mut values = values.into_iter();
    is_whole.then(move || {
        std::iter::from_fn(move || {
            let chunk: Vec<Value> = values.by_ref().take(N).collect();
            chunk.try_into().ok()
        })
    })
}

fn job(epoch: Epoch, seq: Value, delivery: Value, body: Value) -> Option<Job> {
    let position = Position { epoch, seq: number(seq)? };
    let entry = unpack(&bulk(body)?)?.pop()?;
    Some(Job { position, delivery: u32::try_from(number(delivery)?).ok()?, body: entry.place(&position) })
}

fn dead_job(epoch: Epoch, [seq, deliveries, failed, reason, body]: [Value; 5]) -> Option<DeadJob> {
    let reason = String::from_utf8(bulk(reason)?.into()).ok()?;
    let failed = match &bulk(failed)?[..] {
        b"r" => Failed::Nacked(Some(reason.into())),
        b"n" => Failed::Nacked(None),
        b"t" => Failed::TimedOut,
        b"m" => Failed::MemberLost,
        _ => return None,
    };
    Some(DeadJob { job: job(epoch, seq, deliveries, body)?, failed })
}
