//! The client core on a simulated clock, as dialogues drive it.

use arqonbus_client::core::{
    Backoff, CallId, Config, Core as Inner, Declined, JobRef, Joining, OpenError, Outgoing, Output, Settling, SubscriptionId,
};
use arqonbus_client::protocol::{ClientEnvelope, Command};
use pyo3::prelude::*;
use serde_json::{Value, json};

use super::{nonsense, render};

/// The core without I/O. Texts in, texts out; the README of the dialogues says what they mean.
#[pyclass(module = "arqonbus._arqonbus")]
pub(crate) struct Core {
    inner: Inner,
}

#[pymethods]
impl Core {
    #[new]
    fn new(config: &str) -> PyResult<Self> {
        let given = parse(config)?;
        Ok(Self { inner: Inner::new(configure(&given)?, given["seed"].as_u64().unwrap_or(1)) })
    }

    /// Calls what a dialogue names; gives why it was declined, and the number of the subscription or call that began.
    fn call(&mut self, verb: &str, args: &str, now: u64) -> PyResult<(Option<&'static str>, Option<u64>)> {
        let args = parse(args)?;
        let begun = match verb {
            "join" => self.inner.join(joining(&args)?, now).map(|id| Some(id.0)),
            "publish" => self.inner.publish(&outgoing(&args)?, now).map(|id| Some(id.0)),
            "request" => self.inner.request(&outgoing(&args)?, now).map(|id| Some(id.0)),
            "command" => self.inner.command(command(&args)?, args["timeout_ms"].as_u64(), now).map(|id: CallId| Some(id.0)),
            "ack" | "nack" | "dead" => self.inner.settle_job(job(&args)?, settling(verb, &args), now).map(|id: CallId| Some(id.0)),
            "publish_nowait" => self.inner.publish_nowait(&outgoing(&args)?, args["wait"] != json!(false), now).map(|()| None),
            _ => {
                self.order(verb, &args, now)?;
                Ok(None)
            }
        };
        Ok(begun.map_or_else(|declined| (Some(declined_name(&declined)), None), |id| (None, id)))
    }

    /// Says what the socket did.
    fn socket(&mut self, what: &str, args: &str, now: u64) -> PyResult<()> {
        let args = parse(args)?;
        match what {
            "open" => self.inner.handle_open(now),
            "alive" => self.inner.handle_alive(now),
            "close" => self.inner.handle_close(args.as_u64().and_then(|code| u16::try_from(code).ok()), now),
            "error" => {
                let why = args["why"].as_str().unwrap_or("refused").to_owned();
                let error = OpenError { why, permanent: args["permanent"] == json!(true), retry_after_ms: args["retry_after_ms"].as_u64() };
                self.inner.handle_open_error(error, now);
            }
            other => return Err(nonsense(format!("a socket does not {other}"))),
        }
        Ok(())
    }

    /// Takes a frame from the server.
    fn frame(&mut self, text: &str, now: u64) {
        self.inner.handle_frame(text, now);
    }

    /// Says that time has passed.
    fn timeout(&mut self, now: u64) {
        self.inner.handle_timeout(now);
    }

    /// The next output as its kind and JSON: `open`, `send`, `close`, `event` or `wait`.
    fn poll(&mut self) -> (&'static str, String) {
        match self.inner.poll_output() {
            Output::Open { url } => ("open", json!(url).to_string()),
            Output::Transmit(frame) => ("send", frame),
            Output::Close { code } => ("close", code.to_string()),
            Output::Event(event) => ("event", render::event(event).to_string()),
            Output::Wait { until } => ("wait", json!(until).to_string()),
        }
    }

    /// The state by its name.
    #[getter]
    fn state(&self) -> &'static str {
        self.inner.state().as_str()
    }
}

impl Core {
    /// Calls that nothing can decline.
    fn order(&mut self, verb: &str, args: &Value, now: u64) -> PyResult<()> {
        let text = || args.as_str().ok_or_else(|| nonsense(format!("{verb} needs a text")));
        let subscription = || args.as_u64().map(SubscriptionId).ok_or_else(|| nonsense(format!("{verb} needs a subscription")));
        match verb {
            "connect" => self.inner.connect(now),
            "drain" => self.inner.drain(now),
            "close" => self.inner.close(now),
            "wake" => self.inner.wake(now),
            "backpressure" => self.inner.handle_backpressure(now),
            "open_inbox" => self.inner.open_inbox(),
            "close_inbox" => self.inner.close_inbox(),
            "set_token" => self.inner.set_token(text()?, now),
            "token_failed" => self.inner.token_failed(text()?, now),
            "leave" => self.inner.leave(subscription()?, now),
            "pause" => self.inner.pause(subscription()?, now),
            "resume" => self.inner.resume(subscription()?, now),
            other => return Err(nonsense(format!("no such call: {other}"))),
        }
        Ok(())
    }
}

