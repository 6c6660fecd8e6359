//! Telemetry as its two audiences see it: who scrapes, and who listens on the bus.

use arqonbus_protocol::{COMMANDS, CloseCode, ErrorCode, GapReason, StorageState};
use serde_json::{Value, json};

use super::*;

fn telemetry(queue: usize) -> (Telemetry, mpsc::Receiver<Activity>) {
    let config = config::Telemetry { queue, ..config::Telemetry::default() };
    let (telemetry, stream) = Telemetry::new(Arc::default(), &config);
    (telemetry, stream.unwrap())
}

fn topic(text: &str) -> Topic {
    text.parse().unwrap()
}

fn client() -> arqonbus_protocol::ClientId {
    "c_00000000".parse().unwrap()
}

/// The value of one sample in the exposition.
fn sample(metrics: &Metrics, series: &str) -> String {
    let text = metrics.render();
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{series} is missing")).to_owned()
}

#[test]
fn the_exposition_is_well_formed() {
    let metrics = Metrics::default();
    let text = metrics.render();
    let (mut announced, mut samples) = (None::<&str>, 0);
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(name.starts_with("arqonbus_") && help.ends_with('.'), "{line}");
            announced = Some(name);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(Some(name), announced);
            assert!(["counter", "gauge", "histogram"].contains(&kind));
            assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
        } else {
            assert!(line.starts_with(announced.unwrap()), "{line}");
            assert!(line.rsplit_once(' ').unwrap().1.parse::<f64>().is_ok(), "{line}");
            samples += 1;
        }
    }
    assert!(samples > 100, "{samples}");
}

#[test]
fn the_histogram_is_cumulative_and_in_seconds() {
    let metrics = Metrics::default();
    metrics.publish_latency.observe_us(50);
    metrics.publish_latency.observe_many_us(51, 98);
    metrics.publish_latency.observe_us(9_000_000);
    assert_eq!(sample(&metrics, "arqonbus_publish_latency_seconds_bucket{le=\"0.00005\"}"), "1");
    assert_eq!(sample(&metrics, "arqonbus_publish_latency_seconds_bucket{le=\"0.0001\"}"), "99");
    assert_eq!(sample(&metrics, "arqonbus_publish_latency_seconds_bucket{le=\"5\"}"), "99");
    assert_eq!(sample(&metrics, "arqonbus_publish_latency_seconds_bucket{le=\"+Inf\"}"), "100");
    assert_eq!(sample(&metrics, "arqonbus_publish_latency_seconds_sum"), "9.005048");
    assert_eq!(sample(&metrics, "arqonbus_publish_latency_seconds_count"), "100");
    let snapshot = metrics.snapshot().publish_latency;
    assert_eq!((snapshot.count, snapshot.p50_us, snapshot.p99_us), (100, 100, 100));
    assert_eq!(Metrics::default().snapshot().publish_latency.p99_us, 0);
}

#[test]
fn batched_changes_of_shards_add_up() {
    let metrics = Metrics::default();
    metrics.joins.add(5);
    metrics.joins.add(-7);
    assert_eq!(metrics.joins.value(), 0);
    metrics.joins.add(4);
    assert_eq!(metrics.joins.value(), 2);
    metrics.history_bytes.set(u64::MAX);
    assert_eq!(metrics.history_bytes.value(), i64::MAX as u64);
    metrics.commands.add(&COMMANDS[1], 3);
    assert_eq!(sample(&metrics, "arqonbus_commands_total{command=\"ping\"}"), "3");
    assert_eq!(sample(&metrics, "arqonbus_commands_total{command=\"connect\"}"), "0");
}

