//! What the core tells, as JSON: orders and events in order, runs of messages gathered.

use arqonbus_client::Message;
use arqonbus_client::core::{CallId, EndReason, Event, Failure, Fault, SubscriptionId};
use arqonbus_client::protocol::RawJson;
use arqonbus_client::protocol::json::{Object, Write, written};

/// A JSON array under construction.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    text: Vec<u8>,
    /// The subscription whose run of messages is open at the end of the text.
    run: Option<u64>,
}

impl Batch {
    pub(crate) fn open(&mut self, url: &str) {
        self.tell("open").member("url", &url).end();
    }

    pub(crate) fn transmit(&mut self) {
        self.tell("transmit").end();
    }

    pub(crate) fn close(&mut self, code: u16) {
        self.tell("close").member("code", &code).end();
    }

    /// The array, where it holds anything.
    pub(crate) fn take(&mut self) -> Option<String> {
        self.end_run();
        if self.text.is_empty() {
            return None;
        }
        let mut text = std::mem::take(&mut self.text);
        text.push(b']');
        Some(written(text))
    }

    pub(crate) fn event(&mut self, event: Event) {
        match event {
            Event::Message { subscription: SubscriptionId(sub), message } => self.message(sub, &message),
            Event::Inbox(message) => self.tell("inbox").member("message", &Text(&message)).end(),
            Event::State(state) => self.tell("state").member("state", &state.as_str()).end(),
            Event::Connected { client, user, resumed } => {
                self.tell("connected").member("client", &client).member("user", &user).member("resumed", &resumed).end();
            }
            Event::Lost { why } => self.tell("lost").member("why", &why).end(),
            Event::Closed(fault) => self.tell("closed").member("fault", &Told(&fault)).end(),
            Event::TokenNeeded => self.tell("token_needed").end(),
            Event::Joined { subscription, result, again } => self.of("joined", subscription).member("result", &result).member("again", &again).end(),
            Event::Gap { subscription, topic, gap } => self.of("gap", subscription).member("topic", &topic.to_string()).member("gap", &gap).end(),
            Event::Presence { subscription, topic, joined, presence } => {
                let mut told = self.of("presence", subscription);
                told.member("topic", &topic.to_string()).member("joined", &joined).member("member", &presence).end();
            }
            Event::Deleted { subscription, topic, by } => {
                self.of("deleted", subscription).member("topic", &topic.to_string()).member("by", &by).end();
            }
            Event::Ended { subscription, reason } => self.of("ended", subscription).member("reason", &Told(&reason)).end(),
            Event::Published { call, outcome: Ok(result) } => self.answer("acked", call, "result", &result),
            Event::Answered { call, outcome: Ok(result) } => self.answer("answered", call, "result", &RawJson::from_encoder(&result)),
            Event::Replied { call, outcome: Ok(message) } => self.answer("replied", call, "message", &Text(&message)),
            Event::Published { call, outcome: Err(failure) }
            | Event::Replied { call, outcome: Err(failure) }
            | Event::Answered { call, outcome: Err(failure) }
            | Event::Settled { call, outcome: Err(failure) } => self.answer("failed", call, "failure", &Told(&failure)),
            Event::Job { job, message } => {
                let mut told = self.of("job", job.subscription);
                told.member("delivery", &job.delivery).member("message", &Text(&message)).end();
            }
            Event::JobsLost { subscription, jobs } => self.of("jobs_lost", subscription).member("jobs", &jobs).end(),
            Event::Settled { call: CallId(call), outcome: Ok(()) } => self.tell("settled").member("call", &call).end(),
            Event::Refused(error) => self.tell("refused").member("error", &error).end(),
            Event::Missed { count } => self.tell("missed").member("count", &count).end(),
        }
    }

    fn of(&mut self, event: &str, SubscriptionId(sub): SubscriptionId) -> Object<'_> {
        let mut told = self.tell(event);
        told.member("sub", &sub);
        told
    }

    fn answer(&mut self, event: &str, CallId(call): CallId, key: &str, value: &dyn Write) {
        self.tell(event).member("call", &call).member(key, value).end();
    }

    /// Consecutive messages of one subscription share one entry.
    fn message(&mut self, sub: u64, message: &Message) {
        if self.run == Some(sub) {
            self.text.push(b',');
        } else {
            self.begin();
            self.text.extend_from_slice(br#"{"event":"messages","sub":"#);
            sub.write(&mut self.text);
            self.text.extend_from_slice(br#","messages":["#);
            self.run = Some(sub);
        }
        message.encode_into(&mut self.text);
    }

    /// Begins an order or event.
    fn tell(&mut self, event: &str) -> Object<'_> {
        self.begin();
        let mut told = Object::begin(&mut self.text);
        told.member("event", &event);
        told
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
}

/// A message as the text of its envelope.
struct Text<'a>(&'a Message);

impl Write for Text<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.encode_into(out);
    }
}

/// What has no type on the wire.
struct Told<'a, T>(&'a T);

/// Why a client is closed for good.
impl Write for Told<'_, Fault> {
    fn write(&self, out: &mut Vec<u8>) {
        let mut told = Object::begin(out);
        match self.0 {
            Fault::Closed => told.member("reason", &"closed"),
            Fault::Unreachable(why) => told.member("reason", &"unreachable").member("why", why),
            Fault::Refused(error) => told.member("reason", &"refused").member("error", error),
            Fault::ClosedByServer(code) => told.member("reason", &"closed_by_server").member("code", code),
        }
        .end();
    }
}

/// Why a subscription ended.
impl Write for Told<'_, EndReason> {
    fn write(&self, out: &mut Vec<u8>) {
        let mut told = Object::begin(out);
        match self.0 {
            EndReason::Left => told.member("reason", &"left"),
            EndReason::Deleted { by } => told.member("reason", &"deleted").member("by", by),
            EndReason::Refused(error) => told.member("reason", &"refused").member("error", error),
            EndReason::TimedOut => told.member("reason", &"timed_out"),
            EndReason::TooManyTopics => told.member("reason", &"too_many_topics"),
            EndReason::Closed(fault) => told.member("reason", &"closed").member("fault", &Told(fault)),
        }
        .end();
    }
}

/// Why a call failed.
impl Write for Told<'_, Failure> {
    fn write(&self, out: &mut Vec<u8>) {
        let mut told = Object::begin(out);
        match self.0 {
            Failure::Rejected(error) => told.member("failure", &"rejected").member("error", error),
            Failure::Unknown => told.member("failure", &"unknown"),
            Failure::NotSent => told.member("failure", &"not_sent"),
        }
        .end();
    }
}
