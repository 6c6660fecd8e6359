//! Every number that the bus tells about itself, in one struct.

use std::fmt::Write as _;

use arqonbus_protocol::{CommandSpec, ErrorCode, GapReason, StorageState};
use serde::Serialize;

use super::instruments::{Counter, Family, Gauge, Histogram, Instrument, State};
use super::labels::{Ended, Returned, TurnedAway};
use super::signal::SignalKind;

/// Defines the struct, its snapshot, its exposition and its reference from one list.
macro_rules! metrics {
    ($($(#[doc = $help:literal])+ $field:ident: $instrument:ty = $name:literal $unit:literal,)+) => {
        /// The metrics of one bus. Each may be touched from any thread at the price of one relaxed atomic addition.
        ///
        /// What a [`Signal`](super::Signal) counts is counted by [`Telemetry::tell`](super::Telemetry::tell) alone; its field says so.
        #[derive(Debug, Default)]
        pub struct Metrics { $($(#[doc = $help])+ pub $field: $instrument,)+ }

        /// All metrics at one instant, as they are published on the telemetry room. Labels that count 0 are left out.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        pub struct MetricsSnapshot { $($(#[doc = $help])+ pub $field: <$instrument as Instrument>::Snapshot,)+ }

        impl Metrics {
            /// The present values, for the telemetry room.
            #[must_use]
            pub fn snapshot(&self) -> MetricsSnapshot {
                MetricsSnapshot { $($field: self.$field.snapshot(),)+ }
            }

            /// The present values in the text format of Prometheus (version 0.0.4).
            #[must_use]
            pub fn render(&self) -> String {
                let mut out = String::with_capacity(16 * 1024);
                $(expose(&self.$field, $name, concat!($($help),+), &mut out);)+
                out
            }

            /// The reference of all metrics, as Markdown.
            #[must_use]
            pub fn reference() -> String {
                let mut out = String::from(REFERENCE_HEAD);
                $(describe::<$instrument>($name, stringify!($field), $unit, concat!($($help),+), &mut out);)+
                out
            }
        }
    };
}

metrics! {
    /// Open connections. Kept by `tell`.
    connections: Gauge = "arqonbus_connections" "connections",
    /// Connections since the start. Kept by `tell`.
    connections_opened: Counter = "arqonbus_connections_total" "connections",
    /// Connections that were refused before they became a session. Kept by `tell`.
    refused_connections: Family<TurnedAway> = "arqonbus_refused_connections_total" "connections",
    /// Ended connections by close code; `peer` where the peer closed, `lost` where the socket failed. Kept by `tell`.
    closes: Family<Ended> = "arqonbus_closes_total" "connections",
    /// Rooms with at least one channel.
    rooms: Gauge = "arqonbus_rooms" "rooms",
    /// Channels.
    channels: Gauge = "arqonbus_channels" "channels",
    /// Joined topics of all connections.
    joins: Gauge = "arqonbus_joins" "joins",
    /// Messages taken from clients.
    messages_in: Counter = "arqonbus_messages_in_total" "messages",
    /// Messages delivered to clients; one for each receiver.
    messages_out: Counter = "arqonbus_messages_out_total" "messages",
    /// Bytes read from clients.
    bytes_in: Counter = "arqonbus_bytes_in_total" "bytes",
    /// Bytes written to clients.
    bytes_out: Counter = "arqonbus_bytes_out_total" "bytes",
    /// Commands taken from clients.
    commands: Family<&'static CommandSpec> = "arqonbus_commands_total" "commands",
    /// Requests refused, by error code. Kept by `tell`.
    errors: Family<ErrorCode> = "arqonbus_errors_total" "requests",
    /// Bytes that wait in the outboxes of all connections.
    outbox_bytes: Gauge = "arqonbus_outbox_bytes" "bytes",
    /// Connections closed because they read too slowly. Kept by `tell`.
    slow_consumers: Counter = "arqonbus_slow_consumers_total" "connections",
    /// Gaps told to subscribers, by reason. Kept by `tell`.
    gaps: Family<GapReason> = "arqonbus_gaps_total" "gaps",
    /// Jobs given to members of work groups; one for each time.
    jobs: Counter = "arqonbus_jobs_total" "jobs",
    /// Jobs acknowledged.
    jobs_settled: Counter = "arqonbus_jobs_settled_total" "jobs",
    /// Jobs that came back to their group, by reason. Kept by `tell`.
    jobs_redelivered: Family<Returned> = "arqonbus_jobs_redelivered_total" "jobs",
    /// Dead jobs published as dead letters. Kept by `tell`.
    dead_letters: Counter = "arqonbus_dead_letters_total" "jobs",
    /// Dead jobs that were published nowhere, and jobs of groups that were forgotten. Kept by `tell`.
    jobs_discarded: Counter = "arqonbus_jobs_discarded_total" "jobs",
    /// From a publish being read to its ack or delivery being queued.
    publish_latency: Histogram = "arqonbus_publish_latency_seconds" "seconds",
    /// Messages held as history.
    history_messages: Gauge = "arqonbus_history_messages" "messages",
    /// Bytes held as history.
    history_bytes: Gauge = "arqonbus_history_bytes" "bytes",
    /// Message ids forgotten before their window was over, because too many were remembered. Kept by `tell`.
    dedup_evicted: Counter = "arqonbus_dedup_evicted_total" "ids",
    /// Idle empty topics forgotten. Kept by `tell`.
    topics_forgotten: Counter = "arqonbus_topics_forgotten_total" "topics",
    /// Notices between nodes that could not be read, and were dropped.
    notices_malformed: Counter = "arqonbus_notices_malformed_total" "notices",
    /// Times that a message of another node did not come by itself, and was read from the store.
    feed_holes: Counter = "arqonbus_feed_holes_total" "holes",
    /// Topics that went on in memory because the shared store was away.
    degraded_topics: Counter = "arqonbus_degraded_topics_total" "topics",
    /// Messages taken while the shared store was away that it will not get: there was no room to keep them for it.
    outage_lost: Counter = "arqonbus_outage_lost_total" "messages",
    /// Acknowledged messages that the shared store had lost, and that were put back.
    acked_restored: Counter = "arqonbus_acked_restored_total" "messages",
    /// Acknowledged messages that the shared store had lost, and that could not be put back.
    acked_lost: Counter = "arqonbus_acked_lost_total" "messages",
    /// Which state the store is in: 1 for that one. Kept by `tell`.
    storage_state: State<StorageState> = "arqonbus_storage_state" "1",
    /// Nodes that live, this one included; 0 where the store is not shared.
    nodes: Gauge = "arqonbus_nodes" "nodes",
    /// Answers of other nodes that did not come in time.
    node_answers_missing: Counter = "arqonbus_node_answers_missing_total" "answers",
    /// Letters of other nodes that could not be read and were dropped.
    node_letters_malformed: Counter = "arqonbus_node_letters_malformed_total" "letters",
    /// Things for other nodes that could not be sent, because Redis did not take them or too much waited for it.
    node_letters_failed: Counter = "arqonbus_node_letters_failed_total" "letters",
    /// Requests on the HTTP surface; WebSocket handshakes are not counted here.
    http_requests: Counter = "arqonbus_http_requests_total" "requests",
    /// Times that accepting paused because no file descriptor was left. Kept by `tell`.
    accept_pauses: Counter = "arqonbus_accept_pauses_total" "pauses",
    /// Signals told, by kind. Kept by `tell`.
    signals: Family<SignalKind> = "arqonbus_signals_total" "signals",
    /// Activity events that found the telemetry queue full and were dropped, by kind. Kept by `tell`.
    telemetry_dropped: Family<SignalKind> = "arqonbus_telemetry_dropped_total" "events",
}

/// The help text without what only callers of the library need.
fn for_operators(help: &str) -> &str {
    help.trim().trim_end_matches("Kept by `tell`.").trim_end()
}

fn expose<I: Instrument>(instrument: &I, name: &str, help: &str, out: &mut String) {
    writeln!(out, "# HELP {name} {}\n# TYPE {name} {}", for_operators(help), I::KIND).expect("a string takes everything");
    instrument.expose(name, out).expect("a string takes everything");
}

fn describe<I: Instrument>(name: &str, key: &str, unit: &str, help: &str, out: &mut String) {
    let labels = I::LABEL.map_or_else(String::new, |label| format!("`{label}`"));
    writeln!(out, "| `{name}` | `{key}` | {} | {unit} | {labels} | {} |", I::KIND, for_operators(help)).expect("a string takes everything");
}

const REFERENCE_HEAD: &str = "\
# Metrics

<!-- Generated: `arqonbus config reference --metrics > docs/reference/metrics.md`. -->

`GET /metrics` on the admin listener gives these in the text format of Prometheus. Labels come from closed lists and never hold what a client sent:
error codes, close codes and commands are those of the protocol reference. The same values are published on the telemetry room, every
`telemetry.snapshot_ms`, as one JSON object under the keys below.

| name | key | type | unit | label | meaning |
|---|---|---|---|---|---|
";
