//! `list_rooms`: every home gives its part of the page; one place merges them.

use std::collections::BTreeMap;

use arqonbus_protocol::{ListRoomsArgs, ListRoomsResult, Room, RoomSummary};

use super::cut;
use crate::fanout::Part;
use crate::hash::hash_of_name;
use crate::peers::letter::RoomPart;
use crate::peers::rooms;
use crate::routing::{Asked, Home};

impl Home {
    pub(crate) fn list_rooms(&mut self, asked: &Asked, gather: u32, args: &ListRoomsArgs) {
        let mut rooms: BTreeMap<Room, RoomPart> = BTreeMap::new();
        let several = self.has_peers();
        for (topic, key) in self.by_topic.iter().filter(|(topic, _)| args.after.is_none_or(|after| topic.room > after)) {
            let room = rooms.entry(topic.room).or_insert_with(|| RoomPart { room: topic.room, channels: 0, members: 0, names: Vec::new() });
            room.channels += 1;
            if several {
                room.names.push(hash_of_name(topic.channel.as_bytes()));
            }
            room.members += self.lanes.get(*key).map_or(0, |lane| lane.members.len() as u64);
        }
        // Not cut here: a room's channels live on several shards, and its sums are only right once all are in.
        self.egress.part(asked.conn, gather, Part::Rooms(rooms.into_values().collect()));
    }
}

/// Merges the parts into one page.
pub(crate) fn merge(args: &ListRoomsArgs, parts: Vec<RoomPart>, incomplete: bool) -> ListRoomsResult {
    let summary = |part: RoomPart| RoomSummary { room: part.room, channels: part.channels, members: part.members };
    let mut rooms: Vec<RoomSummary> = rooms(parts).into_iter().map(summary).collect();
    let next = cut(&mut rooms, args.limit, |room| room.room);
    ListRoomsResult { rooms, next, incomplete }
}
