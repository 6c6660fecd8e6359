"""Generated from `schema/` by `sdk-python/tools/generate.py`; do not edit.

The wire as types: envelopes, arguments, results and events.
"""

from __future__ import annotations

import sys
from typing import Any, Literal, TypeAlias, TypedDict

if sys.version_info >= (3, 11):
    from typing import NotRequired
else:
    from typing_extensions import NotRequired

__all__ = [
    "AckArgs",
    "AckCommand",
    "AckResult",
    "Channel",
    "ChannelInfoArgs",
    "ChannelInfoCommand",
    "ChannelInfoResult",
    "ChannelSummary",
    "ClientCommand",
    "ClientEnvelope",
    "ClientId",
    "ClientMessage",
    "CommandHelp",
    "ConnectArgs",
    "ConnectCommand",
    "ConnectResult",
    "CreateChannelArgs",
    "CreateChannelCommand",
    "CreateChannelResult",
    "DeleteChannelArgs",
    "DeleteChannelCommand",
    "DeleteChannelResult",
    "Deleted",
    "DeletedEvent",
    "Direction",
    "DisconnectArgs",
    "DisconnectCommand",
    "DisconnectResult",
    "Draining",
    "Durability",
    "Epoch",
    "Error",
    "ErrorCode",
    "Gap",
    "GapEvent",
    "GapReason",
    "Group",
    "GroupStart",
    "GroupSummary",
    "Headers",
    "HelpArgs",
    "HelpCommand",
    "HelpResult",
    "HistoryArgs",
    "HistoryBound",
    "HistoryCommand",
    "HistoryResult",
    "JoinArgs",
    "JoinChannelCommand",
    "JoinResult",
    "JoinedEvent",
    "LeaveArgs",
    "LeaveChannelCommand",
    "LeaveResult",
    "LeftEvent",
    "Limits",
    "ListChannelsArgs",
    "ListChannelsCommand",
    "ListChannelsResult",
    "ListRoomsArgs",
    "ListRoomsCommand",
    "ListRoomsResult",
    "Member",
    "MembersArgs",
    "MembersCommand",
    "MembersResult",
    "MessageId",
    "NackArgs",
    "NackCommand",
    "NackResult",
    "NodeStatus",
    "PatternPart",
    "Permission",
    "PingArgs",
    "PingCommand",
    "PingResult",
    "Position",
    "Presence",
    "PrivateTarget",
    "PublicChannel",
    "PublicRoom",
    "PublishResult",
    "RefreshArgs",
    "RefreshCommand",
    "RefreshResult",
    "ResponseError",
    "ResponseOk",
    "Retention",
    "Retry",
    "Room",
    "RoomSummary",
    "ServerEnvelope",
    "ServerError",
    "ServerEvent",
    "ServerMessage",
    "ServerResponse",
    "ServerState",
    "StatusArgs",
    "StatusCommand",
    "StatusResult",
    "StorageState",
    "StorageStatus",
    "Timestamp",
    "TopicPosition",
    "TopicStart",
    "UnknownEvent",
    "UserId",
    "Welcome",
    "WelcomeEvent",
]


class AckArgs(TypedDict):
    """`ack`: these jobs are done."""

    room: Room
    """The room."""
    channel: Channel
    """The channel."""
    group: Group
    """The group."""
    epoch: Epoch
    """The epoch of the jobs."""
    seqs: list[int]
    """Their seqs."""


class AckCommand(TypedDict):
    """Settle jobs of a work group: they are done."""

    type: Literal["command"]
    command: Literal["ack"]
    args: AckArgs
    id: NotRequired[MessageId | None]


class AckResult(TypedDict):
    """The answer to `ack`. Where none of the jobs is held the answer is `not_held` instead."""

    settled: int
    """Jobs that are settled by this."""
    not_held: NotRequired[list[int]]
    """The seqs of those that this connection does not hold: nothing was done about them."""


Channel: TypeAlias = str
"""a name is 1 to 64 of A-Z a-z 0-9 _ . - and not only dots"""

class ChannelInfoArgs(TypedDict):
    """`channel_info`."""

    room: Room
    """The room."""
    channel: Channel
    """The channel."""


