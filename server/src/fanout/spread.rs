//! What many receive: lanes' audiences, rooms, everyone. Small audiences are given it at once, large ones in slices.

use std::collections::VecDeque;

use arqonbus_protocol::Room;
use bytes::Bytes;

use super::audience::{Audience, Given, Owed};
use super::{Edge, Frames};
use crate::hash::Map;
use crate::routing::LaneId;
use crate::slots::Key;

/// Members who are given what they are owed before others get their turn: about a tenth of a millisecond.
pub(crate) const MEMBERS_AT_ONCE: usize = 1_024;
/// Bytes of messages that large audiences of one shard may be owed. Past it the slices follow each other without a pause, until none is
/// owed: whoever takes deliveries never waits.
pub(crate) const OWED_BYTES_MAX: usize = 1024 * 1024;

/// One of the audiences of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whom {
    /// Members of a lane.
    Lane(LaneId),
    /// Members of any lane of a room, each once.
    Room(Room),
    /// All that have a socket.
    Everyone,
}

/// Who of a shard is in which audience, and which audiences have not been given everything.
#[derive(Debug)]
pub(crate) struct Audiences {
    lanes: Map<LaneId, (Room, Audience)>,
    rooms: Map<Room, Audience>,
    everyone: Audience,
    /// In turn, each a slice at a time.
    behind: VecDeque<Whom>,
    owed_bytes: usize,
    pub(crate) at_once: usize,
    /// For reuse: most fans give to few.
    given: Given,
}

impl Default for Audiences {
    fn default() -> Self {
        Self {
            lanes: Map::default(),
            rooms: Map::default(),
            everyone: Audience::default(),
            behind: VecDeque::new(),
            owed_bytes: 0,
            at_once: MEMBERS_AT_ONCE,
            given: Given::default(),
        }
    }
}

impl Audiences {
    fn of(&mut self, whom: &Whom) -> Option<&mut Audience> {
        match whom {
            Whom::Lane(lane) => self.lanes.get_mut(lane).map(|(_, audience)| audience),
            Whom::Room(room) => self.rooms.get_mut(room),
            Whom::Everyone => Some(&mut self.everyone),
        }
    }

    /// Adds a member that is not live yet to a lane.
    pub(super) fn enter(&mut self, lane: LaneId, room: Room, key: Key) {
        let (_, audience) = self.lanes.entry(lane).or_insert_with(|| (room, Audience::default()));
        audience.enter(key, false);
        self.rooms.entry(room).or_default().enter(key, true);
    }

    pub(super) fn leave(&mut self, lane: LaneId, key: Key) {
        let Some((room, audience)) = self.lanes.get_mut(&lane) else { return };
        if audience.is_live(key).is_none() {
            return;
        }
        let room = *room;
        audience.leave(key);
        if audience.is_empty() {
            self.owed_bytes -= audience.owed_bytes();
            self.lanes.remove(&lane);
        }
        let Some(audience) = self.rooms.get_mut(&room) else { return };
        audience.leave(key);
        if audience.is_empty() {
            self.owed_bytes -= audience.owed_bytes();
            self.rooms.remove(&room);
        }
    }

    /// Whether `key` is in a lane, and then whether it is live.
    pub(super) fn is_live(&self, lane: LaneId, key: Key) -> Option<bool> {
        self.lanes.get(&lane)?.1.is_live(key)
    }

    pub(super) fn make_live(&mut self, lane: LaneId, key: Key) {
        if let Some((_, audience)) = self.lanes.get_mut(&lane) {
            audience.make_live(key);
        }
    }

    /// A connection that receives what it did not ask for has come.
    pub(crate) fn come(&mut self, key: Key) {
        self.everyone.enter(key, true);
    }

    /// It has gone.
    pub(crate) fn go(&mut self, key: Key) {
        self.everyone.leave(key);
    }

    /// Whether some are owed something.
    pub(crate) fn are_behind(&self) -> bool {
        !self.behind.is_empty()
    }

    /// Bytes of messages that some are owed.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn owed_bytes(&self) -> usize {
        self.owed_bytes
    }
}

impl Edge {
    pub(super) fn fan(&mut self, lane: LaneId, frames: Frames, except: Option<Key>) {
        self.spread(Whom::Lane(lane), Owed::new(frames, except));
    }

    pub(super) fn room(&mut self, room: Room, body: &[u8], except: Option<Key>) {
        self.spread(Whom::Room(room), Owed::new(Frames::of(body), except));
    }

    pub(super) fn everyone(&mut self, body: &[u8], except: Option<Key>) {
        self.spread(Whom::Everyone, Owed::new(Frames::of(body), except));
    }

    /// A lane is no more: its members are told after everything else.
    pub(super) fn ended(&mut self, lane: LaneId, event: Bytes) {
        let Some(audience) = self.audiences.of(&Whom::Lane(lane)) else { return };
        let was_behind = audience.is_behind();
        audience.last_word = Some(event);
        self.begin_slices(Whom::Lane(lane), was_behind);
    }

    fn spread(&mut self, whom: Whom, owed: Owed) {
        let Some(audience) = self.audiences.of(&whom) else { return };
        let was_behind = audience.is_behind();
        let bytes = owed.bytes;
        audience.owe(owed);
        self.audiences.owed_bytes += bytes;
        self.begin_slices(whom, was_behind);
        while self.audiences.owed_bytes > OWED_BYTES_MAX && self.audiences.are_behind() {
            self.next_slice();
        }
    }

    /// Gives the first slice; what is left follows in turn.
    fn begin_slices(&mut self, whom: Whom, was_behind: bool) {
        if !was_behind && self.slice(whom) {
            self.audiences.behind.push_back(whom);
        }
    }

    /// Gives one slice of one of the audiences that are behind.
    pub(crate) fn next_slice(&mut self) {
        if let Some(whom) = self.audiences.behind.pop_front()
            && self.slice(whom)
        {
            self.audiences.behind.push_back(whom);
        }
    }

    /// Gives the next members of an audience what they are owed; gives whether more are owed something.
    fn slice(&mut self, whom: Whom) -> bool {
        let (count, mut given) = (self.audiences.at_once, std::mem::take(&mut self.audiences.given));
        let Some(audience) = self.audiences.of(&whom) else { return false };
        audience.give_some(count, &mut self.connections, &mut given);
        let last_word = audience.last_word.clone();
        self.see_to(&mut given, whom, last_word.as_ref());
        self.audiences.given = given;
        self.audiences.of(&whom).is_some_and(|audience| audience.is_behind())
    }

    /// Gives a connection everything that audiences owe it, before it gets something else.
    pub(super) fn settle(&mut self, key: Key) {
        for at in 0..self.audiences.behind.len() {
            let Some(whom) = self.audiences.behind.get(at).copied() else { return };
            let mut given = Given::default();
            let Some(audience) = self.audiences.of(&whom) else { continue };
            audience.give_to(key, &mut self.connections, &mut given);
            let last_word = audience.last_word.clone();
            self.see_to(&mut given, whom, last_word.as_ref());
        }
    }

    /// Sees to those who were given something.
    fn see_to(&mut self, given: &mut Given, whom: Whom, last_word: Option<&Bytes>) {
        self.messages_out += std::mem::take(&mut given.messages);
        self.audiences.owed_bytes -= std::mem::take(&mut given.settled_bytes);
        for key in given.to.drain(..) {
            if let (Whom::Lane(lane), Some(event)) = (whom, last_word) {
                self.forget_lane(lane, key);
                self.to(key, event);
            } else {
                self.touched(key);
            }
        }
    }
}
