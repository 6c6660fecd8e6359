//! What the core tells, as JSON: orders and events in order, runs of messages gathered.

use std::borrow::Cow;

use arqonbus_client::Message;
use arqonbus_client::core::{CallId, EndReason, Event, Failure, Fault, SubscriptionId};
use arqonbus_client::protocol::{ClientId, Gap, JoinResult, Presence, PublishResult, Refusal, UserId};
use serde::Serialize;

/// One order or event. Messages are not here: their text is written as it came.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Told<'a> {
    Open { url: &'a str },
    Transmit,
    Close { code: u16 },
    State { state: &'a str },
    Connected { client: ClientId, user: Option<UserId>, resumed: bool },
    Lost { why: Cow<'a, str> },
    Closed { fault: FaultTold },
    TokenNeeded,
    Joined { sub: u64, again: bool, result: JoinResult },
    Gap { sub: u64, topic: String, gap: Gap },
    Presence { sub: u64, topic: String, joined: bool, member: Presence },
    Deleted { sub: u64, topic: String, by: ClientId },
    Ended { sub: u64, reason: EndTold },
    Acked { call: u64, result: PublishResult },
    Failed { call: u64, failure: FailureTold },
    Refused { error: Refusal },
    Missed { count: u64 },
}

/// Why a client is closed for good.
#[derive(Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
enum FaultTold {
    Closed,
    Unreachable { why: String },
    Refused { error: Refusal },
    ClosedByServer { code: u16 },
}

/// Why a subscription ended.
#[derive(Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
enum EndTold {
    Left,
    Deleted { by: ClientId },
    Refused { error: Refusal },
    TimedOut,
    TooManyTopics,
    Closed { fault: FaultTold },
}

/// Why a call failed.
#[derive(Serialize)]
#[serde(tag = "failure", rename_all = "snake_case")]
enum FailureTold {
    Rejected { error: Refusal },
    Unknown,
    NotSent,
}

/// A JSON array under construction.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    text: Vec<u8>,
    /// The subscription whose run of messages is open at the end of the text.
    run: Option<u64>,
}

impl Batch {
    pub(crate) fn open(&mut self, url: &str) {
        self.push(&Told::Open { url });
    }

    pub(crate) fn transmit(&mut self) {
        self.push(&Told::Transmit);
    }

    pub(crate) fn close(&mut self, code: u16) {
        self.push(&Told::Close { code });
    }

    /// The array, where it holds anything.
    pub(crate) fn take(&mut self) -> Option<String> {
        self.end_run();
        if self.text.is_empty() {
            return None;
        }
        let mut text = std::mem::take(&mut self.text);
        text.push(b']');
        Some(String::from_utf8(text).expect("written from text"))
    }

    pub(crate) fn tell(&mut self, event: Event) {
        let told = match event {
            Event::Message { subscription: SubscriptionId(sub), message } => return self.message(sub, &message),
            Event::Inbox(message) => return self.one_message("inbox", None, &message),
            Event::Replied { call: CallId(call), outcome: Ok(message) } => return self.one_message("replied", Some(call), &message),
            Event::State(state) => return self.push(&Told::State { state: state.as_str() }),
            Event::Connected { client, user, resumed } => Told::Connected { client, user, resumed },
            Event::Lost { why } => Told::Lost { why: why.into() },
            Event::Closed(fault) => Told::Closed { fault: fault.into() },
            Event::TokenNeeded => Told::TokenNeeded,
            Event::Joined { subscription: SubscriptionId(sub), result, again } => Told::Joined { sub, again, result },
            Event::Gap { subscription: SubscriptionId(sub), topic, gap } => Told::Gap { sub, topic: topic.to_string(), gap },
            Event::Presence { subscription: SubscriptionId(sub), topic, joined, presence } => {
                Told::Presence { sub, topic: topic.to_string(), joined, member: presence }
            }
            Event::Deleted { subscription: SubscriptionId(sub), topic, by } => Told::Deleted { sub, topic: topic.to_string(), by },
            Event::Ended { subscription: SubscriptionId(sub), reason } => Told::Ended { sub, reason: reason.into() },
            Event::Published { call: CallId(call), outcome: Ok(result) } => Told::Acked { call, result },
            Event::Answered { call: CallId(call), outcome: Ok(result) } => return self.answered(call, &result),
            Event::Published { call: CallId(call), outcome: Err(failure) }
            | Event::Replied { call: CallId(call), outcome: Err(failure) }
            | Event::Answered { call: CallId(call), outcome: Err(failure) } => Told::Failed { call, failure: failure.into() },
            Event::Refused(error) => Told::Refused { error },
            Event::Missed { count } => Told::Missed { count },
        };
        self.push(&told);
    }

    /// Consecutive messages of one subscription share one entry.
    fn message(&mut self, sub: u64, message: &Message) {
        if self.run == Some(sub) {
            self.text.push(b',');
        } else {
            self.begin();
            self.text.extend_from_slice(br#"{"event":"messages","sub":"#);
            self.number(sub);
            self.text.extend_from_slice(br#","messages":["#);
            self.run = Some(sub);
        }
        message.encode_into(&mut self.text);
    }

    fn one_message(&mut self, event: &str, call: Option<u64>, message: &Message) {
        self.begin();
        self.text.extend_from_slice(br#"{"event":""#);
        self.text.extend_from_slice(event.as_bytes());
        self.text.push(b'"');
        if let Some(call) = call {
            self.text.extend_from_slice(br#","call":"#);
            self.number(call);
        }
        self.text.extend_from_slice(br#","message":"#);
        message.encode_into(&mut self.text);
        self.text.push(b'}');
    }

    /// The result is checked JSON.
    fn answered(&mut self, call: u64, result: &str) {
        self.begin();
        self.text.extend_from_slice(br#"{"event":"answered","call":"#);
        self.number(call);
        self.text.extend_from_slice(br#","result":"#);
        self.text.extend_from_slice(result.as_bytes());
        self.text.push(b'}');
    }

    fn push(&mut self, told: &Told<'_>) {
        self.begin();
        serde_json::to_writer(&mut self.text, told).expect("plain data is JSON");
    }

    fn begin(&mut self) {
        self.end_run();
        self.text.push(if self.text.is_empty() { b'[' } else { b',' });
    }

    fn end_run(&mut self) {
        if self.run.take().is_some() {
            self.text.extend_from_slice(b"]}");
        }
    }

    fn number(&mut self, number: u64) {
        self.text.extend_from_slice(number.to_string().as_bytes());
    }
}

impl From<Fault> for FaultTold {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Closed => Self::Closed,
            Fault::Unreachable(why) => Self::Unreachable { why },
            Fault::Refused(error) => Self::Refused { error },
            Fault::ClosedByServer(code) => Self::ClosedByServer { code },
        }
    }
}

impl From<EndReason> for EndTold {
    fn from(reason: EndReason) -> Self {
        match reason {
            EndReason::Left => Self::Left,
            EndReason::Deleted { by } => Self::Deleted { by },
            EndReason::Refused(error) => Self::Refused { error },
            EndReason::TimedOut => Self::TimedOut,
            EndReason::TooManyTopics => Self::TooManyTopics,
            EndReason::Closed(fault) => Self::Closed { fault: fault.into() },
        }
    }
}

impl From<Failure> for FailureTold {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Rejected(error) => Self::Rejected { error },
            Failure::Unknown => Self::Unknown,
            Failure::NotSent => Self::NotSent,
        }
    }
}
