//! What nodes tell each other through Redis when they have changed a log.

use arqonbus_protocol::{ClientId, Group};
use bytes::Bytes;

use super::packed::unpack;
use crate::storage::Entry;

/// One notice about one topic.
#[derive(Debug)]
pub(super) enum Notice {
    /// A node has appended.
    Appended {
        node: ClientId,
        epoch: u64,
        /// The last seq by then.
        head: u64,
        /// The last messages; none where they would be too many bytes.
        entries: Vec<Entry>,
    },
    /// A node has given jobs of a group back, or made room for others.
    GaveBack { node: ClientId, group: Group },
    /// A node has deleted the log.
    Deleted {
        node: ClientId,
        /// Whom it did that for.
        by: ClientId,
    },
}

impl Notice {
    /// Reads what a script has published; `None` where no script of ours did.
    pub(super) fn parse(payload: &Bytes) -> Option<Self> {
        let end = payload.iter().position(|byte| *byte == b'\n').unwrap_or(payload.len());
        let mut words = std::str::from_utf8(&payload[..end]).ok()?.split(' ');
        match words.next()? {
            "a" => {
                let node = words.next()?.parse().ok()?;
                let mut numbers = words.map(str::parse::<u64>);
                let (Some(Ok(epoch)), Some(Ok(head)), Some(Ok(count)), None) = (numbers.next(), numbers.next(), numbers.next(), numbers.next())
                else {
                    return None;
                };
                let entries = if count == 0 { Vec::new() } else { unpack(&payload.slice((end + 1).min(payload.len())..))? };
                (entries.len() as u64 == count && count <= head).then_some(Self::Appended { node, epoch, head, entries })
            }
            "g" => {
                let (node, group) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
                words.next().is_none().then_some(Self::GaveBack { node, group })
            }
            "d" => {
                let (node, by) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
                words.next().is_none().then_some(Self::Deleted { node, by })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_read_and_junk_is_not() {
        let parse = |text: &'static str| Notice::parse(&Bytes::from_static(text.as_bytes()));
        let Some(Notice::Appended { epoch: 7, head: 9, entries, .. }) = parse("a n_aaaaaaaa 7 9 1\n0,1795366140000,2\n{}") else {
            panic!("it is one")
        };
        assert_eq!(&entries[0].text[..], b"{}");
        assert!(matches!(parse("a n_aaaaaaaa 7 9 0"), Some(Notice::Appended { entries, .. }) if entries.is_empty()));
        assert!(matches!(parse("g n_aaaaaaaa workers"), Some(Notice::GaveBack { .. })));
        assert!(matches!(parse("d n_aaaaaaaa c_bbbbbbbb"), Some(Notice::Deleted { .. })));
        for junk in [
            "",
            "x",
            "a",
            "a n_aaaaaaaa 7 9",
            "a n_aaaaaaaa 7 9 1",
            "a n_aaaaaaaa 7 9 2\n0,1795366140000,2\n{}",
            "a ? 7 9 0",
            "a n_aaaaaaaa 7 0 1\n0,1,0\n",
            "d n_aaaaaaaa",
            "g n_aaaaaaaa",
            "g n_aaaaaaaa _x",
        ] {
            assert!(parse(junk).is_none(), "{junk}");
        }
    }
}