class ChannelInfoCommand(TypedDict):
    """Show one channel: members, head, what history holds."""

    type: Literal["command"]
    command: Literal["channel_info"]
    args: ChannelInfoArgs
    id: NotRequired[MessageId | None]


class ChannelInfoResult(TypedDict):
    """The answer to `channel_info`."""

    room: Room
    """The room."""
    channel: Channel
    """The channel."""
    description: NotRequired[str | None]
    """What it is for."""
    members: int
    """Clients joined to it."""
    head: Position
    """Its last position."""
    first_seq: NotRequired[int | None]
    """The first message still held."""
    messages: int
    """Messages held."""
    bytes: int
    """Bytes held."""
    durability: Durability
    """What an ack of it survives."""
    retention: Retention
    """How long and how much it holds."""
    groups: NotRequired[list[GroupSummary]]
    """Its work groups, by name."""
    incomplete: NotRequired[bool]
    """Whether a node of the bus did not answer in time, so that its part is missing; false where it is not said."""


class ChannelSummary(TypedDict):
    """One channel of a listing."""

    channel: Channel
    """Its name."""
    description: NotRequired[str | None]
    """What it is for."""
    members: int
    """Clients joined to it."""
    head: Position
    """Its last position."""


class ConnectCommand(TypedDict):
    """Introduce this client, authenticate it, choose batching, resume its identity."""

    type: Literal["command"]
    command: Literal["connect"]
    args: NotRequired[ConnectArgs | None]
    id: NotRequired[MessageId | None]


class PingCommand(TypedDict):
    """Ask for a sign of life and the server's time."""

    type: Literal["command"]
    command: Literal["ping"]
    args: NotRequired[PingArgs | None]
    id: NotRequired[MessageId | None]


class StatusCommand(TypedDict):
    """Show the state of the bus."""

    type: Literal["command"]
    command: Literal["status"]
    args: NotRequired[StatusArgs | None]
    id: NotRequired[MessageId | None]


class CreateChannelCommand(TypedDict):
    """Create a channel; one that exists stays as it is."""

    type: Literal["command"]
    command: Literal["create_channel"]
    args: CreateChannelArgs
    id: NotRequired[MessageId | None]


class DeleteChannelCommand(TypedDict):
    """Delete a channel with its history; its members are told."""

    type: Literal["command"]
    command: Literal["delete_channel"]
    args: DeleteChannelArgs
    id: NotRequired[MessageId | None]


class JoinChannelCommand(TypedDict):
    """Receive a topic's messages, or those of all topics that match a pattern."""

    type: Literal["command"]
    command: Literal["join_channel"]
    args: JoinArgs
    id: NotRequired[MessageId | None]


class LeaveChannelCommand(TypedDict):
    """Stop receiving what was joined."""

    type: Literal["command"]
    command: Literal["leave_channel"]
    args: LeaveArgs
    id: NotRequired[MessageId | None]


class NackCommand(TypedDict):
    """Give jobs of a work group back: at once, after a while, or as dead."""

    type: Literal["command"]
    command: Literal["nack"]
    args: NackArgs
    id: NotRequired[MessageId | None]


class ListRoomsCommand(TypedDict):
    """List rooms, by name."""

    type: Literal["command"]
    command: Literal["list_rooms"]
    args: NotRequired[ListRoomsArgs | None]
    id: NotRequired[MessageId | None]


class ListChannelsCommand(TypedDict):
    """List a room's channels, by name."""

    type: Literal["command"]
    command: Literal["list_channels"]
    args: ListChannelsArgs
    id: NotRequired[MessageId | None]


class MembersCommand(TypedDict):
    """List who is joined to a topic."""

    type: Literal["command"]
    command: Literal["members"]
    args: MembersArgs
    id: NotRequired[MessageId | None]


class HistoryCommand(TypedDict):
    """Read a topic's messages, page by page, in either direction."""

    type: Literal["command"]
    command: Literal["history"]
    args: HistoryArgs
    id: NotRequired[MessageId | None]


