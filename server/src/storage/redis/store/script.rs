//! The functions that change and read logs within Redis: how they are asked, and what they answer.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use ::redis::{Arg, Cmd, Value, cmd};
use arqonbus_protocol::{ClientId, Direction, Epoch, Position, Topic};
use bytes::Bytes;
use sha1::{Digest, Sha1};

use super::packed::{pack, unpack};
use crate::storage::{Bound, Entry, Fingerprint, LogSettings, LogState, ReadRange};

/// Milliseconds for which a log is kept after the last sign of interest, beyond what it holds: positions of it are understood until then.
const GRACE_MS: u64 = 86_400_000;
/// The most that Lua's numbers, and Redis' expiries, are given.
pub(super) const NUMBER_MAX: u64 = 1 << 50;

/// The functions of a bus within Redis: one library, named after its text, so that nodes of two versions do not get in each other's way.
///
/// A function costs Redis a third less than the same as a script, which makes all its parts anew at every call.
#[derive(Debug)]
pub(super) struct Library {
    text: String,
    version: String,
}

/// One function of the library.
#[derive(Debug, Clone, Copy)]
pub(super) enum Function {
    Append,
    Heads,
    Read,
    Delete,
    Groups,
    Mark,
    Vouch,
}

impl Library {
    pub(super) fn new() -> Self {
        let parts = [
            include_str!("scripts/log.lua"),
            include_str!("scripts/vouch.lua"),
            include_str!("scripts/append.lua"),
            include_str!("scripts/heads.lua"),
            include_str!("scripts/read.lua"),
            include_str!("scripts/delete.lua"),
            include_str!("scripts/groups.lua"),
        ];
        let text = parts.join("\n");
        let mut version = String::new();
        for byte in &Sha1::digest(text.as_bytes())[..6] {
            // A string takes everything.
            let _ = write!(version, "{byte:02x}");
        }
        let text = format!("#!lua name=arqonbus_{version}\n{}", text.replace("VERSION", &version));
        Self { text, version }
    }

    /// Makes the functions known to Redis, on every primary of a cluster.
    pub(super) fn load(&self) -> Cmd {
        let mut command = cmd("FUNCTION");
        command.arg("LOAD").arg("REPLACE").arg(&self.text);
        command
    }

    /// Marks what the functions remember.
    pub(super) fn mark(&self, mark: &str) -> Cmd {
        let mut command = self.call(Function::Mark, &[]);
        command.arg(mark);
        command
    }

    /// Says which incarnation the server is, unless what was marked is gone.
    pub(super) fn vouch(&self, mark: &str, token: &str) -> Cmd {
        let mut command = self.call(Function::Vouch, &[]);
        command.arg(mark).arg(token);
        command
    }

    pub(super) fn call(&self, function: Function, keys: &[Vec<u8>]) -> Cmd {
        let name = match function {
            Function::Append => "append",
            Function::Heads => "heads",
            Function::Read => "read",
            Function::Delete => "delete",
            Function::Groups => "groups",
            Function::Mark => "mark",
            Function::Vouch => "vouch",
        };
        let mut command = cmd("FCALL");
        command.arg(format!("arqonbus_{name}_{}", self.version)).arg(keys.len());
        for key in keys {
            command.arg(key);
        }
        command
    }
}

/// The first key that a function is called with.
pub(super) fn first_key(call: &Cmd) -> Vec<u8> {
    // FCALL, its name, how many keys.
    match call.args_iter().nth(3) {
        Some(Arg::Simple(key)) => key.to_vec(),
        _ => Vec::new(),
    }
}

/// The key of a topic's stream; it is there where the topic holds messages.
pub(super) fn stream_key(prefix: &str, topic: &Topic) -> String {
    format!("{{{prefix}:room:{}:channel:{}}}", topic.room, topic.channel)
}

/// The key of what a topic's log keeps of itself.
pub(super) fn meta_key(prefix: &str, topic: &Topic) -> String {
    format!("{}:meta", stream_key(prefix, topic))
}

