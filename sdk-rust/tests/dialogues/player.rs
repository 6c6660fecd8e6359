//! Plays one dialogue: feeds the core, and compares what comes out with what is expected.

use std::collections::{HashMap, VecDeque};

use arqonbus_client::Message;
use arqonbus_client::core::{
    Backoff, Config, Core, Declined, EndReason, Event, Failure, Fault, JobRef, Joining, OpenError, Outgoing, Output, Settling,
};
use arqonbus_client::protocol::{ClientEnvelope, Command, Target};
use serde_json::{Map, Value, json};

type Played<T = ()> = Result<T, String>;

/// Plays all steps; the error says which one went otherwise.
pub(crate) fn play(dialogue: &Value, preludes: &Value) -> Played {
    let mut player = Player::new(&dialogue["config"]);
    let mut steps = Vec::new();
    for step in array(&dialogue["steps"])? {
        match step["use"].as_str() {
            Some(prelude) => steps.extend(array(&preludes[prelude])?.clone()),
            None => steps.push(step.clone()),
        }
    }
    for (number, step) in steps.iter().enumerate() {
        player.step(step).map_err(|why| format!("step {number} {step}: {why}"))?;
    }
    player.nothing_left().map_err(|why| format!("at the end: {why}"))
}

struct Player {
    core: Core,
    now: u64,
    wait: Option<u64>,
    wire: VecDeque<Value>,
    events: VecDeque<Value>,
    /// What `$name` stands for.
    captures: HashMap<String, Value>,
    /// The dialogue's names of subscriptions and calls.
    subscriptions: HashMap<String, arqonbus_client::core::SubscriptionId>,
    calls: HashMap<String, arqonbus_client::core::CallId>,
}

impl Player {
    fn new(config: &Value) -> Self {
        let mut core = Core::new(configure(config), config["seed"].as_u64().unwrap_or(1));
        let wait = match core.poll_output() {
            Output::Wait { until } => until,
            other @ (Output::Open { .. } | Output::Transmit(_) | Output::Close { .. } | Output::Event(_)) => {
                panic!("a fresh core is idle, not {other:?}")
            }
        };
        let (wire, events) = Default::default();
        Self { core, now: 0, wait, wire, events, captures: HashMap::new(), subscriptions: HashMap::new(), calls: HashMap::new() }
    }

    fn step(&mut self, step: &Value) -> Played {
        if let Some(at) = step["at"].as_u64() {
            self.pass_time(at, step["asleep"] == json!(true))?;
        }
        if let Some(expected) = step.get("expect") {
            return self.expect(expected);
        }
        if ["app", "socket", "server"].iter().any(|kind| step.get(kind).is_some()) {
            self.nothing_left()?;
        }
        if let Some(call) = step.get("app") {
            let declined = self.app(call)?.err().map(|declined| declined_name(&declined));
            if declined != step["declined"].as_str() {
                return Err(format!("declined: {declined:?}"));
            }
        } else if let Some(socket) = step.get("socket") {
            self.socket(socket)?;
        } else if let Some(envelope) = step.get("server") {
            let text = self.frame(envelope)?;
            self.core.handle_frame(&text, self.now);
        }
        self.drain();
        Ok(())
    }

    /// Moves the clock, firing what is due on the way; a machine that sleeps fires nothing.
    fn pass_time(&mut self, at: u64, asleep: bool) -> Played {
        if at < self.now {
            return Err("time does not go back".to_owned());
        }
        while let Some(due) = self.wait.filter(|due| *due <= at && !asleep) {
            self.now = self.now.max(due);
            self.core.handle_timeout(self.now);
            let before = (self.wait, self.wire.len() + self.events.len());
            self.drain();
            if before == (self.wait, self.wire.len() + self.events.len()) {
                return Err(format!("a time-out at {due} changed nothing: the driver would spin"));
            }
        }
        self.now = at;
        Ok(())
    }

    fn drain(&mut self) {
        loop {
            match self.core.poll_output() {
                Output::Open { url } => self.wire.push_back(json!({ "open": url })),
                Output::Transmit(frame) => self.wire.extend(frame.split('\n').map(|line| json!({ "send": parse(line) }))),
                Output::Close { code } => self.wire.push_back(json!({ "close": code })),
                Output::Event(Event::State(_)) => {}
                Output::Event(event) => self.events.push_back(self.render(event)),
                Output::Wait { until } => {
                    self.wait = until;
                    return;
                }
            }
        }
    }

