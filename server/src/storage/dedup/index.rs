//! Numbers by the hash of their key, eight to a cache line: to find that there is none, and to put one there, touches one line as a rule.
//!
//! A window of a million ids is far larger than the processor's caches, so what an id costs is the lines that it touches.

/// A table by open addressing: a number stands at the place that its hash names, or after it where that is taken.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// A power of two of them, or none. [`FREE`], or a tag and a number.
    places: Box<[u64]>,
    len: usize,
}

/// No place in use is 0: a tag is odd.
const FREE: u64 = 0;
const PLACES_MIN: usize = 8;

impl Index {
    /// The number for which `is` holds, among those of this hash.
    pub(super) fn find(&self, hash: u64, is: impl FnMut(u32) -> bool) -> Option<u32> {
        self.place_of(tag(hash), is).map(|at| number(self.places[at]))
    }

    /// Adds a number of which [`Self::find`] has just said that it is not there.
    pub(super) fn insert(&mut self, hash: u64, number: u32) {
        // At most three quarters are in use, so that runs stay short.
        if (self.len + 1) * 4 > self.places.len() * 3 {
            self.resize((self.places.len() * 2).max(PLACES_MIN));
        }
        self.put(u64::from(tag(hash)) << 32 | u64::from(number));
        self.len += 1;
    }

    /// Puts `number` where the one stands for which `is` holds; gives whether there is one.
    pub(super) fn replace(&mut self, hash: u64, number: u32, is: impl FnMut(u32) -> bool) -> bool {
        let Some(at) = self.place_of(tag(hash), is) else { return false };
        self.places[at] = u64::from(tag(hash)) << 32 | u64::from(number);
        true
    }

    /// Removes a number, where it is there.
    pub(super) fn remove(&mut self, hash: u64, gone: u32) {
        let Some(mut free) = self.place_of(tag(hash), |number| number == gone) else { return };
        let (mask, mut at) = (self.places.len() - 1, free);
        // What follows in the run moves up, as far as its own place allows, so that no run is torn.
        loop {
            at = (at + 1) & mask;
            let place = self.places[at];
            if place == FREE {
                break;
            }
            if at.wrapping_sub(self.home(place)) & mask >= at.wrapping_sub(free) & mask {
                self.places[free] = place;
                free = at;
            }
        }
        self.places[free] = FREE;
        self.len -= 1;
    }

    /// Gives back the room that a former crowd took.
    pub(super) fn shrink(&mut self) {
        let wanted = (self.len * 2).next_power_of_two().max(PLACES_MIN);
        if wanted < self.places.len() {
            self.resize(wanted);
        }
    }

    /// Bytes in memory.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        size_of_val::<[u64]>(&self.places)
    }

    fn place_of(&self, tag: u32, mut is: impl FnMut(u32) -> bool) -> Option<usize> {
        if self.places.is_empty() {
            return None;
        }
        let mut at = self.home(u64::from(tag) << 32);
        loop {
            let place = self.places[at];
            if place == FREE {
                return None;
            }
            if place >> 32 == u64::from(tag) && is(number(place)) {
                return Some(at);
            }
            at = (at + 1) & (self.places.len() - 1);
        }
    }

    /// Where the run of a place's hash begins: its first bits, so that a table that grows is read and written in order.
    fn home(&self, place: u64) -> usize {
        (place >> (64 - self.places.len().trailing_zeros())) as usize
    }

    fn put(&mut self, place: u64) {
        let mut at = self.home(place);
        while self.places[at] != FREE {
            at = (at + 1) & (self.places.len() - 1);
        }
        self.places[at] = place;
    }

    fn resize(&mut self, places: usize) {
        let former = std::mem::replace(&mut self.places, vec![FREE; places].into());
        for place in former.into_iter().filter(|place| *place != FREE) {
            self.put(place);
        }
    }
}

/// What is kept of a hash: enough to find the place, and to tell most numbers apart without looking at their keys.
fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32 | 1
}

fn number(place: u64) -> u32 {
    place as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Map;

    #[test]
    fn it_finds_what_a_map_finds() {
        // Few hashes: runs are long, wrap around the end, and hold several of one tag.
        let mut seed = 1_u64;
        let mut random = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        let hash = |number: u32| (u64::from(number % 5) * 0x3FFF_FFFF_FFFF_FFFF).rotate_left(number % 3);
        let (mut index, mut map) = (Index::default(), Map::<u32, ()>::default());
        for step in 0..20_000 {
            let number = random(if step < 10_000 { 200 } else { 20 }) as u32;
            if map.remove(&number).is_some() {
                index.remove(hash(number), number);
            } else {
                map.insert(number, ());
                index.insert(hash(number), number);
            }
            if step % 100 == 0 {
                index.shrink();
                let found = |number: &u32| index.find(hash(*number), |other| other == *number) == Some(*number);
                assert!((0..200).all(|number| found(&number) == map.contains_key(&number)), "after step {step}");
            }
        }
        let known = *map.keys().next().unwrap();
        assert!(index.replace(hash(known), 1_000, |number| number == known));
        assert_eq!((index.find(hash(known), |number| number == 1_000), index.find(hash(known), |number| number == known)), (Some(1_000), None));
        assert!(!index.replace(hash(known), 7, |number| number == known));
    }
}
