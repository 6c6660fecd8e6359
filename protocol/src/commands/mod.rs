//! The commands: one table from which decoding, schema, reference and help come.

mod channels;
mod connection;
mod groups;
mod history;
mod listings;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

pub use channels::*;
pub use connection::*;
pub use groups::*;
pub use history::*;
pub use listings::*;

use crate::{ErrorCode, Permission, RawJson, Refusal};

/// One row of [`COMMANDS`].
#[derive(Debug, Clone, Copy)]
pub struct CommandSpec {
    /// The name on the wire.
    pub name: &'static str,
    /// What it does, as one sentence.
    pub summary: &'static str,
    /// What the client must be allowed to do.
    pub permission: Option<Permission>,
    /// The errors of its own, beside those that any request can meet.
    pub errors: &'static [ErrorCode],
    /// The JSON Schema of its arguments.
    pub args_schema: fn(&mut SchemaGenerator) -> Schema,
    /// The JSON Schema of its result.
    pub result_schema: fn(&mut SchemaGenerator) -> Schema,
}

impl CommandSpec {
    /// The names of its arguments, from their schema.
    #[must_use]
    pub fn arg_names(&self) -> Vec<String> {
        let mut generator = SchemaGenerator::default();
        let reference = (self.args_schema)(&mut generator);
        let name = reference.get("$ref").and_then(|path| path.as_str()).and_then(|path| path.rsplit('/').next()).unwrap_or_default();
        let properties = generator.definitions().get(name).and_then(|schema| schema.get("properties")).and_then(|fields| fields.as_object());
        properties.into_iter().flat_map(|fields| fields.keys().cloned()).collect()
    }
}

/// Errors that every request can meet.
pub const COMMON_ERRORS: &[ErrorCode] = &[
    ErrorCode::InvalidEnvelope,
    ErrorCode::InvalidArgs,
    ErrorCode::Unauthenticated,
    ErrorCode::Forbidden,
    ErrorCode::RateLimited,
    ErrorCode::Overloaded,
    ErrorCode::Draining,
    ErrorCode::Internal,
];

macro_rules! commands {
    ($($variant:ident $wire:literal $args:ty => $result:ty, $permission:expr, [$($error:ident)*], $summary:literal;)+) => {
        /// A command with its arguments.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Command { $(#[doc = $summary] $variant($args),)+ }

        /// Every command of this version.
        pub const COMMANDS: &[CommandSpec] = &[$(CommandSpec {
            name: $wire,
            summary: $summary,
            permission: $permission,
            errors: &[$(ErrorCode::$error),*],
            args_schema: SchemaGenerator::subschema_for::<$args>,
            result_schema: SchemaGenerator::subschema_for::<$result>,
        },)+];

        impl Command {
            /// The name on the wire.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $wire),+ }
            }

            /// Its row in [`COMMANDS`].
            #[must_use]
            pub fn spec(&self) -> &'static CommandSpec {
                COMMANDS.iter().find(|spec| spec.name == self.name()).expect("the table has every command")
            }

            /// Reads the arguments of the command `name`; `None` where there is no such command.
            pub(crate) fn parse(name: &str, args: RawJson<'_>) -> Option<Result<Self, Refusal>> {
                Some(match name {
                    $($wire => parse_args(args).map(Self::$variant),)+
                    _ => return None,
                })
            }

            pub(crate) fn args_json(&self) -> String {
                match self { $(Self::$variant(args) => serde_json::to_string(args)),+ }.expect("wire types serialize")
            }
        }

        $(impl CommandArgs for $args {
            type Result = $result;
            const NAME: &'static str = $wire;
            fn command(self) -> Command { Command::$variant(self) }
        })+
    };
}

/// The arguments of one command, which know its result: a client's call is typed by them.
pub trait CommandArgs {
    /// What the server answers.
    type Result: Serialize + serde::de::DeserializeOwned;
    /// The command's name on the wire.
    const NAME: &'static str;
    /// The command with these arguments.
    fn command(self) -> Command;
}

use Permission as May;

