//! Which server of a Redis Cluster keeps which slot, so that what goes to one server goes together.

use std::sync::{Mutex, PoisonError};

use ::redis::Value;

use crate::clock::Moment;

/// Milliseconds for which an answer is believed, or done without. What has moved meanwhile is found out at once, by the refusal of the server.
const BELIEVED_MS: u64 = 2_000;

/// Slots, as a server of the cluster has told them last.
#[derive(Debug, Default)]
pub(super) struct Slots(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    until: Option<Moment>,
    /// The first and the last slot of each range, and the name of its server.
    ranges: Vec<(u16, u16, Vec<u8>)>,
}

impl Slots {
    /// Whether the cluster should be asked.
    pub(super) fn are_old(&self, now: Moment) -> bool {
        self.told().until.is_none_or(|until| until <= now)
    }

    /// Takes the answer to `CLUSTER SLOTS`; of one that cannot be read, and of none, nothing is known for a while.
    pub(super) fn take(&self, answer: Option<Value>, now: Moment) {
        let ranges = answer.and_then(ranges).unwrap_or_default();
        *self.told() = Told { until: Some(now.plus_ms(BELIEVED_MS)), ranges };
    }

    /// Puts keys of one server together; one whose server is not known is alone. Gives their indexes.
    pub(super) fn together<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) -> Vec<Vec<usize>> {
        let told = self.told();
        let mut servers: Vec<(Option<&[u8]>, Vec<usize>)> = Vec::new();
        for (at, key) in keys.enumerate() {
            let slot = slot(key);
            let server = told.ranges.iter().find(|(first, last, _)| (*first..=*last).contains(&slot)).map(|(.., server)| server.as_slice());
            match servers.iter_mut().find(|(known, _)| known.is_some() && *known == server) {
                Some((_, keys)) => keys.push(at),
                None => servers.push((server, vec![at])),
            }
        }
        servers.into_iter().map(|(_, keys)| keys).collect()
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads `[first, last, [host, port, id, …], replica…]` of each range.
fn ranges(answer: Value) -> Option<Vec<(u16, u16, Vec<u8>)>> {
    let Value::Array(ranges) = answer else { return None };
    ranges.into_iter().map(range).collect()
}

fn range(range: Value) -> Option<(u16, u16, Vec<u8>)> {
    let Value::Array(parts) = range else { return None };
    let [Value::Int(first), Value::Int(last), Value::Array(primary), ..] = &parts[..] else { return None };
    let Value::BulkString(id) = primary.get(2)? else { return None };
    Some((u16::try_from(*first).ok()?, u16::try_from(*last).ok()?, id.clone()))
}

/// The slot of a key whose hash tag stands first.
fn slot(key: &[u8]) -> u16 {
    let end = key.iter().position(|byte| *byte == b'}').unwrap_or(key.len());
    let tag = key[..end].strip_prefix(b"{").unwrap_or(key);
    let mut crc = 0_u16;
    for byte in tag {
        crc ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
        }
    }
    crc % 16_384
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment(1_000);

    fn told(ranges: &[(i64, i64, &str)]) -> Value {
        let bulk = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let server = |id: &str| Value::Array(vec![bulk("127.0.0.1"), Value::Int(7_000), bulk(id), Value::Array(Vec::new())]);
        let range = |(first, last, id): &(i64, i64, &str)| Value::Array(vec![Value::Int(*first), Value::Int(*last), server(id), server("replica")]);
        Value::Array(ranges.iter().map(range).collect())
    }

    #[test]
    fn slots_are_those_of_redis() {
        // As CLUSTER KEYSLOT says.
        assert_eq!((slot(b"foo"), slot(b"{bar}:ids:0"), slot(b"123456789")), (12_182, 5_061, 12_739));
    }

    #[test]
    fn what_one_server_keeps_goes_together_and_what_is_not_known_alone() {
        let slots = Slots::default();
        let keys = || [b"{foo}".as_slice(), b"{bar}", b"{123456789}", b"{foo}:x"].into_iter();
        assert!(slots.are_old(NOW));
        assert_eq!(slots.together(keys()), [[0], [1], [2], [3]]);
        slots.take(Some(told(&[(0, 5_060, "a"), (5_061, 12_182, "b"), (12_700, 12_800, "b")])), NOW);
        assert_eq!(slots.together(keys()), [vec![0, 1, 2, 3]]);
        slots.take(Some(told(&[(0, 6_000, "a"), (12_700, 12_800, "b")])), NOW);
        assert_eq!(slots.together(keys()), [[0], [1], [2], [3]]);
        assert!(!slots.are_old(NOW) && slots.are_old(NOW.plus_ms(BELIEVED_MS)));
        slots.take(None, NOW);
        assert_eq!(slots.together(keys()), [[0], [1], [2], [3]]);
    }
}
