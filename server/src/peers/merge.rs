//! One answer of this node out of the parts of its shards.

use std::collections::{BTreeMap, HashSet};

use arqonbus_protocol::{ChannelInfoResult, GroupSummary, NodeStatus, Room};

use super::letter::{Answer, GroupHere, Question, RoomPart};
use crate::commands::{merge_status, page_len};
use crate::fanout::{Part, StatusPart};
use crate::shared::Shared;

/// `None` where the parts are not of the question.
pub(super) fn answer(shared: &Shared, question: &Question, parts: Vec<Part>) -> Option<Answer> {
    match question {
        Question::Rooms(args) => {
            let parts = parts.into_iter().filter_map(|part| if let Part::Rooms(rooms) = part { Some(rooms) } else { None });
            let mut rooms = rooms(parts.flatten());
            // One more than a page: whoever merges sees that there is a next one.
            rooms.truncate(page_len(args.limit) + 1);
            Some(Answer::Rooms(rooms))
        }
        Question::Channels(args) => {
            let parts = parts.into_iter().filter_map(|part| if let Part::Channels(channels) = part { Some(channels) } else { None });
            let mut channels: Vec<_> = parts.flatten().collect();
            channels.sort_unstable_by_key(|channel| channel.channel);
            channels.truncate(page_len(args.limit) + 1);
            Some(Answer::Channels(channels))
        }
        Question::Status => {
            let parts: Vec<StatusPart> =
                parts.into_iter().filter_map(|part| if let Part::Status(status) = part { Some(status) } else { None }).collect();
            Some(Answer::Status(Box::new(node_status(shared, &parts))))
        }
        Question::Topics(_) => {
            let mut topics = Vec::new();
            for part in parts {
                if let Part::Peer(answer) = part
                    && let Answer::Topics(some) = *answer
                {
                    topics.extend(some);
                }
            }
            Some(Answer::Topics(topics))
        }
        Question::Members(_) | Question::Watch { .. } | Question::Deliver(_) | Question::Kick(_) | Question::Ended { .. } => {
            parts.into_iter().find_map(|part| if let Part::Peer(answer) = part { Some(*answer) } else { None })
        }
    }
}

/// This node, for the list of all.
pub(crate) fn node_status(shared: &Shared, parts: &[StatusPart]) -> NodeStatus {
    let status = merge_status(shared, parts);
    NodeStatus {
        node: status.node,
        version: status.version,
        state: status.state,
        uptime_ms: status.uptime_ms,
        connections: status.connections,
        joins: status.joins,
        storage: status.storage.state,
    }
}

/// Adds what other nodes know of a channel's groups: members are of each node, and of the rest the latest word counts. Within an epoch the cursor only
/// goes on, and with one cursor what is pending only becomes less.
pub(super) fn groups<'a>(own: &mut ChannelInfoResult, abroad: impl Iterator<Item = &'a GroupHere>) {
    let gone = own.first_seq.map_or(own.head.seq, |first| first - 1);
    for there in abroad {
        let at = if there.cursor.epoch == own.head.epoch { there.cursor.seq.clamp(gone, own.head.seq) } else { gone };
        let found = GroupSummary { group: there.group, members: there.members, pending: there.pending, lag: own.head.seq - at };
        match own.groups.iter_mut().find(|group| group.group == there.group) {
            Some(group) => {
                group.members += found.members;
                (group.lag, group.pending) = (group.lag, group.pending).min((found.lag, found.pending));
            }
            None => own.groups.push(found),
        }
    }
    own.groups.sort_unstable_by_key(|group| group.group);
}

/// Parts of rooms added up, by name: members are of each part, and a channel that is in several parts counts once.
pub(crate) fn rooms(parts: impl IntoIterator<Item = RoomPart>) -> Vec<RoomPart> {
    let mut rooms: BTreeMap<Room, (RoomPart, HashSet<u64>)> = BTreeMap::new();
    for part in parts {
        let (room, names) =
            rooms.entry(part.room).or_insert_with(|| (RoomPart { room: part.room, members: 0, channels: 0, names: Vec::new() }, HashSet::new()));
        room.members += part.members;
        room.channels += if part.names.is_empty() { part.channels } else { 0 };
        names.extend(part.names);
    }
    let finish = |(mut room, names): (RoomPart, HashSet<u64>)| {
        room.channels += names.len() as u64;
        room.names = names.into_iter().collect();
        room
    };
    rooms.into_values().map(finish).collect()
}