class RefreshCommand(TypedDict):
    """Replace the credentials of a live connection."""

    type: Literal["command"]
    command: Literal["refresh"]
    args: RefreshArgs
    id: NotRequired[MessageId | None]


class DisconnectCommand(TypedDict):
    """Close the connections of a client or user."""

    type: Literal["command"]
    command: Literal["disconnect"]
    args: NotRequired[DisconnectArgs | None]
    id: NotRequired[MessageId | None]


class HelpCommand(TypedDict):
    """List the commands."""

    type: Literal["command"]
    command: Literal["help"]
    args: NotRequired[HelpArgs | None]
    id: NotRequired[MessageId | None]


ClientCommand: TypeAlias = (
    ConnectCommand
    | PingCommand
    | StatusCommand
    | CreateChannelCommand
    | DeleteChannelCommand
    | JoinChannelCommand
    | LeaveChannelCommand
    | AckCommand
    | NackCommand
    | ListRoomsCommand
    | ListChannelsCommand
    | ChannelInfoCommand
    | MembersCommand
    | HistoryCommand
    | RefreshCommand
    | DisconnectCommand
    | HelpCommand
)
"""Something to do; always answered by one response."""

class ClientMessage(TypedDict):
    """A message on its way in: to a topic (`room` and `channel`), to a room (`room`), or private (`to`)."""

    type: Literal["message"]
    payload: Any
    """Any JSON value, relayed byte for byte."""
    id: NotRequired[MessageId | None]
    room: NotRequired[PublicRoom | None]
    channel: NotRequired[PublicChannel | None]
    to: NotRequired[PrivateTarget | None]
    headers: NotRequired[Headers | None]
    ack: NotRequired[bool | None]
    request: NotRequired[bool | None]
    correlation_id: NotRequired[MessageId | None]
    exclude_sender: NotRequired[bool | None]


ClientEnvelope: TypeAlias = ClientMessage | ClientCommand
"""What a client sends."""

ClientId: TypeAlias = str
"""a client id is c_ or n_ and 8 to 32 of a-z 0-9"""

class CommandHelp(TypedDict):
    """One command in the answer to `help`."""

    name: str
    """Its name."""
    summary: str
    """What it does."""
    permission: NotRequired[Permission | None]
    """What the client must be allowed to do."""
    args: list[str]
    """The names of its arguments."""


class ConnectArgs(TypedDict):
    """`connect`: who this is. May be left out while the server asks for no credentials."""

    protocol: NotRequired[int | None]
    """The protocol version; 1."""
    token: NotRequired[str | None]
    """Credentials, where the server asks for them."""
    name: NotRequired[str | None]
    """A name that people see in member lists."""
    kind: NotRequired[str | None]
    """What kind of client it is, such as `worker`."""
    user: NotRequired[UserId | None]
    """Whom it acts for; believed only where the server asks for no credentials."""
    batch: NotRequired[bool]
    """Whether frames may hold several envelopes."""
    resume: NotRequired[str | None]
    """The resume key of an earlier connection: restores its client id."""
    metadata: NotRequired[dict[str, Any] | None]
    """Anything that members should see of this client; at most 1 KiB as JSON."""
    agent: NotRequired[str | None]
    """The client software and its version."""


class ConnectResult(TypedDict):
    """The answer to `connect`."""

    client: ClientId
    """This connection's identity from now on."""
    user: NotRequired[UserId | None]
    """Whom it acts for."""
    resume: str
    """Secret: restores the identity after a lost connection."""
    resumed: bool
    """Whether an earlier identity was restored."""
    batch: bool
    """Whether frames may hold several envelopes from now on."""
    heartbeat_ms: int
    """Milliseconds of silence after which a peer is pinged."""


class CreateChannelArgs(TypedDict):
    """`create_channel`."""

    room: Room
    """The room."""
    channel: Channel
    """The channel."""
    description: NotRequired[str | None]
    """What it is for; for people."""


class CreateChannelResult(TypedDict):
    """The answer to `create_channel`."""

    created: bool
    """False where it existed."""
    head: Position
    """Its last position."""


class DeleteChannelArgs(TypedDict):
    """`delete_channel`."""

    room: Room
    """The room."""
    channel: Channel
    """The channel."""


