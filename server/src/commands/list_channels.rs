//! `list_channels`: every home gives its part of the page; one place merges them.

use arqonbus_protocol::{ChannelSummary, ListChannelsArgs, ListChannelsResult};

use super::{cut, page_len};
use crate::fanout::Part;
use crate::routing::{Asked, Home, Lane};

impl Home {
    pub(crate) fn list_channels(&mut self, asked: &Asked, gather: u32, args: &ListChannelsArgs) {
        let listed = |lane: &&Lane| lane.topic.room == args.room && args.after.is_none_or(|after| lane.topic.channel > after);
        let mut channels: Vec<ChannelSummary> = self.lanes.iter().map(|(_, lane)| lane).filter(listed).map(summary).collect();
        channels.sort_unstable_by_key(|channel| channel.channel);
        // One more than a page, so that the merge knows whether there is a next one.
        channels.truncate(page_len(args.limit) + 1);
        self.egress.part(asked.conn, gather, Part::Channels(channels));
    }
}

fn summary(lane: &Lane) -> ChannelSummary {
    ChannelSummary { channel: lane.topic.channel, description: lane.description.clone(), members: lane.members.len() as u64, head: lane.head }
}

/// Merges the parts into one page.
pub(crate) fn merge(args: &ListChannelsArgs, mut channels: Vec<ChannelSummary>, incomplete: bool) -> ListChannelsResult {
    channels.sort_by_key(|channel| channel.channel);
    // The same channel on several nodes, this one's first.
    channels.dedup_by(|other, first| {
        let same = other.channel == first.channel;
        if same {
            first.members += other.members;
            // Whoever does not follow the channel may not know its latest.
            if other.head.epoch == first.head.epoch {
                first.head.seq = first.head.seq.max(other.head.seq);
            }
            first.description = first.description.take().or_else(|| other.description.take());
        }
        same
    });
    let next = cut(&mut channels, args.limit, |channel| channel.channel);
    ListChannelsResult { channels, next, incomplete }
}