    fn nothing_left(&self) -> Played {
        match self.wire.front().or(self.events.front()) {
            Some(left) => Err(format!("not expected: {left}")),
            None => Ok(()),
        }
    }

    fn expect(&mut self, expected: &Value) -> Played {
        if let Some(state) = expected.get("state") {
            return same(state, &json!(self.core.state().as_str()));
        }
        if let Some(range) = expected.get("wait") {
            return self.expect_wait(range);
        }
        let queue = if expected.get("event").is_some() { &mut self.events } else { &mut self.wire };
        let found = queue.pop_front().ok_or("nothing came")?;
        let whole = expected.get("event").is_none();
        matches(expected, &found, &mut self.captures, whole).map_err(|why| format!("{why}; came {found}"))
    }

    fn expect_wait(&self, range: &Value) -> Played {
        let from_now = self.wait.map(|until| until.saturating_sub(self.now));
        let fits = match (from_now, range) {
            (None, Value::Null) => true,
            (Some(ms), Value::Array(bounds)) => bounds[0].as_u64() <= Some(ms) && Some(ms) <= bounds[1].as_u64(),
            _ => false,
        };
        if fits { Ok(()) } else { Err(format!("it waits {from_now:?} ms from now")) }
    }

    fn app(&mut self, call: &Value) -> Played<Result<(), Declined>> {
        let now = self.now;
        let (verb, args) = match call {
            Value::String(verb) => (verb.as_str(), &Value::Null),
            Value::Object(object) => object.iter().next().map(|(verb, args)| (verb.as_str(), args)).ok_or("an empty call")?,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => return Err("a call is a name or an object".to_owned()),
        };
        let name = args["as"].as_str().unwrap_or_default().to_owned();
        let subscription = args.as_str().and_then(|name| self.subscriptions.get(name)).copied();
        match verb {
            "connect" => self.core.connect(now),
            "drain" => self.core.drain(now),
            "close" => self.core.close(now),
            "wake" => self.core.wake(now),
            "backpressure" => self.core.handle_backpressure(now),
            "open_inbox" => self.core.open_inbox(),
            "close_inbox" => self.core.close_inbox(),
            "set_token" => self.core.set_token(string(args)?, now),
            "token_failed" => self.core.token_failed(string(args)?, now),
            "leave" => self.core.leave(subscription.ok_or("no such subscription")?, now),
            "pause" => self.core.pause(subscription.ok_or("no such subscription")?, now),
            "resume" => self.core.resume(subscription.ok_or("no such subscription")?, now),
            "join" => match self.core.join(joining(args)?, now) {
                Ok(id) => drop(self.subscriptions.insert(name, id)),
                Err(declined) => return Ok(Err(declined)),
            },
            "ack" | "nack" | "dead" => {
                let job = self.job(args)?;
                match self.core.settle_job(job, settling(verb, args), now) {
                    Ok(call) => drop(self.calls.insert(name, call)),
                    Err(declined) => return Ok(Err(declined)),
                }
            }
            "publish_nowait" => return Ok(self.core.publish_nowait(&outgoing(args)?, args["wait"] != json!(false), now)),
            "publish" | "request" | "command" => {
                let taken = match verb {
                    "publish" => self.core.publish(&outgoing(args)?, now),
                    "request" => self.core.request(&outgoing(args)?, now),
                    _ => self.core.command(command(args)?, args["timeout_ms"].as_u64(), now),
                };
                match taken {
                    Ok(call) => drop(self.calls.insert(name, call)),
                    Err(declined) => return Ok(Err(declined)),
                }
            }
            other => return Err(format!("no such call: {other}")),
        }
        Ok(Ok(()))
    }

    /// The job that a settling names: by subscription, position and delivery.
    fn job(&self, args: &Value) -> Played<JobRef> {
        let subscription = *self.subscriptions.get(string(&args["sub"])?).ok_or("no such subscription")?;
        let position = decoded(&json!({ "epoch": args["epoch"], "seq": args["seq"] }))?.ok_or("a job has a position")?;
        let delivery = args["delivery"].as_u64().and_then(|delivery| u32::try_from(delivery).ok()).unwrap_or(1);
        Ok(JobRef { subscription, position, delivery })
    }