class DeleteChannelResult(TypedDict):
    """The answer to `delete_channel`."""

    members: int
    """Members that were told."""


class Deleted(TypedDict):
    """A deleted channel."""

    by: ClientId
    """Who deleted it."""


class DeletedEvent(TypedDict):
    """The channel was deleted; the subscription has ended."""

    type: Literal["event"]
    event: Literal["deleted"]
    timestamp: Timestamp
    data: Deleted
    room: Room
    channel: Channel
    group: NotRequired[Group | None]


Direction: TypeAlias = Literal["forward", "backward"]
"""Which end a history page begins at."""

class DisconnectArgs(TypedDict):
    """`disconnect`: whom. Exactly one of the two."""

    client: NotRequired[ClientId | None]
    """One connection."""
    user: NotRequired[UserId | None]
    """Every connection of a user."""


class DisconnectResult(TypedDict):
    """The answer to `disconnect`."""

    disconnected: int
    """Connections that are being closed."""
    incomplete: NotRequired[bool]
    """Whether a node of the bus did not answer in time, so that its part is missing; false where it is not said."""


class Draining(TypedDict):
    """How to leave a server that is shutting down."""

    reconnect_after_ms: int
    """When to reconnect, in milliseconds from now; another value for every client, so that they do not come all at
    once.
    """


Durability: TypeAlias = Literal["none", "memory", "file", "file_fsync", "redis", "redis_fsync"]
"""What a publish ack says it survives."""

Epoch: TypeAlias = str
"""an epoch is 1 to 16 of a-z 0-9"""

class Error(TypedDict):
    """Why a request was not carried out, and what the sender should do about it."""

    code: ErrorCode | str
    """What went wrong. A client treats a code that it does not know by its `retry`."""
    message: str
    """The same in words; for people, not for programs."""
    retry: Retry
    """Whether sending the same again can succeed."""
    retry_after_ms: NotRequired[int | None]
    """How long to wait before that, in milliseconds; with `retry: "after"`."""
    at: NotRequired[str | None]
    """The place in the envelope, as a JSON pointer (RFC 6901)."""


ErrorCode: TypeAlias = Literal[
    "invalid_json",
    "invalid_envelope",
    "too_deep",
    "too_large",
    "unknown_type",
    "unknown_command",
    "invalid_args",
    "invalid_name",
    "unauthenticated",
    "invalid_credentials",
    "forbidden",
    "unknown_channel",
    "not_joined",
    "not_held",
    "no_recipient",
    "no_responder",
    "id_conflict",
    "limit_exceeded",
    "rate_limited",
    "overloaded",
    "draining",
    "storage_unavailable",
    "outcome_unknown",
    "unsupported",
    "internal",
]
"""Why a request was refused."""

Gap = TypedDict(
    "Gap",
    {
        "reason": "GapReason",
        "from": NotRequired["Position | None"],
        "to": "Position",
        "refetch_after_ms": NotRequired["int"],
    },
)
"""A hole in a subscription (FR-031), told before the first message after it."""


class GapEvent(TypedDict):
    """What lies between two positions was not and will not be delivered; told before the first message after it."""

    type: Literal["event"]
    event: Literal["gap"]
    timestamp: Timestamp
    data: Gap
    room: Room
    channel: Channel
    group: NotRequired[Group | None]


GapReason: TypeAlias = Literal[
    "epoch_changed",
    "trimmed",
    "ahead",
    "degraded",
    "restored",
    "conflated",
    "limit",
]
"""Why messages are missing."""

Group: TypeAlias = str
"""a group's name is 1 to 64 of A-Z a-z 0-9 _ . - and not only dots, without a leading _"""

class GroupStart(TypedDict):
    """What a join found of a work group, or began."""

    group: Group
    """Its name."""
    created: bool
    """Whether this join began it."""
    pending: int
    """Jobs that were given out and are not settled."""
    max_in_flight: int
    """Jobs that this member may hold unsettled."""
    ack_timeout_ms: int
    """Milliseconds after which a job that is not settled goes to another member."""
    deliveries_max: int
    """Times that a job is given out before it is dead; 0 for no end."""


