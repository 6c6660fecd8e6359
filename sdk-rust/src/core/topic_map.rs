//! A map by topic that is cheap to ask: it is asked once or twice for every message.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};

use arqonbus_protocol::Topic;

/// Maps topics to something, hashed with a seed that senders do not know.
pub(crate) type TopicMap<T> = HashMap<Topic, T, Seed>;

/// The secret of one core's maps, so that nobody can choose channel names that collide.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seed(pub(crate) u64);

/// Folds eight bytes at a time by a 128-bit product, as wyhash does.
#[derive(Debug)]
pub(crate) struct Folding(u64);

const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

impl Folding {
    fn fold(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * u128::from(FACTOR);
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }
}

impl Hasher for Folding {
    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            // Names are held in 64 bytes and most are short: zeros after the end say nothing.
            match u64::from_le_bytes(word.try_into().expect("a chunk has 8 bytes")) {
                0 => {}
                word => self.fold(word),
            }
        }
        for byte in words.remainder() {
            self.fold(u64::from(*byte));
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.fold(u64::from(byte));
    }

    fn write_usize(&mut self, number: usize) {
        self.fold(number as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl BuildHasher for Seed {
    type Hasher = Folding;

    fn build_hasher(&self) -> Folding {
        Folding(self.0 | 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_spread_and_are_found_again() {
        let mut map = TopicMap::with_hasher(Seed(7));
        let topic = |room: u32, channel: u32| format!("r{room}:c{channel}").parse::<Topic>().unwrap();
        for room in 0..64 {
            for channel in 0..64 {
                map.insert(topic(room, channel), (room, channel));
            }
        }
        assert_eq!(map.len(), 4_096);
        assert_eq!(map[&topic(63, 1)], (63, 1));
        let low: std::collections::HashSet<u64> = map.keys().map(|topic| Seed(7).hash_one(topic) & 4_095).collect();
        assert!(low.len() > 2_300, "random hashes of 4,096 keys fill about 2,590 of 4,096 places, these {}", low.len());
    }
}