    fn socket(&mut self, step: &Value) -> Played {
        let now = self.now;
        match step {
            Value::String(what) if what == "open" => self.core.handle_open(now),
            Value::String(what) if what == "alive" => self.core.handle_alive(now),
            Value::Object(object) if object.contains_key("close") => {
                self.core.handle_close(step["close"].as_u64().and_then(|code| u16::try_from(code).ok()), now);
            }
            Value::Object(object) if object.contains_key("error") => {
                let error = &step["error"];
                let why = error["why"].as_str().unwrap_or("refused").to_owned();
                let permanent = error["permanent"] == json!(true);
                self.core.handle_open_error(OpenError { why, permanent, retry_after_ms: error["retry_after_ms"].as_u64() }, now);
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
                return Err("a socket opens, closes, fails or is alive".to_owned());
            }
        }
        Ok(())
    }

    /// A frame of one envelope, of several, or of any text.
    fn frame(&self, envelope: &Value) -> Played<String> {
        match envelope {
            Value::String(text) => Ok(text.clone()),
            Value::Array(batch) => Ok(batch.iter().map(|one| self.filled(one).to_string()).collect::<Vec<_>>().join("\n")),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Ok(self.filled(envelope).to_string()),
        }
    }

    /// Puts what was captured in the place of `$name`.
    fn filled(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.captures.get(text).unwrap_or(value).clone(),
            Value::Array(items) => items.iter().map(|item| self.filled(item)).collect(),
            Value::Object(members) => Value::Object(members.iter().map(|(key, value)| (key.clone(), self.filled(value))).collect()),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    fn subscription_name(&self, id: arqonbus_client::core::SubscriptionId) -> String {
        self.subscriptions.iter().find(|(_, known)| **known == id).map_or("?".to_owned(), |(name, _)| name.clone())
    }

    fn call_name(&self, id: arqonbus_client::core::CallId) -> String {
        self.calls.iter().find(|(_, known)| **known == id).map_or("?".to_owned(), |(name, _)| name.clone())
    }

    fn render(&self, event: Event) -> Value {
        match event {
            Event::State(state) => json!({ "event": "state", "state": state.as_str() }),
            Event::Connected { client, user, resumed } => json!({ "event": "connected", "client": client, "user": user, "resumed": resumed }),
            Event::Lost { why } => json!({ "event": "lost", "why": why }),
            Event::Closed(fault) => render_fault(&fault, "closed"),
            Event::TokenNeeded => json!({ "event": "token_needed" }),
            Event::Joined { subscription, result, again } => {
                json!({ "event": "joined", "sub": self.subscription_name(subscription), "again": again, "topics": result.topics.len(), "complete": result.complete })
            }
            Event::Message { subscription, message } => {
                let mut rendered = render_message(&message, "message");
                rendered["sub"] = self.subscription_name(subscription).into();
                rendered
            }
            Event::Job { job, message } => {
                let mut rendered = render_message(&message, "job");
                rendered["sub"] = self.subscription_name(job.subscription).into();
                rendered["delivery"] = job.delivery.into();
                rendered
            }
            Event::JobsLost { subscription, jobs } => {
                json!({ "event": "jobs_lost", "sub": self.subscription_name(subscription), "jobs": jobs })
            }
            Event::Settled { call, outcome } => self.render_outcome(call, outcome.map(|()| json!({ "event": "settled" }))),
            Event::Gap { subscription, topic, gap } => json!({
                "event": "gap", "sub": self.subscription_name(subscription), "topic": topic.to_string(),
                "reason": gap.reason, "from": gap.from, "to": gap.to, "refetch_after_ms": gap.refetch_after_ms,
            }),
            Event::Presence { subscription, topic, joined, presence } => json!({
                "event": if joined { "member_joined" } else { "member_left" }, "sub": self.subscription_name(subscription),
                "topic": topic.to_string(), "client": presence.client, "members": presence.members,
            }),
            Event::Deleted { subscription, topic, by } => {
                json!({ "event": "deleted", "sub": self.subscription_name(subscription), "topic": topic.to_string(), "by": by })
            }
            Event::Ended { subscription, reason } => {
                let mut rendered = render_end(&reason);
                rendered["sub"] = self.subscription_name(subscription).into();
                rendered
            }
            Event::Inbox(message) => render_message(&message, "inbox"),
            Event::Missed { count } => json!({ "event": "missed", "count": count }),
            Event::Published { call, outcome } => self.render_outcome(
                call,
                outcome.map(|ack| {
                    let mut rendered = serde_json::to_value(ack).expect("a result is JSON");
                    rendered["event"] = "acked".into();
                    rendered
                }),
            ),
            Event::Replied { call, outcome } => self.render_outcome(call, outcome.map(|message| render_message(&message, "replied"))),
            Event::Answered { call, outcome } => {
                self.render_outcome(call, outcome.map(|result| json!({ "event": "answered", "result": parse(&result) })))
            }
            Event::Refused(refusal) => json!({ "event": "refused", "code": refusal.code }),
        }
    }

    fn render_outcome(&self, call: arqonbus_client::core::CallId, outcome: Result<Value, Failure>) -> Value {
        let mut rendered = outcome.unwrap_or_else(|failure| match failure {
            Failure::Rejected(refusal) => {
                json!({ "event": "rejected", "code": refusal.code, "retry": refusal.retry, "retry_after_ms": refusal.retry_after_ms })
            }
            Failure::Unknown => json!({ "event": "unknown" }),
            Failure::NotSent => json!({ "event": "not_sent" }),
        });
        rendered["call"] = self.call_name(call).into();
        rendered
    }
}

fn configure(given: &Value) -> Config {
    let mut config = Config::new("ws://bus.test");
    let text = |key: &str| given[key].as_str().map(str::to_owned);
    let number = |key: &str, default: u64| given[key].as_u64().unwrap_or(default);
    config.token = text("token");
    config.token_provider = given["token_provider"] == json!(true);
    config.name = text("name");
    config.kind = text("kind");
    config.user = text("user").map(|user| user.parse().expect("a user id"));
    config.batch = given["batch"] != json!(false);
    config.backoff = Backoff { base_ms: number("backoff_base_ms", 100), cap_ms: number("backoff_cap_ms", 10_000) };
    config.first_attempts_max = u32::try_from(number("first_attempts_max", 1)).expect("a small number");
    config.open_timeout_ms = number("open_timeout_ms", 10_000);
    config.handshake_timeout_ms = number("handshake_timeout_ms", 5_000);
    config.request_timeout_ms = number("request_timeout_ms", 10_000);
    config.publish_timeout_ms = number("publish_timeout_ms", 30_000);
    config.drain_timeout_ms = number("drain_timeout_ms", 10_000);
    config.in_flight_max = usize::try_from(number("in_flight_max", 8_192)).expect("a small number");
    config.inbox_max = usize::try_from(number("inbox_max", 1_024)).expect("a small number");
    config
}

fn joining(args: &Value) -> Played<Joining> {
    let pattern: arqonbus_client::protocol::Pattern = string(&args["pattern"])?.parse().map_err(|error| format!("{error}"))?;
    let mut joining = Joining::new(pattern);
    joining.since = decoded(&args["since"])?;
    joining.replay = decoded(&args["replay"])?;
    joining.positions = decoded(&args["positions"])?;
    joining.presence = args["presence"] == json!(true);
    joining.group = decoded(&args["group"])?;
    joining.max_in_flight = decoded(&args["max_in_flight"])?;
    Ok(joining)
}

fn settling(verb: &str, args: &Value) -> Settling {
    let reason = args["reason"].as_str().map(str::to_owned);
    match verb {
        "ack" => Settling::Ack,
        "dead" => Settling::Dead { reason },
        _ => Settling::Nack { delay_ms: args["delay_ms"].as_u64().and_then(|ms| u32::try_from(ms).ok()), reason },
    }
}

/// Reads the addressing of a message as it stands on the wire.
fn outgoing(args: &Value) -> Played<Outgoing> {
    let mut wire = json!({ "type": "message" });
    for key in ["room", "channel", "to", "id", "payload", "headers", "correlation_id", "exclude_sender"] {
        if let Some(value) = args.get(key) {
            wire[key] = value.clone();
        }
    }
    let text = wire.to_string();
    let Ok(ClientEnvelope::Message(publish)) = ClientEnvelope::decode(&text) else { return Err(format!("no message: {text}")) };
    let target: Target = publish.target;
    let mut outgoing = Outgoing::new(target, publish.payload.as_str());
    outgoing.id = publish.id;
    outgoing.headers = publish.headers.map(|raw| raw.as_str().to_owned());
    outgoing.correlation_id = publish.correlation_id;
    outgoing.exclude_sender = publish.exclude_sender;
    outgoing.timeout_ms = args["timeout_ms"].as_u64();
    Ok(outgoing)
}

fn command(args: &Value) -> Played<Command> {
    let text = json!({ "type": "command", "command": args["command"], "args": args.get("args").cloned().unwrap_or_else(|| json!({})) }).to_string();
    match ClientEnvelope::decode(&text) {
        Ok(ClientEnvelope::Command(request)) => Ok(request.command),
        _ => Err(format!("no command: {text}")),
    }
}

fn render_message(message: &Message, event: &str) -> Value {
    json!({
        "event": event, "id": message.id(), "to": message.target().to_string(), "sender": message.sender(),
        "epoch": message.position().map(|position| position.epoch), "seq": message.position().map(|position| position.seq),
        "payload": parse(message.payload_json()), "headers": message.headers(), "reply_to": message.reply_to(),
    })
}

fn render_fault(fault: &Fault, event: &str) -> Value {
    match fault {
        Fault::Closed => json!({ "event": event, "reason": "closed" }),
        Fault::Unreachable(why) => json!({ "event": event, "reason": "unreachable", "why": why }),
        Fault::Refused(refusal) => json!({ "event": event, "reason": "refused", "code": refusal.code }),
        Fault::ClosedByServer(code) => json!({ "event": event, "reason": "closed_by_server", "code": code }),
    }
}

fn render_end(reason: &EndReason) -> Value {
    match reason {
        EndReason::Left => json!({ "event": "ended", "reason": "left" }),
        EndReason::Deleted { by } => json!({ "event": "ended", "reason": "deleted", "by": by }),
        EndReason::Refused(refusal) => json!({ "event": "ended", "reason": "refused", "code": refusal.code }),
        EndReason::TimedOut => json!({ "event": "ended", "reason": "timed_out" }),
        EndReason::TooManyTopics => json!({ "event": "ended", "reason": "too_many_topics" }),
        EndReason::Closed(_) => json!({ "event": "ended", "reason": "closed" }),
    }
}

fn declined_name(declined: &Declined) -> &'static str {
    match declined {
        Declined::Full => "full",
        Declined::Closing => "closing",
        Declined::TooLarge { .. } => "too_large",
        Declined::AlreadyJoined => "already_joined",
        Declined::NotATopic => "not_a_topic",
        Declined::IdInFlight => "id_in_flight",
        Declined::NotConnected => "not_connected",
    }
}