class GroupSummary(TypedDict):
    """One work group in the answer to `channel_info`."""

    group: Group
    """Its name."""
    members: int
    """Its members."""
    pending: int
    """Jobs that were given out and are not settled."""
    lag: int
    """Messages that wait to be given out for the first time."""


Headers: TypeAlias = dict[str, str]
"""Strings by name, relayed byte for byte; at most 4 KiB as JSON."""

class HelpArgs(TypedDict):
    """`help`: which commands there are."""

    command: NotRequired[str | None]
    """Only this command."""


class HelpResult(TypedDict):
    """The answer to `help`."""

    commands: list[CommandHelp]
    """The commands, in the order of the reference."""


class HistoryArgs(TypedDict):
    """`history`: which messages (FR-036)."""

    room: Room
    """The room."""
    channel: Channel
    """The channel."""
    since: NotRequired[HistoryBound | None]
    """Only messages after this."""
    until: NotRequired[HistoryBound | None]
    """Only messages up to and including this."""
    limit: NotRequired[int | None]
    """Messages of one page; 100 where it is missing."""
    direction: NotRequired[Direction]
    """Oldest first, or newest first."""


class Position(TypedDict):
    """A place in a topic's log. `seq` counts 1, 2, 3 … within an epoch; 0 is before the first."""

    epoch: Epoch
    """The life of the log that `seq` counts in."""
    seq: int
    """0 … 2^53 − 1."""


Timestamp: TypeAlias = str
"""a timestamp is RFC 3339 in UTC, such as 2026-11-22T16:49:00.000Z"""

HistoryBound: TypeAlias = Position | Timestamp
"""A bound by place or by time."""

class HistoryResult(TypedDict):
    """The answer to `history`."""

    messages: list[ServerMessage]
    """Delivered messages, as their subscribers got them."""
    head: Position
    """The log's last position."""
    first_seq: NotRequired[int | None]
    """The first message still held."""
    next: NotRequired[Position | None]
    """The bound for the next page: `since` (forward) or `until` (backward). None on the last page."""
    gap: NotRequired[Gap | None]
    """Set where messages between `since` and the first one given are no longer held."""


class JoinArgs(TypedDict):
    """`join_channel`: a topic, or a pattern."""

    room: PatternPart
    """The room; may end in `*`."""
    channel: PatternPart
    """The channel; may end in `*`."""
    since: NotRequired[Position | None]
    """Begin after this position; for one topic."""
    replay: NotRequired[int | None]
    """Begin with the last so many messages of each topic."""
    positions: NotRequired[list[TopicPosition] | None]
    """Resume a pattern: what is known of its topics. Those not listed begin with their first held message."""
    presence: NotRequired[bool]
    """Whether to be told who joins and leaves."""
    group: NotRequired[Group | None]
    """Share the messages with the members of this work group; for one topic. `since` and `replay` say where a new
    group begins.
    """
    max_in_flight: NotRequired[int | None]
    """Jobs of the group that may be held unsettled; 16 where it is missing."""


class JoinResult(TypedDict):
    """The answer to `join_channel`."""

    topics: list[TopicStart]
    """Where delivery begins, for each topic."""
    complete: bool
    """False where a pattern matches more topics than are listed."""
    group: NotRequired[GroupStart | None]
    """What was joined, where that is a work group."""


class JoinedEvent(TypedDict):
    """A client joined; for members that asked for presence."""

    type: Literal["event"]
    event: Literal["joined"]
    timestamp: Timestamp
    data: Presence
    room: Room
    channel: Channel
    group: NotRequired[Group | None]


class LeaveArgs(TypedDict):
    """`leave_channel`: what was joined, topic or pattern."""

    room: PatternPart
    """The room, as it was joined."""
    channel: PatternPart
    """The channel, as it was joined."""
    group: NotRequired[Group | None]
    """The work group, as it was joined."""


LeaveResult: TypeAlias = dict[str, Any]
"""The answer to `leave_channel`: nothing of it is delivered after this."""

