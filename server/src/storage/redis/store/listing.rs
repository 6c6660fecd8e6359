//! Pages of the topics that Redis holds messages of, for lists: the first by name, each with where it ends.

use std::collections::{BTreeSet, HashSet};

use ::redis::{Value, cmd};
use arqonbus_protocol::{Epoch, ListChannelsArgs, ListRoomsArgs, Position, Topic};

use super::super::{Link, LinkError};
use super::catalogue::{AT_ONCE, scan};
use super::engine::join_all;
use super::script::{meta_key, stream_key};

/// Names that a page is chosen from, some 9 MB of them; where there are more, the first by name are looked at.
const NAMES_MAX: usize = 65_536;
/// Where the last position lies in what `log.lua` packs as `meta`: the number of its format, the head, nine numbers more, the epoch and a zero byte.
const META_FORMAT: u8 = 1;
const META_HEAD: usize = 1;
const META_EPOCH: usize = 81;

/// What is listed.
#[derive(Debug, Clone)]
pub(crate) enum Listing {
    Rooms(ListRoomsArgs),
    Channels(ListChannelsArgs),
}

/// A page's part that Redis has, and whether that is all of it.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    pub(crate) topics: Vec<(Topic, Position)>,
    pub(crate) complete: bool,
}

impl Listing {
    fn glob(&self) -> String {
        match self {
            Self::Rooms(_) => "*".to_owned(),
            Self::Channels(args) => format!("{}:*", args.room),
        }
    }

    fn has(&self, topic: &Topic) -> bool {
        match self {
            Self::Rooms(args) => args.after.is_none_or(|after| topic.room > after),
            Self::Channels(args) => topic.room == args.room && args.after.is_none_or(|after| topic.channel > after),
        }
    }

    /// Whether these fill a page and show that there is a next one. The sum of the room after the page need not be right.
    fn is_filled_by(&self, topics: &[(Topic, Position)], page: usize) -> bool {
        match self {
            Self::Rooms(_) => topics.iter().map(|(topic, _)| topic.room).collect::<HashSet<_>>().len() > page,
            Self::Channels(_) => topics.len() > page,
        }
    }

    /// Items of a page, where the client says so.
    pub(crate) fn limit(&self) -> Option<u32> {
        match self {
            Self::Rooms(args) => args.limit,
            Self::Channels(args) => args.limit,
        }
    }
}

/// The first topics of a listing that Redis holds messages of: enough for a page of so many items, and to see whether there is a next one.
pub(crate) async fn list(link: &Link, prefix: &str, listing: &Listing, page: usize) -> Result<Listed, LinkError> {
    let (mut names, mut dropped) = (BTreeSet::new(), false);
    scan(link, prefix, &listing.glob(), |topic| {
        if listing.has(&topic) {
            names.insert(topic);
        }
        if names.len() > NAMES_MAX {
            names.pop_last();
            dropped = true;
        }
    })
    .await?;
    let names = Vec::from_iter(names);
    let mut listed = Listed { topics: Vec::new(), complete: true };
    for names in names.chunks(AT_ONCE) {
        for (topic, end) in names.iter().zip(join_all(names.iter().map(|topic| end_of(link, prefix, topic)).collect()).await) {
            match end? {
                End::Nothing => {}
                End::At(head) => listed.topics.push((*topic, head)),
                End::Unreadable => listed.complete = false,
            }
        }
        if listing.is_filled_by(&listed.topics, page) {
            return Ok(listed);
        }
    }
    listed.complete &= !dropped;
    Ok(listed)
}

/// Where the messages of a topic end.
enum End {
    /// It has none.
    Nothing,
    At(Position),
    /// Something else is there, or a part of it is gone.
    Unreadable,
}

async fn end_of(link: &Link, prefix: &str, topic: &Topic) -> Result<End, LinkError> {
    let (mut count, mut meta) = (cmd("XLEN"), cmd("GET"));
    count.arg(stream_key(prefix, topic));
    meta.arg(meta_key(prefix, topic));
    // Reading changes nothing: a log is not begun, and does not live longer, because somebody looks at a list.
    let (count, meta) = tokio::join!(link.query(&count), link.query(&meta));
    match (count?, meta?) {
        (Value::Int(0), _) => Ok(End::Nothing),
        (Value::Int(_), Value::BulkString(meta)) => Ok(head_in(&meta).map_or(End::Unreadable, End::At)),
        _ => Ok(End::Unreadable),
    }
}

/// The last position of a log by its `meta`; `None` where it is of another format.
fn head_in(meta: &[u8]) -> Option<Position> {
    let format = *meta.first()?;
    let head = f64::from_le_bytes(meta.get(META_HEAD..META_HEAD + 8)?.try_into().ok()?);
    let epoch = meta.get(META_EPOCH..)?.split(|byte| *byte == 0).next()?;
    let is_seq = format == META_FORMAT && head.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&head);
    // A whole number below 2^53 has no exponent and no point.
    let seq = is_seq.then(|| format!("{head:.0}").parse().ok())??;
    let epoch = std::str::from_utf8(epoch).ok()?.parse().ok()?;
    Some(Position { epoch: Epoch::from_number(epoch), seq })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(format: u8, head: f64, epoch: &str) -> Vec<u8> {
        let numbers = [head, 1.0, 2.0, 3.0, 0.0, 1.0, 9.0, 9.0, 9.0, 9.0];
        let mut bytes = vec![format];
        bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        bytes.extend(epoch.bytes().chain([0]).chain("a token".bytes()).chain([0]));
        bytes
    }

    #[test]
    fn the_head_is_read_from_what_a_log_keeps_of_itself_and_junk_is_none() {
        assert_eq!(head_in(&meta(1, 42.0, "7000")), Some(Position { epoch: Epoch::from_number(7_000), seq: 42 }));
        for junk in [vec![], vec![1], meta(2, 42.0, "7"), meta(1, 0.5, "7"), meta(1, -1.0, "7"), meta(1, f64::NAN, "7"), meta(1, 1.0, "")] {
            assert_eq!(head_in(&junk), None, "{junk:?}");
        }
    }
}
