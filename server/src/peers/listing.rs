//! Lists: what other nodes have open, and then what Redis holds beside it.

use arqonbus_protocol::ChannelSummary;

use super::Peers;
use super::asks::Then;
use super::letter::{Question, RoomPart};
use super::lookups::{AfterRedis, Lookup};
use crate::fanout::{Delivery, ForeignPart, Part};
use crate::hash::hash_of_name;
use crate::routing::ConnId;
use crate::storage::redis::store::listing::{Listed, Listing};

impl Peers {
    /// Begins the part of a page that is not here.
    pub(super) fn list(&mut self, conn: ConnId, gather: u32, listing: Listing) {
        let question = match &listing {
            Listing::Rooms(args) => Question::Rooms(args.clone()),
            Listing::Channels(args) => Question::Channels(args.clone()),
        };
        self.begin(question, Then::List { conn, gather, listing });
    }

    /// The nodes have answered: what does Redis hold?
    pub(super) fn listed_by_nodes(&mut self, conn: ConnId, gather: u32, listing: Listing, part: Box<ForeignPart>) {
        if !self.reachable {
            return self.give(conn, gather, part);
        }
        self.look_up(Lookup::List(listing.clone()), AfterRedis::Listed { conn, gather, listing, part });
    }

    /// Redis holds this much of a list besides; nothing, and not all, where it has not said.
    pub(super) fn listed_by_redis(&mut self, conn: ConnId, gather: u32, listing: &Listing, mut part: Box<ForeignPart>, held: Listed) {
        let Listed { topics, complete } = held;
        part.incomplete |= !complete;
        for (topic, head) in topics {
            match listing {
                Listing::Rooms(_) => {
                    let names = vec![hash_of_name(topic.channel.as_bytes())];
                    part.rooms.push(RoomPart { room: topic.room, members: 0, channels: 1, names });
                }
                Listing::Channels(_) => part.channels.push(ChannelSummary { channel: topic.channel, description: None, members: 0, head }),
            }
        }
        self.give(conn, gather, part);
    }

    /// Gives an edge here the part that it waits for.
    pub(super) fn give(&mut self, conn: ConnId, gather: u32, part: Box<ForeignPart>) {
        self.deliveries[usize::from(conn.shard)].push(Delivery::Part { conn: conn.key, gather, part: Part::Foreign(part) });
    }
}