/// What all questions of one node have in common.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) prefix: String,
    pub(super) node: String,
    /// The incarnation that functions are to believe in, in tests; else empty.
    pub(super) token: String,
    /// The clock that scripts go by, in tests.
    pub(super) now: Option<Arc<AtomicU64>>,
    /// Names the next epoch that may begin.
    pub(super) epochs: Arc<AtomicU64>,
    pub(super) is_cluster: bool,
}

impl Caller {
    /// The keys of a topic's log: stream, meta, ids:0, ids:1.
    pub(super) fn keys(&self, topic: &Topic) -> Vec<Vec<u8>> {
        let tag = self.tag(topic);
        ["", ":meta", ":ids:0", ":ids:1"].iter().map(|end| format!("{tag}{end}").into_bytes()).collect()
    }

    /// The channel of a topic's notices.
    pub(super) fn feed(&self, topic: &Topic) -> Vec<u8> {
        format!("{}:feed", self.tag(topic)).into_bytes()
    }

    pub(super) fn tag(&self, topic: &Topic) -> String {
        stream_key(&self.prefix, topic)
    }

    /// The topic whose notices come on `channel`.
    pub(super) fn topic_of(&self, channel: &[u8]) -> Option<Topic> {
        let text = std::str::from_utf8(channel).ok()?;
        let names = text.strip_prefix('{')?.strip_prefix(&self.prefix)?.strip_prefix(":room:")?.strip_suffix("}:feed")?;
        let (room, channel) = names.split_once(":channel:")?;
        Some(Topic { room: room.parse().ok()?, channel: channel.parse().ok()? })
    }

    /// The time that scripts go by; empty for Redis' own.
    pub(super) fn now(&self) -> String {
        self.now.as_ref().map(|now| now.load(Relaxed).to_string()).unwrap_or_default()
    }

    /// Names an epoch that begins because Redis has lost something, or nothing was there: an even one; the odd one behind it is for a deletion. Another one for
    /// each try: what was begun by the one before may be lost by now, and its positions must not be given twice.
    pub(super) fn next_epoch(&self) -> u64 {
        self.epochs.fetch_add(2, Relaxed)
    }

    pub(super) fn publish(&self) -> &'static str {
        if self.is_cluster { "SPUBLISH" } else { "PUBLISH" }
    }

    /// `waits` where replicas are waited for.
    pub(super) fn append(&self, library: &Library, parts: &[&Part], waits: bool) -> Cmd {
        let keys = parts.iter().flat_map(|part| self.keys(&part.topic).into_iter().chain([self.feed(&part.topic)]));
        let mut command = library.call(Function::Append, &keys.collect::<Vec<_>>());
        let count = if self.is_cluster { "SHARDNUMSUB" } else { "NUMSUB" };
        command.arg(&self.token).arg(self.now()).arg(&self.node).arg(self.publish()).arg(count).arg(u8::from(waits));
        for part in parts {
            let latest = part.items.iter().map(|item| item.entry.timestamp.unix_ms()).max().unwrap_or_default();
            command.arg(self.next_epoch()).arg(settings(&part.settings)).arg(format!("{latest:013}")).arg(u8::from(part.follows));
            command.arg(part.items.len()).arg(pack(part.items.iter().map(|item| &item.entry)));
            let fingerprints = || part.items.iter().map(|item| item.fingerprint);
            command.arg(fingerprints().flat_map(|fingerprint| fingerprint.key.to_be_bytes()).collect::<Vec<u8>>());
            command.arg(fingerprints().flat_map(|fingerprint| fingerprint.content.to_be_bytes()).collect::<Vec<u8>>());
        }
        command
    }

    pub(super) fn heads(&self, library: &Library, looks: &[Look]) -> Cmd {
        let keys = looks.iter().flat_map(|look| self.keys(&look.topic));
        let mut command = library.call(Function::Heads, &keys.collect::<Vec<_>>());
        command.arg(&self.token).arg(self.now());
        for look in looks {
            command.arg(self.next_epoch()).arg(settings(&look.settings));
            command.arg(look.messages_before.map(|messages| messages.min(NUMBER_MAX).to_string()).unwrap_or_default());
        }
        command
    }

    pub(super) fn read(&self, library: &Library, look: &Look, range: &ReadRange) -> Cmd {
        let bound = |bound: Option<Bound>| match bound {
            None => String::new(),
            Some(Bound::Seq(seq)) => format!("s{}", seq.min(NUMBER_MAX)),
            Some(Bound::Time(timestamp)) => format!("t{:013}", timestamp.unix_ms()),
        };
        let mut command = library.call(Function::Read, &self.keys(&look.topic));
        command.arg(&self.token).arg(self.now()).arg(self.next_epoch()).arg(settings(&look.settings)).arg(bound(range.since)).arg(bound(range.until));
        command.arg(range.limit.min(NUMBER_MAX as usize)).arg(range.bytes_max.clamp(1, NUMBER_MAX as usize));
        command.arg(u8::from(range.direction == Direction::Backward));
        command
    }

    pub(super) fn delete(&self, library: &Library, topic: &Topic, by: ClientId) -> Cmd {
        let mut keys = self.keys(topic);
        keys.extend([self.feed(topic), self.groups_key(topic)]);
        let mut command = library.call(Function::Delete, &keys);
        command.arg(&self.node).arg(self.publish()).arg(by.to_string()).arg(&self.token).arg(self.next_epoch() + 1);
        command
    }
}

