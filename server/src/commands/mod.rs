//! The commands, one file each: what the session asks, and what the home answers.

mod ack;
mod channel_info;
mod connect;
mod create_channel;
mod delete_channel;
mod disconnect;
mod help;
mod history;
mod join;
pub(crate) mod leave;
mod list_channels;
mod list_rooms;
mod members;
mod nack;
mod status;

use arqonbus_protocol::{
    Channel, Command, ErrorCode, JoinArgs, ListChannelsArgs, ListRoomsArgs, Pattern, Permission, PingResult, Refusal, Request, Room, Topic, limits,
};

use crate::routing::{Asked, LaneOp, Op};
use crate::session::permission::{self, Scope};
use crate::session::{self, Context, Session, Step};

pub(crate) use join::limit_reached;
pub(crate) use list_channels::merge as merge_channels;
pub(crate) use list_rooms::merge as merge_rooms;
pub(crate) use members::page as members_page;
pub(crate) use status::merge as merge_status;

/// A question to every home.
#[derive(Debug, Clone)]
pub(crate) enum Aggregate {
    JoinPattern(Box<JoinArgs>),
    LeavePattern(Pattern),
    ListRooms(ListRoomsArgs),
    ListChannels(Box<ListChannelsArgs>),
    Status,
    /// Whether what the connection published is done or refused.
    Settled,
}

/// Carries out one command, or refuses it.
pub(crate) fn ask(session: &mut Session, request: Request, cx: &mut Context<'_>) {
    let spec = request.command.spec();
    let asked = session.asked(request.id, Some(spec), cx);
    cx.shared.metrics.commands.add(spec, 1);
    let topic = topic_of(&request.command);
    let asked_by = asked.clone();
    if let Err(refusal) = admit(session, &request.command, cx).and_then(|()| run(session, asked, request.command, cx)) {
        cx.refuse(&asked_by, topic, &refusal);
    }
}

/// Whether the session may ask this at all.
fn admit(session: &mut Session, command: &Command, cx: &Context<'_>) -> Result<(), Refusal> {
    let needs_socket =
        matches!(command, Command::Connect(_) | Command::JoinChannel(_) | Command::LeaveChannel(_) | Command::Ack(_) | Command::Nack(_));
    if session.channel == session::Channel::Http && needs_socket {
        return Err(Refusal::new(ErrorCode::Unsupported, "this needs a WebSocket").at("/command"));
    }
    if !matches!(command, Command::Connect(_)) {
        session.acted = true;
    }
    match permission_of(command) {
        Some(permission) => permission::check(session, cx, permission, scope_of(command)),
        None => Ok(()),
    }
}

fn run(session: &mut Session, asked: Asked, command: Command, cx: &mut Context<'_>) -> Result<(), Refusal> {
    match command {
        Command::Connect(args) => return connect::ask(session, &asked, args, cx),
        Command::Ping(args) if args.settled => cx.steps.push(Step::AskAll(Box::new((asked, Aggregate::Settled)))),
        Command::Ping(_) => cx.ok(&asked, &PingResult { timestamp: cx.timestamp }),
        Command::Help(args) => return help::ask(&asked, &args, cx),
        Command::Refresh(_) => return Err(Refusal::new(ErrorCode::Unsupported, "this server asks for no credentials")),
        Command::Disconnect(args) => return disconnect::ask(asked, &args, cx),
        Command::JoinChannel(args) => return join::ask(session, asked, args, cx),
        Command::LeaveChannel(args) => return leave::ask(session, asked, &args, cx),
        Command::Ack(args) => ack::ask(asked, args, cx),
        Command::Nack(args) => return nack::ask(asked, args, cx),
        Command::Status(_) => cx.steps.push(Step::AskAll(Box::new((asked, Aggregate::Status)))),
        Command::ListRooms(args) => cx.steps.push(Step::AskAll(Box::new((asked, Aggregate::ListRooms(args))))),
        Command::ListChannels(args) => cx.steps.push(Step::AskAll(Box::new((asked, Aggregate::ListChannels(Box::new(args)))))),
        Command::CreateChannel(args) => {
            cx.refuse_while_draining()?;
            refuse_reserved(&args.room, &args.channel)?;
            ask_lane(Topic { room: args.room, channel: args.channel }, LaneOp::Create { asked, args: Box::new(args) }, cx);
        }
        Command::DeleteChannel(args) => {
            refuse_reserved(&args.room, &args.channel)?;
            ask_lane(Topic { room: args.room, channel: args.channel }, LaneOp::Delete { asked, args: Box::new(args) }, cx);
        }
        Command::ChannelInfo(args) => ask_lane(Topic { room: args.room, channel: args.channel }, LaneOp::Info { asked, args: Box::new(args) }, cx),
        Command::Members(args) => ask_lane(Topic { room: args.room, channel: args.channel }, LaneOp::Members { asked, args: Box::new(args) }, cx),
        Command::History(args) => ask_lane(args.topic(), LaneOp::History { asked, args: Box::new(args), epoch: None }, cx),
    }
    Ok(())
}

