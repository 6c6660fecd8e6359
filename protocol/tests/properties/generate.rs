//! Strategies: envelopes that are right, nearly right, and not at all.

use std::fs;
use std::path::Path;
use std::str::FromStr;

use arqonbus_protocol::*;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Value};

/// Text of tokens that JSON is made of, in any order.
pub(crate) fn token_soup() -> impl Strategy<Value = String> {
    let tokens = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\"a\"",
        "\"type\"",
        "\"message\"",
        "\"command\"",
        "\"payload\"",
        "\"room\"",
        "1",
        "-",
        "0",
        "1e9",
        "1e999",
        ".5",
        "true",
        "null",
        "\\",
        "\\u",
        "\\ud800",
        "\\udc00",
        "\\u0041",
        "\"\\ud83d\\ude00\"",
        " ",
        "\n",
        "\t",
        "é",
        "\u{0}",
        "{\"a\":",
        "[[[[",
    ];
    vec(proptest::sample::select(tokens.to_vec()), 0..30).prop_map(|tokens| tokens.concat())
}

/// The names of all members of envelopes, and a few of arguments.
const NAMES: &[&str] = &[
    "type",
    "id",
    "room",
    "channel",
    "to",
    "payload",
    "headers",
    "ack",
    "request",
    "correlation_id",
    "exclude_sender",
    "command",
    "args",
    "sender",
    "user",
    "timestamp",
    "epoch",
    "seq",
    "reply_to",
    "group",
    "delivery",
    "request_id",
    "status",
    "result",
    "error",
    "event",
    "data",
    "since",
    "code",
    "later",
];

/// Values that mean something in one place or another.
const WORDS: &[&str] = &[
    "message",
    "command",
    "response",
    "event",
    "error",
    "a",
    "a:b",
    "*",
    "user:ada",
    "c_00000000",
    "ok",
    "join_channel",
    "history",
    "connect",
    "gap",
    "2026-11-22T16:49:00Z",
    "k3",
    "..",
    "_x",
];

/// An object whose members have the names of an envelope and any values.
pub(crate) fn odd_envelope() -> impl Strategy<Value = String> {
    let word = proptest::sample::select(WORDS.to_vec()).prop_map(|word| Value::String(word.to_owned()));
    let name = proptest::sample::select(NAMES.to_vec());
    let args = vec((name.clone(), prop_oneof![word.clone(), value()]), 0..6);
    let args = args.prop_map(|members| Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()));
    let any = prop_oneof![3 => word, 2 => value(), 1 => args];
    let kind = proptest::sample::select(vec!["message", "command", "response", "event", "error"]);
    (kind, vec((name, any), 0..12)).prop_map(|(kind, members)| {
        let mut object: Map<String, Value> = [("type".to_owned(), Value::String(kind.to_owned()))].into_iter().collect();
        object.extend(members.into_iter().map(|(name, value)| (name.to_owned(), value)));
        Value::Object(object).to_string()
    })
}

/// The text of a frame vector after a few changes.
pub(crate) fn changed_frame() -> impl Strategy<Value = String> {
    let texts = frame_texts();
    let other = proptest::sample::select(texts.clone());
    let change = (0..5_u8, any::<prop::sample::Index>(), any::<prop::sample::Index>(), "[\\x00-\\x7f]", other);
    (proptest::sample::select(texts), vec(change, 0..4)).prop_map(|(mut text, changes)| {
        for (how, from, to, with, other) in changes {
            text = changed(&text, how, from, to, &with, &other);
        }
        text
    })
}

fn changed(text: &str, how: u8, from: prop::sample::Index, to: prop::sample::Index, with: &str, other: &str) -> String {
    let boundary = |index: prop::sample::Index, text: &str| {
        let starts: Vec<_> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        starts[index.index(starts.len())]
    };
    let (one, two) = (boundary(from, text), boundary(to, text));
    let (start, end) = (one.min(two), one.max(two));
    match how {
        0 => format!("{}{}", &text[..start], text[start..].chars().skip(1 + end % 8).collect::<String>()),
        1 => format!("{}{with}{}", &text[..start], &text[start..]),
        2 => format!("{}{}{}", &text[..start], &text[start..end], &text[start..]),
        3 => format!("{}{}", &text[..start], &other[boundary(to, other)..]),
        _ => text.replacen(with, "\"", 1),
    }
}

fn frame_texts() -> Vec<String> {
    let frames = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/frames");
    let mut texts = Vec::new();
    for file in fs::read_dir(frames).expect("there are frames") {
        let content = fs::read_to_string(file.expect("a directory can be listed").path()).expect("a vector file can be read");
        let cases: Vec<Value> = serde_json::from_str(&content).expect("a vector file is an array");
        texts.extend(cases.iter().filter_map(|case| case["text"].as_str()).filter(|text| text.len() < 2_000).map(str::to_owned));
    }
    assert!(texts.len() >= 60, "{}", texts.len());
    texts.sort();
    texts
}