commands! {
    Connect "connect" ConnectArgs => ConnectResult, None, [InvalidCredentials Unsupported], "Introduce this client, authenticate it, choose batching, resume its identity.";
    Ping "ping" PingArgs => PingResult, None, [], "Ask for a sign of life and the server's time.";
    Status "status" StatusArgs => StatusResult, Some(May::Status), [], "Show the state of the bus.";
    CreateChannel "create_channel" CreateChannelArgs => CreateChannelResult, Some(May::Create), [InvalidName LimitExceeded], "Create a channel; one that exists stays as it is.";
    DeleteChannel "delete_channel" DeleteChannelArgs => DeleteChannelResult, Some(May::Delete), [InvalidName UnknownChannel], "Delete a channel with its history; its members are told.";
    JoinChannel "join_channel" JoinArgs => JoinResult, Some(May::Join), [InvalidName UnknownChannel LimitExceeded StorageUnavailable Unsupported], "Receive a topic's messages, or those of all topics that match a pattern.";
    LeaveChannel "leave_channel" LeaveArgs => LeaveResult, None, [NotJoined], "Stop receiving what was joined.";
    Ack "ack" AckArgs => AckResult, Some(May::Work), [InvalidName NotHeld StorageUnavailable], "Settle jobs of a work group: they are done.";
    Nack "nack" NackArgs => NackResult, Some(May::Work), [InvalidName NotHeld StorageUnavailable], "Give jobs of a work group back: at once, after a while, or as dead.";
    ListRooms "list_rooms" ListRoomsArgs => ListRoomsResult, Some(May::List), [], "List rooms, by name.";
    ListChannels "list_channels" ListChannelsArgs => ListChannelsResult, Some(May::List), [], "List a room's channels, by name.";
    ChannelInfo "channel_info" ChannelInfoArgs => ChannelInfoResult, Some(May::List), [UnknownChannel], "Show one channel: members, head, what history holds.";
    Members "members" MembersArgs => MembersResult, Some(May::Members), [UnknownChannel], "List who is joined to a topic.";
    History "history" HistoryArgs => HistoryResult, Some(May::History), [UnknownChannel StorageUnavailable], "Read a topic's messages, page by page, in either direction.";
    Refresh "refresh" RefreshArgs => RefreshResult, None, [InvalidCredentials Unsupported], "Replace the credentials of a live connection.";
    Disconnect "disconnect" DisconnectArgs => DisconnectResult, Some(May::Disconnect), [NoRecipient], "Close the connections of a client or user.";
    Help "help" HelpArgs => HelpResult, None, [UnknownCommand], "List the commands.";
}

fn parse_args<T: serde::de::DeserializeOwned>(args: RawJson<'_>) -> Result<T, Refusal> {
    args.parse().map_err(|(pointer, why)| {
        // A name that does not parse is told as what it is, wherever it stands.
        let last = pointer.rsplit('/').next().unwrap_or_default();
        let code = if matches!(last, "room" | "channel" | "group") && !why.starts_with("invalid type") {
            ErrorCode::InvalidName
        } else {
            ErrorCode::InvalidArgs
        };
        Refusal::new(code, why).at(format!("/args{pointer}"))
    })
}

/// Reads an optional number that lies within its limits.
fn bounded<'de, D: serde::Deserializer<'de>, const MIN: u32, const MAX: u32>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let number = Option::<u32>::deserialize(deserializer)?;
    if number.is_some_and(|number| !(MIN..=MAX).contains(&number)) {
        return Err(serde::de::Error::custom(format!("this is {MIN} to {MAX}")));
    }
    Ok(number)
}

/// `help`: which commands there are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HelpArgs {
    /// Only this command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

/// The answer to `help`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HelpResult {
    /// The commands, in the order of the reference.
    pub commands: Vec<CommandHelp>,
}

/// One command in the answer to `help`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CommandHelp {
    /// Its name.
    pub name: String,
    /// What it does.
    pub summary: String,
    /// What the client must be allowed to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission: Option<Permission>,
    /// The names of its arguments.
    pub args: Vec<String>,
}