class LeftEvent(TypedDict):
    """A client left; for members that asked for presence."""

    type: Literal["event"]
    event: Literal["left"]
    timestamp: Timestamp
    data: Presence
    room: Room
    channel: Channel
    group: NotRequired[Group | None]


class Limits(TypedDict):
    """The limits that a server states in its welcome."""

    envelope_bytes: int
    """Bytes of one envelope."""
    frame_bytes: int
    """Bytes of one frame (a batch of envelopes)."""
    joins: int
    """Topics and patterns joined at once."""
    history: int
    """Messages of one history page."""


class ListChannelsArgs(TypedDict):
    """`list_channels`."""

    room: Room
    """The room."""
    after: NotRequired[Channel | None]
    """Only channels after this one, by name: the `next` of the page before."""
    limit: NotRequired[int | None]
    """Items of one page; 100 where it is missing."""


class ListChannelsResult(TypedDict):
    """The answer to `list_channels`."""

    channels: list[ChannelSummary]
    """By name."""
    next: NotRequired[Channel | None]
    """The `after` of the next page; none on the last."""
    incomplete: NotRequired[bool]
    """Whether a node of the bus, or its store, did not answer in time, so that its part is missing; false where it
    is not said.
    """


class ListRoomsArgs(TypedDict):
    """`list_rooms`."""

    after: NotRequired[Room | None]
    """Only rooms after this one, by name: the `next` of the page before."""
    limit: NotRequired[int | None]
    """Items of one page; 100 where it is missing."""


class ListRoomsResult(TypedDict):
    """The answer to `list_rooms`."""

    rooms: list[RoomSummary]
    """By name."""
    next: NotRequired[Room | None]
    """The `after` of the next page; none on the last."""
    incomplete: NotRequired[bool]
    """Whether a node of the bus, or its store, did not answer in time, so that its part is missing; false where it
    is not said.
    """


class Member(TypedDict):
    """One member of a topic."""

    client: ClientId
    """The connection."""
    user: NotRequired[UserId | None]
    """Whom it acts for."""
    name: NotRequired[str | None]
    """The name it gave at connect."""
    kind: NotRequired[str | None]
    """The kind it gave at connect."""
    metadata: NotRequired[dict[str, Any] | None]
    """The metadata it gave at connect."""
    joined: Timestamp
    """When it joined."""
    groups: NotRequired[list[Group]]
    """The work groups that it is in, by name."""


class MembersArgs(TypedDict):
    """`members`."""

    room: Room
    """The room."""
    channel: Channel
    """The channel."""
    after: NotRequired[ClientId | None]
    """Only members after this one, by client id: the `next` of the page before."""
    limit: NotRequired[int | None]
    """Items of one page; 100 where it is missing."""


class MembersResult(TypedDict):
    """The answer to `members`."""

    members: list[Member]
    """By client id."""
    total: int
    """All members, also those of other pages."""
    next: NotRequired[ClientId | None]
    """The `after` of the next page; none on the last."""
    incomplete: NotRequired[bool]
    """Whether a node of the bus did not answer in time, so that its part is missing; false where it is not said."""


MessageId: TypeAlias = str
"""an id is 1 to 64 of A-Z a-z 0-9 _ . : -"""

class NackArgs(TypedDict):
    """`nack`: these jobs are not done. Without `delay_ms` and `dead` others get them at once."""

    room: Room
    """The room."""
    channel: Channel
    """The channel."""
    group: Group
    """The group."""
    epoch: Epoch
    """The epoch of the jobs."""
    seqs: list[int]
    """Their seqs."""
    delay_ms: NotRequired[int | None]
    """Milliseconds before they are given out again; looked at about once a second."""
    dead: NotRequired[bool]
    """Whether they go to the dead-letter topic now, whatever the count."""
    reason: NotRequired[str | None]
    """Why, for the header of a dead letter."""


class NackResult(TypedDict):
    """The answer to `nack`. Where none of the jobs is held the answer is `not_held` instead."""

    settled: int
    """Jobs that were given back by this."""
    not_held: NotRequired[list[int]]
    """The seqs of those that this connection does not hold: nothing was done about them."""


