//! `status`: every home gives its counts; one place adds them up.

use std::collections::BTreeSet;

use arqonbus_protocol::{ServerState, StatusResult, StorageState, StorageStatus};

use crate::fanout::{Part, StatusPart};
use crate::routing::{Asked, Home};
use crate::shared::Shared;

impl Home {
    pub(crate) fn status(&mut self, asked: &Asked, gather: u32) {
        let held = self.store.status();
        let rooms: BTreeSet<_> = self.by_topic.keys().map(|topic| topic.room).collect();
        let part = StatusPart {
            rooms: rooms.into_iter().collect(),
            channels: self.by_topic.len() as u64,
            joins: self.lanes.iter().map(|(_, lane)| lane.members.len() as u64).sum(),
            held_messages: held.messages,
            held_bytes: held.bytes,
            storage: Some((self.store.kind(), held.state)),
        };
        self.egress.part(asked.conn, gather, Part::Status(part));
    }
}

/// Adds the parts up.
pub(crate) fn merge(shared: &Shared, parts: &[StatusPart]) -> StatusResult {
    let rooms: BTreeSet<_> = parts.iter().flat_map(|part| &part.rooms).collect();
    let sum = |count: fn(&StatusPart) -> u64| parts.iter().map(count).sum();
    let metrics = &shared.metrics;
    let storage = parts.iter().filter_map(|part| part.storage);
    StatusResult {
        version: env!("CARGO_PKG_VERSION").into(),
        node: shared.node,
        state: if shared.draining_ms().is_some() { ServerState::Draining } else { ServerState::Ready },
        uptime_ms: shared.clock.now().0,
        connections: metrics.connections.value(),
        rooms: rooms.len() as u64,
        channels: sum(|part| part.channels),
        joins: sum(|part| part.joins),
        messages_in: metrics.messages_in.value(),
        messages_out: metrics.messages_out.value(),
        queued_bytes: metrics.outbox_bytes.value(),
        storage: StorageStatus {
            kind: storage.clone().next().map_or("memory", |(kind, _)| kind).into(),
            state: storage.map(|(_, state)| state).max_by_key(|state| state.severity()).unwrap_or(StorageState::Healthy),
            messages: sum(|part| part.held_messages),
            bytes: sum(|part| part.held_bytes),
        },
        nodes: Vec::new(),
        incomplete: false,
    }
}
