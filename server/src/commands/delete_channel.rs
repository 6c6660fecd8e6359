//! `delete_channel`: the channel, its history and its memberships end.

use arqonbus_protocol::{DeleteChannelArgs, DeleteChannelResult, Deleted, EventBody, encode_event};

use crate::fanout::Delivery;
use crate::peers::letter::News;
use crate::routing::{Abroad, Asked, Home, LaneOp, Pending};
use crate::slots::Key;
use crate::storage::StoreError;
use crate::telemetry::Signal;

impl Home {
    pub(crate) fn delete(&mut self, key: Key, asked: Asked, args: Box<DeleteChannelArgs>) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        lane.flush(&mut self.egress);
        let topic = lane.topic;
        let ticket = self.ticket();
        let deleted = self.store.delete(&topic, ticket);
        self.answered(key, ticket, Pending::Op(LaneOp::Delete { asked, args }), deleted, Self::deleted);
    }

    pub(crate) fn deleted(&mut self, key: Key, pending: Pending, deleted: Result<(), StoreError>) {
        let Pending::Op(LaneOp::Delete { asked, .. }) = pending else { return };
        let Some(lane) = self.lanes.get(key) else { return };
        let topic = lane.topic;
        if let Err(error) = deleted {
            return self.refuse_store(&asked, Some(topic), &error);
        }
        let (id, members) = (lane.id, lane.members.len() as u64);
        let event: bytes::Bytes = encode_event(&EventBody::Deleted(Deleted { by: asked.who.client }), Some(&topic), &self.timestamp).into();
        lane.tell_shards(&mut self.egress, || Delivery::Ended { lane: id, event: event.clone() });
        let queued = self.remove_lane(key).map(|lane| lane.queue).unwrap_or_default();
        self.shared.telemetry.tell(&Signal::Deleted { topic, client: asked.who.client });
        self.abroad(Abroad::Tell(Box::new(News::Deleted { topic, by: asked.who.client })));
        self.egress.ok(&asked, &DeleteChannelResult { members });
        for op in queued {
            self.ask_anew(key, topic, op);
        }
    }
}