class NodeStatus(TypedDict):
    """One node of the bus."""

    node: ClientId
    """The node."""
    version: str
    """Its version."""
    state: ServerState
    """Whether it takes new work."""
    uptime_ms: int
    """Milliseconds since it started."""
    connections: int
    """Its open connections."""
    joins: int
    """Joined topics of its connections."""
    storage: StorageState
    """How well its store is."""


PatternPart: TypeAlias = str
"""a name is 1 to 64 of A-Z a-z 0-9 _ . - and not only dots; a pattern may end in one *"""

Permission: TypeAlias = Literal[
    "publish",
    "join",
    "work",
    "history",
    "members",
    "create",
    "delete",
    "list",
    "broadcast_room",
    "broadcast_all",
    "private",
    "status",
    "disconnect",
]
"""What a client may be allowed to do on a topic pattern."""

class PingArgs(TypedDict):
    """`ping`."""

    settled: NotRequired[bool]
    """Whether the answer waits until what this connection published before is done or refused; false where it is
    missing.
    """


class PingResult(TypedDict):
    """The answer to `ping`."""

    timestamp: Timestamp
    """The server's wall clock."""


class Presence(TypedDict):
    """Who joined or left."""

    client: ClientId
    """The connection."""
    user: NotRequired[UserId | None]
    """Whom it acts for."""
    name: NotRequired[str | None]
    """The name it gave at connect."""
    kind: NotRequired[str | None]
    """The kind it gave at connect."""
    members: int
    """Members now."""


PrivateTarget: TypeAlias = str
"""A client id, `user:` and a user id, or `*` for everybody."""

PublicChannel: TypeAlias = str
"""A channel that is not one of the server's own."""

PublicRoom: TypeAlias = str
"""A room that is not one of the server's own."""

class PublishResult(TypedDict):
    """The result of an acknowledged publish (FR-023)."""

    epoch: NotRequired[Epoch]
    """The life of the log that `seq` counts in."""
    seq: NotRequired[int]
    """0 … 2^53 − 1."""
    durability: Durability
    """What it survives."""
    duplicate: bool
    """Whether it was stored before, under the same id."""


class RefreshArgs(TypedDict):
    """`refresh`: new credentials."""

    token: str
    """The new token, of the same subject."""


class RefreshResult(TypedDict):
    """The answer to `refresh`."""

    expires: NotRequired[Timestamp | None]
    """When the new credentials expire."""


class ResponseError(TypedDict):
    """The request was refused."""

    type: Literal["response"]
    request_id: MessageId
    """The `id` of the request."""
    status: Literal["error"]
    error: Error


class ResponseOk(TypedDict):
    """The request was carried out."""

    type: Literal["response"]
    request_id: MessageId
    """The `id` of the request."""
    status: Literal["ok"]
    result: NotRequired[dict[str, Any] | None | None]


class Retention(TypedDict):
    """How much history a topic holds; whichever bound is met first."""

    messages: int
    """Messages; 0 for none."""
    age_ms: int
    """Milliseconds."""
    bytes: int
    """Bytes."""


Retry: TypeAlias = Literal["never", "later", "after"]
"""Whether the same request can succeed later."""

Room: TypeAlias = str
"""a name is 1 to 64 of A-Z a-z 0-9 _ . - and not only dots"""

class RoomSummary(TypedDict):
    """One room."""

    room: Room
    """Its name."""
    channels: int
    """Its channels."""
    members: int
    """Joins of all its channels."""


class ServerMessage(TypedDict):
    """A delivered message: the same bytes for every subscriber."""

    type: Literal["message"]
    id: MessageId
    """The idempotency key."""
    sender: ClientId
    """Whose connection it came from."""
    timestamp: Timestamp
    """When the server took it."""
    payload: Any
    """Any JSON value, relayed byte for byte."""
    room: NotRequired[Room | None]
    channel: NotRequired[Channel | None]
    to: NotRequired[PrivateTarget | None]
    user: NotRequired[UserId | None]
    epoch: NotRequired[Epoch | None]
    seq: NotRequired[int | None]
    reply_to: NotRequired[ClientId | None]
    correlation_id: NotRequired[MessageId | None]
    exclude_sender: NotRequired[bool | None]
    headers: NotRequired[Headers | None]
    group: NotRequired[Group | None]
    delivery: NotRequired[int | None]