/// Milliseconds for which a log's keys live after the last sign of interest.
pub(super) fn keep_ms(settings: &LogSettings) -> u64 {
    settings.age_ms_max.max(settings.dedup_ms).saturating_add(GRACE_MS).min(NUMBER_MAX)
}

pub(super) fn settings(settings: &LogSettings) -> String {
    let keep_ms = keep_ms(settings);
    let LogSettings { messages_max, age_ms_max, bytes_max, dedup_ms, dedup_entries_max } = settings;
    let number = |number: u64| number.min(NUMBER_MAX);
    let ids = number(*dedup_entries_max as u64);
    // Divided by: not 0.
    let (age_ms, bytes) = (number(*age_ms_max).max(1), number(*bytes_max).max(1));
    let messages = if *age_ms_max == 0 || *bytes_max == 0 { 0 } else { number(*messages_max) };
    format!("{messages},{age_ms},{bytes},{},{ids},{keep_ms}", number(*dedup_ms))
}

/// Whether an epoch began because a client deleted what was before it, and not because Redis lost it.
pub(super) fn began_by_deletion(epoch: u64) -> bool {
    !epoch.is_multiple_of(2)
}

/// One message to be appended.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) entry: Entry,
    pub(super) fingerprint: Fingerprint,
}

/// What is appended to one log together. No key comes twice in it.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) topic: Topic,
    pub(super) settings: LogSettings,
    /// Whether this node is sure to follow the log's feed.
    pub(super) follows: bool,
    pub(super) items: Vec<Item>,
}

/// A look at one log.
#[derive(Debug, Clone)]
pub(super) struct Look {
    pub(super) topic: Topic,
    pub(super) settings: LogSettings,
    /// The bound on messages before `settings` took its place.
    pub(super) messages_before: Option<u64>,
}

/// What became of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Stored(u64),
    Duplicate(u64),
    Conflict,
}

/// What became of one [`Part`].
#[derive(Debug)]
pub(super) struct Written {
    pub(super) epoch: u64,
    /// The seq after which the epoch began.
    pub(super) start: u64,
    /// In the order of the items.
    pub(super) outcomes: Vec<Outcome>,
}

/// The ends of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) epoch: u64,
    pub(super) start: u64,
    pub(super) head: u64,
    /// The first seq held; 0 where nothing is.
    pub(super) first: u64,
    pub(super) bytes: u64,
}

