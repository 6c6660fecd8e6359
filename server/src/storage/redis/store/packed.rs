//! Messages side by side in one value: how they lie in a stream's entry, and how they travel in a notice.

use arqonbus_protocol::Timestamp;
use bytes::Bytes;

use crate::storage::Entry;

/// Bytes of the line before an envelope, and some to spare.
const LINE_BYTES: usize = 40;

/// Puts messages side by side: for each `<hole>,<timestamp>,<bytes>\n` and its text.
pub(super) fn pack<'a>(entries: impl Iterator<Item = &'a Entry> + Clone) -> Vec<u8> {
    let bytes = entries.clone().map(|entry| entry.text.len() + LINE_BYTES).sum();
    let mut packed = Vec::with_capacity(bytes);
    for entry in entries {
        let line = format!("{},{:013},{}\n", entry.hole, entry.timestamp.unix_ms(), entry.text.len());
        packed.extend_from_slice(line.as_bytes());
        packed.extend_from_slice(&entry.text);
    }
    packed
}

/// Takes messages apart; `None` where this is not what [`pack`] gives.
pub(super) fn unpack(packed: &Bytes) -> Option<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut rest = packed.clone();
    while !rest.is_empty() {
        let end = rest.iter().take(LINE_BYTES).position(|byte| *byte == b'\n')?;
        let line = rest.split_to(end + 1);
        let mut numbers = std::str::from_utf8(&line[..end]).ok()?.split(',').map(str::parse::<u64>);
        let (Some(Ok(hole)), Some(Ok(unix_ms)), Some(Ok(bytes)), None) = (numbers.next(), numbers.next(), numbers.next(), numbers.next()) else {
            return None;
        };
        let (hole, bytes) = (usize::try_from(hole).ok()?, usize::try_from(bytes).ok()?);
        if bytes > rest.len() || hole > bytes {
            return None;
        }
        entries.push(Entry { text: rest.split_to(bytes), hole, timestamp: Timestamp::from_unix_ms(unix_ms) });
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str, hole: usize) -> Entry {
        Entry { text: Bytes::copy_from_slice(text.as_bytes()), hole, timestamp: Timestamp::from_unix_ms(1_795_366_140_000) }
    }

    #[test]
    fn what_is_packed_is_unpacked() {
        let entries = [entry("{\"a\":1}\n", 3), entry("", 0), entry("x", 1)];
        let unpacked = unpack(&pack(entries.iter()).into()).expect("as it was packed");
        let shapes = |entries: &[Entry]| entries.iter().map(|entry| (entry.text.clone(), entry.hole, entry.timestamp)).collect::<Vec<_>>();
        assert_eq!(shapes(&unpacked), shapes(&entries));
    }

    #[test]
    fn junk_is_refused() {
        for junk in ["x", "1,2\n", "1,2,3\nab", "9,1795366140000,2\nab", "1,2,3,4\nabc", "-1,2,1\na", "1,2,18446744073709551616\n"] {
            assert!(unpack(&Bytes::from_static(junk.as_bytes())).is_none(), "{junk}");
        }
    }
}
