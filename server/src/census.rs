//! How many channels and rooms there are, over all shards. Looked at only when a channel comes or goes.

use std::sync::{Mutex, MutexGuard, PoisonError};

use arqonbus_protocol::{Room, Topic};

use crate::hash::Map;

/// Channels and rooms of the whole bus.
#[derive(Debug, Default)]
pub(crate) struct Census(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    channels: usize,
    /// Channels by room.
    rooms: Map<Room, usize>,
}

impl Census {
    /// Counts a channel that comes to be; false where there are `channels_max` already.
    pub(crate) fn admit(&self, topic: &Topic, channels_max: usize) -> bool {
        let mut counts = self.lock();
        if counts.channels >= channels_max {
            return false;
        }
        counts.channels += 1;
        *counts.rooms.entry(topic.room).or_default() += 1;
        true
    }

    /// Counts a channel that is no more.
    pub(crate) fn release(&self, topic: &Topic) {
        let mut counts = self.lock();
        counts.channels -= 1;
        let room = counts.rooms.get_mut(&topic.room).expect("a channel that is counted has a room that is");
        *room -= 1;
        if *room == 0 {
            counts.rooms.remove(&topic.room);
        }
    }

    /// Channels and rooms.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let counts = self.lock();
        (counts.channels as u64, counts.rooms.len() as u64)
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        // The counts are right after every step, so a panic elsewhere has not spoilt them.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_come_and_go_with_their_channels() {
        let census = Census::default();
        let topic = |text: &str| text.parse::<Topic>().unwrap();
        assert!(census.admit(&topic("a:x"), 3) && census.admit(&topic("a:y"), 3) && census.admit(&topic("b:x"), 3));
        assert!(!census.admit(&topic("c:x"), 3), "the bound holds");
        assert_eq!(census.counts(), (3, 2));
        census.release(&topic("b:x"));
        census.release(&topic("a:x"));
        assert_eq!(census.counts(), (1, 1));
    }
}
