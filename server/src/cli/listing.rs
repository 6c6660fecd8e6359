//! `arqonbus rooms` and `arqonbus members`: what there is, and who.

use arqonbus_client::Client;
use arqonbus_protocol::limits::LIST_LIMIT_MAX;
use arqonbus_protocol::{ListChannelsArgs, ListRoomsArgs, MembersArgs as AskedMembers, Room, Topic};
use clap::Args;
use serde::Serialize;

use super::exit::Failure;
use super::{format, output};
use crate::telemetry::Escaped;

/// `arqonbus rooms`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  arqonbus rooms\n  arqonbus rooms science --json")]
pub(super) struct RoomsArgs {
    /// List the channels of this room instead.
    #[arg(value_parser = |text: &str| text.parse::<Room>())]
    room: Option<Room>,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
}

/// Runs `rooms`.
pub(super) async fn run_rooms(args: &RoomsArgs, client: &Client) -> Result<(), Failure> {
    if let Some(room) = args.room {
        return channels(room, args.json, client).await;
    }
    let mut listing = Listing::new(args.json, &["room", "channels", "members"]);
    let mut asked = ListRoomsArgs { after: None, limit: Some(LIST_LIMIT_MAX) };
    loop {
        let page = client.command(asked).await?;
        for room in &page.rooms {
            listing.row(room, || vec![room.room.to_string(), room.channels.to_string(), room.members.to_string()])?;
        }
        if page.next.is_none() {
            return listing.end();
        }
        asked = ListRoomsArgs { after: page.next, limit: Some(LIST_LIMIT_MAX) };
    }
}

async fn channels(room: Room, json: bool, client: &Client) -> Result<(), Failure> {
    let mut listing = Listing::new(json, &["channel", "members", "head", "description"]);
    let mut after = None;
    loop {
        let page = client.command(ListChannelsArgs { room, after, limit: Some(LIST_LIMIT_MAX) }).await?;
        for channel in &page.channels {
            let (head, about) = (channel.head, channel.description.as_deref().unwrap_or_default());
            listing.row(channel, || {
                vec![channel.channel.to_string(), channel.members.to_string(), format!("{}:{}", head.epoch, head.seq), Escaped(about).to_string()]
            })?;
        }
        after = page.next;
        if after.is_none() {
            return listing.end();
        }
    }
}

/// `arqonbus members`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  arqonbus members science:explore")]
pub(super) struct MembersArgs {
    /// room:channel.
    #[arg(value_parser = |text: &str| text.parse::<Topic>())]
    topic: Topic,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
}

/// Runs `members`.
pub(super) async fn run_members(args: &MembersArgs, client: &Client) -> Result<(), Failure> {
    let Topic { room, channel } = args.topic;
    let mut listing = Listing::new(args.json, &["client", "user", "kind", "joined", "name"]);
    let mut after = None;
    loop {
        let page = client.command(AskedMembers { room, channel, after, limit: Some(LIST_LIMIT_MAX) }).await?;
        for member in &page.members {
            let text = |text: &Option<String>| Escaped(text.as_deref().unwrap_or("-")).to_string();
            let user = member.user.map_or_else(|| "-".to_owned(), |user| user.to_string());
            listing.row(member, || vec![member.client.to_string(), user, text(&member.kind), member.joined.to_string(), text(&member.name)])?;
        }
        after = page.next;
        if after.is_none() {
            return listing.end();
        }
    }
}

/// Rows that become a table, or a line of JSON each at once.
struct Listing {
    json: bool,
    head: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

impl Listing {
    fn new(json: bool, head: &'static [&'static str]) -> Self {
        Self { json, head, rows: Vec::new() }
    }

    fn row<T: Serialize>(&mut self, item: &T, cells: impl FnOnce() -> Vec<String>) -> Result<(), Failure> {
        if self.json {
            output::line(&serde_json::to_string(item).expect("wire types serialize"))?;
        } else {
            self.rows.push(cells());
        }
        Ok(())
    }

    fn end(self) -> Result<(), Failure> {
        if !self.json {
            output::text(&format::table(self.head, &self.rows))?;
        }
        Ok(())
    }
}
