//! The list of topics that Redis may hold messages of: by it patterns and lists find those that no node has open.
//!
//! One sorted set, `<prefix>:topics`: each topic, and until when something of it may be there, in milliseconds of Unix time. A topic is entered
//! before anything is appended to it. One that is gone stands there until its time is over: whoever reads looks whether the log is there.

use std::future::Future;
use std::time::Duration;

use ::redis::{Cmd, Value, cmd};
use arqonbus_protocol::{Pattern, Topic};

use super::super::{Link, LinkError};
use super::engine::join_all;
use super::script::{Look, keep_ms, stream_key};

/// Milliseconds between two entries of a topic that stays open.
pub(super) const ENTER_AGAIN_MS: u64 = 3_600_000;
/// Milliseconds by which an entry outlives the log: the next entry may be late, and clocks of nodes differ.
const SLACK_MS: u64 = 86_400_000;
/// Topics in one command, or asked about at once.
pub(super) const AT_ONCE: usize = 256;
/// Topics that one step of a search looks at, about.
const SCAN_COUNT: usize = 1_000;
/// What a search may take for one answer.
const PATIENCE: Duration = Duration::from_millis(2_000);

fn key(prefix: &str) -> String {
    format!("{prefix}:topics")
}

/// Enters topics; those whose messages are not kept are left out.
pub(super) fn enter<'a>(prefix: &'a str, looks: &'a [Look], now_ms: u64) -> impl Iterator<Item = Cmd> + 'a {
    let held: Vec<&Look> = looks.iter().filter(|look| look.settings.messages_max > 0).collect();
    let chunks: Vec<Vec<&Look>> = held.chunks(AT_ONCE).map(<[_]>::to_vec).collect();
    chunks.into_iter().map(move |looks| {
        let mut command = cmd("ZADD");
        command.arg(key(prefix)).arg("GT");
        for look in looks {
            command.arg(now_ms + keep_ms(&look.settings) + SLACK_MS).arg(look.topic.to_string());
        }
        command
    })
}

/// Takes out whose time is over.
pub(super) fn expire(prefix: &str, now_ms: u64) -> Cmd {
    let mut command = cmd("ZREMRANGEBYSCORE");
    command.arg(key(prefix)).arg("-inf").arg(now_ms);
    command
}

/// The topics that match and that Redis holds messages of.
pub(crate) async fn search(link: &Link, prefix: &str, pattern: &Pattern) -> Result<Vec<Topic>, LinkError> {
    let mut found = Vec::new();
    // A pattern is a glob, but for the names of the server's own.
    scan(link, prefix, &pattern.to_string(), |topic| found.extend(Some(topic).filter(|topic| pattern.matches(topic)))).await?;
    found.sort_unstable();
    found.dedup();
    only_held(link, prefix, found).await
}

/// Looks at all topics that stand there and match; some may be seen twice.
pub(super) async fn scan(link: &Link, prefix: &str, glob: &str, mut seen: impl FnMut(Topic)) -> Result<(), LinkError> {
    let mut cursor = b"0".to_vec();
    loop {
        let mut step = cmd("ZSCAN");
        step.arg(key(prefix)).arg(&cursor).arg("MATCH").arg(glob).arg("COUNT").arg(SCAN_COUNT);
        let answer = link.query_within(&step, PATIENCE).await?;
        let Some((next, topics)) = read_step(answer) else {
            return Err(LinkError::Unknown("Redis answers something else to ZSCAN".to_owned()));
        };
        topics.into_iter().for_each(&mut seen);
        if next == b"0" {
            return Ok(());
        }
        cursor = next;
    }
}

fn read_step(answer: Value) -> Option<(Vec<u8>, Vec<Topic>)> {
    let Value::Array(parts) = answer else { return None };
    let [Value::BulkString(cursor), Value::Array(pairs)] = <[Value; 2]>::try_from(parts).ok()? else { return None };
    let text = |value: &Value| if let Value::BulkString(bytes) = value { std::str::from_utf8(bytes).ok()?.parse().ok() } else { None };
    // A name that this version does not take cannot be opened either.
    Some((cursor, pairs.iter().step_by(2).filter_map(text).collect()))
}

async fn only_held(link: &Link, prefix: &str, topics: Vec<Topic>) -> Result<Vec<Topic>, LinkError> {
    let mut held = Vec::new();
    for topics in topics.chunks(AT_ONCE) {
        let answers = join_all(topics.iter().map(|topic| holds(link, prefix, topic)).collect()).await;
        for (topic, answer) in topics.iter().zip(answers) {
            if answer? {
                held.push(*topic);
            }
        }
    }
    Ok(held)
}

/// Whether Redis holds messages of a topic.
pub(crate) fn holds(link: &Link, prefix: &str, topic: &Topic) -> impl Future<Output = Result<bool, LinkError>> {
    let mut exists = cmd("EXISTS");
    exists.arg(stream_key(prefix, topic));
    async move { Ok(link.query(&exists).await? != Value::Int(0)) }
}
