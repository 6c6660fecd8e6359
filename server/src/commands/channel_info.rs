//! `channel_info`: one channel's members, head, and what its history holds.

use arqonbus_protocol::{ChannelInfoArgs, ChannelInfoResult, Direction, Group, GroupSummary, Retention};

use crate::routing::{Abroad, Asked, Home, LaneGroup, LaneOp, Pending};
use crate::slots::Key;
use crate::storage::{Page, ReadRange, StoreError};

impl Home {
    pub(crate) fn info(&mut self, key: Key, asked: Asked, args: Box<ChannelInfoArgs>) {
        let Some(lane) = self.lanes.get(key) else { return };
        let topic = lane.topic;
        let nothing = ReadRange { since: None, until: None, limit: 0, bytes_max: 0, direction: Direction::Forward };
        let ticket = self.ticket();
        let state = self.store.read(&topic, &nothing, self.now, ticket);
        self.answered(key, ticket, Pending::Op(LaneOp::Info { asked, args }), state, Self::read);
    }

    pub(crate) fn info_read(&mut self, key: Key, asked: Asked, page: Result<Page, StoreError>) {
        let Some(lane) = self.lanes.get(key) else { return };
        let state = match page {
            Ok(page) => page.state,
            Err(error) => return self.refuse_store(&asked, Some(lane.topic), &error),
        };
        let settings = &lane.settings;
        // What was trimmed before it was given out waits no more.
        let gone = state.first_seq.map_or(state.head.seq, |first| first - 1);
        let group = |(name, group): (&Group, &LaneGroup)| GroupSummary {
            group: *name,
            members: group.workers.len() as u64,
            pending: group.state.pending,
            lag: state.head.seq - group.state.cursor.seq.clamp(gone, state.head.seq),
        };
        let result = ChannelInfoResult {
            room: lane.topic.room,
            channel: lane.topic.channel,
            description: lane.description.clone(),
            members: lane.members.len() as u64,
            head: state.head,
            first_seq: state.first_seq,
            messages: state.messages,
            bytes: state.bytes,
            durability: lane.durability,
            retention: Retention { messages: settings.messages_max, age_ms: settings.age_ms_max, bytes: settings.bytes_max },
            groups: lane.groups.iter().map(group).collect(),
            incomplete: false,
        };
        if self.has_peers() {
            return self.abroad(Abroad::Info { asked, own: Box::new(result) });
        }
        self.egress.ok(&asked, &result);
    }
}