/// Any JSON value, a few levels deep.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        proptest::num::f64::NORMAL.prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            vec((".{0,6}", inner), 0..5).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The owner of the texts of a message.
#[derive(Debug, Clone)]
pub(crate) struct OwnedPublish {
    id: Option<MessageId>,
    target: Target,
    payload: String,
    headers: Option<String>,
    correlation_id: Option<MessageId>,
    flags: (bool, bool, bool),
}

impl OwnedPublish {
    pub(crate) fn as_publish(&self) -> Publish<'_> {
        Publish {
            id: self.id,
            target: self.target,
            payload: RawJson::from_encoder(&self.payload),
            headers: self.headers.as_deref().map(RawJson::from_encoder),
            correlation_id: self.correlation_id,
            request: self.flags.0,
            ack: self.flags.1,
            exclude_sender: self.flags.2,
        }
    }
}

pub(crate) fn publish() -> impl Strategy<Value = OwnedPublish> {
    (
        option::of(message_id()),
        target("[A-Za-z0-9.-][A-Za-z0-9_.-]{0,63}"),
        payload(),
        option::of(headers()),
        option::of(message_id()),
        any::<(bool, bool, bool)>(),
    )
        .prop_map(|(id, target, payload, headers, correlation_id, flags)| OwnedPublish { id, target, payload, headers, correlation_id, flags })
}

/// The owner of the texts of a delivery.
#[derive(Debug, Clone)]
pub(crate) struct OwnedDelivery {
    head: DeliveryHead,
    headers: Option<String>,
    payload: String,
    job: Option<JobHead>,
}

impl OwnedDelivery {
    pub(crate) fn as_delivery(&self) -> Delivery<'_> {
        let headers = self.headers.as_deref().map(RawJson::from_encoder);
        Delivery { head: self.head, headers, payload: RawJson::from_encoder(&self.payload), job: self.job }
    }
}

pub(crate) fn delivery() -> impl Strategy<Value = OwnedDelivery> {
    let ids = (message_id(), option::of(message_id()), client_id(), option::of(client_id()), option::of(user_id()));
    let facts = (target("[A-Za-z0-9_.-]{1,64}"), timestamp(), option::of(position()), any::<bool>());
    (ids, facts, option::of(headers()), payload(), option::of(job())).prop_map(
        |((id, correlation_id, sender, reply_to, user), (target, timestamp, position, exclude_sender), headers, payload, job)| {
            let head = DeliveryHead { id, target, sender, user, timestamp, position, reply_to, correlation_id, exclude_sender };
            OwnedDelivery { head, headers, payload, job }
        },
    )
}

pub(crate) fn request() -> impl Strategy<Value = Request> {
    (option::of(message_id()), command()).prop_map(|(id, command)| Request { id, command })
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        connect(),
        any::<bool>().prop_map(|settled| PingArgs { settled }.command()),
        Just(StatusArgs {}.command()),
        (name(), name(), option::of(".{0,256}")).prop_map(|(room, channel, description)| CreateChannelArgs { room, channel, description }.command()),
        (name(), name()).prop_map(|(room, channel)| DeleteChannelArgs { room, channel }.command()),
        join(),
        (part(), part(), option::of(group())).prop_map(|(room, channel, group)| LeaveArgs { room, channel, group }.command()),
        settling().prop_map(|(room, channel, group, epoch, seqs)| AckArgs { room, channel, group, epoch, seqs }.command()),
        nack(),
        (option::of(name()), page()).prop_map(|(after, limit)| ListRoomsArgs { after, limit }.command()),
        (name(), option::of(name()), page()).prop_map(|(room, after, limit)| ListChannelsArgs { room, after, limit }.command()),
        (name(), name()).prop_map(|(room, channel)| ChannelInfoArgs { room, channel }.command()),
        (name(), name(), option::of(client_id()), page())
            .prop_map(|(room, channel, after, limit)| MembersArgs { room, channel, after, limit }.command()),
        history(),
        ".{0,40}".prop_map(|token| RefreshArgs { token }.command()),
        client_id().prop_map(|client| DisconnectArgs { client: Some(client), user: None }.command()),
        user_id().prop_map(|user| DisconnectArgs { client: None, user: Some(user) }.command()),
        option::of(".{0,40}").prop_map(|command| HelpArgs { command }.command()),
    ]
}

fn connect() -> impl Strategy<Value = Command> {
    let label = || option::of("[ -~]{1,64}");
    let metadata = option::of(vec(("[a-z]{1,8}", "[ -~]{0,40}"), 0..6));
    let texts = (option::of(".{0,40}"), label(), label(), option::of(user_id()), option::of(".{0,40}"), label());
    (option::of(any::<u32>()), texts, any::<bool>(), metadata).prop_map(|(protocol, (token, name, kind, user, resume, agent), batch, metadata)| {
        let metadata = metadata.map(|members| members.into_iter().map(|(name, text)| (name, Value::from(text))).collect());
        ConnectArgs { protocol, token, name, kind, user, batch, resume, metadata, agent }.command()
    })
}