#[test]
fn a_signal_is_counted_once_where_it_belongs() {
    let (telemetry, _stream) = telemetry(64);
    for signal in [
        Signal::Connected { client: client(), peer: None },
        Signal::Connected { client: client(), peer: None },
        Signal::Disconnected { client: client(), user: None, ended: CloseCode::SlowConsumer.into() },
        Signal::Refused { client: None, topic: None, command: None, id: None, code: ErrorCode::Forbidden },
        Signal::Gap { client: client(), topic: topic("a:b"), reason: GapReason::Trimmed },
        Signal::DedupEvicted { ids: 7 },
        Signal::Storage { state: StorageState::Degraded },
        Signal::TurnedAway { reason: TurnedAway::Origin },
        Signal::SlowConsumer { client: client(), user: None, queued_bytes: 9 },
        Signal::Forgotten { topic: topic("a:b") },
        Signal::AcceptPaused,
    ] {
        telemetry.tell(&signal);
    }
    for (series, value) in [
        ("connections", "1"),
        ("connections_total", "2"),
        ("closes_total{code=\"4100\"}", "1"),
        ("errors_total{code=\"forbidden\"}", "1"),
        ("gaps_total{reason=\"trimmed\"}", "1"),
        ("dedup_evicted_total", "7"),
        ("storage_state{state=\"degraded\"}", "1"),
        ("storage_state{state=\"healthy\"}", "0"),
        ("refused_connections_total{reason=\"origin\"}", "1"),
        ("slow_consumers_total", "1"),
        ("topics_forgotten_total", "1"),
        ("accept_pauses_total", "1"),
        ("signals_total{signal=\"connected\"}", "2"),
    ] {
        assert_eq!(sample(telemetry.metrics(), &format!("arqonbus_{series}")), value, "{series}");
    }
}

#[test]
fn activity_says_who_and_where_and_keeps_addresses_to_itself() {
    let (telemetry, mut stream) = telemetry(8);
    let joined = Signal::Joined { client: client(), user: Some("ada".parse().unwrap()), joined: topic("science:explore").into() };
    telemetry.tell(&joined);
    telemetry.tell(&Signal::Connected { client: client(), peer: Some(([192, 0, 2, 1], 4).into()) });
    let next = |stream: &mut mpsc::Receiver<Activity>| stream.try_recv().unwrap();
    let first = next(&mut stream);
    assert_eq!(first.topic, topic("_telemetry:activity"));
    let payload: Value = serde_json::from_str(&first.payload).unwrap();
    assert_eq!(payload, json!({ "signal": "joined", "client": "c_00000000", "user": "ada", "room": "science", "channel": "explore" }));
    assert!(!next(&mut stream).payload.contains("192.0.2.1"));
}

#[test]
fn a_full_queue_drops_and_counts_and_nobody_waits() {
    let (telemetry, mut stream) = telemetry(2);
    for _ in 0..5 {
        telemetry.tell(&Signal::DedupEvicted { ids: 1 });
    }
    assert_eq!(telemetry.metrics().telemetry_dropped.value(SignalKind::DedupEvicted), 3);
    assert_eq!(telemetry.metrics().dedup_evicted.value(), 5);
    assert!(stream.try_recv().is_ok() && stream.try_recv().is_ok() && stream.try_recv().is_err());
}

#[test]
fn the_telemetry_room_does_not_tell_about_itself() {
    let (telemetry, mut stream) = telemetry(8);
    telemetry.tell(&Signal::Created { topic: topic("_telemetry:activity"), client: None });
    telemetry.tell(&Signal::Forgotten { topic: topic("_telemetry:metrics") });
    assert!(stream.try_recv().is_err());
    telemetry.tell(&Signal::Created { topic: topic("a:b"), client: None });
    assert!(stream.try_recv().is_ok());
}

#[test]
fn a_room_called_off_is_none() {
    let config = config::Telemetry { room: "off".into(), ..config::Telemetry::default() };
    let (telemetry, stream) = Telemetry::new(Arc::default(), &config);
    assert!(stream.is_none() && telemetry.snapshot().is_none());
    telemetry.tell(&Signal::AcceptPaused);
    assert_eq!(telemetry.metrics().accept_pauses.value(), 1);
}

#[test]
fn a_snapshot_holds_every_metric_and_only_labels_that_count() {
    let (telemetry, _stream) = telemetry(8);
    telemetry.metrics().messages_in.add(3);
    telemetry.metrics().errors.add(ErrorCode::TooDeep, 2);
    let snapshot = telemetry.snapshot().unwrap();
    assert_eq!(snapshot.topic, topic("_telemetry:metrics"));
    let payload: Value = serde_json::from_str(&snapshot.payload).unwrap();
    assert_eq!(payload["messages_in"], 3);
    assert_eq!(payload["errors"], json!({ "too_deep": 2 }));
    assert_eq!(payload["storage_state"], "healthy");
    assert_eq!(payload["publish_latency"]["count"], 0);
}
