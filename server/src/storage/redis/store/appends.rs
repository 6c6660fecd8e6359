//! How one shard's batches are appended, and replicas waited for.
//!
//! `WAIT` asks how many replicas have what was written by the very connection that it comes by. So it leaves with the calls, in one piece, to the
//! one server that they are for; and by a connection of the shard's own, where nobody waits who need not.

use std::time::Duration;

use ::redis::{Pipeline, Value, cmd};

use super::desk::Failure;
use super::engine::{Engine, PATIENCE_MS, join_all};
use super::script::{Part, Written, written};
use super::slots::Slots;
use super::verdict::unreadable;
use super::{Link, LinkError, OpenError};
use crate::clock::Moment;
use crate::config;

/// Milliseconds for an answer beyond those for which replicas are waited for.
const WAIT_ANSWER_MS: u64 = 300;

/// Milliseconds for the answer where which slots are. Without one each topic goes alone.
const SLOTS_ANSWER_MS: u64 = 100;

/// The way of one shard's batches to Redis.
pub(super) struct Writer {
    pub(super) link: Link,
    slots: Slots,
}

/// How many replicas must have a batch before it is acknowledged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Replicas {
    pub(super) count: u32,
    wait_ms: u64,
}

/// Why a batch is not acknowledged.
enum Refusal {
    /// It may be that one of its topics is at fault.
    Call(Failure),
    /// Too few replicas have it.
    Replicas(Failure),
}

impl Writer {
    /// Takes the connection that all share, unless replicas are waited for. `salt` is random.
    pub(super) fn open(config: &config::Redis, shared: &Link, salt: u64) -> Result<Self, OpenError> {
        let link = if config.wait_replicas == 0 {
            shared.clone()
        } else {
            // What is asked of it besides waits as long.
            let response_ms = config.response_ms.max(config.wait_ms + WAIT_ANSWER_MS);
            Link::open(&config::Redis { response_ms, ..config.clone() }, salt)?
        };
        Ok(Self { link, slots: Slots::default() })
    }
}

impl Replicas {
    pub(super) fn of(config: &config::Redis) -> Self {
        Self { count: config.wait_replicas, wait_ms: config.wait_ms }
    }
}

impl Engine {
    /// Appends what each part has; gives what became of each.
    pub(super) async fn append(&self, writer: &Writer, parts: Vec<Part>) -> Vec<Result<Written, Failure>> {
        let servers = self.by_server(writer, &parts).await;
        let calls = servers.iter().map(|which| self.append_to_server(writer, which.iter().map(|at| &parts[*at]).collect()));
        let answers = join_all(calls.collect()).await;
        let mut numbered: Vec<_> = servers.into_iter().flatten().zip(answers.into_iter().flatten()).collect();
        numbered.iter().filter_map(|(_, answer)| answer.as_ref().err()).for_each(|failure| self.heed(failure));
        numbered.sort_unstable_by_key(|(at, _)| *at);
        numbered.into_iter().map(|(_, answer)| answer).collect()
    }

    /// Which parts go together. In a cluster a call is about one slot, so without replicas to wait for each goes alone.
    async fn by_server(&self, writer: &Writer, parts: &[Part]) -> Vec<Vec<usize>> {
        if !self.caller.is_cluster {
            return vec![(0..parts.len()).collect()];
        }
        if self.replicas.count == 0 || parts.len() < 2 {
            return (0..parts.len()).map(|at| vec![at]).collect();
        }
        let now = self.clock.now();
        if writer.slots.are_old(now) {
            let time = Duration::from_millis(SLOTS_ANSWER_MS);
            writer.slots.take(writer.link.query_within(cmd("CLUSTER").arg("SLOTS"), time).await.ok(), now);
        }
        let tags: Vec<String> = parts.iter().map(|part| self.caller.tag(&part.topic)).collect();
        writer.slots.together(tags.iter().map(String::as_bytes))
    }