fn join() -> impl Strategy<Value = Command> {
    let known = (name(), name(), epoch(), seq()).prop_map(|(room, channel, epoch, seq)| TopicPosition { room, channel, epoch, seq });
    let beginning = (option::of(position()), option::of(0..=limits::REPLAY_MAX), option::of(vec(known, 0..4)), any::<bool>());
    let work = (option::of(group()), option::of(1..=limits::JOBS_IN_FLIGHT_MAX));
    (part(), part(), beginning, work).prop_map(|(room, channel, (since, replay, positions, presence), (group, max_in_flight))| {
        JoinArgs { room, channel, since, replay, positions, presence, group, max_in_flight }.command()
    })
}

type Settling = (Room, Channel, Group, Epoch, Vec<u64>);

fn settling() -> impl Strategy<Value = Settling> {
    (name(), name(), group(), epoch(), vec(seq(), 1..8))
}

fn nack() -> impl Strategy<Value = Command> {
    (settling(), option::of(0..=limits::NACK_DELAY_MS_MAX), any::<bool>(), option::of(".{0,256}")).prop_map(
        |((room, channel, group, epoch, seqs), delay_ms, dead, reason)| {
            NackArgs { room, channel, group, epoch, seqs, delay_ms, dead, reason }.command()
        },
    )
}

fn group() -> impl Strategy<Value = Group> {
    parsed("[A-Za-z0-9.-][A-Za-z0-9_.-]{0,63}")
}

fn job() -> impl Strategy<Value = JobHead> {
    (group(), 1..=u32::MAX).prop_map(|(group, delivery)| JobHead { group, delivery })
}

fn history() -> impl Strategy<Value = Command> {
    let bound = || option::of(prop_oneof![position().prop_map(HistoryBound::Position), timestamp().prop_map(HistoryBound::Timestamp)]);
    let direction = prop_oneof![Just(Direction::Forward), Just(Direction::Backward)];
    (name(), name(), bound(), bound(), option::of(1..=limits::HISTORY_LIMIT_MAX), direction)
        .prop_map(|(room, channel, since, until, limit, direction)| HistoryArgs { room, channel, since, until, limit, direction }.command())
}

fn page() -> impl Strategy<Value = Option<u32>> {
    option::of(1..=limits::LIST_LIMIT_MAX)
}

fn target(name: &'static str) -> impl Strategy<Value = Target> {
    prop_oneof![
        (parsed::<Room>(name), parsed::<Channel>(name)).prop_map(|(room, channel)| Target::Topic(Topic { room, channel })),
        parsed::<Room>(name).prop_map(Target::Room),
        client_id().prop_map(Target::Client),
        user_id().prop_map(Target::User),
        Just(Target::Everyone),
    ]
}

fn payload() -> impl Strategy<Value = String> {
    value().prop_map(|value| value.to_string())
}

fn headers() -> impl Strategy<Value = String> {
    vec(("[A-Za-z0-9_.:-]{1,64}", ".{0,8}"), 0..8)
        .prop_map(|headers| Value::Object(headers.into_iter().map(|(name, text)| (name, Value::from(text))).collect()).to_string())
}

fn name<T: FromStr + std::fmt::Debug>() -> impl Strategy<Value = T> {
    parsed("[A-Za-z0-9_.-]{1,64}")
}

fn part() -> impl Strategy<Value = PatternPart> {
    parsed("[A-Za-z0-9_.-]{0,64}\\*?")
}

fn message_id() -> impl Strategy<Value = MessageId> {
    parsed("[A-Za-z0-9_.:-]{1,64}")
}

fn client_id() -> impl Strategy<Value = ClientId> {
    parsed("[cn]_[a-z0-9]{8,32}")
}

fn user_id() -> impl Strategy<Value = UserId> {
    parsed("[A-Za-z0-9.@+-][A-Za-z0-9_.@+-]{0,63}")
}

fn epoch() -> impl Strategy<Value = Epoch> {
    parsed("[a-z0-9]{1,16}")
}

fn seq() -> impl Strategy<Value = u64> {
    prop_oneof![0..=SEQ_MAX, Just(SEQ_MAX), Just(0)]
}

fn position() -> impl Strategy<Value = Position> {
    (epoch(), seq()).prop_map(|(epoch, seq)| Position { epoch, seq })
}

fn timestamp() -> impl Strategy<Value = Timestamp> {
    (0..=253_402_300_799_999_u64).prop_map(Timestamp::from_unix_ms)
}

/// Texts of a form, read into what they are; those that are not (dots only) are left out.
fn parsed<T: FromStr + std::fmt::Debug>(form: &'static str) -> impl Strategy<Value = T> {
    form.prop_filter_map("not of the form", |text| text.parse().ok())
}