fn configure(given: &Value) -> PyResult<Config> {
    let mut config = Config::new("ws://bus.test");
    let text = |key: &str| given[key].as_str().map(str::to_owned);
    config.token = text("token");
    config.token_provider = given["token_provider"] == json!(true);
    config.name = text("name");
    config.kind = text("kind");
    config.user = text("user").map(|user| user.parse()).transpose().map_err(nonsense)?;
    config.batch = given["batch"] != json!(false);
    let set = |key: &str, place: &mut u64| *place = given[key].as_u64().unwrap_or(*place);
    let mut backoff = Backoff::default();
    set("backoff_base_ms", &mut backoff.base_ms);
    set("backoff_cap_ms", &mut backoff.cap_ms);
    config.backoff = backoff;
    set("open_timeout_ms", &mut config.open_timeout_ms);
    set("handshake_timeout_ms", &mut config.handshake_timeout_ms);
    set("request_timeout_ms", &mut config.request_timeout_ms);
    set("publish_timeout_ms", &mut config.publish_timeout_ms);
    set("drain_timeout_ms", &mut config.drain_timeout_ms);
    if let Some(attempts) = given["first_attempts_max"].as_u64() {
        config.first_attempts_max = u32::try_from(attempts).map_err(nonsense)?;
    }
    if let Some(messages) = given["in_flight_max"].as_u64() {
        config.in_flight_max = usize::try_from(messages).map_err(nonsense)?;
    }
    if let Some(messages) = given["inbox_max"].as_u64() {
        config.inbox_max = usize::try_from(messages).map_err(nonsense)?;
    }
    Ok(config)
}

fn joining(args: &Value) -> PyResult<Joining> {
    let pattern: arqonbus_client::protocol::Pattern = args["pattern"].as_str().unwrap_or_default().parse().map_err(nonsense)?;
    let mut joining = Joining::new(pattern);
    joining.since = decoded(&args["since"])?;
    joining.replay = decoded(&args["replay"])?;
    joining.positions = decoded(&args["positions"])?;
    joining.presence = args["presence"] == json!(true);
    joining.group = decoded(&args["group"])?;
    joining.max_in_flight = decoded(&args["max_in_flight"])?;
    Ok(joining)
}

/// The job that a settling names: by subscription, position and delivery.
fn job(args: &Value) -> PyResult<JobRef> {
    let subscription = args["sub"].as_u64().map(SubscriptionId).ok_or_else(|| nonsense("a job came by a subscription"))?;
    let position = decoded(&json!({ "epoch": args["epoch"], "seq": args["seq"] }))?.ok_or_else(|| nonsense("a job has a position"))?;
    Ok(JobRef { subscription, position, delivery: decoded(&args["delivery"])?.unwrap_or(1) })
}

fn settling(verb: &str, args: &Value) -> Settling {
    let reason = args["reason"].as_str().map(str::to_owned);
    match verb {
        "ack" => Settling::Ack,
        "dead" => Settling::Dead { reason },
        _ => Settling::Nack { delay_ms: args["delay_ms"].as_u64().and_then(|ms| u32::try_from(ms).ok()), reason },
    }
}

fn outgoing(args: &Value) -> PyResult<Outgoing> {
    let mut wire = args.clone();
    wire["type"] = "message".into();
    for own in ["as", "wait", "timeout_ms"] {
        wire.as_object_mut().and_then(|members| members.shift_remove(own));
    }
    let text = wire.to_string();
    let Ok(ClientEnvelope::Message(publish)) = ClientEnvelope::decode(&text) else { return Err(nonsense(format!("no message: {text}"))) };
    let mut outgoing = Outgoing::new(publish.target, publish.payload.as_str());
    outgoing.id = publish.id;
    outgoing.headers = publish.headers.map(|raw| raw.as_str().to_owned());
    outgoing.correlation_id = publish.correlation_id;
    outgoing.exclude_sender = publish.exclude_sender;
    outgoing.timeout_ms = args["timeout_ms"].as_u64();
    Ok(outgoing)
}

fn command(args: &Value) -> PyResult<Command> {
    let text = json!({ "type": "command", "command": args["command"], "args": args.get("args").cloned().unwrap_or_else(|| json!({})) }).to_string();
    match ClientEnvelope::decode(&text) {
        Ok(ClientEnvelope::Command(request)) => Ok(request.command),
        Ok(ClientEnvelope::Message(_)) | Err(_) => Err(nonsense(format!("no command: {text}"))),
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

fn parse(text: &str) -> PyResult<Value> {
    serde_json::from_str(text).map_err(nonsense)
}

fn decoded<T: serde::de::DeserializeOwned>(value: &Value) -> PyResult<Option<T>> {
    serde_json::from_value(value.clone()).map_err(nonsense)
}
