//! The one kind of map of the core: entries in a line, and an index by hash that knows nothing of their types. What a browser downloads
//! has it once, whatever it holds.

use arqonbus_protocol::{MessageId, Position, Topic};

/// What can be looked up: a short text.
pub(crate) trait Key: Copy + Eq {
    /// Mixes the text into a hash.
    fn mix(&self, hash: u64) -> u64;
}

impl Key for MessageId {
    fn mix(&self, hash: u64) -> u64 {
        mix(hash, self.as_bytes())
    }
}

impl Key for Topic {
    fn mix(&self, hash: u64) -> u64 {
        mix(mix(hash, self.room.as_bytes()), self.channel.as_bytes())
    }
}

impl Key for Position {
    fn mix(&self, hash: u64) -> u64 {
        mix(mix(hash, self.epoch.as_bytes()), &self.seq.to_le_bytes())
    }
}

/// The secret of one core's tables, so that nobody can choose names that collide.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seed(pub(crate) u64);

/// Maps keys to values; in no order that lasts.
#[derive(Debug, Clone)]
pub(crate) struct Table<K, V> {
    index: Index,
    entries: Vec<(K, V)>,
    seed: Seed,
}

impl<K: Key, V> Default for Table<K, V> {
    fn default() -> Self {
        Self::new(Seed::default())
    }
}

impl<K: Key, V> Table<K, V> {
    pub(crate) fn new(seed: Seed) -> Self {
        Self { index: Index::default(), entries: Vec::new(), seed }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn contains(&self, key: &K) -> bool {
        self.place(key).is_some()
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.place(key).map(|place| &self.entries[place].1)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.place(key).map(|place| &mut self.entries[place].1)
    }

    /// Puts a value in, in place of an older one.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        match self.get_mut(&key) {
            Some(known) => *known = value,
            None => {
                self.get_or_insert_with(key, || value);
            }
        }
    }

    /// The value of a key, made where there is none.
    pub(crate) fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let place = self.place(&key).unwrap_or_else(|| {
            self.index.insert(self.hash(&key), self.entries.len());
            self.entries.push((key, make()));
            self.entries.len() - 1
        });
        &mut self.entries[place].1
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let place = self.place(key)?;
        self.index.remove(self.hash(key), place);
        let (_, value) = self.entries.swap_remove(place);
        if let Some((moved, _)) = self.entries.get(place) {
            self.index.relocate(self.hash(moved), self.entries.len(), place);
        }
        Some(value)
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.seed);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(K, V)> {
        self.entries.iter()
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.entries.iter_mut().map(|(_, value)| value)
    }

    fn hash(&self, key: &K) -> u32 {
        let hash = key.mix(self.seed.0 | 1);
        (hash ^ (hash >> 32)) as u32
    }

    fn place(&self, key: &K) -> Option<usize> {
        self.index.find(self.hash(key), &|place| self.entries[place].0 == *key)
    }
}

/// Folds eight bytes at a time by a 128-bit product, as wyhash does.
fn mix(hash: u64, text: &[u8]) -> u64 {
    text.chunks(8).fold(hash ^ text.len() as u64, |hash, chunk| {
        let word = chunk.try_into().map_or_else(|_| chunk.iter().fold(0, |word, byte| (word << 8) | u64::from(*byte)), u64::from_le_bytes);
        let product = u128::from(hash ^ word) * u128::from(0x9e37_79b9_7f4a_7c15_u64);
        (product as u64) ^ ((product >> 64) as u64)
    })
}

/// Places of entries by hash: a ring of slots with linear probing, at most half full.
#[derive(Debug, Clone, Default)]
struct Index {
    slots: Vec<Option<Slot>>,
    used: usize,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    hash: u32,
    place: u32,
}

impl Index {
    /// The place of this hash that `is` the one.
    fn find(&self, hash: u32, is: &dyn Fn(usize) -> bool) -> Option<usize> {
        let at = self.slot(hash, is)?;
        self.slots[at].map(|slot| slot.place as usize)
    }

    fn slot(&self, hash: u32, is: &dyn Fn(usize) -> bool) -> Option<usize> {
        let mut at = self.home(hash)?;
        while let Some(slot) = self.slots[at] {
            if slot.hash == hash && is(slot.place as usize) {
                return Some(at);
            }
            at = self.next(at);
        }
        None
    }

    fn insert(&mut self, hash: u32, place: usize) {
        if self.used * 2 >= self.slots.len() {
            let slots = vec![None; (self.slots.len() * 2).max(8)];
            for slot in std::mem::replace(&mut self.slots, slots).into_iter().flatten() {
                self.put(slot);
            }
        }
        self.used += 1;
        self.put(Slot { hash, place: place as u32 });
    }

    fn put(&mut self, slot: Slot) {
        let mut at = self.home(slot.hash).unwrap_or_default();
        while self.slots[at].is_some() {
            at = self.next(at);
        }
        self.slots[at] = Some(slot);
    }

    /// Frees the slot of a place, and moves up those behind it that would not be found any more.
    fn remove(&mut self, hash: u32, place: usize) {
        let Some(mut free) = self.slot(hash, &|other| other == place) else { return };
        self.used -= 1;
        self.slots[free] = None;
        let mut at = self.next(free);
        while let Some(slot) = self.slots[at] {
            let home = self.home(slot.hash).unwrap_or_default();
            // Whether its way from home to here leads over the free slot.
            if self.distance(home, at) >= self.distance(free, at) {
                self.slots[free] = self.slots[at].take();
                free = at;
            }
            at = self.next(at);
        }
    }

    fn relocate(&mut self, hash: u32, from: usize, to: usize) {
        if let Some(at) = self.slot(hash, &|other| other == from) {
            self.slots[at] = Some(Slot { hash, place: to as u32 });
        }
    }

    fn home(&self, hash: u32) -> Option<usize> {
        (!self.slots.is_empty()).then(|| hash as usize & (self.slots.len() - 1))
    }

    fn next(&self, at: usize) -> usize {
        (at + 1) & (self.slots.len() - 1)
    }

    fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & (self.slots.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn it_holds_what_a_map_holds_through_any_inserts_and_removals() {
        let mut rng = super::super::rng::Rng::new(7);
        let mut table = Table::new(Seed(3));
        let mut map = HashMap::new();
        for step in 0..20_000_u64 {
            let number = rng.up_to(if step % 4_000 < 2_000 { 400 } else { 40 });
            let id: MessageId = format!("arq_{number}").parse().unwrap();
            if rng.up_to(2) == 0 {
                assert_eq!(table.remove(&id), map.remove(&id));
            } else {
                table.insert(id, step);
                map.insert(id, step);
            }
            assert_eq!((table.len(), table.get(&id)), (map.len(), map.get(&id)));
        }
        assert!(map.iter().all(|(id, value)| table.get(id) == Some(value)));
        assert_eq!(table.iter().count(), map.len());
        table.clear();
        assert!(table.is_empty() && table.get(&"arq_1".parse().unwrap()).is_none());
    }

    #[test]
    fn topics_spread() {
        let hashes: std::collections::HashSet<u32> = (0..4_096_u32)
            .map(|number| format!("r{}:c{}", number / 64, number % 64).parse::<Topic>().unwrap())
            .map(|topic| Table::<Topic, ()>::new(Seed(7)).hash(&topic) & 4_095)
            .collect();
        assert!(hashes.len() > 2_300, "random hashes of 4,096 keys fill about 2,590 of 4,096 places, these {}", hashes.len());
    }
}