    /// Appends what is for one server, as far as is known.
    async fn append_to_server(&self, writer: &Writer, parts: Vec<&Part>) -> Vec<Result<Written, Failure>> {
        let end = self.clock.now().plus_ms(PATIENCE_MS);
        let failure = match self.append_together(writer, &parts, end).await {
            Ok(answers) => return answers.into_iter().map(Ok).collect(),
            Err(Refusal::Call(failure)) if parts.len() > 1 && self.may_be_split(&failure, end) => {
                writer.slots.take(None, self.clock.now());
                // What was done before is recognised by its ids.
                let alone = parts.iter().map(|part| self.append_together(writer, std::slice::from_ref(part), end));
                let answers = join_all(alone.collect()).await;
                let only = |answer: Vec<Written>| answer.into_iter().next().ok_or_else(unreadable);
                return answers.into_iter().map(|answer| answer.map_err(Refusal::failure).and_then(only)).collect();
            }
            Err(refusal) => refusal.failure(),
        };
        parts.iter().map(|_| Err(failure.clone())).collect()
    }

    /// Whether one topic of several may be at fault. In a cluster it may be that of another server by now.
    fn may_be_split(&self, failure: &Failure, end: Moment) -> bool {
        if self.caller.is_cluster { self.clock.now() < end } else { !failure.outage }
    }

    async fn append_together(&self, writer: &Writer, parts: &[&Part], end: Moment) -> Result<Vec<Written>, Refusal> {
        let in_call = if self.caller.is_cluster { 1 } else { parts.len().max(1) };
        let calls: Vec<&[&Part]> = parts.chunks(in_call).collect();
        // Of several calls one may have been carried out and another not: that is found out by asking for each alone.
        let is_one = calls.len() == 1;
        let may_repeat = if is_one { |_: &LinkError| true } else { |_: &LinkError| false };
        let answers = self.insist(&writer.link, || self.key_of(&calls), end, |left| self.write(writer, &calls, left), may_repeat).await;
        let mut answers = answers.map_err(|failure| Refusal::Call(Failure { sure: failure.sure && is_one, ..failure }))?;
        let replicas = if self.waits() { answers.pop() } else { None };
        if answers.len() != calls.len() {
            return Err(Refusal::Call(unreadable()));
        }
        let counts = calls.iter().map(|parts| parts.iter().map(|part| part.items.len()).collect::<Vec<_>>());
        let all: Option<Vec<Vec<Written>>> = answers.into_iter().zip(counts).map(|(answer, counts)| written(answer, &counts)).collect();
        let all = all.ok_or_else(|| Refusal::Call(unreadable()))?;
        match replicas {
            Some(Value::Int(have)) if have >= i64::from(self.replicas.count) => {}
            Some(answer) => {
                let why = format!("not enough replicas have it: {answer:?}");
                return Err(Refusal::Replicas(Failure { sure: false, outage: false, why }));
            }
            None => {}
        }
        Ok(all.into_iter().flatten().collect())
    }

    /// One of the keys that calls are about.
    fn key_of(&self, calls: &[&[&Part]]) -> Vec<u8> {
        calls.iter().copied().flatten().next().map(|part| self.caller.tag(&part.topic)).unwrap_or_default().into_bytes()
    }

    /// Sends calls, and what waits for replicas behind them; gives the answer to each.
    async fn write(&self, writer: &Writer, calls: &[&[&Part]], left: Duration) -> Result<Vec<Value>, LinkError> {
        let waits = self.waits();
        if let (false, [parts]) = (waits, calls) {
            let call = self.caller.append(&self.library, parts, waits);
            return writer.link.query_within(&call, left).await.map(|answer| vec![answer]);
        }
        let mut piece = Pipeline::new();
        for parts in calls {
            piece.add_command(self.caller.append(&self.library, parts, waits));
        }
        if waits {
            piece.cmd("WAIT").arg(self.replicas.count).arg(self.replicas.wait_ms);
        }
        let time = left.max(Duration::from_millis(self.replicas.wait_ms + WAIT_ANSWER_MS));
        let answers = writer.link.query_together(&piece, &self.key_of(calls), time).await?;
        // That of WAIT is looked at later: the messages are there.
        let failed = answers.iter().take(calls.len()).find_map(|answer| if let Value::ServerError(error) = answer { Some(error) } else { None });
        match failed {
            Some(error) => Err(LinkError::from(::redis::RedisError::from(error.clone()))),
            None => Ok(answers),
        }
    }
}

impl Refusal {
    fn failure(self) -> Failure {
        match self {
            Self::Call(failure) | Self::Replicas(failure) => failure,
        }
    }
}
