//! `list_rooms`: every home gives its part of the page; one place merges them.

use std::collections::BTreeMap;

use arqonbus_protocol::{ListRoomsArgs, ListRoomsResult, Room, RoomSummary};

use super::cut;
use crate::fanout::Part;
use crate::routing::{Asked, Home};

impl Home {
    pub(crate) fn list_rooms(&mut self, asked: &Asked, gather: u32, args: &ListRoomsArgs) {
        let mut rooms: BTreeMap<Room, RoomSummary> = BTreeMap::new();
        for (topic, key) in self.by_topic.iter().filter(|(topic, _)| args.after.is_none_or(|after| topic.room > after)) {
            let room = rooms.entry(topic.room).or_insert(RoomSummary { room: topic.room, channels: 0, members: 0 });
            room.channels += 1;
            room.members += self.lanes.get(*key).map_or(0, |lane| lane.members.len() as u64);
        }
        // Not cut here: a room's channels live on several shards, and its sums are only right once all are in.
        self.egress.part(asked.conn, gather, Part::Rooms(rooms.into_values().collect()));
    }
}

/// Merges the parts into one page.
pub(crate) fn merge(args: &ListRoomsArgs, parts: Vec<RoomSummary>) -> ListRoomsResult {
    let mut rooms: BTreeMap<Room, RoomSummary> = BTreeMap::new();
    for part in parts {
        let room = rooms.entry(part.room).or_insert(RoomSummary { room: part.room, channels: 0, members: 0 });
        room.channels += part.channels;
        room.members += part.members;
    }
    let mut rooms: Vec<RoomSummary> = rooms.into_values().collect();
    let next = cut(&mut rooms, args.limit, |room| room.room);
    ListRoomsResult { rooms, next }
}