ServerResponse: TypeAlias = ResponseOk | ResponseError
"""The answer to one request."""

class WelcomeEvent(TypedDict):
    """The server introduces itself: first on every connection, and again when something in it changes."""

    type: Literal["event"]
    event: Literal["welcome"]
    timestamp: Timestamp
    data: Welcome


class UnknownEvent(TypedDict):
    """An event of a newer server; clients ignore it."""

    type: Literal["event"]
    event: str
    timestamp: Timestamp
    room: NotRequired[Room | None]
    channel: NotRequired[Channel | None]
    data: NotRequired[dict[str, Any] | None]


ServerEvent: TypeAlias = WelcomeEvent | GapEvent | JoinedEvent | LeftEvent | DeletedEvent | UnknownEvent
"""Something that happened."""

class ServerError(TypedDict):
    """A refusal of input that cannot be tied to a request."""

    type: Literal["error"]
    error: Error
    timestamp: Timestamp
    """When."""


ServerEnvelope: TypeAlias = ServerMessage | ServerResponse | ServerEvent | ServerError
"""What a server sends."""

ServerState: TypeAlias = Literal["ready", "draining"]
"""Whether a server takes new work."""

StatusArgs: TypeAlias = dict[str, Any]
"""`status` has no arguments."""

class StatusResult(TypedDict):
    """The answer to `status`."""

    version: str
    """The server's version."""
    node: ClientId
    """The node that answers."""
    state: ServerState
    """Whether it takes new work."""
    uptime_ms: int
    """Milliseconds since it started."""
    connections: int
    """Open connections."""
    rooms: int
    """Rooms with at least one channel."""
    channels: int
    """Channels."""
    joins: int
    """Joined topics of all connections."""
    messages_in: int
    """Messages taken since it started."""
    messages_out: int
    """Messages delivered since it started."""
    queued_bytes: int
    """Bytes that wait in the outboxes of all connections."""
    storage: StorageStatus
    """Where history is kept."""
    nodes: NotRequired[list[NodeStatus]]
    """Every living node of a bus of several, this one included; the numbers above are those of the node that
    answers.
    """
    incomplete: NotRequired[bool]
    """Whether a node of the bus did not answer in time, so that its part is missing; false where it is not said."""


StorageState: TypeAlias = Literal["healthy", "degraded", "healing"]
"""How well the store is."""

class StorageStatus(TypedDict):
    """The state of the store."""

    kind: str
    """Its kind, such as `memory`."""
    state: StorageState
    """`healthy`, `degraded` or `healing`."""
    messages: int
    """Messages held."""
    bytes: int
    """Bytes held."""


class TopicPosition(TypedDict):
    """A position with its topic."""

    room: Room
    """The room."""
    channel: Channel
    """The channel."""
    epoch: Epoch
    """The life of the log."""
    seq: int
    """The last message that the client holds."""


class TopicStart(TypedDict):
    """Where delivery of one topic begins."""

    room: Room
    """The room."""
    channel: Channel
    """The channel."""
    head: Position
    """The last position of the log at the moment of the join."""
    start: Position
    """The first message delivered is the one after this."""
    members: int
    """Members now, this one included."""


UserId: TypeAlias = str
"""a user id is 1 to 64 of A-Z a-z 0-9 _ . @ + - and does not begin with _"""

class Welcome(TypedDict):
    """The server's introduction (FR-004): sent first, and again when something in it changes."""

    version: str
    """The server's version."""
    protocols: list[int]
    """The protocol versions it speaks."""
    node: ClientId
    """The node."""
    client: ClientId
    """This connection's identity, until `connect` restores an older one."""
    limits: Limits
    """What it takes."""
    heartbeat_ms: int
    """Milliseconds of silence after which a peer is pinged."""
    auth_required: bool
    """Whether `connect` with credentials must come first."""
    draining: NotRequired[Draining | None]
    """Set while the server is shutting down."""
