//! Connections of one shard that receive the same, and what some of them are still owed of it.
//!
//! A large audience is given its messages in slices, so that others are served in between. Each member knows how far it was given;
//! whoever is to get something else meanwhile is given what it is owed first, so that nothing overtakes a slice.

use std::collections::VecDeque;

use bytes::Bytes;
use indexmap::IndexMap;
use indexmap::map::Entry;

use super::Frames;
use super::connection::Connection;
use super::segment::Segment;
use crate::hash::State;
use crate::slots::{Key, Slots};

/// A queue with room for more than so many is given back once nothing is owed.
const KEEP_OWED: usize = 4;

/// Who receives the same.
#[derive(Debug, Default)]
pub(super) struct Audience {
    /// Those before `next` are done with in this round.
    members: IndexMap<Key, Member, State>,
    next: usize,
    /// What not everybody has been given, oldest first.
    owed: VecDeque<Owed>,
    /// The number of the first of `owed`; they are counted on and on.
    first: u64,
    /// Everybody has what is numbered below this, once the round is over.
    round_end: u64,
    /// The audience ends: its last word, after everything that it is owed.
    pub(super) last_word: Option<Bytes>,
}

#[derive(Debug)]
struct Member {
    /// Ways by which it is in; a room's audience has one for each of its channels.
    ways: u32,
    /// False while the member is still being given the past.
    live: bool,
    /// It was given what is numbered below this, and what is no longer owed to anybody.
    given: u64,
}

/// What everybody gets, but one.
#[derive(Debug)]
pub(super) struct Owed {
    segment: Segment,
    except: Option<Key>,
    pub(super) bytes: usize,
}

/// What came of giving.
#[derive(Debug, Default)]
pub(crate) struct Given {
    /// Who got something.
    pub(super) to: Vec<Key>,
    /// Messages, each counted for each receiver.
    pub(super) messages: u64,
    /// Bytes of messages that nobody is owed any more.
    pub(super) settled_bytes: usize,
}

impl Owed {
    pub(super) fn new(frames: Frames, except: Option<Key>) -> Self {
        let bytes = frames.bytes();
        Self { segment: Segment::new(frames), except, bytes }
    }

    fn give(&mut self, key: Key, conn: &mut Connection) -> u64 {
        if self.except == Some(key) {
            return 0;
        }
        let frames = self.segment.frames(conn.session.batch);
        conn.push_frames(frames);
        self.segment.messages()
    }
}

impl Audience {
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether `key` is a member, and then whether it is live.
    pub(super) fn is_live(&self, key: Key) -> Option<bool> {
        self.members.get(&key).map(|member| member.live)
    }

    /// Adds a way in. What was owed before is not for whoever is new.
    pub(super) fn enter(&mut self, key: Key, live: bool) {
        let given = self.end();
        match self.members.entry(key) {
            Entry::Occupied(mut member) => member.get_mut().ways += 1,
            Entry::Vacant(place) => _ = place.insert(Member { ways: 1, live, given }),
        }
    }

    /// From now on the member gets what comes.
    pub(super) fn make_live(&mut self, key: Key) {
        let given = self.end();
        if let Some(member) = self.members.get_mut(&key) {
            (member.live, member.given) = (true, given);
        }
    }

    /// Takes one way in from a member, and the member itself where that was the last.
    pub(super) fn leave(&mut self, key: Key) {
        let Some((index, _, member)) = self.members.get_full_mut(&key) else { return };
        member.ways -= 1;
        if member.ways > 0 {
            return;
        }
        if index >= self.next {
            self.members.swap_remove_index(index);
        } else {
            // The last takes the place at which this round goes on, not one that it has passed.
            self.next -= 1;
            self.members.swap_indices(index, self.next);
            self.members.swap_remove_index(self.next);
        }
    }

    /// Whether somebody may be owed something.
    pub(super) fn is_behind(&self) -> bool {
        !self.owed.is_empty() || self.last_word.is_some()
    }

    pub(super) fn owed_bytes(&self) -> usize {
        self.owed.iter().map(|owed| owed.bytes).sum()
    }

    pub(super) fn owe(&mut self, owed: Owed) {
        if self.owed.capacity() == 0 {
            self.owed.reserve_exact(1);
        }
        self.owed.push_back(owed);
        if self.owed.len() == 1 {
            self.round_end = self.end();
        }
    }

    /// Gives the next `count` members what they are owed.
    pub(super) fn give_some(&mut self, count: usize, connections: &mut Slots<Connection>, given: &mut Given) {
        let end = self.next.saturating_add(count).min(self.members.len());
        for index in self.next..end {
            self.give(index, connections, given);
        }
        self.next = end;
        if end == self.members.len() {
            given.settled_bytes += self.end_round();
        }
    }

    /// Gives one member what it is owed.
    pub(super) fn give_to(&mut self, key: Key, connections: &mut Slots<Connection>, given: &mut Given) {
        if let Some(index) = self.members.get_index_of(&key) {
            self.give(index, connections, given);
        }
    }

    fn give(&mut self, index: usize, connections: &mut Slots<Connection>, given: &mut Given) {
        let end = self.end();
        let Some((key, member)) = self.members.get_index_mut(index) else { return };
        let from = std::mem::replace(&mut member.given, end).saturating_sub(self.first);
        let Some(conn) = connections.get_mut(*key) else { return };
        let owed = self.owed.iter_mut().skip(usize::try_from(from).unwrap_or(usize::MAX)).filter(|_| member.live);
        let messages: u64 = owed.map(|owed| owed.give(*key, conn)).sum();
        given.messages += messages;
        if messages > 0 || self.last_word.is_some() {
            given.to.push(*key);
        }
    }

    /// The number of what will be owed next.
    fn end(&self) -> u64 {
        self.first + self.owed.len() as u64
    }

    /// Begins the next round; gives the bytes that everybody has now.
    fn end_round(&mut self) -> usize {
        let done = usize::try_from(self.round_end - self.first).unwrap_or(usize::MAX);
        let settled_bytes = self.owed.drain(..done.min(self.owed.len())).map(|owed| owed.bytes).sum();
        self.first = self.round_end;
        self.round_end = self.end();
        self.next = 0;
        if self.owed.is_empty() && self.owed.capacity() > KEEP_OWED {
            self.owed = VecDeque::new();
        }
        settled_bytes
    }
}
