//! What the bus tells about itself: one closed list of signals, told to metrics, to the log, and on the bus. Never waits, never fails.

mod escape;
mod instruments;
mod labels;
mod metrics;
mod signal;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arqonbus_protocol::{Channel, Room, Topic};
use serde::Serialize;
use tokio::sync::mpsc;
use tracing::Level;

pub use escape::Escaped;
pub use instruments::{Counter, Family, Gauge, Histogram, HistogramSnapshot, Instrument, State};
pub use labels::{Ended, Label, Returned, TurnedAway};
pub use metrics::{Metrics, MetricsSnapshot};
pub use signal::{Signal, SignalKind};

use crate::config;
use signal::Facts;

/// A message that the server itself publishes on the telemetry room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    /// Where.
    pub topic: Topic,
    /// The payload, as JSON.
    pub payload: String,
}

/// Tells signals. Cheap to clone; any thread may tell.
#[derive(Debug, Clone)]
pub struct Telemetry {
    metrics: Arc<Metrics>,
    onto_bus: Option<Arc<OntoBus>>,
}

/// The way to the telemetry room.
#[derive(Debug)]
struct OntoBus {
    activity: Topic,
    snapshots: Topic,
    queue: mpsc::Sender<Activity>,
}

impl Telemetry {
    /// Tells to `metrics` and the log, and to the returned stream where the configuration names a room. Whoever owns the stream publishes
    /// what comes out of it; it ends when the last handle is gone.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, config: &config::Telemetry) -> (Self, Option<mpsc::Receiver<Activity>>) {
        let Some((activity, snapshots)) = topics(config) else { return (Self { metrics, onto_bus: None }, None) };
        let (queue, stream) = mpsc::channel(config.queue.max(1));
        (Self { metrics, onto_bus: Some(Arc::new(OntoBus { activity, snapshots, queue })) }, Some(stream))
    }

    /// The metrics that signals are counted in.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Tells `signal`: counts it, logs it, and queues it for the telemetry room unless that is off or the queue is full.
    pub fn tell(&self, signal: &Signal<'_>) {
        self.count(signal);
        log(signal);
        if let Some(onto_bus) = &self.onto_bus
            && onto_bus.wants(signal)
        {
            let activity = Activity { topic: onto_bus.activity, payload: payload(signal) };
            if onto_bus.queue.try_send(activity).is_err() {
                self.metrics.telemetry_dropped.add(signal.kind(), 1);
            }
        }
    }

    /// The present metrics as a message for the telemetry room; none where that is off. The owner of the timer publishes it.
    #[must_use]
    pub fn snapshot(&self) -> Option<Activity> {
        let topic = self.onto_bus.as_ref()?.snapshots;
        let payload = serde_json::to_string(&self.metrics.snapshot()).expect("numbers by name serialize");
        Some(Activity { topic, payload })
    }

    fn count(&self, signal: &Signal<'_>) {
        let metrics = &*self.metrics;
        metrics.signals.add(signal.kind(), 1);
        match signal {
            Signal::Connected { .. } => {
                metrics.connections.inc();
                metrics.connections_opened.inc();
            }
            Signal::Disconnected { ended, .. } => {
                metrics.connections.dec();
                metrics.closes.add(*ended, 1);
            }
            Signal::TurnedAway { reason } => metrics.refused_connections.add(*reason, 1),
            Signal::AcceptPaused => metrics.accept_pauses.inc(),
            Signal::Forgotten { .. } => metrics.topics_forgotten.inc(),
            Signal::Refused { code, .. } => metrics.errors.add(*code, 1),
            Signal::SlowConsumer { .. } => metrics.slow_consumers.inc(),
            Signal::Gap { reason, .. } => metrics.gaps.add(*reason, 1),
            Signal::Redelivered { jobs, why, .. } => metrics.jobs_redelivered.add(*why, *jobs),
            Signal::DeadLettered { .. } => metrics.dead_letters.inc(),
            Signal::Discarded { .. } => metrics.jobs_discarded.inc(),
            Signal::GroupForgotten { jobs, .. } => metrics.jobs_discarded.add(*jobs),
            Signal::DedupEvicted { ids } => metrics.dedup_evicted.add(*ids),
            Signal::Storage { state } => metrics.storage_state.set(*state),
            Signal::Started { .. }
            | Signal::Identified { .. }
            | Signal::NodeUp { .. }
            | Signal::NodeDown { .. }
            | Signal::Joined { .. }
            | Signal::Left { .. }
            | Signal::Created { .. }
            | Signal::Deleted { .. }
            | Signal::Draining { .. }
            | Signal::Drained { .. } => {}
        }
    }
}

impl OntoBus {
    /// What the telemetry room's own topics go through is not told there: a topic that is born by being told about would tell for ever.
    fn wants(&self, signal: &Signal<'_>) -> bool {
        signal.facts().room != Some(self.activity.room.as_str())
    }
}

/// The topics of the telemetry room; none where it is off. Names that are not valid are refused when the configuration is checked.
fn topics(config: &config::Telemetry) -> Option<(Topic, Topic)> {
    if config.room == "off" {
        return None;
    }
    let room: Room = config.room.parse().ok()?;
    let topic = |channel: &str| Some(Topic { room, channel: channel.parse::<Channel>().ok()? });
    Some((topic(&config.activity_channel)?, topic(&config.metrics_channel)?))
}

/// What subscribers of the telemetry room see.
fn payload(signal: &Signal<'_>) -> String {
    #[derive(Serialize)]
    struct Told<'a> {
        signal: &'a str,
        #[serde(flatten)]
        facts: Facts<'a>,
    }
    let told = Told { signal: &signal.kind().text(), facts: signal.facts() };
    serde_json::to_string(&told).expect("text by name serializes")
}

/// Writes the same fields at every level; the level of an event must be known where it is written.
fn log(signal: &Signal<'_>) {
    macro_rules! event {
        ($level:expr) => {
            if tracing::enabled!(target: "arqonbus", $level) {
                let facts = signal.facts();
                tracing::event!(
                    target: "arqonbus",
                    $level,
                    signal = &*signal.kind().text(),
                    client = facts.client.map(tracing::field::display),
                    user = facts.user.map(tracing::field::display),
                    room = facts.room,
                    channel = facts.channel,
                    group = facts.group.map(tracing::field::display),
                    command = facts.command,
                    id = facts.id.map(tracing::field::display),
                    code = facts.code.as_deref(),
                    reason = facts.reason.as_deref(),
                    state = facts.state.as_deref(),
                    queued_bytes = facts.queued_bytes,
                    count = facts.count,
                    name = facts.name.map(Escaped).map(tracing::field::display),
                    agent = facts.agent.map(Escaped).map(tracing::field::display),
                    peer = facts.peer.map(tracing::field::display),
                    listen = facts.listen.map(tracing::field::display),
                    "{}", signal.kind().words()
                );
            }
        };
    }
    match signal.level() {
        Level::ERROR => event!(Level::ERROR),
        Level::WARN => event!(Level::WARN),
        Level::INFO => event!(Level::INFO),
        Level::DEBUG => event!(Level::DEBUG),
        Level::TRACE => event!(Level::TRACE),
    }
}
