//! Hashing: random per process, so that nobody outside can choose collisions, and the same on every shard, so that all agree on homes.

use std::hash::BuildHasher;

use arqonbus_protocol::{ClientId, Room, Topic, UserId};
use foldhash::quality::SeedableRandomState;

use crate::storage::Fingerprint;

/// Hashes the keys of maps.
pub(crate) type State = foldhash::fast::RandomState;
/// A map keyed by something that clients choose.
pub(crate) type Map<K, V> = std::collections::HashMap<K, V, State>;

/// A hash of a name that all nodes agree on (FNV-1a). Whoever chooses names may make two the same: it is for counting only.
pub(crate) fn hash_of_name(name: &[u8]) -> u64 {
    name.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3))
}

/// The hash that shards agree on.
#[derive(Debug, Clone)]
pub(crate) struct Homes {
    first: SeedableRandomState,
    second: SeedableRandomState,
    shards: u64,
}

impl Homes {
    pub(crate) fn new(shards: usize) -> Self {
        Self { first: SeedableRandomState::random(), second: SeedableRandomState::random(), shards: shards as u64 }
    }

    /// The same homes for the same seed.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn seeded(shards: usize, seed: u64) -> Self {
        let state = |seed| SeedableRandomState::with_seed(seed, foldhash::SharedSeed::global_fixed());
        Self { first: state(seed), second: state(!seed), shards: shards as u64 }
    }

    fn shard(&self, hash: u64) -> u16 {
        u16::try_from(hash % self.shards).expect("there are fewer than 2^16 shards")
    }

    pub(crate) fn of_topic(&self, topic: &Topic) -> u16 {
        self.shard(self.first.hash_one(topic))
    }

    pub(crate) fn of_room(&self, room: &Room) -> u16 {
        self.shard(self.first.hash_one(room))
    }

    pub(crate) fn of_client(&self, client: &ClientId) -> u16 {
        self.shard(self.first.hash_one(client))
    }

    pub(crate) fn of_user(&self, user: &UserId) -> u16 {
        self.shard(self.first.hash_one(user))
    }

    /// What makes a publish the same as another: who and under which id, and the content.
    pub(crate) fn fingerprint(&self, key: impl std::hash::Hash, content: impl std::hash::Hash) -> Fingerprint {
        let high = u128::from(self.first.hash_one(&key));
        let low = u128::from(self.second.hash_one(&key));
        Fingerprint { key: (high << 64) | low, content: self.first.hash_one(&content) }
    }
}