/// Asks the lane of `topic`, wherever it lives.
fn ask_lane(topic: Topic, op: LaneOp, cx: &mut Context<'_>) {
    cx.steps.push(Step::Ask(cx.shared.homes.of_topic(&topic), Op::Lane(topic, Box::new(op))));
}

fn refuse_reserved(room: &Room, channel: &Channel) -> Result<(), Refusal> {
    let at = if room.is_reserved() { "/args/room" } else { "/args/channel" };
    if room.is_reserved() || channel.is_reserved() {
        return Err(Refusal::new(ErrorCode::InvalidName, "names that begin with _ belong to the server").at(at));
    }
    Ok(())
}

/// What the client must be allowed to do. A work group takes messages away from others, which reading does not.
fn permission_of(command: &Command) -> Option<Permission> {
    let works = matches!(command, Command::JoinChannel(args) if args.group.is_some());
    if works { Some(Permission::Work) } else { command.spec().permission }
}

/// The topics that a command is about.
fn scope_of(command: &Command) -> Scope {
    if let Command::JoinChannel(args) = command {
        return Scope::Topics(args.pattern());
    }
    topic_of(command).map_or(Scope::Bus, |topic| Scope::Topics(Pattern::from(topic)))
}

/// The one topic that a command is about.
fn topic_of(command: &Command) -> Option<Topic> {
    match command {
        Command::CreateChannel(args) => Some(Topic { room: args.room, channel: args.channel }),
        Command::DeleteChannel(args) => Some(Topic { room: args.room, channel: args.channel }),
        Command::ChannelInfo(args) => Some(Topic { room: args.room, channel: args.channel }),
        Command::Members(args) => Some(Topic { room: args.room, channel: args.channel }),
        Command::History(args) => Some(args.topic()),
        Command::Ack(args) => Some(args.topic()),
        Command::Nack(args) => Some(args.topic()),
        Command::JoinChannel(args) => args.pattern().as_topic(),
        Command::LeaveChannel(args) => args.pattern().as_topic(),
        Command::Connect(_)
        | Command::Ping(_)
        | Command::Status(_)
        | Command::ListRooms(_)
        | Command::ListChannels(_)
        | Command::Refresh(_)
        | Command::Disconnect(_)
        | Command::Help(_) => None,
    }
}

/// How many items a page of a listing has.
pub(crate) fn page_len(limit: Option<u32>) -> usize {
    limit.unwrap_or(limits::LIST_LIMIT_DEFAULT).clamp(1, limits::LIST_LIMIT_MAX) as usize
}

/// Cuts a sorted listing to one page; gives the name that the next page begins after.
pub(crate) fn cut<T, N>(items: &mut Vec<T>, limit: Option<u32>, name: impl Fn(&T) -> N) -> Option<N> {
    let len = page_len(limit);
    if items.len() <= len {
        return None;
    }
    items.truncate(len);
    items.last().map(name)
}