/// Compares, binding `$name` at first sight and `$$name` anew. With `whole`, nothing but what is expected may be there.
fn matches(expected: &Value, found: &Value, captures: &mut HashMap<String, Value>, whole: bool) -> Played {
    match (expected, found) {
        (Value::String(name), _) if name.starts_with("$$") => {
            captures.insert(name[1..].to_owned(), found.clone());
            Ok(())
        }
        (Value::String(name), _) if name.starts_with('$') => {
            let bound = captures.entry(name.clone()).or_insert_with(|| found.clone());
            if bound == found { Ok(()) } else { Err(format!("{name} is {bound}, not {found}")) }
        }
        (Value::Object(wanted), Value::Object(there)) => matches_members(wanted, there, captures, whole),
        (Value::Array(wanted), Value::Array(there)) if wanted.len() == there.len() => {
            wanted.iter().zip(there).try_for_each(|(wanted, there)| matches(wanted, there, captures, whole))
        }
        _ => same(expected, found),
    }
}

fn matches_members(wanted: &Map<String, Value>, there: &Map<String, Value>, captures: &mut HashMap<String, Value>, whole: bool) -> Played {
    for (key, value) in wanted {
        matches(value, there.get(key).unwrap_or(&Value::Null), captures, whole).map_err(|why| format!("{key}: {why}"))?;
    }
    match there.keys().find(|key| whole && !wanted.contains_key(*key)) {
        Some(extra) => Err(format!("{extra} was not expected")),
        None => Ok(()),
    }
}

fn same(expected: &Value, found: &Value) -> Played {
    if expected == found { Ok(()) } else { Err(format!("expected {expected}, found {found}")) }
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn array(value: &Value) -> Played<&Vec<Value>> {
    value.as_array().ok_or_else(|| format!("not a list: {value}"))
}

fn string(value: &Value) -> Played<&str> {
    value.as_str().ok_or_else(|| format!("not a text: {value}"))
}

fn decoded<T: serde::de::DeserializeOwned>(value: &Value) -> Played<Option<T>> {
    serde_json::from_value(value.clone()).map_err(|error| error.to_string())
}
