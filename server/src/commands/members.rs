//! `members`: who is joined to a topic.

use arqonbus_protocol::{Member, MembersArgs, MembersResult, Timestamp};

use super::{cut, page_len};
use crate::routing::{self, Abroad, Asked, ConnId, Home, Lane};
use crate::slots::Key;

impl Home {
    pub(crate) fn members(&mut self, key: Key, asked: Asked, args: Box<MembersArgs>) {
        let Some(lane) = self.lanes.get(key) else { return };
        let result = page(lane, &args);
        if self.has_peers() {
            return self.abroad(Abroad::Members { asked, args, own: Some(result) });
        }
        self.egress.ok(&asked, &result);
    }
}

/// The page of those who are members here.
pub(crate) fn page(lane: &Lane, args: &MembersArgs) -> MembersResult {
    let mut page: Vec<(&ConnId, &routing::Member)> =
        lane.members.iter().filter(|(_, member)| args.after.is_none_or(|after| member.who.client > after)).collect();
    page.sort_unstable_by_key(|(_, member)| member.who.client);
    page.truncate(page_len(args.limit) + 1);
    let mut members: Vec<Member> = page.into_iter().map(|(conn, member)| describe(lane, *conn, member)).collect();
    let next = cut(&mut members, args.limit, |member| member.client);
    MembersResult { members, total: lane.members.len() as u64, next, incomplete: false }
}

fn describe(lane: &Lane, conn: ConnId, member: &routing::Member) -> Member {
    let about = member.who.about.as_deref();
    Member {
        client: member.who.client,
        user: member.who.user,
        name: about.and_then(|about| about.name.clone()),
        kind: about.and_then(|about| about.kind.clone()),
        metadata: about.and_then(|about| about.metadata.clone()),
        joined: Timestamp::from_unix_ms(member.joined_unix_ms),
        groups: lane.groups.iter().filter(|(_, group)| group.workers.contains_key(&conn)).map(|(name, _)| *name).collect(),
    }
}
