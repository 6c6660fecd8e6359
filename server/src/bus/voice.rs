//! The bus speaks on itself: activity and snapshots, published on the telemetry room like any message.

use std::sync::Arc;
use std::time::Duration;

use arqonbus_protocol::{Delivery, DeliveryHead, RawJson, Target};
use tokio::sync::mpsc;

use crate::routing::{Asked, ConnId, Op, PublishOp};
use crate::session::Identity;
use crate::shard::Control;
use crate::shared::Shared;
use crate::slots::Key;
use crate::storage::Entry;
use crate::telemetry::Activity;

/// Publishes `stream`, and a snapshot every so often, until the shards are gone.
pub(super) async fn speak(shared: Arc<Shared>, shards: Vec<mpsc::Sender<Control>>, mut stream: mpsc::Receiver<Activity>) {
    let node = Arc::new(Identity::bare(shared.node));
    let snapshot_ms = shared.config.telemetry.snapshot_ms;
    let mut timer = tokio::time::interval(Duration::from_millis(if snapshot_ms == 0 { u64::from(u32::MAX) } else { snapshot_ms }));
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    timer.tick().await;
    loop {
        let activity = tokio::select! {
            activity = stream.recv() => match activity {
                Some(activity) => activity,
                None => return,
            },
            _ = timer.tick() => match shared.telemetry.snapshot() {
                Some(snapshot) => snapshot,
                None => continue,
            },
        };
        let home = usize::from(shared.homes.of_topic(&activity.topic));
        let op = message(&shared, &node, &activity);
        if shards[home].send(Control::Ask(op)).await.is_err() {
            return;
        }
    }
}

fn message(shared: &Shared, node: &Arc<Identity>, activity: &Activity) -> Op {
    let timestamp = shared.clock.timestamp();
    let id = shared.message_id(timestamp);
    let target = Target::Topic(activity.topic);
    let head = DeliveryHead {
        id,
        target,
        sender: shared.node,
        user: None,
        timestamp,
        position: None,
        reply_to: None,
        correlation_id: None,
        exclude_sender: false,
    };
    let entry = Entry::encode(&Delivery { head, headers: None, payload: RawJson::from_encoder(&activity.payload), job: None });
    // Nobody waits for an answer, so it goes to no connection.
    let asked = Asked { conn: ConnId { shard: 0, key: Key::NOBODY }, who: Arc::clone(node), request_id: id, command: None };
    let publish = PublishOp {
        asked,
        target,
        entry,
        fingerprint: None,
        request: false,
        ack: false,
        exclude_sender: false,
        asked_abroad: false,

        received_us: 0,
        then: None,
    };
    Op::Send(Box::new(publish))
}