impl Ends {
    pub(super) fn state(&self) -> LogState {
        let first_seq = (self.first > 0).then_some(self.first);
        let messages = first_seq.map_or(0, |first| self.head + 1 - first);
        LogState { head: Position { epoch: Epoch::from_number(self.epoch), seq: self.head }, first_seq, messages, bytes: self.bytes }
    }
}

/// What a range holds, or its beginning.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) ends: Ends,
    /// The first and the last seq of the range.
    pub(super) from: u64,
    pub(super) to: u64,
    /// In the asked direction; all of them within the range.
    pub(super) entries: Vec<(u64, Entry)>,
}

/// Reads what `append` gives for parts of so many items.
pub(super) fn written(answer: Value, counts: &[usize]) -> Option<Vec<Written>> {
    let Value::Array(parts) = answer else { return None };
    if parts.len() != counts.len() {
        return None;
    }
    parts.into_iter().zip(counts).map(|(part, count)| written_part(part, *count)).collect()
}

fn written_part(part: Value, count: usize) -> Option<Written> {
    let Value::Array(values) = part else { return None };
    let mut values = values.into_iter();
    let (epoch, start, first) = (number(values.next()?)?, number(values.next()?)?, number(values.next()?)?);
    let outcomes: Vec<Outcome> = if values.len() == 0 {
        (first..first + count as u64).map(Outcome::Stored).collect()
    } else {
        values.map(|value| outcome(&value)).collect::<Option<_>>()?
    };
    (outcomes.len() == count).then_some(Written { epoch, start, outcomes })
}

fn outcome(value: &Value) -> Option<Outcome> {
    let Value::Int(seq) = value else { return None };
    Some(match seq {
        0 => Outcome::Conflict,
        1.. => Outcome::Stored(seq.unsigned_abs()),
        ..0 => Outcome::Duplicate(seq.unsigned_abs()),
    })
}

/// Reads what `heads` gives.
pub(super) fn heads(answer: Value) -> Option<Vec<Ends>> {
    let Value::Array(states) = answer else { return None };
    states.into_iter().map(ends).collect()
}

pub(super) fn ends(state: Value) -> Option<Ends> {
    let Value::Array(values) = state else { return None };
    let numbers: Vec<u64> = values.into_iter().map(number).collect::<Option<_>>()?;
    let [epoch, start, head, first, bytes] = numbers[..] else { return None };
    Some(Ends { epoch, start, head, first, bytes })
}

/// Reads what `read` gives.
pub(super) fn found(answer: Value, direction: Direction) -> Option<Found> {
    let Value::Array(values) = answer else { return None };
    let [state, from, to, Value::Array(parts)] = <[Value; 4]>::try_from(values).ok()? else { return None };
    let (ends, from, to) = (ends(state)?, number(from)?, number(to)?);
    let mut entries = Vec::new();
    let mut parts = parts.into_iter();
    while let Some(last) = parts.next() {
        let (last, _header, blob) = (number(last)?, parts.next()?, bulk(parts.next()?)?);
        let packed = unpack(&blob)?;
        let first = (last + 1).checked_sub(packed.len() as u64)?;
        let numbered = (first..).zip(packed).filter(|(seq, _)| (from..=to).contains(seq));
        match direction {
            Direction::Forward => entries.extend(numbered),
            Direction::Backward => entries.extend(numbered.collect::<Vec<_>>().into_iter().rev()),
        }
    }
    Some(Found { ends, from, to, entries })
}

pub(super) fn bulk(value: Value) -> Option<Bytes> {
    if let Value::BulkString(bytes) = value { Some(bytes.into()) } else { None }
}

pub(super) fn number(value: Value) -> Option<u64> {
    if let Value::Int(number) = value {
        return u64::try_from(number).ok();
    }
    std::str::from_utf8(&bulk(value)?).ok()?.parse().ok()
}
