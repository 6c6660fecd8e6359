//! Hashing: random per process, so that nobody outside can choose collisions, and the same on every shard, so that all agree on homes.

use std::hash::{BuildHasher, Hasher};

use arqonbus_protocol::{ClientId, Room, Topic, UserId};
use foldhash::quality::SeedableRandomState;
use sha2::{Digest, Sha256};

use crate::storage::Fingerprint;

/// Hashes the keys of maps.
pub(crate) type State = foldhash::fast::RandomState;
/// A map keyed by something that clients choose.
pub(crate) type Map<K, V> = std::collections::HashMap<K, V, State>;

/// A hash of a name that all nodes agree on (FNV-1a). Whoever chooses names may make two the same: it is for counting only.
pub(crate) fn hash_of_name(name: &[u8]) -> u64 {
    name.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3))
}

/// SHA-256 as a hasher.
#[derive(Default)]
struct Digester(Sha256);

impl Hasher for Digester {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        unreachable!("only the whole digest is used")
    }
}

fn digest(value: impl std::hash::Hash) -> [u8; 32] {
    let mut digester = Digester::default();
    value.hash(&mut digester);
    digester.0.finalize().into()
}

/// The hash that shards agree on.
#[derive(Debug, Clone)]
pub(crate) struct Homes {
    first: SeedableRandomState,
    second: SeedableRandomState,
    shards: u64,
    /// Whether other nodes must know a message when it comes again.
    is_shared: bool,
}

impl Homes {
    pub(crate) fn new(shards: usize) -> Self {
        Self { first: SeedableRandomState::random(), second: SeedableRandomState::random(), shards: shards as u64, is_shared: false }
    }

    /// The same homes for the same seed.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn seeded(shards: usize, seed: u64) -> Self {
        let state = |seed| SeedableRandomState::with_seed(seed, foldhash::SharedSeed::global_fixed());
        Self { first: state(seed), second: state(!seed), shards: shards as u64, is_shared: false }
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

    /// The same, for a store that several nodes share: all make the same fingerprints, by a hash for which nobody finds two messages with one.
    pub(crate) fn shared(self) -> Self {
        Self { is_shared: true, ..self }
    }

    /// What makes a publish the same as another: who and under which id, and the content.
    pub(crate) fn fingerprint(&self, key: impl std::hash::Hash, content: impl std::hash::Hash) -> Fingerprint {
        if self.is_shared {
            let (key, content) = (digest(key), digest(content));
            let wide = key[..16].try_into().map_or(0, u128::from_be_bytes);
            return Fingerprint { key: wide, content: content[..8].try_into().map_or(0, u64::from_be_bytes) };
        }
        let high = u128::from(self.first.hash_one(&key));
        let low = u128::from(self.second.hash_one(&key));
        Fingerprint { key: (high << 64) | low, content: self.first.hash_one(&content) }
    }
}
